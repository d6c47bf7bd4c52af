"""Plans as files: the same plan comes back, and a file that is altered, cut, or for elsewhere is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ncap_iac.deploy.apply import apply
from ncap_iac.deploy.plan import DeleteStack, Plan, StackAction
from ncap_iac.deploy.saved_plan import SavedPlan, Site, load_plan, require_site, save_plan
from ncap_iac.documents import Compiled
from ncap_iac.errors import ApplyError, NcapError, UsageError
from ncap_iac.project import Kind, Project
from ncap_iac.target import Target
from tests.command import fake_site

SITE = Site("000000000000", "us-east-1", None)
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


@pytest.fixture
def site(project_root: Path) -> fake_site.Site:
    found = fake_site.Site(project_root, Target("AWS"))
    found.gateway.known_images = ("ami-1",)
    found.gateway.objects.buckets.add(fake_site.ARTIFACTS)
    return found


def blueprint_plan(site: fake_site.Site) -> Plan:
    return site.deployment.plan_document(Kind.BLUEPRINT, site.project.document(Kind.BLUEPRINT, "kalman-lds"))


def saved(plan: Plan, site: Site = SITE) -> str:
    return save_plan(plan, site, noun="blueprint", name="kalman-lds", stage="prod", now=NOW)


def load(text: str) -> SavedPlan:
    return load_plan(text, where="plan.json")


def test_what_is_loaded_is_what_was_saved(site: fake_site.Site) -> None:
    plan = blueprint_plan(site)
    text = saved(plan)
    found = load(text)
    assert found.plan == plan
    assert (found.noun, found.name, found.stage, found.site) == ("blueprint", "kalman-lds", "prod", SITE)
    assert found.made == "2026-11-22T12:30:00Z"
    assert saved(plan) == text


def test_a_plan_that_deletes_and_tags_comes_back_too() -> None:
    plan = Plan((), (DeleteStack("a--2"), StackAction("a", "{}", (("A", "b"),), tags=(("CostCenter", "42"),))))
    assert load(saved(plan)).plan == plan


def test_applying_it_needs_nothing_but_the_file(site: fake_site.Site) -> None:
    text = saved(blueprint_plan(site))
    done = apply(load(text).plan, site.deployment.workshop)
    assert done.stacks == ("kalman-lds",)
    assert [key for bucket, key in site.gateway.objects.objects if key.startswith("bundles/")]
    assert blueprint_plan(site).is_empty


def test_it_is_applied_once_and_refused_when_the_stack_has_changed(site: fake_site.Site) -> None:
    text = saved(blueprint_plan(site))
    apply(load(text).plan, site.deployment.workshop)
    calls = list(site.gateway.stacks.calls)
    with pytest.raises(ApplyError, match="changed since"):
        apply(load(text).plan, site.deployment.workshop)
    assert site.gateway.stacks.calls == calls


@pytest.mark.parametrize(
    "path", [("versionId",), ("site", "region"), ("actions", 0, "bucket"), ("stacks", 0, "careful")]
)
def test_an_altered_file_is_refused(site: fake_site.Site, path: tuple[str | int, ...]) -> None:
    document = json.loads(saved(blueprint_plan(site)))
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = "other"
    with pytest.raises(UsageError, match="altered"):
        load(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not JSON"),
        ("[]", "not a saved plan"),
        ('{"kind": "Plan"}', "not a saved plan"),
        ('{"kind": "SavedPlan", "schemaVersion": 2}', "format 2"),
        ('{"kind": "SavedPlan", "schemaVersion": 1}', "altered"),
    ],
)
def test_what_is_no_saved_plan_is_refused_with_the_reason(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        load(text)


@pytest.mark.parametrize(
    "elsewhere",
    [replace(SITE, account="111111111111"), replace(SITE, region="eu-west-1"), replace(SITE, cloud="default")],
)
def test_a_plan_for_another_place_is_refused(elsewhere: Site) -> None:
    found = load(saved(Plan((), ()), SITE))
    require_site(found, SITE, where="plan.json")
    with pytest.raises(NcapError, match="it was made for account 000000000000, region us-east-1, and this is"):
        require_site(found, elsewhere, where="plan.json")


def test_a_template_that_hides_a_value_cannot_be_saved() -> None:
    template = json.dumps({"Parameters": {"Password": {"Type": "String", "NoEcho": True}}})
    with pytest.raises(UsageError, match="Password hides its value"):
        saved(Plan((), (StackAction("a", template, (("Password", "x"),)),)))


def test_no_template_of_ours_hides_a_value(project_root: Path) -> None:
    project = Project(project_root)
    compiled = Compiled(project)
    stacks = [compiled.account()]
    stacks += [stack for kind in Kind for path in project.documents(kind) for stack in compiled.stacks(kind, path)]
    for stack in stacks:
        saved(Plan((), (StackAction(stack.stack, stack.template, ()),)))
