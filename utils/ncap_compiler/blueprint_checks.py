"""The rules of a blueprint that a JSON Schema cannot state: names, handlers, commands, hardware on offer.

Each check looks at the document and yields problems; a place whose shape is already wrong is passed over. Nothing
here builds values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ncap_compiler import defaults, names
from ncap_compiler.document import Document, Json, did_you_mean
from ncap_compiler.errors import Problem
from ncap_compiler.ignored import CONFIG, GROUPS
from ncap_compiler.step_checks import check_steps
from ncap_compiler.values import PLACEHOLDER, VALUES, WIDEFIELD_VALUES, texts

DEVELOPER_NOTES = ("container_history", "image_history", "script", "localenv", "remote_hist", "develop_history")
"""Fields the predecessor's developer tool wrote into blueprints for itself."""

REFUSED_FIELDS: dict[str, str] = {
    "/SPOT": "Move it into LambdaConfig, beside INSTANCE_TYPE.",
    **{
        f"/{name}": "The predecessor's developer tool kept notes here; `ncap blueprint migrate` moves them aside."
        for name in DEVELOPER_NOTES
    },
}
"""Known fields that this release does not take, each with what to do."""

_ORDER = f"{', '.join(VALUES[:-1])} and {VALUES[-1]}"


_ROLE_OVERHEAD = len('"arn:aws-us-gov:iam::000000000000:role/neurocaas/instances/",')
ROLE_CHARACTERS = 9 * 6_000
"""Of the ten policies of 6,144 characters a role takes (IAM quotas), what is left for the roles it may pass on."""


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
    outer, inner = document.get("/REGION"), document.get(f"{CONFIG}/REGION")
    if isinstance(outer, str) and isinstance(inner, str) and outer != inner and re.fullmatch("[a-z0-9-]+", outer):
        message = f"LambdaConfig.REGION is `{inner}` but REGION is `{outer}`"
        yield document.problem("B206", f"{CONFIG}/REGION", message, "Give both the same region, or leave one out.")


def _check_handler(document: Document) -> Iterator[Problem]:
    handler = document.get("/Lambda/Handler")
    if not isinstance(handler, str) or handler in defaults.HANDLERS or handler in defaults.EARLIER_HANDLERS:
        return
    today = defaults.HANDLERS[0]
    message = f"`{handler}` cannot be used: there is no such handler in the protocols folder"
    hint = did_you_mean(handler, defaults.HANDLERS) or f"Use `{today}`."
    yield document.problem("B203", "/Lambda/Handler", message, hint)


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
            yield document.problem(
                "B204", f"/Lambda/{field}", message, f"Use `{defaults.CODE_URI}`; `migrate` writes it."
            )


def _check_instance_types(document: Document) -> Iterator[Problem]:
    for field in ("INSTANCE_TYPE", "ALLOWED_INSTANCE_TYPES"):
        value = document.get(f"{CONFIG}/{field}")
        for index, kind in enumerate(texts(value)):
            replacement = defaults.RETIRED_FAMILIES.get(kind.partition(".")[0])
            if replacement is None:
                continue
            pointer = f"{CONFIG}/{field}" if isinstance(value, str) else f"{CONFIG}/{field}/{index}"
            offered = defaults.REPLACEMENT_TYPES.get(kind, f"a type of family {replacement}")
            yield document.problem("B202", pointer, f"EC2 no longer starts `{kind}`", f"Try `{offered}`.")


def _check_command(document: Document) -> Iterator[Problem]:
    ami, command = document.get(f"{CONFIG}/AMI"), document.get(f"{CONFIG}/COMMAND")
    pointer = f"{CONFIG}/COMMAND"
    if command is None and isinstance(ami, str) and re.fullmatch("ami-[0-9a-f]+", ami):
        hint = f"Name the shell command with a `{PLACEHOLDER}` for {_ORDER} each."
        yield document.problem("B101", pointer, "`COMMAND` is missing; a literal AMI brings no workflow", hint)
    if not isinstance(command, str):
        return
    yield from _check_placeholders(document, pointer, command)
    if "\0" in command:
        yield document.problem("B205", pointer, "the command holds a NUL character", "Remove it.")
    if PLACEHOLDER in _single_quoted(command):
        message = f"a `{PLACEHOLDER}` stands inside single quotes, where the shell fills nothing in"
        yield document.problem("B205", pointer, message, f'Use double quotes: "{PLACEHOLDER}".')


