"""Filling an image's folder: two virtual environments, the analysis's files, a seal. The same everywhere.

Runs on a laptop and, out of the archive, where an AMI is built: standard library and `uv` only. Equal contents give
equal files: compiled modules hold no time and no place. Decides neither where images are kept nor which are sound.
"""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.environments.contents import TOOL_LOCK, Contents
from ncap_iac.environments.manifest import Interpreter, Seal
from ncap_iac.environments.seal import seal_image

_SHOWN_LINES = 15
_EXECUTABLE = 0o755
_PLAIN = 0o644

PROGRAMS = {"neurocaas-boot": "workflow.boot", "neurocaas-contrib": "workflow.cli"}
"""Executables of the tool and the modules whose `main` they run."""


class BuildError(Exception):
    """An image could not be built; the message says why and what to do."""


@dataclass(frozen=True)
class Installer:
    """uv and what it is told about where packages come from."""

    uv: str
    environ: Mapping[str, str]
    say: Callable[[str], None]

    def install(self, venv: Path, lock: bytes, lock_file: Path, what: str) -> None:
        """A virtual environment with exactly what the lock names. Raises BuildError."""
        self.say(f"installing {what}")
        lock_file.write_bytes(lock)
        here = lock_file.parent
        self.run("venv", "--no-project", "--relocatable", "--python", sys.executable, str(venv), folder=here)
        exact = ("--require-hashes", "--link-mode", "copy", "--allow-empty-requirements")
        python = str(venv / "bin" / "python")
        self.run("pip", "sync", *exact, "--python", python, str(lock_file), folder=here)
        self.say(f"{what} are installed")

    def run(self, *arguments: str, folder: Path) -> str:
        """uv in a folder of its own, so that no project's settings count; what it printed. Raises BuildError."""
        done = subprocess.run(
            [self.uv, "--quiet", *arguments],
            cwd=folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        if done.returncode:
            last = "\n".join(said.strip().splitlines()[-_SHOWN_LINES:])
            raise BuildError(
                f"uv {' '.join(arguments[:2])} ended with {done.returncode}. If it could not reach the package index, "
                f"check the network or UV_DEFAULT_INDEX; if a hash differs, lock the requirements again.\n{last}"
            )
        return said


def compile_modules(venv: Path) -> None:
    """Compile every module below: an image cannot be written to later.

    Neither the time of a source nor the place of the build gets into the files. A module another Python's tests bring
    along and this one cannot read is left out.
    """
    library = next((venv / "lib").glob("python3*"))
    options = ("-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(venv))
    subprocess.run(
        [str(venv / "bin" / "python"), "-m", "compileall", *options, str(library)],
        env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def fill_image(contents: Contents, folder: Path, installer: Installer, *, notes: Path, now_s: float) -> Seal:
    """Everything of an image in `folder`, sealed. `notes`: a folder for lock files; `now_s`: seconds since the epoch.

    Raises BuildError or OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        tasks = [
            pool.submit(_install_packages, installer, contents, folder / "env", notes / "env.lock"),
            pool.submit(_install_tool, installer, contents, folder / "tool", notes / "tool.lock"),
        ]
        for task in tasks:
            task.result()
    _write_analysis(contents, folder / "analysis")
    installer.say("sealing the image")
    return seal_image(
        folder,
        name=contents.name,
        recipe_digest=contents.digest,
        interpreter=_interpreter(),
        platform=sysconfig.get_platform(),
        built=datetime.datetime.fromtimestamp(now_s, datetime.UTC).isoformat(timespec="seconds"),
    )


def _install_packages(installer: Installer, contents: Contents, venv: Path, lock_file: Path) -> None:
    installer.install(venv, contents.lock, lock_file, "the analysis' packages")
    compile_modules(venv)


def _install_tool(installer: Installer, contents: Contents, venv: Path, lock_file: Path) -> None:
    """The in-instance tool: its packages, its modules, its two programs."""
    installer.install(venv, contents.tool[TOOL_LOCK], lock_file, "the in-instance tool's packages")
    packages = next((venv / "lib").glob("python3*")) / "site-packages"
    for name, content in contents.tool.items():
        if name != TOOL_LOCK:
            path = packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    compile_modules(venv)
    for name, module in PROGRAMS.items():
        program = venv / "bin" / name
        program.write_text(_program_text(module))
        program.chmod(_EXECUTABLE)


def _program_text(module: str) -> str:
    """Starts `main` of a module with the Python beside it, wherever the image is, free of the user's settings."""
    return f"""#!/bin/sh
exec "${{0%/*}}/python" -I -c 'import sys; from {module} import main; sys.exit(main())' "$@"
"""


def _write_analysis(contents: Contents, folder: Path) -> None:
    for name, content in contents.analysis.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(_EXECUTABLE if name in contents.executables else _PLAIN)


def _interpreter() -> Interpreter:
    executable = getattr(sys, "_base_executable", "") or sys.executable
    prefixes = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix, str(Path(executable).resolve().parent.parent)))
    return Interpreter(platform.python_version(), executable, tuple(prefixes))
