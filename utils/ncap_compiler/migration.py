"""Upgrades documents of the predecessor, losing nothing: what was changed stays, as it was, under `Legacy`.

Rules look at a document and say what becomes different and why; the text around stays as it was written. What a
machine cannot know is left as it is and comes back as problems. `restore` takes one migration back. Nothing here reads
or writes files.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from ncap_compiler import defaults
from ncap_compiler.blueprint import load_blueprint
from ncap_compiler.blueprint_checks import DEVELOPER_NOTES
from ncap_compiler.document import Document, Json, escape, read_document, unescape
from ncap_compiler.editing import Change, JsonText
from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.ignored import BLUEPRINT_FIELDS, CONFIG, GROUPS, PROFILE_FIELDS, Unused, ignored_fields
from ncap_compiler.profile import load_profile
from ncap_compiler.steps import STEPS, dump_steps, read_steps
from ncap_compiler.values import PLACEHOLDER, VALUES, texts

LEGACY = "Legacy"
BLUEPRINT_SCHEMA = "../../utils/ncap_compiler/schemas/blueprint.json"
PROFILE_SCHEMA = "../../utils/ncap_compiler/schemas/profile.json"
"""`$schema` of a document in its folder of a project."""

_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_NUMBERS = ("DEPLOY_LIMIT", "MAXCOST", "MAX_DURATION", "MAX_DATASET_SIZE", "VOLUME_SIZE", "EXECUTION_TIMEOUT")


class Upgraded(Enum):
    """What became of a field."""

    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One field that becomes different. `before` is None for one that is added, `after` for one that is removed.

    `behind` is the field an added one follows; none: it is the document's first.
    """

    kind: Upgraded
    pointer: str
    before: Json
    after: Json
    reason: str
    behind: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """A document after its upgrades, and the problems a person has to solve, with their lines in the text before.

    `document` is what the text holds, None if that cannot be read.
    """

    text: str
    document: Mapping[str, Json] | None
    upgrades: tuple[Upgrade, ...]
    problems: tuple[Problem, ...]


Rule = Callable[[Document], Iterator[Upgrade]]


@dataclass(frozen=True, slots=True)
class _Form:
    """Today's form of a kind of document: how it is read, what leads to it, and what is left aside on the way."""

    load: Callable[..., object]
    rules: tuple[Rule, ...]
    unused: Mapping[str, Mapping[str, Unused]]
    schema: str


def migrate_blueprint(text: str, *, file: str, schema: str = BLUEPRINT_SCHEMA) -> Migration:
    """Bring a blueprint into today's form; `schema` is what its `$schema` says if it has none."""
    return _migrate(text, file=file, form=_Form(load_blueprint, _BLUEPRINT_RULES, BLUEPRINT_FIELDS, schema))


def migrate_profile(text: str, *, file: str, schema: str = PROFILE_SCHEMA) -> Migration:
    """Bring a profile into today's form; `schema` is what its `$schema` says if it has none."""
    return _migrate(text, file=file, form=_Form(load_profile, _PROFILE_RULES, PROFILE_FIELDS, schema))


def restore(document: Mapping[str, Json]) -> dict[str, Json]:
    """The document before its latest migration, fields in their order. Without `Legacy`: the document as it is.

    Exact as long as nobody has edited it since; places that are gone are passed over.
    """
    root: dict[str, Json] = copy.deepcopy(dict(document))
    legacy = root.pop(LEGACY, None)
    if not isinstance(legacy, dict):
        return copy.deepcopy(dict(document))
    for pointer in texts(legacy.get("Added")):
        parent, name = _place(root, pointer)
        parent.pop(name, None)
    for pointer, value in _entries(legacy.get("Changed")):
        parent, name = _place(root, pointer)
        if name in parent:
            parent[name] = value
    removed = [(pointer, entry) for pointer, entry in _entries(legacy.get("Removed")) if isinstance(entry, dict)]
    for pointer, entry in sorted(removed, key=lambda item: _position(item[1])):
        parent, name = _place(root, pointer)
        fields = list(parent.items())
        fields.insert(_position(entry), (name, entry.get("Value")))
        parent.clear()
        parent.update(fields)
    return root


def _migrate(text: str, *, file: str, form: _Form) -> Migration:
    try:
        document = read_document(text, file)
    except DocumentError as error:
        return Migration(text, None, (), error.problems)
    wrong = frozenset(problem.pointer for problem in _problems(form, text, file))
    upgrades = (
        *_name_schema(document, form.schema),
        *(upgrade for rule in form.rules for upgrade in rule(document)),
        *_move_unused(document, form.unused, wrong),
    )
    migrated = _apply(text, document, upgrades) if upgrades else text
    after = read_document(migrated, file).value
    left = _problems(form, migrated, file)
    placed = (document.problem(found.id, found.pointer, found.message, found.hint) for found in left)
    return Migration(migrated, after, upgrades, DocumentError(placed).problems)


def _problems(form: _Form, text: str, file: str) -> tuple[Problem, ...]:
    try:
        form.load(text, file=file)
    except DocumentError as error:
        return error.problems
    return ()


