"""Telling a cloud that an image exists: `ec2:RegisterImage`, once an image and cloud. Builds nothing."""

from __future__ import annotations

import platform
from typing import Any

from botocore.exceptions import ClientError

from ncap_iac.environments.store import Image

DIGEST_TAG = "neurocaas:environment-digest"
NAME_TAG = "neurocaas:environment"
_LOCATION = "local-image:"
_DIGEST_IN_NAME = 12
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def register_image(ec2: Any, image: Image) -> str:
    """The AMI id of an image in the cloud `ec2` (a boto3 client) talks to; registered if it is not yet.

    An AMI of the same recipe that stands for another folder (built with another Python) gives way: its name is the
    recipe's. Raises botocore's ClientError.
    """
    digest = image.seal.recipe_digest
    name = f"neurocaas-{image.seal.name}-{digest[:_DIGEST_IN_NAME]}"
    location = _LOCATION + image.folder.name
    for known in _known(ec2, name, digest):
        if known.get("ImageLocation") == location:
            return str(known["ImageId"])
        ec2.deregister_image(ImageId=known["ImageId"])
    tags = {NAME_TAG: image.seal.name, DIGEST_TAG: f"sha256:{digest}"}
    try:
        answer = ec2.register_image(
            Name=name,
            Description=f"NeuroCAAS environment {image.environment}",
            ImageLocation=location,
            Architecture=_ARCHITECTURES.get(platform.machine().lower(), "x86_64"),
            RootDeviceName="/dev/xvda",
            TagSpecifications=[
                {"ResourceType": "image", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidAMIName.Duplicate":
            raise
        # Someone else registered it between the look and the call.
        return str(_known(ec2, name, digest)[0]["ImageId"])
    return str(answer["ImageId"])


def _known(ec2: Any, name: str, digest: str) -> list[dict[str, Any]]:
    filters = [
        {"Name": "name", "Values": [name]},
        {"Name": f"tag:{DIGEST_TAG}", "Values": [f"sha256:{digest}"]},
    ]
    return list(ec2.describe_images(Owners=["self"], Filters=filters)["Images"])
