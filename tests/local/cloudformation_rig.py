"""The CloudFormation service with resource types of a cloud that is a dictionary: fast, and it fails when told to."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from botocore.loaders import Loader
from botocore.model import ServiceModel

from ncap_iac.local.cloudformation import CloudFormationService
from ncap_iac.local.cloudformation.provider import Created, NameRule, Provider, ResourceError, Surface, TagRule
from ncap_iac.local.cloudformation.values import Place, Properties
from ncap_iac.local.queryencode import xml_members
from ncap_iac.local.service import Call, Caller, Surroundings
from ncap_iac.local.store import Store

ACCOUNT, REGION = "000000000000", "us-east-1"
ROOT = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", "", "AKIAROOT")


@dataclass
class FakeCloud:
    """Things by name, and what is to go wrong with them."""

    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    """Properties the cloud forgets without a word."""
    hooks: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    """Called after `create`, `apply` or `delete` of a name took effect."""
    failing: set[tuple[str, str]] = field(default_factory=set)
    """(`create` | `apply` | `delete`, name) that is refused."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def note(self, verb: str, name: str) -> None:
        """Record a call; fail if it is to fail."""
        self.calls.append((verb, name))
        if (verb, name) in self.failing:
            raise ResourceError(f"{verb} of {name} is refused")

    def done(self, verb: str, name: str) -> None:
        """Run the hook of a call that took effect."""
        self.hooks.get((verb, name), lambda: None)()


