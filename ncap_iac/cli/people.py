"""`ncap profile import | budget`: many people at once, and what a group may spend. Both edit the profile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.cli.profile_edits import (
    add_edit_options,
    edit_answer,
    editing_alone,
    load_profiles,
    run_edit,
)
from ncap_iac.errors import ExitCode, ProjectError, UsageError
from ncap_iac.progress import Warned
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.people.importing import Destination, Import
    from ncap_iac.people.table import People

SHOWN_ROWS = 20
"""Rows of an import shown to people; JSON has them all."""


def add_people_verbs(verbs: SubParsers) -> None:
    """Add the verbs to those of profiles."""
    parser = add_verb(
        verbs,
        "import",
        "Add the people of a table (CSV) to a profile: all of them, or with a row refused none.",
        [
            "ncap profile import people.csv --into demo --dry-run",
            "ncap profile import people.csv --into demo --analyses kalman-lds,pmd",
            "ncap profile import people.csv --into course --create --analyses kalman-lds",
        ],
        run=run_import,
        detail="Columns in any order: group, and name or email; or the header of the first NeuroCAAS (Email, "
        "FirstName, LastName, Affiliation, Verified, Loaded). A second import changes nothing.",
    )
    parser.add_argument("file", metavar="FILE.csv", help="the table; UTF-8, with commas, semicolons or tabs")
    parser.add_argument("--into", metavar="PROFILE", required=True, help="the profile")
    parser.add_argument("--create", action="store_true", help="make the profile if the project has none of that name")
    parser.add_argument("--analyses", metavar="A,B", help="what groups that are made may use; others keep theirs")
    add_edit_options(parser, within=False)
    parser = add_verb(
        verbs,
        "budget",
        "Write what a group may spend into the profile, in USD.",
        [
            "ncap profile budget demo neighbours 100",
            "ncap profile budget demo neighbours 25 --analysis kalman-lds",
            "ncap profile budget demo neighbours none --analysis kalman-lds",
        ],
        run=run_budget,
        detail="Without --analysis the total over all analyses.",
    )
    parser.add_argument("within", metavar="PROFILE", help="a profile of the project, or its folder or file")
    parser.add_argument("group", metavar="GROUP", help="a group of it")
    parser.add_argument("amount", metavar="AMOUNT", help="USD, or none to take the budget away")
    parser.add_argument("--analysis", metavar="NAME", help="for one analysis")
    add_edit_options(parser, within=False)


def run_budget(context: Context) -> Answer:
    """What a group may spend."""
    from ncap_iac.people.membership import set_budget

    group, amount, analysis = str(context.arguments.group), str(context.arguments.amount), context.get("analysis")
    data = {"verb": "budget", "amount": amount, "analysis": analysis}
    return run_edit(context, lambda found: set_budget(found.editable, group, amount, analysis=analysis), data=data)


def run_import(context: Context) -> Answer:
    """Many people at once."""
    from ncap_iac.people.importing import plan_import
    from ncap_iac.people.membership import Outcome
    from ncap_iac.people.profile_editing import write_edits
    from ncap_iac.people.table import read_people
    from ncap_iac.project import read_bytes

    path = context.world.folder / str(context.arguments.file)
    people = read_people(read_bytes(path), file=str(path))
    is_dry = bool(context.get("dry_run", False))
    with editing_alone(context):
        found = plan_import(people, _destination(context))
        if found.refusals:
            return _refused(people, found)
        edits = (found.edit,) if found.edit else ()
        if context.get("deploy", False) and not is_dry:
            context.gateway.identity()  # Who cannot deploy learns it before anything is written.
        if not is_dry:
            write_edits(edits)
    into = str(context.arguments.into)
    outcome = Outcome(
        f"Import {len(found.joining)} people into profile {into}", "", edits, notes=tuple(_notes(people, found))
    )
    answer = edit_answer(context, outcome, data={"profile": into, **_data(people, found)}, kind="ProfileImport")
    return _with_rows(answer, found, is_dry=is_dry)


def _destination(context: Context) -> Destination:
    """The profile imported into; a profile that is not there is an empty one with --create. Raises ProjectError."""
    from ncap_compiler import Profile, names
    from ncap_compiler.document import did_you_mean
    from ncap_iac.people.importing import Destination
    from ncap_iac.people.profile_editing import ProfileText

    into = str(context.arguments.into)
    said = (name.strip() for name in (context.get("analyses") or "").split(","))
    analyses = tuple(dict.fromkeys(filter(None, said)))
    for analysis in analyses:
        if reason := names.why_not_an_analysis(analysis):
            raise UsageError(f"{analysis!r} is no analysis: {reason}", where="--analyses")
    known = _known_analyses(context)
    for analysis in set(analyses) - known:
        near = did_you_mean(analysis, known) or "Check the name."
        context.report(Warned(f"no blueprint of this project is called {analysis}. {near}"))
    try:
        loaded = load_profiles(context, into)
    except ProjectError:
        if not context.get("create", False) or "/" in into or into.startswith("."):
            raise
        path = context.project.root / Kind.PROFILE.folder / into / Kind.PROFILE.file
        everywhere = load_profiles(context, None).everywhere
        return Destination(ProfileText(path, "", Profile((), None, ())), everywhere, analyses)
    return Destination(loaded.editable.files[0], loaded.everywhere, analyses)


def _known_analyses(context: Context) -> set[str]:
    from ncap_compiler import DocumentError, load_blueprint
    from ncap_iac.project import read_text

    found = set()
    for path in context.project.documents(Kind.BLUEPRINT):
        try:
            found.add(load_blueprint(read_text(path), file=str(path)).analysis)
        except (DocumentError, UsageError):
            continue
    return found


def _refused(people: People, found: Import) -> Answer:
    """Every refused row with its reason; nothing was written."""
    rows = tuple((str(item.row), item.column, item.reason, item.remedy) for item in found.refusals)
    count = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    return Answer(
        kind="ProfileImport",
        data={**_data(people, found), "changed": False, "files": []},
        blocks=(Table(("row", "column", "reason", "what to do"), rows),),
        notes=(f"{count} refused, so nothing was imported.",),
        exit_code=ExitCode.USAGE,
    )


def _data(people: People, found: Import) -> dict[str, object]:
    return {
        "verb": "import",
        "joining": [{"row": it.row, "member": it.member, "group": it.group} for it in found.joining],
        "present": [{"row": it.row, "member": it.member, "group": it.group} for it in found.present],
        "unverified": list(people.unverified),
        "refused": [
            {"row": it.row, "column": it.column, "reason": it.reason, "remedy": it.remedy} for it in found.refusals
        ],
        "addedGroups": list(found.added_groups),
        "unreadColumns": list(people.unread),
    }


def _notes(people: People, found: Import) -> list[str]:
    from ncap_iac.people.importing import MAX_IAM_USERS

    notes = []
    if found.present:
        notes.append(f"{len(found.present)} are members already.")
    if people.unverified:
        notes.append(f"{len(people.unverified)} are left out: not verified.")
    if people.unread:
        notes.append(f"Not read: column {', '.join(people.unread)}.")
    if len(found.joining) + len(found.present) > MAX_IAM_USERS:
        notes.append(f"An AWS account holds {MAX_IAM_USERS} users; deploying these needs several accounts.")
    if found.joining:
        notes.append("After deploying, hand each person their key: `ncap member handover NAME --file PATH`.")
    return notes


def _with_rows(answer: Answer, found: Import, *, is_dry: bool) -> Answer:
    """The answer with a table of who joins, in place of a long difference of the file."""
    rows = tuple(
        (str(item.row), item.member, item.group, "made" if item.group in found.added_groups else "")
        for item in found.joining[:SHOWN_ROWS]
    )
    more = len(found.joining) - len(rows)
    head = f"{len(found.joining)} people {'would join' if is_dry else 'join'}" + (f" ({more} more)" if more else "")
    table = Table(
        ("row", "member", "group", "group is"), rows, title=head, empty="Nobody joins: nothing is to be done."
    )
    return replace(answer, blocks=(table, *answer.blocks[1:]))
