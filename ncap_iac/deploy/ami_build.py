"""The AMI of a recipe: which build it is, the stack that makes it, and which AMIs of it there are.

Plans and looks; the trial of an AMI is `ami_trial`'s, deploying is `apply`'s. Without a target a build can still be
shown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.deploy.plan import Place, Plan, plan_stack
from ncap_iac.deploy.state import Deployed, Phase, read_stack, read_status
from ncap_iac.deploy.wanted import Artifact, Wanted, with_parameters
from ncap_iac.environments.archive import make_archive
from ncap_iac.environments.python_range import satisfies
from ncap_iac.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ncap_compiler.blueprint import Hardware
    from ncap_compiler.stacks.environment import EnvironmentBuild
    from ncap_iac.aws import Gateway
    from ncap_iac.environments.source import Source

_ARM = re.compile(r"[a-z]+[0-9]+g[a-z]*\.")
_BUILDERS = {"x86_64": "m7i.large", "arm64": "m7g.large"}
_LEAST_GIB = 10
_LEAST_GPU_GIB = 75
"""Root volumes of the base images: 8 GiB and what drivers and CUDA take ("DLAMI release notes": 75 GiB)."""
_ACCOUNT_PARAMETERS = ("KmsKeyArn", "PermissionsBoundary", "VpcId")


@dataclass(frozen=True)
class AmiBuild:
    """A build and what has to be deployed for it."""

    build: EnvironmentBuild
    environment: str
    wanted: Wanted

    @property
    def digest_tag(self) -> str:
        """The value of the tag that names the digest."""
        return f"sha256:{self.build.digest}"


@dataclass(frozen=True)
class FoundAmi:
    """An AMI of a digest in one region."""

    region: str
    image_id: str
    root_device: str
    is_usable: bool
    """Whether it has passed the analysis's sample."""


def architecture_of(instance_type: str) -> str:
    """`arm64` for Graviton types ("Instance type naming conventions", EC2 user guide), else `x86_64`."""
    return "arm64" if _ARM.match(instance_type) else "x86_64"


def make_build(source: Source, hardware: Hardware, *, regions: Sequence[str] = ()) -> AmiBuild:
    """The build of a recipe for the hardware of its blueprint. Raises UsageError. Asks nobody."""
    from ncap_compiler.compiler import compile_environment
    from ncap_compiler.image_component import BASE_SYSTEMS
    from ncap_compiler.stacks.environment import EnvironmentBuild

    recipe = source.recipe
    system = BASE_SYSTEMS[recipe.base]
    has_gpu = recipe.resources.gpu > 0
    architecture = architecture_of(hardware.instance_types[0])
    python = next((version for version in system.pythons if satisfies(_numbers(version), recipe.python)), None)
    if python is None:
        raise UsageError(
            f"its recipe asks for Python {recipe.python}, and {recipe.base} has {', '.join(system.pythons)}",
            where=f"environment {recipe.name}",
            hint=f"Widen `python`, or choose another `base`: {', '.join(BASE_SYSTEMS)}.",
        )
    if architecture not in (system.gpu_parents if has_gpu else system.parents):
        raise UsageError(
            f"there is no {recipe.base} image with GPU drivers for {architecture}",
            where=f"environment {recipe.name}",
            hint=f"Choose a type of another architecture: the blueprint names {hardware.instance_types[0]}.",
        )
    least_gib = _LEAST_GPU_GIB if has_gpu else _LEAST_GIB
    if hardware.volume_size_gib < least_gib:
        raise UsageError(
            f"the blueprint's VOLUME_SIZE is {hardware.volume_size_gib} GiB, and the base system needs {least_gib}",
            where=f"environment {recipe.name}",
            hint=f"Set VOLUME_SIZE to {least_gib} or more: no instance can have a smaller disk than its AMI.",
        )
    archive = make_archive(source.contents)
    elsewhere = tuple(sorted(set(regions)))
    facts = (source.digest, archive.sha256, recipe.base, python, architecture, str(hardware.volume_size_gib))
    build = EnvironmentBuild(
        environment=recipe.name,
        digest=source.digest,
        build=hashlib.sha256("\0".join((*facts, *elsewhere)).encode()).hexdigest(),
        archive_sha256=archive.sha256,
        base=recipe.base,
        python=python,
        os_packages=recipe.os_packages,
        architecture=architecture,
        instance_type=_BUILDERS[architecture],
        has_gpu=has_gpu,
        volume_gib=hardware.volume_size_gib,
        regions=elsewhere,
    )
    artifact = Artifact(names.environment_archive_key(archive.sha256), archive.body)
    wanted = Wanted(build.stack, compile_environment(build), artifacts=(artifact,))
    return AmiBuild(build, source.environment, wanted)


