"""EC2 of the local cloud: one table from operations to what performs them. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ncap_iac.local.ec2.disks import Disks
from ncap_iac.local.ec2.faults import Faults
from ncap_iac.local.ec2.images import Images
from ncap_iac.local.ec2.instances import Instances
from ncap_iac.local.ec2.inventory import Inventory, random_id
from ncap_iac.local.ec2.launch_templates import LaunchTemplates
from ncap_iac.local.ec2.lifecycle import Lifecycle
from ncap_iac.local.ec2.model import Instance, State
from ncap_iac.local.ec2.network import Network
from ncap_iac.local.ec2.permissions import EC2Permissions
from ncap_iac.local.ec2.places import Places
from ncap_iac.local.ec2.profiles import ProfileDirectory
from ncap_iac.local.ec2.routes import Routes
from ncap_iac.local.ec2.saving import Saving
from ncap_iac.local.ec2.security_groups import SecurityGroups
from ncap_iac.local.ec2.spot_prices import SpotPrices
from ncap_iac.local.ec2.stopping import Stopping
from ncap_iac.local.ec2.tags import TagKeeper
from ncap_iac.local.pricing import DeployedPrices
from ncap_iac.local.runner.isolation import Isolation, strongest_isolation
from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

Answer = Mapping[str, Any]
Operation = Callable[[Call], Answer]


class EC2Service:
    """The service `ec2` (see `ncap_iac.local.service.LocalService`)."""

    name = "ec2"

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        slots: int | None = None,
        isolation: Callable[[], Isolation] = strongest_isolation,
        make_id: Callable[[str], str] = random_id,
    ) -> None:
        """`slots`: instances that run at once; as many as there are cores if not given."""
        network = Network(surroundings.account_id, surroundings.region)
        clock = surroundings.clock
        self._inventory = Inventory(surroundings.store, network, make_id=make_id)
        profiles = ProfileDirectory(surroundings.client, clock, surroundings.region)
        self._templates = LaunchTemplates(self._inventory, clock=clock)
        self._groups = SecurityGroups(self._inventory, is_used=self._is_group_used)
        disks = Disks(surroundings.folder / "disks")
        self._lifecycle = Lifecycle(self._inventory, surroundings, disks, slots=slots, isolation=isolation)
        self._instances = Instances(self._inventory, self._lifecycle, profiles, clock=clock)
        self._images = Images(self._inventory, surroundings.images, disks, clock=clock)
        self._stopping = Stopping(self._instances, self._lifecycle)
        self._saving = Saving(self._images, self._instances, disks, surroundings.folder / "instances")
        self._places, self._routes = Places(network), Routes(network)
        self._prices = SpotPrices(network, DeployedPrices(surroundings), clock=clock)
        self._tags = TagKeeper(self._inventory, self._instances.visible, self._lifecycle.lock)
        self._permissions = EC2Permissions(self._inventory, self._tags, self._instances.resolve)
        self._faults = Faults(self._inventory, self._lifecycle, self._instances, surroundings)
        self._operations = self._table()

    def start(self) -> None:
        """Take up work: the metadata service listens, interrupted instances are ended, waiting ones start."""
        self._groups.ensure_default()
        self._lifecycle.start()

    def stop(self) -> None:
        """End all machines; returns when they are gone."""
        self._lifecycle.stop()

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        return self._faults

    @property
    def isolation(self) -> str:
        """The rung instances run on: `bubblewrap`, `user namespace`, `landlock` or `process`."""
        return self._lifecycle.isolation

    def managed(self) -> Sequence[Instance]:
        """The running instances whose role lets Systems Manager speak to them."""
        return [
            instance
            for instance in self._instances.visible()
            if instance.state is State.RUNNING and instance.profile is not None and instance.profile.is_managed
        ]

    def door(self, instance: Instance) -> Path:
        """Where the agent of a managed instance listens."""
        return self._lifecycle.door(instance)

    def permissions(self, call: Call) -> Sequence[Permission]:
        """What IAM has to allow. Raises ServiceError for a launch that cannot be understood."""
        self._operation(call)
        return self._permissions.of(call.operation, call.parameters)

    def perform(self, call: Call) -> Answer:
        """Do it. Raises ServiceError."""
        operation = self._operation(call)
        self._faults.meet(call.operation)
        return operation(call)

    def _operation(self, call: Call) -> Operation:
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ServiceError(
                "UnsupportedOperation",
                f"The local cloud's EC2 does not offer {call.operation}. It has: {', '.join(self._operations)}.",
            )
        return operation

    def _is_group_used(self, group_id: str) -> bool:
        return any(
            group_id in instance.security_groups
            for instance in self._instances.visible()
            if instance.state is not State.TERMINATED
        )

    def _table(self) -> Mapping[str, Operation]:
        instances, templates, groups = self._instances, self._templates, self._groups
        images, places, tags, routes = self._images, self._places, self._tags, self._routes
        return {
            "RunInstances": lambda call: instances.run(call.parameters),
            "DescribeInstances": lambda call: instances.describe(call.parameters),
            "DescribeInstanceStatus": lambda call: instances.describe_status(call.parameters),
            "TerminateInstances": lambda call: instances.terminate(call.parameters),
            "StopInstances": lambda call: self._stopping.stop(call.parameters),
            "StartInstances": lambda call: self._stopping.start(call.parameters),
            "CreateImage": lambda call: self._saving.create(call.parameters),
            "GetConsoleOutput": lambda call: instances.console_output(call.parameters),
            "DescribeVolumes": lambda call: instances.describe_volumes(call.parameters),
            "CreateTags": lambda call: tags.create(call.parameters),
            "DeleteTags": lambda call: tags.delete(call.parameters),
            "DescribeTags": lambda call: tags.describe(call.parameters),
            "CreateLaunchTemplate": lambda call: templates.create(call.parameters, call.caller.arn),
            "CreateLaunchTemplateVersion": lambda call: templates.create_version(call.parameters),
            "ModifyLaunchTemplate": lambda call: templates.modify(call.parameters),
            "DescribeLaunchTemplates": lambda call: templates.describe(call.parameters),
            "DescribeLaunchTemplateVersions": lambda call: templates.describe_versions(call.parameters),
            "DeleteLaunchTemplate": lambda call: templates.delete(call.parameters),
            "CreateSecurityGroup": lambda call: groups.create(call.parameters),
            "AuthorizeSecurityGroupIngress": lambda call: groups.authorize(call.parameters, out=False),
            "AuthorizeSecurityGroupEgress": lambda call: groups.authorize(call.parameters, out=True),
            "RevokeSecurityGroupIngress": lambda call: groups.revoke(call.parameters, out=False),
            "RevokeSecurityGroupEgress": lambda call: groups.revoke(call.parameters, out=True),
            "DescribeSecurityGroups": lambda call: groups.describe(call.parameters),
            "DeleteSecurityGroup": lambda call: groups.delete(call.parameters),
            "RegisterImage": lambda call: images.register(call.parameters),
            "DescribeImages": lambda call: images.describe(call.parameters),
            "DeregisterImage": lambda call: images.deregister(call.parameters),
            "DescribeVpcs": lambda call: places.describe_vpcs(call.parameters),
            "DescribeSubnets": lambda call: places.describe_subnets(call.parameters),
            "DescribeAvailabilityZones": lambda call: places.describe_zones(call.parameters),
            "DescribeRegions": lambda call: places.describe_regions(call.parameters),
            "DescribeInstanceTypes": lambda call: places.describe_types(call.parameters),
            "DescribeInstanceTypeOfferings": lambda call: places.describe_offerings(call.parameters),
            "DescribeRouteTables": lambda call: routes.describe_tables(call.parameters),
            "DescribeVpcEndpoints": lambda call: routes.describe_endpoints(call.parameters),
            "DescribeSpotPriceHistory": lambda call: self._prices.describe(call.parameters),
            "DescribeAccountAttributes": lambda call: places.describe_attributes(call.parameters),
        }
