"""Runs checkov, which cannot live beside our own dependencies: in a virtual environment of its own, made on first use.

The environment is kept in the user's cache folder under a name made of its pinned requirements.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.local.base_environment import interpreter_of
from ncap_iac.local.filelock import exclusive
from ncap_iac.local.paths import places

REQUIREMENTS = Path(__file__).with_name("scanner-requirements.txt")
_LONGEST_S = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that failed: its id, the file's name, and the resource as `<type>.<logical id>`."""

    check: str
    file: str
    resource: str
    says: str


def scan(folder: Path) -> tuple[Finding, ...]:
    """What checkov says about the templates in a folder. Raises CalledProcessError if it cannot run."""
    words = ["-m", "checkov.main", "-d", str(folder), "--framework", "cloudformation", "-o", "json", "--quiet"]
    done = _run([str(_interpreter()), *words, "--compact", "--skip-download", "--soft-fail"], cwd=folder)
    report = json.loads(done)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] > 0
    return tuple(_findings(report))


def _findings(report: dict[str, dict[str, list[dict[str, str]]]]) -> Iterator[Finding]:
    for found in report["results"]["failed_checks"]:
        yield Finding(found["check_id"], Path(found["file_path"]).name, found["resource"], found["check_name"])


def _interpreter() -> Path:
    made = hashlib.sha256(f"{sys.version}\n{sys.platform}\n".encode() + REQUIREMENTS.read_bytes()).hexdigest()[:16]
    kept = places(os.environ, Path.home())
    folder = kept.cache / "scanners" / made
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_suffix(".lock"), timeout_s=_LONGEST_S):
        if not interpreter_of(folder).exists():
            _make(folder, kept.uv)
    return interpreter_of(folder)


def _make(folder: Path, cache: Path) -> None:
    from uv import find_uv_bin

    uv = str(find_uv_bin())
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        venv, environment = part / "venv", {**os.environ, "UV_CACHE_DIR": str(cache)}
        options = ["--quiet", "--no-project", "--relocatable", "--python", sys.executable]
        _run([uv, "venv", *options, str(venv)], cwd=part, environment=environment)
        sync = [uv, "pip", "sync", "--quiet", "--python", str(interpreter_of(venv)), str(REQUIREMENTS)]
        _run(sync, cwd=part, environment=environment)
        venv.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _run(command: list[str], *, cwd: Path, environment: dict[str, str] | None = None) -> str:
    return subprocess.run(
        command, cwd=cwd, env=environment, check=True, capture_output=True, text=True, timeout=_LONGEST_S
    ).stdout
