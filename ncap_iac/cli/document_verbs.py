"""The verbs blueprints and profiles share: validate, compile, plan, deploy, destroy, list."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

from ncap_iac import progress
from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import Run, SubParsers, add_noun, add_verb
from ncap_iac.cli.plans import (
    applied_result,
    compiled_result,
    destroy,
    ensure_account,
    image_maker,
    make_deployment,
    plan_result,
)
from ncap_iac.errors import ExitCode
from ncap_iac.project import Kind

PROBLEM_COLUMNS = ("id", "place", "pointer", "message", "what to do")


def add_document_noun(nouns: SubParsers, kind: Kind, *, example: str) -> None:
    """Add the noun of a kind of document, with all its verbs."""
    noun = kind.noun
    verbs = add_noun(nouns, noun, [f"ncap {noun} validate {example}", f"ncap {noun} deploy {example}"])
    parser = add_verb(
        verbs,
        "validate",
        f"Report every problem of the given {noun}s at once; needs no network and no credentials.",
        [f"ncap {noun} validate {example}", f"ncap {noun} validate {kind.folder}/*/{kind.file} --output json"],
        run=_of(kind, run_validate),
    )
    parser.add_argument(
        "names", nargs="*", metavar="FILE", help=f"names, folders or files (all {noun}s of the project)"
    )
    parser = add_verb(
        verbs,
        "compile",
        f"Print the CloudFormation template of a {noun}.",
        [f"ncap {noun} compile {example}", f"ncap {noun} compile {example} -o template.json"],
        run=_of(kind, run_compile),
    )
    _add_name(parser, noun)
    parser.add_argument("-o", "--output-file", metavar="FILE", help="write it there instead")
    _add_deployment_verbs(verbs, kind, example)
    add_verb(
        verbs, "list", f"List the {noun}s of the project.", [f"ncap {noun} list --output json"], run=_of(kind, run_list)
    )


def _add_deployment_verbs(verbs: SubParsers, kind: Kind, example: str) -> None:
    noun = kind.noun
    parser = add_verb(
        verbs,
        "plan",
        f"Show what deploying a {noun} would change: resources, and permissions in words.",
        [f"ncap {noun} plan {example}", f"ncap {noun} plan {example} --offline", f"ncap {noun} plan {example} --aws"],
        run=_of(kind, run_plan),
    )
    _add_name(parser, noun)
    add_parameter_option(parser)
    parser.add_argument("--offline", action="store_true", help="against nothing: needs no network and no credentials")
    parser = add_verb(
        verbs,
        "deploy",
        f"Make what a {noun} describes real, or bring it up to date.",
        [f"ncap {noun} deploy {example}", f"ncap {noun} deploy {example} --profile lab --with-account"],
        run=_of(kind, run_deploy),
    )
    _add_name(parser, noun)
    add_parameter_option(parser)
    parser.add_argument("--with-account", action="store_true", help="deploy the account stack first if it is missing")
    parser = add_verb(
        verbs,
        "destroy",
        f"Delete the stack of a {noun}; buckets and what users put there are kept.",
        [f"ncap {noun} destroy {example}", f"ncap {noun} destroy {example} --yes"],
        run=_of(kind, run_destroy),
    )
    _add_name(parser, noun)


def _add_name(parser: argparse.ArgumentParser, noun: str) -> None:
    parser.add_argument("name", metavar="NAME|PATH", help=f"a {noun} of the project, or its folder or file")


def add_parameter_option(parser: argparse.ArgumentParser) -> None:
    """`--parameter`, for verbs that plan or deploy."""
    parser.add_argument(
        "--parameter",
        dest="parameters",
        action="append",
        metavar="NAME=VALUE",
        help="a parameter of the stack; what was given before is kept",
    )


def _of(kind: Kind, run: Callable[[Context, Kind], Answer]) -> Run:
    def bound(context: Context) -> Answer:
        return run(context, kind)

    return bound


def _path(context: Context, kind: Kind) -> Path:
    return context.project.document(kind, str(context.arguments.name))


def run_validate(context: Context, kind: Kind) -> Answer:
    """All problems of all documents named."""
    from ncap_iac.documents import problems_of

    named = context.arguments.names
    every = () if named else context.project.documents(kind)
    paths = [*every, *(_named_document(context, kind, name) for name in named)]
    problems = problems_of(paths, kind)
    rows = tuple(
        (
            problem.id,
            problem.file if problem.line is None else f"{problem.file}:{problem.line}",
            problem.pointer,
            problem.message,
            problem.hint or "",
        )
        for problem in problems
    )
    count = f"{len(paths)} {kind.noun}{'' if len(paths) == 1 else 's'}"
    said = f"{count}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}."
    return Answer(
        kind="Validation",
        data={
            "documents": [str(path) for path in paths],
            "problems": [
                {
                    "id": problem.id,
                    "file": problem.file,
                    "line": problem.line,
                    "pointer": problem.pointer,
                    "message": problem.message,
                    "hint": problem.hint,
                }
                for problem in problems
            ],
        },
        blocks=(Table(PROBLEM_COLUMNS, rows, empty=""),) if rows else (),
        notes=(said,),
        exit_code=ExitCode.USAGE if problems else ExitCode.DONE,
    )


def _named_document(context: Context, kind: Kind, name: str) -> Path:
    """A document by path, which needs no project, or by name."""
    path = Path(name)
    if path.is_file():
        return path
    return path / kind.file if (path / kind.file).is_file() else context.project.document(kind, name)


def run_compile(context: Context, kind: Kind) -> Answer:
    """A template."""
    from ncap_iac.documents import Compiled

    wanted = Compiled(context.project).document(kind, _path(context, kind))
    return compiled_result(context, wanted)


def run_plan(context: Context, kind: Kind) -> Answer:
    """What deploying would change."""
    path = _path(context, kind)
    command = f"ncap {kind.noun} deploy {context.arguments.name}"
    if context.get("offline", False):
        from ncap_iac.deployment import offline_plan
        from ncap_iac.documents import Compiled

        return plan_result(offline_plan(Compiled(context.project).document(kind, path)), next_command="")
    plan = make_deployment(context).plan_document(kind, path)
    return plan_result(plan, next_command=shlex.join([*shlex.split(command), *context.target.options()]))


def run_deploy(context: Context, kind: Kind) -> Answer:
    """Make a document real."""
    path = _path(context, kind)
    deployment = make_deployment(context)
    context.say_target()
    ensure_account(context, deployment)
    make_image = image_maker(context)
    with progress.step(f"plan {path.parent.name}", context.report, context.world.clock):
        plan = deployment.plan_document(kind, path, make_image=make_image)
    with progress.step(f"deploy {plan.stack}", context.report, context.world.clock):
        applied = deployment.apply(plan)
    return applied_result(applied, plan, next_commands=_after(context, kind, plan.stack))


def _after(context: Context, kind: Kind, stack: str) -> list[str]:
    where = list(context.target.options())
    if kind is Kind.BLUEPRINT:
        return [shlex.join(["ncap", "job", "submit", stack, "--data", "FILE", "--config", "FILE", *where])]
    return [shlex.join(["ncap", "job", "list", "ANALYSIS", "--as", "MEMBER", *where])]


def run_destroy(context: Context, kind: Kind) -> Answer:
    """Delete a document's stack."""
    from ncap_iac.documents import stack_name

    deployment = make_deployment(context)
    return destroy(context, deployment, stack_name(_path(context, kind), kind))


def run_list(context: Context, kind: Kind) -> Answer:
    """The project's documents."""
    from ncap_iac.documents import describe_document

    found = [describe_document(path, kind) for path in context.project.documents(kind)]
    details = "environment" if kind is Kind.BLUEPRINT else "analyses"
    title = "title" if kind is Kind.BLUEPRINT else "groups"
    return Answer(
        kind=f"{kind.noun.capitalize()}List",
        data={
            "documents": [
                {
                    "name": item.name,
                    "path": str(item.path),
                    title: item.title,
                    details: item.details,
                    "problems": item.problems,
                }
                for item in found
            ]
        },
        blocks=(
            Table(
                ("name", title, details, "problems"),
                tuple((item.name, item.title, item.details, str(item.problems or "")) for item in found),
                empty=f"No {kind.noun}s in {context.project.root / kind.folder}.",
            ),
        ),
    )