class ThingProvider(Provider):
    """Test::Thing: named by the user or generated; `Fixed` cannot be changed in place."""

    type = "Test::Thing"
    properties = frozenset({"Name", "Value", "Fixed", "Size", "Uses", "Tags", "Ignored"})
    required = frozenset({"Value"})
    create_only = frozenset({"Name", "Fixed"})
    attributes = frozenset({"Arn", "Secret", "Version"})
    changing = frozenset({"Version"})
    name = NameRule("Name", 60)
    tags = TagRule()
    held: ClassVar[Mapping[str, str]] = {"Ignored": "The fake cloud has no such thing."}
    cloud: FakeCloud

    def find(self, properties: Properties) -> str | None:
        name = str(properties["Name"])
        return name if name in self.cloud.things else None

    def adopt(self, properties: Properties) -> Created:
        name = str(properties["Name"])
        return Created(name, {"Arn": f"arn:{name}", "Secret": f"secret-of-{name}", "Version": "0"}, {"Name": name})

    def create(self, properties: Properties) -> Created:
        name = str(properties["Name"])
        self.cloud.note("create", name)
        self.cloud.things[name] = {key: item for key, item in properties.items() if key not in self.cloud.dropped}
        self.cloud.done("create", name)
        number = str(next(self.cloud.numbers))
        return Created(name, {"Arn": f"arn:{name}", "Secret": f"secret-of-{name}", "Version": number}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        if dict(previous) == dict(wanted):
            return {}
        self.cloud.note("apply", physical_id)
        kept = {key: item for key, item in wanted.items() if key not in self.cloud.dropped}
        self.cloud.things[physical_id] = kept
        self.cloud.done("apply", physical_id)
        return {"Version": str(next(self.cloud.numbers))}

    def delete(self, physical_id: str, properties: Properties) -> None:
        self.cloud.note("delete", physical_id)
        self.cloud.things.pop(physical_id, None)
        self.cloud.done("delete", physical_id)

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        return self.cloud.things.get(physical_id)


def things(cloud: FakeCloud) -> dict[str, Provider]:
    """The providers of a fake cloud."""
    made = type("BoundThingProvider", (ThingProvider,), {"cloud": cloud})
    provider = cast("type[ThingProvider]", made)(Surface(_no_client, Place(REGION, ACCOUNT), time.sleep))
    named = type("NamedThingProvider", (ThingProvider,), {"cloud": cloud, "type": "AWS::IAM::Role"})
    role = cast("type[ThingProvider]", named)(Surface(_no_client, Place(REGION, ACCOUNT), time.sleep))
    return {provider.type: provider, role.type: role}


def _no_client(service: str) -> Any:
    raise AssertionError(f"no client of {service} is expected to be used")


class Ec2Answers:
    """The two questions the engine itself asks of EC2."""

    def describe_images(self, **parameters: list[str]) -> Any:
        known = ["ami-0123456789abcdef0"]
        return {"Images": [{"ImageId": image} for image in parameters["ImageIds"] if image in known]}

    def describe_availability_zones(self) -> Any:
        return {"AvailabilityZones": [{"ZoneName": f"{REGION}{letter}"} for letter in "ba"]}


@dataclass
class S3Answers:
    """Objects the engine may fetch templates from."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def get_object(self, **parameters: str) -> Any:
        body = self.objects[parameters["Bucket"], parameters["Key"]]

        class Body:
            def read(self) -> bytes:
                return body

        return {"Body": Body(), "ContentLength": len(body)}


class Rig:
    """One service on one store, asked as the edge asks it; every answer is held against boto3's model."""

    def __init__(self, folder: Path, cloud: FakeCloud) -> None:
        self.folder = folder
        self.cloud = cloud
        self.s3 = S3Answers()
        self.announced: list[Mapping[str, Any]] = []
        self.store = Store(folder / "edge.db")
        clients = {"ec2": Ec2Answers(), "s3": self.s3}
        self.surroundings = Surroundings(
            endpoint="http://127.0.0.1:1",
            region=REGION,
            account_id=ACCOUNT,
            folder=folder,
            images=folder,
            store=self.store,
            emit=self.announced.append,
            client=lambda name: clients[name],
            clock=time.time,
        )
        self.service = CloudFormationService(self.surroundings, things(cloud))
        self.service.start()
        self._model = ServiceModel(Loader().load_service_model("cloudformation", "service-2"))

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer = dict(self.service.perform(Call(operation, parameters, REGION, ROOT, "r")))
        shape = self._model.operation_model(operation).output_shape
        if shape is not None:
            xml_members(shape, answer)
        return answer

    def settle(self) -> None:
        assert self.service.wait(20), "the work in the background does not end"

    def create(self, template: Mapping[str, Any], name: str = "s", **more: Any) -> str:
        """Create a stack, wait, and return its state."""
        self.call("CreateStack", StackName=name, TemplateBody=json.dumps(template), **more)
        self.settle()
        return self.status(name)

    def update(self, template: Mapping[str, Any], name: str = "s", **more: Any) -> str:
        self.call("UpdateStack", StackName=name, TemplateBody=json.dumps(template), **more)
        self.settle()
        return self.status(name)

    def delete(self, name: str = "s", **more: Any) -> str:
        stack_id = self.stack(name)["StackId"]
        self.call("DeleteStack", StackName=name, **more)
        self.settle()
        return self.status(stack_id)

    def stack(self, name: str = "s") -> dict[str, Any]:
        return dict(self.call("DescribeStacks", StackName=name)["Stacks"][0])

    def status(self, name: str = "s") -> str:
        return str(self.stack(name)["StackStatus"])

    def outputs(self, name: str = "s") -> dict[str, str]:
        return {item["OutputKey"]: item["OutputValue"] for item in self.stack(name).get("Outputs", [])}

    def events(self, name: str = "s") -> list[tuple[str, str]]:
        """Logical id and state, oldest first."""
        events = self.call("DescribeStackEvents", StackName=name)["StackEvents"]
        return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(events)]

    def reasons(self, logical_id: str, name: str = "s") -> str:
        """Everything events say about a resource."""
        events = self.call("DescribeStackEvents", StackName=name)["StackEvents"]
        return "\n".join(
            event.get("ResourceStatusReason", "") for event in events if event["LogicalResourceId"] == logical_id
        )

    def copy_at_this_moment(self, folder: Path) -> Path:
        """What is on disk now, as a kill would leave it."""
        folder.mkdir(parents=True)
        with sqlite3.connect(self.folder / "edge.db") as source, sqlite3.connect(folder / "edge.db") as target:
            source.backup(target)
        return folder

    def close(self) -> None:
        self.service.stop()
        self.store.close()


@contextmanager
def running(folder: Path, cloud: FakeCloud | None = None) -> Iterator[Rig]:
    rig = Rig(folder, cloud or FakeCloud())
    try:
        yield rig
    finally:
        rig.close()


def thing(value: Any = "v", **more: Any) -> dict[str, Any]:
    """A resource of a template; capitalised members are properties, others members of the resource."""
    members = {key: item for key, item in more.items() if key in ("DependsOn", "Condition", "DeletionPolicy")}
    members |= {key: item for key, item in more.items() if key in ("UpdateReplacePolicy", "Metadata")}
    properties = {key: item for key, item in more.items() if key not in members}
    return {"Type": "Test::Thing", "Properties": {"Value": value, **properties}, **members}


def template(
    *, outputs: Mapping[str, Any] | None = None, sections: Mapping[str, Any] | None = None, **resources: Any
) -> dict[str, Any]:
    return {"Resources": resources, **({"Outputs": outputs} if outputs else {}), **(sections or {})}


def barrier_hook(parties: int) -> Callable[[], None]:
    """A hook that only returns when so many calls are inside of it at once."""
    barrier = threading.Barrier(parties)

    def wait() -> None:
        barrier.wait(5)

    return wait