def _apply(text: str, document: Document, upgrades: Sequence[Upgrade]) -> str:
    """The text with all upgrades and their `Legacy`. An earlier `Legacy` is put away within the later one."""
    found = JsonText(text)
    changed = [found.replace(each.pointer, each.after) for each in upgrades if each.kind is Upgraded.CHANGED]
    text = found.apply(changed)
    for upgrade in [each for each in upgrades if each.kind is Upgraded.ADDED]:
        text = _with_field(text, upgrade)
    earlier = [f"/{LEGACY}"] if LEGACY in document.value else []
    for pointer in [*(each.pointer for each in upgrades if each.kind is Upgraded.REMOVED), *earlier]:
        parent, _, name = pointer.rpartition("/")
        found = JsonText(text)
        text = found.apply([found.remove_field(parent, unescape(name))])
    found = JsonText(text)
    return found.apply([_laid_out(text, found.set_field("", LEGACY, {}), _legacy(document, upgrades))])


def _with_field(text: str, upgrade: Upgrade) -> str:
    """The text with an added field: behind another, or first of all, laid out as the one that was first."""
    parent, _, name = upgrade.pointer.rpartition("/")
    found = JsonText(text)
    first = re.match(r'\s*\{(\s*)(?=")', text)
    if upgrade.behind or first is None:
        return found.apply([found.set_field(parent, unescape(name), upgrade.after, after=upgrade.behind)])
    lead = first.group(1)
    field = f"{json.dumps(unescape(name))}: {json.dumps(upgrade.after)},{lead or ' '}"
    return text[: first.end()] + field + text[first.end() :]


def _legacy(document: Document, upgrades: Sequence[Upgrade]) -> dict[str, Json]:
    """What `restore` needs: values as they were, the places of removed fields, the names of added ones."""
    changed: dict[str, Json] = {each.pointer: each.before for each in upgrades if each.kind is Upgraded.CHANGED}
    pointers = [each.pointer for each in upgrades if each.kind is Upgraded.REMOVED]
    if LEGACY in document.value:
        pointers.append(f"/{LEGACY}")
    removed: dict[str, Json] = {
        pointer: {"Position": _index(document, pointer), "Value": document.get(pointer)} for pointer in pointers
    }
    added: list[Json] = [each.pointer for each in upgrades if each.kind is Upgraded.ADDED]
    return {name: value for name, value in (("Changed", changed), ("Removed", removed), ("Added", added)) if value}


def _laid_out(text: str, change: Change, legacy: dict[str, Json]) -> Change:
    """The change that adds `Legacy`, its entries on lines of their own where the document has lines."""
    before = change.text.removesuffix("{}").removesuffix("}")
    indent = re.search(r"\n([ \t]+)\"", change.text)
    if indent is None:
        return Change(change.start, change.end, change.text.replace("{}", json.dumps(legacy, ensure_ascii=False)))
    unit = indent.group(1)
    lines = json.dumps(legacy, ensure_ascii=False, indent=unit).replace("\n", f"\n{unit}")
    return Change(change.start, change.end, before + (lines.replace("\n", "\r\n") if "\r\n" in text else lines))


def _index(document: Document, pointer: str) -> int:
    parent, _, name = pointer.rpartition("/")
    found = document.get(parent)
    return list(found).index(unescape(name)) if isinstance(found, dict) else 0


def _place(root: dict[str, Json], pointer: str) -> tuple[dict[str, Json], str]:
    """The object a field stands in and the field's name; an object nobody keeps when its place is gone."""
    parent, _, name = pointer.rpartition("/")
    found = Document("", root, {}).get(parent)
    return (found if isinstance(found, dict) else {}), unescape(name)


def _entries(value: Json) -> list[tuple[str, Json]]:
    return list(value.items()) if isinstance(value, dict) else []


def _position(entry: dict[str, Json]) -> int:
    position = entry.get("Position")
    return position if isinstance(position, int) else 0


def _name_schema(document: Document, schema: str) -> Iterator[Upgrade]:
    if "$schema" not in document.value:
        yield Upgrade(Upgraded.ADDED, "/$schema", None, schema, "editors find the schema with it")


def _removed(document: Document, pointer: str, reason: str) -> Upgrade:
    return Upgrade(Upgraded.REMOVED, pointer, document.get(pointer), None, reason)


def _changed(document: Document, pointer: str, after: Json, reason: str) -> Upgrade:
    return Upgrade(Upgraded.CHANGED, pointer, document.get(pointer), after, reason)


def _move_unused(
    document: Document, tables: Mapping[str, Mapping[str, Unused]], wrong: frozenset[str]
) -> Iterator[Upgrade]:
    """Fields without effect are put aside, but not where they ask for something the platform refuses."""
    for field in ignored_fields(document, tables):
        if not field.usual and field.pointer not in wrong:
            yield _removed(document, field.pointer, f"it has no effect: {field.reason}")


def _move_developer_notes(document: Document) -> Iterator[Upgrade]:
    for name in DEVELOPER_NOTES:
        if name in document.value:
            yield _removed(document, f"/{name}", "notes of the predecessor's developer tool")


