"""The verbs every stack has, whatever it is made from: plan, deploy, destroy; diff, outputs and drift are added too."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import Run, SubParsers, add_stage_option, add_verb
from ncap_iac.cli.plan_answer import plan_result
from ncap_iac.cli.plans import (
    applied_result,
    destroy,
    ensure_account,
    image_maker,
    make_deployment,
    require_consent_to,
    site_of,
)
from ncap_iac.cli.stack_looks import run_diff, run_drift, run_outputs
from ncap_iac.cli.subject import ACCOUNT, Subject, subject_of
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, read_text

if TYPE_CHECKING:
    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.deploy.plan import Plan

DEPLOY_DETAIL = (
    "On AWS it shows the plan and asks first. Where nobody can answer it goes on, but refuses without --yes to remove\n"
    "or replace what holds data. On a local cloud it does not ask.\n"
)
ACCOUNT_DETAIL = (
    "The first time it goes in two steps: the stack makes the bucket, the code is put there, and then the stack makes\n"
    "the functions that run it.\n"
)


@dataclass(frozen=True)
class Words:
    """How a noun is spoken of in help texts; `example` is a document's name, empty for the account."""

    kind: Kind | None
    example: str

    @property
    def noun(self) -> str:
        """The noun of the command line."""
        return ACCOUNT if self.kind is None else self.kind.noun

    @property
    def what(self) -> str:
        """Its stacks."""
        return "the account stack" if self.kind is None else f"a {self.noun}"

    def command(self, verb: str, *options: str) -> str:
        """An example."""
        return " ".join(word for word in ("ncap", self.noun, verb, self.example, *options) if word)


def add_stack_verbs(verbs: SubParsers, kind: Kind | None, example: str) -> None:
    """Add the verbs to a noun; `example` is a document's name, empty for the account."""
    words = Words(kind, example)
    _add_plan(verbs, words)
    _add_deploy(verbs, words)
    for verb, summary, run in (
        ("diff", f"Show what deploying {words.what} would change in the templates, line by line.", run_diff),
        ("outputs", f"Show the outputs of the deployed stacks of {words.what}.", run_outputs),
        ("drift", f"Show what was changed by other hands in the deployed stacks of {words.what}.", run_drift),
    ):
        examples = [words.command(verb), words.command(verb, "--profile lab --output json")]
        parser = add_verb(verbs, verb, summary, examples, run=_of(kind, run))
        _add_name(parser, kind)
        add_options = add_stack_options if verb == "diff" else add_stage_option
        add_options(parser)
    _add_destroy(verbs, words)


def _add_plan(verbs: SubParsers, words: Words) -> None:
    parser = add_verb(
        verbs,
        "plan",
        f"Show what deploying {words.what} would change: resources, permissions in words, idle cost.",
        [
            words.command("plan"),
            words.command("plan", "--offline"),
            words.command("plan", "--profile lab --save plan.json"),
        ],
        run=_of(words.kind, run_plan),
        detail="Exits with 0 whether or not something would change, unless told otherwise.",
    )
    _add_name(parser, words.kind)
    add_stack_options(parser)
    parser.add_argument("--offline", action="store_true", help="against nothing: needs no network and no credentials")
    parser.add_argument("--save", metavar="FILE", help="write the plan there, to be applied exactly by `deploy --plan`")
    parser.add_argument("--fail-on-changes", action="store_true", help="exit with 1 if something would change")


def _add_deploy(verbs: SubParsers, words: Words) -> None:
    kind = words.kind
    parser = add_verb(
        verbs,
        "deploy",
        "Deploy the account stack, or bring it up to date."
        if kind is None
        else f"Make what {words.what} describes real, or bring it up to date.",
        [
            words.command("deploy"),
            words.command("deploy", "--profile lab --yes"),
            f"ncap {words.noun} deploy --plan plan.json",
        ],
        run=_of(kind, run_deploy),
        detail=DEPLOY_DETAIL + (ACCOUNT_DETAIL if kind is None else ""),
    )
    _add_name(parser, kind, optional=True)
    add_stack_options(parser)
    parser.add_argument("--plan", metavar="FILE", help="apply a saved plan, exactly or not at all")
    parser.add_argument(
        "--continue-rollback", action="store_true", help="first finish a rollback that failed (UPDATE_ROLLBACK_FAILED)"
    )
    if kind is not None:
        parser.add_argument(
            "--with-account", action="store_true", help="deploy the account stack first if it is missing"
        )


