"""A laboratory for the stories: a project of its own, a local cloud, and the command line as a user has it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATIENCE_S = 300


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON document it printed."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Laboratory:
    """A project folder, a place for clouds, and the command to use them with."""

    project: Path
    home: Path
    cloud: str

    def environment(self) -> dict[str, str]:
        """What a newcomer's shell has: no AWS settings at all."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**kept, "NEUROCAAS_HOME": str(self.home), "NCAP_CLOUD": self.cloud, "NO_COLOR": "1"}

    def ncap(self, *words: str, timeout_s: float = PATIENCE_S, check: bool = True, folder: Path | None = None) -> Ran:
        """Run `ncap …` in the project."""
        done = subprocess.run(
            [sys.executable, "-m", "ncap_iac", *words],
            cwd=folder or self.project,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"ncap {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)

    def record(self) -> Mapping[str, Any]:
        """The running cloud's own record."""
        found: Mapping[str, Any] = json.loads((self.home / "clouds" / self.cloud / "cloud.json").read_text())
        return found

    def client(self, service: str, key: Mapping[str, str] | None = None) -> Any:
        """A plain boto3 client of the cloud: root, or somebody's own keys. One try, so that no 5xx is hidden."""
        record = self.record()
        found = key or {"AccessKeyId": record["access_key_id"], "SecretAccessKey": record["secret_access_key"]}
        return boto3.client(
            service,
            endpoint_url=record["endpoint"],
            region_name=record["region"],
            aws_access_key_id=found["AccessKeyId"],
            aws_secret_access_key=found["SecretAccessKey"],
            config=Config(retries={"max_attempts": 0}),
        )

    def member_key(self, member: str) -> Mapping[str, str]:
        """A member's own keys, as an operator would hand them over."""
        secret = self.client("secretsmanager").get_secret_value(SecretId=f"/neurocaas/members/{member}")
        found: Mapping[str, str] = json.loads(secret["SecretString"])
        return found


def wait_for_end(s3: Any, bucket: str, group: str, job: str, patience_s: float = 60) -> str:
    """`end.txt` of a job, once it is there."""
    key = f"{group}/results/{job}/process_results/end.txt"
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
            return text
        except s3.exceptions.NoSuchKey:
            time.sleep(0.2)
    raise AssertionError(f"{key} did not come within {patience_s} s")


def make_project(folder: Path) -> Path:
    """A project like this repository, with one more analysis that fails on request."""
    folder.mkdir()
    for name in ("protocols", "user_profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "ncap_blueprints", folder / "ncap_blueprints")
    shutil.copytree(HERE / "faulty", folder / "ncap_blueprints" / "faulty")
    profile = folder / "user_profiles" / "demo" / "user_config_template.json"
    document = json.loads(profile.read_text())
    for group in document["UXData"]["Affiliates"]:
        group["Pipelines"] = ["kalman-lds", "faulty"]
        group["Budget"] = {"kalman-lds": 25, "faulty": 5}
    profile.write_text(json.dumps(document, indent=2))
    return folder


def make_home(folder: Path) -> Path:
    """A place for clouds that shares the cache of built environments with the developer's own."""
    from ncap_iac.local.paths import places

    folder.mkdir()
    cache = places(os.environ, Path.home()).cache
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(cache)
    return folder
