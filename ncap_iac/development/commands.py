"""Commands on instances through Systems Manager: no open port, no key. Shell text is written here, never by users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_iac.errors import AwsError, NcapError, WaitTimeoutError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

SHELL_SCRIPT = "AWS-RunShellScript"
_ONLINE_S = 180.0
_UNDER_WAY = ("Pending", "InProgress", "Delayed", "Cancelling")
_DEFAULT_S = 600


@dataclass(frozen=True)
class Finished:
    """A command that ended; Systems Manager tells the first 24,000 characters of either output."""

    status: int
    output: str
    errors: str
    said: str
    """Systems Manager's own word: `Success`, `Failed`, `TimedOut`, …."""


@dataclass(frozen=True)
class Commands:
    """Sends commands and hears how they end."""

    gateway: Gateway
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    pause_s: float

    def wait_online(self, instance: str) -> None:
        """Until the instance can be told anything. Raises WaitTimeoutError."""
        deadline = self.clock() + _ONLINE_S
        client = self.gateway.session.client("ssm")
        while True:
            with self.gateway.session.translated(f"instance {instance}"):
                answer = client.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance]}])
            if any(item["PingStatus"] == "Online" for item in answer["InstanceInformationList"]):
                return
            if self.clock() >= deadline:
                raise WaitTimeoutError(
                    "Systems Manager does not reach it",
                    where=f"instance {instance}",
                    hint="Its image needs the SSM agent, and its subnet a way out (443). See `ncap instance list`.",
                )
            self.sleep(self.pause_s)

    def send(self, instance: str, script: str, *, longest_s: int = _DEFAULT_S) -> str:
        """Begin a command; its id. Raises NcapError."""
        client = self.gateway.session.client("ssm")
        with self.gateway.session.translated(f"command on {instance}"):
            answer = client.send_command(
                InstanceIds=[instance],
                DocumentName=SHELL_SCRIPT,
                Parameters={"commands": script.splitlines(), "executionTimeout": [str(longest_s)]},
            )
        return str(answer["Command"]["CommandId"])

    def look(self, instance: str, command: str) -> Finished | None:
        """How a command ended; None while it runs. Raises NcapError."""
        client = self.gateway.session.client("ssm")
        try:
            with self.gateway.session.translated(f"command on {instance}"):
                found = client.get_command_invocation(CommandId=command, InstanceId=instance)
        except AwsError as error:
            if error.code == "InvocationDoesNotExist":  # it takes a moment until a command can be asked for
                return None
            raise
        if found["Status"] in _UNDER_WAY:
            return None
        return Finished(
            status=int(found["ResponseCode"]),
            output=str(found["StandardOutputContent"]),
            errors=str(found["StandardErrorContent"]),
            said=str(found["Status"]),
        )

    def cancel(self, instance: str, command: str) -> None:
        """Ask for a command's end. Raises NcapError."""
        client = self.gateway.session.client("ssm")
        with self.gateway.session.translated(f"command on {instance}"):
            client.cancel_command(CommandId=command, InstanceIds=[instance])

    def run(self, instance: str, script: str, *, longest_s: int = _DEFAULT_S) -> Finished:
        """Send and wait. Raises NcapError."""
        command = self.send(instance, script, longest_s=longest_s)
        deadline = self.clock() + longest_s + _ONLINE_S
        while (ended := self.look(instance, command)) is None:
            if self.clock() >= deadline:
                raise NcapError("the command did not end", where=f"instance {instance}", hint="Look at it yourself.")
            self.sleep(self.pause_s)
        return ended
