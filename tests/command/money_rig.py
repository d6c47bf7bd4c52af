"""An analysis deployed in moto with the real job manager, seen by an operator through the command line."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS

from ncap_iac.cli import main
from tests.fakes.platform import BUCKET, GROUP, TABLE, VERSION_ID, FakePlatform, deployed_platform

ROOT = Path(__file__).resolve().parents[2]
WHERE = ("--aws", "--region", "us-east-1")
ACCOUNT = "123456789012"


@contextmanager
def two_stacks() -> Iterator[None]:
    """CloudFormation with the account's stack and the analysis's, for sessions made meanwhile.

    moto's own needs far more packages than this one call is worth.
    """
    version = {"ParameterKey": "VersionId", "ParameterValue": VERSION_ID}
    stacks: list[dict[str, Any]] = [{"StackName": BUCKET, "Parameters": [version]}, {"StackName": "neurocaas-account"}]
    missing = {"Code": "ValidationError", "Message": "the stack does not exist"}

    def answer(params: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        found = [it for it in stacks if params["body"].get("StackName") in (None, it["StackName"])]
        status = 200 if found else 400
        told: dict[str, Any] = {"Stacks": found} if found else {"Error": missing}
        return AWSResponse("", status, {}, None), {**told, "ResponseMetadata": {"HTTPStatusCode": status}}

    handler = ("before-call.cloudformation.DescribeStacks", answer)
    BUILTIN_HANDLERS.append(handler)
    try:
        yield
    finally:
        BUILTIN_HANDLERS.remove(handler)


@contextmanager
def a_member() -> Iterator[None]:
    """A member's rights, for sessions made meanwhile: no ledger, parameters, stacks, versions, logs."""
    denied = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refuse(**_: object) -> tuple[AWSResponse, dict[str, Any]]:
        return AWSResponse("", 403, {}, None), denied

    def refuse_outside(params: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]] | None:
        asked = str(params["query_string"].get("prefix", "")) or str(params["url_path"]).removeprefix(f"/{BUCKET}/")
        return None if asked.startswith(f"{GROUP}/") else refuse()

    closed = ("cloudformation.DescribeStacks", "ssm", "dynamodb", "s3.HeadBucket")
    handlers: list[tuple[str, Any]] = [(f"before-call.{name}", refuse) for name in closed]
    handlers += [(f"before-call.s3.{name}", refuse_outside) for name in ("ListObjectsV2", "GetObject")]
    BUILTIN_HANDLERS[:0] = handlers
    try:
        yield
    finally:
        for handler in handlers:
            BUILTIN_HANDLERS.remove(handler)


@dataclass
class Money:
    """The platform, and commands about it."""

    platform: FakePlatform
    capsys: pytest.CaptureFixture[str]
    folder: Path

    def ncap(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run a command; its JSON, or that of its error."""
        self.capsys.readouterr()
        ended = main([*words, *WHERE, "--output", "json"])
        shown = self.capsys.readouterr()
        assert ended == code, shown.out + shown.err
        found: dict[str, Any] = json.loads(shown.out or shown.err)
        return found

    def table(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Run a command as a person reads it: what it answers, and its talk."""
        self.capsys.readouterr()
        assert main([*words, *WHERE, "--no-color"]) == code
        shown = self.capsys.readouterr()
        return shown.out, shown.err

    def budget(self, usd: str, *, group: str = GROUP, analysis: str = BUCKET, stack: str = "") -> None:
        """A budget parameter, of a users stack if one is named."""
        tags = [{"Key": "neurocaas:stack", "Value": stack}] if stack else []
        ssm = boto3.client("ssm", region_name="us-east-1")
        ssm.put_parameter(Name=f"/neurocaas/budgets/{group}/{analysis}", Value=usd, Type="String", Tags=tags)

    def parameter(self, analysis: str = BUCKET, group: str = GROUP) -> str | None:
        """A budget parameter's value."""
        ssm = boto3.client("ssm", region_name="us-east-1")
        found = ssm.get_parameters(Names=[f"/neurocaas/budgets/{group}/{analysis}"])["Parameters"]
        return str(found[0]["Value"]) if found else None

    def count(self, *, committed: int, spent: int, analysis: str = BUCKET, group: str = GROUP) -> None:
        """Money in the ledger, in micro-dollars."""
        row = {"pk": f"BUDGET#{group}#{analysis}", "sk": "BUDGET", "committed_micro": committed, "spent_micro": spent}
        boto3.resource("dynamodb", region_name="us-east-1").Table(TABLE).put_item(Item=row)

    def committed(self, analysis: str = BUCKET, group: str = GROUP) -> int:
        """What the ledger counts."""
        return self.platform.services.ledger.committed(group, analysis)

    def record(self, name: str, *, folder: str = GROUP, bucket: str = BUCKET, **fields: Any) -> None:
        """A usage record."""
        document = {
            "instance-id": name,
            "instance-type": "m7i.large",
            "spot": False,
            "price": 0.1008,
            "databucket": bucket,
            "datapath": f"{GROUP}/inputs/{name}.csv",
            "configpath": f"{GROUP}/configs/c.json",
            "jobpath": f"{GROUP}/results/job__{bucket}_1",
            "start": "2026-11-20T10:00:00Z",
            "end": "2026-11-20T12:00:00Z",
            "group": folder if folder != "active" else GROUP,
            "attempt": 1,
            "cost": 0.21,
            "outcome": "SUCCEEDED",
        } | fields
        self.put(f"logs/{folder}/{name}.json", json.dumps(document), bucket=bucket)

    def put(self, key: str, body: str | bytes, *, bucket: str = BUCKET) -> None:
        """An object."""
        boto3.client("s3", region_name="us-east-1").put_object(Bucket=bucket, Key=key, Body=body)

    def file(self, name: str, text: str) -> Path:
        """A file of the user's."""
        path = self.folder / name
        path.write_text(text)
        return path


def bundle_with(prices: bytes) -> bytes:
    """A bundle that holds a price table."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as bundle:
        bundle.writestr("jobmanager/prices.json", prices)
    return body.getvalue()


@contextmanager
def deployed_analysis() -> Iterator[FakePlatform]:
    """The analysis `kalman-lds`, its stack, its bundle with the project's prices, and the ledger."""
    with deployed_platform() as platform, two_stacks():
        s3 = boto3.client("s3", region_name="us-east-1")
        artifacts = f"neurocaas-artifacts-{ACCOUNT}-us-east-1"
        s3.create_bucket(Bucket=artifacts)
        prices = (ROOT / "protocols/jobmanager/prices.json").read_bytes()
        s3.put_object(Bucket=artifacts, Key=f"bundles/{'0' * 64}.zip", Body=bundle_with(prices))
        yield platform


def tidied(platform: FakePlatform) -> FakePlatform:
    """The same with nothing spent, nothing allowed and an empty bucket."""
    ssm = boto3.client("ssm", region_name="us-east-1")
    for item in ssm.get_parameters_by_path(Path="/neurocaas/budgets/", Recursive=True)["Parameters"]:
        ssm.delete_parameter(Name=item["Name"])
    table = boto3.resource("dynamodb", region_name="us-east-1").Table(TABLE)
    for row in table.scan()["Items"]:
        table.delete_item(Key={"pk": row["pk"], "sk": row["sk"]})
    boto3.resource("s3", region_name="us-east-1").Bucket(BUCKET).objects.all().delete()
    platform.deploy()
    return platform
