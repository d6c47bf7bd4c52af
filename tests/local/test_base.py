"""The emulator as a child process: made once, survives being killed, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.base import Address, Base, BaseError, BaseSettings, choose_address, function_credentials
from ncap_iac.local.base_environment import base_interpreter, environment_name, interpreter_of
from ncap_iac.local.paths import Places
from tests.local.cloud_rig import make_function, make_role, own_places, until
from tests.local.edge_rig import ROOT_KEY, ROOT_SECRET, client

pytestmark = pytest.mark.cloud


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def settings(folder: Path, address: Address) -> BaseSettings:
    python = base_interpreter(own_places(folder), os.environ, lambda text: None)
    return BaseSettings(
        python, folder / "base", address, address.port, "us-east-1", "000000000000", ROOT_KEY, ROOT_SECRET
    )


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    running = Base(settings(tmp_path, Address(None, free_port())))
    running.start(os.environ)
    try:
        running.wait_healthy()
        yield running
    finally:
        running.stop()


def of(base: Base, service: str) -> Any:
    return client(f"http://127.0.0.1:{base.settings.address.port}", service, ROOT_KEY, ROOT_SECRET)


def save(base: Base) -> None:
    """Ask for a snapshot and wait until one that began afterwards is whole."""
    mark = base.settings.folder / "state" / "saved"

    def count() -> str:
        return mark.read_text() if mark.exists() else ""

    def has_counted_on(before: str) -> bool:
        return count() not in ("", before)

    for _ in range(2):
        before = count()
        base.save()
        assert until(partial(has_counted_on, before))


def alive(pid: int) -> bool:
    """Whether a process runs (one that ended and was not collected does not)."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(listed.strip()) and not listed.strip().startswith("Z")


def session_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,sess=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid and not row[2].startswith("Z")]


