"""Several analyses on one fake account: a first one, and those that follow its jobs. Events of S3 come when told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote_plus

import submit_start
from jobmanager.aws import Gateway
from jobmanager.grouproles import GroupRoles
from jobmanager.rows import AttemptRow, EdgeRow, JobRow, value_of
from jobmanager.services import Services
from tests.fakes.aws_session import FakeSession
from tests.fakes.memory import MemoryAws
from tests.fakes.platform import BUCKET, GROUP, TABLE, FakeClock, FakePlatform, event_file, version_document

CONSENSUS, LOCANMF = "ensemble-consensus", "locanmf"
"""The analyses that follow: one gathers, one is chained."""
SCATTER: dict[str, Any] = {"type": "scatter", "copies": 3, "parameter": "seed"}
GATHER: dict[str, Any] = {
    "type": "gather",
    "analysis": CONSENSUS,
    "bucket": CONSENSUS,
    "files": ["*.out"],
    "config": {"beta": 12},
    "atLeast": None,
    "when": "always",
}
CHAIN: dict[str, Any] = {
    "type": "chain",
    "analysis": LOCANMF,
    "bucket": LOCANMF,
    "files": [],
    "config": {"maxrank": 3},
    "atLeast": None,
    "when": "always",
}
SEEDED: dict[str, Any] = {
    "type": "object",
    "properties": {"latents": {"type": "integer", "minimum": 1}, "seed": {"type": "integer", "maximum": 20_000}},
    "required": ["latents"],
    "additionalProperties": False,
}
_SCHEMAS: dict[str, Any] = {
    CONSENSUS: {"type": "object", "properties": {"beta": {"type": "number"}}, "additionalProperties": False},
    LOCANMF: {"type": "object", "properties": {"maxrank": {"type": "integer"}}, "additionalProperties": False},
}
Event = dict[str, Any]


class OwnEyes(GroupRoles):
    """The group's role sees what the job manager sees: who may read what is no subject here."""

    def __init__(self, gateway: Gateway) -> None:
        self._own = gateway

    def gateway(self, group: str) -> Gateway:
        return self._own


class SeeingPlatform(FakePlatform):
    """A platform whose job managers may look at other buckets."""

    def fresh_services(self) -> Services:
        services = super().fresh_services()
        return replace(services, roles=OwnEyes(services.gateway))


