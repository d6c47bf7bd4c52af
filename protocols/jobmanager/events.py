"""What starts the functions, as small values: S3, EC2 and resume events. Decodes keys; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

INTERRUPTION_WARNING = "EC2 Spot Instance Interruption Warning"
WARNED = "interruption-warned"
"""Stands for a state of its own: the instance runs on, and AWS takes it back within two minutes."""


@dataclass(frozen=True)
class SubmissionEvent:
    """One object that arrived: the identity of a submission is (bucket, key, version)."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    time: str

    @property
    def identity(self) -> str:
        """What tells two submissions apart: the object's version, or its ETag in a bucket without versions."""
        return self.version_id or self.etag

    @property
    def group(self) -> str | None:
        """The submitting group, or None when the key is none the job manager acts on (contract section 2)."""
        parts = self.key.split("/", 2)
        if len(parts) < 3 or not parts[0] or parts[1] != "submissions" or not self.key.endswith("submit.json"):
            return None
        return parts[0]


@dataclass(frozen=True)
class ResumeEvent:
    """The monitor or the sweeper asks to go on with a job."""

    bucket: str
    group: str
    job: str


@dataclass(frozen=True)
class InstanceEvent:
    """An instance changed state; may come twice, late, in any order, or never."""

    instance: str
    state: str
    time: str


def submission_events(event: Mapping[str, Any]) -> tuple[SubmissionEvent, ...]:
    """The objects an S3 notification tells of; a test event of S3, or anything else, tells of none."""
    found = []
    for record in event.get("Records") or ():
        if record.get("eventSource") != "aws:s3" or not str(record.get("eventName", "")).startswith("ObjectCreated"):
            continue
        s3, version = record["s3"], record["s3"]["object"].get("versionId")
        found.append(
            SubmissionEvent(
                bucket=s3["bucket"]["name"],
                key=unquote_plus(s3["object"]["key"]),
                version_id=version if version and version != "null" else None,
                etag=str(s3["object"].get("eTag", "")).strip('"'),
                size=int(s3["object"].get("size", 0)),
                time=record["eventTime"],
            )
        )
    return tuple(found)


def resume_event(event: Mapping[str, Any]) -> ResumeEvent | None:
    """The job to go on with, when the event is `{"resume": {"bucket", "group", "job"}}`."""
    wanted = event.get("resume")
    if not isinstance(wanted, Mapping):
        return None
    return ResumeEvent(str(wanted["bucket"]), str(wanted["group"]), str(wanted["job"]))


def instance_event(event: Mapping[str, Any]) -> InstanceEvent | None:
    """The change an EC2 notification tells of, of a state or to come; None for any other event."""
    detail = event.get("detail")
    if event.get("source") != "aws.ec2" or not isinstance(detail, Mapping) or "instance-id" not in detail:
        return None
    warns = event.get("detail-type") == INTERRUPTION_WARNING
    state = WARNED if warns else str(detail.get("state", ""))
    return InstanceEvent(str(detail["instance-id"]), state, str(event["time"]))
