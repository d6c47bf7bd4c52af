"""An AMI of a development instance, written into its blueprint between two commits: the pair says what made it what.

A literal AMI has no recipe: nobody can build it again from the project, and no digest tells what is in it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_compiler.image_component import IMAGE_FOLDER
from ncap_iac.deploy.images import AMI_FIELD, named_environment, pinned_text, recipe_folder
from ncap_iac.environments.source import RECIPE
from ncap_iac.errors import NcapError, UsageError, WaitTimeoutError
from ncap_iac.project import read_bytes

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.development.instances import DevInstance
    from ncap_iac.development.repository import Checkout

_LONGEST_S = 3600.0
SAVED = "saved"
"""The candidate tag's value of an image that has no recipe."""
BEFORE_SAVING = "rm -f {timer}; sync"
"""What must not be in the image goes; what is written is on disk."""


@dataclass(frozen=True)
class Pair:
    """The commits around an AMI."""

    before: str
    after: str


@dataclass(frozen=True)
class Blueprint:
    """The blueprint an AMI is written into, and the checkout that keeps its history."""

    path: Path
    analysis: str
    checkout: Checkout

    def check_tree(self) -> None:
        """Refuse if anything but the blueprint's folder differs from what is committed. Raises UsageError."""
        folder = self.path.parent.resolve()
        root = self.checkout.root.resolve()
        others = [name for name in self.checkout.changed() if not (root / name).resolve().is_relative_to(folder)]
        if others:
            shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            raise UsageError(
                f"other files are not committed: {shown}",
                where=str(root),
                hint="Commit them or put them aside (`git stash`): the commits tell what the AMI was tested with.",
            )

    def commit_before(self, said: str) -> str:
        """The commit of the blueprint as it was tested: one made now, or the one checked out."""
        if self.checkout.differs(self.path.parent):
            return self.checkout.commit(
                [self.path.parent], f"{self.analysis}: as tested on a development instance\n\n{said}"
            )
        return self.checkout.head()

    def commit_after(self, image_id: str, said: str) -> str:
        """Write the AMI into the blueprint and commit that alone. Raises UsageError."""
        from ncap_iac.documents import checked
        from ncap_iac.project import Kind

        before = read_bytes(self.path)
        earlier = named_environment(before, where=str(self.path))
        after = with_command(pinned_text(before, image_id, where=str(self.path)), self._workflow())
        self.path.write_bytes(after)
        try:
            checked([self.path], Kind.BLUEPRINT)
        except NcapError:
            self.path.write_bytes(before)
            raise
        message = f"{self.analysis}: runs on {image_id}\n\n{said}\nBefore: {earlier}"
        return self.checkout.commit([self.path], message)

    def _workflow(self) -> tuple[str, ...]:
        """How the recipe starts the analysis; empty without a recipe."""
        recipe = recipe_folder(self.path.parent) / RECIPE
        if not recipe.is_file():
            return ()
        return tuple(str(word) for word in json.loads(read_bytes(recipe))["workflow"])


def with_command(blueprint: bytes, workflow: Sequence[str]) -> bytes:
    """A blueprint that names a literal AMI with the COMMAND it then needs, unless it has one.

    Without a COMMAND a job would ask the recipe how the analysis starts; the recipe still lies in the image.
    """
    config = json.loads(blueprint)["Lambda"]["LambdaConfig"]
    if config.get("COMMAND") is not None or not workflow:
        return blueprint
    command = json.dumps(command_of(workflow)).encode()

    def beside(match: re.Match[bytes]) -> bytes:
        """On a line of its own, indented as the field above it is."""
        indent = blueprint[blueprint.rfind(b"\n", 0, match.start()) + 1 : match.start()]
        between = b",\n" + indent if not indent.strip() else b", "
        return match[0] + between + b'"COMMAND": ' + command

    return AMI_FIELD.sub(beside, blueprint)


def command_of(workflow: Sequence[str]) -> str:
    """The workflow of the image's recipe as a COMMAND: fetch, a copy of its files, run. Results are stored afterwards.

    Its folder is the attempt's own, where `inputs`, `configs` and `analysis` are (docs/contracts.md section 6).
    """
    tool = "neurocaas-contrib workflow"
    words = shlex.join(workflow).replace("{", "{{").replace("}", "}}")
    return " && ".join(
        (
            "set -- {} {} {} {}",
            f"{tool} initialize-job -p .",
            f'{tool} register-dataset -b "$1" -k "$2"',
            f'{tool} register-config -b "$1" -k "$4"',
            f"{tool} get-data -f -o inputs",
            f"{tool} get-config -f -o configs",
            f'data="$({tool} get-datapath)"',
            f'config="$({tool} get-configpath)"',
            f'cp -R "${{{{NEUROCAAS_IMAGE:-{IMAGE_FOLDER}}}}}/analysis/." analysis',
            "cd analysis",
            f'{words} "$data" "$config" "$NEUROCAAS_RESULTS"',
        )
    )


@dataclass(frozen=True)
class Saving:
    """Makes images."""

    gateway: Gateway
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    pause_s: float

    def make(self, it: DevInstance, commit: str, now: datetime) -> str:
        """The AMI, once it is available. Its name is of this moment and commit: none is ever made twice.

        On AWS the instance reboots for it. Raises NcapError.
        """
        client = self.gateway.session.client("ec2")
        name = f"neurocaas-{it.analysis}-{now:%Y%m%dT%H%M%SZ}-{commit[:12]}"
        tags = {
            "Name": name,
            "analysis": it.analysis,
            names.STACK_TAG: names.DEVELOPMENT_STACK,
            names.SAVED_FROM_TAG: it.environment,
            names.OWNER_TAG: it.owner,
            names.CANDIDATE_TAG: SAVED,
            "neurocaas:commit": commit,
        }
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        with self.gateway.session.translated(f"image of {it.instance}"):
            answer = client.create_image(
                InstanceId=it.instance,
                Name=name,
                Description=f"Development instance {it.instance} of {it.analysis}",
                TagSpecifications=[{"ResourceType": "image", "Tags": listed}],
            )
        image_id = str(answer["ImageId"])
        self._wait(image_id)
        return image_id

    def _wait(self, image_id: str) -> None:
        client, deadline = self.gateway.session.client("ec2"), self.clock() + _LONGEST_S
        while True:
            with self.gateway.session.translated(f"image {image_id}"):
                (image,) = client.describe_images(ImageIds=[image_id])["Images"]
            if image["State"] == "available":
                return
            if image["State"] not in ("pending", "transient"):
                said = image.get("StateReason", {}).get("Message", "")
                raise NcapError(f"it became {image['State']}: {said}", where=f"image {image_id}", hint="Save again.")
            if self.clock() >= deadline:
                raise WaitTimeoutError(
                    "it is not available after an hour",
                    where=f"image {image_id}",
                    hint="Look at it in the EC2 console.",
                )
            self.sleep(self.pause_s)
