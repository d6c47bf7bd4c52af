"""A launch as values: its manifest, user data, client token and RunInstances arguments, and what a refusal means.

Every argument is a function of ledger rows and the version document, so that a repeated event repeats the same call.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from jobmanager.addresses import parse_address
from jobmanager.answers import Job
from jobmanager.errors import NO_ANSWER
from jobmanager.observed import Instance
from jobmanager.rows import AttemptRow, InstanceRow, JobRow, LaunchRow
from jobmanager.spot import MARKET_OPTIONS, runs_on_spot
from jobmanager.times import later
from jobmanager.version import Version
from jobmanager.widefield import LAST_RESULTS

MAX_INSTANCES = 100
"""Instances of one launch: AWS advises several calls of 100 rather than one of 500."""
DEAD_MAN_MINUTES = 15
"""Added to a dataset's limit before the machine ends itself: fetching data and uploading results take time."""
GRACE_MINUTES = 5
"""How long after that the sweeper ends it."""


class Refused(Enum):
    """What a refused launch means."""

    CAPACITY = "capacity"
    NO_SPOT = "no spot"
    QUOTA = "quota"
    REPEATED = "repeated"
    AGAIN = "again"
    NEVER = "never"


_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "Unsupported",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
    }
)
_NO_SPOT = frozenset({"MaxSpotInstanceCountExceeded", "AuthFailure.ServiceLinkedRoleCreationNotPermitted"})
_QUOTA = frozenset({"VcpuLimitExceeded", "InstanceLimitExceeded", "VolumeLimitExceeded", "PendingVerification"})
_AGAIN = frozenset(
    {
        NO_ANSWER,
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "ServiceUnavailable",
        "Unavailable",
        "RequestTimeout",
        "RequestExpired",
        "ServerInternal",
        "500",
        "502",
        "503",
    }
)


def classify_refusal(code: str) -> Refused:
    """What to do about an error code of RunInstances."""
    if code in _CAPACITY:
        return Refused.CAPACITY
    if code in _NO_SPOT:
        return Refused.NO_SPOT
    if code in _QUOTA:
        return Refused.QUOTA
    if code == "IdempotentParameterMismatch":
        return Refused.REPEATED
    return Refused.AGAIN if code in _AGAIN else Refused.NEVER


def plan_launch(job: Job, *, room: int, now: str, subnets: tuple[str, ...] = ()) -> LaunchRow | None:
    """The next launch of a job: queued attempts of one time limit and market, at most `room`; None without any.

    Jobs begin in different subnets, and each further launch of a job in the next one.
    """
    queue = job.queue
    if not queue:
        return None
    minutes, spot = queue[0].minutes, runs_on_spot(job.row, queue[0])
    alike = [it for it in queue if it.minutes == minutes and runs_on_spot(job.row, it) == spot]
    taken = alike[: min(room, MAX_INSTANCES)]
    if not taken:
        return None
    number = max((launch.number for launch in job.launches), default=0) + 1
    start = (zlib.crc32(job.row.key[0].encode()) + number) % len(subnets) if subnets else 0
    names = tuple(attempt.sort_key for attempt in taken)
    return LaunchRow(number, names, minutes, now, subnets=subnets[start:] + subnets[:start], spot=spot)


def after_refusal(launch: LaunchRow, refused: Refused, *, types: int) -> LaunchRow | None:
    """Where a refused launch goes on at once, or None.

    A spot launch that is refused for any reason but a busy AWS goes on demand: the job must not suffer from being
    cheap. Where on-demand instances are refused as well, that refusal tells what to do.
    """
    if refused is Refused.CAPACITY:
        return next_place(launch, types=types)
    if launch.spot and refused in (Refused.NO_SPOT, Refused.QUOTA, Refused.NEVER):
        return _on_demand(launch)
    return None


def _on_demand(launch: LaunchRow) -> LaunchRow:
    return replace(launch, spot=False, type_index=0, subnet_index=0)


def next_place(launch: LaunchRow, *, types: int) -> LaunchRow | None:
    """The launch in the next subnet, then with the next of so many types, on spot all of them before on demand.

    None when it has been everywhere.
    """
    if launch.subnet_index + 1 < len(launch.subnets):
        return replace(launch, subnet_index=launch.subnet_index + 1)
    if launch.type_index + 1 < types:
        return replace(launch, type_index=launch.type_index + 1, subnet_index=0)
    return _on_demand(launch) if launch.spot else None


def render_manifest(job: JobRow, launch: LaunchRow, attempts: Sequence[AttemptRow], version: Version) -> bytes:
    """The launch manifest (contract section 4)."""
    document = {
        "schemaVersion": 1,
        "bucket": job.bucket,
        "group": job.group,
        "job": job.job,
        "resultPrefix": job.paths.result_prefix,
        "versionId": job.version_id,
        "environment": version.environment,
        "command": version.command,
        "workingDirectory": version.working_directory,
        "config": {"key": job.config_key, "etag": job.config_etag} | _in_bucket(job.config_bucket),
        "durationMinutes": launch.minutes,
        "attempts": [_entry(it) for it in attempts],
    }
    if job.result_place:
        place = parse_address(job.result_place)
        document["resultAddress"] = {"bucket": place.bucket, "prefix": place.key}
    if job.protocol:
        document |= {"protocol": job.protocol, "last": list(LAST_RESULTS)}
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"


