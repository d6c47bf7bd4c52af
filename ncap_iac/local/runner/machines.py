"""The machines of one local cloud, seen from the edge: boot one, end one, hear what happens to it.

A thread a machine listens to its warden. Knows nothing of EC2's states: it reports, the listener decides.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from urllib.parse import urlsplit

from ncap_iac.environments.manifest import ImageError
from ncap_iac.environments.offline import asks_for_network, network_variables
from ncap_iac.environments.store import BootCheck, Image
from ncap_iac.local.runner.agent_line import DOOR
from ncap_iac.local.runner.console import console_tail
from ncap_iac.local.runner.firmware import MachineFolder
from ncap_iac.local.runner.isolation import (
    Isolation,
    machine_temporary,
    machine_view,
    strongest_isolation,
)
from ncap_iac.local.runner.nursery import Nursery
from ncap_iac.local.runner.order import Bind, Cause, Order, Report

CONSOLE_TAIL_BYTES = 64 * 1024
"""What GetConsoleOutput answers: the last 64 KB."""

_LEAST_FREE_BYTES = 64 * 1024 * 1024
_PATIENCE_S = 10.0
_CLOUD_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Listener = Callable[[str, Report], None]


@dataclass(frozen=True)
class Machine:
    """What is to run."""

    instance: str
    image: Path
    user_data: bytes
    memory_bytes: int
    hostname: str
    environment: dict[str, str]
    """AWS's own variables: region, endpoint, metadata service."""
    core: int | None = None
    """Pinned to this core of the host; None: all the edge may use."""
    is_managed: bool = False
    """An agent listens in it, and it stays up when its user data has run."""
    disk: Path | None = None
    """What its disk holds at the first boot."""
    is_first_boot: bool = True
    """Later boots find the disk as it was left and do not run the user data."""


def free_bytes(folder: Path) -> int:
    """Free space of the file system that holds `folder`, for an ordinary user."""
    return shutil.disk_usage(folder).free


