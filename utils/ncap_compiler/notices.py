"""What is accepted in a document and still worth knowing: few notices, each about one thing.

Looks at documents without problems. Nothing here refuses or changes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ncap_compiler import defaults
from ncap_compiler.document import Document, did_you_mean
from ncap_compiler.errors import Notice
from ncap_compiler.ignored import CONFIG, IgnoredField
from ncap_compiler.values import PLACEHOLDER, VALUES, WIDEFIELD_VALUES


def blueprint_notices(document: Document, ignored: Sequence[IgnoredField]) -> tuple[Notice, ...]:
    """The notices of a blueprint, in the order of the text."""
    found = (*_unused(document, ignored), *_handler(document), *_region(document), *_command(document))
    return tuple(sorted(found, key=lambda notice: (notice.line or 0, notice.id)))


def profile_notices(document: Document, ignored: Sequence[IgnoredField]) -> tuple[Notice, ...]:
    """The notices of a profile."""
    return tuple(_unused(document, ignored))


def _unused(document: Document, ignored: Sequence[IgnoredField]) -> Iterator[Notice]:
    """One notice for all of them: they say nothing one would have to act on."""
    telling = [field for field in ignored if not field.usual]
    if not telling:
        return
    counted = Counter(field.name for field in telling)
    named = ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in counted.items())
    message = f"accepted and without effect: {named}"
    yield document.notice(
        "N201", telling[0].pointer, message, "Leave them out; `migrate` does it and keeps what they said."
    )


def _handler(document: Document) -> Iterator[Notice]:
    handler = document.get("/Lambda/Handler")
    if isinstance(handler, str) and handler in defaults.EARLIER_HANDLERS:
        today = defaults.EARLIER_HANDLERS[handler]
        with_it = " with a scatter over models" if handler == defaults.ENSEMBLE_HANDLER else ""
        message = f"`{handler}` belonged to an earlier generation and is read as `{today}`{with_it}"
        yield document.notice("N202", "/Lambda/Handler", message, f"Write `{today}`, or let `migrate` do it.")


def _region(document: Document) -> Iterator[Notice]:
    for pointer in ("/REGION", f"{CONFIG}/REGION"):
        region = document.get(pointer)
        if isinstance(region, str) and region not in defaults.REGIONS:
            hint = did_you_mean(region, defaults.REGIONS) or "Check its name."
            yield document.notice("N203", pointer, f"this release does not know the region `{region}`", hint)
            return


def _command(document: Document) -> Iterator[Notice]:
    command = document.get(f"{CONFIG}/COMMAND")
    is_widefield = document.get("/Lambda/Handler") == defaults.WIDEFIELD_HANDLER
    values = WIDEFIELD_VALUES if is_widefield else VALUES
    if isinstance(command, str) and (count := command.count(PLACEHOLDER)) < len(values):
        left_out = ", ".join(values[count:])
        message = f"the command takes {count} of the {len(values)} values; not given to it: {left_out}"
        hint = f"Each `{PLACEHOLDER}` takes the next of {', '.join(values)}."
        yield document.notice("N204", f"{CONFIG}/COMMAND", message, hint)
