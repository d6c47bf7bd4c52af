"""One deployed analysis on the fake AWS, and what users, instances and EventBridge do to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from moto import mock_aws

import instance_monitor
import submit_start
from jobmanager.aws import Gateway
from jobmanager.expressions import from_item
from jobmanager.pricing import PricePlace
from jobmanager.services import Services, make_services
from jobmanager.sweeping import sweep
from tests.fakes.aws_session import FakeSession, real_client
from tests.fakes.memory import MemoryAws

BUCKET, GROUP, TABLE = "kalman-lds", "demo", "neurocaas-ledger"
VERSION_ID, FUNCTION = "v-0123456789abcdef", "neurocaas-submit-kalman-lds"
TOPIC = "arn:aws:sns:us-east-1:123456789012:neurocaas-notifications"
EVENTS = Path(__file__).parents[1] / "events"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "latents": {"type": "integer", "minimum": 1, "maximum": 20},
        "method": {"enum": ["em", "subspace"]},
    },
    "required": ["latents"],
    "additionalProperties": False,
}


def event_file(name: str) -> dict[str, Any]:
    """An event as AWS sends it."""
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    return found


@dataclass
class FakeClock:
    """A clock that stands still until it is told to go."""

    moment: datetime = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)

    @property
    def text(self) -> str:
        return self.moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def version_document(**changes: Any) -> dict[str, Any]:
    """A version document; `imageId` is filled in by the platform."""
    return {
        "schemaVersion": 1,
        "versionId": VERSION_ID,
        "analysis": BUCKET,
        "bucket": BUCKET,
        "title": "Kalman smoother",
        "commit": None,
        "environment": "iae:kalman-lds@sha256:" + "0" * 64,
        "launchTemplate": "neurocaas-kalman-lds",
        "command": None,
        "workingDirectory": None,
        "bundle": "0" * 64,
        "instanceTypes": ["m7i.large", "m6i.large"],
        "allowedInstanceTypes": ["m7i.xlarge"],
        "maxDurationMinutes": 60,
        "maxDatasetSizeGb": 10,
        "volumeGib": 20,
        "deployLimit": 1000,
        "maxCostUsd": "300",
        "groups": [GROUP, "lab2"],
        "parametersSchema": SCHEMA,
    } | changes


@dataclass
class FakePlatform:
    """The analysis, its clock and its session."""

    clock: FakeClock
    session: FakeSession
    image: str
    subnets: tuple[str, ...] = ()
    price_place: PricePlace | None = None

    def __post_init__(self) -> None:
        self.services = self.fresh_services()

    def fresh_services(self) -> Services:
        """Services of a process that has just started."""
        gateway = Gateway(self.session, sleep=lambda _: None)
        return make_services(TABLE, topic=TOPIC, gateway=gateway, clock=self.clock, price_place=self.price_place)

    # What a member does

    def put(self, key: str, body: bytes | str | Mapping[str, Any] = b"1,2\n") -> str:
        """Upload an object; its version."""
        raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        return str(self.session.backend("s3").put_object(Bucket=BUCKET, Key=key, Body=raw)["VersionId"])

    def deploy(self, **changes: Any) -> None:
        """Deploy a version document."""
        document = version_document(imageId=self.image) | changes
        self.put(f"versions/{document['versionId']}.json", document)
        self.services = self.fresh_services()

    def upload(self, datasets: Sequence[str] = ("x.csv",), config: Mapping[str, Any] | None = None) -> list[str]:
        """Datasets and the config `demo/configs/c.json`; the datasets' keys."""
        self.put(f"{GROUP}/configs/c.json", config or {"latents": 3})
        keys = [f"{GROUP}/inputs/{name}" for name in datasets]
        for key in keys:
            self.put(key)
        return keys

    def event_for(self, key: str, version: str) -> dict[str, Any]:
        """The event S3 sends for an object."""
        event = event_file("s3_submission")
        described = event["Records"][0]["s3"]["object"]
        described["key"] = quote_plus(key, safe="/")
        described["versionId"] = version
        return event

    def submission(self, *, key: str = f"{GROUP}/submissions/submit.json", **fields: Any) -> dict[str, Any]:
        """Upload a submission of `x.csv` with `c.json`, with other fields as given; its event."""
        document = {"dataname": f"{GROUP}/inputs/x.csv", "configname": f"{GROUP}/configs/c.json", "timestamp": "1"}
        return self.event_for(key, self.put(key, document | fields))

    def deliver(self, event: Mapping[str, Any]) -> None:
        """Start the submit function."""
        submit_start.run(event, self.services, version_id=VERSION_ID, function=FUNCTION, subnets=self.subnets)

    def submit(self, **fields: Any) -> None:
        """A submission that arrives."""
        self.deliver(self.submission(**fields))

    # What instances and AWS do

    @property
    def instances(self) -> list[str]:
        """Every instance ever launched, in order."""
        return list(self.session.launch_times)

    def living(self) -> list[str]:
        """Instances that are not terminated."""
        found = self.session.backend("ec2").describe_instances()
        return [
            item["InstanceId"]
            for group in found["Reservations"]
            for item in group["Instances"]
            if item["State"]["Name"] != "terminated"
        ]

    def change(self, instance: str, state: str) -> None:
        """The event that an instance changed state arrives."""
        event = event_file("ec2_running") | {"time": self.clock.text}
        event["detail"] = {"instance-id": instance, "state": state}
        instance_monitor.run(event, self.services)

    def warn(self, instance: str) -> None:
        """The warning that AWS takes an instance back arrives."""
        event = event_file("ec2_running") | {"time": self.clock.text}
        event["detail-type"] = "EC2 Spot Instance Interruption Warning"
        event["detail"] = {"instance-id": instance, "instance-action": "terminate"}
        instance_monitor.run(event, self.services)

    def take_back(self, instance: str) -> None:
        """AWS ends a spot instance; no event yet."""
        self.session.taken_back.add(instance)
        self.vanish(instance)

    def report(self, instance: str, *, job: str, label: str = "x.csv", group: str = GROUP, **fields: Any) -> None:
        """The instance writes its STATUS object."""
        status = {
            "instance": instance,
            "command": "workflow.py",
            "input": f"{group}/inputs/{label}",
            "status": "SUCCESS",
            "reason": 0,
            "memory_usage": "812 MB",
            "cpu_usage": "97.5 %",
            "std": {"0": "loading\n", "1": "done\n"},
            "failure": None,
            "message": None,
        } | fields
        self.put(f"{group}/results/{job}/logs/DATASET_NAME:{label}_STATUS.txt", status)

    def vanish(self, instance: str) -> None:
        """The instance ends by itself; no event yet."""
        self.session.backend("ec2").terminate_instances(InstanceIds=[instance])
        self.session.end_times.setdefault(instance, self.clock())

    def end(self, instance: str, **report: Any) -> None:
        """The instance reports, ends, and the event arrives."""
        if report:
            self.report(instance, **report)
        self.vanish(instance)
        self.change(instance, "shutting-down")

    def sweep(self, *, minutes: float = 0) -> None:
        """Time passes and the sweeper runs."""
        self.clock.advance(minutes=minutes)
        sweep(self.services)

    def resume_all(self) -> int:
        """Deliver what the functions asked of the submit function."""
        asked, self.session.invoked = self.session.invoked, []
        for call in asked:
            self.deliver(json.loads(call["Payload"]))
        return len(asked)

    # What can be seen

    def stored(self, prefix: str = "") -> list[str]:
        """The keys in the bucket."""
        found = self.session.backend("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", ())]

    def all_keys(self) -> list[str]:
        """Every key in the bucket."""
        found: list[str] = []
        while True:
            after = found[-1] if found else ""
            page = self.session.backend("s3").list_objects_v2(Bucket=BUCKET, StartAfter=after)
            found += [item["Key"] for item in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return found

    def text(self, key: str) -> str:
        """An object as text."""
        return str(self.session.backend("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())

    def result(self, job: str, name: str, group: str = GROUP) -> str:
        """`certificate` or `end` of a job."""
        place = {"certificate": "logs/certificate.txt", "end": "process_results/end.txt"}[name]
        return self.text(f"{group}/results/{job}/{place}")

    def end_markers(self) -> list[str]:
        """The end markers there are, a version each: written twice counts twice."""
        found = self.session.backend("s3").list_object_versions(Bucket=BUCKET)
        return [it["Key"] for it in found.get("Versions", ()) if it["Key"].endswith("/end.txt")]

    def rows(self, prefix: str) -> list[dict[str, Any]]:
        """Ledger rows whose partition begins so."""
        items: list[Any] = []
        start: dict[str, Any] = {}
        while True:
            page = self.session.backend("dynamodb").scan(TableName=TABLE, **start)
            items += page["Items"]
            if not page.get("LastEvaluatedKey"):
                return [row for row in map(from_item, items) if str(row["pk"]).startswith(prefix)]
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def budget(self, group: str = GROUP, analysis: str = BUCKET) -> tuple[int, int]:
        """Micro-dollars committed and spent; for the analysis `total`, on all of them."""
        row = next(iter(self.rows(f"BUDGET#{group}#{analysis}")), {})
        return int(row.get("committed_micro", 0)), int(row.get("spent_micro", 0))

    def in_flight(self) -> int:
        """The ledger's count of instances."""
        return int(next(iter(self.rows("FLIGHT#")), {}).get("in_flight", 0))

    def set_budget(self, usd: str, group: str = GROUP, analysis: str = BUCKET) -> None:
        """An operator sets a budget; for the analysis `total`, that over all of them."""
        name = f"/neurocaas/budgets/{group}/{analysis}"
        self.session.backend("ssm").put_parameter(Name=name, Value=usd, Type="String", Overwrite=True)


@contextmanager
def deployed_platform() -> Iterator[FakePlatform]:
    """A fresh account with the analysis deployed."""
    with mock_aws():
        dynamodb, ec2, iam = (real_client(name) for name in ("dynamodb", "ec2", "iam"))
        names = ("pk", "sk", "open_pk", "deadline")
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "open",
                    "KeySchema": [
                        {"AttributeName": "open_pk", "KeyType": "HASH"},
                        {"AttributeName": "deadline", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        real_client("s3").create_bucket(Bucket=BUCKET)
        real_client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for group in (GROUP, "lab2"):
            iam.create_instance_profile(InstanceProfileName=f"neurocaas-instance-{group}")
        image = ec2.register_image(Name="environment", RootDeviceName="/dev/xvda")["ImageId"]
        ec2.create_launch_template(LaunchTemplateName="neurocaas-kalman-lds", LaunchTemplateData={"ImageId": image})
        clock = FakeClock()
        platform = FakePlatform(clock, FakeSession(clock), image)
        platform.deploy()
        platform.session.calls.clear()
        yield platform


def memory_platform(aws: MemoryAws | None = None) -> FakePlatform:
    """The same on AWS in memory: hundreds of times faster, and nothing to tidy up."""
    aws, clock = aws or MemoryAws(), FakeClock()
    aws.tables.create_table(TableName=TABLE)
    platform = FakePlatform(clock, FakeSession(clock, aws.client), "ami-0123456789abcdef0")
    platform.deploy()
    platform.session.calls.clear()
    return platform
