"""Runs the emulator inside its own virtual environment and keeps its state on disk while it works.

Started by path with that environment's interpreter, so it imports the standard library and the emulator only.
It listens to its standard input: a line `save` writes a snapshot of all state; the end of the input means that
the edge is gone, and everything ends. No knowledge of ours goes in here beyond that.

    python base_launcher.py unix:/path/to/socket
    python base_launcher.py 127.0.0.1:4567
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_ATTEMPTS = 20
"""Tries to copy one service's state: a copy fails if a request changes the state meanwhile."""
_SHARE_OF_TIME = 0.2
"""Snapshots may take this share of the time at most, however big the state."""
_GRACE_S = 15.0
"""From the end of the input to the end by force."""

_log = logging.getLogger("base_launcher")


class Snapshots:
    """Writes the state of all services to disk; one snapshot at a time, only files that changed."""

    def __init__(self, emulator: Any, persistence: Any, folder: Path) -> None:
        self._emulator = emulator
        self._persistence = persistence
        self._folder = folder
        self._written: dict[str, bytes] = {}
        self._wanted = threading.Event()
        self._count = 0

    def want(self) -> None:
        """Ask for a snapshot; returns at once."""
        self._wanted.set()

    def serve(self) -> None:
        """Write a snapshot whenever one was asked for, for ever."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            began = time.monotonic()
            try:
                self.save()
            except Exception:
                _log.exception("snapshot failed; the next one will try again")
            time.sleep((time.monotonic() - began) / _SHARE_OF_TIME)

    def save(self) -> None:
        """One snapshot; each file is replaced as a whole. The file `saved` counts whole snapshots."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for service, get_state in self._emulator._build_persistence_save_dict().items():
            with _code_blobs_kept(service, get_state):
                self._save_one(service, get_state)
        self._count += 1
        (self._folder / "saved").write_text(str(self._count))

    def _save_one(self, service: str, get_state: Callable[[], Any]) -> None:
        text = self._encode(service, get_state)
        if text is None:
            return
        digest = hashlib.sha256(text).digest()
        if self._written.get(service) == digest:
            return
        part = self._folder / f"{service}.json.part"
        part.write_bytes(text)
        part.replace(self._folder / f"{service}.json")
        self._written[service] = digest

    def _encode(self, service: str, get_state: Callable[[], Any]) -> bytes | None:
        version = self._persistence._state_format_version(service)
        for attempt in range(_ATTEMPTS):
            try:
                state = get_state()
                if state is None:
                    return None
                document = {"__ministack_format__": version, "payload": state}
                return json.dumps(document, default=self._persistence._json_default).encode()
            except RuntimeError:
                time.sleep(0.005 * (attempt + 1))
        raise RuntimeError(f"{service}: state would not hold still")


class _code_blobs_kept:  # noqa: N801
    """While inside, function code that the state on disk still names is not removed."""

    def __init__(self, service: str, get_state: Callable[[], Any]) -> None:
        self._module: Any = sys.modules[get_state.__module__] if service == "lambda" else None

    def __enter__(self) -> None:
        if self._module is not None:
            self._prune = self._module._prune_orphan_code_blobs
            self._referenced: list[set[str]] = []
            self._module._prune_orphan_code_blobs = self._referenced.append

    def __exit__(self, kind: object, *_: object) -> None:
        if self._module is not None:
            self._module._prune_orphan_code_blobs = self._prune
            if kind is None and self._referenced:
                self._prune(self._referenced[-1])


def wait_for_predecessor() -> None:
    """Wait until a launcher whose edge was killed has saved its state in this folder and ended."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(os.open("lock", os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)


def keep_sessions(sts: Any) -> None:
    """Let the temporary credentials that were handed out survive a restart, as they would on AWS."""
    sts.get_state = lambda: {"sessions": copy.deepcopy(sts._sessions)}
    sts.load_persisted_state = lambda state: sts._sessions.update(state.get("sessions", {}))


def listen(snapshots: Snapshots) -> None:
    """Follow the edge's words until it is gone; then end."""
    while words := os.read(0, 4096):
        if b"save" in words:
            snapshots.want()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def main(bind: str) -> None:
    """Serve until told to end."""
    os.umask(0o077)
    wait_for_predecessor()
    app = import_module("ministack.app")
    persistence = import_module("ministack.core.persistence")
    keep_sessions(app._get_module("sts"))
    snapshots = Snapshots(app, persistence, Path(persistence.STATE_DIR))
    for work in (snapshots.serve, lambda: listen(snapshots)):
        threading.Thread(target=work, daemon=True).start()
    config = import_module("hypercorn.config").Config()
    config.bind = [bind]
    config.keep_alive_timeout = 300
    config.graceful_timeout = 2
    config.backlog = 1024
    config.accesslog = None
    config.loglevel = app.LOG_LEVEL.upper()
    asyncio.run(import_module("hypercorn.asyncio").serve(app.app, config))


if __name__ == "__main__":
    main(sys.argv[1])
