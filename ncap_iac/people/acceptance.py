"""A member's own computer: the handed file read, the key put into the AWS settings, and what those say afterwards.

Writes the two AWS settings files and nothing else; asks no cloud; no message holds a part of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.errors import UsageError
from ncap_iac.people.private_files import is_private, replace_private
from ncap_iac.people.settings_file import HandedKey, parse_key, settings, with_section

PROFILE_NAME = re.compile(r"[A-Za-z0-9_.@+=-]+")
USER_ARN = re.compile(r"arn:[a-z-]+:iam::[0-9]*:user/(?:.*/)?([^/]+)")
LARGEST_FILE = 65_536
"""Bytes of a handed file; a real one has a few hundred."""


@dataclass(frozen=True)
class SettingsPaths:
    """Where AWS's tools look for credentials and for the rest."""

    credentials: Path
    config: Path

    @classmethod
    def find(cls, environment: Mapping[str, str], home: Path) -> SettingsPaths:
        """As the AWS command line does: two variables, then `~/.aws`."""
        folder = home / ".aws"
        return cls(
            Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials").expanduser(),
            Path(environment.get("AWS_CONFIG_FILE") or folder / "config").expanduser(),
        )


def read_handed_key(path: Path, *, warn: Callable[[str], None]) -> HandedKey:
    """The key in a handed file. Raises UsageError; warns if others on this computer could read it."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE)
        if not is_private(path):
            warn(f"others on this computer may read {path}; delete it when the key is accepted")
        text = data.decode()
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", where=str(path), hint="Check the path.") from error
    except UnicodeDecodeError:
        raise UsageError("it is not a file with a handed key", where=str(path), hint="Ask for it again.") from None
    return parse_key(text, file=str(path))


def enter_key(key: HandedKey, name: str, paths: SettingsPaths, *, consent: Callable[[], None]) -> tuple[Path, Path]:
    """Put a key into the AWS settings as profile `name`; every other profile stays byte for byte.

    `consent` is asked before another key of that name is replaced. Raises UsageError; returns the files.
    """
    if not PROFILE_NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a profile", where="--name", hint="Letters, digits and _ . @ + = -.")
    section = "default" if name == "default" else f"profile {name}"
    wanted = ((paths.credentials, name, key.credentials()), (paths.config, section, key.config()))
    texts = {path: _text(path) for path in (paths.credentials, paths.config)}
    there = [settings(texts[path], title) for path, title, _ in wanted]
    if any(found and found != values for found, (_, _, values) in zip(there, wanted, strict=True)):
        consent()
    for path, title, values in wanted:
        if settings(_text(path), title) != values:
            replace_private(path, with_section(_text(path), title, values).encode())
    return paths.credentials, paths.config


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError):
        raise UsageError("cannot be read as text", where=str(path), hint="Mend or move the file.") from None


def remembered(paths: SettingsPaths, profile: str) -> dict[str, str]:
    """What the AWS config says about a profile, without anything secret."""
    return settings(_text(paths.config), "default" if profile == "default" else f"profile {profile}")


def member_of_arn(arn: str) -> str:
    """The user an ARN names; empty for a role, the root user or a federated one."""
    found = USER_ARN.fullmatch(arn)
    return found.group(1) if found else ""
