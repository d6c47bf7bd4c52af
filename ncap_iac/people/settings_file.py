"""AWS's credentials and config files as text: sections with settings, changed one at a time, the rest byte for byte.

The format is that of the AWS command line ("Configuration and credential file settings"). Pure; holds no secret longer
than it is asked about one.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ncap_iac.errors import UsageError

_HEADER = re.compile(r"[ \t]*\[[ \t]*(?P<name>.*?)[ \t]*\]")
GROUP_SETTING = "neurocaas_group"
ANALYSES_SETTING = "neurocaas_analyses"
"""Settings of our own in a profile; AWS's tools pass over what they do not know."""
_SAFE = re.compile(r"[^\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class HandedKey:
    """A member's key as it is handed over; the secret is kept out of its text."""

    member: str
    group: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = ""
    endpoint_url: str = ""
    analyses: tuple[str, ...] = ()

    def credentials(self) -> dict[str, str]:
        """The settings that are secret."""
        return {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.secret_access_key}

    def config(self) -> dict[str, str]:
        """The settings that are not."""
        settings = {
            "region": self.region,
            "endpoint_url": self.endpoint_url,
            GROUP_SETTING: self.group,
            ANALYSES_SETTING: ", ".join(self.analyses),
        }
        return {name: value for name, value in settings.items() if value}


def render_key(key: HandedKey, *, handed_over: str) -> str:
    """The file that is handed over: one section in the format of AWS's credentials file."""
    head = (
        f"# The key of {key.member}, group {key.group}, handed over {handed_over}. It is a password: keep it to",
        "# yourself, never mail it. On your own computer: ncap member accept THIS_FILE; then delete this file.",
    )
    return "\n".join([*head, render_section(key.member, {**key.credentials(), **key.config()})])


def parse_key(text: str, *, file: str) -> HandedKey:
    """A file that was handed over. Raises UsageError; no message holds a part of the text."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    hint = "Give the file your operator made with `ncap member handover`."
    try:
        parser.read_string(text)
    except configparser.Error:  # its text quotes the file: it must not travel on, not even as a cause
        raise UsageError("it is not a file with a handed key", where=file, hint=hint) from None
    sections = parser.sections()
    if len(sections) != 1:
        raise UsageError(f"it has {len(sections)} sections; a handed key has one", where=file, hint=hint)
    found = parser[sections[0]]
    missing = [name for name in ("aws_access_key_id", "aws_secret_access_key") if not found.get(name)]
    if missing:
        raise UsageError(f"{' and '.join(missing)} is missing", where=file, hint=hint)
    return HandedKey(
        member=sections[0],
        group=found.get(GROUP_SETTING, ""),
        access_key_id=found["aws_access_key_id"],
        secret_access_key=found["aws_secret_access_key"],
        region=found.get("region", ""),
        endpoint_url=found.get("endpoint_url", ""),
        analyses=listed(found.get(ANALYSES_SETTING, "")),
    )


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between, as one setting holds them."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def render_section(name: str, settings: Mapping[str, str], *, newline: str = "\n") -> str:
    """A section with its settings. Raises ValueError for a name or value the format cannot hold."""
    for text in (name, *settings, *settings.values()):
        if not _SAFE.fullmatch(text) or "]" in name:
            raise ValueError("a control character or bracket in a setting")
    lines = [f"[{name}]", *(f"{key} = {value}" for key, value in settings.items()), ""]
    return newline.join(lines)


def section(text: str, name: str) -> str | None:
    """A section's own text, None if there is none."""
    span = _span(text, name)
    return None if span is None else text[span[0] : span[1]]


def settings(text: str, name: str) -> dict[str, str]:
    """A section's settings, empty if there is none."""
    found: dict[str, str] = {}
    for line in (section(text, name) or "").splitlines()[1:]:
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            found[key.strip()] = value.strip()
    return found


def with_section(text: str, name: str, values: Mapping[str, str]) -> str:
    """The text with a section put in the place of the one of that name, or at the end. All else stays as it is."""
    newline = "\r\n" if "\r\n" in text else "\n"
    rendered = render_section(name, values, newline=newline)
    span = _span(text, name)
    if span is None:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        return f"{text}{gap}{rendered}"
    return f"{text[: span[0]]}{rendered}{text[span[1] :]}"


def _span(text: str, name: str) -> tuple[int, int] | None:
    """Where a section is, from its header to the next one, without comments that lead to that."""
    start: int | None = None
    end = position = 0
    for line in text.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header is not None and start is not None:
            break
        if header is not None and " ".join(header["name"].replace('"', "").split()) == name:
            start, end = position, position + len(line)
        position += len(line)
        if start is not None and line.strip() and not line.lstrip().startswith(("#", ";")):
            end = position
    return None if start is None else (start, end)
