"""The line to the agent of a machine: hand it a program and three files, hear its exit status. POSIX only."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DOOR = "neurocaas-agent"
"""The agent's socket in its machine's temporary folder."""

_LONGEST_ADDRESS = 100
_PAUSE_S = 0.05


class AgentGoneError(Exception):
    """The agent does not answer: the machine is not up yet, or not any more."""


@dataclass(frozen=True)
class Errand:
    """What an agent is to run."""

    program: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside what the machine's programs have anyway."""
    folder: str = ""
    """Working directory; empty: the machine's disk."""
    has_terminal: bool = False
    """Its input is a terminal that it shall control."""

    def line(self) -> bytes:
        """As the agent reads it."""
        text = json.dumps(
            {
                "program": list(self.program),
                "environment": dict(self.environment),
                "folder": self.folder,
                "terminal": self.has_terminal,
            }
        ).encode()
        return len(text).to_bytes(4, "big") + text


def call_agent(door: Path, errand: Errand, files: Sequence[int], *, patience_s: float = 0.0) -> socket.socket:
    """Begin an errand with input, output and errors; the open line to its end. Closing it ends the program.

    Tries for `patience_s`: a machine that has just started may not listen yet. Raises AgentGoneError.
    """
    deadline = time.monotonic() + patience_s
    while True:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect(line, door)
            text = errand.line()
            sent = socket.send_fds(line, [text], list(files))
            line.sendall(text[sent:])
            return line
        except OSError as error:
            line.close()
            if time.monotonic() >= deadline:
                raise AgentGoneError(f"the agent does not answer at {door}: {error}") from error
        time.sleep(_PAUSE_S)


def exit_status(line: socket.socket) -> int:
    """Wait for the program's end. Raises AgentGoneError if the machine ends first, TimeoutError as the line is set."""
    text = b""
    try:
        while not text.endswith(b"\n"):
            more = line.recv(4096)
            if not more:
                raise AgentGoneError("the machine ended before the program did")
            text += more
    except TimeoutError:
        raise
    except OSError as error:
        raise AgentGoneError(str(error)) from error
    return int(json.loads(text)["status"])


def _connect(line: socket.socket, door: Path) -> None:
    if len(os.fsencode(door)) < _LONGEST_ADDRESS:
        line.connect(str(door))
        return
    # An address has about a hundred bytes; Linux takes the long way round by an open folder.
    folder = os.open(door.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        line.connect(f"/proc/self/fd/{folder}/{door.name}")
    finally:
        os.close(folder)
