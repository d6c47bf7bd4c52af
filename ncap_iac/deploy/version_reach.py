"""What it takes to run kept versions: the instance types and images the job manager must be allowed to start. Pure.

They are parameters of the analysis stack (docs/contracts.md section 1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_compiler.template import MAX_LISTED
from ncap_iac.deploy.versions import KeptVersion, types_of

if TYPE_CHECKING:
    from ncap_iac.deploy.wanted import Wanted

VERSION_PARAMETER = "VersionId"
TYPES_PARAMETER = "InstanceTypes"
IMAGES_PARAMETER = "EarlierImages"
IMAGE = re.compile(r"ami-[0-9a-f]+")


@dataclass(frozen=True)
class Reach:
    """What the job manager may start: instance types and, beside the environment's own, images (ARNs)."""

    types: tuple[str, ...]
    images: tuple[str, ...]
    left_out: int = 0
    """Kept versions for whose types or images there is no room."""

    @property
    def note(self) -> str:
        """What the reader of a plan should know of those left out."""
        if not self.left_out:
            return ""
        return (
            f"{self.left_out} of the kept versions, the oldest, need instance types or images the job manager's policy "
            "has no room for: roll back to one of them to run it."
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The stack's parameters that say so."""
        return {TYPES_PARAMETER: ",".join(self.types), IMAGES_PARAMETER: ",".join(self.images)}


@dataclass(frozen=True)
class Ground:
    """What the deployed template lets the job manager start by itself, and where images are."""

    types: tuple[str, ...]
    environment: str
    image_id: str
    image_arn: str
    """`arn:<partition>:ec2:<region>::image/`."""

    def covers(self, version: KeptVersion) -> bool:
        """Whether the stack's own image or the tag of its environment's name lets a version's image start."""
        own = _environment_name(self.environment)
        return version.image_id == self.image_id or (own != "" and own == _environment_name(version.environment))


def image_arn(partition: str, region: str) -> str:
    """What the ARNs of a region's images begin with."""
    return f"arn:{partition}:ec2:{region}::image/"


def _environment_name(environment: str) -> str:
    """The name in `iae:<name>@…`; empty for a literal image."""
    return environment.removeprefix("iae:").partition("@")[0] if environment.startswith("iae:") else ""


def reach_of(ground: Ground, kept: Sequence[KeptVersion]) -> Reach:
    """Everything the given versions need beside the ground, as long as there is room; the first ones come first.

    IAM counts the characters of a policy, so both lists are short (`MAX_LISTED`).
    """
    types, images = set(ground.types), set[str]()
    runnable = [version for version in kept if not version.problem]
    for number, version in enumerate(runnable):
        more_types, more_images = types | set(version.instance_types), images | _images(ground, version)
        if not (_fits(more_types) or more_types == types) or not _fits(more_images):
            return Reach(tuple(sorted(types)), tuple(sorted(images)), left_out=len(runnable) - number)
        types, images = more_types, more_images
    return Reach(tuple(sorted(types)), tuple(sorted(images)))


def _images(ground: Ground, version: KeptVersion) -> set[str]:
    """The ARN of a version's image, unless it may be started anyway."""
    is_listed = IMAGE.fullmatch(version.image_id) is not None and not ground.covers(version)
    return {f"{ground.image_arn}{version.image_id}"} if is_listed else set()


def _fits(values: set[str]) -> bool:
    return len(",".join(values)) <= MAX_LISTED


def reach_of_deployment(wanted: Wanted, kept: Sequence[KeptVersion], *, image: str, arn: str) -> Reach:
    """What the version to be deployed and those kept need. `image` is what its environment is here."""
    types = () if wanted.version is None else types_of(wanted.version.document)
    return reach_of(Ground(types, wanted.environment or "", image, arn), kept)