def plan_build(ami: AmiBuild, gateway: Gateway, *, place: Place) -> Plan:
    """What deploying the build's stack would do: network, key and boundary are those of the account stack.

    Raises NotFoundError without an account stack, UsageError if the build names the region it starts in.
    """
    account = read_status(gateway.stacks, names.ACCOUNT_STACK)
    if account.phase is Phase.ABSENT or not place.has_artifact_bucket:
        raise NotFoundError(
            "the account stack is not deployed, and an AMI is built from its artifact bucket",
            where=f"stack {names.ACCOUNT_STACK}",
            hint="Deploy it with `ncap account deploy`.",
        )
    if gateway.region in ami.build.regions:
        raise UsageError(
            f"{gateway.region} is where the AMI is built; --regions names the others",
            where="--regions",
            hint="Leave it out.",
        )
    deployed = read_stack(gateway.stacks, ami.wanted.stack)
    wanted = with_parameters(ami.wanted, deployed, known=_of_account(account), given=())
    if deployed.parameter("ParentImage") and not _is_same_build(deployed, ami):
        # The image to start from belongs to a build, not to the stack.
        others = tuple(pair for pair in wanted.parameters if pair[0] not in ("ParentImage", "InstanceType"))
        wanted = replace(wanted, parameters=others)
    return plan_stack(wanted, deployed, place)


def _is_same_build(deployed: Deployed, ami: AmiBuild) -> bool:
    return ami.build.name in str(deployed.template)


def _of_account(account: Deployed) -> dict[str, str]:
    found = {name: account.parameter(name) or "" for name in _ACCOUNT_PARAMETERS}
    found["SubnetId"] = (account.parameter("SubnetIds") or "").partition(",")[0]
    return {name: value for name, value in found.items() if value}


def find_amis(client: Any, digest_tag: str, region: str) -> tuple[FoundAmi, ...]:
    """The available AMIs of a digest that `client` (EC2, of `region`) sees as its own, usable ones first.

    Raises botocore's ClientError.
    """
    found: dict[str, FoundAmi] = {}
    for tag in (names.DIGEST_TAG, names.CANDIDATE_TAG):
        filters = [{"Name": f"tag:{tag}", "Values": [digest_tag]}, {"Name": "state", "Values": ["available"]}]
        images = client.describe_images(Owners=["self"], Filters=filters)["Images"]
        for image in sorted(images, key=lambda image: str(image.get("CreationDate", "")), reverse=True):
            is_usable = tag == names.DIGEST_TAG
            ami = FoundAmi(region, str(image["ImageId"]), str(image["RootDeviceName"]), is_usable)
            found.setdefault(ami.image_id, ami)
    return tuple(found.values())


def mark_usable(client: Any, ami: FoundAmi, digest_tag: str) -> None:
    """Put the tag that makes an AMI usable, then take the candidate's away. Raises botocore's ClientError."""
    client.create_tags(Resources=[ami.image_id], Tags=[{"Key": names.DIGEST_TAG, "Value": digest_tag}])
    client.delete_tags(Resources=[ami.image_id], Tags=[{"Key": names.CANDIDATE_TAG}])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