def _add_destroy(verbs: SubParsers, words: Words) -> None:
    parser = add_verb(
        verbs,
        "destroy",
        "Delete the account stack; its bucket and ledger are kept."
        if words.kind is None
        else f"Delete the stacks of {words.what}; buckets and what users put there are kept.",
        [words.command("destroy"), words.command("destroy", "--yes")],
        run=_of(words.kind, run_destroy),
    )
    _add_name(parser, words.kind)
    add_stage_option(parser)
    parser.add_argument("--verify", action="store_true", help="list what is left then; exit code 1 if it should not be")


def _add_name(parser: argparse.ArgumentParser, kind: Kind | None, *, optional: bool = False) -> None:
    if kind is not None:
        parser.add_argument(
            "name",
            metavar="NAME|PATH",
            nargs="?" if optional else None,
            help=f"a {kind.noun} of the project, or its folder or file",
        )


def add_stack_options(parser: argparse.ArgumentParser) -> None:
    """Options of verbs that plan or deploy: stage, parameters, tags."""
    add_stage_option(parser)
    parser.add_argument(
        "--parameter",
        dest="parameters",
        action="append",
        metavar="NAME=VALUE",
        help="a parameter of the stack, such as PermissionsBoundary, KmsKeyArn or, of the account, VpcId and "
        "SubnetIds; what was given before is kept",
    )
    parser.add_argument(
        "--tag",
        dest="tags",
        action="append",
        metavar="KEY=VALUE",
        help="a tag for the stack and everything in it; what was given before is kept",
    )
    parser.add_argument("--remove-tag", dest="removed_tags", action="append", metavar="KEY", help="take a tag away")


def _of(kind: Kind | None, run: Callable[[Context, Kind | None], Answer]) -> Run:
    def bound(context: Context) -> Answer:
        return run(context, kind)

    return bound


def run_plan(context: Context, kind: Kind | None) -> Answer:
    """What deploying would change."""
    subject = subject_of(context, kind)
    strict = bool(context.get("fail_on_changes", False))
    if context.get("offline", False):
        from ncap_iac.deploy.deployment import offline_plan

        if context.get("save"):
            raise UsageError("an offline plan cannot be saved", where="--save", hint="Leave --offline out.")
        plan = offline_plan(subject.wanted(context), context.stage)
        return plan_result(plan, next_command="", fail_on_changes=strict)
    deployment = make_deployment(context)
    if not context.get("save"):
        plan = subject.plan(deployment)
        again = subject.command("deploy", *context.place_options())
        return plan_result(plan, next_command=again, fail_on_changes=strict)
    # What is saved is decided: an image that is missing is made now, or asked for.
    plan = subject.plan(deployment, image_maker(context))
    file = _save(context, deployment, plan, subject)
    again = shlex.join(["ncap", subject.noun, "deploy", "--plan", str(context.get("save")), *context.place_options()])
    answer = plan_result(plan, next_command=again, fail_on_changes=strict)
    return replace(answer, data={**answer.data, "file": str(file)}, notes=(*answer.notes, f"Saved to {file}."))


def _save(context: Context, deployment: Deployment, plan: Plan, subject: Subject) -> Path:
    from ncap_iac.deploy.saved_plan import save_plan

    text = save_plan(
        plan,
        site_of(deployment.gateway),
        noun=subject.noun,
        name=subject.name,
        stage=context.stage.name,
        now=context.world.now(),
    )
    file = context.world.folder / str(context.get("save"))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(error.strerror or str(error), where=str(file), hint="Choose another file.") from error
    return file


