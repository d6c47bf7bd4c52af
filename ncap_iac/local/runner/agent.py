"""The agent inside a managed machine: runs what it is told at its door, with the files it is handed.

Started by the machine's init with the image's Python, from a copy in the machine's firmware: the standard library only,
nothing of this package. A request is four bytes of length and a JSON object, with three open files (input, output,
errors); the answer, at the end of the program, is one line of JSON. A caller that hangs up ends its program.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios
import time

_FILES = 3
_HEAD = 4
_CHUNK = 65536
_TICK_S = 0.05
_GRACE_S = 2.0
_CANNOT_RUN, _NOT_FOUND = 126, 127


def main() -> None:
    """Listen at the door named by the first argument, until the machine ends."""
    folder, name = os.path.split(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A path of the whole length may be longer than a socket's address can be.
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    door.bind(name)
    os.fchdir(here)
    os.close(here)
    door.listen(16)
    while True:
        caller, _ = door.accept()
        if os.fork() == 0:
            door.close()
            try:
                serve(caller)
            finally:
                os._exit(0)
        caller.close()


def serve(caller: socket.socket) -> None:
    """One request from its first byte to the program's end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, files, _, _ = socket.recv_fds(caller, _CHUNK, _FILES)
    length = _HEAD + int.from_bytes(text[:_HEAD], "big")
    while len(text) < length:
        more = caller.recv(_CHUNK)
        if not more:
            return
        text += more
    order = json.loads(text[_HEAD:length])
    child = os.fork()
    if child == 0:
        become(order, files)
    for number in files:
        os.close(number)
    status = follow(child, caller)
    caller.sendall(json.dumps({"status": status}).encode() + b"\n")


def become(order: dict[str, object], files: list[int]) -> None:
    """Turn into the program; never returns."""
    status = _CANNOT_RUN
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(_FILES, 256)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)  # a shell starts what it puts in the background deaf to these
        os.setsid()
        if order["terminal"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(str(order["folder"] or os.environ.get("HOME", "/")))
        words = [str(word) for word in order["program"]]  # type: ignore[attr-defined]
        os.execvpe(words[0], words, {**os.environ, **order["environment"]})  # type: ignore[dict-item]
    except FileNotFoundError as error:
        status = _NOT_FOUND
        os.write(2, f"agent: {error}\n".encode())
    except OSError as error:
        os.write(2, f"agent: {error}\n".encode())
    finally:
        os._exit(status)


def follow(child: int, caller: socket.socket) -> int:
    """Until the program ends, or the caller hangs up and it is ended; its exit status."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return exit_status(status)
        if select.select([caller], [], [], _TICK_S)[0]:
            return exit_status(end(child))


def end(child: int) -> int:
    """Ask the program's group to end, then make it; the raw wait status."""
    deadline = time.monotonic() + _GRACE_S
    send(child, signal.SIGTERM)
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(_TICK_S)
    send(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def send(child: int, number: int) -> None:
    """A signal to the group of a child, which may just be making it."""
    try:
        os.killpg(child, number)
    except ProcessLookupError:
        os.kill(child, number)


def exit_status(status: int) -> int:
    """As a shell tells it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
