"""`ncap blueprint versions|show|rollback`: the kept versions of an analysis, and which of them is served by default."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_stage_option, add_verb
from ncap_iac.cli.version_subject import DEFAULT, DOCUMENTS, Subject

if TYPE_CHECKING:
    from ncap_iac.deploy.rollback import Rollback
    from ncap_iac.deploy.versions import Difference, KeptVersion

COLUMNS = ("version", "deployed", "commit", "environment", "instance types", "changed", "now")
VERSION_HELP = f"an id or its beginning (v-01ab), '{DEFAULT}': the one served, '{DOCUMENTS}': the working documents"


def add_version_verbs(verbs: SubParsers) -> None:
    """Add the verbs about versions to the noun."""
    parser = add_verb(
        verbs,
        "versions",
        "List the kept versions of an analysis, the last first.",
        ["ncap blueprint versions kalman-lds", "ncap blueprint versions kalman-lds --limit 100 --output json"],
        run=run_versions,
        detail="A version is kept for ever: a submission that names it (`--analysis-version`) runs it again.",
    )
    _add_name(parser)
    parser.add_argument("--limit", type=_positive, default=20, metavar="N", help="at most so many (20)")
    parser = add_verb(
        verbs,
        "show",
        "Show a version in full, or what is different between two.",
        [
            "ncap blueprint show kalman-lds",
            "ncap blueprint show kalman-lds v-01ab",
            "ncap blueprint show kalman-lds v-01ab v-23cd",
            f"ncap blueprint show kalman-lds --against {DOCUMENTS}",
        ],
        run=run_show,
    )
    _add_name(parser)
    parser.add_argument("version", nargs="?", default=DEFAULT, metavar="VERSION", help=VERSION_HELP)
    parser.add_argument("other", nargs="?", metavar="OTHER", help="show what is different in this one")
    parser.add_argument("--against", metavar="OTHER", help="the same, for use without VERSION")
    parser = add_verb(
        verbs,
        "rollback",
        "Serve a kept version by default again, until the next deployment.",
        ["ncap blueprint rollback kalman-lds --to v-01ab", "ncap blueprint rollback kalman-lds --to v-01ab --yes"],
        run=run_rollback,
        detail="What comes back is the version: environment, command, parameters, machines, limits, list of groups.\n"
        "What stays: the job manager's code, the groups' permissions and budgets, all data, every running and\n"
        "waiting job. `ncap blueprint deploy NAME` serves the version of the documents again.",
    )
    _add_name(parser)
    parser.add_argument("--to", required=True, metavar="VERSION", help="the id of a kept version, or its beginning")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME|PATH", help="a blueprint of the project, or its folder or file")
    add_stage_option(parser)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number above 0 is wanted")
    return value


# --- versions ---


def run_versions(context: Context) -> Answer:
    """The kept versions."""
    from ncap_iac.deploy.versions import changed_words, short_environment

    subject = Subject(context)
    pairs = [(version, before) for version, before in pairwise((*subject.kept, None)) if version is not None]
    listed = [
        ListedVersion(version, changed_words(None if before is None else before.document, version.document))
        for version, before in pairs[: context.arguments.limit]
    ]
    rows = tuple(
        (
            item.version.version_id,
            item.version.written.strftime("%Y-%m-%d %H:%M"),
            item.version.text("commit")[:12],
            short_environment(item.version.environment),
            ", ".join(item.version.document.get("instanceTypes") or ()) if not item.version.problem else "",
            item.version.problem or item.changed,
            item.marks(subject),
        )
        for item in listed
    )
    notes = subject.notes()
    if len(pairs) > len(listed):
        notes.append(f"{len(pairs) - len(listed)} older ones: use --limit.")
    return Answer(
        kind="VersionList",
        data={
            "analysis": subject.stack,
            "default": subject.served or None,
            "documents": subject.compiled_id or None,
            "total": len(pairs),
            "versions": [item.data() for item in listed],
        },
        blocks=(Table(COLUMNS, rows, empty=f"No version of {subject.stack} is deployed."),),
        notes=tuple(notes),
        next_commands=(subject.command("show", listed[0].version.version_id),) if listed else (),
    )


@dataclass(frozen=True)
class ListedVersion:
    """A version in the list, and what it changed against the one before."""

    version: KeptVersion
    changed: str

    def marks(self, subject: Subject) -> str:
        """What it is now."""
        said = ((subject.served, "served by default"), (subject.compiled_id, "the documents"))
        return ", ".join(words for version_id, words in said if version_id == self.version.version_id)

    def data(self) -> dict[str, object]:
        """For JSON."""
        return {
            "versionId": self.version.version_id,
            "deployed": self.version.written.isoformat(),
            "commit": self.version.document.get("commit"),
            "environment": self.version.environment,
            "imageId": self.version.image_id,
            "instanceTypes": self.version.document.get("instanceTypes"),
            "changed": self.changed,
            "problem": self.version.problem or None,
        }


# --- show ---


def run_show(context: Context) -> Answer:
    """One version, or the difference of two."""
    subject = Subject(context)
    other = context.get("other") or context.get("against")
    version_id, document = subject.document(context.arguments.version)
    if other:
        return _compared(subject, (version_id, document), subject.document(other))
    rows = tuple((words, _shown(name, document)) for name, words in _fields(document))
    blocks: list[Table | Text] = [Text(version_id), Table(("field", "value"), rows)]
    schema = document.get("parametersSchema")
    if schema is not None:
        blocks.append(Text("parameters:\n" + json.dumps(schema, indent=2, ensure_ascii=False)))
    return Answer(
        kind="Version",
        data={"version": dict(document), "isDefault": version_id == subject.served},
        blocks=tuple(blocks),
        next_commands=(subject.command("show", version_id, "--against", DOCUMENTS),),
    )


def _fields(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields to show, with their words."""
    from ncap_iac.deploy.versions import FACTS, FIELDS

    for name, words in (FIELDS | FACTS).items():
        if name in document and name != "parametersSchema":
            yield name, words


