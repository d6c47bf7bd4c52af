"""Kept versions: read from a bucket, found by the beginning of an id, compared; what it takes to run them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ncap_compiler.template import MAX_LISTED
from ncap_compiler.version import version_id
from ncap_iac.aws import Content, Listing, StoredObject
from ncap_iac.deploy.version_reach import Ground, image_arn, reach_of
from ncap_iac.deploy.versions import (
    KeptVersion,
    changed_words,
    differences,
    document_of,
    find_id,
    known_id,
    parse_version,
    read_versions,
    short_environment,
    shown,
)
from ncap_iac.deploy.wanted import Version
from ncap_iac.errors import AccessError, NcapError, NotFoundError, UsageError

MOMENT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ARN = image_arn("aws", "us-east-1")


def document(**changes: Any) -> dict[str, Any]:
    """A version document with the id that belongs to it."""
    found: dict[str, Any] = {
        "schemaVersion": 1,
        "analysis": "lds",
        "bucket": "lds",
        "title": "A",
        "commit": "c" * 40,
        "environment": "iae:lds@sha256:" + "0" * 64,
        "imageId": "ami-00000000000000001",
        "launchTemplate": "neurocaas-lds",
        "command": None,
        "workingDirectory": None,
        "bundle": "b" * 64,
        "instanceTypes": ["m7i.large"],
        "allowedInstanceTypes": ["m7i.large", "m7i.xlarge"],
        "maxDurationMinutes": 60,
        "maxDatasetSizeGb": 10,
        "volumeGib": 20,
        "deployLimit": 100,
        "maxCostUsd": "300",
        "groups": ["demo"],
        "parametersSchema": {"type": "object", "properties": {"n": {"type": "integer"}}},
    } | changes
    return {"versionId": version_id(found), **found}


def kept(number: int = 0, **changes: Any) -> KeptVersion:
    found = document(**changes)
    return parse_version(json.dumps(found).encode(), found["versionId"], MOMENT + timedelta(hours=number))


@dataclass
class Bucket:
    """A bucket that counts who reads it at the same time."""

    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    error: Exception | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, version: KeptVersion) -> KeptVersion:
        body = json.dumps(version.document).encode()
        self.objects[f"versions/{version.version_id}.json"] = (body, version.written)
        return version

    def list(self, bucket: str, prefix: str = "", *, delimiter: str = "") -> Listing:
        if self.error:
            raise self.error
        found = (StoredObject(key, len(body), "e", when) for key, (body, when) in self.objects.items())
        return Listing(tuple(item for item in found if item.key.startswith(prefix)), ())

    def read(self, bucket: str, key: str) -> Content:
        with self.lock:
            self.reads.append(key)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.002)
        with self.lock:
            self.at_once -= 1
        return Content(self.objects[key][0], "e")


def filled(count: int) -> tuple[Bucket, list[KeptVersion]]:
    """A bucket of versions, the latest last."""
    bucket = Bucket()
    return bucket, [bucket.keep(kept(number, title=str(number))) for number in range(count)]


# --- reading ---


def test_versions_come_the_latest_first_and_other_objects_are_none() -> None:
    bucket, versions = filled(3)
    bucket.objects["versions/notes.txt"] = (b"", MOMENT)
    found = read_versions(bucket, "lds")
    assert [item.version_id for item in found] == [item.version_id for item in reversed(versions)]
    assert all(not item.problem for item in found)


def test_two_hundred_versions_cost_a_hundred_reads_several_at_a_time() -> None:
    bucket, versions = filled(200)
    oldest = versions[0].version_id
    found = read_versions(bucket, "lds", latest=100, also=oldest)
    assert len(bucket.reads) == 101
    assert bucket.most_at_once > 4
    assert [found[0].version_id, found[-1].version_id] == [versions[-1].version_id, oldest]


def test_without_a_bucket_there_are_no_versions() -> None:
    assert read_versions(Bucket(error=NotFoundError("no such bucket")), "lds") == ()


@pytest.mark.parametrize(
    "change",
    [
        {"command": "curl evil"},
        {"versionId": "v-0000000000000000"},
        {"groups": ["demo", "other"]},
    ],
)
def test_a_document_that_is_not_what_its_id_stands_for_has_a_problem(change: Mapping[str, Any]) -> None:
    found = document()
    body = json.dumps({**found, **change}).encode()
    assert "somebody wrote to it" in parse_version(body, found["versionId"], MOMENT).problem


def test_a_literal_image_cannot_be_exchanged_for_another() -> None:
    found = document(environment="ami-00000000000000001", imageId="ami-00000000000000002")
    assert "instead of its environment" in parse_version(json.dumps(found).encode(), found["versionId"], MOMENT).problem


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"null"])
def test_what_is_no_document_has_a_problem_and_breaks_nothing(body: bytes) -> None:
    found = parse_version(body, "v-0000000000000000", MOMENT)
    assert found.problem
    assert found.instance_types == ()


def test_commit_image_and_root_device_do_not_count() -> None:
    first, second = document(), document(commit=None, imageId="ami-9", rootDevice="/dev/sda1")
    assert first["versionId"] == second["versionId"]
    assert differences(first, second) == ()


def test_a_version_to_be_deployed_must_be_kept_as_it_is() -> None:
    good = kept()
    version = Version(good.version_id, "lds", f"versions/{good.version_id}.json", good.document)
    assert document_of(version, []) is None
    assert document_of(version, [kept(title="B"), good]) == good.document
    spoilt = parse_version(json.dumps({**good.document, "title": "B"}).encode(), good.version_id, MOMENT)
    with pytest.raises(NcapError) as caught:
        document_of(version, [spoilt])
    assert caught.value.where == f"s3://lds/versions/{good.version_id}.json"
    assert "list-object-versions" in caught.value.hint


# --- finding ---

IDS = ["v-01ab000000000000", "v-01ac000000000000", "v-9900000000000000"]


@pytest.mark.parametrize(("said", "found"), [("v-01ab", IDS[0]), ("99", IDS[2]), (IDS[1], IDS[1])])
def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(said: str, found: str) -> None:
    assert find_id(IDS, said, analysis="lds") == found


def test_an_ambiguous_beginning_is_refused() -> None:
    with pytest.raises(UsageError, match="the beginning of 2 versions: v-01ab000000000000, v-01ac"):
        find_id(IDS, "v-01a", analysis="lds")


def test_a_typo_gets_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        find_id(IDS, "v-9910", analysis="lds")
    assert "Did you mean v-9900000000000000?" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        find_id([], "v-9910", analysis="lds")
    assert caught.value.hint == "See `ncap blueprint versions lds`."


def test_members_who_may_not_list_versions_say_the_whole_id() -> None:
    bucket, (version,) = filled(1)
    assert known_id(bucket, "lds", version.version_id[:6]) == version.version_id
    closed = Bucket(error=AccessError("AccessDenied"))
    assert known_id(closed, "lds", IDS[0]) == IDS[0]
    with pytest.raises(UsageError, match="is no id of a version"):
        known_id(closed, "lds", "v-01ab")


# --- comparing ---


def test_what_changed_is_said_in_a_few_words_the_weightiest_first() -> None:
    before = document()
    after = document(instanceTypes=["c7i.large"], environment="iae:lds@sha256:" + "1" * 64, maxDurationMinutes=90)
    assert changed_words(None, before) == "the first"
    assert changed_words(before, after) == "environment, instance types, duration limit"


def test_schemas_and_commands_are_compared_line_by_line() -> None:
    before = document(command="run {}")
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "m": {"type": "number"}}}
    command, parameters = differences(before, document(command="run {} {}", parametersSchema=schema))
    assert command.lines[-2:] == ("-run {}", "+run {} {}")
    assert (parameters.before, parameters.after) == ("1 parameter", "2 parameters")
    assert '+    "m": {' in parameters.lines


def test_a_schema_that_appears_is_a_difference() -> None:
    (found,) = differences(document(parametersSchema=None), document())
    assert (found.before, found.after) == ("none", "1 parameter")


def test_fields_of_a_later_release_are_compared_too() -> None:
    (found,) = differences(document(), document(steps=["chain"]))
    assert (found.words, found.before, found.after) == ("steps", "none", "chain")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("volumeGib", 20, "20 GiB"), ("groups", [], "none"), ("groups", ["a", "b"], "a, b"), ("maxCostUsd", "3", "3 USD")],
)
def test_values_are_shown_with_their_units(name: str, value: object, text: str) -> None:
    assert shown(name, value) == text


def test_environments_are_shown_short() -> None:
    assert short_environment("iae:lds@sha256:" + "0123456789abcdef" * 4) == "lds@0123456789ab"
    assert short_environment("ami-1") == "ami-1"


# --- running ---

GROUND = Ground(("m7i.large",), "iae:lds@sha256:" + "0" * 64, "ami-00000000000000001", ARN)


def reach_images(versions: Sequence[KeptVersion], ground: Ground = GROUND) -> list[str]:
    return [arn.removeprefix(ARN) for arn in reach_of(ground, versions).images]


def test_types_of_kept_versions_join_the_blueprints_own_sorted() -> None:
    reach = reach_of(GROUND, [kept(instanceTypes=["c7i.large"]), kept(allowedInstanceTypes=["a1.large"])])
    assert reach.parameters["InstanceTypes"] == "a1.large,c7i.large,m7i.large,m7i.xlarge"
    assert reach.parameters["EarlierImages"] == ""


def test_images_of_the_environments_name_are_covered_by_its_tag() -> None:
    assert reach_images([kept(environment="iae:lds@sha256:" + "1" * 64, imageId="ami-2")]) == []


def test_literal_images_and_those_of_another_environment_are_listed() -> None:
    literal = kept(environment="ami-00000000000000abc", imageId="ami-00000000000000abc")
    other = kept(environment="iae:other@sha256:" + "1" * 64, imageId="ami-00000000000000def")
    assert reach_images([literal, other]) == ["ami-00000000000000abc", "ami-00000000000000def"]


def test_a_blueprint_with_a_literal_image_lists_every_other_image() -> None:
    ground = Ground(("m7i.large",), "ami-00000000000000abc", "ami-00000000000000abc", ARN)
    same = kept(environment="ami-00000000000000abc", imageId="ami-00000000000000abc")
    assert reach_images([same, kept()], ground) == ["ami-00000000000000001"]


def test_a_version_somebody_wrote_to_opens_nothing() -> None:
    spoilt = parse_version(json.dumps({**document(), "instanceTypes": ["p5.48xlarge"]}).encode(), "v-0", MOMENT)
    assert reach_of(GROUND, [spoilt]).types == ("m7i.large",)


def test_beyond_what_a_policy_holds_the_oldest_are_left_out_with_a_note() -> None:
    images = [f"ami-{number:017x}" for number in range(16, 56)]
    versions = [kept(number, environment=name, imageId=name) for number, name in enumerate(images)]
    reach = reach_of(GROUND, versions)
    assert len(reach.parameters["EarlierImages"]) <= MAX_LISTED
    assert list(reach.images) == [f"{ARN}{name}" for name in images[: len(reach.images)]]
    assert reach.left_out == len(versions) - len(reach.images) > 0
    assert f"{reach.left_out} of the kept versions" in reach.note


def test_a_blueprints_own_types_stay_however_many_there_are() -> None:
    own = tuple(f"m{number}i.large" for number in range(150))
    reach = reach_of(Ground(own, "", "", ARN), [kept(), kept(instanceTypes=["m1i.large"], allowedInstanceTypes=[])])
    assert set(reach.types) == set(own)
    assert reach.left_out == 2


def test_nothing_left_out_needs_no_note() -> None:
    assert reach_of(GROUND, [kept()]).note == ""
