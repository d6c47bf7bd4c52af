"""A real project deployed to a target in memory: the gateway's shapes, without AWS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from ncap_compiler.stages import PRODUCTION, Stage
from ncap_iac import progress
from ncap_iac.aws import Content, Gateway, Listing, StoredObject
from ncap_iac.deploy.deployment import Deployment
from ncap_iac.documents import Compiled
from ncap_iac.errors import NotFoundError
from ncap_iac.project import Kind, Project
from ncap_iac.target import Target
from tests.command.fake_stacks import FakeObjects, FakeStacks, FakeTime

ARTIFACTS = "neurocaas-artifacts-000000000000-us-east-1"


class ReadableObjects(FakeObjects):
    """Buckets that can be looked into; each object is a minute younger than the one written before it."""

    def list(self, bucket: str, prefix: str = "", *, delimiter: str = "") -> Listing:
        if bucket not in self.buckets:
            raise NotFoundError("no such bucket")
        moment = datetime(2026, 11, 22, tzinfo=UTC)
        found = [
            StoredObject(key, len(body), "etag", moment + timedelta(minutes=number))
            for number, ((where, key), body) in enumerate(self.objects.items())
            if where == bucket and key.startswith(prefix)
        ]
        return Listing(tuple(found), ())

    def read(self, bucket: str, key: str) -> Content:
        return Content(self.objects[bucket, key], "etag")


@dataclass
class FakeGateway:
    target: Target
    stacks: FakeStacks = field(default_factory=FakeStacks)
    objects: ReadableObjects = field(default_factory=ReadableObjects)
    known_images: tuple[str, ...] = ()
    root_device: str = "/dev/xvda"
    roles: dict[str, str] = field(default_factory=dict)
    """Roles of the whole account, with the stack each says it belongs to."""
    region: str = "us-east-1"
    partition: str = "aws"

    def identity(self) -> tuple[str, str]:
        return "000000000000", "arn:aws:iam::000000000000:root"

    def images(self, digest: str) -> tuple[str, ...]:
        assert digest.startswith("sha256:")
        return self.known_images

    def role_stack(self, name: str) -> str | None:
        return self.roles.get(name)

    def root_devices(self, images: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(images, self.root_device)


class Site:
    """A project and a target in memory."""

    def __init__(self, root: Path, target: Target, stage: Stage = PRODUCTION) -> None:
        self.gateway = FakeGateway(target)
        self.project = Project(root)
        self.events: list[progress.Event] = []
        time = FakeTime()
        self.deployment = Deployment(
            cast(Gateway, self.gateway), Compiled(self.project, stage), self.events.append, time.clock, time.sleep
        )

    def deploy(self, make_image: Callable[[str, Path], str] | None = None) -> str | None:
        path = self.project.document(Kind.BLUEPRINT, "kalman-lds")
        plan = self.deployment.plan_document(Kind.BLUEPRINT, path, make_image=make_image)
        self.deployment.apply(plan)
        self.gateway.objects.buckets.add("kalman-lds")
        return plan.version_id

    def parameters(self, stack: str = "kalman-lds") -> dict[str, str]:
        return self.gateway.stacks.stacks[stack].parameters
