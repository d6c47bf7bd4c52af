"""Real local clouds for tests: own data, the shared cache of emulator environments, no stray process afterwards."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ncap_iac.local.cloud import LocalCloud, RunningCloud
from ncap_iac.local.paths import Places, places
from ncap_iac.local.service import LocalService, Surroundings
from tests.local.edge_rig import ToyService, client


def own_places(folder: Path) -> Places:
    """Data in a folder of the test's; the cache is the user's, so that the emulator is installed once."""
    return Places(data=folder, cache=places(os.environ, Path.home()).cache)


def local_cloud(folder: Path) -> LocalCloud:
    return LocalCloud(own_places(folder), dict(os.environ), lambda text: None)


@contextmanager
def running_cloud(folder: Path, name: str = "test") -> Iterator[tuple[RunningCloud, Surroundings]]:
    """A cloud in this process, with the toy service as its only own one."""
    kept: list[Surroundings] = []

    def make(surroundings: Surroundings) -> list[LocalService]:
        kept.append(surroundings)
        return [ToyService()]

    cloud = local_cloud(folder).up(name, port=0, make_services=make)
    try:
        yield cloud, kept[0]
    finally:
        cloud.stop()


def root_client(cloud: RunningCloud, service: str) -> Any:
    keys = cloud.credentials
    return client(cloud.endpoint, service, keys.access_key_id, keys.secret_access_key)


def until(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """What the condition says as soon as it says something; its last word after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def make_role(iam: Any, name: str, service: str, *statements: dict[str, Any]) -> str:
    """A role that a service and the root may assume, with one inline policy; its ARN."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service, "AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(document))
    return str(role["Arn"])


def make_function(functions: Any, name: str, role_arn: str, source: str) -> str:
    """A Lambda function of one Python file with `handler`; its ARN."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("main.py", source)
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role_arn,
        Handler="main.handler",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=20,
    )
    return str(made["FunctionArn"])
