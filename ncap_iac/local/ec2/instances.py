"""RunInstances, TerminateInstances and what describes instances. The life between them is `lifecycle`'s."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.launching import Launch, resolve_launch
from ncap_iac.local.ec2.lifecycle import VISIBLE_S, Lifecycle
from ncap_iac.local.ec2.model import Fault, Instance, State, Volume
from ncap_iac.local.ec2.profiles import ProfileDirectory
from ncap_iac.local.ec2.requests import Parameters, check_id, invalid, refuse_others, required, stop_dry_run
from ncap_iac.local.ec2.shapes import reservation_shape, status_shape, volume_shape
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]

_LONGEST_TOKEN = 64
_STATUS_FILTERS: Fields[Instance] = {
    "availability-zone": lambda instance: [instance.availability_zone],
    "instance-state-code": lambda instance: [str(instance.state.code)],
    "instance-state-name": lambda instance: [instance.state.value],
}
_FILTERS: Fields[Instance] = {
    **_STATUS_FILTERS,
    "client-token": lambda instance: [instance.client_token or ""],
    "iam-instance-profile.arn": lambda instance: [instance.profile.arn] if instance.profile else [],
    "image-id": lambda instance: [instance.image_id],
    "instance-id": lambda instance: [instance.instance_id],
    "instance-lifecycle": lambda instance: ["spot"] if instance.spot_request else [],
    "spot-instance-request-id": lambda instance: [instance.spot_request] if instance.spot_request else [],
    "instance-type": lambda instance: [instance.instance_type],
    "launch-time": lambda instance: [_time_text(instance.launched_at)],
    "reservation-id": lambda instance: [instance.reservation_id],
    "subnet-id": lambda instance: [instance.subnet_id],
    "vpc-id": lambda instance: [],
}
_VOLUME_FILTERS: Fields[tuple[Instance, Volume]] = {
    "volume-id": lambda pair: [pair[1].volume_id],
    "attachment.instance-id": lambda pair: [pair[0].instance_id],
    "attachment.device": lambda pair: [pair[1].device],
    "availability-zone": lambda pair: [pair[0].availability_zone],
    "encrypted": lambda pair: [str(pair[1].encrypted).lower()],
    "volume-type": lambda pair: [pair[1].volume_type],
    "status": lambda pair: ["in-use"],
}


class Instances:
    """The operations on instances."""

    def __init__(
        self, inventory: Inventory, lifecycle: Lifecycle, profiles: ProfileDirectory, *, clock: Callable[[], float]
    ) -> None:
        self._inventory = inventory
        self._lifecycle = lifecycle
        self._profiles = profiles
        self._clock = clock

    def resolve(self, parameters: Parameters) -> Launch:
        """What a RunInstances means."""
        return resolve_launch(parameters, self._inventory, self._profiles)

    def run(self, parameters: Parameters) -> Answer:
        """RunInstances. A token seen before answers with the instances of then, whatever has changed since."""
        token = parameters.get("ClientToken") or None
        if token is not None and (len(token) > _LONGEST_TOKEN or not token.isascii()):
            raise invalid(token, "clientToken", "At most 64 ASCII characters.")
        digest = _digest(parameters)
        if token and (answer := self._repeated(token, digest)):
            return answer
        launch = self.resolve(parameters)
        stop_dry_run(parameters)
        with self._lifecycle.lock, self._inventory.store.transaction():
            # A call with this token may have come first while this one was being looked up.
            if token and (answer := self._repeated(token, digest)):
                return answer
            launch, count, fault = self._meet_fault(launch)
            instances = self._make(launch, count, token) if count else []
            self._lifecycle.launch(instances)
            if token and instances:
                self._inventory.save_token(token, digest, [instance.instance_id for instance in instances])
        if fault and not instances:
            raise ServiceError(fault.code, fault.message, status=fault.status)
        answer = reservation_shape(instances, self._inventory)
        self._lifecycle.proceed()
        return answer

    def _repeated(self, token: str, digest: str) -> Answer | None:
        known = self._inventory.token(token)
        if known is None:
            return None
        if known["digest"] != digest:
            raise ServiceError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        instances = [self._inventory.instance(instance_id) for instance_id in known["instances"]]
        return reservation_shape([instance for instance in instances if instance], self._inventory)

    def _meet_fault(self, launch: Launch) -> tuple[Launch, int, Fault | None]:
        """The launch in a zone that has room, how many of its instances there are, and the fault that was met.

        A launch that names no zone meets a fault only if every zone has one, as on EC2.
        """
        faults = [
            fault
            for fault in self._inventory.faults()
            if fault.is_of_launches
            and (not fault.instance_types or launch.instance_type.name in fault.instance_types)
            and fault.market in ("", launch.market)
        ]
        met: Fault | None = None
        for subnet in [launch.subnet] if launch.names_zone else self._inventory.network.subnets:
            met = next((fault for fault in faults if not fault.zones or subnet.zone in fault.zones), None)
            if met is None:
                return replace(launch, subnet=subnet), launch.most, None
        if met is None:
            return launch, launch.most, None
        self._inventory.count_fault(met)
        granted = min(met.granted or 0, launch.most)
        return launch, (granted if granted >= launch.least else 0), met

    def _make(self, launch: Launch, count: int, token: str | None) -> list[Instance]:
        reservation = self._inventory.make_id("r")
        now = self._clock()
        return [
            Instance(
                instance_id=self._inventory.make_id("i"),
                reservation_id=reservation,
                image_id=launch.image.image_id,
                image_folder=launch.image.folder,
                instance_type=launch.instance_type.name,
                subnet_id=launch.subnet.subnet_id,
                availability_zone=launch.subnet.zone,
                private_ip=self._inventory.network.address(launch.subnet, number),
                launch_index=index,
                sequence=number,
                launched_at=now,
                security_groups=tuple(group.group_id for group in launch.groups),
                metadata=launch.metadata,
                shutdown_behavior=launch.shutdown_behavior,
                volumes=tuple(
                    replace(volume, volume_id=self._inventory.make_id("vol"), tags=launch.tags.get("volume", {}))
                    for volume in launch.volumes
                ),
                tags=launch.tags.get("instance", {}),
                user_data=launch.user_data,
                profile=launch.profile,
                client_token=token,
                spot_request=self._inventory.make_id("sir") if launch.market == "spot" else "",
                disk=launch.image.disk,
            )
            for index, number in enumerate(self._inventory.next_numbers(count))
        ]

    def visible(self) -> list[Instance]:
        """All but those terminated an hour ago or more."""
        now = self._clock()
        return [
            instance
            for instance in self._inventory.instances()
            if instance.ended_at is None or now - instance.ended_at < VISIBLE_S
        ]

    def named(self, ids: Sequence[str]) -> list[Instance]:
        """The visible instances of these ids. Raises InvalidInstanceID.* for the first bad ones."""
        for instance_id in ids:
            check_id(instance_id, "i", "InvalidInstanceID.Malformed")
        known = {instance.instance_id: instance for instance in self.visible()}
        missing = [instance_id for instance_id in ids if instance_id not in known]
        if len(missing) == 1:
            raise ServiceError("InvalidInstanceID.NotFound", f"The instance ID '{missing[0]}' does not exist")
        if missing:
            raise ServiceError("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(missing)}' do not exist")
        return [known[instance_id] for instance_id in dict.fromkeys(ids)]

    def describe(self, parameters: Parameters) -> Answer:
        """DescribeInstances; pages count instances."""
        refuse_others("DescribeInstances", parameters, ("InstanceIds", "Filters", "MaxResults", "NextToken"))
        ids = parameters.get("InstanceIds") or ()
        if ids and parameters.get("MaxResults"):
            message = "The parameter instancesSet cannot be used with the parameter maxResults"
            raise ServiceError("InvalidParameterCombination", message)
        fields = {**_FILTERS, "vpc-id": lambda _: [self._inventory.network.vpc_id]}
        candidates = self.named(ids) if ids else self.visible()
        found, token = page(select(candidates, parameters, fields, lambda instance: instance.tags), parameters)
        reservations: dict[str, list[Instance]] = {}
        for instance in found:
            reservations.setdefault(instance.reservation_id, []).append(instance)
        answer = {"Reservations": [reservation_shape(group, self._inventory) for group in reservations.values()]}
        return {**answer, "NextToken": token} if token else answer

    def describe_status(self, parameters: Parameters) -> Answer:
        """DescribeInstanceStatus: running instances, or all if asked."""
        accepted = ("InstanceIds", "Filters", "MaxResults", "NextToken", "IncludeAllInstances")
        refuse_others("DescribeInstanceStatus", parameters, accepted)
        ids = parameters.get("InstanceIds") or ()
        candidates = self.named(ids) if ids else self.visible()
        if not parameters.get("IncludeAllInstances"):
            candidates = [instance for instance in candidates if instance.state is State.RUNNING]
        found, token = page(select(candidates, parameters, _STATUS_FILTERS, None), parameters)
        answer = {"InstanceStatuses": [status_shape(instance) for instance in found]}
        return {**answer, "NextToken": token} if token else answer

    def describe_volumes(self, parameters: Parameters) -> Answer:
        """DescribeVolumes: those of instances that are not terminated."""
        refuse_others("DescribeVolumes", parameters, ("VolumeIds", "Filters", "MaxResults", "NextToken"))
        pairs = [
            (instance, volume)
            for instance in self.visible()
            if instance.state is not State.TERMINATED
            for volume in instance.volumes
        ]
        for volume_id in parameters.get("VolumeIds") or ():
            if all(volume.volume_id != volume_id for _, volume in pairs):
                raise ServiceError("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
        if parameters.get("VolumeIds"):
            pairs = [pair for pair in pairs if pair[1].volume_id in parameters["VolumeIds"]]
        found, token = page(select(pairs, parameters, _VOLUME_FILTERS, lambda pair: pair[1].tags), parameters)
        answer = {"Volumes": [volume_shape(instance, volume) for instance, volume in found]}
        return {**answer, "NextToken": token} if token else answer

    def terminate(self, parameters: Parameters) -> Answer:
        """TerminateInstances: with one bad id none is terminated."""
        refuse_others("TerminateInstances", parameters, ("InstanceIds",))
        ids = required(parameters, "InstanceIds")
        stop_dry_run(parameters)
        with self._lifecycle.lock:
            before = self.named(ids)
            after = [self._lifecycle.terminate(instance) for instance in before]
        changes = [
            {
                "InstanceId": then.instance_id,
                "PreviousState": {"Code": then.state.code, "Name": then.state.value},
                "CurrentState": {"Code": now.state.code, "Name": now.state.value},
            }
            for then, now in zip(before, after, strict=True)
        ]
        self._lifecycle.proceed()
        return {"TerminatingInstances": changes}

    def console_output(self, parameters: Parameters) -> Answer:
        """GetConsoleOutput: the last 64 KB, base64 as on the wire; always up to date, `Latest` or not."""
        refuse_others("GetConsoleOutput", parameters, ("InstanceId", "Latest"))
        (instance,) = self.named([required(parameters, "InstanceId")])
        return {
            "InstanceId": instance.instance_id,
            "Timestamp": datetime.datetime.fromtimestamp(self._clock(), datetime.UTC),
            "Output": base64.b64encode(self._lifecycle.console(instance)).decode(),
        }


def _digest(parameters: Parameters) -> str:
    asked = {name: value for name, value in parameters.items() if name not in ("ClientToken", "DryRun")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _time_text(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
