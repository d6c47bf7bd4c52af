"""Profiles: what is accepted, what it means, and how each mistake is told."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.profile import Budget, Profile, dump_profile, load_profile
from tests.compiler.documents import minimal_profile, text


def load(document: Any) -> Profile:
    return load_profile(text(document), file="profile.json")


def with_group(**changes: Any) -> dict[str, Any]:
    document = minimal_profile()
    document["UXData"]["Affiliates"][0] |= changes
    return document


def with_second(**group: Any) -> dict[str, Any]:
    document = minimal_profile()
    document["UXData"]["Affiliates"].append({"AffiliateName": "two", "UserNames": [], "Pipelines": ["spikes"]} | group)
    return document


def only(document: Any) -> Problem:
    with pytest.raises(DocumentError) as caught:
        load(document)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


def test_the_smallest_profile_gets_the_defaults() -> None:
    (group,) = load(minimal_profile()).groups
    assert (group.name, group.members, group.analyses) == ("lab", ("ann",), ("spikes",))
    assert (group.key_serial, group.budgets) == (1, ())


def test_one_name_may_stand_for_a_list() -> None:
    (group,) = load(with_group(UserNames="ann", Pipelines="spikes", KeySerialNumber="2")).groups
    assert (group.members, group.analyses, group.key_serial) == (("ann",), ("spikes",), 2)


@pytest.mark.parametrize("contact", ["a@example.org", ["a@example.org"], {"ann": "a@example.org"}])
def test_contacts_are_accepted_in_all_three_shapes_and_kept(contact: Any) -> None:
    profile = load(with_group(ContactEmail=contact))
    assert load_profile(dump_profile(profile), file="profile.json") == profile
    assert [field.pointer for field in profile.ignored] == ["/UXData/Affiliates/0/ContactEmail"]


def test_fields_without_effect_are_noticed() -> None:
    document = with_group(PipelineDir=["x"]) | {"STAGE": "webusercentric", "Lambda": {"LambdaConfig": {"REGION": "x"}}}
    profile = load(document)
    assert [field.pointer for field in profile.ignored] == ["/STAGE", "/Lambda", "/UXData/Affiliates/0/PipelineDir"]
    (notice,) = profile.notices
    assert (notice.id, notice.message) == ("N201", "accepted and without effect: Lambda, PipelineDir")
    assert load_profile(dump_profile(profile), file="profile.json") == profile


@pytest.mark.parametrize(("budget", "read"), [(25, "25"), ("12.50", "12.5"), (0, "0"), ({"total": 25.25}, "25.25")])
@pytest.mark.parametrize("analyses", [[], ["spikes"], ["spikes", "poses"]])
def test_one_amount_is_the_total_over_all_analyses(budget: Any, read: str, analyses: list[str]) -> None:
    assert load(with_group(Pipelines=analyses, Budget=budget)).groups[0].budgets == (Budget("total", read),)


def test_a_budget_by_analysis_may_hold_a_total_too() -> None:
    profile = load(with_group(Pipelines=["spikes", "poses"], Budget={"total": 40, "spikes": "0"}))
    assert profile.groups[0].budgets == (Budget("spikes", "0"), Budget("total", "40"))
    assert load_profile(dump_profile(profile), file="profile.json") == profile


def test_total_is_no_name_of_an_analysis() -> None:
    assert only(with_group(Pipelines=["total"])).id == "P204"


def test_suspended_members_and_collaborators_are_read_and_written() -> None:
    profile = load(with_group(UserNames=["ann", "bob"], Suspended="bob", Collaborators=["other-lab", "elsewhere"]))
    assert (profile.groups[0].suspended, profile.groups[0].collaborators) == (("bob",), ("other-lab", "elsewhere"))
    assert load_profile(dump_profile(profile), file="profile.json") == profile


def test_only_a_member_can_be_suspended() -> None:
    problem = only(with_group(Suspended=["Ann"]))
    assert (problem.id, problem.pointer, problem.hint) == (
        "P207",
        "/UXData/Affiliates/0/Suspended/0",
        "Did you mean `ann`?",
    )


@pytest.mark.parametrize("name", ["lab", "no group", "-x"])
def test_a_collaborator_is_another_group(name: str) -> None:
    assert only(with_group(Collaborators=[name])).id == "P208"


def test_a_budget_for_an_analysis_the_group_does_not_use_is_refused() -> None:
    problem = only(with_group(Budget={"spikes": 1, "poses": 2}))
    assert (problem.id, problem.pointer) == ("P205", "/UXData/Affiliates/0/Budget/poses")


def test_a_budget_needs_a_group_name_systems_manager_takes() -> None:
    assert only(with_group(AffiliateName="ann@lab", Budget=5)).id == "P205"
    assert load(with_group(AffiliateName="ann@lab")).groups[0].name == "ann@lab"


@pytest.mark.parametrize("budget", [-1, "lots", {"spikes": -1}, {"spikes": "lots"}])
def test_an_amount_is_a_number_from_zero(budget: Any) -> None:
    assert only(with_group(Budget=budget)).id in ("P105", "P106")


def test_a_member_belongs_to_one_group() -> None:
    problem = only(with_second(UserNames=["Ann"]))
    assert (problem.id, problem.pointer) == ("P203", "/UXData/Affiliates/1/UserNames/0")


def test_group_names_are_compared_as_iam_does() -> None:
    assert only(with_second(AffiliateName="LAB")).id == "P202"


@pytest.mark.parametrize("member", ["a b", "-ann", "a/b", "n" * 65, "ann\n"])
def test_a_member_name_must_suit_user_and_secret(member: str) -> None:
    assert only(with_group(UserNames=[member])).id == "P206"


def test_an_address_is_a_member_name() -> None:
    assert load(with_group(UserNames=["ann+x@example.org"])).groups[0].members == ("ann+x@example.org",)


def test_an_analysis_must_have_a_name_a_bucket_can_have() -> None:
    assert only(with_group(Pipelines=["My_Pipeline"])).id == "P204"


def test_a_joining_code_is_refused_because_it_is_a_secret() -> None:
    problem = only(with_group(GroupCode="x"))
    assert problem.id == "P108"
    assert "secret" in (problem.hint or "")
