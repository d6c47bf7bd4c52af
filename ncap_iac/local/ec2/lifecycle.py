"""From pending to terminated: the states of instances, the events they send, who may run now.

Every change is on disk, with its event, before anything else happens. A stopped instance keeps its scratch. At most
`slots` machines run at once; instances beyond that stay `pending` and start in the order of their launch. EC2 would
start them all: a computer has only so many cores, and a state that every client knows and waits for anyway is a better
answer than an error it would retry.
"""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ncap_iac.local.ec2.catalog import INSTANCE_TYPES
from ncap_iac.local.ec2.disks import Disks
from ncap_iac.local.ec2.events import spot_warning_event, state_change_event
from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.model import Instance, Reason, State
from ncap_iac.local.metadata import Identity, MetadataService, RoleCredentials
from ncap_iac.local.runner.firmware import MachineFolder, remove_tree
from ncap_iac.local.runner.isolation import Isolation, strongest_isolation
from ncap_iac.local.runner.machines import Machine, MachineRoom
from ncap_iac.local.runner.order import Cause, Report
from ncap_iac.local.service import Surroundings

VISIBLE_S = 3600.0
"""How long a terminated instance is still described."""

USER_INITIATED = Reason("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
SELF_INITIATED = Reason(
    "Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
)
SPOT_RECLAIMED = Reason("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")

_CONSOLE_S = 24 * 3600.0
_RECORD_S = 48 * 3600.0
"""Records outlive their visibility: a client token is good for 24 hours after the end."""
_WARM_UP_S = 10.0
"""A warm-up is not abandoned: it would leave its files behind."""
_CLEAN_EVERY_S = 3600.0
_MIB = 1024 * 1024


def available_cores() -> tuple[int, ...]:
    """Cores this process may use; their number where the system does not say which."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def host_memory_bytes() -> int:
    """Physical memory of this computer."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Lifecycle:
    """All instances' lives."""

    def __init__(
        self,
        inventory: Inventory,
        surroundings: Surroundings,
        disks: Disks,
        *,
        slots: int | None = None,
        isolation: Callable[[], Isolation] = strongest_isolation,
    ) -> None:
        cores = available_cores()
        self.lock = threading.RLock()
        self._inventory = inventory
        self._surroundings = surroundings
        self._disks = disks
        self._clock = surroundings.clock
        self._folder = surroundings.folder / "instances"
        self._slots = slots or len(cores)
        self._cores = cores if self._slots == len(cores) else ()
        self._used: dict[str, int] = {}
        """Slot by instance."""
        self._warmer = threading.Thread(target=self._warm, name="ec2 warm-up", daemon=True)
        self._is_open = False
        self._cleaned_at = 0.0
        self._room = MachineRoom(self._folder, self._hear, keeps_disk=self._keeps_disk, isolation=isolation)
        self._metadata = MetadataService(RoleCredentials(surroundings.client, surroundings.clock), surroundings.clock)

    def start(self) -> None:
        """End what an earlier life of this process left running, go on with what waited."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._metadata.start()
        self._warmer.start()
        with self.lock:
            self._is_open = True
            for instance in self._inventory.instances():
                if instance.state is State.STOPPING:
                    self._change(instance, State.STOPPED)
                elif instance.boot_begun and instance.state not in (State.TERMINATED, State.STOPPED):
                    self._end_lost(instance)
            self._clean()
            self._fill()

    def _warm(self) -> None:
        """What the first launch would wait for: clients, a sandbox that works, the process wardens come from."""
        with contextlib.suppress(Exception):  # whoever needs it meets the error, and can tell somebody
            self._room.warm()
            for name in ("iam", "sts"):
                self._surroundings.client(name)

    def stop(self) -> None:
        """End all machines; what ran is recorded as terminated, what waited goes on waiting."""
        with self.lock:
            self._is_open = False
        if self._warmer.is_alive():
            self._warmer.join(_WARM_UP_S)
        self._room.close()
        self._metadata.stop()

    @property
    def isolation(self) -> str:
        """The rung machines run on, in words."""
        return self._room.isolation.rung.value

    def launch(self, instances: list[Instance]) -> None:
        """Take up instances; to be called with the lock held, inside the transaction of the launch."""
        for instance in instances:
            self._change(instance, State.PENDING)

    def proceed(self) -> None:
        """Start whoever may run now; to be called once a launch is on disk."""
        with self.lock:
            self._clean()
            self._fill()

    def terminate(self, instance: Instance, reason: Reason = USER_INITIATED) -> Instance:
        """On the caller's wish; with the lock held. An instance on its way out is left to it."""
        return self._end(instance, reason, self._room.end)

    def halt(self, instance: Instance) -> Instance:
        """Switch off a machine and keep its disk; one that is off or on its way stays so. With the lock held."""
        if instance.state is not State.RUNNING:
            return instance
        changed = self._change(instance, State.STOPPING, USER_INITIATED)
        self._room.end(instance.instance_id)
        return changed

    def resume(self, instance: Instance) -> Instance:
        """Let a stopped machine come up again when there is a core for it. With the lock held."""
        if instance.state is not State.STOPPED:
            return instance
        begun = replace(instance, boot_begun=False, has_started=True, reason=None, launched_at=self._clock())
        return self._change(begun, State.PENDING)

    def door(self, instance: Instance) -> Path:
        """Where the agent of a managed, running instance is spoken to."""
        return self._room.door(instance.instance_id)

    def _keeps_disk(self, instance_id: str) -> bool:
        instance = self._inventory.instance(instance_id)
        return instance is not None and instance.state is State.STOPPING

    def lose(self, instance: Instance) -> Instance:
        """As if its computer had died: nothing in it hears of it. With the lock held."""
        return self._end(instance, _lost("the instance was lost on purpose"), self._room.kill)

    def warn(self, instance: Instance, end: float) -> None:
        """Tell an instance that it will be taken back at a moment (seconds since the epoch), as EC2 tells spot ones."""
        self._metadata.warn(instance.instance_id, end)
        self._surroundings.emit(spot_warning_event(instance, self._inventory.network, self._clock()))

    def _end(self, instance: Instance, reason: Reason, stop: Callable[[str], None]) -> Instance:
        if instance.state in (State.SHUTTING_DOWN, State.TERMINATED):
            return instance
        was_stopped = instance.state is State.STOPPED
        instance = self._change(instance, State.SHUTTING_DOWN, reason)
        if instance.instance_id in self._used:
            stop(instance.instance_id)
            return instance
        if was_stopped:
            MachineFolder(self._folder / instance.instance_id).clear()
        self._change(instance, State.TERMINATED)
        return instance

    def console(self, instance: Instance) -> bytes:
        """The end of what the instance printed."""
        return self._room.console(instance.instance_id)

    def _change(self, instance: Instance, state: State, reason: Reason | None = None) -> Instance:
        """Record a state and its event together."""
        now = self._clock()
        changed = replace(
            instance,
            state=state,
            reason=reason or instance.reason,
            ended_at=now if state is State.TERMINATED else instance.ended_at,
        )
        with self._inventory.store.transaction():
            self._inventory.save_instance(changed)
            self._surroundings.emit(state_change_event(changed, self._inventory.network, now))
        return changed

    def _fill(self) -> None:
        if not self._is_open or len(self._used) >= self._slots:
            return
        for instance in self._inventory.instances():
            if len(self._used) >= self._slots:
                return
            if instance.state is State.PENDING and not instance.boot_begun:
                self._boot(instance)

    def _boot(self, instance: Instance) -> None:
        slot = min(set(range(self._slots)) - set(self._used.values()))
        self._used[instance.instance_id] = slot
        self._inventory.save_instance(replace(instance, boot_begun=True))
        kind = INSTANCE_TYPES[instance.instance_type]
        environment = {"AWS_REGION": self._surroundings.region, "AWS_ENDPOINT_URL": self._surroundings.endpoint}
        if instance.metadata.http_endpoint == "enabled":
            environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = self._metadata.admit(self._identity(instance))
        self._room.boot(
            Machine(
                instance=instance.instance_id,
                image=self._surroundings.images / instance.image_folder,
                user_data=base64.b64decode(instance.user_data),
                memory_bytes=min(kind.memory_mib * _MIB, host_memory_bytes()),
                hostname=self._inventory.network.host_name(instance.private_ip).partition(".")[0],
                environment=environment,
                core=self._cores[slot] if self._cores else None,
                is_managed=instance.profile is not None and instance.profile.is_managed,
                disk=self._disks.path(instance.disk),
                is_first_boot=not instance.has_started,
            )
        )

    def _identity(self, instance: Instance) -> Identity:
        network, profile = self._inventory.network, instance.profile
        return Identity(
            instance_id=instance.instance_id,
            image_id=instance.image_id,
            instance_type=instance.instance_type,
            launch_index=instance.launch_index,
            account_id=network.account_id,
            region=network.region,
            zone=instance.availability_zone,
            zone_id=network.zone_id(instance.availability_zone),
            hostname=network.host_name(instance.private_ip),
            private_ip=instance.private_ip,
            reservation_id=instance.reservation_id,
            security_groups=instance.security_groups,
            launched_at=instance.launched_at,
            user_data=base64.b64decode(instance.user_data),
            market=instance.market,
            profile_arn=profile.arn if profile else None,
            profile_id=profile.profile_id if profile else None,
            role_arn=profile.role_arn if profile else None,
        )

    def _hear(self, instance_id: str, report: Report) -> None:
        """What the machine room tells, from a machine's own thread."""
        with self.lock:
            instance = self._inventory.instance(instance_id)
            if report.happened == "ended":
                self._used.pop(instance_id, None)
                self._metadata.dismiss(instance_id)
            if instance is not None:
                self._follow(instance, report)
            if report.happened == "ended":
                self._fill()

    def _follow(self, instance: Instance, report: Report) -> None:
        if report.happened == "started":
            if instance.state is State.PENDING:
                self._change(instance, State.RUNNING)
            return
        if instance.state.is_live:
            stays = report.cause is Cause.POWER and instance.shutdown_behavior == "stop"
            instance = self._change(instance, State.STOPPING if stays else State.SHUTTING_DOWN, _reason(report))
        if report.happened == "ended" and instance.state is not State.TERMINATED:
            self._change(instance, State.STOPPED if instance.state is State.STOPPING else State.TERMINATED)

    def _end_lost(self, instance: Instance) -> None:
        if instance.state.is_live:
            instance = self._change(instance, State.SHUTTING_DOWN, _lost("the local cloud ended unexpectedly"))
        self._change(instance, State.TERMINATED)
        MachineFolder(self._folder / instance.instance_id).clear()

    def _clean(self) -> None:
        """Once an hour: consoles after a day, records after two."""
        now = self._clock()
        if now - self._cleaned_at < _CLEAN_EVERY_S:
            return
        self._cleaned_at = now
        for instance in self._inventory.instances():
            age_s = now - instance.ended_at if instance.ended_at is not None else 0.0
            if age_s > _CONSOLE_S:
                remove_tree(self._folder / instance.instance_id)
            if age_s > _RECORD_S:
                self._inventory.forget_instance(instance.instance_id)
        self._inventory.forget_unused_tokens()


def _reason(report: Report) -> Reason:
    if report.cause is Cause.BROKEN:
        return Reason("Server.InternalError", f"Server.InternalError: the instance could not start: {report.message}")
    if report.cause is Cause.LOST:
        return _lost(report.message or "the local cloud was stopped")
    return SELF_INITIATED


def _lost(how: str) -> Reason:
    return Reason("Server.InternalError", f"Server.InternalError: {how}")
