"""Profiles that are several stacks: groups stay, members move safely, empty stacks go, regions differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ncap_compiler import groups_in
from ncap_iac import progress
from ncap_iac.deploy.plan import Plan
from ncap_iac.errors import NotFoundError
from ncap_iac.project import Kind
from ncap_iac.target import Target
from tests.command.fake_site import Site

FIRST, SECOND = "neurocaas-users-lab", "neurocaas-users-lab--2"
Groups = Mapping[str, Sequence[str]]
"""Members by group."""


class Lab:
    """A profile that changes, and what is deployed of it."""

    def __init__(self, folder: Path, root: Path) -> None:
        shutil.copytree(root / "protocols", folder / "protocols", ignore=shutil.ignore_patterns("__pycache__", "tests"))
        (folder / "ncap_blueprints").mkdir()
        self.path = folder / "user_profiles" / "lab" / "user_config_template.json"
        self.path.parent.mkdir(parents=True)
        self.site = Site(folder, Target("AWS"))

    def plan(self, groups: Groups) -> Plan:
        affiliates = [
            {"AffiliateName": name, "UserNames": list(members), "Pipelines": ["kalman-lds"]}
            for name, members in groups.items()
        ]
        self.path.write_text(json.dumps({"UXData": {"Affiliates": affiliates}}))
        return self.site.deployment.plan_document(Kind.PROFILE, self.path)

    def deploy(self, groups: Groups) -> list[str]:
        """Deploy, and tell what was called."""
        self.site.gateway.stacks.calls.clear()
        self.site.gateway.objects.buckets.add("neurocaas-artifacts-000000000000-us-east-1")
        self.site.deployment.apply(self.plan(groups))
        return list(self.site.gateway.stacks.calls)

    def template(self, stack: str) -> str:
        return self.site.gateway.stacks.stacks[stack].template

    def groups(self, stack: str) -> tuple[str, ...]:
        return groups_in(json.loads(self.template(stack)))

    def put(self, stack: str, groups: Groups) -> None:
        """Deploy these groups as that stack, as an earlier, fuller profile left them."""
        self.deploy(groups)
        template = self.template(FIRST)
        stacks = self.site.gateway.stacks.stacks
        stacks[stack] = replace(stacks.pop(FIRST), template=template.replace(FIRST, stack))


@pytest.fixture
def lab(tmp_path: Path, project_root: Path) -> Lab:
    return Lab(tmp_path, project_root)


def two_stacks(lab: Lab) -> None:
    """`alpha` with ada in the first stack, `beta` with bob in the second."""
    lab.put(SECOND, {"beta": ["bob"]})
    second = lab.site.gateway.stacks.stacks.pop(SECOND)
    lab.deploy({"alpha": ["ada"]})
    lab.site.gateway.stacks.stacks[SECOND] = second
    lab.deploy({"alpha": ["ada"], "beta": ["bob"]})
    assert (lab.groups(FIRST), lab.groups(SECOND)) == (("alpha",), ("beta",))


def test_a_group_stays_in_the_stack_it_is_in(lab: Lab) -> None:
    two_stacks(lab)
    assert lab.plan({"beta": ["bob"], "alpha": ["ada"]}).is_empty
    assert lab.deploy({"alpha": ["ada"], "beta": ["bob", "eve"]}) == [f"update {SECOND}"]
    assert lab.deploy({"alpha": ["ada"], "beta": ["bob", "eve"], "gamma": ["ida"]}) == [f"update {FIRST}"]


def test_a_stack_left_without_groups_is_deleted_and_the_plan_says_so(lab: Lab) -> None:
    two_stacks(lab)
    plan = lab.plan({"alpha": ["ada"]})
    assert [(stack.stack, stack.outcome.value) for stack in plan.stacks] == [(FIRST, "as wanted"), (SECOND, "deleted")]
    assert any("/neurocaas/members/bob" in care.text for care in plan.careful if care.destroys)
    assert lab.deploy({"alpha": ["ada"]}) == [f"delete {SECOND}"]
    assert lab.plan({"alpha": ["ada"]}).is_empty


def test_the_first_stack_goes_too_if_its_groups_do(lab: Lab) -> None:
    two_stacks(lab)
    assert lab.deploy({"beta": ["bob"]}) == [f"delete {FIRST}"]
    assert lab.plan({"beta": ["bob"]}).is_empty


@pytest.mark.parametrize(
    ("groups", "order"),
    [
        ({"alpha": ["ada", "bob"], "beta": []}, [SECOND, FIRST]),
        ({"alpha": [], "beta": ["ada", "bob"]}, [FIRST, SECOND]),
    ],
)
def test_a_member_leaves_one_stack_before_entering_the_other(lab: Lab, groups: Groups, order: list[str]) -> None:
    two_stacks(lab)
    plan = lab.plan(groups)
    mover = "bob" if order[0] == SECOND else "ada"
    assert f"{mover} moves to a group of another stack and gets another key." in plan.notes
    assert lab.deploy(groups) == [f"update {stack}" for stack in order]


def test_members_that_change_places_are_out_of_both_stacks_for_a_moment(lab: Lab) -> None:
    two_stacks(lab)
    swapped = {"alpha": ["bob"], "beta": ["ada"]}
    assert lab.deploy(swapped) == [f"update {name}" for name in (FIRST, SECOND, FIRST, SECOND)]
    halfway = [call["TemplateBody"] for call in lab.site.gateway.stacks.arguments[-4:-2]]
    assert not any('"UserName": "ada"' in text or '"UserName": "bob"' in text for text in halfway)
    assert lab.plan(swapped).is_empty


def test_what_the_first_stack_was_given_its_further_ones_get_too(lab: Lab) -> None:
    two_stacks(lab)
    lab.site.deployment = replace(lab.site.deployment, tags=(("CostCenter", "42"),))
    assert lab.deploy({"alpha": ["ada"], "beta": ["bob"]}) == [f"update {FIRST}", f"update {SECOND}"]
    lab.site.deployment = replace(lab.site.deployment, tags=())
    del lab.site.gateway.stacks.stacks[SECOND]
    many = {f"group{number}": [f"member{number}-{k}" for k in range(15)] for number in range(12)}
    lab.deploy({"alpha": ["ada"], **many})
    assert lab.site.gateway.stacks.stacks[SECOND].tags["CostCenter"] == "42"


def test_identities_of_another_region_are_not_made_again(lab: Lab) -> None:
    lab.site.gateway.roles["neurocaas-instance-alpha"] = FIRST
    plan = lab.plan({"alpha": ["ada"]})
    assert dict(plan.parameters)["WithIdentities"] == "false"
    assert any("another region" in note for note in plan.notes)
    assert not any(change.type.startswith("AWS::IAM") for change in plan.changes)


def test_a_role_of_somebody_else_is_no_reason_to_leave_identities_out(lab: Lab) -> None:
    lab.site.gateway.roles["neurocaas-instance-alpha"] = "neurocaas-users-other"
    assert "WithIdentities" not in dict(lab.plan({"alpha": ["ada"]}).parameters)


def test_looking_at_what_is_not_deployed_is_said(lab: Lab) -> None:
    lab.plan({"alpha": ["ada"]})
    deployment = lab.site.deployment
    assert deployment.stack_names(Kind.PROFILE, lab.path) == ()
    with pytest.raises(NotFoundError, match="not deployed"):
        deployment.deployed(deployment.stack_names(Kind.PROFILE, lab.path))


def test_a_deployment_finishes_a_failed_rollback_when_told(lab: Lab) -> None:
    two_stacks(lab)
    lab.site.gateway.stacks.stacks[SECOND].status = "UPDATE_ROLLBACK_FAILED"
    lab.site.deployment.prepare((FIRST, SECOND), finish_rollback=True)
    assert lab.site.gateway.stacks.stacks[SECOND].status == "UPDATE_ROLLBACK_COMPLETE"
    assert any(isinstance(event, progress.Note) and "is back" in event.text for event in lab.site.events)


def test_a_difference_shows_the_lines_that_change_and_nothing_else(lab: Lab) -> None:
    two_stacks(lab)
    found = lab.site.deployment.differences(lab.plan({"alpha": ["ada"], "beta": ["bob", "eve"]}))
    assert found[FIRST] == ""
    assert "+    UserName: eve" in found[SECOND] or "+  UserName: eve" in found[SECOND]
    assert "UserName: bob" not in found[SECOND]
