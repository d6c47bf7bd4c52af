"""What goes wrong on purpose, for tests of what runs on this cloud: EC2 errors, machines taken back or lost.

Only the operator reaches it; nothing here happens by itself.
"""

from __future__ import annotations

import threading

from ncap_iac.local.ec2.instances import Instances
from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.launching import read_instance_type
from ncap_iac.local.ec2.lifecycle import SPOT_RECLAIMED, Lifecycle
from ncap_iac.local.ec2.model import Fault, Instance, State
from ncap_iac.local.ec2.requests import invalid
from ncap_iac.local.service import ServiceError, Surroundings


class Faults:
    """Armed faults, kept on disk until they were met, and the ends of instances."""

    def __init__(
        self, inventory: Inventory, lifecycle: Lifecycle, instances: Instances, surroundings: Surroundings
    ) -> None:
        self._inventory = inventory
        self._lifecycle = lifecycle
        self._instances = instances
        self._clock = surroundings.clock

    def arm(self, fault: Fault) -> None:
        """Let calls meet a fault, after those armed before it. Raises ServiceError for unknown types and zones."""
        for name in fault.instance_types:
            read_instance_type(name)
        for zone in fault.zones:
            if zone not in self._inventory.network.zones:
                known = ", ".join(self._inventory.network.zones)
                raise invalid(zone, "availability zone", f"Expected one of {known}.")
        with self._lifecycle.lock, self._inventory.store.transaction():
            self._inventory.save_faults([*self._inventory.faults(), fault])

    def clear(self) -> None:
        """Disarm all."""
        with self._lifecycle.lock:
            self._inventory.save_faults(())

    def armed(self) -> list[Fault]:
        """Faults that are still to be met."""
        return self._inventory.faults()

    def meet(self, operation: str) -> None:
        """Raise the throttling that is armed for an operation, and count it."""
        with self._lifecycle.lock, self._inventory.store.transaction():
            for fault in self._inventory.faults():
                if not fault.is_of_launches and fault.operation in ("", operation):
                    self._inventory.count_fault(fault)
                    break
            else:
                return
        raise ServiceError(fault.code, fault.message, status=fault.status)

    def interrupt(self, instance_id: str, after_s: float) -> None:
        """Take an instance back as EC2 takes back spot ones: a warning, and the end `after_s` seconds later.

        Raises ServiceError for an instance that is not running.
        """
        with self._lifecycle.lock:
            instance = self._running(instance_id)
            self._lifecycle.warn(instance, self._clock() + after_s)
        timer = threading.Timer(after_s, self._reclaim, (instance_id,))
        timer.daemon = True
        timer.start()

    def _reclaim(self, instance_id: str) -> None:
        with self._lifecycle.lock:
            instance = self._inventory.instance(instance_id)
            if instance is not None:
                self._lifecycle.terminate(instance, SPOT_RECLAIMED)

    def lose(self, instance_id: str) -> None:
        """Kill an instance as if its computer had died. Raises ServiceError for one that is not running."""
        with self._lifecycle.lock:
            self._lifecycle.lose(self._running(instance_id))

    def _running(self, instance_id: str) -> Instance:
        (instance,) = self._instances.named([instance_id])
        if instance.state is not State.RUNNING:
            message = f"Instance {instance_id} is {instance.state.value}, not running."
            raise ServiceError("IncorrectInstanceState", message)
        return instance
