"""Building an image: two virtual environments, the analysis' files, a seal; then one rename makes it visible.

Nothing is ever rebuilt in place: an image that is sound is used as it is, a broken one is moved aside first. Packages
come from the user's index, and only those the locks name by hash.
"""

from __future__ import annotations

import compileall
import datetime
import platform
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.environments.indexes import installer_environment
from ncap_iac.environments.manifest import ImageError, Interpreter
from ncap_iac.environments.python_range import satisfies
from ncap_iac.environments.seal import seal_image
from ncap_iac.environments.source import RECIPE, TOOL_LOCK, Source
from ncap_iac.environments.store import Image, check_for_boot, collect_garbage, load_image, remove_image
from ncap_iac.local.filelock import exclusive
from ncap_iac.local.runner.firmware import remove_tree

_LONGEST_BUILD_S = 1800.0
_SHOWN_LINES = 15
_DIGEST_IN_NAMES = 12
_EXECUTABLE = 0o755

_PROGRAMS = {"neurocaas-boot": "workflow.boot", "neurocaas-contrib": "workflow.cli"}
"""Executables of the tool and the modules whose `main` they run."""


class BuildError(Exception):
    """An image could not be built; the message says why and what to do."""


@dataclass(frozen=True)
class Workshop:
    """Where and with what images are built."""

    images: Path
    uv_cache: Path
    environ: Mapping[str, str]
    """The user's environment variables: index settings, proxies, certificates."""
    home: Path
    clock: Callable[[], float]
    """Seconds since the epoch."""
    say: Callable[[str], None]
    """Told what happens, in a few words."""


def image_folder_name(digest: str) -> str:
    """`<recipe digest>-<python tag>-<platform>`: what the same recipe becomes on this computer."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{digest}-{tag}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def build_image(source: Source, workshop: Workshop) -> Image:
    """The image of a recipe on this computer: the one that is there, or a fresh one.

    Raises BuildError. Two builds of one recipe at a time wait for each other.
    """
    if not satisfies(sys.version_info[:3], source.recipe.python):
        raise BuildError(
            f"environment {source.recipe.name}: its recipe asks for Python {source.recipe.python}, and ncap runs on "
            f"{platform.python_version()}. Install ncap with such a Python and build again."
        )
    folder = workshop.images / image_folder_name(source.digest)
    if (image := _sound(folder)) is not None:
        return image
    workshop.images.mkdir(parents=True, exist_ok=True)
    collect_garbage(workshop.images, clock=workshop.clock)
    lock = workshop.images / f".{source.digest[:_DIGEST_IN_NAMES]}.lock"
    with exclusive(lock, timeout_s=_LONGEST_BUILD_S):
        if (image := _sound(folder)) is not None:
            return image
        if folder.exists():
            workshop.say("the image that was here is not as it was sealed: building it again")
            remove_image(folder)
        try:
            return _build(source, workshop, folder)
        except OSError as error:
            raise BuildError(
                f"environment {source.recipe.name}: the image could not be written to {workshop.images}: {error}. Is "
                "the disk full, or the folder not yours?"
            ) from error


def _sound(folder: Path) -> Image | None:
    try:
        return check_for_boot(folder)
    except ImageError:
        return None


def _build(source: Source, workshop: Workshop, folder: Path) -> Image:
    place = Path(tempfile.mkdtemp(prefix=f".building-{source.digest[:_DIGEST_IN_NAMES]}-", dir=workshop.images))
    try:
        built = place / "image"
        built.mkdir()
        installer = _Installer(workshop)
        with ThreadPoolExecutor(2) as pool:
            lock = source.files[source.recipe.requirements]
            tasks = [
                pool.submit(installer.install, built / "env", lock, place / "env.lock", "the analysis' packages"),
                pool.submit(_install_tool, installer, source, built / "tool", place / "tool.lock"),
            ]
            for task in tasks:
                task.result()
        _write_analysis(source, built / "analysis")
        workshop.say("sealing the image")
        seal_image(
            built,
            name=source.recipe.name,
            recipe_digest=source.digest,
            interpreter=_interpreter(),
            platform=sysconfig.get_platform(),
            built=datetime.datetime.fromtimestamp(workshop.clock(), datetime.UTC).isoformat(timespec="seconds"),
        )
        # A sealed folder may not be renamed into another one by its owner: the parent entry in it would change.
        built.chmod(_EXECUTABLE)
        built.rename(folder)
        folder.chmod(_EXECUTABLE & ~0o222)
        return load_image(folder)
    finally:
        with suppress(OSError):
            remove_tree(place)


class _Installer:
    """uv, with the user's index settings and our cache."""

    def __init__(self, workshop: Workshop) -> None:
        self._say = workshop.say
        self._uv = _find_uv()
        environ = installer_environment(workshop.environ, home=workshop.home, prefix=Path(sys.prefix))
        self._environ = {**environ, "UV_CACHE_DIR": str(workshop.uv_cache), "UV_PYTHON_DOWNLOADS": "never"}

    def install(self, venv: Path, lock: bytes, lock_file: Path, what: str) -> None:
        """A virtual environment with exactly what the lock names."""
        self._say(f"installing {what}")
        lock_file.write_bytes(lock)
        here = lock_file.parent
        self._run("venv", "--no-project", "--relocatable", "--python", sys.executable, str(venv), folder=here)
        exact = ("--require-hashes", "--link-mode", "copy", "--compile-bytecode", "--allow-empty-requirements")
        python = str(venv / "bin" / "python")
        self._run("pip", "sync", *exact, "--python", python, str(lock_file), folder=here)
        self._say(f"{what} are installed")

    def _run(self, *arguments: str, folder: Path) -> None:
        """uv in a folder of its own, so that no project's settings count."""
        done = subprocess.run(
            [self._uv, "--quiet", *arguments],
            cwd=folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            last = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
            raise BuildError(
                f"uv {' '.join(arguments[:2])} ended with {done.returncode}. If it could not reach the package index, "
                f"check the network or UV_DEFAULT_INDEX; if a hash differs, lock the requirements again.\n{last}"
            )


def _find_uv() -> str:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise BuildError("building an environment needs uv: pip install 'neurocaas[local]'") from error


def _install_tool(installer: _Installer, source: Source, venv: Path, lock_file: Path) -> None:
    """The in-instance tool: its packages, its modules, its two programs."""
    installer.install(venv, source.tool[TOOL_LOCK], lock_file, "the in-instance tool's packages")
    packages = next((venv / "lib").glob("python3*")) / "site-packages"
    for name, content in source.tool.items():
        if name != TOOL_LOCK:
            path = packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    compileall.compile_dir(packages / "workflow", quiet=2, stripdir=str(venv))
    for name, module in _PROGRAMS.items():
        program = venv / "bin" / name
        program.write_text(_program_text(module))
        program.chmod(_EXECUTABLE)


def _program_text(module: str) -> str:
    """Starts `main` of a module with the Python beside it, wherever the image is, free of the user's settings."""
    return f"""#!/bin/sh
exec "${{0%/*}}/python" -I -c 'import sys; from {module} import main; sys.exit(main())' "$@"
"""


def _write_analysis(source: Source, folder: Path) -> None:
    folder.mkdir()
    (folder / RECIPE).write_bytes(source.recipe_text)
    for name in source.recipe.analysis_files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.files[name])
        path.chmod(_EXECUTABLE if name in source.executables else 0o644)


def _interpreter() -> Interpreter:
    executable = getattr(sys, "_base_executable", "") or sys.executable
    prefixes = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix, str(Path(executable).resolve().parent.parent)))
    return Interpreter(platform.python_version(), executable, tuple(prefixes))
