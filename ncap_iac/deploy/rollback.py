"""Serving a kept version by default again: whether it can run here, and the plan that makes it so.

Only parameters of the deployed stack change (docs/decisions/0009): the template stays, and with it the job manager's
code, the groups' permissions and everything else. Asks for images; the plan is performed by `apply`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ncap_compiler import names
from ncap_compiler.version import render_version
from ncap_iac.deploy.comparison import stack_plan
from ncap_iac.deploy.plan import Action, Plan, PutVersion, StackAction
from ncap_iac.deploy.state import Deployed, Phase
from ncap_iac.deploy.version_reach import TYPES_PARAMETER, VERSION_PARAMETER, Ground, reach_of
from ncap_iac.deploy.versions import Difference, KeptVersion, differences, require_untouched
from ncap_iac.deploy.wanted import Pairs, Wanted, is_as_wanted, own_tags
from ncap_iac.errors import NotFoundError, UsageError

IMAGE_PARAMETER = "ImageId"
DEVICE_PARAMETER = "RootDevice"


class ImageFinder(Protocol):
    """What of the gateway is needed to find images."""

    def images(self, digest: str) -> tuple[str, ...]:
        """The available images tagged with an environment's digest, the latest first."""
        ...

    def root_devices(self, images: Sequence[str]) -> dict[str, str]:
        """The root device of each of these images that is available."""
        ...


@dataclass(frozen=True)
class Found:
    """The image a version runs from here, and its root device."""

    image_id: str
    root_device: str


@dataclass(frozen=True)
class Rollback:
    """What rolling back would do, and what becomes different for users of the default version."""

    target: KeptVersion
    served: str
    plan: Plan
    differences: tuple[Difference, ...]
    lost_groups: tuple[str, ...] = ()
    """Groups the version served now is for and the other is not."""


def served_version(deployed: Deployed) -> str | None:
    """The version a deployed analysis serves by default; None if its stack does not tell."""
    return deployed.parameter(VERSION_PARAMETER)


def find_image(
    target: KeptVersion, finder: ImageFinder, *, make: Callable[[], str] | None, working_environment: str, name: str
) -> Found:
    """The image of a kept version here: the one it names, else another of the same digest, else one made by `make`.

    `make` makes sure of an image where that can be done (a local cloud). Raises NotFoundError saying what to do.
    """
    image = _image_id(target, finder, make)
    devices = finder.root_devices([image]) if image else {}
    if image in devices:
        return Found(image, devices[image])
    raise NotFoundError(
        f"its image {target.image_id} is not in this region (any more)",
        where=f"version {target.version_id}, environment {target.environment}",
        hint=_remedy(target, working_environment, name),
    )


def _image_id(target: KeptVersion, finder: ImageFinder, make: Callable[[], str] | None) -> str:
    """The image a version may run from; empty if none is known."""
    if target.environment.startswith("ami-"):
        return target.environment
    if make is None:
        known = finder.images(target.environment.partition("@")[2])
        return target.image_id if target.image_id in known else next(iter(known), "")
    try:
        return make()
    except UsageError:
        # Neither an image built before nor the recipe to build it from is on this computer.
        return ""


def _remedy(target: KeptVersion, working_environment: str, name: str) -> str:
    other = f"or choose another version: `ncap blueprint versions {name}`."
    if target.environment.startswith("ami-"):
        return f"Restore it (EC2 keeps removed AMIs in its recycle bin if told to), {other}"
    if target.environment == working_environment:
        again = f"`ncap environment build {name}`"
        return f"The recipe is that of your documents: build and register it again ({again}), {other}"
    commit = target.text("commit")
    source = f"Its recipe is in commit {commit}: check that out and build and" if commit else "Build and"
    return f"{source} register it again, {other}"


def plan_rollback(
    target: KeptVersion, kept: Sequence[KeptVersion], deployed: Deployed, found: Found, *, image_arn: str
) -> Rollback:
    """The plan that serves `target` by default. Pure. Raises UsageError, NotFoundError, NcapError.

    `kept` are the versions there are, the latest first; `image_arn` is `arn:<partition>:ec2:<region>::image/`.
    """
    require_runnable(target, deployed)
    served = str(served_version(deployed))
    actions: list[Action] = []
    if found.image_id != target.image_id:
        target = replace(target, document={**target.document, "imageId": found.image_id})
        actions.append(_put(target, deployed.stack, found))
    others = [version for version in kept if version.version_id != target.version_id]
    reach = reach_of(_ground(deployed, kept, image_arn), [target, *others])
    values = {VERSION_PARAMETER: target.version_id, DEVICE_PARAMETER: found.root_device, **reach.parameters}
    parameters = with_declared(deployed, values)
    wanted = Wanted(
        deployed.stack,
        json.dumps(deployed.template),
        parameters=parameters,
        tags=tuple(sorted(own_tags(deployed).items())),
    )
    if not is_as_wanted(wanted, deployed):
        actions.append(StackAction(deployed.stack, "", parameters))
    before = next((version.document for version in kept if version.version_id == served), target.document)
    plan = Plan((stack_plan(wanted, deployed),), tuple(actions), version_id=target.version_id)
    lost = sorted(set(before.get("groups") or ()) - set(target.document.get("groups") or ()))
    # The bundle of a version is what it was made with; the one that runs is the stack's.
    different = tuple(item for item in differences(before, target.document) if item.field != "bundle")
    return Rollback(target, served, plan, different, tuple(lost))


def require_runnable(target: KeptVersion, deployed: Deployed) -> None:
    """Raises NotFoundError without a stack, UsageError for one without the parameter, NcapError for a bad version."""
    require_untouched(target)
    where, deploy = f"stack {deployed.stack}", "Deploy the blueprint first."
    if deployed.phase in (Phase.ABSENT, Phase.SPOILT):
        raise NotFoundError("it is not deployed", where=where, hint=deploy)
    if VERSION_PARAMETER not in declared_parameters(deployed):
        raise UsageError("its template is of a time before versions could be chosen", where=where, hint=deploy)


def declared_parameters(deployed: Deployed) -> Mapping[str, Mapping[str, Any]]:
    """The parameters of a deployed template."""
    found: Mapping[str, Mapping[str, Any]] = (deployed.template or {}).get("Parameters", {})
    return found


def with_declared(deployed: Deployed, values: Mapping[str, str]) -> Pairs:
    """The deployed stack's parameters with other values for those that its template has."""
    declared = declared_parameters(deployed)
    wanted = {name: value for name, value in values.items() if name in declared}
    return tuple(sorted({**dict(deployed.parameters), **wanted}.items()))


def _ground(deployed: Deployed, kept: Sequence[KeptVersion], image_arn: str) -> Ground:
    """What the deployed template was compiled for."""
    declared = declared_parameters(deployed)
    types, compiled = (str(declared.get(name, {}).get("Default", "")) for name in (TYPES_PARAMETER, VERSION_PARAMETER))
    environment = next((version.environment for version in kept if version.version_id == compiled), "")
    image = deployed.parameter(IMAGE_PARAMETER) or ""
    return Ground(tuple(name for name in types.split(",") if name), environment, image, image_arn)


def _put(target: KeptVersion, bucket: str, found: Found) -> PutVersion:
    body = render_version(target.document, found.image_id, found.root_device).encode()
    key = names.version_key(target.version_id)
    return PutVersion(bucket, key, body, found.image_id, replaces_lost_image=True)
