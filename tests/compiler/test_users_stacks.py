"""The users stacks of a profile: who is in which, what moves nobody, what is shared, what is put on hold."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ncap_compiler import groups_in
from ncap_compiler.compare import Verb, compare_templates
from ncap_compiler.compiler import CompiledUsers, compile_users
from ncap_compiler.errors import DocumentError
from ncap_compiler.placement import FULL_RESOURCES, Weight, place
from ncap_compiler.template import policy_length
from tests.compiler import compiled
from tests.compiler.iam import identity_statements, made, may

Groups = list[dict[str, Any]]


def stacks(groups: Groups, placement: dict[str, int] | None = None) -> tuple[CompiledUsers, ...]:
    return compile_users(compiled.profile(groups), name="people", placement=placement)


def template(groups: Groups) -> str:
    (only,) = stacks(groups)
    return only.template


def many(count: int, **more: Any) -> Groups:
    return [compiled.group(f"group-{number}", **more) for number in range(count)]


def resources(text: str, *types: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in json.loads(text)["Resources"].values() if one["Type"] in types]


# --- which group is where ---


def test_a_profile_of_three_hundred_groups_fits_in_stacks_with_room_to_grow() -> None:
    found = compiled.large_profile()
    assert [stack.stack_name for stack in found[:2]] == ["neurocaas-users-large", "neurocaas-users-large--2"]
    assert [stack.number for stack in found] == list(range(1, len(found) + 1))
    assert [group for stack in found for group in stack.groups] == [f"group-{number}" for number in range(300)]
    for stack in found:
        assert len(json.loads(stack.template)["Resources"]) <= FULL_RESOURCES
        assert groups_in(json.loads(stack.template)) == stack.groups


def test_a_group_stays_where_it_is_whatever_happens_to_the_others() -> None:
    before = stacks(many(60))
    placement = {group: stack.number for stack in before for group in stack.groups}
    fewer = [group for group in many(60) if group["AffiliateName"] not in ("group-0", "group-7")]
    after = stacks([compiled.group("first-in-the-text"), *fewer], placement)
    where = {group: stack.number for stack in after for group in stack.groups}
    assert {name: number for name, number in where.items() if name in placement} == {
        name: number for name, number in placement.items() if name in where
    }
    assert where["first-in-the-text"] == 1


def test_a_stack_left_without_groups_is_not_compiled_and_its_number_stays_free() -> None:
    found = stacks(many(2), {"group-0": 1, "group-1": 3})
    assert [(stack.number, stack.groups) for stack in found] == [(1, ("group-0",)), (3, ("group-1",))]


def test_a_group_that_outgrew_its_stack_is_told_with_a_remedy() -> None:
    placed = {f"group-{number}": 1 for number in range(60)}
    with pytest.raises(DocumentError) as caught:
        stacks(many(60), placed)
    (problem,) = caught.value.problems
    assert (problem.id, problem.file, problem.pointer) == ("T101", "neurocaas-users-people", "/Resources")
    assert problem.hint
    assert "another profile" in problem.hint


def test_groups_fill_the_first_stack_with_room_by_number_and_by_bytes() -> None:
    half = Weight(FULL_RESOURCES // 2, 10)
    assert place({"a": half, "b": half, "c": Weight(1, 10)}, {}) == {1: ("a", "b"), 2: ("c",)}
    assert place({"a": half, "big": Weight(FULL_RESOURCES, 10), "c": half}, {}) == {1: ("a", "c"), 2: ("big",)}
    assert place({"a": Weight(1, 700_000), "b": Weight(1, 700_000)}, {}) == {1: ("a",), 2: ("b",)}
    assert place({"huge": Weight(501, 10)}, {}) == {1: ("huge",)}
    assert place({}, {"gone": 4}) == {}


def test_a_template_of_another_kind_names_no_groups() -> None:
    assert groups_in(json.loads(compiled.account())) == ()
    assert groups_in({"Metadata": {"NeuroCAAS": []}}) == ()


def test_a_group_takes_three_resources_and_a_member_three_more() -> None:
    for members in (0, 1, 5):
        group = compiled.group("lab", UserNames=[f"m{number}" for number in range(members)])
        assert len(json.loads(template([group]))["Resources"]) == 3 + 3 * members


# --- members ---


def keys_changed(before: Groups, after: Groups) -> set[str]:
    changes = compare_templates(template(before), template(after))
    keys = [change for change in changes if change.type in ("AWS::IAM::AccessKey", "AWS::SecretsManager::Secret")]
    return {change.resource for change in keys if change.replaces or change.verb is not Verb.CHANGED}


def test_adding_a_member_or_a_group_touches_no_other() -> None:
    before = many(3)
    after = copy.deepcopy(before)
    after[1]["UserNames"].append("late")
    after.insert(0, compiled.group("another"))
    found = compare_templates(template(before), template(after))
    assert {change.verb for change in found} == {Verb.ADDED}


def test_moving_a_member_within_a_stack_keeps_everybodys_key() -> None:
    before = many(3)
    after = copy.deepcopy(before)
    after[2]["UserNames"].append(after[0]["UserNames"].pop())
    assert keys_changed(before, after) == set()
    (user, *others) = [one for one in compare_templates(template(before), template(after)) if one.granted]
    assert (user.granted, user.revoked, others) == (
        ("group-0-b is in neurocaas-group-2",),
        ("group-0-b is in neurocaas-group-0",),
        [],
    )


def test_another_serial_gives_other_keys_to_the_members_of_that_group_only() -> None:
    before = many(2)
    after = copy.deepcopy(before)
    after[0]["KeySerialNumber"] = 2
    changed = [change for change in compare_templates(template(before), template(after)) if change.replaces]
    assert [change.type for change in changed] == ["AWS::IAM::AccessKey"] * 2


def test_a_suspended_member_keeps_the_account_and_loses_the_rights() -> None:
    made_ = made(compiled.users())
    (key,) = [one for one in made_.values() if one["Type"] == "AWS::IAM::AccessKey" and "MemberDan" in str(one)]
    assert key["Properties"]["Status"] == "Inactive"
    assert identity_statements(made_, "User", "dan") == []
    again = copy.deepcopy(compiled.GROUPS)
    del again[0]["Suspended"]
    assert keys_changed(compiled.GROUPS, again) == set()


def test_without_identities_only_budgets_are_made() -> None:
    budgets = made(compiled.users(), WithIdentities="false")
    assert {one["Type"] for one in budgets.values()} == {"AWS::SSM::Parameter"}
    assert {one["Properties"]["Name"].rpartition("/")[2] for one in budgets.values()} == {"spikes", "total"}


# --- many analyses ---


def test_a_group_may_use_sixty_analyses() -> None:
    """More than the ten of the predecessor: what an inline policy cannot hold is in managed ones, none over a limit."""
    analyses = [f"an-analysis-of-usual-length-{number}" for number in range(60)]
    text = template([compiled.group("some-laboratory", Pipelines=analyses)])
    found = made(text)
    for kind, name, action, folder in (
        ("Group", "neurocaas-some-laboratory", "s3:GetObject", "results"),
        ("Group", "neurocaas-some-laboratory", "s3:PutObject", "submissions"),
        ("Role", "neurocaas-instance-some-laboratory", "s3:PutObject", "results"),
    ):
        policy = identity_statements(found, kind, name)
        for analysis in analyses:
            assert may(policy, action, f"arn:aws:s3:::{analysis}/some-laboratory/{folder}/x"), analysis
        assert not may(policy, action, f"arn:aws:s3:::another/some-laboratory/{folder}/x")
    managed = resources(text, "AWS::IAM::ManagedPolicy")
    assert managed
    assert all(policy_length(policy["PolicyDocument"]) <= 6_144 for policy in managed)
    names = [policy["ManagedPolicyName"] for policy in managed if "Groups" in policy]
    assert names == [f"neurocaas-some-laboratory-{number}" for number in range(2, len(names) + 2)]


def test_one_more_analysis_changes_only_the_last_policy() -> None:
    analyses = [f"an-analysis-of-usual-length-{number}" for number in range(41)]
    before, after = (template([compiled.group("lab", Pipelines=used)]) for used in (analyses[:40], analyses))
    changes = compare_templates(before, after)
    assert all("Policy" in change.resource for change in changes)
    assert 1 <= len(changes) <= 2 * 2


def test_more_analyses_than_iam_takes_are_told_with_a_remedy() -> None:
    analyses = [f"an-analysis-with-a-rather-long-name-and-the-number-{number}" for number in range(400)]
    with pytest.raises(DocumentError) as caught:
        template([compiled.group("lab", Pipelines=analyses)])
    problem, *_ = [problem for problem in caught.value.problems if problem.id == "T107"]
    assert problem.pointer.startswith("/Resources/Group")
    assert problem.hint


# --- collaborators ---


def readers(text: str, name: str) -> list[Any]:
    (policy,) = [one for one in resources(text, "AWS::IAM::ManagedPolicy") if one["ManagedPolicyName"] == name]
    groups: list[Any] = policy["Groups"]
    return groups


def test_results_are_shared_with_a_group_of_the_same_stack_by_reference_and_of_another_profile_by_name() -> None:
    groups = [compiled.group("lab", Collaborators=["other", "elsewhere"]), compiled.group("other")]
    by_reference, by_name = readers(template(groups), "neurocaas-shared-lab")
    assert by_reference["Ref"].startswith("GroupOther")
    assert by_name == "neurocaas-elsewhere"


def test_stacks_of_a_profile_share_without_waiting_for_each_other() -> None:
    """Each holds what its own groups may read: no stack names a group another one has yet to make."""
    groups = [
        compiled.group("lab", Collaborators=["near", "far", "elsewhere"]),
        compiled.group("near", Collaborators=["lab"]),
        compiled.group("far", Collaborators=["lab"]),
    ]
    first, second = stacks(groups, {"lab": 1, "near": 1, "far": 2})
    assert readers(first.template, "neurocaas-shared-lab")[1:] == ["neurocaas-elsewhere"]
    assert [list(reader) for reader in readers(second.template, "neurocaas-shared-lab=2=1")] == [["Ref"]]
    assert len(readers(first.template, "neurocaas-shared-far")) == 1
    assert "neurocaas-shared-near" not in second.template
    names = [
        one["ManagedPolicyName"]
        for stack in (first, second)
        for one in resources(stack.template, "AWS::IAM::ManagedPolicy")
    ]
    assert len(names) == len(set(names)) == 4


def test_a_group_without_collaborators_or_analyses_shares_nothing() -> None:
    groups = [compiled.group("lab"), compiled.group("other", Pipelines=[], Collaborators=["lab"])]
    assert resources(template(groups), "AWS::IAM::ManagedPolicy") == []


def test_results_of_many_analyses_are_shared_in_parts() -> None:
    stack = compiled.large_profile()[0].template
    found = made(stack)
    policy = identity_statements(found, "Group", "neurocaas-group-1")
    for number in range(60):
        assert may(policy, "s3:GetObject", f"arn:aws:s3:::an-analysis-of-usual-length-{number}/group-0/results/x")
    last = made(compiled.large_profile()[-1].template)
    elsewhere = identity_statements(last, "Group", "neurocaas-group-299")
    assert may(elsewhere, "s3:GetObject", "arn:aws:s3:::an-analysis-of-usual-length-59/group-0/results/x")
