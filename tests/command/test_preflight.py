"""Preflight's judgements on facts kept as files, and what it asks for, made of the compiled documents."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.documents import Compiled
from ncap_iac.errors import ExitCode
from ncap_iac.local import policy
from ncap_iac.preflight import checks as judge
from ncap_iac.preflight import facts, places
from ncap_iac.preflight.checks import Cause, Finding, Verdict
from ncap_iac.preflight.permissions import ACTIONS, WITHOUT_ACTIONS, asked_of, principal_of
from ncap_iac.preflight.run import exit_code, needs_of
from ncap_iac.project import Kind, Project

FILES = sorted((Path(__file__).parent / "preflight_facts").glob("*.json"))


def load(kind: Any, data: Any) -> Any:
    """A fact from JSON: dataclasses, enums, tuples of either."""
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        kinds = [inner[0]] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(load(one, item) for one, item in zip(kinds, data, strict=True))
    if isinstance(kind, types.UnionType) or data is None:
        return data
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: load(hints[name], value) for name, value in data.items()})
    return kind(data) if isinstance(kind, type) and issubclass(kind, Enum) else data


def findings(case: dict[str, Any]) -> Iterator[Finding]:
    """Every judgement of one file of facts."""
    needs = load(facts.Needs, case["needs"])
    kinds = load(tuple[facts.MachineType, ...], case["types"])
    region = load(facts.Region, case["region"])
    images = load(tuple[facts.Image, ...], case["images"])
    yield from judge.judge_identity(load(facts.Identity, case["identity"]))
    yield from judge.judge_region(region)
    yield from judge.judge_wanted_region(region.name, needs)
    yield from judge.judge_reach(load(tuple[facts.Reach, ...], case["reach"]))
    yield from judge.judge_permissions(load(facts.Simulation, case["simulation"]))
    yield from judge.judge_vcpus(needs, kinds, [tuple(limit) for limit in case["limits"]])
    yield from judge.judge_concurrency(needs, load(facts.Concurrency, case["concurrency"]))
    for quota, wanted in case["quotas"]:
        yield from judge.judge_quota(load(facts.Quota, quota), wanted)
    yield from places.judge_types(needs, kinds)
    for analysis, image in zip(needs.analyses, images, strict=True):
        yield from places.judge_image(analysis, image, is_local=False)
    for bucket in load(tuple[facts.Bucket, ...], case["buckets"]):
        yield from places.judge_bucket(bucket)
    yield from places.judge_network(load(facts.Network, case["network"]))
    yield from places.judge_boundary(load(facts.Boundary, case["boundary"]))
    yield from places.judge_key(load(facts.Key, case["key"]), region.name)
    yield from places.judge_deployment(load(facts.Deployment, case["deployment"]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_facts_are_judged_as_their_file_says(file: Path) -> None:
    case = json.loads(file.read_text())
    found = list(findings(case))
    assert [[item.check, item.subject, item.verdict.value] for item in found if item.verdict is not Verdict.OK] == (
        case["expected"]
    )
    assert exit_code(found) == case["exit_code"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_whatever_stands_in_the_way_says_what_it_means_and_what_to_do(file: Path) -> None:
    for item in findings(json.loads(file.read_text())):
        assert item.found
        if item.verdict in (Verdict.PROBLEM, Verdict.WARNING):
            assert item.meaning, item
        if item.verdict is Verdict.PROBLEM:
            assert item.advice.endswith((".", "`", "…")), item


def test_the_exit_code_tells_permissions_from_quotas_from_the_rest() -> None:
    def one(verdict: Verdict, cause: Cause) -> Finding:
        return Finding("x", "x", verdict, "x", cause=cause)

    quota, access, other = (one(Verdict.PROBLEM, cause) for cause in Cause)
    assert exit_code([one(Verdict.WARNING, Cause.ACCESS), one(Verdict.UNKNOWN, Cause.OTHER)]) is ExitCode.DONE
    assert exit_code([quota]) is ExitCode.LIMIT
    assert exit_code([quota, other]) is ExitCode.FAILED
    assert exit_code([quota, other, access]) is ExitCode.DENIED


@pytest.mark.parametrize(
    ("kind", "quota"),
    [("m7i.large", "Standard"), ("im4gn.large", "Standard"), ("g5.xlarge", "G and VT"), ("vt1.3xlarge", "G and VT"),
     ("p5.48xlarge", "P"), ("u-6tb1.metal", "High Memory"), ("x2idn.16xlarge", "X"), ("trn1.2xlarge", "Trn"),
     ("mac2.metal", None)],
)  # fmt: skip
def test_an_instance_type_counts_against_its_family_s_quota(kind: str, quota: str | None) -> None:
    found = judge.vcpu_quota(kind)
    assert (found and found[1]) == quota


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:iam::1:user/people/ann", "user", "ann"),
        ("arn:aws:iam::1:root", "root", ""),
        ("arn:aws:sts::1:assumed-role/Deploy/session", "role", "Deploy"),
        ("arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0f/me@lab.org", "role", "AWSReservedSSO_Admin_0f"),
        ("arn:aws-cn:sts::1:federated-user/bob", "federated", "bob"),
    ],
)
def test_a_caller_s_arn_says_whose_policies_count(arn: str, kind: str, name: str) -> None:
    assert principal_of(arn) == (kind, name)


@pytest.fixture(scope="module")
def needs(project_root: Path) -> facts.Needs:
    project = Project(project_root)
    compiled = Compiled(project)
    documents = [(kind, path) for kind in Kind for path in project.documents(kind)]
    wanted = [compiled.account(), *(stack for kind, path in documents for stack in compiled.stacks(kind, path))]
    return needs_of(wanted, [], (("PermissionsBoundary", "arn:x"), ("KmsKeyArn", "arn:y")))


def test_every_resource_type_of_our_stacks_has_its_permissions(needs: facts.Needs) -> None:
    assert set(needs.resource_types) <= set(ACTIONS) | WITHOUT_ACTIONS


def test_what_is_asked_names_our_own_things_and_each_action_of_their_service(needs: facts.Needs) -> None:
    asked = asked_of(needs, account="123456789012", region="eu-west-1", partition="aws")
    assert all("{" not in one.resource for one in asked)
    assert any(one.resource.startswith("arn:aws:iam::123456789012:role/neurocaas/") for one in asked)
    for one in asked:
        if one.resource != "*":
            service = one.resource.split(":")[2]
            assert {action.partition(":")[0] for action in one.actions} == {service}


def test_concurrency_is_what_the_templates_reserve(needs: facts.Needs) -> None:
    reserved = dict(needs.reserved)
    assert reserved["neurocaas-instance-sweeper"] == 1
    assert reserved["neurocaas-submit-kalman-lds"] == 10


def test_a_local_cloud_builds_the_image_it_lacks() -> None:
    analysis = facts.Analysis("a", "iae:a@sha256:0", ("m5.large",), ("m5.large",), 1, 20)
    found = list(places.judge_image(analysis, facts.Image("iae:a@sha256:0"), is_local=True))
    assert [item.verdict for item in found] == [Verdict.OK]


def test_no_network_and_an_empty_one_are_problems() -> None:
    for network in (facts.Network(None, is_default=True), facts.Network("vpc-1", is_default=False)):
        assert [item.verdict for item in places.judge_network(network)] == [Verdict.PROBLEM]


# --- the role the documentation proposes ---

ACCOUNT, BOUNDARY = "111122223333", "arn:aws:iam::111122223333:policy/neurocaas-boundary"


def may(statements: tuple[policy.Statement, ...], action: str, resource: str, **context: str) -> bool:
    given = {"iam:PassedToService": "lambda.amazonaws.com", **context}
    values = {key.lower(): (value,) for key, value in given.items()}
    return policy.decide(policy.Authority(statements), policy.Access(action, resource, values)) is policy.Decision.ALLOW


@pytest.fixture(scope="module")
def role(project_root: Path) -> tuple[policy.Statement, ...]:
    return policy.parse_policy((project_root / "docs/iam/deploy-role.json").read_text())


def test_the_documented_role_is_enough_for_every_stack(needs: facts.Needs, role: tuple[policy.Statement, ...]) -> None:
    asked = asked_of(needs, account=ACCOUNT, region="eu-west-1", partition="aws")
    context = {"iam:PermissionsBoundary": BOUNDARY}
    refused = [
        (action, one.resource)
        for one in asked
        for action in one.actions
        if not may(role, action, one.resource, **context)
    ]
    assert refused == []


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/x", {}),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/x", {"iam:PermissionsBoundary": "arn:aws:iam::x"}),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/x", {}),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/neurocaas-deploy", {"iam:PermissionsBoundary": BOUNDARY}),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {}),
        ("iam:CreatePolicyVersion", BOUNDARY, {}),
        ("iam:DeleteRolePermissionsBoundary", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/x", {}),
        ("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/operator", {}),
        ("s3:GetObject", "arn:aws:s3:::kalman-lds/demo/results/x", {}),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:/neurocaas/members/a",
            {},
        ),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {}),
    ],
)
def test_the_documented_role_cannot_become_stronger_than_itself_or_read_data(
    role: tuple[policy.Statement, ...], action: str, resource: str, context: dict[str, str]
) -> None:
    assert not may(role, action, resource, **context)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/instances/neurocaas-instance-demo"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/neurocaas-submit-kalman-lds"),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/neurocaas-development-x"),
        ("ec2:TerminateInstances", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"),
        ("ssm:StartSession", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"),
        ("s3:GetObject", "arn:aws:s3:::kalman-lds/demo/results/x"),
        ("s3:GetObject", f"arn:aws:s3:::neurocaas-artifacts-{ACCOUNT}-eu-west-1/bundles/x.zip"),
    ],
)
def test_the_documented_developer_reaches_no_data_of_users_and_no_machine_of_jobs(
    project_root: Path, action: str, resource: str
) -> None:
    developer = policy.parse_policy((project_root / "docs/iam/developer-role.json").read_text())
    given = {"iam:PassedToService": "ec2.amazonaws.com"}
    assert not may(developer, action, resource, **given)
    own = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"
    assert may(developer, "ec2:StopInstances", own, **{"aws:ResourceTag/neurocaas:development": "On"})


def test_the_documented_policies_fit_into_a_managed_policy(project_root: Path) -> None:
    for name in ("deploy-role.json", "developer-role.json", "boundary.json"):
        document = json.loads((project_root / "docs/iam" / name).read_text())
        assert len(json.dumps(document, separators=(",", ":"))) <= 6_144


def test_the_boundary_holds_every_action_of_the_compiled_roles_and_users(project_root: Path) -> None:
    boundary = policy.parse_policy((project_root / "docs/iam/boundary.json").read_text())
    project = Project(project_root)
    compiled = Compiled(project)
    stacks = [compiled.account()]
    stacks += [stack for kind in Kind for path in project.documents(kind) for stack in compiled.stacks(kind, path)]
    resources = [one for stack in stacks for one in json.loads(stack.template)["Resources"].values()]
    actions = {action for one in resources for action in allowed_actions(one)}
    assert len(actions) > 20
    place = f"arn:aws:iam::{ACCOUNT}:role/neurocaas/instances/x"
    assert [action for action in sorted(actions) if not may(boundary, action, place)] == []


def allowed_actions(resource: dict[str, Any]) -> Iterator[str]:
    """What the identity policies of a role, group or policy of a template allow."""
    properties = resource.get("Properties", {})
    if not resource["Type"].startswith("AWS::IAM::"):
        return
    documents = [*(item["PolicyDocument"] for item in properties.get("Policies", ())), properties.get("PolicyDocument")]
    for document in filter(None, documents):
        for statement in document["Statement"]:
            said = statement.get("Fn::If", [None, statement])[1]
            if said.get("Effect") == "Allow":
                yield from [said["Action"]] if isinstance(said["Action"], str) else said["Action"]
