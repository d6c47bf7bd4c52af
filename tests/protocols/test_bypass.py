"""Data elsewhere: whose it is, only the group's own role says; nothing is launched for what that role may not reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobmanager.aws import Gateway
from jobmanager.grouproles import NARROWED, RolePlace
from jobmanager.services import make_services
from tests.fakes.aws_session import FakeSession
from tests.fakes.memory import MemoryAws
from tests.fakes.platform import BUCKET, FUNCTION, GROUP, TABLE, TOPIC, FakeClock, FakePlatform

ROLES = "arn:aws:iam::123456789012:role/neurocaas/instances/neurocaas-instance-"
ARCHIVE, OTHER = "lab-archive", "other-archive"


@dataclass
class Rights:
    """What each group's role may read and write, as beginnings of `bucket/key`; whose role may be taken."""

    read: dict[str, list[str]] = field(default_factory=dict)
    write: dict[str, list[str]] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=lambda: {GROUP, "lab2"})
    sessions: list[dict[str, Any]] = field(default_factory=list)


class RoleSession(FakeSession):
    """A session that gives out role credentials, and clients that have the role's rights only."""

    rights: Rights

    def client(self, service: str, config: object = None, region_name: str = "us-east-1", **keys: str) -> Any:
        if service == "sts":
            return _Sts(self)
        if keys:
            return _AsRole(super().client(service), self.rights, keys["aws_access_key_id"])
        return super().client(service)


@dataclass
class _Sts:
    session: RoleSession

    def assume_role(self, **request: Any) -> Any:
        self.session.calls.append(("sts", "assume_role"))
        self.session.rights.sessions.append(request)
        group = request["RoleArn"].removeprefix(ROLES)
        if group not in self.session.rights.trusted:
            raise _denied("AssumeRole")
        return {"Credentials": {"AccessKeyId": group, "SecretAccessKey": "s", "SessionToken": "t"}}


@dataclass
class _AsRole:
    client: Any
    rights: Rights
    group: str

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            name = request.get("Key", request.get("Prefix", ""))
            table = self.rights.write if operation == "put_object" else self.rights.read
            may = table.get(self.group, [])
            if not any(f"{request['Bucket']}/{name}".startswith(place) for place in may):
                raise _denied(operation)
            return getattr(self.client, operation)(**request)

        return call


def _denied(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)


