"""`Storage` of a profile: what is accepted, what it gives the group's instances, and who may look with their role."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ncap_compiler import DocumentError, compile_users, dump_profile, group_roles, load_profile, policies
from ncap_compiler.permissions import permissions
from ncap_compiler.profile import Storage
from ncap_compiler.template import MAX_TRUST_POLICY, policy_length
from tests.compiler.iam import filled, identity_statements, made, may

ARCHIVE = "arn:aws:s3:::lab-archive"
PLACES = [
    {"Bucket": "lab-archive", "Prefix": "raw", "Access": "read"},
    {"Bucket": "lab-archive", "Prefix": "out/", "Access": "write"},
    {"Bucket": "shared.data", "Access": "read"},
]


def profile(storage: Any, **more: Any) -> str:
    group = {"AffiliateName": "lab", "UserNames": ["ann"], "Pipelines": ["spikes", "poses"], "Storage": storage} | more
    return json.dumps({"UXData": {"Affiliates": [group]}})


def problems(storage: Any) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as caught:
        load_profile(profile(storage), file="p.json")
    return [
        (problem.id, problem.pointer.removeprefix("/UXData/Affiliates/0/Storage")) for problem in caught.value.problems
    ]


def instance_statements() -> list[dict[str, Any]]:
    (compiled,) = compile_users(load_profile(profile(PLACES), file="p.json"), name="labs")
    return identity_statements(made(compiled.template), "Role", "neurocaas-instance-lab")


def test_places_are_read_and_written_back() -> None:
    found = load_profile(profile(PLACES), file="p.json")
    assert found.groups[0].storage == (
        Storage("lab-archive", "raw/"),
        Storage("lab-archive", "out/", is_writable=True),
        Storage("shared.data"),
    )
    assert load_profile(dump_profile(found), file="p.json") == found


@pytest.mark.parametrize(
    ("action", "resource", "prefix", "wanted"),
    [
        ("s3:GetObject", f"{ARCHIVE}/raw/a", None, True),
        ("s3:GetObjectVersion", f"{ARCHIVE}/raw/a/b", None, True),
        ("s3:GetObject", f"{ARCHIVE}/out/a", None, True),
        ("s3:PutObject", f"{ARCHIVE}/out/a", None, True),
        ("s3:GetObject", "arn:aws:s3:::shared.data/anything", None, True),
        ("s3:ListBucket", ARCHIVE, "raw/", True),
        ("s3:ListBucketVersions", ARCHIVE, "out/job/", True),
        ("s3:ListBucket", "arn:aws:s3:::shared.data", "", True),
        ("s3:PutObject", f"{ARCHIVE}/raw/a", None, False),
        ("s3:PutObject", "arn:aws:s3:::shared.data/a", None, False),
        ("s3:GetObject", f"{ARCHIVE}/rawer/a", None, False),
        ("s3:GetObject", f"{ARCHIVE}/a", None, False),
        ("s3:DeleteObject", f"{ARCHIVE}/out/a", None, False),
        ("s3:ListBucket", ARCHIVE, "", False),
        ("s3:ListBucket", ARCHIVE, "raw", False),
        ("s3:ListBucket", "arn:aws:s3:::spikes", "", False),
    ],
)
def test_instances_of_the_group_get_exactly_these_rights(
    action: str, resource: str, prefix: str | None, wanted: bool
) -> None:
    context = {} if prefix is None else {"s3:prefix": prefix}
    assert may(instance_statements(), action, resource, context) is wanted


@pytest.mark.parametrize(
    ("place", "problem_id"),
    [
        ({"Bucket": "spikes", "Access": "read"}, "P211"),
        ({"Bucket": "poses", "Prefix": "lab/results", "Access": "write"}, "P211"),
        ({"Bucket": "neurocaas-artifacts-123456789012-us-east-1", "Access": "read"}, "P211"),
        ({"Bucket": "s3://lab-archive", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive/raw", "Access": "read"}, "P210"),
        ({"Bucket": "Lab", "Access": "read"}, "P210"),
        ({"Bucket": "*", "Access": "read"}, "P210"),
        ({"Bucket": "192.168.0.1", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "/raw", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "raw/../x", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "raw//x", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "*", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "ra?", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "${aws:username}", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Prefix": "a\nb", "Access": "read"}, "P210"),
        ({"Bucket": "lab-archive", "Access": "all"}, "P104"),
        ({"Bucket": "lab-archive"}, "P101"),
        ({"Access": "read"}, "P101"),
        ({"Bucket": "lab-archive", "Access": "read", "Key": "x"}, "P102"),
    ],
)
def test_a_place_that_cannot_be_one_is_named_with_its_line(place: dict[str, str], problem_id: str) -> None:
    ((found, pointer),) = problems([place])
    assert (found, pointer[:2]) == (problem_id, "/0")


def test_one_place_is_listed_once() -> None:
    assert problems([PLACES[0], {"Bucket": "lab-archive", "Prefix": "raw/", "Access": "write"}]) == [("P210", "/1")]


def test_many_places_make_as_many_policies_as_iam_asks_for() -> None:
    places = [{"Bucket": f"bucket-of-a-long-name-{n:03d}", "Prefix": "x" * 60, "Access": "write"} for n in range(60)]
    (compiled,) = compile_users(load_profile(profile(places), file="p.json"), name="labs")
    statements = identity_statements(made(compiled.template), "Role", "neurocaas-instance-lab")
    for place in places:
        assert may(statements, "s3:PutObject", f"arn:aws:s3:::{place['Bucket']}/{place['Prefix']}/a")


def trusts(analyses: list[str]) -> list[str]:
    *_, statement = filled(group_roles.instance_trust(analyses))["Statement"]
    told = statement.get("Condition", {}).get("ArnLike", {}).get("aws:PrincipalArn", [])
    return [told] if isinstance(told, str) else list(told)


def test_a_groups_role_trusts_the_job_managers_of_its_analyses() -> None:
    role = "arn:aws:iam::123456789012:role/neurocaas/neurocaas-submit-"
    assert trusts(["spikes", "poses"]) == [f"{role}spikes", f"{role}poses"]
    assert trusts([]) == []


def test_the_trust_of_a_group_of_very_many_analyses_keeps_within_iams_length() -> None:
    many = [f"analysis-of-a-long-name-number-{n}" for n in range(60)]
    assert trusts(many) == ["arn:aws:iam::123456789012:role/neurocaas/neurocaas-submit-*"]
    for count in range(60):
        assert policy_length(group_roles.instance_trust(many[:count])) <= MAX_TRUST_POLICY


def test_a_job_manager_takes_the_roles_of_its_groups_and_no_other() -> None:
    statements = filled(policies.pass_policy(["lab", "other"]))["Statement"]
    role = "arn:aws:iam::123456789012:role/neurocaas/instances/neurocaas-instance-"
    assert may(statements, "sts:AssumeRole", f"{role}lab")
    assert may(statements, "sts:AssumeRole", f"{role}other")
    assert not may(statements, "sts:AssumeRole", f"{role}third")


def test_a_plan_says_in_words_who_may_act_as_whom_and_what_a_place_gives() -> None:
    (compiled,) = compile_users(load_profile(profile(PLACES), file="p.json"), name="labs")
    resources = json.loads(compiled.template)["Resources"]
    said = "\n".join(sentence for name in resources for sentence in permissions(name, resources))
    assert "ec2.amazonaws.com may act as neurocaas-instance-lab" in said
    told = "iam role/neurocaas/neurocaas-submit-spikes or iam role/neurocaas/neurocaas-submit-poses"
    account = "whoever of this account has the right may act as neurocaas-instance-lab"
    assert f"{account}, if aws:PrincipalArn is like {told}" in said
    assert "neurocaas-instance-lab may s3:AbortMultipartUpload, s3:PutObject on s3://lab-archive/out/*" in said
