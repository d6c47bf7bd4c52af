"""StopInstances and StartInstances. What a stop does to the machine is `lifecycle`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ncap_iac.local.ec2.instances import Instances
from ncap_iac.local.ec2.lifecycle import Lifecycle
from ncap_iac.local.ec2.model import Instance, State
from ncap_iac.local.ec2.requests import Parameters, refuse_others, required, stop_dry_run
from ncap_iac.local.ec2.shapes import state_shape
from ncap_iac.local.service import ServiceError

_STOPPABLE = (State.RUNNING, State.STOPPING, State.STOPPED)
_STARTABLE = (State.STOPPED, State.PENDING, State.RUNNING)


class Stopping:
    """The two operations."""

    def __init__(self, instances: Instances, lifecycle: Lifecycle) -> None:
        self._instances = instances
        self._lifecycle = lifecycle

    def stop(self, parameters: Parameters) -> Mapping[str, Any]:
        """StopInstances: the machine goes off, its disk stays. With one that cannot be stopped none is."""
        refuse_others("StopInstances", parameters, ("InstanceIds",), {"Hibernate": False, "Force": False})
        changes = self._change(parameters, "stopped", _STOPPABLE, self._lifecycle.halt)
        return {"StoppingInstances": changes}

    def start(self, parameters: Parameters) -> Mapping[str, Any]:
        """StartInstances: the machine comes up with the disk it had; its user data does not run again."""
        refuse_others("StartInstances", parameters, ("InstanceIds",))
        changes = self._change(parameters, "started", _STARTABLE, self._lifecycle.resume)
        self._lifecycle.proceed()
        return {"StartingInstances": changes}

    def _change(
        self, parameters: Parameters, word: str, accepted: Sequence[State], change: Callable[[Instance], Instance]
    ) -> list[Mapping[str, Any]]:
        ids = required(parameters, "InstanceIds")
        stop_dry_run(parameters)
        with self._lifecycle.lock:
            before = self._instances.named(ids)
            for instance in before:
                if instance.state not in accepted:
                    raise ServiceError(
                        "IncorrectInstanceState",
                        f"The instance '{instance.instance_id}' is not in a state from which it can be {word}: "
                        f"it is {instance.state.value}.",
                    )
                if instance.spot_request:
                    message = f"You can't stop or start the one-time Spot Instance '{instance.instance_id}'."
                    raise ServiceError("UnsupportedOperation", message)
            after = [change(instance) for instance in before]
        return [
            {
                "InstanceId": then.instance_id,
                "PreviousState": state_shape(then.state),
                "CurrentState": state_shape(now.state),
            }
            for then, now in zip(before, after, strict=True)
        ]