def _list_names(*fields: str) -> Rule:
    def rule(document: Document) -> Iterator[Upgrade]:
        for index, group in _groups(document):
            for field in fields:
                value = group.get(field)
                if isinstance(value, str):
                    names: list[Json] = list(texts(value))
                    yield _changed(document, f"{GROUPS}/{index}/{field}", names, "names are a list")

    return rule


def _groups(document: Document) -> list[tuple[int, dict[str, Json]]]:
    listed = document.get(GROUPS)
    entries = enumerate(listed) if isinstance(listed, list) else ()
    return [(index, group) for index, group in entries if isinstance(group, dict)]


def _write_numbers(document: Document) -> Iterator[Upgrade]:
    for name in _NUMBERS:
        yield from _write_number(document, f"{CONFIG}/{name}")


def _write_group_numbers(document: Document) -> Iterator[Upgrade]:
    for index, group in _groups(document):
        base = f"{GROUPS}/{index}"
        yield from _write_number(document, f"{base}/KeySerialNumber")
        yield from _write_number(document, f"{base}/Budget")
        for name, _ in _entries(group.get("Budget")):
            yield from _write_number(document, f"{base}/Budget/{escape(name)}")


def _write_number(document: Document, pointer: str) -> Iterator[Upgrade]:
    value = document.get(pointer)
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        return
    number = float(value) if "." in value else int(value)
    if Decimal(repr(number)) == Decimal(value):
        yield _changed(document, pointer, number, "numbers are written without quotes")


def _replace_retired_types(document: Document) -> Iterator[Upgrade]:
    for field in ("INSTANCE_TYPE", "ALLOWED_INSTANCE_TYPES"):
        value = document.get(f"{CONFIG}/{field}")
        offered = list(dict.fromkeys(defaults.REPLACEMENT_TYPES.get(kind, kind) for kind in texts(value)))
        if any(kind in defaults.REPLACEMENT_TYPES for kind in texts(value)):
            after: Json = offered[0] if isinstance(value, str) else [*offered]
            yield _changed(document, f"{CONFIG}/{field}", after, "EC2 no longer starts the type")


def _map_handler(document: Document) -> Iterator[Upgrade]:
    handler, code = document.get("/Lambda/Handler"), document.get("/Lambda/CodeUri")
    command = document.get(f"{CONFIG}/COMMAND")
    if not isinstance(handler, str):
        return
    today = defaults.EARLIER_HANDLERS.get(handler)
    if today and (not isinstance(command, str) or command.count(PLACEHOLDER) == len(VALUES)):
        yield _changed(document, "/Lambda/Handler", today, "the protocol of today takes the same four values")
        if handler == defaults.ENSEMBLE_HANDLER:
            yield _say_scatter(document)
    if (today or handler in defaults.HANDLERS) and isinstance(code, str) and code.rstrip("/") != defaults.CODE_URI:
        yield _changed(document, "/Lambda/CodeUri", defaults.CODE_URI, "the folder of today's protocols")


def _say_scatter(document: Document) -> Upgrade:
    """What the ensemble protocol did, as a step."""
    steps, reason = dump_steps(read_steps(document)), "the models of an ensemble are a scatter"
    if STEPS.removeprefix("/") in document.value:
        return _changed(document, STEPS, steps, reason)
    return Upgrade(Upgraded.ADDED, STEPS, None, steps, reason, behind="Lambda")


def _take_out_dead_post_handler(document: Document) -> Iterator[Upgrade]:
    if document.get("/Lambda/PostHandler") not in defaults.MISSING_POST_HANDLERS:
        return
    for name in ("PostCodeUri", "PostHandler", "PostTrigger"):
        if document.get(f"/Lambda/{name}") is not None:
            yield _removed(document, f"/Lambda/{name}", "the function does not exist")


def _say_duration(document: Document) -> Iterator[Upgrade]:
    config, seconds = document.get(CONFIG), document.get(f"{CONFIG}/SSM_TIMEOUT")
    if not isinstance(config, dict) or "MAX_DURATION" in config or isinstance(seconds, bool):
        return
    if isinstance(seconds, int) or (isinstance(seconds, str) and re.fullmatch("[0-9]{1,9}", seconds)):
        minutes, reason = int(seconds) // 60, "the longest job is told in minutes"
        yield Upgrade(Upgraded.ADDED, f"{CONFIG}/MAX_DURATION", None, minutes, reason, behind="SSM_TIMEOUT")
        yield _removed(document, f"{CONFIG}/SSM_TIMEOUT", reason)


_BLUEPRINT_RULES: tuple[Rule, ...] = (
    _map_handler,
    _take_out_dead_post_handler,
    _replace_retired_types,
    _write_numbers,
    _say_duration,
    _list_names("UserNames"),
    _move_developer_notes,
)
_PROFILE_RULES: tuple[Rule, ...] = (
    _list_names("UserNames", "Pipelines", "Suspended", "Collaborators"),
    _write_group_numbers,
)
