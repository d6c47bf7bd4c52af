"""Deploying by hand and by script: who is asked, what is refused, which place and names a stage means."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from ncap_iac.aws import Gateway
from ncap_iac.cli import main
from ncap_iac.cli.context import Context, World
from ncap_iac.cli.plan_answer import plan_result
from ncap_iac.cli.plans import destroy, ensure_account, parse_tags, require_consent_to
from ncap_iac.console import Console, Manner
from ncap_iac.deploy.deployment import offline_plan
from ncap_iac.deploy.plan import Place, Plan, plan_users
from ncap_iac.deploy.saved_plan import Site as SavedSite
from ncap_iac.deploy.saved_plan import save_plan
from ncap_iac.deploy.state import Deployed, Phase
from ncap_iac.deploy.wanted import Wanted
from ncap_iac.errors import ExitCode, NotFoundError, UsageError
from ncap_iac.project import Kind
from ncap_iac.target import Target
from tests.command.fake_site import Site
from tests.command.fake_stacks import FakeStack
from tests.command.test_console import Terminal

SECRET = {"Resources": {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "s"}}}}
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "kept"}}
PLACE = Place("artifacts", has_artifact_bucket=True, template_base_url="http://e/artifacts")
HARMLESS = offline_plan([Wanted("a", json.dumps(SECRET))])
DESTRUCTIVE = plan_users([], {"a": Deployed("a", Phase.READY, "CREATE_COMPLETE", "id", SECRET)}, PLACE)
STAGES = {
    "stages": {
        "dev": {"profile": "lab-dev", "region": "eu-west-1", "parameters": {"MonthlyBudget": "5"}},
        "prod": {"profile": "lab"},
    }
}


def make_context(
    folder: Path, *, typed: str | None = None, environment: Mapping[str, str] | None = None, **arguments: object
) -> Context:
    """A run of a verb; `typed` is what a person at a terminal answers, None for nobody."""
    stream = io.StringIO if typed is None else Terminal
    console = Console(stream(), stream(), manner=Manner(color=False), clock=lambda: 0.0)
    world = World(
        environment=environment or {},
        home=folder,
        folder=folder,
        stdin=stream(typed or ""),
        clock=lambda: 0.0,
        sleep=lambda _: None,
        now=lambda: datetime(2026, 11, 22, tzinfo=UTC),
    )
    return Context(argparse.Namespace(**arguments), console, world)


def test_a_script_goes_on_unless_it_would_cost_data(tmp_path: Path) -> None:
    require_consent_to(make_context(tmp_path, aws=True), HARMLESS)
    with pytest.raises(UsageError, match="secret s is deleted") as caught:
        require_consent_to(make_context(tmp_path, aws=True), DESTRUCTIVE)
    assert "--yes" in caught.value.hint
    require_consent_to(make_context(tmp_path, aws=True, yes=True), DESTRUCTIVE)


@pytest.mark.parametrize("plan", [HARMLESS, DESTRUCTIVE])
def test_a_person_is_shown_the_plan_and_asked(tmp_path: Path, plan: Plan) -> None:
    require_consent_to(make_context(tmp_path, typed="y\n", aws=True), plan)
    with pytest.raises(UsageError, match="you said no"):
        require_consent_to(make_context(tmp_path, typed="\n", aws=True), plan)


def test_nobody_is_asked_about_nothing(tmp_path: Path) -> None:
    require_consent_to(make_context(tmp_path, typed="no\n", aws=True), Plan(HARMLESS.stacks, ()))


def test_the_exit_code_tells_changes_only_when_asked() -> None:
    assert plan_result(HARMLESS, next_command="").exit_code is ExitCode.DONE
    assert plan_result(HARMLESS, next_command="", fail_on_changes=True).exit_code is ExitCode.FAILED
    unchanged = Plan(HARMLESS.stacks, ())
    assert plan_result(unchanged, next_command="", fail_on_changes=True).exit_code is ExitCode.DONE


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "ncap_blueprints").mkdir()
    (tmp_path / "protocols").mkdir()
    (tmp_path / "stages.json").write_text(json.dumps(STAGES))
    return tmp_path


def test_a_stage_says_where_and_options_win(project: Path) -> None:
    target = make_context(project, stage="dev").target
    assert (target.profile, target.region) == ("lab-dev", "eu-west-1")
    target = make_context(project, stage="dev", profile="mine", region="us-west-2").target
    assert (target.profile, target.region) == ("mine", "us-west-2")
    assert make_context(project, stage=None, environment={"NCAP_STAGE": "dev"}).target.profile == "lab-dev"


def test_a_stage_that_is_not_named_moves_nothing(project: Path) -> None:
    context = make_context(project, stage=None)
    assert context.choice.profile is None
    assert (context.stage.name, context.stage.parameters) == ("prod", ())
    assert make_context(project, stage="prod").target.profile == "lab"


def test_a_local_cloud_that_is_named_wins_over_a_stage(project: Path) -> None:
    for context in (
        make_context(project, stage="dev", cloud="mine"),
        make_context(project, stage="dev", environment={"NCAP_CLOUD": "mine"}),
    ):
        assert (context.choice.profile, context.choice.region) == (None, None)


def test_a_verb_without_stages_is_not_moved_by_one(project: Path) -> None:
    context = make_context(project, environment={"NCAP_STAGE": "dev"}, aws=True)
    assert context.stage_name is None


def test_the_next_command_says_stage_and_place_again(project: Path) -> None:
    options = make_context(project, stage="dev", aws=True).place_options()
    assert options == ("--stage", "dev", "--profile", "lab-dev", "--region", "eu-west-1")


def test_an_unknown_stage_is_told_with_those_there_are(project: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _ = make_context(project, stage="staging").stage
    assert "dev, prod" in caught.value.hint


@pytest.mark.parametrize("tag", ["CostCenter", "=x", "aws:x=1", "neurocaas:stack=1", f"k={'v' * 257}", "a*b=1"])
def test_a_tag_aws_would_refuse_is_refused_here(tag: str) -> None:
    with pytest.raises(UsageError):
        parse_tags([tag])
    assert parse_tags(["Cost Center=a=b"]) == (("Cost Center", "a=b"),)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, capsys.readouterr().err


def test_a_saved_plan_takes_no_other_word(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "plan.json").write_text("{}")
    code, said = run(capsys, "blueprint", "deploy", "kalman-lds", "--plan", "plan.json")
    assert (code, "name would change it" in said) == (2, True)
    code, said = run(capsys, "profile", "deploy", "--plan", "plan.json", "--parameter", "A=b")
    assert (code, "parameters would change it" in said) == (2, True)
    code, said = run(capsys, "blueprint", "deploy", "--plan", "plan.json")
    assert (code, "not a saved plan" in said) == (2, True)
    code, said = run(capsys, "blueprint", "deploy")
    assert (code, "which blueprint" in said) == (2, True)
    code, said = run(capsys, "account", "plan", "--offline", "--save", "x.json")
    assert (code, "offline plan" in said) == (2, True)


def test_a_saved_plan_is_of_one_noun(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    text = save_plan(
        HARMLESS, SavedSite("0" * 12, "us-east-1", None), noun="profile", name="demo", stage="prod", now=now
    )
    (project / "plan.json").write_text(text)
    code, said = run(capsys, "account", "deploy", "--plan", "plan.json")
    assert (code, "plan of a profile" in said) == (2, True)
    code, said = run(capsys, "profile", "deploy", "--plan", "plan.json", "--stage", "dev")
    assert (code, "plan of stage prod" in said) == (2, True)


def test_analyses_need_an_account_stack_and_groups_do_not(project_root: Path, tmp_path: Path) -> None:
    site = Site(project_root, Target("AWS"))
    context = make_context(tmp_path, aws=True)
    ensure_account(context, site.deployment, Kind.PROFILE)
    with pytest.raises(NotFoundError, match="account stack"):
        ensure_account(context, site.deployment, Kind.BLUEPRINT)
    assert site.gateway.stacks.calls == []
    ensure_account(make_context(tmp_path, aws=True, with_account=True), site.deployment, Kind.PROFILE)
    assert site.deployment.has_account()


def test_destroying_tells_what_is_kept_and_takes_all_stacks_of_a_document(project_root: Path, tmp_path: Path) -> None:
    site = Site(project_root, Target("AWS"))
    for stack, template in (("a", {"Resources": {"B": {**BUCKET, "DeletionPolicy": "Retain"}}}), ("a--2", SECRET)):
        site.gateway.stacks.stacks[stack] = FakeStack("CREATE_COMPLETE", json.dumps(template))
    context = make_context(tmp_path, aws=True, yes=True)
    context.gateway = cast(Gateway, site.gateway)
    answer = destroy(context, site.deployment, ("a", "a--2"))
    assert site.gateway.stacks.calls == ["delete a--2", "delete a"]
    assert (answer.data["kept"], answer.data["existed"]) == (["S3::Bucket kept"], True)
