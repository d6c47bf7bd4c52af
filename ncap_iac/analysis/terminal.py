"""A process on a terminal of its own, joined to the user's: what is in the sandbox never holds the user's terminal.

POSIX only. Knows nothing of environments.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable

_CHUNK = 65536
_NO_SIZE = b"\0" * 8


def control_terminal() -> None:
    """In a child whose input is a terminal: a session of its own on it, so that a shell can control jobs."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def run_on_terminal(become: Callable[[], None]) -> int:
    """Fork a child with a new terminal that calls `become` (which never returns); its exit status at its end."""
    ours, theirs = pty.openpty()
    _copy_size(ours)
    child = os.fork()
    if child == 0:
        os.close(ours)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        become()
        os._exit(1)
    os.close(theirs)
    before = signal.signal(signal.SIGWINCH, lambda *_: _copy_size(ours))
    mode = termios.tcgetattr(sys.stdin.fileno())
    try:
        tty.setraw(sys.stdin.fileno())
        _relay(ours)
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, mode)
        signal.signal(signal.SIGWINCH, before)
        os.close(ours)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _copy_size(terminal: int) -> None:
    """The user's window size for the child's terminal."""
    try:
        size = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, _NO_SIZE)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    except OSError:
        return


def _relay(terminal: int) -> None:
    """Bytes both ways until the child's side of the terminal is closed."""
    inputs = [terminal, sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(inputs, [], [])
        if terminal in ready:
            try:
                output = os.read(terminal, _CHUNK)
            except OSError:  # Linux answers EIO when the last holder of the other side is gone.
                return
            if not output:
                return
            os.write(sys.stdout.fileno(), output)
        if sys.stdin.fileno() in ready:
            typed = os.read(sys.stdin.fileno(), _CHUNK)
            if typed:
                os.write(terminal, typed)
            else:
                inputs.remove(sys.stdin.fileno())