@dataclass
class BypassPlatform(FakePlatform):
    """The fake platform with roles."""

    @property
    def rights(self) -> Rights:
        """What the groups' roles may."""
        assert isinstance(self.session, RoleSession)
        return self.session.rights

    def fresh_services(self) -> Any:
        gateway = Gateway(self.session, sleep=lambda _: None)
        place = RolePlace(ROLES, FUNCTION)
        return make_services(TABLE, topic=TOPIC, gateway=gateway, clock=self.clock, role_place=place)

    def store(self, bucket: str, key: str, body: bytes = b"1,2\n") -> None:
        self.session.backend("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def manifest(self, job: str, number: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text(f"{GROUP}/jobs/{job}/launch-{number}.json"))
        return found


@pytest.fixture
def platform() -> BypassPlatform:
    aws, clock = MemoryAws(), FakeClock()
    aws.tables.create_table(TableName=TABLE)
    session = RoleSession(clock, aws.client)
    session.rights = Rights(
        read={GROUP: [f"{ARCHIVE}/raw/", f"{BUCKET}/{GROUP}/results/"], "lab2": [f"{OTHER}/"]},
        write={GROUP: [f"{ARCHIVE}/out/"]},
    )
    found = BypassPlatform(clock, session, "ami-0123456789abcdef0")
    found.deploy()
    found.upload()
    found.store(ARCHIVE, "raw/a.csv", b"aaa")
    found.store(ARCHIVE, "raw/b.csv", b"bbb")
    found.store(ARCHIVE, "raw/c.json", b'{"latents": 4}')
    found.store(OTHER, "raw/secret.csv")
    session.calls.clear()
    return found


JOB = "job__kalman-lds_1"
HERE, THERE = f"{GROUP}/inputs/x.csv", f"s3://{ARCHIVE}/raw/a.csv"
RESULTS = f"s3://{ARCHIVE}/out"


@pytest.mark.parametrize("data", [HERE, THERE])
@pytest.mark.parametrize("results", [None, RESULTS])
@pytest.mark.parametrize("config", [f"{GROUP}/configs/c.json", f"s3://{ARCHIVE}/raw/c.json"])
def test_data_config_and_results_may_each_be_here_or_there(
    platform: BypassPlatform, data: str, results: str | None, config: str
) -> None:
    platform.submit(dataname=data, configname=config, **({"resultpath": results} if results else {}))
    manifest = platform.manifest(JOB)
    (entry,) = manifest["attempts"]
    assert (entry.get("bucket"), entry["dataset"]) == ((ARCHIVE, "raw/a.csv") if data == THERE else (None, HERE))
    elsewhere = {"bucket": ARCHIVE, "prefix": f"out/{JOB}/process_results"}
    assert manifest.get("resultAddress") == (elsewhere if results else None)
    assert manifest["config"].get("bucket") == (ARCHIVE if config.startswith("s3://") else None)
    (instance,) = platform.instances
    platform.end(instance, job=JOB, label=entry["label"])
    assert f"DATANAME: {data} | STATUS: SUCCESS" in platform.result(JOB, "certificate")
    end = platform.result(JOB, "end")
    assert end.startswith("SUCCEEDED")
    assert (f"Results are in {RESULTS}/{JOB}/process_results/" in end) is bool(results)
    record = json.loads(platform.text(f"logs/{GROUP}/{instance}.json"))
    assert (record["databucket"], record["datapath"]) == (entry.get("bucket") or BUCKET, entry["dataset"])


def test_one_job_mixes_datasets_of_several_buckets_and_repeats_lose_nothing(platform: BypassPlatform) -> None:
    platform.submit(dataname=[THERE, HERE, f"s3://{ARCHIVE}/raw/b.csv", f"s3://{BUCKET}/{HERE}"])
    entries = platform.manifest(JOB)["attempts"]
    assert [(it.get("bucket"), it["dataset"]) for it in entries] == [
        (ARCHIVE, "raw/a.csv"),
        (None, HERE),
        (ARCHIVE, "raw/b.csv"),
    ]
    platform.vanish(platform.instances[0])
    platform.change(platform.instances[0], "terminated")
    platform.resume_all()
    (again,) = platform.manifest(JOB, 2)["attempts"]
    assert (again["bucket"], again["dataset"], again["attempt"]) == (ARCHIVE, "raw/a.csv", 2)


def refusal(platform: BypassPlatform, **fields: Any) -> str:
    platform.submit(**fields)
    assert platform.instances == []
    assert platform.budget() == (0, 0)
    end = platform.result(JOB, "end")
    assert end.startswith("REJECTED")
    return end


@pytest.mark.parametrize(
    "address",
    [
        f"s3://{OTHER}/raw/secret.csv",
        f"s3://{OTHER}/raw/nothing.csv",
        f"s3://{OTHER}/raw/",
        f"s3://{ARCHIVE}/private/x",
    ],
)
def test_what_the_groups_own_role_may_not_read_is_refused_and_nothing_starts(
    platform: BypassPlatform, address: str
) -> None:
    """Whether it exists is not told: a refusal must not say what lies in other people's buckets."""
    end = refusal(platform, dataname=address)
    assert f"dataset '{address}' may not be read by group 'demo', or does not exist; its profile must list" in end
    assert '"Access": "read"} in Storage: ask an operator' in end


def test_many_addresses_that_may_not_be_read_are_told_in_a_few_lines(platform: BypassPlatform) -> None:
    end = refusal(platform, dataname=[f"s3://{OTHER}/raw/{number}.csv" for number in range(200)])
    assert end.count("may not be read") == 10
    assert "and the same for 190 more" in end


@pytest.mark.parametrize("folder", ["inputs", "configs", "results"])
def test_another_groups_folder_of_a_platforms_bucket_is_refused_by_its_name_before_anybody_is_asked(
    platform: BypassPlatform, folder: str
) -> None:
    assert "belongs to another group" in refusal(platform, dataname=f"s3://another-analysis/lab2/{folder}/x.csv")
    assert platform.rights.sessions == []


@pytest.mark.parametrize(
    ("resultpath", "words"),
    [
        (f"s3://{OTHER}/out", "may not be written to by group 'demo'"),
        (f"s3://{ARCHIVE}/raw", "may not be written to by group 'demo'"),
        ("s3://another-analysis/lab2/results", "belongs to another group"),
        (f"s3://{BUCKET}/lab2/results", "in this bucket results of group 'demo' go to demo/results/ only"),
        (f"s3://{BUCKET}/{GROUP}/configs", "in this bucket results of group 'demo' go to demo/results/ only"),
        ("lab-archive/out", "it must be an address of the form s3://bucket/prefix"),
        (7, "it must be an address of the form s3://bucket/prefix"),
        ("s3://", "it names no bucket"),
        (f"s3://{ARCHIVE}/out/../raw", "'.' or '..' between its slashes"),
    ],
)
def test_results_go_only_where_the_groups_own_role_may_write(
    platform: BypassPlatform, resultpath: object, words: str
) -> None:
    assert words in refusal(platform, resultpath=resultpath)


def test_whether_results_can_be_written_is_tried_with_an_empty_object_of_the_job(platform: BypassPlatform) -> None:
    platform.submit(resultpath=RESULTS)
    body = platform.session.backend("s3").get_object(Bucket=ARCHIVE, Key=f"out/{JOB}/process_results/.neurocaas")
    assert body["Body"].read() == b""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://", "it names no bucket"),
        ("s3:///x", "it names no bucket"),
        ("s3://lab-archive", "it names no object"),
        ("s3://lab-archive/", "it names no object"),
        ("s3://lab-archive/../x", "'.' or '..' between its slashes"),
        ("s3://lab-archive/raw//x", "it has an empty part"),
        ("s3://lab-archive/a\nb", "control character"),
        ("s3://lab-archive/\ud800", "no valid key"),
        ("s3://lab-archive/x?versionId=3", "it holds a query"),
        ("s3://lab-archive/x?X-Amz-Signature=3", "it holds a query"),
        ("s3://Lab-Archive/x", "is no name of a bucket"),
        ("s3://läb/x", "is no name of a bucket"),
        ("s3://arn:aws:s3:us-east-1:1:accesspoint/x/y", "is no name of a bucket"),
        ("s3://a/x", "is no name of a bucket"),
        ("s3://user@lab-archive/x", "is no name of a bucket"),
        ("S3://lab-archive/x", "in small letters"),
        ("s3://neurocaas-artifacts-123456789012-us-east-1/x", "is the platform's own"),
        ("https://lab-archive.s3.amazonaws.com/x?X-Amz-Signature=3", "no web addresses"),
        ("file:///etc/passwd", "no web addresses"),
        (f"s3://{BUCKET}/lab2/inputs/x.csv", "it belongs to another group"),
        (f"s3://{BUCKET}/{GROUP}/jobs/x", "it does not lie in demo/inputs/ or demo/results/"),
        (f"s3://{BUCKET}/versions/v-0.json", "it does not lie in demo/inputs/"),
    ],
)
def test_a_hostile_address_gives_one_clear_sentence_and_asks_nobody(
    platform: BypassPlatform, address: str, words: str
) -> None:
    end = refusal(platform, dataname=address)
    assert words in end
    assert len([line for line in end.splitlines()[2:] if line]) == 2
    assert platform.rights.sessions == []


