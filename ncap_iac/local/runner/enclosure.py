"""From an order to the machine's first process, on whichever rung it asks for. Runs in the warden.

What each rung adds: `process` an own session, a clean environment, no way to gain a privilege or to reboot the host;
`landlock` the kernel's refusal of foreign files; `user namespace` and `bubblewrap` an own view of files and processes.
Each rung's module is imported when it is used: a warden's start is part of every boot.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from ncap_iac.local.runner import linux
from ncap_iac.local.runner.gate import keep_gate
from ncap_iac.local.runner.order import Order, Rung

_CANNOT_RUN = 126
_NOT_FOUND = 127
_IDLE = ("/bin/sh", "-c", "while :; do sleep 3600; done")
"""A machine without a script stays up, as on EC2."""


def start_machine(order: Order) -> tuple[int, int]:
    """The pid of the child that holds (or is) the machine, and the reading end of what it prints, non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    gate, warden = socket.socketpair() if order.ports is not None and order.rung.holders else (None, None)
    child = os.fork()
    if child == 0:
        _become_machine(order, writing, warden)
    os.close(writing)
    if gate is not None and warden is not None:
        warden.close()
        keep_gate(gate)
    return child, reading


def _become_machine(order: Order, output: int, warden: socket.socket | None) -> None:
    """Never returns."""
    status = _CANNOT_RUN
    try:
        _leave_the_warden(output)
        program = [order.program] if order.program else list(_IDLE)
        if order.rung is Rung.BUBBLEWRAP:
            from ncap_iac.local.runner.bubblewrap import bubblewrap_arguments

            program = bubblewrap_arguments(order, program)
            if warden is not None:
                from ncap_iac.local.runner.namespaces import enter_network

                enter_network(order, warden)
        else:
            enter_sandbox(order, warden)
        os.execvpe(program[0], program, order.environment)
    except FileNotFoundError as error:
        status = _NOT_FOUND
        _complain(order, error)
    except BaseException as error:  # a forked child must not run the warden's code any further
        _complain(order, error)
    finally:
        os._exit(status)


def _leave_the_warden(output: int) -> None:
    """Own session, own signal settings, output to the console and nothing to read."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    with contextlib.suppress(OSError):
        linux.die_with_parent(signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.umask(0o022)


def enter_sandbox(order: Order, warden: socket.socket | None = None) -> None:
    """Put the calling process, forked for it, into a sandbox that needs no tool. Raises OSError where that fails.

    `warden`: who keeps the gate of a machine that has a network of its own.
    """
    with contextlib.suppress(OSError):
        linux.drop_capability(linux.CAP_SYS_BOOT)
        linux.forbid_gaining_privileges()
    if order.rung is Rung.NAMESPACES:
        from ncap_iac.local.runner.namespaces import enter_namespaces

        enter_namespaces(order, warden)
    elif order.rung is Rung.LANDLOCK:
        from ncap_iac.local.runner.landlock import enter_landlock

        enter_landlock(order)
    os.chdir(order.folder)


def _complain(order: Order, error: BaseException) -> None:
    text = f"[machine] cannot run {order.program or 'the machine'} ({order.rung.value}): {error}\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
