"""`ncap member handover`: once, claimed before it is let out, into a private file, and the secret nowhere else."""

from __future__ import annotations

import json
import os
import pty
import select
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from ncap_compiler import names
from ncap_iac.cli import main
from ncap_iac.errors import ApplyError, UsageError
from ncap_iac.people.handover import HandedOverError, Record, claim, deliver_file, deliver_terminal
from ncap_iac.people.settings_file import parse_key
from tests.command.fake_stacks import FakeObjects
from tests.command.member_account import Account

WHERE = ("--aws", "--region", "us-east-1")


@pytest.fixture(scope="module")
def whole_account(no_developer_credentials: None) -> Iterator[Account]:
    with mock_aws():
        yield Account()


@pytest.fixture
def account(whole_account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.chdir(tmp_path)
    whole_account.empty()
    return whole_account


def hand_over(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["member", "handover", *words, *WHERE]) == code
    shown = capsys.readouterr()
    return shown.out, shown.err


def test_the_key_is_in_a_private_file_and_nowhere_else(
    account: Account, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    secret = account.member("ada")
    previous = os.umask(0)
    try:
        shown = hand_over(capsys, "ada", "--file", "ada.key", "--verbose")
    finally:
        os.umask(previous)
    path = tmp_path / "ada.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = parse_key(path.read_text(), file="ada.key")
    assert (key.member, key.group, key.region) == ("ada", "lab", "us-east-1")
    assert (key.access_key_id, key.secret_access_key) == (secret["AccessKeyId"], secret["SecretAccessKey"])
    assert secret["SecretAccessKey"] not in "".join(shown)
    assert secret["SecretAccessKey"] not in repr(key)
    others = [file for file in tmp_path.rglob("*") if file.is_file() and file != path]
    assert [file for file in others if secret["SecretAccessKey"] in file.read_text(errors="replace")] == []
    assert secret["SecretAccessKey"] not in json.dumps(account.records())


def test_it_is_written_down_who_gave_which_key_when_and_how(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = account.member("ada@x.org")
    hand_over(capsys, "ada@x.org", "--file", "ada.key")
    ((key, record),) = account.records().items()
    assert key == f"handovers/ada@x.org/{secret['AccessKeyId']}.json"
    assert set(record) == {"member", "accessKeyId", "by", "at", "how"}
    assert record["by"].startswith("arn:aws:sts::123456789012:")
    assert record["how"] == "file"


def test_a_second_time_is_refused_and_says_when_and_by_whom(
    account: Account, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    account.member("ada")
    hand_over(capsys, "ada", "--file", "first.key")
    _, said = hand_over(capsys, "ada", "--file", "second.key", code=2)
    assert "was handed over on 20" in said
    assert "by arn:aws:" in said
    assert "ncap member rotate ada" in said
    assert not (tmp_path / "second.key").exists()


def test_again_needs_consent_and_is_recorded(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    secret = account.member("ada")
    hand_over(capsys, "ada", "--file", "first.key")
    hand_over(capsys, "ada", "--file", "second.key", "--again", code=2)
    assert len(account.records()) == 1
    hand_over(capsys, "ada", "--file", "second.key", "--again", "--yes")
    hand_over(capsys, "ada", "--file", "third.key", "--again", "--yes")
    prefix = f"handovers/ada/{secret['AccessKeyId']}"
    assert sorted(account.records()) == sorted([f"{prefix}.json", f"{prefix}-2.json", f"{prefix}-3.json"])


def test_another_key_of_the_member_is_handed_over_for_itself(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = account.member("ada")
    hand_over(capsys, "ada", "--file", "first.key")
    account.iam.delete_access_key(UserName="ada", AccessKeyId=secret["AccessKeyId"])
    other = account.key("ada")
    content = {"AccessKeyId": other["AccessKeyId"], "SecretAccessKey": other["SecretAccessKey"], "group": "lab"}
    account.secrets.put_secret_value(SecretId=names.member_secret("ada"), SecretString=json.dumps(content))
    hand_over(capsys, "ada", "--file", "second.key")
    assert len(account.records()) == 2


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_nothing_there_is_is_overwritten_and_nothing_claimed(
    account: Account, capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    account.member("ada")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    if kind == "file":
        (tmp_path / "ada.key").write_text("mine")
    elif kind == "link":
        (tmp_path / "ada.key").symlink_to(tmp_path / "elsewhere")
    name = "no/such/folder/ada.key" if kind == "folder" else "ada.key"
    hand_over(capsys, "ada", "--file", name, code=2)
    assert account.records() == {}
    assert not (tmp_path / "elsewhere").exists()


def test_a_suspended_key_is_not_handed_over(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    secret = account.member("ada")
    account.suspend("ada", secret["AccessKeyId"])
    _, said = hand_over(capsys, "ada", "--file", "ada.key", code=2)
    assert "ncap member resume ada" in said
    assert account.records() == {}


def test_a_key_deleted_by_hand_is_not_handed_over(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    secret = account.member("ada")
    account.iam.delete_access_key(UserName="ada", AccessKeyId=secret["AccessKeyId"])
    _, said = hand_over(capsys, "ada", "--file", "ada.key", code=2)
    assert "not in IAM" in said


def test_a_member_that_is_not_deployed_has_no_key(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = hand_over(capsys, "ada", "--file", "ada.key", code=4)
    assert "ncap profile deploy" in said


def test_without_a_terminal_nothing_is_claimed() -> None:
    def no_terminal() -> int:
        raise OSError(6, "No such device or address")

    def make_claim() -> str:
        claimed.append("claimed")
        return "claimed"

    claimed: list[str] = []
    with pytest.raises(UsageError, match="no terminal"):
        deliver_terminal(no_terminal, "SECRET", make_claim)
    assert claimed == []


def record_of(key_id: str) -> Record:
    return Record("ada", key_id, "arn:aws:iam::123456789012:user/op", "2026-01-01T00:00:00Z", "file")


class Listing(FakeObjects):
    """Buckets in memory that can be listed and read."""

    def list(self, bucket: str, prefix: str = "", *, delimiter: str = "") -> object:
        from datetime import UTC, datetime

        from ncap_iac.aws import Listing, StoredObject

        keys = [key for where, key in self.objects if where == bucket and key.startswith(prefix)]
        return Listing(tuple(StoredObject(key, 1, "", datetime(2026, 1, 1, tzinfo=UTC)) for key in keys), ())

    def read(self, bucket: str, key: str) -> object:
        from ncap_iac.aws import Content

        return Content(self.objects[bucket, key], "")


def test_of_many_operators_at_a_time_one_hands_over() -> None:
    objects = Listing()
    lock = threading.Lock()
    put = objects.put
    won: list[str] = []
    refused: list[HandedOverError] = []

    def locked(bucket: str, key: str, body: bytes, *, content_type: str = "", only_if_absent: bool = False) -> None:
        with lock:
            put(bucket, key, body, content_type=content_type, only_if_absent=only_if_absent)

    objects.put = locked  # type: ignore[method-assign]

    def attempt() -> None:
        try:
            won.append(claim(objects, "b", record_of("AKIA1"), again=False))  # type: ignore[arg-type]
        except HandedOverError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == ["handovers/ada/AKIA1.json"]
    assert len(refused) == 19


def test_a_full_disk_after_the_claim_says_how_to_go_on(tmp_path: Path) -> None:
    """/dev/full takes no byte; the file is on it by way of a descriptor that was reserved."""
    path = tmp_path / "ada.key"

    def claim_and_fill_the_disk() -> str:
        full = os.open("/dev/full", os.O_WRONLY)
        reserved = next(name for name in _descriptors() if _is_open_on(name, path))
        os.dup2(full, reserved)
        os.close(full)
        return "claimed"

    with pytest.raises(ApplyError) as caught:
        deliver_file(path, "SECRET" * 4000, claim_and_fill_the_disk)
    assert "--again" in caught.value.hint
    assert "SECRET" not in f"{caught.value} {caught.value.hint}"
    assert not path.exists()


def _descriptors() -> list[int]:
    return [int(link.name) for link in Path("/proc/self/fd").iterdir()]


def _is_open_on(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def test_on_a_terminal_the_key_is_shown_on_its_other_screen_only(tmp_path: Path, project_root: Path) -> None:
    """A real process with a real terminal; its stdout and stderr are pipes, and stay without the secret."""
    controller, terminal = pty.openpty()
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTER, os.ttyname(terminal), str(writing), str(project_root)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(writing,),
        text=True,
    )
    os.close(writing)
    secret = os.read(reading, 4096)
    seen = b""
    while b"Press Enter" not in seen and select.select([controller], [], [], 30)[0]:
        seen += os.read(controller, 4096)
    os.write(controller, b"\n")
    out, err = process.communicate(timeout=60)
    for descriptor in (controller, terminal, reading):
        os.close(descriptor)

    assert process.returncode == 0, err
    assert secret in seen
    assert seen.index(b"\x1b[?1049h") < seen.index(secret)
    assert secret.decode() not in out + err
    assert list(tmp_path.iterdir()) == []


_STARTER = """
import fcntl, os, sys, termios
sys.path.insert(0, sys.argv[3])
fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), termios.TIOCSCTTY, 0)
from moto import mock_aws
from ncap_iac.cli import main
with mock_aws():
    from tests.command.member_account import Account
    os.write(int(sys.argv[2]), Account().member("ada")["SecretAccessKey"].encode())
    sys.exit(main(["member", "handover", "ada", "--show", "--aws", "--region", "us-east-1"]))
"""