def test_a_bucket_of_somebody_else_is_looked_at_with_a_narrowed_session_named_after_the_function(
    platform: BypassPlatform,
) -> None:
    platform.submit(dataname=[THERE, f"s3://{ARCHIVE}/raw/b.csv"])
    (request,) = platform.rights.sessions
    assert (request["RoleArn"], request["RoleSessionName"]) == (f"{ROLES}{GROUP}", FUNCTION)
    assert (request["DurationSeconds"], request["Policy"]) == (900, NARROWED)
    actions = {it for statement in json.loads(NARROWED)["Statement"] for it in statement["Action"]}
    assert "s3:DeleteObject" not in actions


def test_credentials_are_kept_for_one_group_and_not_beyond_their_time(platform: BypassPlatform) -> None:
    roles = platform.services.roles
    first = roles.gateway(GROUP)
    assert roles.gateway(GROUP) is first
    assert roles.gateway("lab2") is not first
    assert roles.gateway(GROUP) is not first
    platform.clock.advance(minutes=14)
    roles.gateway(GROUP)
    assert [it["RoleArn"].removeprefix(ROLES) for it in platform.rights.sessions] == [
        GROUP,
        "lab2",
        GROUP,
        GROUP,
    ]


def test_own_data_needs_no_role_at_all(platform: BypassPlatform) -> None:
    platform.submit()
    assert platform.rights.sessions == []
    assert platform.instances