def _shown(name: str, document: Mapping[str, Any]) -> str:
    from ncap_iac.deploy.versions import shown

    return shown(name, document.get(name))


def _compared(subject: Subject, first: tuple[str, Mapping[str, Any]], second: tuple[str, Mapping[str, Any]]) -> Answer:
    from ncap_iac.deploy.versions import differences

    found = differences(first[1], second[1])
    return Answer(
        kind="VersionDifference",
        data={
            "versions": [first[0], second[0]],
            "differences": [
                {"field": item.field, "values": [first[1].get(item.field), second[1].get(item.field)]} for item in found
            ],
        },
        blocks=tuple(difference_blocks(found, first[0], second[0])),
        next_commands=(subject.command("versions"),),
    )


def difference_blocks(found: Sequence[Difference], first: str, second: str) -> Iterator[Table | Text]:
    """What is different, for people: a row a field, then long texts line by line."""
    rows = tuple((item.words, item.before, item.after) for item in found)
    yield Table(("field", first, second), rows, empty=f"{first} and {second} are the same.")
    for item in found:
        if item.lines:
            yield Text("\n".join([f"{item.words}:", *item.lines]))


# --- rollback ---


def run_rollback(context: Context) -> Answer:
    """Serve a kept version by default."""
    subject = Subject(context)
    rollback = _planned(subject, context.arguments.to)
    said = f"{subject.stack} serves {rollback.target.version_id} by default"
    if rollback.plan.is_empty:
        return Answer(kind="Rollback", data=_data(subject, rollback, changed=False), blocks=(Text(f"{said} already"),))
    context.say_target()
    for line in _plan_lines(rollback):
        context.report(progress.Note(line))
    if rollback.lost_groups:
        names = ", ".join(rollback.lost_groups)
        context.report(progress.Warned(f"that version is not for {names}: it is refused until the next deployment."))
    context.require_consent(f"Serve {rollback.target.version_id} of {subject.stack} by default?")
    with progress.step(f"roll back {subject.stack}", context.report, context.world.clock):
        subject.deployment.apply(rollback.plan)
    submit = ["ncap", "job", "submit", subject.stack, "--data", "FILE", "--config", "FILE", *context.target.options()]
    return Answer(
        kind="Rollback",
        data=_data(subject, rollback, changed=True),
        blocks=(Text(f"{said} (before: {rollback.served})"),),
        notes=("The next `ncap blueprint deploy` serves the version of the documents again.",),
        next_commands=(shlex.join(submit), subject.command("versions")),
    )


def _planned(subject: Subject, said: str) -> Rollback:
    """The plan that serves the version meant. Raises NcapError."""
    from ncap_iac.deploy.rollback import find_image, plan_rollback, require_runnable

    target = subject.find(said)
    require_runnable(target, subject.deployed)
    environment = "" if subject.wanted is None else str(subject.wanted.environment)
    finder, make = subject.context.gateway, _maker(subject, target)
    found = find_image(target, finder, make=make, working_environment=environment, name=subject.name)
    return plan_rollback(target, subject.kept, subject.deployed, found, image_arn=subject.deployment.image_arn)


def _maker(subject: Subject, target: KeptVersion) -> Callable[[], str] | None:
    """In a local cloud, how to make sure of an image: the cloud knows its name only, not whether it is still there."""
    from ncap_iac.deploy.images import ImageMaker

    context = subject.context
    if context.target.cloud is None:
        return None

    def report(event: progress.Event) -> None:
        # That the documents have another recipe is no news here, and nothing to warn of.
        if not isinstance(event, progress.Warned):
            context.report(event)

    world = context.world
    maker = ImageMaker(context.project, world.environment, world.home, report, world.clock)
    return lambda: maker.make(target.environment, subject.path.parent, gateway=context.gateway)


def _data(subject: Subject, rollback: Rollback, *, changed: bool) -> dict[str, object]:
    return {
        "analysis": subject.stack,
        "versionId": rollback.target.version_id,
        "before": rollback.served,
        "changed": changed,
        "parameters": {item.name: item.after for stack in rollback.plan.stacks for item in stack.parameter_changes},
        "differences": [item.field for item in rollback.differences],
    }


def _plan_lines(rollback: Rollback) -> Iterator[str]:
    """The plan in words, before anybody is asked."""
    from ncap_iac.deploy.version_reach import VERSION_PARAMETER

    yield f"Served by default: {rollback.served} now, {rollback.target.version_id} then."
    for item in rollback.differences:
        yield f"  {item.words}: {item.before} -> {item.after}"
    for stack in rollback.plan.stacks:
        for change in stack.parameter_changes:
            if change.name != VERSION_PARAMETER:
                yield f"  parameter {change.name}: {change.before or 'none'} -> {change.after or 'none'}"
    yield "Not changed: the job manager's code, permissions of groups, budgets, data, running and waiting jobs."