class MachineRoom:
    """All running machines below one folder."""

    def __init__(
        self,
        folder: Path,
        listener: Listener,
        *,
        keeps_disk: Callable[[str], bool] = lambda _: False,
        isolation: Callable[[], Isolation] = strongest_isolation,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder = folder
        self._listener = listener
        self._keeps_disk = keeps_disk
        """Whether a machine that has ended will be booted again."""
        self._find_isolation = isolation
        self._free = free
        self._check = BootCheck()
        self._isolation: Isolation | None = None
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._nursery = Nursery()
        self._commands: dict[str, FileIO] = {}
        """To each machine's warden; whoever closes it ends the machine."""
        self._threads: dict[str, threading.Thread] = {}
        self._sessions: dict[str, int] = {}
        """Session of each machine's first process."""
        self._told: set[str] = set()
        self._is_closed = False

    @property
    def isolation(self) -> Isolation:
        """The rung machines run on; found out once."""
        with self._probing:
            if self._isolation is None:
                self._isolation = self._find_isolation()
            return self._isolation

    def warm(self) -> None:
        """Do now what the first boot would have to wait for."""
        with self._lock:
            if not self._is_closed:
                self._nursery.warm()
        _ = self.isolation

    def boot(self, machine: Machine) -> None:
        """Start a machine; `started`, `ending` and `ended` are reported, in this order, from another thread.

        A machine that cannot start reports `ended` with the cause BROKEN and the reason.
        """
        thread = threading.Thread(target=self._run, args=(machine,), name=f"machine {machine.instance}", daemon=True)
        with self._lock:
            self._threads[machine.instance] = thread
        thread.start()

    def end(self, instance: str) -> None:
        """Tell a machine to end; nothing happens if it is not running."""
        with self._lock:
            self._told.add(instance)
            if instance in self._commands:
                with contextlib.suppress(OSError, ValueError):
                    self._commands[instance].write(b"end\n")

    def kill(self, instance: str) -> None:
        """End a machine without a word to anything in it; one that has not started yet is told to end."""
        with self._lock:
            session = self._sessions.get(instance, 0)
        if session:
            _end_session(session)
        else:
            self.end(instance)

    def console(self, instance: str) -> bytes:
        """The last 64 KB a machine printed."""
        return console_tail(self._machine_folder(instance).console, CONSOLE_TAIL_BYTES)

    def close(self) -> None:
        """End all machines; returns when no process of theirs is left. They report the cause LOST."""
        with self._lock:
            self._is_closed = True
            for commands in self._commands.values():
                with contextlib.suppress(OSError):
                    commands.close()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(_PATIENCE_S)
        self._nursery.close()

    def _machine_folder(self, instance: str) -> MachineFolder:
        return MachineFolder(self._folder.resolve() / instance)

    def _run(self, machine: Machine) -> None:
        """A machine's life, and the removal of its files; whatever goes wrong is its end, never silence."""
        folder = self._machine_folder(machine.instance)
        last: Report | None = None
        try:
            last = self._hold(machine, folder)
        except (OSError, ImageError) as error:
            last = Report("ended", Cause.BROKEN, message=str(error))
        except Exception as error:
            last = Report("ended", Cause.BROKEN, message=f"{type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(OSError):
                folder.clear(keeps_disk=self._keeps_disk(machine.instance))
            with self._lock:
                self._commands.pop(machine.instance, None)
                self._threads.pop(machine.instance, None)
                self._sessions.pop(machine.instance, None)
                self._told.discard(machine.instance)
            self._listener(machine.instance, last or Report("ended", Cause.LOST))

    def _hold(self, machine: Machine, folder: MachineFolder) -> Report:
        """From the order to the warden's last word."""
        order = self._order(machine, folder)
        with self._nursery.hatch() as (tell, hear):
            return self._converse(order, tell, hear)

    def _converse(self, order: Order, tell: FileIO, hear: BufferedReader) -> Report:
        with self._lock:
            if self._is_closed:
                return Report("ended", Cause.LOST)
            tell.write(order.line())
            self._commands[order.instance] = tell
            is_told = order.instance in self._told
        if is_told:
            self.end(order.instance)
        session = 0
        for line in hear:
            report = Report.parse(line)
            if report.happened == "ended":
                return report
            if report.happened == "started":
                session = int(report.message)
                with self._lock:
                    self._sessions[order.instance] = session
            self._listener(order.instance, report)
        _end_session(session)
        return Report("ended", Cause.LOST, message="the process that held the machine is gone")

    def _order(self, machine: Machine, folder: MachineFolder) -> Order:
        """Everything checked and in place. Raises OSError or ImageError in words."""
        self._folder.mkdir(parents=True, exist_ok=True)
        free = self._free(self._folder)
        if free < _LEAST_FREE_BYTES:
            raise OSError(
                f"the disk of {self._folder} is full: {free // 1024**2} MiB are free; make room and try again"
            )
        isolation = self.isolation
        image = self._check(machine.image.resolve())
        self._furnish(machine, folder, image, isolation)
        shown = (*machine_view(image.seal.interpreter.prefixes), *map(_itself, (image.folder, folder.firmware)))
        return Order(
            instance=machine.instance,
            rung=isolation.rung,
            bubblewrap=isolation.bubblewrap,
            program=_first_program(machine, folder),
            environment=self._environment(machine, folder, image, isolation),
            folder=str(folder.scratch),
            temporary=str(folder.temporary),
            power=str(folder.power),
            console=str(folder.console),
            readable=shown,
            memory_bytes=machine.memory_bytes,
            hostname=machine.hostname,
            core=machine.core,
            ports=_ports(machine.environment) if _is_closed_off(image, isolation) else None,
        )

    @staticmethod
    def _furnish(machine: Machine, folder: MachineFolder, image: Image, isolation: Isolation) -> None:
        """The machine's files. Raises OSError."""
        folder.make(machine.user_data)
        if machine.is_first_boot and machine.disk is not None:
            folder.fill(machine.disk)
        if machine.is_managed:
            door = Path(machine_temporary(isolation.rung, folder), DOOR)
            runs = machine.is_first_boot and machine.user_data.startswith(b"#!")
            folder.install_agent(str(image.folder / "tool" / "bin" / "python"), str(door), runs_user_data=runs)

    def door(self, instance: str) -> Path:
        """Where the agent of a managed machine is spoken to."""
        return self._machine_folder(instance).temporary / DOOR

    @staticmethod
    def _environment(machine: Machine, folder: MachineFolder, image: Image, isolation: Isolation) -> dict[str, str]:
        """docs/contracts.md section 6."""
        programs = (folder.programs, image.folder / "tool" / "bin", image.folder / "env" / "bin", _SYSTEM_PATH)
        return {
            "PATH": ":".join(map(str, programs)),
            "HOME": str(folder.scratch),
            "TMPDIR": machine_temporary(isolation.rung, folder),
            "LANG": "C.UTF-8",
            "NEUROCAAS_IMAGE": str(image.folder),
            "NEUROCAAS_ISOLATION": _described(image, isolation),
            **network_variables(network=asks_for_network(image.folder)),
            **machine.environment,
        }


def _first_program(machine: Machine, folder: MachineFolder) -> str | None:
    if machine.is_managed:
        return str(folder.init)
    return str(folder.user_data) if machine.user_data.startswith(b"#!") and machine.is_first_boot else None


def _is_closed_off(image: Image, isolation: Isolation) -> bool:
    """Whether a machine is kept from the network: its recipe asks for none, and the rung can."""
    return isolation.can_close_network and not asks_for_network(image.folder)


def _described(image: Image, isolation: Isolation) -> str:
    """For STATUS: the rung, and whether the network is shut."""
    return f"{isolation.rung.value}, no network" if _is_closed_off(image, isolation) else isolation.rung.value


def _ports(environment: Mapping[str, str]) -> tuple[int, ...]:
    """Where on the host's loopback the cloud is: its endpoint and its metadata service."""
    found = (urlsplit(environment.get(name, "")).port for name in _CLOUD_VARIABLES)
    return tuple(dict.fromkeys(port for port in found if port is not None))


def _itself(path: Path) -> Bind:
    return Bind(os.path.realpath(path), str(path))


def _end_session(session: int) -> None:
    """Kill what is left of a machine whose warden was killed: all of its first process's session."""
    if session <= 0 or not Path("/proc/self").exists():
        return
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == session:
                os.kill(int(entry.name), signal.SIGKILL)
