"""A terminal on a development instance through Session Manager: no open port, no key.

On AWS the AWS command line and its plugin do it; in a local cloud the door of the machine's agent is opened here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.errors import NcapError, UsageError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

PLUGIN = "session-manager-plugin"
_LOCAL_STREAM = "unix:"
_AGENT_S = 10.0
_PAGE = "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"


def session_command(gateway: Gateway, instance: str) -> tuple[str, ...]:
    """The AWS command line that opens the session."""
    target = gateway.target
    words = ["aws", "ssm", "start-session", "--target", instance, "--region", gateway.region]
    words += ["--profile", target.profile] if target.profile else []
    words += ["--endpoint-url", target.endpoint_url] if target.endpoint_url else []
    return tuple(words)


def missing_programs(search_path: str | None) -> tuple[str, ...]:
    """What a session on AWS needs and this computer lacks."""
    return tuple(name for name in ("aws", PLUGIN) if shutil.which(name, path=search_path) is None)


def connect(gateway: Gateway, instance: str, *, environment: Mapping[str, str], is_terminal: bool) -> int:
    """Open the session; the exit status at its end. Raises UsageError if a program is missing, NcapError."""
    if gateway.target.cloud is not None:
        return _connect_locally(gateway, instance, is_terminal=is_terminal)
    missing = missing_programs(environment.get("PATH"))
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            where="ncap instance connect",
            hint=f"Install the AWS command line and the Session Manager plugin: {_PAGE}",
        )
    return subprocess.run(session_command(gateway, instance), env=dict(environment), check=False).returncode


def _connect_locally(gateway: Gateway, instance: str, *, is_terminal: bool) -> int:
    client = gateway.session.client("ssm")
    with gateway.session.translated(f"session on {instance}"):
        stream = str(client.start_session(Target=instance)["StreamUrl"])
    if not stream.startswith(_LOCAL_STREAM):
        raise NcapError("its session has no local stream", where=f"instance {instance}", hint="Update ncap.")
    door = Path(stream.removeprefix(_LOCAL_STREAM))
    if not is_terminal:
        return _run(door, ("sh",), has_terminal=False)
    from ncap_iac.analysis.terminal import run_on_terminal

    shell = ("bash", "--norc", "-i") if shutil.which("bash") else ("sh", "-i")

    def become() -> None:
        """In a forked child on a terminal of its own, which it lends to the machine."""
        status = 1
        try:
            status = _run(door, shell, has_terminal=True)
        except NcapError as error:
            os.write(2, f"{error}\r\n".encode())
        finally:
            os._exit(status)

    return run_on_terminal(become)


def _run(door: Path, program: Sequence[str], *, has_terminal: bool) -> int:
    from ncap_iac.local.runner.agent_line import AgentGoneError, Errand, call_agent, exit_status

    settings = {"TERM": os.environ.get("TERM", "dumb"), "PS1": "(instance) \\w$ "} if has_terminal else {}
    errand = Errand(program, environment=settings, has_terminal=has_terminal)
    try:
        with call_agent(door, errand, (0, 1, 2), patience_s=_AGENT_S) as line:
            return exit_status(line)
    except AgentGoneError as error:
        raise NcapError(str(error), where="session", hint="See `ncap instance list`.") from error
