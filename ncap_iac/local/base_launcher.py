"""Runs the emulator inside its own virtual environment and keeps its state on disk while it works.

Started by path with that environment's interpreter, so it imports the standard library and the emulator only.
It listens to its standard input: a line `save` writes a snapshot of all state; the end of the input means that
the edge is gone, and everything ends. Before it serves, it completes the emulator where this pinned version falls
short of AWS and no call from outside can: sessions that outlive a restart, paths of users and groups, a missing
count, rights on each of several parameters, the role behind a session. No knowledge of ours goes in here beyond that.

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


def move_identities(iam: Any) -> None:
    """Teach the emulator UpdateUser and UpdateGroup with another path; names it keeps."""

    def mover(kind: str, known: Any) -> Callable[[Any], Any]:
        def move(parameters: Any) -> Any:
            name, path = iam._p(parameters, f"{kind}Name"), iam._p(parameters, "NewPath")
            record = known.get(name)
            if record is None:
                message = f"The {kind.lower()} with name {name} cannot be found."
                return iam._error(404, "NoSuchEntity", message, ns="iam")
            if iam._p(parameters, f"New{kind}Name") not in ("", name):
                message = f"The local cloud's IAM does not rename a {kind.lower()}; make another one."
                return iam._error(400, "UnsupportedOperation", message, ns="iam")
            if path:
                account = record["Arn"].partition("::")[2].partition(":")[0]
                record["Path"] = path
                record["Arn"] = f"arn:aws:iam::{account}:{kind.lower()}{path}{name}"
            return iam._xml(200, f"Update{kind}Response", "", ns="iam")

        return move

    iam._IAM_HANDLERS.update(UpdateUser=mover("User", iam._users), UpdateGroup=mover("Group", iam._groups))


def count_instance_profiles(iam: Any) -> None:
    """Let GetAccountSummary tell instance profiles and their quota, as AWS's does."""
    summary = iam._IAM_HANDLERS["GetAccountSummary"]

    def whole(parameters: Any) -> Any:
        status, headers, body = summary(parameters)
        counts = {"InstanceProfiles": len(iam._instance_profiles), "InstanceProfilesQuota": 1000}
        more = "".join(f"<entry><key>{name}</key><value>{count}</value></entry>" for name, count in counts.items())
        return status, headers, body.replace(b"</SummaryMap>", more.encode() + b"</SummaryMap>")

    iam._IAM_HANDLERS["GetAccountSummary"] = whole


class _Several(str):
    """The ARNs of a request that needs its right on each of them; as text, the first."""

    arns: tuple[str, ...] = ()


def authorize_each_parameter(actions: Any, evaluator: Any) -> None:
    """Let Parameter Store's calls with several names need the right on each parameter; the emulator asks it on `*`."""
    find, enforce = actions.extract_resource_arn, evaluator.enforce

    def found(service: str, method: str, path: str, headers: Any, body: bytes, *place: Any) -> str:
        arn: str = find(service, method, path, headers, body, *place)
        operation = str(headers.get("x-amz-target", "")).rpartition(".")[2]
        if service != "ssm" or operation not in ("GetParameters", "DeleteParameters"):
            return arn
        region, account = place[-2:]
        names = [str(name) for name in json.loads(body or b"{}").get("Names") or ()]
        arns = [
            name if name.startswith("arn:") else f"arn:aws:ssm:{region}:{account}:parameter/{_without_selector(name)}"
            for name in names
        ]
        several = _Several(arns[0] if arns else "*")
        several.arns = tuple(arns) or ("*",)
        return several

    def enforced(*asked: Any, resource_arn: str = "*", **more: Any) -> Any:
        for arn in resource_arn.arns if isinstance(resource_arn, _Several) else (resource_arn,):
            denied = enforce(*asked, resource_arn=arn, **more)
            if denied is not None:
                return denied
        return None

    actions.extract_resource_arn, evaluator.enforce = found, enforced


def _without_selector(name: str) -> str:
    """A parameter's name without version or label (`/name:3`), and without the slash that its ARN has already."""
    return name.partition(":")[0].lstrip("/")


def name_sessions_by_their_role(evaluator: Any, iam: Any) -> None:
    """Let `aws:PrincipalArn` of a role's session be the role's ARN, as AWS has it; the emulator gives the session's."""
    resolve = evaluator._resolve_condition_key

    def resolved(key: str, context: Any) -> Any:
        value = resolve(key, context)
        if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(value):
            return value
        account, name = value.split(":")[4], evaluator._role_name_from_assumed_arn(value)
        role = iam._roles.get_scoped(account, None, name)
        return role["Arn"] if role else value

    evaluator._resolve_condition_key = resolved


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
    move_identities(app._get_module("iam"))
    count_instance_profiles(app._get_module("iam"))
    core = "ministack.core"
    authorize_each_parameter(import_module(f"{core}.iam_actions"), import_module(f"{core}.iam_evaluator"))
    name_sessions_by_their_role(import_module(f"{core}.iam_evaluator"), app._get_module("iam"))
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
