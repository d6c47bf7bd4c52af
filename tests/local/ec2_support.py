"""What the EC2 tests share: the service, fakes of all beyond it, every answer checked against EC2's model."""

from __future__ import annotations

import base64
import datetime
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import validate_parameters

from ncap_iac.local.ec2 import EC2Service
from ncap_iac.local.runner.isolation import Isolation
from ncap_iac.local.runner.order import Rung
from ncap_iac.local.service import Call, Caller, Permission, ServiceError, Surroundings
from ncap_iac.local.store import Store
from tests.local.machines_support import wait_for

ACCOUNT, REGION = "123456789012", "us-east-1"
ROOT = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", "", "AKIAROOT")
MODEL = botocore.session.Session().get_service_model("ec2")


class FakeIam:
    """Two instance profiles, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_instance_profile(self, InstanceProfileName: str) -> dict[str, Any]:  # noqa: N803
        self.asked.append(InstanceProfileName)
        if InstanceProfileName not in ("neurocaas-instance-demo", "without-role", "neurocaas-development"):
            raise ClientError({"Error": {"Code": "NoSuchEntity", "Message": "no"}}, "GetInstanceProfile")
        path = f"arn:aws:iam::{ACCOUNT}"
        roles = [{"Arn": f"{path}:role/neurocaas/instances/{InstanceProfileName}"}]
        return {
            "InstanceProfile": {
                "Arn": f"{path}:instance-profile/neurocaas/instances/{InstanceProfileName}",
                "InstanceProfileId": "AIPA0",
                "Roles": [] if InstanceProfileName == "without-role" else roles,
            }
        }

    def simulate_principal_policy(self, PolicySourceArn: str, **asked: Any) -> dict[str, Any]:  # noqa: N803
        """Systems Manager may speak to instances of no role but a developer's."""
        decision = "allowed" if "development" in PolicySourceArn else "implicitDeny"
        return {"EvaluationResults": [{"EvalDecision": decision, "EvalActionName": asked["ActionNames"][0]}]}


class FakeSts:
    """Roles that can be assumed, and the calls that were made."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.calls: list[dict[str, Any]] = []
        self.refuses = False
        self._clock = clock

    def assume_role(self, **parameters: Any) -> dict[str, Any]:
        self.calls.append(parameters)
        if self.refuses:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "AssumeRole")
        until = datetime.datetime.fromtimestamp(self._clock() + parameters["DurationSeconds"], datetime.UTC)
        number = len(self.calls)
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{number}",
                "SecretAccessKey": f"secret{number}",
                "SessionToken": f"token{number}",
                "Expiration": until,
            }
        }


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1_760_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Cloud:
    """One EC2 service on a folder; `restarted` gives the next life of it."""

    def __init__(self, folder: Path, image: Path, *, slots: int = 2, clock: Clock | None = None) -> None:
        self.folder, self.image, self.slots = folder, image, slots
        self.clock = clock or Clock()
        self.iam, self.sts = FakeIam(), FakeSts(self.clock)
        self.events: list[Mapping[str, Any]] = []
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(folder / "edge.db")
        self.service = EC2Service(
            Surroundings(
                endpoint="http://127.0.0.1:4566",
                region=REGION,
                account_id=ACCOUNT,
                folder=folder,
                images=image.parent,
                store=self.store,
                emit=self._emit,
                client=lambda name: {"iam": self.iam, "sts": self.sts}[name],
                clock=self.clock,
            ),
            slots=slots,
            isolation=lambda: Isolation(Rung.PROCESS),
        )
        self.service.start()

    def restarted(self) -> Cloud:
        """The same cloud after its process was killed: nothing was put in order."""
        return Cloud(self.folder, self.image, slots=self.slots, clock=self.clock)

    def _emit(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            self.events.append(event)

    def permissions(self, operation: str, **parameters: Any) -> list[Permission]:
        return list(self.service.permissions(Call(operation, parameters, REGION, ROOT, "r-1")))

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Perform; request and answer must both fit EC2's model."""
        model = MODEL.operation_model(operation)
        if model.input_shape is not None:
            validate_parameters(parameters, model.input_shape)
        answer = self.service.perform(Call(operation, parameters, REGION, ROOT, "r-1"))
        if model.output_shape is not None:
            check_shape(answer, model.output_shape, operation)
        return answer

    def refused(self, operation: str, **parameters: Any) -> ServiceError:
        """The error a call ends in."""
        try:
            self.service.perform(Call(operation, parameters, REGION, ROOT, "r-1"))
        except ServiceError as error:
            return error
        raise AssertionError(f"{operation} was not refused")

    def register(self, name: str = "tiny") -> str:
        """An AMI of the tiny image."""
        return str(self.call("RegisterImage", Name=name, ImageLocation=f"local-image:{self.image.name}")["ImageId"])

    def run(self, script: str = "#!/bin/sh\nsleep 300\n", **parameters: Any) -> list[str]:
        """Launch; the ids of the instances."""
        answer = self.call("RunInstances", **self.request(script, **parameters))
        return [instance["InstanceId"] for instance in answer["Instances"]]

    def request(self, script: str = "#!/bin/sh\nsleep 300\n", **parameters: Any) -> dict[str, Any]:
        """RunInstances parameters, as the edge hands them over."""
        known = self.call("DescribeImages")["Images"]
        return {
            "ImageId": known[0]["ImageId"] if known else self.register(),
            "InstanceType": "m7i.large",
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": base64.b64encode(script.encode()).decode(),
            **parameters,
        }

    def describe(self, instance_id: str) -> Mapping[str, Any]:
        """One instance as EC2 shows it."""
        answer = self.call("DescribeInstances", InstanceIds=[instance_id])
        found: Mapping[str, Any] = answer["Reservations"][0]["Instances"][0]
        return found

    def state(self, instance_id: str) -> str:
        return str(self.describe(instance_id)["State"]["Name"])

    def wait(self, instance_id: str, state: str) -> None:
        wait_for(lambda: self.state(instance_id) == state)

    def states_told(self, instance_id: str) -> list[str]:
        """The states that events told of an instance, in order."""
        return [e["detail"]["state"] for e in self.events if e["detail"]["instance-id"] == instance_id]

    def console(self, instance_id: str) -> str:
        answer = self.call("GetConsoleOutput", InstanceId=instance_id)
        return base64.b64decode(answer["Output"]).decode()


def check_shape(value: Any, shape: Shape, where: str) -> None:
    """Everything in an answer is a member of EC2's model, with the right type of container."""
    if isinstance(shape, StructureShape):
        assert isinstance(value, Mapping), where
        for name, inner in value.items():
            assert name in shape.members, f"{where}: EC2 has no {name}"
            check_shape(inner, shape.members[name], f"{where}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(value, list | tuple), where
        for inner in value:
            check_shape(inner, shape.member, where)
    elif not isinstance(shape, MapShape):
        expected = {
            "string": str,
            "integer": int,
            "long": int,
            "boolean": bool,
            "timestamp": datetime.datetime,
        }.get(shape.type_name)
        assert expected is None or isinstance(value, expected), f"{where}: {value!r} is no {shape.type_name}"
