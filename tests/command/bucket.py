"""An analysis bucket in moto, and what the job manager and instances would have written into it."""

from __future__ import annotations

import json
from typing import Any

import boto3

from ncap_iac.aws import Gateway
from ncap_iac.job.jobs import JobRef
from ncap_iac.target import Target

BUCKET = "kalman-lds"
GROUP = "demo"
JOB = "job__kalman-lds_2025-11-22T10-13-05Z"
REF = JobRef(BUCKET, GROUP, JOB)
TARGET = Target(name="test", region="us-east-1", access_key_id="testing", secret_access_key="testing")


def status_object(status: str = "IN PROGRESS", lines: int = 2, **fields: Any) -> str:
    document = {
        "instance": "i-1",
        "command": "run",
        "input": f"{GROUP}/inputs/a.csv",
        "status": status,
        "reason": None if status == "IN PROGRESS" else int(status != "SUCCESS"),
        "memory_usage": "81 MB",
        "cpu_usage": "97.5 %",
        "job_start": "2025-11-22T10:13:10Z",
        "job_finish": "N/A",
        "std": {str(number): f"line {number}\n" for number in range(1, lines + 1)},
        "attempt": 1,
        "failure": None,
        "message": None,
    }
    return json.dumps({**document, **fields}, indent=4)


class Bucket:
    """Writes as the other parts would."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.gateway = Gateway(TARGET)
        self.objects = self.gateway.objects

    def empty(self) -> None:
        for key in self.listing():
            self.s3.delete_object(Bucket=BUCKET, Key=key)

    def put(self, key: str, body: str | bytes = b"") -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def job(self, name: str, text: str, job: str = JOB) -> None:
        self.put(f"{GROUP}/results/{job}/{name}", text)

    def dataset(self, label: str, status: str = "IN PROGRESS", job: str = JOB, **fields: Any) -> None:
        self.job(f"logs/DATASET_NAME:{label}_STATUS.txt", status_object(status, **fields), job)

    def end(self, text: str, job: str = JOB) -> None:
        self.job("process_results/end.txt", text, job)

    def text(self, key: str) -> str:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body.decode()

    def listing(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
