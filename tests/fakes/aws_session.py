"""AWS for the protocols: moto, or AWS in memory, behind a session that counts, breaks and corrects calls.

Corrects what both do otherwise than EC2: client tokens, MaxCount, capacity, launch times. Lambda and SNS are recorded
only, their arguments checked by botocore's own models.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.fakes.memory import check_arguments

REGION = "us-east-1"
ZONE = "us-east-1a"
Fault = Callable[[int, str, str], None]


class CrashError(BaseException):
    """The process died: nothing of ours may catch it."""


def refuse(operation: str, code: str, message: str = "refused by the test") -> ClientError:
    """The error AWS raises with this code."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class FakeSession:
    """Hands out clients; `calls` lists what was called as (service, operation), `before`/`after` may break a call."""

    def __init__(self, clock: Callable[[], datetime], backend: Callable[[str], Any] | None = None) -> None:
        self.clock = clock
        self.backend = backend or real_client
        self.capacity: dict[tuple[str, str], int] = {}
        self.calls: list[tuple[str, str]] = []
        self.before: Fault | None = None
        self.after: Fault | None = None
        self.refusals: dict[str, str] = {}
        self.grants: list[int] = []
        self.launches: list[dict[str, Any]] = []
        self.invoked: list[dict[str, Any]] = []
        self.published: list[dict[str, Any]] = []
        self.lock = threading.RLock()
        self.tokens: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self.launch_times: dict[str, datetime] = {}
        self.end_times: dict[str, datetime] = {}
        self.hidden: set[str] = set()
        self.spot: set[str] = set()
        self.spot_refusal: str | None = None
        self.spot_prices: dict[tuple[str, str], str] = {}
        self.taken_back: set[str] = set()
        self.products: list[str] = []
        self.region_name = REGION

    def client(self, service: str, config: object = None, region_name: str = REGION) -> Any:
        return _Client(self, service)

    def run(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        """One call, alone: moto's tables are not made for threads. Faults strike outside, as other processes do."""
        with self.lock:
            self.calls.append((service, operation))
            number = len(self.calls)
        if self.before:
            self.before(number, service, operation)
        try:
            with self.lock:
                return call()
        finally:
            if self.after:
                self.after(number, service, operation)


_CLIENTS: dict[str, Any] = {}


def real_client(service: str) -> Any:
    """One client a service for the whole test run: making them is slow."""
    if service not in _CLIENTS:
        _CLIENTS[service] = boto3.Session().client(service, region_name=REGION)
    return _CLIENTS[service]


class _Client:
    def __init__(self, session: FakeSession, service: str) -> None:
        self._session = session
        self._service = service

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        own = {
            ("ec2", "run_instances"): _run_instances,
            ("ec2", "describe_instances"): _describe_instances,
            ("ec2", "terminate_instances"): _terminate_instances,
            ("ec2", "describe_spot_price_history"): _spot_prices,
            ("pricing", "get_products"): _products,
            ("lambda", "invoke"): _record_invoke,
            ("sns", "publish"): _record_publish,
        }.get((self._service, operation))

        def call(**arguments: Any) -> Any:
            def act() -> Any:
                if own:
                    return own(self._session, arguments)
                return getattr(self._session.backend(self._service), operation)(**arguments)

            return self._session.run(self._service, operation, act)

        return call

    def get_paginator(self, operation: str) -> _Paginator:
        return _Paginator(self, operation)


class _Paginator:
    def __init__(self, client: _Client, operation: str) -> None:
        self._client = client
        self._operation = operation

    def paginate(self, *, PaginationConfig: dict[str, int], **arguments: Any) -> Iterator[Any]:  # noqa: N803 boto3's
        token: dict[str, str] = {}
        while True:
            page = getattr(self._client, self._operation)(MaxResults=PaginationConfig["PageSize"], **arguments, **token)
            yield page
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


def _run_instances(session: FakeSession, arguments: dict[str, Any]) -> Any:
    known = session.tokens.get(arguments["ClientToken"])
    if known and known[0] != arguments:
        raise refuse("RunInstances", "IdempotentParameterMismatch")
    if not known:
        is_spot = "InstanceMarketOptions" in arguments
        if code := session.spot_refusal if is_spot else session.refusals.get(arguments["InstanceType"]):
            raise refuse("RunInstances", code)
        if len(arguments["UserData"].encode()) > 16 * 1024:
            raise refuse("RunInstances", "InvalidParameterValue", "user data is limited to 16384 bytes")
        count = _granted(session, arguments)
        real = copy.deepcopy(arguments) | {"MinCount": count, "MaxCount": count}
        made = [item["InstanceId"] for item in session.backend("ec2").run_instances(**real)["Instances"]]
        session.launches.append(arguments)
        session.launch_times |= dict.fromkeys(made, session.clock())
        session.spot |= set(made) if is_spot else set()
        known = session.tokens[arguments["ClientToken"]] = (copy.deepcopy(arguments), made)
    found = session.backend("ec2").describe_instances(InstanceIds=known[1])
    items = [item for group in found["Reservations"] for item in group["Instances"]]
    return {"Instances": [_corrected(session, item) for item in items]}


def _granted(session: FakeSession, arguments: dict[str, Any]) -> int:
    """How many of the instances asked for there are, by type and subnet where that is told."""
    wanted: int = arguments["MaxCount"]
    place = arguments["InstanceType"], arguments.get("SubnetId", "")
    if "InstanceMarketOptions" in arguments:
        place = arguments["InstanceType"], f"spot {arguments.get('SubnetId', '')}".strip()
    free = session.capacity.get(place)
    if free is not None:
        if free < arguments["MinCount"]:
            raise refuse("RunInstances", "InsufficientInstanceCapacity")
        wanted = min(free, wanted)
        session.capacity[place] = free - wanted
    return min(session.grants.pop(0), wanted) if session.grants else wanted


def _describe_instances(session: FakeSession, arguments: dict[str, Any]) -> Any:
    found = session.backend("ec2").describe_instances(**arguments)
    for group in found["Reservations"]:
        group["Instances"] = [
            _corrected(session, item) for item in group["Instances"] if item["InstanceId"] not in session.hidden
        ]
    return found


def _terminate_instances(session: FakeSession, arguments: dict[str, Any]) -> Any:
    done = session.backend("ec2").terminate_instances(**arguments)
    for instance in arguments["InstanceIds"]:
        session.end_times.setdefault(instance, session.clock())
    return done


def _corrected(session: FakeSession, item: dict[str, Any]) -> dict[str, Any]:
    instance = item["InstanceId"]
    item["LaunchTime"] = session.launch_times.get(instance, item["LaunchTime"])
    item["Placement"] = {"AvailabilityZone": ZONE}
    if instance in session.spot:
        item["InstanceLifecycle"] = "spot"
    if instance in session.end_times:
        if instance in session.taken_back:
            code = "Server.SpotInstanceTermination"
            item["StateReason"] = {"Code": code, "Message": f"{code}: Spot instance termination"}
            return item
        item["StateTransitionReason"] = f"User initiated ({session.end_times[instance]:%Y-%m-%d %H:%M:%S} GMT)"
    return item


def _spot_prices(session: FakeSession, arguments: dict[str, Any]) -> Any:
    check_arguments("ec2", "describe_spot_price_history", arguments)
    kinds = arguments.get("InstanceTypes")
    history = [
        {"InstanceType": kind, "AvailabilityZone": zone, "SpotPrice": usd}
        for (kind, zone), usd in session.spot_prices.items()
        if not kinds or kind in kinds
    ]
    start = int(arguments.get("NextToken", 0))  # pages of two, so that whoever reads has to go on
    more = {"NextToken": str(start + 2)} if len(history) > start + 2 else {}
    return {"SpotPriceHistory": history[start : start + 2], **more}


def _products(session: FakeSession, arguments: dict[str, Any]) -> Any:
    check_arguments("pricing", "get_products", arguments)
    start = int(arguments.get("NextToken", 0))
    more = {"NextToken": str(start + 2)} if len(session.products) > start + 2 else {}
    return {"PriceList": session.products[start : start + 2], **more}


def _record_invoke(session: FakeSession, arguments: dict[str, Any]) -> Any:
    check_arguments("lambda", "invoke", arguments)
    session.invoked.append(arguments)
    return {"StatusCode": 202}


def _record_publish(session: FakeSession, arguments: dict[str, Any]) -> Any:
    check_arguments("sns", "publish", arguments)
    session.published.append(arguments)
    return {"MessageId": "1"}
