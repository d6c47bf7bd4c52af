"""The verbs blueprints and profiles share: validate, compile, list; those about stacks are added from `stack_verbs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import Run, SubParsers, add_noun, add_stage_option, add_verb
from ncap_iac.cli.plans import compiled_result
from ncap_iac.cli.stack_verbs import add_stack_verbs, run_deploy
from ncap_iac.cli.subject import subject_of
from ncap_iac.errors import ExitCode
from ncap_iac.project import Kind

__all__ = ["add_document_noun", "named_documents", "run_deploy"]


def add_document_noun(nouns: SubParsers, kind: Kind, *, example: str) -> SubParsers:
    """Add the noun of a kind of document, with all its verbs; more can be added to what is returned."""
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
    parser.add_argument("name", metavar="NAME|PATH", help=f"a {noun} of the project, or its folder or file")
    parser.add_argument("-o", "--output-file", metavar="FILE", help="write it there instead")
    add_stage_option(parser)
    add_stack_verbs(verbs, kind, example)
    add_verb(
        verbs, "list", f"List the {noun}s of the project.", [f"ncap {noun} list --output json"], run=_of(kind, run_list)
    )
    return verbs


def _of(kind: Kind, run: Callable[[Context, Kind], Answer]) -> Run:
    def bound(context: Context) -> Answer:
        return run(context, kind)

    return bound


def run_validate(context: Context, kind: Kind) -> Answer:
    """All problems and notices of all documents named."""
    from ncap_iac.review.findings import COLUMNS, as_data, findings_of, table_row

    paths = named_documents(context, kind)
    found = findings_of(paths, kind)
    said = [_counted(len(found.problems) or "no", "problem"), _counted(len(found.notices) or "", "notice")]
    return Answer(
        kind="Validation",
        data={
            "documents": [str(path) for path in paths],
            "problems": [as_data(problem) for problem in found.problems],
            "notices": [as_data(notice) for notice in found.notices],
        },
        blocks=tuple(
            Table(COLUMNS, tuple(table_row(entry) for entry in entries), title=title)
            for title, entries in (("", found.problems), ("Notices: accepted, and worth knowing", found.notices))
            if entries
        ),
        notes=(f"{_counted(len(paths), kind.noun)}: {', '.join(filter(None, said))}.",),
        exit_code=ExitCode.USAGE if found.problems else ExitCode.DONE,
    )


def _counted(count: int | str, noun: str) -> str:
    """`3 problems`, `1 problem`; nothing for an empty count."""
    return f"{count} {noun}{'' if count == 1 else 's'}" if count != "" else ""


def named_documents(context: Context, kind: Kind) -> list[Path]:
    """The documents named, or all of the project's. Raises ProjectError."""
    named = context.arguments.names
    every = () if named else context.project.documents(kind)
    return [*every, *(_named_document(context, kind, name) for name in named)]


def _named_document(context: Context, kind: Kind, name: str) -> Path:
    """A document by path, which needs no project, or by name."""
    path = Path(name)
    if path.is_file():
        return path
    return path / kind.file if (path / kind.file).is_file() else context.project.document(kind, name)


def run_compile(context: Context, kind: Kind) -> Answer:
    """A template."""
    return compiled_result(context, subject_of(context, kind).wanted(context))


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
