"""`ncap check`: what changed documents would change, offline, for the author and the reviewer of a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SUMMARIES, SubParsers, add_verb
from ncap_iac.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ncap_compiler.errors import Finding
    from ncap_iac.review.check import Checked
    from ncap_iac.review.sources import Tree

FINDING_COLUMNS = ("id", "place", "message", "what to do")
FORMATS = ("table", "markdown", "github")


def add_to(nouns: SubParsers) -> None:
    """Add the command."""
    parser = add_verb(
        nouns,
        "check",
        SUMMARIES["check"],
        ["ncap check", "ncap check --base origin/main --format markdown", "ncap check kalman-lds --output json"],
        run=run_check,
        detail="Needs git, no network and no credentials; code in the compared folders is never run.\n"
        "Exit code 2 if a document has a problem.",
    )
    parser.add_argument("names", nargs="*", metavar="FILE", help="documents to look at: names, folders or files (all)")
    parser.add_argument("--base", metavar="REF", help="the commit to compare with (where this branch left main)")
    parser.add_argument(
        "--format",
        dest="report_format",
        choices=FORMATS,
        default="table",
        help="table; markdown for a comment; github for annotations in a workflow's log",
    )


def run_check(context: Context) -> Answer:
    """Compare the working tree with the base."""
    import tempfile

    from ncap_iac.review.check import check_trees
    from ncap_iac.review.report import document, github_commands, markdown, summary
    from ncap_iac.review.sources import Repository

    repository = Repository(context.project.root)
    base = repository.base(context.get("base"))
    before, after = repository.committed(base), repository.working()
    only = _only(context, context.get("names", []), before, after)
    with tempfile.TemporaryDirectory(prefix="ncap-check-") as scratch:
        checked = check_trees(before, after, base=base, scratch=Path(scratch).resolve(), only=only)
    report_format = context.get("report_format")
    if report_format == "markdown":
        blocks: tuple[Table | Text, ...] = (Text(markdown(checked)),)
    elif report_format == "github":
        blocks = (Text(github_commands(checked, prefix=repository.prefix)),)
    else:
        blocks = _tables(checked)
    return Answer(
        kind="Check",
        data=document(checked),
        blocks=blocks,
        notes=(summary(checked),) if report_format == "table" else (),
        exit_code=ExitCode.USAGE if checked.problems else ExitCode.DONE,
    )


def _only(context: Context, names: list[str], before: Tree, after: Tree) -> frozenset[str] | None:
    """The documents named, by path below the project's root. Raises UsageError for one neither side has."""
    from ncap_iac.project import Kind

    if not names:
        return None
    root = context.project.root.resolve()
    known = {*before.files, *after.files}
    found = set()
    for name in names:
        paths = [f"{kind.folder}/{name}/{kind.file}" for kind in Kind]
        given = (context.world.folder / name).resolve()
        if given.is_relative_to(root):
            inside = given.relative_to(root).as_posix()
            paths += [inside, *(f"{inside}/{kind.file}" for kind in Kind)]
        matching = [path for path in paths if path in known and path.endswith(tuple(kind.file for kind in Kind))]
        if not matching:
            raise UsageError(
                f"there is no document {name!r}, neither here nor in what is compared with",
                where=str(context.project.root),
                hint="Give the name of a blueprint or profile, its folder or its file.",
            )
        found.update(matching)
    return frozenset(found)


def _tables(checked: Checked) -> tuple[Table | Text, ...]:
    """The finding as tables: what has to be mended, then stacks, then what is in them."""
    stacks = tuple(
        (
            check.plan.stack,
            check.plan.outcome.value,
            f"{check.version_before or '-'} -> {check.version_after or '-'}",
            f"{check.plan.idle_before.usd} -> {check.plan.idle_after.usd}",
        )
        for check in checked.stacks
    )
    code = checked.code
    shared = (("files", ", ".join(code.files)), ("stacks", ", ".join(code.stacks) or "none")) if code else ()
    found = (
        Table(FINDING_COLUMNS, tuple(map(_finding_row, checked.problems)), title="Problems"),
        Table(("stack", "", "version", "idle USD a month"), stacks, title="Stacks"),
        Table(("what", "stack", "type", "resource", "details"), tuple(_change_rows(checked)), title="Resources"),
        Table(("stack", "resource", "", "permission"), tuple(_permission_rows(checked)), title="Permissions"),
        Table(("stack", "take care"), tuple(_care_rows(checked)), title="Take care"),
        Table(("shared code", ""), shared, title="Shared code"),
        Table(FINDING_COLUMNS, tuple(map(_finding_row, checked.notices)), title="Worth knowing"),
    )
    return tuple(table for table in found if table.rows)


def _finding_row(finding: Finding) -> tuple[str, ...]:
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
    return (finding.id, place, finding.message, finding.hint or "")


def _change_rows(checked: Checked) -> Iterator[tuple[str, ...]]:
    from ncap_iac.review.check import by_severity, severity

    for check in checked.stacks:
        for change in by_severity(check.plan.changes):
            details = ", ".join(change.properties) + (" (stays, outside the stack)" if change.keeps else "")
            kind = change.type.removeprefix("AWS::")
            yield (severity(change).value, check.plan.stack, kind, change.resource, details)


def _permission_rows(checked: Checked) -> Iterator[tuple[str, ...]]:
    for check in checked.stacks:
        for change in check.plan.changes:
            yield from ((check.plan.stack, change.resource, "+", words) for words in change.granted)
            yield from ((check.plan.stack, change.resource, "-", words) for words in change.revoked)


def _care_rows(checked: Checked) -> Iterator[tuple[str, ...]]:
    return ((check.plan.stack, care.text) for check in checked.stacks for care in check.plan.careful)
