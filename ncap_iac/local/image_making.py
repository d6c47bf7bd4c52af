"""How the local Image Builder makes an image: fetch the archive, check it, build, register.

Nothing is believed: the archive must have the digest the recipe names, and its contents the recipe digest they claim.
"""

from __future__ import annotations

import hashlib
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ncap_compiler.errors import DocumentError
from ncap_compiler.recipe import load_recipe, recipe_digest
from ncap_iac.environments.build import BuildError, Workshop, build_contents
from ncap_iac.environments.contents import ArchiveError, Contents, unpack
from ncap_iac.environments.source import RECIPE
from ncap_iac.environments.store import Image
from ncap_iac.local.service import Surroundings

_URI = re.compile(r"s3://([^/]+)/(.+)")
_BUILD_DATE = re.compile(r"\{\{\s*imagebuilder:buildDate\s*\}\}")
_ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64"}


class BrokenBuildError(Exception):
    """The image cannot be made; the message is the image's reason."""


@dataclass(frozen=True)
class Order:
    """One image to make."""

    image: str
    """Its ARN."""
    values: Mapping[str, str]
    """Parameters of its components."""
    distributions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class ImageMaking:
    """Makes images in one cloud."""

    surroundings: Surroundings
    workshop: Workshop

    def make(self, order: Order) -> Sequence[dict[str, Any]]:
        """Build and register; the AMIs as Image Builder tells them. Raises BrokenBuildError."""
        said: list[str] = []
        try:
            contents = self._contents(order.values)
            image = build_contents(contents, replace(self.workshop, say=said.append))
            return [self._register(image, item) for item in order.distributions if self._is_here(item)]
        except (ArchiveError, BuildError, DocumentError, ClientError, BotoCoreError, OSError) as error:
            raise BrokenBuildError(str(error)) from error

    def _contents(self, values: Mapping[str, str]) -> Contents:
        where = _URI.fullmatch(values.get("Archive", ""))
        if where is None or "Sha256" not in values:
            raise BrokenBuildError(
                "the local cloud builds environments only: the recipe's component needs the parameters Archive "
                "(an S3 URI) and Sha256"
            )
        answer = self.surroundings.client("s3").get_object(Bucket=where[1], Key=where[2])
        body: bytes = answer["Body"].read()
        if hashlib.sha256(body).hexdigest() != values["Sha256"]:
            raise BrokenBuildError(f"{where[0]} has not the digest the recipe names, {values['Sha256']}")
        contents = unpack(body)
        recipe = load_recipe(contents.analysis[RECIPE].decode(), file=RECIPE)
        found = recipe_digest(recipe, {**contents.analysis, recipe.requirements: contents.lock}, contents.tool)
        if found != contents.digest:
            raise BrokenBuildError(f"{where[0]} says it is {contents.environment}, and its files are sha256:{found}")
        return contents

    def _is_here(self, distribution: Mapping[str, Any]) -> bool:
        return bool(distribution["region"] == self.surroundings.region)

    def _register(self, image: Image, distribution: Mapping[str, Any]) -> dict[str, Any]:
        """RegisterImage with the distribution's name and tags."""
        wanted = distribution.get("amiDistributionConfiguration") or {}
        date = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(self.surroundings.clock())) + "Z"
        name = _BUILD_DATE.sub(date, str(wanted.get("name") or f"{image.seal.name} {date}"))
        tags = [{"Key": key, "Value": value} for key, value in sorted((wanted.get("amiTags") or {}).items())]
        answer = self.surroundings.client("ec2").register_image(
            Name=name,
            Description=str(wanted.get("description") or ""),
            ImageLocation=f"local-image:{image.folder.name}",
            Architecture=_ARCHITECTURES.get(platform.machine().lower(), "x86_64"),
            RootDeviceName="/dev/xvda",
            TagSpecifications=[{"ResourceType": "image", "Tags": tags}] if tags else [],
        )
        place = {"region": self.surroundings.region, "accountId": self.surroundings.account_id}
        return {**place, "image": answer["ImageId"], "name": name, "state": {"status": "AVAILABLE"}}


def workshop_of(surroundings: Surroundings, environ: Mapping[str, str], *, home: Callable[[], Any]) -> Workshop:
    """Where the local cloud builds: among the images all clouds of this computer share."""
    return Workshop(
        images=surroundings.images,
        uv_cache=surroundings.images.parent / "uv",
        environ=environ,
        home=home(),
        clock=surroundings.clock,
        say=lambda text: None,
    )
