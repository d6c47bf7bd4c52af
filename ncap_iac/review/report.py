"""A finding of `check` as text: markdown for a pull request's comment, annotations for GitHub, and data.

Names and texts of documents are somebody else's: they stand in code spans, on one line, without characters that steer
or mislead, so that they can be no markup, mention or link. Pure; equal findings give equal text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ncap_compiler import Change
from ncap_compiler.errors import Finding
from ncap_iac.deploy.comparison import Outcome
from ncap_iac.deploy.plan_document import change_document, stack_document
from ncap_iac.review.check import Checked, Severity, StackCheck, by_severity, severity

MARKDOWN_LIMIT = 60_000
"""Characters; GitHub takes 65,536 in a comment."""
LONGEST_TEXT = 400
"""Characters of one text of a document that are shown."""
MOST_ANNOTATIONS = 50
"""GitHub shows ten of a kind for each step; a log needs no more than this."""
MOST_NAMED = 30
"""Files or stacks listed by name in one line."""

OUTCOMES = {
    Outcome.CREATED: "to be created",
    Outcome.CHANGED: "to be changed",
    Outcome.DELETED: "its document is removed",
    Outcome.AS_WANTED: "another version",
}
"""What becomes of a stack, in words."""

_STEERING = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufe00-\\ufe0f\\ufeff\\ufff9-\\ufffb]"
    "|[\\U000e0000-\\U000e0fff]"
)
"""Characters without a picture of their own, and those that turn the direction of text."""


def plain(text: str) -> str:
    """A text on one line, without what could steer or mislead, cut at `LONGEST_TEXT`."""
    line = _STEERING.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def code(text: str) -> str:
    """A text as a markdown code span that nothing in it can end (CommonMark 6.1)."""
    line = plain(text) or " "
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


# --- markdown ---


def markdown(checked: Checked, *, limit: int = MARKDOWN_LIMIT) -> str:
    """The finding as markdown of at most `limit` characters, cut after a whole line."""
    lines = [*_head(checked), *_problems(checked), *_stacks(checked), *_code(checked), *_notices(checked)]
    return _bounded(lines, limit)


def _bounded(lines: Sequence[str], limit: int) -> str:
    text = "\n".join(lines) + "\n"
    if len(text) <= limit:
        return text
    kept, used = 0, 0
    said = "\n\nThe report is cut here: {} more lines. `ncap check` on your computer shows all of it.\n"
    room = limit - len(said.format(len(lines)))
    while kept < len(lines) and used + len(lines[kept]) + 1 <= room:
        used += len(lines[kept]) + 1
        kept += 1
    return "\n".join(lines[:kept]) + said.format(len(lines) - kept)


def _head(checked: Checked) -> Iterator[str]:
    yield "### What these documents would change"
    yield ""
    yield summary(checked)
    yield ""
    yield f"Compared with commit {code(checked.base[:12])}, without any account: what is really deployed may differ."
    yield ""


def summary(checked: Checked) -> str:
    """The finding in one sentence."""
    counts = [_count(len(checked.problems), "problem"), f"{_count(len(checked.stacks), 'stack')} different"]
    levels = [severity(change) for check in checked.stacks for change in check.plan.changes]
    counts += [
        f"{words}: {levels.count(level)}"
        for words, level in (("losses of data", Severity.LOSES_DATA), ("replacements", Severity.REPLACES))
        if level in levels
    ]
    if checked.code:
        counts.append(f"the code of {_count(len(checked.code.stacks), 'further stack')}")
    return ", ".join(counts) + "."


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _problems(checked: Checked) -> Iterator[str]:
    if checked.problems:
        yield from ("#### Problems: mend these first", "", *map(_finding, checked.problems), "")


def _finding(finding: Finding) -> str:
    hint = f"; {code(finding.hint)}" if finding.hint else ""
    return f"- **{finding.id}** {code(_place(finding.file, finding.line))}: {code(finding.message)}{hint}"


def _place(file: str, line: int | None) -> str:
    return file if line is None else f"{file}:{line}"


def _stacks(checked: Checked) -> Iterator[str]:
    order = [Severity.LOSES_DATA, Severity.REPLACES, None]

    def rank(check: StackCheck) -> tuple[int, str]:
        found = {severity(change) for change in check.plan.changes}
        return next(index for index, level in enumerate(order) if level is None or level in found), check.plan.stack

    for check in sorted(checked.stacks, key=rank):
        yield from _stack(check)


def _stack(check: StackCheck) -> Iterator[str]:
    plan = check.plan
    yield f"#### Stack {code(plan.stack)}: {OUTCOMES[plan.outcome]}"
    yield ""
    yield f"- document {code(check.document)}"
    if check.version_before != check.version_after:
        yield f"- version {_version(check.version_before)} → {_version(check.version_after)}"
    if plan.idle_before.usd != plan.idle_after.usd:
        yield f"- idle cost {plan.idle_before.usd} → {plan.idle_after.usd} USD a month (list prices)"
    if plan.outcome is Outcome.DELETED:
        yield "- merging does not delete the stack: delete it first, from a checkout that still has the document"
    yield from (f"- ⚠ {code(care.text)}" for care in plan.careful)
    yield from (f"- steps: {code(words)}" for words in check.steps)
    yield ""
    if plan.changes:
        yield from (f"- {_change(change)}" for change in by_severity(plan.changes))
        yield ""
    granted = sorted((change.resource, words) for change in plan.changes for words in change.granted)
    revoked = sorted((change.resource, words) for change in plan.changes for words in change.revoked)
    if granted or revoked:
        yield "Permissions:"
        yield ""
        yield from (f"- granted in {code(resource)}: {code(words)}" for resource, words in granted)
        yield from (f"- revoked in {code(resource)}: {code(words)}" for resource, words in revoked)
        yield ""


def _version(version: str | None) -> str:
    return code(version) if version else "none"


def _change(change: Change) -> str:
    level = severity(change)
    word = f"**{level.value}**" if level in (Severity.LOSES_DATA, Severity.REPLACES) else level.value
    said = f"{word}: {code(change.resource)} ({code(change.type.removeprefix('AWS::'))})"
    if change.properties:
        said += ": " + ", ".join(code(name) for name in change.properties)
    if change.keeps:
        said += "; the present one stays, outside the stack"
    return said


def _code(checked: Checked) -> Iterator[str]:
    if checked.code is None:
        return
    yield "#### Code shared by all stacks"
    yield ""
    yield f"- changed: {_named(checked.code.files)}"
    if checked.code.stacks:
        yield f"- stacks that change only by it: {_named(checked.code.stacks)}"
        yield "- every analysis gets another version"
    else:
        yield "- no stack changes by it"
    yield ""


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(code(name) for name in names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _notices(checked: Checked) -> Iterator[str]:
    if checked.notices:
        yield from ("#### Worth knowing", "", *map(_finding, checked.notices), "")


# --- annotations ---


def github_commands(checked: Checked, *, prefix: str = "") -> str:
    """GitHub's workflow commands, a line each: problems, what is lost or replaced, notices.

    `prefix` is where the project is in its repository. Source of the form: GitHub Docs, workflow commands.
    """
    lines = [
        _annotation("error", prefix + problem.file, problem.line, problem.id, _sentence(problem))
        for problem in checked.problems
    ]
    lines += [
        _annotation("warning", prefix + check.document, None, check.plan.stack, care.text)
        for check in checked.stacks
        for care in check.plan.careful
    ]
    lines += [
        _annotation("notice", prefix + notice.file, notice.line, notice.id, _sentence(notice))
        for notice in checked.notices
    ]
    return "\n".join([*lines[:MOST_ANNOTATIONS], summary(checked)]) + "\n"


def _sentence(problem: Finding) -> str:
    return f"{problem.message}. {problem.hint}" if problem.hint else problem.message


def _annotation(level: str, file: str, line: int | None, title: str, text: str) -> str:
    place = f"file={_property(file)}," + (f"line={line}," if line is not None else "")
    return f"::{level} {place}title={_property(title)}::{_message(text)}"


def _message(text: str) -> str:
    return plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


# --- data ---


def document(checked: Checked) -> dict[str, object]:
    """The finding for JSON."""
    return {
        "base": checked.base,
        "documents": list(checked.documents),
        "problems": [_finding_document(problem) for problem in checked.problems],
        "notices": [_finding_document(notice) for notice in checked.notices],
        "stacks": [_stack_document(check) for check in checked.stacks],
        "code": {"files": list(checked.code.files), "stacks": list(checked.code.stacks)} if checked.code else None,
    }


def _finding_document(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.id,
        "file": finding.file,
        "line": finding.line,
        "pointer": finding.pointer,
        "message": finding.message,
        "hint": finding.hint,
    }


def _stack_document(check: StackCheck) -> dict[str, object]:
    """The stack as `plan --output json` has it, with its document, versions and how grave each change is."""
    return {
        **stack_document(check.plan),
        "document": check.document,
        "versionBefore": check.version_before,
        "versionAfter": check.version_after,
        "steps": list(check.steps),
        "changes": [
            {**change_document(change), "severity": severity(change).value}
            for change in by_severity(check.plan.changes)
        ],
    }