def run_deploy(context: Context, kind: Kind | None) -> Answer:
    """Make it real."""
    if context.get("plan"):
        return _deploy_saved(context, kind)
    if kind is not None and not context.get("name"):
        raise UsageError(
            f"which {kind.noun} is meant?", where="options", hint="Name it, or give a saved plan with --plan FILE."
        )
    subject = subject_of(context, kind)
    deployment = make_deployment(context)
    context.say_target()
    if kind is not None:
        ensure_account(context, deployment, kind)
    deployment.prepare(subject.stack_names(deployment), finish_rollback=bool(context.get("continue_rollback", False)))
    make_image = image_maker(context)
    with progress.step(f"plan {subject.name}", context.report, context.world.clock):
        plan = subject.plan(deployment, make_image)
    return _apply(context, plan, subject.noun)


def _deploy_saved(context: Context, kind: Kind | None) -> Answer:
    """Apply a saved plan exactly. Raises UsageError, NcapError if it is not for this place, or not of this noun."""
    from ncap_iac.deploy.saved_plan import load_plan, require_site

    file = context.world.folder / str(context.get("plan"))
    others = [name for name in ("parameters", "tags", "removed_tags", "name") if context.get(name)]
    if others:
        raise UsageError(
            f"a saved plan is applied as it is, and {others[0]} would change it",
            where="options",
            hint="Leave it out, or plan again with it.",
        )
    saved = load_plan(read_text(file), where=str(file))
    noun = ACCOUNT if kind is None else kind.noun
    if context.stage_name not in (None, saved.stage):
        raise UsageError(
            f"it is the plan of stage {saved.stage}", where=str(file), hint=f"Say --stage {saved.stage}, or none."
        )
    if saved.noun != noun:
        raise UsageError(
            f"it is the plan of a {saved.noun}", where=str(file), hint=f"Use `ncap {saved.noun} deploy --plan`."
        )
    require_site(saved, site_of(context.gateway), where=str(file))
    context.say_target()
    context.report(progress.Note(f"The plan for {saved.noun} {saved.name} (stage {saved.stage}), saved {saved.made}."))
    return _apply(context, saved.plan, noun)


def _apply(context: Context, plan: Plan, noun: str) -> Answer:
    from ncap_iac.deploy.apply import apply
    from ncap_iac.deploy.deployment import workshop_at

    require_consent_to(context, plan)
    workshop = workshop_at(context.gateway, context.report, context.world.clock, context.world.sleep)
    with progress.step(f"deploy {plan.stack}", context.report, context.world.clock):
        applied = apply(plan, workshop)
    return applied_result(applied, plan, next_commands=[_after(context, noun, plan.stack)])


def _after(context: Context, noun: str, stack: str) -> str:
    where = list(context.target.options())
    words = {
        ACCOUNT: ["blueprint", "deploy", "NAME"],
        Kind.BLUEPRINT.noun: ["job", "submit", stack, "--data", "FILE", "--config", "FILE"],
        Kind.PROFILE.noun: ["job", "list", "ANALYSIS", "--as", "MEMBER"],
    }[noun]
    return shlex.join(["ncap", *words, *where])


def run_destroy(context: Context, kind: Kind | None) -> Answer:
    """Delete."""
    deployment = make_deployment(context)
    subject = subject_of(context, kind)
    names = subject.stack_names(deployment)
    if not names and kind is not None:
        names = (deployment.compiled.stack_name(kind, subject.path),)
    if kind is Kind.BLUEPRINT:
        _warn_of_steps(context, deployment, names[0])
    if not context.get("verify", False):
        return destroy(context, deployment, names)
    from ncap_iac.cli.leftovers import proven

    return proven(context, names, lambda: destroy(context, deployment, names))


def _warn_of_steps(context: Context, deployment: Deployment, analysis: str) -> None:
    """Say which deployed analyses hand results to one that is about to be deleted."""
    from ncap_iac.deploy.state import Phase, read_status
    from ncap_iac.neighbours import handing_to

    suffix = context.stage.suffix
    named = [name + suffix for name in handing_to(context.project, analysis.removesuffix(suffix))]
    there = [name for name in named if read_status(context.gateway.stacks, name).phase is not Phase.ABSENT]
    if there:
        text = (
            f"{', '.join(there)} hands results to {analysis}: jobs with that step will be refused, or end without it."
        )
        context.report(progress.Warned(text))