def test_a_group_whose_role_does_not_trust_this_job_manager_is_told_what_to_do(platform: BypassPlatform) -> None:
    platform.rights.trusted.clear()
    end = refusal(platform, dataname=THERE, resultpath=RESULTS)
    assert "the group's profile must list this analysis, and be deployed again" in end


def test_results_of_an_earlier_job_are_data_of_the_next_by_key_and_by_address(platform: BypassPlatform) -> None:
    key = f"{GROUP}/results/job__kalman-lds_0/process_results/y.csv"
    platform.put(key)
    platform.submit(dataname=[key, f"s3://{BUCKET}/{key}"])
    (entry,) = platform.manifest(JOB)["attempts"]
    assert (entry.get("bucket"), entry["dataset"]) == (None, key)
    assert "another group" in refusal_of(platform, dataname="lab2/results/job__kalman-lds_0/process_results/y.csv")


def refusal_of(platform: BypassPlatform, **fields: Any) -> str:
    platform.submit(key=f"{GROUP}/submissions/2_submit.json", timestamp="2", **fields)
    return platform.result("job__kalman-lds_2", "end")


def test_a_whole_folder_is_one_dataset_with_a_list_of_its_files(platform: BypassPlatform) -> None:
    for name in ("raw/f/a.npy", "raw/f/deep/b.npy", "raw/f/notes.txt", "raw/f/update.txt"):
        platform.store(ARCHIVE, name, name.encode())
    platform.submit(dataname=f"s3://{ARCHIVE}/raw/f/", folders="whole")
    (entry,) = platform.manifest(JOB)["attempts"]
    assert (entry["dataset"], entry["label"], entry["bucket"]) == ("raw/f/", "f", ARCHIVE)
    parts = json.loads(platform.text(entry["parts"]))
    assert {part["key"]: part["size"] for part in parts} == {
        name: len(name) for name in ("raw/f/a.npy", "raw/f/deep/b.npy", "raw/f/notes.txt", "raw/f/update.txt")
    }
    assert all(part["etag"] for part in parts)


