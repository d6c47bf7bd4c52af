"""`ncap member accept`: a key enters its owner's AWS settings, private, checked, and next to what was there."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from ncap_iac.cli import main
from ncap_iac.errors import UsageError
from ncap_iac.people.acceptance import SettingsPaths, enter_key, read_handed_key, remembered
from ncap_iac.people.settings_file import (
    HandedKey,
    parse_key,
    render_key,
    render_section,
    section,
    settings,
    with_section,
)
from tests.command.member_account import Account

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = HandedKey("ada", "lab", "AKIAIOSFODNN7EXAMPLE", SECRET, "eu-west-1", "", ("kalman-lds", "pmd"))
CREDENTIALS = "# mine\r\n[default]\r\naws_access_key_id=A\r\naws_secret_access_key = B\r\n\r\n[other]\r\nrole_arn = x"


@pytest.fixture
def paths(tmp_path: Path) -> SettingsPaths:
    return SettingsPaths.find({}, tmp_path)


def refuse() -> None:
    raise UsageError("you said no")


def test_a_key_can_be_used_by_aws_tools_afterwards(paths: SettingsPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    enter_key(KEY, "ada", paths, consent=refuse)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(paths.credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(paths.config))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    session = boto3.session.Session(profile_name="ada")
    assert session.region_name == "eu-west-1"
    assert session.get_credentials().secret_key == SECRET
    assert remembered(paths, "ada")["neurocaas_group"] == "lab"
    assert SECRET not in paths.config.read_text()


def test_the_handed_file_alone_can_be_used_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ada.key"
    file.write_text(render_key(KEY, handed_over="today"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    found = botocore.session.Session(profile="ada").get_credentials()
    assert found.secret_key == SECRET


def test_other_profiles_stay_byte_for_byte(paths: SettingsPaths) -> None:
    paths.credentials.parent.mkdir()
    paths.credentials.write_bytes(CREDENTIALS.encode())
    enter_key(KEY, "ada", paths, consent=refuse)
    written = paths.credentials.read_bytes().decode()
    assert written.startswith(CREDENTIALS)
    assert written.count("\n") == written.count("\r\n")
    assert settings(written, "ada") == KEY.credentials()


def test_both_files_are_private_and_nothing_lies_beside_them(paths: SettingsPaths) -> None:
    paths.credentials.parent.mkdir()
    paths.credentials.write_text("")
    paths.credentials.chmod(0o644)
    enter_key(KEY, "ada", paths, consent=refuse)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (paths.credentials, paths.config)] == [0o600, 0o600]
    assert sorted(path.name for path in paths.credentials.parent.iterdir()) == ["config", "credentials"]


def test_a_link_to_the_settings_stays_a_link(paths: SettingsPaths, tmp_path: Path) -> None:
    paths.credentials.parent.mkdir()
    (tmp_path / "dotfiles").write_text("[default]\na = b\n")
    paths.credentials.symlink_to(tmp_path / "dotfiles")
    enter_key(KEY, "ada", paths, consent=refuse)
    assert paths.credentials.is_symlink()
    assert settings((tmp_path / "dotfiles").read_text(), "ada") == KEY.credentials()


def test_another_key_of_that_name_is_replaced_with_consent_only(paths: SettingsPaths) -> None:
    enter_key(HandedKey("ada", "lab", "AKIAOTHER", "other", "eu-west-1"), "ada", paths, consent=refuse)
    before = paths.credentials.read_bytes()
    with pytest.raises(UsageError, match="said no"):
        enter_key(KEY, "ada", paths, consent=refuse)
    assert paths.credentials.read_bytes() == before
    enter_key(KEY, "ada", paths, consent=lambda: None)
    assert settings(paths.credentials.read_text(), "ada") == KEY.credentials()
    enter_key(KEY, "ada", paths, consent=refuse)


@pytest.mark.parametrize("name", ["", "a b", "a]b", "a\nb", "[x"])
def test_a_profile_name_that_would_break_the_file_is_refused(paths: SettingsPaths, name: str) -> None:
    with pytest.raises(UsageError):
        enter_key(KEY, name, paths, consent=refuse)
    assert not paths.credentials.exists()


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[a]\nx = 1\n", f"[a]\naws_secret_access_key = {SECRET}\n", f"{SECRET}\n[a]", "[a]\n[b]\n", "\0"],
)
def test_what_is_no_handed_key_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_key(text, file="x")
    error = caught.value
    assert SECRET not in f"{error} {error.hint} {error.__cause__}"
    assert error.__suppress_context__ or error.__context__ is None


def test_others_reading_the_handed_file_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "ada.key"
    file.write_text(render_key(KEY, handed_over="today"))
    warned: list[str] = []
    file.chmod(0o600)
    assert read_handed_key(file, warn=warned.append) == KEY
    assert warned == []
    file.chmod(0o644)
    read_handed_key(file, warn=warned.append)
    assert "others on this computer" in warned[0]


NAMES = st.text("abcXYZ-_.@", min_size=1, max_size=8)
LINES = st.one_of(
    NAMES.map(lambda name: f"[{name}]"),
    NAMES.map(lambda name: f"[profile {name}]"),
    st.just("# [comment]"),
    st.just(""),
    st.just("key = value"),
    st.just("s3 =\n  addressing_style = path"),
)


@given(st.lists(LINES, max_size=12), NAMES, st.booleans())
def test_putting_a_section_in_changes_that_section_only(lines: list[str], name: str, ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    changed = with_section(text, name, {"region": "x", "key": "y"})
    assert settings(changed, name) == {"region": "x", "key": "y"}
    assert with_section(changed, name, {"region": "x", "key": "y"}) == changed
    before = section(text, name)
    if before is None:
        assert changed.startswith(text)
    else:
        head, _, tail = text.partition(before)
        assert changed == head + render_section(name, {"region": "x", "key": "y"}) + tail


@pytest.fixture(scope="module")
def account(no_developer_credentials: None) -> Iterator[Account]:
    with mock_aws():
        yield Account()


def test_from_handing_over_to_the_next_command(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws" / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws" / "config"))
    secret = account.member("ada")["SecretAccessKey"]
    assert main(["member", "handover", "ada", "--file", "ada.key", "--aws", "--region", "us-east-1"]) == 0
    assert main(["member", "accept", "ada.key", "--delete"]) == 0
    shown = capsys.readouterr()
    assert "The key works: arn:aws:iam::123456789012:user/neurocaas/ada" in shown.err
    assert "ncap job list ANALYSIS --group lab --profile ada" in shown.err
    assert secret not in shown.out + shown.err
    assert not (tmp_path / "ada.key").exists()
    assert main(["member", "whoami", "--profile", "ada"]) == 0
    shown = capsys.readouterr()
    assert "member: ada\ngroup: lab (as your AWS settings say)" in shown.out


def test_without_a_terminal_the_handed_file_stays_and_that_is_said(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    account.member("grace")
    assert main(["member", "handover", "grace", "--file", "grace.key", "--aws", "--region", "us-east-1"]) == 0
    assert main(["member", "accept", "grace.key"]) == 0
    assert "Delete the file that was handed to you: rm " in capsys.readouterr().err
    assert (tmp_path / "grace.key").exists()
