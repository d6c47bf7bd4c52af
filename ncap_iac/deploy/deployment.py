"""From documents to deployed stacks at one target: reads what is there, plans, applies, destroys.

Joins the pure parts (documents, plan) with the effectful ones (state, images, apply); decides nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_compiler.version import ROOT_DEVICE
from ncap_iac import progress
from ncap_iac.deploy.apply import Applied, Workshop, apply, continue_rollback, destroy_stack, settle
from ncap_iac.deploy.comparison import Outcome
from ncap_iac.deploy.difference import template_difference, values_difference
from ncap_iac.deploy.drift import Drifts, Watch, detect_drift
from ncap_iac.deploy.plan import (
    FUNCTIONS_PARAMETER,
    DeleteStack,
    Place,
    Plan,
    StackAction,
    plan_account,
    plan_stack,
    plan_users,
    plan_version,
)
from ncap_iac.deploy.resolved import name_of, resolve_template
from ncap_iac.deploy.state import Deployed, Phase, read_stack, read_status
from ncap_iac.deploy.steps import next_of
from ncap_iac.deploy.users_stacks import belongs, in_order, moves, moving_members, number_of
from ncap_iac.deploy.version_reach import VERSION_PARAMETER, image_arn, reach_of_deployment
from ncap_iac.deploy.versions import LATEST, KeptVersion, document_of, read_versions
from ncap_iac.deploy.wanted import Pairs, Wanted, with_parameters, with_tags
from ncap_iac.errors import NotFoundError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_compiler.stages import Stage
    from ncap_iac.aws import Gateway
    from ncap_iac.documents import Compiled

LOCAL_PAUSE_S = 0.3
REMOTE_PAUSE_S = 5.0
"""The longest pause between two looks at a stack: on this computer looking costs nothing."""

IMAGE_PARAMETER = "ImageId"
DEVICE_PARAMETER = "RootDevice"
IDENTITIES_PARAMETER = "WithIdentities"
UNRESOLVED = "(built at deployment)"
"""Shown for the image of an environment that has none at the target yet."""

MakeImage = Callable[[str, Path], str]
"""Environment and its blueprint's folder → image id, built and registered if need be."""