def test_only_the_files_that_match_are_taken(platform: BypassPlatform) -> None:
    for name in ("raw/f/a.npy", "raw/f/deep/b.npy", "raw/f/notes.txt"):
        platform.store(ARCHIVE, name)
    platform.submit(dataname=f"s3://{ARCHIVE}/raw/f/", folders="whole", files=["*.npy"])
    (entry,) = platform.manifest(JOB)["attempts"]
    assert [it["key"] for it in json.loads(platform.text(entry["parts"]))] == ["raw/f/a.npy", "raw/f/deep/b.npy"]
    nothing = refusal_of(platform, dataname=f"s3://{ARCHIVE}/raw/f/", folders="whole", files=["*.mp4"])
    assert "holds no dataset that matches 'files'" in nothing


def test_a_folder_of_results_comes_without_what_the_platform_put_beside_them(platform: BypassPlatform) -> None:
    platform.submit()
    (instance,) = platform.instances
    folder = f"{GROUP}/results/{JOB}/process_results/"
    for name in ("x_states.npy", "sub/update.txt", "update.txt", "c.json", ".neurocaas"):
        platform.put(folder + name)
    platform.end(instance, job=JOB)
    platform.submit(key=f"{GROUP}/submissions/2_submit.json", timestamp="2", dataname=folder, folders="whole")
    (entry,) = platform.manifest("job__kalman-lds_2")["attempts"]
    names = [it["key"].removeprefix(folder) for it in json.loads(platform.text(entry["parts"]))]
    assert names == ["sub/update.txt", "x_states.npy"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"folders": "all"}, "'folders' is 'all'; accepted is"),
        ({"folders": ["whole"]}, "'folders' is ['whole']; accepted is"),
        ({"files": []}, "'files' must be a list of 1 to 50 patterns"),
        ({"files": [3]}, "'files' must be a list of 1 to 50 patterns"),
        ({"files": ["*"] * 51}, "'files' must be a list of 1 to 50 patterns"),
    ],
)
def test_what_folders_may_not_say(platform: BypassPlatform, fields: dict[str, Any], words: str) -> None:
    assert words in refusal(platform, **fields)


def test_a_folder_of_more_files_than_a_dataset_takes_is_refused(platform: BypassPlatform) -> None:
    for number in range(10_001):
        platform.store(ARCHIVE, f"raw/big/{number:05d}")
    end = refusal(platform, dataname=f"s3://{ARCHIVE}/raw/big/", folders="whole")
    assert "holds more than 10000 files" in end


def test_the_folders_of_a_chain_are_listed_together_and_share_their_lists(platform: BypassPlatform) -> None:
    folders = [f"{GROUP}/results/job__kalman-lds_0/process_results/{number:03d}/" for number in range(300)]
    for folder in folders:
        for name in ("a.npy", "b.npy"):
            platform.put(folder + name, folder.encode())
    platform.session.calls.clear()
    platform.submit(dataname=folders, folders="whole")
    listings = platform.session.calls.count(("s3", "list_objects_v2"))
    assert listings == 1
    lists = platform.stored(f"{GROUP}/jobs/{JOB}/parts-")
    assert len(lists) == 1
    attempts = platform.manifest(JOB)["attempts"] + platform.manifest(JOB, 2)["attempts"]
    assert {it["parts"] for it in attempts} == set(lists)
    assert len({it["label"] for it in attempts}) == len(attempts)


def test_two_submissions_of_one_name_never_change_each_others_lists(platform: BypassPlatform) -> None:
    platform.store(ARCHIVE, "raw/f/a")
    platform.store(ARCHIVE, "raw/g/b")
    platform.submit(dataname=f"s3://{ARCHIVE}/raw/f/", folders="whole")
    first = platform.manifest(JOB)["attempts"][0]["parts"]
    before = platform.text(first)
    platform.submit(
        key=f"{GROUP}/submissions/2_submit.json", dataname=f"s3://{ARCHIVE}/raw/g/", folders="whole", timestamp="1"
    )
    second = platform.manifest(f"{JOB}-2")["attempts"][0]["parts"]
    assert platform.text(first) == before
    assert json.loads(platform.text(second))[0]["key"] == "raw/g/b"
