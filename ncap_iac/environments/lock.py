"""Locking: `requirements.in` -> `requirements.lock`, every package with its hashes, for every platform the recipe fits.

The lock's head says what it was made from, so that its being in date can be seen without a network; it names no path
of this computer and no index. Versions that were locked stay unless an upgrade is asked for.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ncap_compiler.errors import DocumentError
from ncap_compiler.recipe import check_requirements
from ncap_iac.environments.assemble import BuildError, Installer

REQUIREMENTS = "requirements.in"
_HEAD = re.compile(r"# Locked by ncap from requirements\.in \(sha256 ([0-9a-f]{64})\) for Python (.*)\.")
_LEAST = re.compile(r"(?:>=|~=|==)\s*(\d+\.\d+)")


@dataclass(frozen=True)
class Locking:
    """What there is to lock."""

    requirements: Path
    """`requirements.in`"""
    lock: Path
    python: str
    """The recipe's range."""


def lock_text(head: bytes, python: str, packages: str) -> str:
    """A lock: its head, then what uv resolved."""
    return f"# Locked by ncap from requirements.in (sha256 {_digest(head)}) for Python {python}.\n{packages}"


def is_in_date(locking: Locking) -> bool | None:
    """Whether the lock is that of the requirements and the Python range; None if it does not say what it is of.

    Raises OSError for requirements that cannot be read.
    """
    wanted = _digest(locking.requirements.read_bytes()), locking.python
    if not locking.lock.is_file():
        return False
    first = locking.lock.read_text(encoding="utf-8").partition("\n")[0]
    said = _HEAD.fullmatch(first)
    return None if said is None else said.groups() == wanted


def resolve(locking: Locking, installer: Installer, *, upgrade: bool = False) -> str:
    """The text of the lock that fits the requirements now. Changes no file.

    Raises BuildError if there is no such set of packages, DocumentError for a requirement that is another project.
    """
    content = locking.requirements.read_bytes()
    if wrong := tuple(check_requirements(content.decode(), file=str(locking.requirements))):
        raise DocumentError(wrong)
    least = _LEAST.search(locking.python)
    if least is None:
        raise BuildError(f"`python` of the recipe is {locking.python!r}: a lock needs a lowest version, such as >=3.11")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / REQUIREMENTS).write_bytes(content)
        made = folder / "made.lock"
        if locking.lock.is_file() and not upgrade:
            made.write_bytes(locking.lock.read_bytes())
        installer.run(
            *("pip", "compile", REQUIREMENTS, "--output-file", made.name),
            *("--universal", "--generate-hashes", "--no-annotate", "--no-header", "--python-version", least[1]),
            folder=folder,
        )
        packages = made.read_text(encoding="utf-8")
    if wrong := tuple(check_requirements(packages, file=str(locking.lock))):
        raise DocumentError(wrong)
    kept = "".join(line for line in packages.splitlines(keepends=True) if not line.startswith(("#", "--")))
    return lock_text(content, locking.python, kept)


def without_head(text: str) -> str:
    """A lock's packages."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def _digest(content: bytes) -> str:
    # The same on every system, whatever it ends lines with.
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
