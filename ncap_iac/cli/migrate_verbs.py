"""`migrate` and `schema`, the verbs that bring documents into today's form and say what that form is."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.document_verbs import named_documents
from ncap_iac.cli.options import Run, SubParsers, add_verb
from ncap_iac.errors import ExitCode
from ncap_iac.project import Kind
from ncap_iac.review.migration import Migrated

if TYPE_CHECKING:
    from ncap_compiler.errors import Problem

UPGRADE_COLUMNS = ("pointer", "what", "why")


def add_migrate_verbs(verbs: SubParsers, kind: Kind, *, example: str) -> None:
    """Add both verbs to the noun of a kind of document."""
    noun = kind.noun
    parser = add_verb(
        verbs,
        "migrate",
        f"Bring {noun}s of the predecessor into today's form; what was changed stays in the file under Legacy.",
        [f"ncap {noun} migrate {example}", f"ncap {noun} migrate {kind.folder}/*/{kind.file} --write"],
        run=_of_migrate(kind),
        detail="Shows the change; nothing is written without --write. What only a person can decide is reported.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="FILE", help=f"names, folders or files (all {noun}s of the project)"
    )
    parser.add_argument("--write", action="store_true", help="write the files, each whole or not at all")
    add_verb(
        verbs,
        "schema",
        f"Print the JSON Schema of {noun}s, for editors and other tools.",
        [f"ncap {noun} schema", f"ncap {noun} schema > {noun}.schema.json"],
        run=_of_schema(kind),
    )


def _of_migrate(kind: Kind) -> Run:
    return lambda context: run_migrate(context, kind)


def _of_schema(kind: Kind) -> Run:
    return lambda context: run_schema(context, kind)


def run_migrate(context: Context, kind: Kind) -> Answer:
    """Show, or write, the documents in today's form; exit code 2 if problems remain."""
    from ncap_iac.review.findings import COLUMNS, as_data, table_row
    from ncap_iac.review.migration import migrate_documents, remaining_problems, write_document

    write = bool(context.get("write", False))
    found = migrate_documents(named_documents(context, kind), kind)
    changed = [document for document in found if document.is_changed]
    for document in changed if write else ():
        write_document(document.path, document.migration.text)
        context.report(progress.Note(f"Wrote {document.path}."))
    problems: list[Problem] = []
    for document in found:
        is_written = write and document.is_changed
        problems += remaining_problems(document, kind) if is_written else document.migration.problems
    blocks: list[Table | Text] = []
    for document in changed if not write else ():
        rows = tuple((each.pointer, each.kind.value, each.reason) for each in document.migration.upgrades)
        blocks += [Text(document.diff().rstrip("\n")), Table(UPGRADE_COLUMNS, rows)]
    if problems:
        listed = tuple(table_row(problem) for problem in problems)
        blocks.append(Table(COLUMNS, listed, title="Left for you: what a machine cannot know"))
    again = shlex.join(["ncap", kind.noun, "migrate", *context.arguments.names, "--write"])
    return Answer(
        kind="Migration",
        data={
            "documents": [_as_data(document, written=write and document.is_changed) for document in found],
            "problems": [as_data(problem) for problem in problems],
        },
        blocks=tuple(blocks),
        notes=(_said(len(found), len(changed), len(problems), kind=kind, written=write),),
        next_commands=(again,) if changed and not write else (),
        exit_code=ExitCode.USAGE if problems else ExitCode.DONE,
    )


def _said(count: int, changed: int, problems: int, *, kind: Kind, written: bool) -> str:
    verb = "changed" if written else "would change"
    documents = f"{count} {kind.noun}{'' if count == 1 else 's'}"
    left = f"{problems or 'no'} problem{'' if problems == 1 else 's'} left"
    return f"{documents}: {changed or 'none'} {verb}, {left}."


def _as_data(document: Migrated, *, written: bool) -> dict[str, object]:
    migration = document.migration
    return {
        "file": str(document.path),
        "changed": document.is_changed,
        "written": written,
        "changes": [
            {
                "kind": upgrade.kind.value,
                "pointer": upgrade.pointer,
                "before": upgrade.before,
                "after": upgrade.after,
                "reason": upgrade.reason,
            }
            for upgrade in migration.upgrades
        ],
        "document": migration.document,
    }


def run_schema(context: Context, kind: Kind) -> Answer:
    """The published schema, as it is."""
    import json

    from ncap_compiler.shapes import schema_text

    text = schema_text(kind.noun)
    return Answer(kind="Schema", data={"schema": json.loads(text)}, blocks=(Text(text.rstrip("\n")),))
