"""The rules of a blueprint that a JSON Schema cannot state: names, handlers, commands, hardware on offer.

Each check looks at the document and yields problems; a place whose shape is already wrong is passed over. Nothing
here builds values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ncap_compiler import defaults, names
from ncap_compiler.document import Document, Json
from ncap_compiler.errors import Problem
from ncap_compiler.values import texts

_CONFIG = "/Lambda/LambdaConfig"
_GROUPS = "/UXData/Affiliates"

REFUSED_FIELDS: dict[str, str] = {
    "/Steps": "Analyses of several steps are not carried out yet; deploy each step as a blueprint of its own.",
    "/SPOT": "Spot instances are not used yet; remove the field, jobs then run on demand.",
    f"{_CONFIG}/SPOT": "Spot instances are not used yet; remove the field, jobs then run on demand.",
}
"""Fields of the design that this release does not carry out, each with what to do."""

MAX_PLACEHOLDERS = 4
"""Values a command can take: bucket, dataset key, result path, config key."""


def check_blueprint(document: Document, known_bad: frozenset[str]) -> tuple[Problem, ...]:
    """All rule violations outside the places in `known_bad`."""
    found = (problem for check in _CHECKS for problem in check(document))
    return tuple(problem for problem in found if problem.pointer not in known_bad)


def _check_name(document: Document) -> Iterator[Problem]:
    name = document.get("/PipelineName")
    if isinstance(name, str) and (reason := names.why_not_an_analysis(name)):
        suggestion = re.sub("[^a-z0-9]+", "-", name.casefold()).strip("-")
        usable = names.why_not_an_analysis(suggestion) is None
        hint = f"Try `{suggestion}`." if usable else "It names the bucket and the stack."
        yield document.problem("B201", "/PipelineName", f"`{name}` cannot be used: {reason}", hint)


def _check_regions(document: Document) -> Iterator[Problem]:
    outer, inner = document.get("/REGION"), document.get(f"{_CONFIG}/REGION")
    if isinstance(outer, str) and isinstance(inner, str) and outer != inner:
        message = f"LambdaConfig.REGION is `{inner}` but REGION is `{outer}`"
        yield document.problem("B206", f"{_CONFIG}/REGION", message, "Give both the same region, or leave one out.")


def _check_handler(document: Document) -> Iterator[Problem]:
    handler = document.get("/Lambda/Handler")
    if not isinstance(handler, str) or handler in defaults.HANDLERS:
        return
    reason = defaults.REFUSED_HANDLERS.get(handler, "there is no such handler in the protocols folder")
    hint = f"Use `{defaults.HANDLERS[0]}`."
    yield document.problem("B203", "/Lambda/Handler", f"`{handler}` cannot be used: {reason}", hint)


def _check_post_handler(document: Document) -> Iterator[Problem]:
    handler = document.get("/Lambda/PostHandler")
    if not isinstance(handler, str) or not handler:
        return
    pointer = "/Lambda/PostHandler"
    hint = "Remove PostCodeUri and PostHandler, or name a function of `postprocess`."
    if handler in defaults.MISSING_POST_HANDLERS:
        yield document.problem("B203", pointer, f"`{handler}` does not exist: it could only fail after each job", hint)
    elif not re.fullmatch(r"postprocess\.[A-Za-z_][A-Za-z0-9_]*", handler):
        yield document.problem("B203", pointer, f"`{handler}` is not a function of `postprocess`", hint)
    trigger = document.get("/Lambda/PostTrigger")
    trigger = trigger if isinstance(trigger, str) else defaults.POST_TRIGGER
    if trigger.endswith(defaults.SUBMISSION_SUFFIX) or defaults.SUBMISSION_SUFFIX.endswith(trigger):
        message = f"objects ending in `{trigger}` and in `{defaults.SUBMISSION_SUFFIX}` overlap; S3 refuses that"
        yield document.problem("B210", "/Lambda/PostTrigger", message, "Choose another ending, such as `end.txt`.")


def _check_code(document: Document) -> Iterator[Problem]:
    for field in ("CodeUri", "PostCodeUri"):
        folder = document.get(f"/Lambda/{field}")
        if isinstance(folder, str) and folder and folder.rstrip("/") != defaults.CODE_URI:
            message = f"`{folder}` is not the protocols folder; functions are bundled from there only"
            yield document.problem("B204", f"/Lambda/{field}", message, f"Use `{defaults.CODE_URI}`.")


def _check_instance_types(document: Document) -> Iterator[Problem]:
    for field in ("INSTANCE_TYPE", "ALLOWED_INSTANCE_TYPES"):
        value = document.get(f"{_CONFIG}/{field}")
        for index, kind in enumerate(texts(value)):
            replacement = defaults.RETIRED_FAMILIES.get(kind.partition(".")[0])
            if replacement is None:
                continue
            pointer = f"{_CONFIG}/{field}" if isinstance(value, str) else f"{_CONFIG}/{field}/{index}"
            offered = defaults.REPLACEMENT_TYPES.get(kind, f"a type of family {replacement}")
            yield document.problem("B202", pointer, f"EC2 no longer starts `{kind}`", f"Try `{offered}`.")


def _check_command(document: Document) -> Iterator[Problem]:
    ami, command = document.get(f"{_CONFIG}/AMI"), document.get(f"{_CONFIG}/COMMAND")
    pointer = f"{_CONFIG}/COMMAND"
    if command is None and isinstance(ami, str) and re.fullmatch("ami-[0-9a-f]+", ami):
        hint = "Name the shell command with a `{}` for bucket, dataset key, result path and config key each."
        yield document.problem("B101", pointer, "`COMMAND` is missing; a literal AMI brings no workflow", hint)
    if not isinstance(command, str):
        return
    count = command.count("{}")
    if count > MAX_PLACEHOLDERS:
        message = f"the command has {count} `{{}}`; there are {MAX_PLACEHOLDERS} values to fill in"
        yield document.problem("B205", pointer, message, "They are bucket, dataset key, result path and config key.")
    if "\0" in command:
        yield document.problem("B205", pointer, "the command holds a NUL character", "Remove it.")
    if "{}" in _single_quoted(command):
        message = "a `{}` stands inside single quotes, where the shell fills nothing in"
        yield document.problem("B205", pointer, message, 'Use double quotes: "{}".')


def _check_settings(document: Document) -> Iterator[Problem]:
    launch = document.get(f"{_CONFIG}/LAUNCH")
    if launch is not None and str(launch).casefold() != "true":
        message = "LAUNCH is false: a job manager that launches nothing does not exist"
        yield document.problem("B209", f"{_CONFIG}/LAUNCH", message, "Use `DEPLOY_LIMIT: 0` to let jobs wait.")
    groups = document.get(_GROUPS)
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        if isinstance(group, dict) and group.get("UserInput") is False:
            message = "UserInput is false: jobs start from submissions of the group only"
            yield document.problem("B209", f"{_GROUPS}/{index}/UserInput", message, "Set it to true or remove it.")


def _check_groups(document: Document) -> Iterator[Problem]:
    yield from check_group_names(document, document.get(_GROUPS), "B207", "B208")


def check_group_names(document: Document, groups: Json, bad_id: str, collision_id: str) -> Iterator[Problem]:
    """Problems of the names under `/UXData/Affiliates`: unusable, or equal to another but for case.

    IAM compares names without case, so `Lab` and `lab` would be one role.
    """
    first: dict[str, tuple[str, int | None]] = {}
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        name = group.get("AffiliateName") if isinstance(group, dict) else None
        if not isinstance(name, str):
            continue
        pointer = f"{_GROUPS}/{index}/AffiliateName"
        if reason := names.why_not_a_group(name):
            yield document.problem(bad_id, pointer, f"group `{name}` cannot be used: {reason}", "Choose another name.")
        if name.casefold() in first:
            other, line = first[name.casefold()]
            what = f"group `{name}` is listed twice" if other == name else f"groups `{other}` and `{name}`"
            message = f"{what} (line {line}): both would have the role `{names.instance_role(name)}`"
            yield document.problem(collision_id, pointer, message, "Keep one of them, or rename one.")
        first.setdefault(name.casefold(), (name, document.line(pointer)))


def _single_quoted(command: str) -> str:
    """The parts of a shell command that stand in single quotes."""
    inside: list[str] = []
    quote = ""
    escaped = False
    for character in command:
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote == "'" and character != "'":
            inside.append(character)
        elif character in "'\"" and quote in ("", character):
            quote = "" if quote else character
            inside.append("\n")
    return "".join(inside)


_CHECKS: tuple[Callable[[Document], Iterator[Problem]], ...] = (
    _check_name,
    _check_regions,
    _check_handler,
    _check_post_handler,
    _check_code,
    _check_instance_types,
    _check_command,
    _check_settings,
    _check_groups,
)
