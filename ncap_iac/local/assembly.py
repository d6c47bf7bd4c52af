"""Puts the parts of one running cloud together; the only place that knows them all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

from ncap_iac.local.authorization import Guard
from ncap_iac.local.base import Address, FunctionCredentials, function_credentials
from ncap_iac.local.clients import Clients
from ncap_iac.local.cloud_record import RootKeys
from ncap_iac.local.desk import Desk
from ncap_iac.local.doorwatch import DoorWatch
from ncap_iac.local.events import EventDelivery
from ncap_iac.local.faultdoor import Breakable, FaultDoor
from ncap_iac.local.identity import Credential, Vault
from ncap_iac.local.principals import Principals
from ncap_iac.local.server import Edge
from ncap_iac.local.service import Caller, LocalService, SharedService, Surroundings
from ncap_iac.local.simulation import PolicySimulation
from ncap_iac.local.snapshots import SnapshotTimer
from ncap_iac.local.store import Store

ServiceMaker = Callable[[Surroundings], Sequence[LocalService]]


@dataclass(frozen=True)
class Setting:
    """What is decided before anything is put together."""

    name: str
    version: str
    region: str
    account_id: str
    folder: Path
    images: Path
    keys: RootKeys


@dataclass(frozen=True)
class Parts:
    """A cloud's parts, ready to be started."""

    store: Store
    services: Sequence[LocalService]
    edge: Edge
    events: EventDelivery
    snapshots: SnapshotTimer


def local_services(surroundings: Surroundings) -> Sequence[LocalService]:
    """The services the edge answers itself; imported here because their imports take time."""
    from ncap_iac.local.budgets import BudgetsService
    from ncap_iac.local.cloudformation import CloudFormationService
    from ncap_iac.local.ec2 import EC2Service
    from ncap_iac.local.ec2.lifecycle import available_cores
    from ncap_iac.local.image_making import ImageMaking, workshop_of
    from ncap_iac.local.imagebuilder import ImageBuilderService
    from ncap_iac.local.pricing import PricingService
    from ncap_iac.local.quotas import QuotasService
    from ncap_iac.local.systemsmanager import SystemsManagerService
    from ncap_iac.local.tagging import TaggingService

    making = ImageMaking(surroundings, workshop_of(surroundings, os.environ, home=Path.home))
    machines = EC2Service(surroundings)
    return [
        machines,
        SystemsManagerService(surroundings, machines),
        CloudFormationService(surroundings),
        BudgetsService(surroundings),
        ImageBuilderService(surroundings, making),
        TaggingService(surroundings),
        PricingService(surroundings),
        QuotasService(surroundings, cores=len(available_cores())),
    ]


def assemble(
    setting: Setting, listener: socket, base: Address, save: Callable[[], None], make_services: ServiceMaker
) -> Parts:
    """Everything but the base process, connected, not started."""
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    keys = setting.keys
    client = Clients(endpoint, setting.region, keys.access_key_id, keys.secret_access_key)
    file = setting.folder / "edge.db"
    file.touch(mode=0o600)  # There are secrets of role sessions in it.
    store = Store(file)
    root = Caller(setting.account_id, f"arn:aws:iam::{setting.account_id}:root", "root", "", keys.access_key_id)
    vault = Vault(store, Credential(root, keys.secret_access_key), lambda: _functions(client), time.time)
    principals = Principals(client)
    events = EventDelivery(store, client, region=setting.region, account_id=setting.account_id, clock=time.time)
    surroundings = Surroundings(
        endpoint=endpoint,
        region=setting.region,
        account_id=setting.account_id,
        folder=setting.folder,
        images=setting.images,
        store=store,
        emit=events.emit,
        client=client,
        clock=time.time,
    )
    services = make_services(surroundings)
    simulation = PolicySimulation(principals, setting.account_id, time.time)
    guard = Guard(vault, principals, time.time)
    shared = [service for service in services if isinstance(service, SharedService)]
    own = [service for service in services if not isinstance(service, SharedService)]
    desk = Desk(own, guard, shared=[simulation, *shared])
    breakable = next((service for service in services if isinstance(service, Breakable)), None)
    faults = FaultDoor(guard, breakable.faults) if breakable is not None else None
    snapshots = SnapshotTimer(save, time.monotonic)
    watch = DoorWatch(
        vault, iam_changed=principals.forget, rules_changed=events.forget_rules, base_changed=snapshots.touch
    )
    health = {"name": setting.name, "version": setting.version, "services": list(desk.services)}
    edge = Edge(listener, base, desk, watch, lambda: health, faults=faults)
    return Parts(store, services, edge, events, snapshots)


def _functions(client: Callable[[str], Any]) -> list[FunctionCredentials]:
    """The credentials of all Lambda functions there are."""
    pages = client("lambda").get_paginator("list_functions").paginate()
    return [
        function_credentials(item["FunctionArn"], item["FunctionName"], item["Role"])
        for page in pages
        for item in page["Functions"]
    ]
