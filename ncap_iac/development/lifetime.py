"""The lives of development instances: stop, start, extend, end; what the tag says and what the timer does agree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_iac.development.commands import Commands
from ncap_iac.development.instances import LONGEST_HOURS, DevInstance, time_text
from ncap_iac.errors import NcapError, UsageError, WaitTimeoutError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

_LONGEST_WAIT_S = 600.0


@dataclass(frozen=True)
class Lives:
    """Changes what instances do."""

    gateway: Gateway
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    pause_s: float

    def stop(self, it: DevInstance) -> DevInstance:
        """Switch it off; its disk stays. Raises NcapError."""
        with self._called(it):
            self.gateway.session.client("ec2").stop_instances(InstanceIds=[it.instance])
        return self.wait(it, "stopped")

    def start(self, it: DevInstance, hours: int) -> tuple[DevInstance, bool]:
        """Switch it on for so long; also whether its own timer could be armed. Raises NcapError."""
        expires = self.now() + timedelta(hours=hours)
        # The tag comes first: a sweep between the two must not take the instance for one whose time is over.
        it = self._tagged(it, expires)
        with self._called(it):
            self.gateway.session.client("ec2").start_instances(InstanceIds=[it.instance])
        it = self.wait(it, "running")
        return it, self.arm(it)

    def extend(self, it: DevInstance, hours: int) -> tuple[DevInstance, bool]:
        """Let it run so much longer; also whether its own timer could be set. Raises UsageError beyond a day."""
        expires = max(it.expires, self.now()) + timedelta(hours=hours)
        if expires > self.now() + timedelta(hours=LONGEST_HOURS):
            raise UsageError(
                f"it would run until {time_text(expires)}, more than {LONGEST_HOURS} hours from now",
                where=f"instance {it.instance}",
                hint="Extend it by less; extend it again later.",
            )
        it = self._tagged(it, expires)
        return it, self.arm(it) if it.is_running else True

    def end(self, it: DevInstance) -> None:
        """Terminate it, with its disk. Raises NcapError."""
        with self._called(it):
            self.gateway.session.client("ec2").terminate_instances(InstanceIds=[it.instance])

    def arm(self, it: DevInstance) -> bool:
        """Set the instance's own timer to its tag; False if it cannot be told, and only the sweeper will end it."""
        minutes = max(1, round((it.expires - self.now()).total_seconds() / 60))
        commands = Commands(self.gateway, self.clock, self.sleep, self.pause_s)
        try:
            commands.wait_online(it.instance)
            return commands.run(it.instance, f"shutdown -h +{minutes}").status == 0
        except NcapError:
            return False

    def wait(self, it: DevInstance, state: str) -> DevInstance:
        """Until it is in a state. Raises WaitTimeoutError, and NcapError if it ended instead."""
        deadline = self.clock() + _LONGEST_WAIT_S
        client = self.gateway.session.client("ec2")
        while True:
            with self._called(it):
                answer = client.describe_instances(InstanceIds=[it.instance])
            (item,) = answer["Reservations"][0]["Instances"]
            now = str(item["State"]["Name"])
            if now == state:
                return replace(it, state=state, launched=item["LaunchTime"])
            if now == "terminated":
                said = item.get("StateReason", {}).get("Message", "no reason was told")
                raise NcapError(f"it ended: {said}", where=f"instance {it.instance}", hint="Launch another.")
            if self.clock() >= deadline:
                raise WaitTimeoutError(
                    f"it is still {now} after {_LONGEST_WAIT_S / 60:.0f} minutes",
                    where=f"instance {it.instance}",
                    hint="Look again with `ncap instance list`.",
                )
            self.sleep(self.pause_s)

    def _tagged(self, it: DevInstance, expires: datetime) -> DevInstance:
        tags = [{"Key": names.EXPIRES_TAG, "Value": time_text(expires)}]
        with self._called(it):
            self.gateway.session.client("ec2").create_tags(Resources=[it.instance], Tags=tags)
        return replace(it, expires=expires)

    def _called(self, it: DevInstance) -> AbstractContextManager[None]:
        return self.gateway.session.translated(f"instance {it.instance}")
