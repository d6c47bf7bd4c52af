"""Development instances as they are: found by their tags, told as values. Describes only; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

ON = "On"
LONGEST_HOURS = 24
KEPT_STOPPED = timedelta(days=14)
"""How long after its time a stopped instance is kept; `protocols/jobmanager/development.py` ends it then."""
_GONE = ("shutting-down", "terminated")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class DevInstance:
    """One development instance."""

    instance: str
    analysis: str
    environment: str
    """What the blueprint named when it was launched, or the AMI's id."""
    instance_type: str
    state: str
    owner: str
    """ARN of who launched it."""
    image_id: str
    launched: datetime
    """When it last came up."""
    expires: datetime
    at_expiry: str
    volume_gib: int

    @property
    def is_running(self) -> bool:
        """Whether it computes."""
        return self.state == "running"

    @property
    def ends(self) -> datetime:
        """When nothing of it will be left unless somebody extends it."""
        return self.expires + (KEPT_STOPPED if self.state == "stopped" or self.at_expiry == "stop" else timedelta())

    def document(self, now: datetime) -> dict[str, object]:
        """For JSON."""
        return {
            "instanceId": self.instance,
            "analysis": self.analysis,
            "environment": self.environment,
            "instanceType": self.instance_type,
            "state": self.state,
            "owner": self.owner,
            "imageId": self.image_id,
            "launched": time_text(self.launched),
            "ageSeconds": int((now - self.launched).total_seconds()),
            "expires": time_text(self.expires),
            "atExpiry": self.at_expiry,
            "volumeGib": self.volume_gib,
        }


def time_text(moment: datetime) -> str:
    """A moment as tags and JSON have it."""
    return moment.astimezone(UTC).strftime(_TIME)


def parse_time(text: str) -> datetime:
    """The moment a tag tells. Raises ValueError."""
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def list_instances(gateway: Gateway) -> tuple[DevInstance, ...]:
    """Every development instance of the region that is not terminated, the latest first."""
    client = gateway.session.client("ec2")
    with gateway.session.translated("development instances"):
        filters = [{"Name": f"tag:{names.DEVELOPMENT_TAG}", "Values": [ON]}]
        pages = client.get_paginator("describe_instances").paginate(Filters=filters)
        items = [item for page in pages for group in page["Reservations"] for item in group["Instances"]]
        living = [item for item in items if item["State"]["Name"] not in _GONE]
        sizes = _volume_sizes(client, living)
    found = [_read(item, sizes.get(str(item["InstanceId"]), 0)) for item in living]
    return tuple(sorted(found, key=lambda it: it.launched, reverse=True))


def find_instance(gateway: Gateway, named: str | None) -> DevInstance:
    """The instance of an id, the only one of an analysis, or the only one.

    Raises NotFoundError, and UsageError if several could be meant.
    """
    known = list_instances(gateway)
    found = [it for it in known if named in (None, it.instance, it.analysis)]
    if not found:
        raise NotFoundError(
            "there is no development instance" + (f" {named!r}" if named else ""),
            where=gateway.target.name,
            hint="See `ncap instance list`; launch one with `ncap instance launch NAME`.",
        )
    if len(found) > 1:
        raise UsageError(
            f"there are {len(found)} development instances"
            + (f" of {named}" if named else "")
            + f": {', '.join(it.instance for it in found)}",
            where=gateway.target.name,
            hint="Name one by its id.",
        )
    return found[0]


def _volume_sizes(client: Any, items: list[Mapping[str, Any]]) -> dict[str, int]:
    """GiB of all disks, by instance."""
    ids = [str(item["InstanceId"]) for item in items]
    if not ids:
        return {}
    pages = client.get_paginator("describe_volumes").paginate(
        Filters=[{"Name": "attachment.instance-id", "Values": ids}]
    )
    sizes: dict[str, int] = {}
    for instance, size in _attached(pages):
        sizes[instance] = sizes.get(instance, 0) + size
    return sizes


def _attached(pages: Any) -> Iterator[tuple[str, int]]:
    for page in pages:
        for volume in page["Volumes"]:
            for attachment in volume.get("Attachments", ()):
                yield str(attachment["InstanceId"]), int(volume["Size"])


def _read(item: Mapping[str, Any], volume_gib: int) -> DevInstance:
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in item.get("Tags", ())}
    launched: datetime = item["LaunchTime"]
    try:
        expires = parse_time(tags[names.EXPIRES_TAG])
    except (KeyError, ValueError):
        expires = launched  # somebody took the tag away: the sweeper ends such an instance at once
    return DevInstance(
        instance=str(item["InstanceId"]),
        analysis=tags.get("analysis", ""),
        environment=tags.get(names.SAVED_FROM_TAG, str(item["ImageId"])),
        instance_type=str(item["InstanceType"]),
        state=str(item["State"]["Name"]),
        owner=tags.get(names.OWNER_TAG, ""),
        image_id=str(item["ImageId"]),
        launched=launched.astimezone(UTC),
        expires=expires,
        at_expiry=tags.get(names.AT_EXPIRY_TAG, "terminate"),
        volume_gib=volume_gib,
    )