def _entry(attempt: AttemptRow) -> dict[str, Any]:
    """One attempt in the manifest."""
    entry: dict[str, Any] = {
        "index": attempt.index,
        "attempt": attempt.attempt,
        "dataset": attempt.dataset,
        "etag": attempt.etag,
        "label": attempt.label,
        **_in_bucket(attempt.data_bucket),
    }
    entry |= {"parts": attempt.parts} if attempt.parts else {}
    entry |= {"folder": attempt.folder} if attempt.folder else {}
    return entry | ({"scatter": json.loads(attempt.scatter)} if attempt.scatter else {})


def _in_bucket(bucket: str | None) -> dict[str, str]:
    """What the manifest says of an object outside the analysis's bucket."""
    return {} if bucket is None else {"bucket": bucket}


def render_user_data(job: JobRow, launch: LaunchRow) -> str:
    """What the machine runs when it starts: a dead-man timer, the tool with a pointer to the manifest, the end."""
    url = shlex.quote(f"s3://{job.bucket}/{job.paths.manifest(launch.number)}")
    return f"#!/bin/sh\nshutdown -h +{launch.minutes + DEAD_MAN_MINUTES}\nneurocaas-boot {url}\nshutdown -h now\n"


def client_token(job: JobRow, launch: LaunchRow) -> str:
    """The same for every repetition of one launch in one market, type and subnet, different for any other."""
    place = f"{launch.type_index}\0{launch.subnet_index}" if launch.subnets else f"{launch.type_index}"
    place += "\0spot" if launch.spot else ""
    return hashlib.sha256(f"{job.key[0]}\0{launch.number}\0{place}".encode()).hexdigest()


def launch_tags(job: JobRow, launch: LaunchRow) -> dict[str, str]:
    """The tags by which instances and volumes of a launch are found and billed."""
    return {
        "Name": job.job[:256],
        "PriceTracking": "On",
        "Timeout": str(launch.minutes),
        "group": job.group,
        "analysis": job.bucket,
        "job": job.job,
        "launch": str(launch.number),
        "neurocaas:stack": job.analysis,
    }


def run_arguments(
    job: JobRow, launch: LaunchRow, version: Version, *, volume_key: str | None = None
) -> Mapping[str, Any]:
    """The arguments of RunInstances (contract section 4)."""
    tags = [{"Key": name, "Value": value} for name, value in launch_tags(job, launch).items()]
    arguments: dict[str, Any] = {
        "ImageId": version.image_id,
        "InstanceType": job.types[launch.type_index],
        "MinCount": 1,
        "MaxCount": len(launch.attempts),
        "ClientToken": client_token(job, launch),
        "UserData": render_user_data(job, launch),
        "LaunchTemplate": {"LaunchTemplateName": version.launch_template, "Version": "$Latest"},
        "IamInstanceProfile": {"Name": f"neurocaas-instance-{job.group}"},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    }
    if launch.spot:
        arguments["InstanceMarketOptions"] = MARKET_OPTIONS
    if launch.subnets:
        arguments["SubnetId"] = launch.subnets[launch.subnet_index]
    # Always: the launch template holds the disk of the version deployed last, which need not be this job's.
    disk = {
        "VolumeSize": job.volume_gib + job.extra_gib,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    if volume_key:
        disk["KmsKeyId"] = volume_key
    arguments["BlockDeviceMappings"] = [{"DeviceName": version.root_device, "Ebs": disk}]
    return arguments


def instance_row(
    row: JobRow, launch: LaunchRow, attempt: AttemptRow, found: Instance, *, price_micro: int, more_queued: bool
) -> InstanceRow:
    """The row of a launched instance and the attempt it took."""
    return InstanceRow(
        instance=found.instance,
        bucket=row.bucket,
        group=row.group,
        job=row.job,
        analysis=row.analysis,
        submit_function=row.submit_function,
        index=attempt.index,
        attempt=attempt.attempt,
        dataset=attempt.dataset,
        etag=attempt.etag,
        data_bucket=attempt.data_bucket,
        parts=attempt.parts,
        folder=attempt.folder,
        scatter=attempt.scatter,
        label=attempt.label,
        config_key=row.config_key,
        instance_type=found.instance_type,
        price_micro=price_micro,
        ceiling_micro=row.price_micro,
        volume_gib=row.volume_gib + row.extra_gib,
        minutes=attempt.minutes,
        held_micro=attempt.held_micro,
        launch=launch.number,
        launch_index=found.launch_index,
        launched_at=found.launched_at,
        deadline=later(found.launched_at, minutes=attempt.minutes + DEAD_MAN_MINUTES + GRACE_MINUTES),
        is_only=row.dataset_count == 1,
        more_queued=more_queued,
        in_total=row.in_total,
        spot=found.is_spot,
        spot_losses=attempt.spot_losses,
        version_id=row.version_id,
    )