def test_its_state_survives_being_killed(base: Base) -> None:
    table = of(base, "dynamodb")
    table.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName="table", Item={"pk": {"S": "x"}, "n": {"N": "1"}})
    role = make_role(
        of(base, "iam"), "r", "lambda.amazonaws.com", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    )
    make_function(of(base, "lambda"), "f", role, "def handler(event, context):\n    return 'alive'\n")
    of(base, "s3").create_bucket(Bucket="bbb")
    of(base, "s3").put_object(Bucket="bbb", Key="k", Body=b"object")
    of(base, "ssm").put_parameter(Name="/p", Value="v", Type="String")
    session = of(base, "sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    save(base)
    assert base.pid
    os.kill(base.pid, signal.SIGKILL)
    base.stop()

    base.start(os.environ)
    base.wait_healthy()
    assert of(base, "dynamodb").get_item(TableName="table", Key={"pk": {"S": "x"}})["Item"]["n"] == {"N": "1"}
    assert of(base, "iam").get_role_policy(RoleName="r", PolicyName="inline")["RoleName"] == "r"
    assert of(base, "lambda").invoke(FunctionName="f")["Payload"].read() == b'"alive"'
    assert of(base, "s3").get_object(Bucket="bbb", Key="k")["Body"].read() == b"object"
    assert of(base, "ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "v"
    keys = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    endpoint = f"http://127.0.0.1:{base.settings.address.port}"
    assert client(endpoint, "sts", *keys).get_caller_identity()["Arn"].endswith("assumed-role/r/session")


def test_snapshots_while_it_is_busy_are_whole(base: Base) -> None:
    table = of(base, "dynamodb")
    table.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(150):
        base.save()
        table.put_item(TableName="table", Item={"pk": {"S": str(number)}})
    save(base)
    assert base.pid
    os.kill(base.pid, signal.SIGKILL)
    base.stop()
    base.start(os.environ)
    base.wait_healthy()
    assert of(base, "dynamodb").scan(TableName="table", Select="COUNT")["Count"] == 150
    assert "snapshot failed" not in base.settings.log.read_text()


def test_it_ends_with_its_lambda_processes(base: Base) -> None:
    role = make_role(
        of(base, "iam"), "r", "lambda.amazonaws.com", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    )
    make_function(of(base, "lambda"), "f", role, "def handler(event, context):\n    return 1\n")
    of(base, "lambda").invoke(FunctionName="f")
    assert base.pid
    assert len(session_of(base.pid)) > 1
    base.stop()
    assert not session_of(base.pid)


def test_it_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    ready = settings(tmp_path, Address(None, free_port()))
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from ncap_iac.local.base import *\n"
        "python, folder, port = sys.argv[1:]\n"
        "base = Base(BaseSettings(Path(python), Path(folder), Address(None, int(port)), int(port), 'us-east-1',\n"
        "    '000000000000', 'AKIAROOTROOTROOTROOT', 'root-secret'))\n"
        "base.start(os.environ)\n"
        "base.wait_healthy()\n"
        "print(base.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    arguments = [str(ready.python), str(ready.folder), str(ready.address.port)]
    parent = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert until(lambda: not session_of(child))


def test_it_listens_on_a_socket_only_its_owner_reaches(tmp_path: Path) -> None:
    address = choose_address(tmp_path / "folder" / "base.sock")
    running = Base(settings(tmp_path, address))
    running.start(os.environ)
    try:
        running.wait_healthy()
        assert address.path
        assert stat.S_IMODE(address.path.parent.stat().st_mode) == 0o700
        listening = subprocess.run(["ss", "-tlnp"], capture_output=True, text=True, check=False).stdout
        assert f"pid={running.pid}," not in listening
    finally:
        running.stop()


def test_a_base_that_cannot_start_says_why(tmp_path: Path) -> None:
    port = free_port()
    running = Base(settings(tmp_path, Address(None, port)))
    import socket

    with socket.create_server(("127.0.0.1", port)):
        running.start(os.environ)
        with pytest.raises(BaseError, match=r"(?s)ended while starting.*Address already in use.*base\.log"):
            running.wait_healthy(timeout_s=10)
    running.stop()


def test_nothing_of_our_environment_reaches_it(tmp_path: Path) -> None:
    ready = settings(tmp_path, Address(None, 1))
    environment = ready.environment(
        {"PATH": "/bin", "SECRET_TOKEN": "x", "AWS_PROFILE": "lab", "HTTP_PROXY": "http://p"}
    )
    assert environment["PATH"] == "/bin"
    assert not {"SECRET_TOKEN", "AWS_PROFILE", "HTTP_PROXY"} & set(environment)
    assert environment["HOME"].startswith(str(tmp_path))


def test_the_credentials_of_functions_are_told_apart_by_function_and_role() -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    one = function_credentials(arn, "f", "arn:aws:iam::000000000000:role/neurocaas/a")
    other = function_credentials(arn, "f", "arn:aws:iam::000000000000:role/b")
    assert one.access_key_id != other.access_key_id
    assert one.access_key_id.startswith("ASIA")
    assert one.role_name == "a"
    assert one.principal_arn == "arn:aws:sts::000000000000:assumed-role/a/f"


def test_the_environment_is_made_anew_for_another_lock() -> None:
    assert environment_name(b"a==1") != environment_name(b"a==2")


def test_an_environment_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    from ncap_iac.local.base_environment import LOCK_FILE

    where = Places(data=tmp_path, cache=tmp_path / "cache")
    python = interpreter_of(where.base / environment_name(LOCK_FILE.read_bytes()))
    python.parent.mkdir(parents=True)
    python.touch()
    said: list[str] = []
    assert base_interpreter(where, {}, said.append) == python
    assert not said


def test_the_lock_names_hashes_and_no_index() -> None:
    from ncap_iac.local.base_environment import LOCK_FILE

    text = LOCK_FILE.read_text()
    assert "ministack==1.5.33" in text
    assert "://" not in text
    requirements = [line for line in text.splitlines() if "==" in line]
    assert all(line.rstrip().endswith("\\") for line in requirements)
