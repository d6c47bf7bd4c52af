"""Makes the emulator's virtual environment, once for a lock file and an interpreter, in the cache.

Sealed by hashes: what is installed is what `base-requirements.txt` names. Two at once wait for each other.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ncap_iac.local.filelock import LockedError, exclusive
from ncap_iac.local.paths import Places

LOCK_FILE = Path(__file__).with_name("base-requirements.txt")
_LONGEST_INSTALL_S = 900.0
_SHOWN_LINES = 15


class BaseEnvironmentError(Exception):
    """The emulator could not be installed; the message says why and what to do."""


def interpreter_of(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def environment_name(lock: bytes) -> str:
    """A name that changes with everything the environment is made of."""
    parts = (sys.base_prefix, sys.version, sysconfig.get_platform(), hashlib.sha256(lock).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def base_interpreter(places: Places, environment: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """The Python that has the emulator; made if it is not there yet (seconds, from the package index).

    Raises BaseEnvironmentError.
    """
    folder = places.base / environment_name(LOCK_FILE.read_bytes())
    if interpreter_of(folder).exists():
        return interpreter_of(folder)
    try:
        with exclusive(folder.with_suffix(".lock"), timeout_s=_LONGEST_INSTALL_S):
            if not interpreter_of(folder).exists():
                say("installing the local cloud's emulator (first use only)")
                _make(folder, {**environment, "UV_CACHE_DIR": str(places.uv)})
    except LockedError as error:
        raise BaseEnvironmentError(
            f"another process has been installing the emulator for {_LONGEST_INSTALL_S / 60:.0f} minutes; "
            f"end it, or remove {folder.with_suffix('.lock')}"
        ) from error
    return interpreter_of(folder)


def _uv() -> str:
    try:
        from uv import find_uv_bin
    except ImportError as error:
        raise BaseEnvironmentError(
            "the local cloud needs uv to install its emulator: pip install 'neurocaas[local]'"
        ) from error
    return str(find_uv_bin())


def _make(folder: Path, environment: Mapping[str, str]) -> None:
    uv = _uv()
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        venv = part / "venv"
        _run(
            [uv, "venv", "--quiet", "--no-project", "--relocatable", "--python", sys.executable, str(venv)], environment
        )
        sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
        _run([*sync, "--python", str(interpreter_of(venv)), str(LOCK_FILE)], environment)
        if folder.exists():
            shutil.rmtree(folder)
        venv.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            env={name: value for name, value in environment.items() if name != "VIRTUAL_ENV"},
            cwd=Path(command[-1]).parent,  # a project of the caller's folder must not bring its settings
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LONGEST_INSTALL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaseEnvironmentError(f"installing the emulator failed: {error}") from error
    if done.returncode:
        last = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
        raise BaseEnvironmentError(
            f"installing the emulator failed (uv ended with {done.returncode}); is the package index reachable?\n{last}"
        )