@dataclass
class Analyses:
    """The platform's analyses, each with its bucket."""

    aws: MemoryAws = field(default_factory=MemoryAws)

    def __post_init__(self) -> None:
        clock = FakeClock()
        self.aws.tables.create_table(TableName=TABLE)
        session = FakeSession(clock, self.aws.client)
        self.platform: FakePlatform = SeeingPlatform(clock, session, "ami-0123456789abcdef0")
        self.platform.deploy()
        for number, name in enumerate((CONSENSUS, LOCANMF), 1):
            self.serve(name, f"v-{number:016x}", parametersSchema=_SCHEMAS[name])

    @property
    def s3(self) -> Any:
        return self.platform.session.backend("s3")

    def serve(self, name: str, version_id: str, **changes: Any) -> None:
        """Deploy a version of an analysis that follows."""
        document = version_document(
            imageId=self.platform.image,
            versionId=version_id,
            analysis=name,
            bucket=name,
            launchTemplate=f"neurocaas-{name}",
            **changes,
        )
        self.s3.put_object(Bucket=name, Key=f"versions/{version_id}.json", Body=json.dumps(document).encode())
        self.platform.session.backend("ssm").put_parameter(
            Name=f"/neurocaas/versions/{name}", Value=version_id, Type="String", Overwrite=True
        )

    def deploy(self, *steps: Mapping[str, Any], **changes: Any) -> None:
        """Deploy the first analysis with these steps."""
        self.platform.deploy(**{"steps": list(steps), "parametersSchema": SEEDED} | changes)

    def upload(self, *names: str, config: Mapping[str, Any] | None = None) -> None:
        """Datasets and the config of the first job."""
        self.platform.upload(names or ("x.csv",), config or {"latents": 3})

    def submission(self, **fields: Any) -> Event:
        """A submission to the first analysis; its event, not delivered."""
        key = f"{GROUP}/submissions/first{fields.get('timestamp', '1')}_submit.json"
        return self.platform.submission(key=key, **fields)

    def submit(self, **fields: Any) -> None:
        """A submission to the first analysis that arrives."""
        self.platform.deliver(self.submission(**fields))

    # What S3 and Lambda do

    def pending(self) -> list[tuple[str, Event]]:
        """The submissions in the buckets of following analyses whose events were not delivered yet."""
        found = []
        for bucket in (CONSENSUS, LOCANMF):
            if bucket in self.aws.objects.gone:
                continue
            for item in self.s3.list_object_versions(Bucket=bucket)["Versions"]:
                if item["Key"].endswith("submit.json"):
                    found.append((bucket, self.event(bucket, item["Key"], item["VersionId"])))
        return found

    def event(self, bucket: str, key: str, version: str) -> Event:
        """The event of an object in a bucket."""
        event = event_file("s3_submission")
        s3 = event["Records"][0]["s3"]
        s3["bucket"]["name"] = bucket
        s3["object"] |= {"key": quote_plus(key, safe="/"), "versionId": version}
        return event

    def deliver(self, bucket: str, event: Mapping[str, Any]) -> None:
        """Start the submit function of an analysis."""
        served = self.platform.services.gateway.parameters([f"/neurocaas/versions/{bucket}"])
        version = served.get(f"/neurocaas/versions/{bucket}", "")
        submit_start.run(event, self.platform.services, version_id=version, function=f"neurocaas-submit-{bucket}")

    def deliver_pending(self) -> None:
        """Deliver every submission of a following analysis; those that came before come again."""
        for bucket, event in self.pending():
            self.deliver(bucket, event)

    def resume_all(self) -> None:
        """Deliver what the functions asked of submit functions."""
        asked, self.platform.session.invoked = self.platform.session.invoked, []
        for call in asked:
            event = json.loads(call["Payload"])
            bucket = event["resume"]["bucket"]
            if bucket == BUCKET:
                self.platform.deliver(event)
            else:
                self.deliver(bucket, event)

    # What instances do

    def tags(self, instance: str) -> dict[str, str]:
        """The tags of an instance."""
        described = self.platform.session.backend("ec2").describe_instances(InstanceIds=[instance])
        return {tag["Key"]: tag["Value"] for tag in described["Reservations"][0]["Instances"][0]["Tags"]}

    def manifest(self, instance: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The launch manifest of an instance, and its own entry."""
        described = self.platform.session.backend("ec2").describe_instances(InstanceIds=[instance])
        item = described["Reservations"][0]["Instances"][0]
        tags = self.tags(instance)
        key = f"{tags['group']}/jobs/{tags['job']}/launch-{tags['launch']}.json"
        manifest: dict[str, Any] = json.loads(self.text(tags["analysis"], key))
        return manifest, manifest["attempts"][item["AmiLaunchIndex"]]

    def finish(self, instance: str, **fields: Any) -> None:
        """The instance reports, with success writes a result, and ends. No event yet."""
        manifest, own = self.manifest(instance)
        bucket, prefix = manifest["bucket"], manifest["resultPrefix"]
        status = {"instance": instance, "status": "SUCCESS", "reason": 0, "std": {}, "failure": None} | fields
        self.put(bucket, f"{prefix}/logs/DATASET_NAME:{own['label']}_STATUS.txt", status)
        if status["status"] == "SUCCESS":
            folder = f"{own['folder']}/" if own.get("folder") else ""
            self.put(bucket, f"{prefix}/process_results/{folder}{own['label']}.out", own)
            self.put(bucket, f"{prefix}/process_results/update.txt", {})
        self.platform.vanish(instance)

    def tell_all(self) -> None:
        """Deliver the end of every instance that is gone."""
        living = set(self.platform.living())
        for instance in self.platform.instances:
            if instance not in living:
                self.platform.change(instance, "terminated")

    def put(self, bucket: str, key: str, body: Any) -> str:
        """An object appears in a bucket; its version."""
        return str(self.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode())["VersionId"])

    def work(self, *failing: str) -> None:
        """All living instances do their work, those with these labels badly, and the events of their ends come."""
        for instance in self.platform.living():
            label = self.manifest(instance)[1]["label"]
            self.finish(instance, **({"status": "FAILED", "reason": 1} if label in failing else {}))
        self.tell_all()

    def run_to_the_end(self, *, rounds: int = 40) -> None:
        """Events and sweeps come and instances work until nothing is open."""
        for _ in range(rounds):
            self.work()
            self.resume_all()
            self.deliver_pending()
            self.platform.sweep(minutes=2)
            if not self.platform.living() and not any("open_pk" in row for row in self.platform.rows("")):
                return
        left = [row for row in self.platform.rows("") if "open_pk" in row]
        raise AssertionError(f"the platform does not come to rest: {self.platform.living()} {left}")

    # What can be seen

    def text(self, bucket: str, key: str) -> str:
        """An object as text."""
        return str(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())

    def end(self, bucket: str, job: str) -> str:
        """The end marker of a job."""
        return self.text(bucket, f"{GROUP}/results/{job}/process_results/end.txt")

    def certificate(self, bucket: str, job: str) -> str:
        """The certificate of a job."""
        return self.text(bucket, f"{GROUP}/results/{job}/logs/certificate.txt")

    def has_ended(self, bucket: str, job: str) -> bool:
        """Whether a job has its end marker."""
        key = f"{GROUP}/results/{job}/process_results/end.txt"
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ())
        return any(item["Key"] == key for item in found)

    def jobs(self, bucket: str | None = None) -> list[JobRow]:
        """All jobs, or those of one analysis."""
        rows = [value_of(JobRow, row) for row in self.platform.rows("JOB#") if row["sk"] == "JOB"]
        return [row for row in rows if bucket in (None, row.bucket)]

    def edges(self) -> list[EdgeRow]:
        """All edges."""
        return [value_of(EdgeRow, row) for row in self.platform.rows("JOB#") if str(row["sk"]).startswith("EDGE#")]

    def attempts(self, job: JobRow) -> list[AttemptRow]:
        """The attempts of a job."""
        rows = self.platform.rows(job.paths.ledger_key)
        return [value_of(AttemptRow, row) for row in rows if str(row["sk"]).startswith("ATTEMPT#")]

    def submissions(self, bucket: str) -> list[dict[str, Any]]:
        """The submissions written to an analysis, in order."""
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=f"{GROUP}/submissions/").get("Contents", ())
        return [json.loads(self.text(bucket, item["Key"])) for item in found]
