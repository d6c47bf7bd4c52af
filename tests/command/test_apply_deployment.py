"""Deploying a real project against CloudFormation in memory: accounts, images, versions, what outlives a stack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ncap_iac.deploy.deployment import UNRESOLVED
from ncap_iac.errors import NotFoundError, UsageError
from ncap_iac.project import Kind
from ncap_iac.target import Target
from tests.command.fake_site import ARTIFACTS, Site


@pytest.fixture
def aws(project_root: Path) -> Site:
    return Site(project_root, Target("AWS"))


@pytest.fixture
def local(project_root: Path) -> Site:
    return Site(project_root, Target("local cloud", cloud="c", endpoint_url="http://127.0.0.1:4566"))


def test_a_first_account_deployment_uploads_the_bundle_between_its_two_steps(local: Site) -> None:
    deployment, gateway = local.deployment, local.gateway
    assert not deployment.has_account()
    deployment.apply(deployment.plan_account())
    assert deployment.has_account()
    assert gateway.stacks.calls == ["create neurocaas-account", "update neurocaas-account"]
    bundles = [key for bucket, key in gateway.objects.objects if bucket == ARTIFACTS and key.startswith("bundles/")]
    assert len(bundles) == 1
    assert bundles[0] in gateway.stacks.stacks["neurocaas-account"].template
    gateway.objects.buckets.add(ARTIFACTS)
    assert deployment.plan_account().is_empty


def test_half_an_account_is_no_account(local: Site) -> None:
    plan = local.deployment.plan_account()
    local.deployment.apply(replace(plan, actions=plan.actions[:1]))
    assert not local.deployment.has_account()
    with pytest.raises(NotFoundError) as caught:
        local.deployment.require_account()
    assert "ncap account deploy" in caught.value.hint


def test_tls_is_required_everywhere_but_on_plain_http(local: Site, aws: Site) -> None:
    assert dict(local.deployment.plan_account().parameters)["RequireTls"] == "false"
    assert "RequireTls" not in dict(aws.deployment.plan_account().parameters)


def test_a_deployed_version_names_the_image_and_is_kept(aws: Site) -> None:
    aws.gateway.known_images = ("ami-1",)
    version = aws.deploy()
    kept = json.loads(aws.gateway.objects.objects["kalman-lds", f"versions/{version}.json"])
    assert kept["imageId"] == "ami-1"
    assert kept["versionId"] == version
    assert aws.parameters()["ImageId"] == "ami-1"
    calls = list(aws.gateway.stacks.calls)
    assert aws.deploy() == version
    assert aws.gateway.stacks.calls == calls


def test_among_several_images_of_one_digest_the_one_in_use_stays(aws: Site) -> None:
    aws.gateway.known_images = ("ami-1",)
    aws.deploy()
    aws.gateway.known_images = ("ami-2", "ami-1")
    aws.deploy()
    assert aws.parameters()["ImageId"] == "ami-1"


def test_a_version_whose_image_is_gone_gets_the_one_there_is(aws: Site) -> None:
    aws.gateway.known_images = ("ami-1",)
    version = aws.deploy()
    aws.gateway.known_images = ("ami-2",)
    aws.deploy()
    kept = json.loads(aws.gateway.objects.objects["kalman-lds", f"versions/{version}.json"])
    assert kept["imageId"] == aws.parameters()["ImageId"] == "ami-2"


def test_a_plan_without_an_image_says_so_and_builds_nothing(aws: Site) -> None:
    path = aws.project.document(Kind.BLUEPRINT, "kalman-lds")
    plan = aws.deployment.plan_document(Kind.BLUEPRINT, path)
    assert dict(plan.parameters)["ImageId"] == UNRESOLVED
    assert any("no image" in note for note in plan.notes)
    assert aws.gateway.stacks.calls == []


def test_in_a_local_cloud_the_image_is_made_sure_of_every_time(local: Site) -> None:
    local.gateway.known_images = ("ami-old",)
    asked: list[str] = []

    def make_image(environment: str, folder: Path) -> str:
        asked.append(folder.name)
        return "ami-made"

    local.deploy(make_image)
    local.deploy(make_image)
    assert asked == ["kalman-lds", "kalman-lds"]
    assert local.parameters()["ImageId"] == "ami-made"


def test_users_need_no_image(aws: Site) -> None:
    aws.deployment.apply(aws.deployment.plan_account())
    aws.gateway.objects.buckets.add(ARTIFACTS)
    aws.gateway.stacks.calls.clear()
    plan = aws.deployment.plan_document(Kind.PROFILE, aws.project.document(Kind.PROFILE, "demo"))
    aws.deployment.apply(plan)
    assert aws.gateway.stacks.calls == ["create neurocaas-users-demo"]
    assert plan.version_id is None


def test_what_outlives_a_stack_is_named(aws: Site) -> None:
    aws.gateway.known_images = ("ami-1",)
    aws.deploy()
    assert aws.deployment.kept_by("kalman-lds") == ("S3::Bucket kalman-lds",)
    aws.deployment.apply(aws.deployment.plan_account())
    kept = aws.deployment.kept_by("neurocaas-account")
    assert f"S3::Bucket {ARTIFACTS}" in kept
    assert "DynamoDB::Table neurocaas-ledger" in kept


def test_a_stack_made_again_takes_over_its_kept_bucket(aws: Site) -> None:
    aws.gateway.known_images = ("ami-1",)
    aws.deploy()
    assert aws.deployment.destroy("kalman-lds")
    aws.deploy()
    assert "ImportExistingResources" not in aws.gateway.stacks.arguments[0]
    assert aws.gateway.stacks.arguments[1]["ImportExistingResources"] is True


def test_given_parameters_reach_the_stack_and_unknown_ones_are_refused(aws: Site) -> None:
    given = replace(aws.deployment, parameters=(("MonthlyBudget", "200"),))
    given.apply(given.plan_account())
    assert aws.parameters("neurocaas-account")["MonthlyBudget"] == "200"
    aws.deployment.apply(aws.deployment.plan_account())
    assert aws.parameters("neurocaas-account")["MonthlyBudget"] == "200"
    with pytest.raises(UsageError, match="MonthlyBudgets"):
        replace(aws.deployment, parameters=(("MonthlyBudgets", "1"),)).plan_account()
