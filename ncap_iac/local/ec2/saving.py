"""CreateImage: an instance's image together with a copy of its disk.

The image of a local instance cannot be written to, so all that an instance can change is what it has in its disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ncap_iac.local.ec2.disks import Disks
from ncap_iac.local.ec2.images import Images
from ncap_iac.local.ec2.instances import Instances
from ncap_iac.local.ec2.model import State
from ncap_iac.local.ec2.requests import Parameters, refuse_others, required
from ncap_iac.local.runner.firmware import MachineFolder
from ncap_iac.local.service import ServiceError

_SAVABLE = (State.RUNNING, State.STOPPED)


class Saving:
    """The operation."""

    def __init__(self, images: Images, instances: Instances, disks: Disks, machines: Path) -> None:
        self._images = images
        self._instances = instances
        self._disks = disks
        self._machines = machines

    def create(self, parameters: Parameters) -> Mapping[str, Any]:
        """CreateImage. The instance is not rebooted, whatever `NoReboot` says: there is no cache to flush."""
        accepted = ("InstanceId", "Name", "Description", "TagSpecifications", "NoReboot")
        refuse_others("CreateImage", parameters, accepted)
        (instance,) = self._instances.named([required(parameters, "InstanceId")])
        if instance.state not in _SAVABLE:
            message = f"The instance '{instance.instance_id}' is {instance.state.value}; it has to run or be stopped."
            raise ServiceError("IncorrectState", message)
        answer = self._images.save(instance, parameters)
        try:
            self._disks.save(answer["ImageId"], MachineFolder(self._machines / instance.instance_id).scratch)
        except OSError as error:
            self._images.deregister({"ImageId": answer["ImageId"]})
            raise ServiceError("InternalError", str(error), status=500) from error
        return answer