def workshop_at(
    gateway: Gateway, report: progress.Reporter, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Workshop:
    """What `apply` needs at a target."""
    longest_s = LOCAL_PAUSE_S if gateway.target.cloud is not None else REMOTE_PAUSE_S
    return Workshop(gateway.stacks, gateway.objects, report, clock, sleep, longest_s=longest_s)


def target_place(gateway: Gateway) -> Place:
    """What only a target knows of where artifacts are."""
    account, _ = gateway.identity()
    region = gateway.region
    bucket = names.artifact_bucket(account, region)
    endpoint = gateway.target.endpoint_url
    base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.amazonaws.com"
    return Place(bucket, gateway.objects.has_bucket(bucket), base)


@dataclass(frozen=True)
class Deployment:
    """One target and one project."""

    gateway: Gateway
    compiled: Compiled
    report: progress.Reporter
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    parameters: Pairs = ()
    """Stack parameters given by the user."""
    tags: Pairs = ()
    """Tags given by the user, for the stacks and everything in them."""
    removed_tags: tuple[str, ...] = ()

    @property
    def workshop(self) -> Workshop:
        """What `apply` needs."""
        return workshop_at(self.gateway, self.report, self.clock, self.sleep)

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
        return plan_account(self._configured(wanted, deployed, {}), deployed, place)

    def plan_document(self, kind: Kind, path: Path, *, make_image: MakeImage | None = None) -> Plan:
        """The plan for a blueprint or profile. Without `make_image` a missing image is only noted."""
        return self._plan_users(path) if kind is Kind.PROFILE else self._plan_analysis(path, make_image)

    def _plan_analysis(self, path: Path, make_image: MakeImage | None) -> Plan:
        wanted = self.compiled.analysis(path)
        deployed = read_stack(self.gateway.stacks, wanted.stack)
        environment = str(wanted.environment)
        versions = self.versions(wanted)
        kept = None if wanted.version is None else document_of(wanted.version, versions)
        image, available = self._image(environment, deployed, kept, path, make_image)
        device = None if image == UNRESOLVED else self.gateway.root_devices([image]).get(image)
        reach = reach_of_deployment(wanted, versions, image=image, arn=self.image_arn)
        known = {IMAGE_PARAMETER: image, VERSION_PARAMETER: wanted.version_id, **reach.parameters}
        wanted = self._configured(wanted, deployed, known | ({DEVICE_PARAMETER: device} if device else {}))
        version = plan_version(wanted, image, kept, available=available, root_device=device or ROOT_DEVICE)
        plan = plan_stack(wanted, deployed, self._place(), version=version)
        where = self.gateway.target.name
        missing = f"{environment} has no image at {where} yet; deploying builds or asks for it."
        unknown = "" if device else f"{image} is not known or not available at {where}: no instance can start from it."
        notes = (missing if image == UNRESOLVED else unknown, reach.note, self._missing_next(wanted))
        return replace(plan, notes=(*plan.notes, *filter(None, notes)))

    def _missing_next(self, wanted: Wanted) -> str:
        """Which analyses its steps hand results to that are not deployed here, and what that means; or nothing."""
        following = next_of({} if wanted.version is None else wanted.version.document)
        missing = [name for name in following if read_status(self.gateway.stacks, name).phase is Phase.ABSENT]
        if not missing:
            return ""
        return (
            f"Its steps hand results to {', '.join(missing)}, not deployed here: until then jobs with such a step are "
            "refused."
        )

    def versions(self, wanted: Wanted, *, latest: int | None = LATEST) -> tuple[KeptVersion, ...]:
        """The kept versions of an analysis, the latest first, and the one its documents compile to if it is kept."""
        return read_versions(self.gateway.objects, wanted.stack, latest=latest, also=wanted.version_id)

    @property
    def image_arn(self) -> str:
        """What the ARNs of images begin with there."""
        return image_arn(self.gateway.partition, self.gateway.region)

    def _plan_users(self, path: Path) -> Plan:
        """The plan for a profile: each group stays in the stack it is in, wherever that stack is."""
        from ncap_compiler import groups_in

        base = self.compiled.stack_name(Kind.PROFILE, path)
        deployed = {name: read_stack(self.gateway.stacks, name) for name in self.users_stacks(base)}
        placement = {
            group: number_of(name) for name, found in deployed.items() for group in groups_in(found.template or {})
        }
        compiled = self.compiled.users(path, placement)
        known, notes = self._identities(compiled, deployed)

        def configured(items: Sequence[Wanted]) -> tuple[Wanted, ...]:
            # A further stack of the profile gets what the first was given.
            like = next(iter(deployed.values()), Deployed(base, Phase.ABSENT))
            return tuple(self._configured(item, deployed.get(item.stack, like), known) for item in items)

        wanted = configured(compiled)
        staying = {item.stack for item in wanted}
        moving = moves(
            {n: resolve_template(d.template or {}, dict(d.parameters)) for n, d in deployed.items() if n in staying},
            {item.stack: resolve_template(json.loads(item.template), dict(item.parameters)) for item in wanted},
        )
        members = moving_members(moving)
        order, first = in_order([item.stack for item in wanted], moving), tuple[Wanted, ...]()
        if order is None:
            halfway = self.compiled.users(path, placement, without=members)
            first = configured([item for item in halfway if item.stack in {move.source for move in moving}])
        else:
            wanted = tuple(sorted(wanted, key=lambda item: order.index(item.stack)))
        notes += tuple(f"{name} moves to a group of another stack and gets another key." for name in members)
        return plan_users(wanted, deployed, self._place(), first=first, notes=notes)

    def _identities(
        self, compiled: Sequence[Wanted], deployed: Mapping[str, Deployed]
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Whether to leave IAM out: identities are one for all regions, so the first region of an account has them."""
        template = json.loads(compiled[0].template) if compiled else {}
        if deployed or IDENTITIES_PARAMETER not in template.get("Parameters", {}):
            return {}, ()
        roles = (it for it in template["Resources"].values() if it["Type"] == "AWS::IAM::Role")
        role = next((name_of("", it) for it in roles), "")
        if not role or self.gateway.role_stack(role) != compiled[0].stack:
            return {}, ()
        note = (
            f"The groups of {compiled[0].stack} have their IAM identities in another region of this account, so only "
            f"budgets are made here ({IDENTITIES_PARAMETER}=false)."
        )
        return {IDENTITIES_PARAMETER: "false"}, (note,)

    def users_stacks(self, base: str) -> tuple[str, ...]:
        """The deployed stacks of the profile whose first stack is `base`, by number."""
        found = (name for name in self.gateway.stacks.names(base) if belongs(name, base))
        return tuple(sorted(found, key=number_of))

    def stack_names(self, kind: Kind, path: Path) -> tuple[str, ...]:
        """The deployed stacks of a document."""
        name = self.compiled.stack_name(kind, path)
        return self.users_stacks(name) if kind is Kind.PROFILE else (name,)

    def deployed(self, stacks: Sequence[str]) -> tuple[Deployed, ...]:
        """What is deployed of these stacks. Raises NotFoundError if nothing is."""
        found = [read_stack(self.gateway.stacks, stack) for stack in stacks]
        there = tuple(item for item in found if item.phase is not Phase.ABSENT)
        if not there:
            raise NotFoundError(
                "it is not deployed", where=self.gateway.target.name, hint="Deploy it: `ncap … deploy`."
            )
        return there

    def prepare(self, stacks: Sequence[str], *, finish_rollback: bool = False) -> None:
        """Wait until nothing goes on with these stacks; finish a rollback that failed, if told. Raises ApplyError."""
        for stack in stacks:
            if finish_rollback and continue_rollback(stack, self.workshop):
                self.report(progress.Note(f"{stack} is back where it was before the failed deployment."))
            settle(stack, self.workshop)

    def apply(self, plan: Plan) -> Applied:
        """Perform a plan. Raises ApplyError."""
        return apply(plan, self.workshop)

    def destroy(self, stack: str) -> bool:
        """Delete a stack; False if there was none."""
        return destroy_stack(stack, self.workshop)

    def differences(self, plan: Plan) -> dict[str, str]:
        """Deployed against wanted, stack by stack, as text; empty where nothing differs."""
        wanted = {it.stack: json.loads(it.template) for it in plan.actions if isinstance(it, StackAction)}
        gone = {it.stack for it in plan.actions if isinstance(it, DeleteStack)}
        found = {}
        for stack in plan.stacks:
            if stack.stack not in wanted and stack.stack not in gone:
                found[stack.stack] = ""
                continue
            deployed = read_stack(self.gateway.stacks, stack.stack)
            before = None if stack.outcome is Outcome.CREATED else deployed.template
            parts = [
                values_difference(stack.stack, "parameters", stack.parameter_changes),
                values_difference(stack.stack, "tags", stack.tag_changes),
                template_difference(stack.stack, before, wanted.get(stack.stack)),
            ]
            found[stack.stack] = "\n".join(part for part in parts if part)
        return found

    def drifts(self, stack: str) -> Drifts:
        """What was changed by other hands in a deployed stack."""
        pause_s = LOCAL_PAUSE_S if self.gateway.target.cloud is not None else REMOTE_PAUSE_S
        return detect_drift(stack, self.gateway.stacks, Watch(self.clock, self.sleep, pause_s=pause_s))

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
        if stack == names.ACCOUNT_STACK and resource["Type"] == "AWS::S3::Bucket":
            return self._place().artifact_bucket
        return name_of(logical_id, resource)

    def _configured(self, wanted: Wanted, deployed: Deployed, known: Mapping[str, str]) -> Wanted:
        """The stack with parameters and tags: of the deployed one, of the target, of the stage, as given."""
        tls = {"RequireTls": "false"} if self.gateway.target.is_plain_http else {}
        stage = self.compiled.stage
        wanted = with_parameters(
            wanted, deployed, known={**tls, **known}, given=self.parameters, staged=stage.parameters
        )
        return with_tags(wanted, deployed, given=(*stage.tags, *self.tags), removed=self.removed_tags)

    def _place(self) -> Place:
        return target_place(self.gateway)

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


def offline_plan(wanted: Sequence[Wanted], stage: Stage | None = None) -> Plan:
    """A plan against nothing: what a first deployment would make, known without any cloud."""
    place = Place("", has_artifact_bucket=True, template_base_url="")
    staged = () if stage is None else stage.parameters
    items = []
    for item in wanted:
        absent = Deployed(item.stack, Phase.ABSENT)
        configured = with_parameters(item, absent, known={}, given=(), staged=staged)
        items.append(with_tags(configured, absent, given=() if stage is None else stage.tags))
    plans = [plan_stack(item, Deployed(item.stack, Phase.ABSENT), place) for item in items]
    return replace(
        plans[0],
        stacks=tuple(stack for plan in plans for stack in plan.stacks),
        actions=tuple(action for plan in plans for action in plan.actions),
    )
