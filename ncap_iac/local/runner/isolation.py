"""Which rung works on this computer: found by running a machine on it that tries what a machine must not.

Whether a kernel, a container or a distribution's policy allows a sandbox cannot be read off anywhere reliably.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ncap_iac.local.runner.firmware import MachineFolder
from ncap_iac.local.runner.nursery import Nursery
from ncap_iac.local.runner.order import Bind, Cause, Order, Report, Rung
from ncap_iac.local.runner.view import interpreter_view, system_view

_PROBE_MEMORY = 1024**3
_PROBE_S = 10.0

_PROBE = """#!/bin/sh
echo x > "$HOME/x" || exit 10
echo x > "$TMPDIR/x" || exit 11
if echo x > "$NEUROCAAS_IMAGE/x"; then exit 12; fi
if cat "$OUTSIDE"; then exit 13; fi
"$PYTHON" -I -c 'import ctypes' || exit 14
[ -z "$OPEN_PORT" ] || "$PYTHON" -I -c "$CONNECT" "$OPEN_PORT" || exit 15
if [ -n "$SHUT_PORT" ] && "$PYTHON" -I -c "$CONNECT" "$SHUT_PORT"; then exit 16; fi
exit 0
"""


_CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5).close()"


@dataclass(frozen=True)
class Isolation:
    """The rung this computer's machines run on."""

    rung: Rung
    bubblewrap: str | None = None
    can_close_network: bool = False
    """Whether a machine can be kept from all of the network but the cloud."""


def machine_temporary(rung: Rung, folder: MachineFolder) -> str:
    """TMPDIR of a machine: a rung that cannot show it a private /tmp names the private folder."""
    return "/tmp" if rung in (Rung.BUBBLEWRAP, Rung.NAMESPACES) else str(folder.temporary)


def strongest_isolation(rungs: Sequence[Rung] = tuple(Rung), *, search_path: str | None = None) -> Isolation:
    """The first of `rungs` that works here; the last rung works everywhere.

    `search_path`: where to look for `bwrap`, PATH if not given.
    """
    nursery = Nursery()
    try:
        for rung in rungs:
            tool = shutil.which("bwrap", path=search_path) if rung is Rung.BUBBLEWRAP else None
            if rung is Rung.PROCESS:
                return Isolation(rung)
            if rung is Rung.BUBBLEWRAP and tool is None:
                continue
            for closes in (True, False):
                if _works(nursery, Isolation(rung, tool, closes)):
                    return Isolation(rung, tool, closes)
        return Isolation(Rung.PROCESS)
    finally:
        nursery.close()


def _works(nursery: Nursery, wanted: Isolation) -> bool:
    """Whether a machine so isolated runs, and cannot do what it must not."""
    with (
        socket.create_server(("127.0.0.1", 0)) as shown,
        socket.create_server(("127.0.0.1", 0)) as hidden,
        tempfile.TemporaryDirectory(prefix="neurocaas-probe-", ignore_cleanup_errors=True) as place,
    ):
        root = Path(place).resolve()
        outside = root / "outside"
        outside.write_text("another's file\n")
        image = root / "image"
        image.mkdir()
        folder = MachineFolder(root / "machine")
        folder.make(_PROBE.encode())
        order = replace(_probe_order(folder, image, outside, wanted.rung), bubblewrap=wanted.bubblewrap)
        if wanted.can_close_network:
            ports = {"OPEN_PORT": shown.getsockname()[1], "SHUT_PORT": hidden.getsockname()[1]}
            variables = {name: str(port) for name, port in ports.items()}
            order = replace(order, ports=(ports["OPEN_PORT"],), environment={**order.environment, **variables})
        return _succeeded(_reports(nursery, order))


def _reports(nursery: Nursery, order: Order) -> list[Report]:
    """All that a machine's warden has to say; it is ended if that takes too long."""
    with nursery.hatch() as (tell, hear):
        tell.write(order.line())
        impatience = threading.Timer(_PROBE_S, tell.close)
        impatience.start()
        lines = hear.read().splitlines()
        impatience.cancel()
    return [Report.parse(line) for line in lines]


def _probe_order(folder: MachineFolder, image: Path, outside: Path, rung: Rung) -> Order:
    prefixes = (sys.base_prefix, sys.base_exec_prefix)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder.scratch),
        "TMPDIR": machine_temporary(rung, folder),
        "NEUROCAAS_IMAGE": str(image),
        "OUTSIDE": str(outside),
        "CONNECT": _CONNECT,
        "OPEN_PORT": "",
        "SHUT_PORT": "",
        "PYTHON": str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"),
    }
    return Order(
        instance="probe",
        rung=rung,
        program=str(folder.user_data),
        environment=environment,
        folder=str(folder.scratch),
        temporary=str(folder.temporary),
        power=str(folder.power),
        console=str(folder.console),
        readable=(
            *machine_view(prefixes),
            Bind(str(image), str(image)),
            Bind(str(folder.firmware), str(folder.firmware)),
        ),
        memory_bytes=_PROBE_MEMORY,
        hostname="probe",
    )


def machine_view(prefixes: Iterable[str]) -> tuple[Bind, ...]:
    """The host's system and the Python installations at `prefixes`."""
    return (*system_view(), *interpreter_view(prefixes))


def _succeeded(reports: Iterable[Report]) -> bool:
    last = next((report for report in reports if report.happened == "ended"), None)
    return last is not None and last.cause is Cause.FINISHED and last.exit_status == 0
