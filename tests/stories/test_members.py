"""The life of a member with real keys: join, be handed a key, work, be suspended, move, get another key, leave."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.stories.laboratory import Laboratory, Ran, wait_for_end

pytestmark = pytest.mark.cloud

BUCKET = "faulty"
PROFILE = "people"
PEOPLE = "name;group\r\nanna;guests\r\nbert;guests\r\ncarl;hosts\r\n"


@dataclass(frozen=True)
class Office:
    """The operator's desk: every word the command says is kept, to be searched for secrets at the end."""

    laboratory: Laboratory
    said: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def ncap(self, *words: str, check: bool = True, folder: Path | None = None) -> Ran:
        ran = self.laboratory.ncap(*words, check=check, folder=folder)
        self.said.extend([ran.out, ran.err])
        return ran

    def key(self, member: str) -> Mapping[str, str]:
        """A member's present key, as the platform keeps it."""
        found = self.laboratory.member_key(member)
        self.secrets.add(found["SecretAccessKey"])
        return found


@dataclass(frozen=True)
class Computer:
    """A member's own computer: no project, no cloud, no AWS settings but those `accept` writes."""

    office: Office
    folder: Path

    def ncap(self, *words: str, check: bool = True) -> Ran:
        environment = self.office.laboratory.environment()
        del environment["NCAP_CLOUD"]
        environment |= {
            "HOME": str(self.folder),
            "NEUROCAAS_HOME": str(self.folder / "neurocaas"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "aws" / "credentials"),
            "AWS_CONFIG_FILE": str(self.folder / "aws" / "config"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "ncap_iac", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.office.said.extend([done.stdout, done.stderr])
        if check:
            assert done.returncode == 0, f"ncap {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def office(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Three people in two groups, imported from a table, in a profile and stack of their own."""
    found = Office(laboratory)
    table = tmp_path_factory.mktemp("office") / "people.csv"
    table.write_bytes(PEOPLE.encode())
    found.ncap(
        "profile", "import", str(table), "--into", PROFILE, "--create", "--analyses", BUCKET, "--deploy", "--yes"
    )
    try:
        yield found
    finally:
        found.ncap("profile", "destroy", PROFILE, "--yes", check=False)
        shutil.rmtree(laboratory.project / "user_profiles" / PROFILE, ignore_errors=True)


def code_of(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


def may_submit(office: Office, key: Mapping[str, str], group: str) -> str:
    """What S3 says to a submission of somebody with this key for this group."""
    s3 = office.laboratory.client("s3", key)
    return code_of(s3.put_object, Bucket=BUCKET, Key=f"{group}/submissions/note.txt", Body=b"x")


DEAD = {"InvalidAccessKeyId", "InvalidClientTokenId", "AccessDenied", "403"}


def test_from_being_added_to_results_and_out_again(office: Office, tmp_path: Path) -> None:
    """In group `demo`, which the analysis's blueprint names: a whole job with a key that was handed over."""
    laboratory = office.laboratory
    profile = laboratory.project / "user_profiles" / "demo" / "user_config_template.json"
    before = profile.read_bytes()
    computer = Computer(office, tmp_path / "computer")
    computer.folder.mkdir()
    (computer.folder / "data.txt").write_text("1 2 3")
    (computer.folder / "config.json").write_text(json.dumps({"mode": "copy"}))

    office.ncap("member", "add", "newcomer", "--group", "demo", "--deploy", "--yes")
    secret = office.key("newcomer")["SecretAccessKey"]
    office.ncap("member", "handover", "newcomer", "--file", str(computer.folder / "newcomer.key"))
    assert (computer.folder / "newcomer.key").stat().st_mode & 0o777 == 0o600
    again = office.ncap("member", "handover", "newcomer", "--file", str(tmp_path / "again.key"), check=False)
    assert again.code == 2
    assert not (tmp_path / "again.key").exists()

    computer.ncap("member", "accept", "newcomer.key", "--delete")
    assert sorted(path.name for path in computer.folder.iterdir()) == ["aws", "config.json", "data.txt"]
    who = computer.ncap("member", "whoami", "--profile", "newcomer", "--output", "json").data
    assert (who["member"], who["group"]) == ("newcomer", "demo")
    assert {item["analysis"]: item["reach"] for item in who["analyses"]} == {"kalman-lds": "yes", "faulty": "yes"}

    words = ("job", "submit", BUCKET, "--data", "data.txt", "--config", "config.json", "--group", "demo")
    job = computer.ncap(*words, "--profile", "newcomer", "--output", "json").data["job"]
    assert wait_for_end(laboratory.client("s3"), BUCKET, "demo", job).startswith("SUCCEEDED")
    computer.ncap("job", "results", job, "--group", "demo", "--profile", "newcomer")

    key = office.key("newcomer")
    office.ncap("member", "remove", "newcomer", "--deploy", "--yes")
    assert profile.read_bytes() == before
    assert may_submit(office, key, "demo") in DEAD
    assert computer.ncap("member", "whoami", "--profile", "newcomer", check=False).code == 3
    head = laboratory.client("s3").head_object(Bucket=BUCKET, Key="demo/inputs/data.txt")
    assert head["ContentLength"] == 5
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == [
        computer.folder / "aws" / "credentials"
    ]


def test_a_suspended_key_stops_and_the_others_go_on(office: Office) -> None:
    anna, bert = office.key("anna"), office.key("bert")
    assert may_submit(office, anna, "guests") == "allowed"

    office.ncap("member", "suspend", "anna", "--reason", "key lost", "--deploy", "--yes")
    assert may_submit(office, anna, "guests") in DEAD
    assert may_submit(office, bert, "guests") == "allowed"
    refused = office.ncap("member", "handover", "anna", "--file", "anna.key", check=False)
    assert refused.code == 2
    assert "ncap member resume anna" in refused.err
    states = {row["member"]: row["state"] for row in listed(office)}
    assert states == {"anna": "suspended", "bert": "active", "carl": "active"}

    office.ncap("member", "resume", "anna", "--deploy", "--yes")
    assert office.key("anna") == anna
    assert may_submit(office, anna, "guests") == "allowed"


def listed(office: Office) -> list[dict[str, Any]]:
    answer = office.ncap("member", "list", PROFILE, "--output", "json").data
    assert answer["deployment"] == "read"
    rows: list[dict[str, Any]] = answer["members"]
    return rows


def test_moving_takes_the_rights_and_leaves_the_data(office: Office) -> None:
    office.ncap("member", "add", "dora", "--group", "guests", "--deploy", "--yes")
    dora = office.key("dora")
    root, own = office.laboratory.client("s3"), office.laboratory.client("s3", dora)
    own.put_object(Bucket=BUCKET, Key="guests/configs/dora.json", Body=b"{}")
    root.put_object(Bucket=BUCKET, Key="hosts/results/x/result.txt", Body=b"x")
    assert code_of(own.get_object, Bucket=BUCKET, Key="hosts/results/x/result.txt") == "AccessDenied"

    office.ncap("member", "move", "dora", "--to", "hosts", "--deploy", "--yes")

    assert office.key("dora")["AccessKeyId"] == dora["AccessKeyId"]
    assert office.key("dora")["group"] == "hosts"
    assert may_submit(office, dora, "guests") == "AccessDenied"
    assert code_of(own.get_object, Bucket=BUCKET, Key="guests/configs/dora.json") == "AccessDenied"
    assert may_submit(office, dora, "hosts") == "allowed"
    assert code_of(own.get_object, Bucket=BUCKET, Key="hosts/results/x/result.txt") == "allowed"
    assert root.get_object(Bucket=BUCKET, Key="guests/configs/dora.json")["Body"].read() == b"{}"
    office.ncap("member", "remove", "dora", "--deploy", "--yes")


def test_rotating_kills_the_keys_and_the_others_are_handed_over(office: Office, tmp_path: Path) -> None:
    before = office.key("carl")
    office.ncap("member", "handover", "carl", "--file", str(tmp_path / "first.key"))

    office.ncap("member", "rotate", "hosts", "--deploy", "--yes")

    after = office.key("carl")
    assert after["AccessKeyId"] != before["AccessKeyId"]
    assert may_submit(office, before, "hosts") in DEAD
    assert may_submit(office, after, "hosts") == "allowed"
    assert may_submit(office, office.key("anna"), "guests") == "allowed"
    (carl,) = [row for row in listed(office) if row["member"] == "carl"]
    assert (carl["accessKeyId"], carl["handedOver"]) == (after["AccessKeyId"], None)
    office.ncap("member", "handover", "carl", "--file", str(tmp_path / "second.key"))
    assert after["SecretAccessKey"] in (tmp_path / "second.key").read_text()


def test_a_removed_member_is_gone_and_the_data_is_not(office: Office) -> None:
    office.ncap("member", "add", "emil", "--group", "guests", "--deploy", "--yes")
    emil = office.key("emil")
    office.laboratory.client("s3", emil).put_object(Bucket=BUCKET, Key="guests/inputs/emil.txt", Body=b"kept")

    office.ncap("member", "remove", "emil")
    assert may_submit(office, emil, "guests") == "allowed", "an edit alone deploys nothing"
    assert {row["member"]: row["state"] for row in listed(office)}.get("emil") is None
    whole = office.ncap("member", "list", "--output", "json").data["members"]
    assert [row["state"] for row in whole if row["member"] == "emil"] == ["to-remove"]
    office.ncap("profile", "deploy", PROFILE, "--yes")

    assert may_submit(office, emil, "guests") in DEAD
    body = office.laboratory.client("s3").get_object(Bucket=BUCKET, Key="guests/inputs/emil.txt")["Body"].read()
    assert body == b"kept"


def test_a_key_made_by_hand_is_found_before_anything_is_changed(office: Office) -> None:
    office.ncap("member", "add", "fritz", "--group", "guests", "--deploy", "--yes")
    iam = office.laboratory.client("iam")
    by_hand = iam.create_access_key(UserName="fritz")["AccessKey"]["AccessKeyId"]
    text = (office.laboratory.project / "user_profiles" / PROFILE / "user_config_template.json").read_text()

    refused = office.ncap("member", "remove", "fritz", "--deploy", "--yes", check=False)

    assert refused.code == 2
    assert by_hand in refused.err
    assert "aws iam delete-access-key" in refused.err
    assert (office.laboratory.project / "user_profiles" / PROFILE / "user_config_template.json").read_text() == text

    # With the profile's own key deleted by hand too there is one key, as there should be; IAM refuses in the middle,
    # and CloudFormation counts the update as done.
    iam.delete_access_key(UserName="fritz", AccessKeyId=office.key("fritz")["AccessKeyId"])
    failed = office.ncap("member", "remove", "fritz", "--deploy", "--yes", check=False)

    assert failed.code == 1
    assert f"still there, with keys: {by_hand} (works)" in failed.err
    assert "aws iam delete-access-key" in failed.err
    iam.delete_access_key(UserName="fritz", AccessKeyId=by_hand)
    iam.delete_user(UserName="fritz")


def test_a_member_may_not_read_who_was_handed_a_key_nor_any_secret(office: Office) -> None:
    key = office.key("bert")
    account = office.laboratory.client("sts").get_caller_identity()["Account"]
    artifacts = f"neurocaas-artifacts-{account}-{office.laboratory.record()['region']}"
    s3 = office.laboratory.client("s3", key)
    assert code_of(s3.list_objects_v2, Bucket=artifacts, Prefix="handovers/") == "AccessDenied"
    secrets = office.laboratory.client("secretsmanager", key)
    assert code_of(secrets.get_secret_value, SecretId="/neurocaas/members/bert") in {
        "AccessDenied",
        "AccessDeniedException",
    }


def test_no_command_ever_said_a_secret(office: Office) -> None:
    """Last of this story: everything said on stdout and stderr until now, the cloud's own logs, the records."""
    for member in ("anna", "bert", "carl"):
        office.key(member)
    folder = office.laboratory.home / "clouds" / office.laboratory.cloud
    texts = [*office.said, *(path.read_text(errors="replace") for path in folder.rglob("*.log"))]
    assert len(office.secrets) >= 5
    assert [secret[:4] for secret in office.secrets for text in texts if secret in text] == []