def _check_placeholders(document: Document, pointer: str, command: str) -> Iterator[Problem]:
    """Protocols of earlier generations filled in other values: which ones, a machine cannot know."""
    handler, count = document.get("/Lambda/Handler"), command.count(PLACEHOLDER)
    if handler == defaults.WIDEFIELD_HANDLER:
        if count > len(WIDEFIELD_VALUES):
            message = f"the command has {count} `{PLACEHOLDER}`; this protocol has {len(WIDEFIELD_VALUES)} values"
            hint = f"They are {', '.join(WIDEFIELD_VALUES[:-1])} and {WIDEFIELD_VALUES[-1]}."
            yield document.problem("B205", pointer, message, hint)
        return
    if isinstance(handler, str) and handler in defaults.EARLIER_HANDLERS and count != len(VALUES):
        message = (
            f"the command has {count} `{PLACEHOLDER}`, as an early generation of `{handler}` filled them in; "
            f"today there are {len(VALUES)}: {_ORDER}"
        )
        hint = (
            f"Write it with four `{PLACEHOLDER}` in that order (the fourth is the key of the job's config file), "
            f"and name the handler `{defaults.HANDLERS[0]}`."
        )
        yield document.problem("B205", pointer, message, hint)
    elif count > len(VALUES):
        message = f"the command has {count} `{PLACEHOLDER}`; there are {len(VALUES)} values to fill in"
        yield document.problem("B205", pointer, message, f"They are {_ORDER}.")


def _check_settings(document: Document) -> Iterator[Problem]:
    launch = document.get(f"{CONFIG}/LAUNCH")
    if launch is not None and str(launch).casefold() != "true":
        message = "LAUNCH is false: a job manager that launches nothing does not exist"
        yield document.problem("B209", f"{CONFIG}/LAUNCH", message, "Use `DEPLOY_LIMIT: 0` to let jobs wait.")
    groups = document.get(GROUPS)
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        if isinstance(group, dict) and group.get("UserInput") is False:
            message = "UserInput is false: jobs start from submissions of the group only"
            yield document.problem("B209", f"{GROUPS}/{index}/UserInput", message, "Set it to true or remove it.")


def _check_groups(document: Document) -> Iterator[Problem]:
    groups = document.get(GROUPS)
    yield from check_group_names(document, groups, "B207", "B208")
    listed = [
        group.get("AffiliateName") for group in (groups if isinstance(groups, list) else []) if isinstance(group, dict)
    ]
    length = roles_length([name for name in listed if isinstance(name, str)])
    if length > ROLE_CHARACTERS:
        message = (
            f"the names of the roles of these {len(listed)} groups take {length:,} characters; the policies of the "
            f"job manager, which may start instances with these roles only, hold {ROLE_CHARACTERS:,}"
        )
        hint = "Give groups shorter names, or deploy the analysis a second time under another PipelineName."
        yield document.problem("B211", GROUPS, message, hint)


def roles_length(groups: Sequence[str]) -> int:
    """Characters the names of these groups' instance roles take in a policy that lists them."""
    return sum(len(names.instance_role(name)) + _ROLE_OVERHEAD for name in groups)


def check_group_names(document: Document, groups: Json, bad_id: str, collision_id: str) -> Iterator[Problem]:
    """Problems of the names under `/UXData/Affiliates`: unusable, or with derived names equal to those of another.

    IAM compares names without case, so `Lab` and `lab` would be one role.
    """
    first: dict[str, tuple[str, int | None]] = {}
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        name = group.get("AffiliateName") if isinstance(group, dict) else None
        if not isinstance(name, str):
            continue
        pointer = f"{GROUPS}/{index}/AffiliateName"
        if reason := names.why_not_a_group(name):
            yield document.problem(bad_id, pointer, f"group `{name}` cannot be used: {reason}", "Choose another name.")
        derived = {found.casefold() for found in names.derived_of_group(name)}
        shared = sorted(derived & first.keys())
        if shared:
            other, line = first[shared[0]]
            what = f"group `{name}` is listed twice" if other == name else f"groups `{other}` and `{name}`"
            message = f"{what} (line {line}): both would have the IAM {shared[-1]}"
            yield document.problem(collision_id, pointer, message, "Keep one of them, or rename one.")
        for found in derived:
            first.setdefault(found, (name, document.line(pointer)))


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
    check_steps,
)
