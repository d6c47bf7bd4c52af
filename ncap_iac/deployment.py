"""From documents to deployed stacks at one target: reads what is there, plans, applies, destroys.

Joins the pure parts (documents, plan) with the effectful ones (state, images, apply); decides nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac import progress
from ncap_iac.apply import Applied, Workshop, apply, destroy_stack
from ncap_iac.errors import NotFoundError
from ncap_iac.plan import (
    FUNCTIONS_PARAMETER,
    Place,
    Plan,
    Wanted,
    plan_account,
    plan_stack,
    plan_version,
    with_parameters,
)
from ncap_iac.project import Kind
from ncap_iac.state import Deployed, Phase, read_stack, read_status

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.documents import Compiled

LOCAL_PAUSE_S = 0.3
REMOTE_PAUSE_S = 5.0
"""The longest pause between two looks at a stack: on this computer looking costs nothing."""

IMAGE_PARAMETER = "ImageId"
UNRESOLVED = "(built at deployment)"
"""Shown for the image of an environment that has none at the target yet."""

MakeImage = Callable[[str, Path], str]
"""Environment and its blueprint's folder → image id, built and registered if need be."""


@dataclass(frozen=True)
class Deployment:
    """One target and one project."""

    gateway: Gateway
    compiled: Compiled
    report: progress.Reporter
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    parameters: tuple[tuple[str, str], ...] = ()
    """Stack parameters given by the user."""

    @property
    def workshop(self) -> Workshop:
        """What `apply` needs."""
        return Workshop(
            self.gateway.stacks,
            self.gateway.objects,
            self.report,
            self.clock,
            self.sleep,
            longest_s=LOCAL_PAUSE_S if self.gateway.target.cloud is not None else REMOTE_PAUSE_S,
        )

    def has_account(self) -> bool:
        """Whether the account stack is complete, functions and all."""
        deployed = read_status(self.gateway.stacks, names.ACCOUNT_STACK)
        return deployed.phase is Phase.READY and deployed.parameter(FUNCTIONS_PARAMETER) != "false"

    def require_account(self) -> None:
        """Raises NotFoundError if the account stack is missing."""
        if not self.has_account():
            raise NotFoundError(
                "the account stack is not deployed, and every other stack needs it",
                where=f"stack {names.ACCOUNT_STACK}",
                hint="Deploy it with `ncap account deploy`, or add --with-account.",
            )

    def plan_account(self) -> Plan:
        """The plan for the account stack."""
        wanted = self.compiled.account()
        place = self._place()
        wanted = replace(wanted, kept_buckets=(place.artifact_bucket,))
        deployed = read_stack(self.gateway.stacks, wanted.stack)
        return plan_account(self._with_parameters(wanted, deployed, {}), deployed, place)

    def plan_document(self, kind: Kind, path: Path, *, make_image: MakeImage | None = None) -> Plan:
        """The plan for a blueprint or profile. Without `make_image` a missing image is only noted."""
        wanted = self.compiled.document(kind, path)
        deployed = read_stack(self.gateway.stacks, wanted.stack)
        if wanted.environment is None:
            return plan_stack(self._with_parameters(wanted, deployed, {}), deployed, self._place())
        kept = self._kept_version(wanted)
        image, available = self._image(wanted.environment, deployed, kept, path, make_image)
        wanted = self._with_parameters(wanted, deployed, {IMAGE_PARAMETER: image})
        version = plan_version(wanted, image, kept, available=available)
        plan = plan_stack(wanted, deployed, self._place(), version=version)
        note = f"{wanted.environment} has no image at {self.gateway.target.name} yet; deploying builds or asks for it."
        return replace(plan, notes=(*plan.notes, note)) if image == UNRESOLVED else plan

    def apply(self, plan: Plan) -> Applied:
        """Perform a plan. Raises ApplyError."""
        return apply(plan, self.workshop)

    def destroy(self, stack: str) -> bool:
        """Delete a stack; False if there was none."""
        return destroy_stack(stack, self.workshop)

    def kept_by(self, stack: str) -> tuple[str, ...]:
        """What of a deployed stack would outlive it: resources its template retains, with their types."""
        template = read_stack(self.gateway.stacks, stack).template or {}
        resources: Mapping[str, Mapping[str, Any]] = template.get("Resources", {})
        kept = [
            f"{resource['Type'].removeprefix('AWS::')} {self._name(stack, name, resource)}"
            for name, resource in resources.items()
            if str(resource.get("DeletionPolicy", "")).startswith("Retain")
        ]
        return tuple(kept)

    def _name(self, stack: str, logical_id: str, resource: Mapping[str, Any]) -> str:
        """The name a resource has for people, where the template says it."""
        properties = resource.get("Properties", {})
        if stack == names.ACCOUNT_STACK and resource["Type"] == "AWS::S3::Bucket":
            return self._place().artifact_bucket
        said = [properties.get(key) for key in ("BucketName", "TableName", "Name")]
        return next((name for name in said if isinstance(name, str)), logical_id)

    def _with_parameters(self, wanted: Wanted, deployed: Deployed, known: Mapping[str, str]) -> Wanted:
        tls = {"RequireTls": "false"} if self.gateway.target.is_plain_http else {}
        return with_parameters(wanted, deployed, known={**tls, **known}, given=self.parameters)

    def _place(self) -> Place:
        account, _ = self.gateway.identity()
        region = self.gateway.region
        bucket = names.artifact_bucket(account, region)
        endpoint = self.gateway.target.endpoint_url
        base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.amazonaws.com"
        return Place(bucket, self.gateway.objects.has_bucket(bucket), base)

    def _kept_version(self, wanted: Wanted) -> Mapping[str, Any] | None:
        """The version document as it is in the bucket already."""
        version = wanted.version
        if version is None or not self.gateway.objects.has_bucket(version.bucket):
            return None
        if self.gateway.objects.find(version.bucket, version.key) is None:
            return None
        document: Mapping[str, Any] = json.loads(self.gateway.objects.read(version.bucket, version.key).body)
        return document

    def _image(
        self,
        environment: str,
        deployed: Deployed,
        kept: Mapping[str, Any] | None,
        path: Path,
        make_image: MakeImage | None,
    ) -> tuple[str, bool]:
        """The image of an environment here, and whether the kept version names an available one.

        Among several images of one digest the one in use stays in use.
        """
        if environment.startswith("ami-"):
            return environment, True
        if make_image is not None and self.gateway.target.cloud is not None:
            # A local cloud knows an image's name only; making it finds out whether it is there and sound.
            image = make_image(environment, path.parent)
            return image, kept is not None and kept.get("imageId") == image
        images = self.gateway.images(environment.partition("@")[2])
        in_use = [deployed.parameter(IMAGE_PARAMETER), None if kept is None else str(kept.get("imageId"))]
        kept_is_available = kept is not None and kept.get("imageId") in images
        for candidate in (*reversed(in_use), *images):
            if candidate is not None and candidate in images:
                return candidate, kept_is_available
        return (make_image(environment, path.parent) if make_image else UNRESOLVED), False


def offline_plan(wanted: Wanted) -> Plan:
    """A plan against nothing: what a first deployment would make, known without any cloud."""
    place = Place("", has_artifact_bucket=True, template_base_url="")
    return plan_stack(wanted, Deployed(wanted.stack, Phase.ABSENT), place)
