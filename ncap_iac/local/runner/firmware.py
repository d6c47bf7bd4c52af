"""A machine's own folder: its init, agent, power commands, scratch. Makes and removes files, runs nothing."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.local.runner.power import SHIMS, shim_text

_EXECUTABLE = 0o755
_OWNER_ONLY = 0o700


@dataclass(frozen=True)
class MachineFolder:
    """`instances/<id>/` and what is in it."""

    folder: Path

    @property
    def scratch(self) -> Path:
        """The machine's disk: HOME and working directory."""
        return self.folder / "scratch"

    @property
    def temporary(self) -> Path:
        """The machine's /tmp."""
        return self.folder / "tmp"

    @property
    def firmware(self) -> Path:
        """What the machine finds in place and cannot change."""
        return self.folder / "firmware"

    @property
    def programs(self) -> Path:
        """First on the machine's PATH."""
        return self.firmware / "bin"

    @property
    def user_data(self) -> Path:
        """The machine's init."""
        return self.firmware / "user-data"

    @property
    def power(self) -> Path:
        """Where the power commands speak."""
        return self.firmware / "power"

    @property
    def console(self) -> Path:
        """All the machine printed; the one thing that outlives it for a while."""
        return self.folder / "console.log"

    @property
    def init(self) -> Path:
        """The first program of a machine with an agent."""
        return self.firmware / "init"

    @property
    def agent(self) -> Path:
        """The agent's program."""
        return self.firmware / "agent.py"

    def make(self, user_data: bytes) -> None:
        """Everything a boot needs. Raises OSError, among others for a full disk."""
        for folder in (self.folder, self.scratch, self.temporary, self.firmware, self.programs):
            folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        for name in SHIMS:
            _write_program(self.programs / name, shim_text(name, str(self.power)).encode())
        _write_program(self.user_data, user_data)
        if not self.power.exists():
            os.mkfifo(self.power, 0o600)

    def install_agent(self, python: str, door: str, *, runs_user_data: bool) -> None:
        """Let an agent listen at `door` for as long as the machine is up; user data may run before. Raises OSError."""
        program = Path(__file__).with_name("agent.py").read_bytes()
        words = [f"{shlex.join([python, '-I', '-S', str(self.agent), door])} &"]
        words += [shlex.quote(str(self.user_data))] if runs_user_data else []
        self.agent.write_bytes(program)
        _write_program(self.init, "\n".join(("#!/bin/sh", *words, "wait", "")).encode())

    def fill(self, disk: Path) -> None:
        """Put a saved disk's contents on the machine's. Raises OSError."""
        shutil.copytree(disk, self.scratch, symlinks=True, dirs_exist_ok=True)

    def clear(self, *, keeps_disk: bool = False) -> None:
        """Remove everything but the console, and the disk of a machine that will go on later."""
        for folder in (self.temporary, self.firmware, *(() if keeps_disk else (self.scratch,))):
            remove_tree(folder)


def _write_program(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(_EXECUTABLE)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it, read-only folders included; nothing happens if it is not there."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for place, folders, _ in os.walk(folder):
        # Before the walk goes down: it can only list a folder that may be read.
        for path in (Path(place), *(Path(place, name) for name in folders)):
            if not path.is_symlink():
                path.chmod(_OWNER_ONLY)
    shutil.rmtree(folder)
