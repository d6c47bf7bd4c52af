"""Systems Manager of the local cloud, as far as machines go: commands and sessions in instances' own sandboxes.

Parameters are the base's business. An instance is managed if its role may register with Systems Manager, as on AWS; a
session's stream is the door of the machine's agent, a socket only this computer's user can open.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ncap_iac.local.ec2 import EC2Service
from ncap_iac.local.ec2.model import Instance
from ncap_iac.local.runner.agent_line import AgentGoneError, Errand, call_agent, exit_status
from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

SHELL_SCRIPT = "AWS-RunShellScript"
STREAM = "unix:"
"""What the stream of a local session begins with; the path of a socket follows."""

_COMMANDS = "ssm-commands"
_SHOWN_BYTES = 24_000
"""Of a command's output in an invocation ("GetCommandInvocation", Systems Manager API reference)."""
_LONGEST_S = 3600.0
_AGENT_S = 10.0
_FAILED, _UNDELIVERED = 1, -1
_ENDED = ("Success", "Failed", "Cancelled", "TimedOut")

Shape = dict[str, Any]
Request = Mapping[str, Any]


class SystemsManagerService:
    """The operations on instances."""

    name = "ssm"
    operations = frozenset(
        ("SendCommand", "GetCommandInvocation", "CancelCommand", "DescribeInstanceInformation", "StartSession")
    ) | {"TerminateSession", "ResumeSession", "ListCommands", "ListCommandInvocations", "CreateAssociation"}

    def __init__(self, surroundings: Surroundings, machines: EC2Service) -> None:
        self._surroundings = surroundings
        self._store = surroundings.store
        self._machines = machines
        self._outputs = surroundings.folder / "commands"
        self._lock = threading.Lock()
        self._lines: dict[str, socket.socket] = {}
        """Of the commands under way; closing one ends its program."""
        self._operations: dict[str, Callable[[Request], Shape]] = {
            "SendCommand": self._send,
            "GetCommandInvocation": self._invocation,
            "CancelCommand": self._cancel,
            "DescribeInstanceInformation": self._describe,
            "StartSession": self._start_session,
        }

    def start(self) -> None:
        """A command that was under way when the cloud stopped has ended with its machine."""
        for command, document in self._store.items(_COMMANDS):
            if document["status"] not in _ENDED:
                self._store.put(_COMMANDS, command, {**document, "status": "Failed", "code": _UNDELIVERED})

    def stop(self) -> None:
        """End what runs."""
        with self._lock:
            for line in self._lines.values():
                line.close()

    def permissions(self, call: Call) -> Sequence[Permission]:
        """On instances and documents where IAM knows them, else on everything."""
        action = f"ssm:{call.operation}"
        place, asked = self._surroundings, call.parameters
        named = asked.get("InstanceIds") or ([asked["Target"]] if call.operation == "StartSession" else ())
        if call.operation not in ("SendCommand", "StartSession"):
            return [Permission(action, "*")]
        tags = {instance.instance_id: instance.tags for instance in self._machines.managed()}
        needed = [
            Permission(
                action,
                f"arn:aws:ec2:{place.region}:{place.account_id}:instance/{instance_id}",
                {f"{kind}/{key}": value for key, value in tags.get(instance_id, {}).items() for kind in _TAG_KEYS},
            )
            for instance_id in named
        ]
        if asked.get("DocumentName"):
            needed.append(Permission(action, f"arn:aws:ssm:{place.region}::document/{asked['DocumentName']}"))
        return needed

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        operation = self._operations.get(call.operation)
        if operation is None:
            has = ", ".join(self._operations)
            message = f"The local cloud's Systems Manager does not offer {call.operation}. It has: {has}."
            raise ServiceError("UnsupportedOperation", message)
        return operation(call.parameters)

    def _managed(self, instance_id: str) -> Instance:
        for instance in self._machines.managed():
            if instance.instance_id == instance_id:
                return instance
        raise ServiceError("InvalidInstanceId", f"Instances [[{instance_id}]] not in a valid state for account.")

    def _describe(self, request: Request) -> Shape:
        _refuse_others("DescribeInstanceInformation", request, ("Filters", "MaxResults"))
        found = self._machines.managed()
        for item in request.get("Filters") or ():
            if item["Key"] != "InstanceIds":
                raise ServiceError("InvalidFilterKey", f"The local cloud filters by InstanceIds, not by {item['Key']}.")
            found = [instance for instance in found if instance.instance_id in item["Values"]]
        return {
            "InstanceInformationList": [
                {
                    "InstanceId": instance.instance_id,
                    "PingStatus": "Online" if self._machines.door(instance).exists() else "ConnectionLost",
                    "PlatformType": "Linux",
                    "ResourceType": "EC2Instance",
                    "IPAddress": instance.private_ip,
                }
                for instance in found
            ]
        }

    def _send(self, request: Request) -> Shape:
        _refuse_others(
            "SendCommand", request, ("InstanceIds", "DocumentName", "Parameters", "TimeoutSeconds", "Comment")
        )
        if request["DocumentName"] != SHELL_SCRIPT:
            raise ServiceError("InvalidDocument", f"The local cloud runs {SHELL_SCRIPT} only.")
        given = dict(request.get("Parameters") or {})
        _refuse_others(SHELL_SCRIPT, given, ("commands", "workingDirectory", "executionTimeout"))
        instances = [self._managed(instance_id) for instance_id in request.get("InstanceIds") or ()]
        if len(instances) != 1:
            raise ServiceError("InvalidParameters", "The local cloud sends a command to one instance at a time.")
        script = "\n".join(given.get("commands") or ())
        command, now = str(uuid.uuid4()), self._surroundings.clock()
        document = {"instance": instances[0].instance_id, "status": "InProgress", "code": _UNDELIVERED, "begun": now}
        self._store.put(_COMMANDS, command, document)
        errand = Errand(("/bin/sh", "-c", script), folder=(given.get("workingDirectory") or [""])[0])
        longest_s = float((given.get("executionTimeout") or [_LONGEST_S])[0])
        words = (command, self._machines.door(instances[0]), errand, longest_s)
        threading.Thread(target=self._run, args=words, name=f"command {command}", daemon=True).start()
        told = {
            name: request[name] for name in ("DocumentName", "Parameters", "InstanceIds", "Comment") if name in request
        }
        return {"Command": {"CommandId": command, **told, "Status": "Pending", "RequestedDateTime": _moment(now)}}

    def _run(self, command: str, door: Path, errand: Errand, longest_s: float) -> None:
        """A command's life, in a thread of its own; whatever goes wrong is its end, never silence."""
        status, code = "Failed", _UNDELIVERED
        folder = self._outputs / command
        try:
            folder.mkdir(mode=0o700, parents=True)
            with (folder / "stdout").open("wb") as output, (folder / "stderr").open("wb") as errors:
                with Path(os.devnull).open("rb") as nothing:
                    files = [nothing.fileno(), output.fileno(), errors.fileno()]
                    line = call_agent(door, errand, files, patience_s=_AGENT_S)
                with line:
                    with self._lock:
                        self._lines[command] = line
                    line.settimeout(longest_s)
                    code = exit_status(line)
                    status = "Failed" if code else "Success"
        except TimeoutError:
            status = "TimedOut"
        except (AgentGoneError, OSError) as error:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "stderr").write_text(f"{error}\n")
        finally:
            with self._lock:
                self._lines.pop(command, None)
                document = self._store.get(_COMMANDS, command) or {}
                if document.get("status") not in _ENDED:
                    ended = {"status": status, "code": code, "ended": self._surroundings.clock()}
                    self._store.put(_COMMANDS, command, {**document, **ended})

    def _invocation(self, request: Request) -> Shape:
        command = self._store.get(_COMMANDS, str(request["CommandId"]))
        if command is None or command["instance"] != request["InstanceId"]:
            raise ServiceError(
                "InvocationDoesNotExist", "The command ID and instance ID you specified didn't match any."
            )
        folder = self._outputs / str(request["CommandId"])
        return {
            "CommandId": request["CommandId"],
            "InstanceId": command["instance"],
            "DocumentName": SHELL_SCRIPT,
            "ResponseCode": command["code"],
            "ExecutionStartDateTime": _moment(command["begun"]).isoformat(),
            "Status": command["status"],
            "StatusDetails": command["status"],
            "StandardOutputContent": _shown(folder / "stdout"),
            "StandardErrorContent": _shown(folder / "stderr"),
        }

    def _cancel(self, request: Request) -> Shape:
        command = str(request["CommandId"])
        with self._lock:
            document = self._store.get(_COMMANDS, command)
            if document is None:
                raise ServiceError("InvalidCommandId", f"There is no command {command}.")
            line = self._lines.get(command)
            if line is not None:
                self._store.put(_COMMANDS, command, {**document, "status": "Cancelled", "code": _FAILED})
                line.shutdown(socket.SHUT_RDWR)
        return {}

    def _start_session(self, request: Request) -> Shape:
        _refuse_others("StartSession", request, ("Target", "Reason"))
        door = self._machines.door(self._managed(str(request["Target"])))
        session = f"local-{uuid.uuid4().hex[:17]}"
        return {"SessionId": session, "TokenValue": session, "StreamUrl": f"{STREAM}{door}"}


_TAG_KEYS = ("ssm:resourceTag", "aws:ResourceTag")


def _refuse_others(operation: str, request: Request, accepted: Sequence[str]) -> None:
    for name, value in request.items():
        if name not in accepted and value:
            raise ServiceError("UnsupportedOperation", f"The local cloud does not support {name} of {operation}.")


def _shown(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_SHOWN_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
