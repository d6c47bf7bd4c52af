"""A command or a shell inside a built environment: an instance's sandbox and variables, the sample in place.

Without a cloud: no metadata service, no credentials, and no memory limit but the computer's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.analysis.terminal import control_terminal, run_on_terminal
from ncap_iac.errors import NcapError
from ncap_iac.local.runner.firmware import MachineFolder
from ncap_iac.local.runner.isolation import machine_temporary, machine_view, strongest_isolation
from ncap_iac.local.runner.order import Bind, Order, Rung

if TYPE_CHECKING:
    from ncap_iac.environments.store import Image

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOST = "environment"
_CANNOT_RUN, _NOT_FOUND = 126, 127

_PREPARE = """
import json, os, sys
from pathlib import Path
from workflow.environment import Image, child_environ, make_folders
image, folders = Image(Path(sys.argv[1])), make_folders(Path(sys.argv[2]))
image.copy_analysis(folders.analysis)
environ = child_environ(dict(os.environ), image, folders)
places = {name: str(getattr(folders, name)) for name in ("inputs", "configs", "results", "analysis")}
print(json.dumps({"environ": environ, "places": places}))
"""
"""Run by the image's own in-instance tool, so that variables and folders are those of a run."""


@dataclass(frozen=True)
class Errand:
    """What is to be done where, with what."""

    image: Image
    words: tuple[str, ...]
    data: Path | None
    config: Path | None
    results: Path | None
    """Where results are copied at the end; None: they are dropped."""


def run_inside(errand: Errand, *, say: Callable[[str], None], is_terminal: bool) -> int:
    """Run it and return its exit status. Raises NcapError if the environment cannot be entered."""
    with tempfile.TemporaryDirectory(prefix="neurocaas-shell-", ignore_cleanup_errors=True) as place:
        folder = MachineFolder(Path(place).resolve() / "machine")
        folder.make(b"#!/bin/sh\n")
        isolation = strongest_isolation()
        order = _order(errand, folder, isolation.rung)
        say(f"Sandbox: {isolation.rung.value}. Image {errand.image.folder.name}, read-only.")
        environ, places = _prepare(errand, folder, order.environment)
        order = replace(order, environment=environ, bubblewrap=isolation.bubblewrap)
        program = list(errand.words)
        here = places["analysis"]
        if is_terminal:
            code = run_on_terminal(lambda: _enter(order, program, here, is_terminal=True))
        else:
            code = _run(order, program, here)
        if errand.results is not None:
            shutil.copytree(places["results"], errand.results, dirs_exist_ok=True)
        return code


def _order(errand: Errand, folder: MachineFolder, rung: Rung) -> Order:
    image = errand.image.folder.resolve()
    view = (*machine_view(errand.image.seal.interpreter.prefixes), Bind(str(image), str(image)))
    environment = {
        "PATH": f"{image / 'tool' / 'bin'}:{image / 'env' / 'bin'}:{_SYSTEM_PATH}",
        "HOME": str(folder.scratch),
        "TMPDIR": machine_temporary(rung, folder),
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        "PS1": f"({errand.image.seal.name}) \\w$ ",
        "NEUROCAAS_IMAGE": str(image),
        "NEUROCAAS_ISOLATION": rung.value,
    }
    return Order(
        instance=_HOST,
        rung=rung,
        program=errand.words[0],
        environment=environment,
        folder=str(folder.scratch),
        temporary=str(folder.temporary),
        power=str(folder.power),
        console=str(folder.console),
        readable=view,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        hostname=_HOST,
    )


def _prepare(
    errand: Errand, folder: MachineFolder, environment: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Scratch as a run has it, with the sample's files; variables and folders."""
    image = errand.image.folder.resolve()
    words = [str(image / "tool/bin/python"), "-I", "-c", _PREPARE, str(image), str(folder.scratch / "attempt-1")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-3:])
        raise NcapError(
            f"the environment could not be prepared: {last}",
            where=str(image),
            hint="Build it again: `ncap environment build`.",
        )
    found = json.loads(done.stdout)
    environ, places = dict(found["environ"]), dict(found["places"])
    for name, path, where in (("DATA", errand.data, "inputs"), ("CONFIG", errand.config, "configs")):
        if path is not None:
            environ[f"NEUROCAAS_{name}"] = shutil.copy(path, Path(places[where]) / path.name)
    return environ, places


def _run(order: Order, program: list[str], here: str) -> int:
    """Without a terminal: the command has our input and output."""
    child = os.fork()
    if child == 0:
        _enter(order, program, here, is_terminal=False)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _enter(order: Order, program: list[str], here: str, *, is_terminal: bool) -> None:
    """In a forked child; never returns."""
    status = _CANNOT_RUN
    try:
        if order.rung is Rung.BUBBLEWRAP:
            from ncap_iac.local.runner.bubblewrap import bubblewrap_arguments

            control = ["setsid", "--ctty", "--wait"] if is_terminal else []
            program = bubblewrap_arguments(order, ["env", "-C", here, *control, *program])
        else:
            from ncap_iac.local.runner.enclosure import enter_sandbox

            enter_sandbox(order)
            os.chdir(here)
        if is_terminal and order.rung is not Rung.BUBBLEWRAP:
            control_terminal()
        os.execvpe(program[0], program, order.environment)
    except FileNotFoundError:
        status = _NOT_FOUND
        os.write(2, f"{program[0]}: there is no such program in the environment\n".encode())
    except OSError as error:
        os.write(2, f"cannot enter the environment ({order.rung.value}): {error}\n".encode())
    finally:
        os._exit(status)
