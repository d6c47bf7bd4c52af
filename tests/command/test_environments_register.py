"""An image is told to a cloud once; with the real EC2 of the local cloud behind a client's interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.environments.register import register_image
from ncap_iac.environments.store import load_image
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.service import ServiceError
from tests.local.ec2_support import Cloud
from tests.local.machines_support import DIGEST, make_image


class Client:
    """What of boto3's client is used, straight to the service."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.calls: list[str] = []

    def _call(self, operation: str, parameters: dict[str, Any]) -> Any:
        self.calls.append(operation)
        try:
            return self.cloud.call(operation, **parameters)
        except ServiceError as error:
            raise ClientError({"Error": {"Code": error.code, "Message": error.message}}, operation) from error

    def describe_images(self, **parameters: Any) -> Any:
        return self._call("DescribeImages", parameters)

    def register_image(self, **parameters: Any) -> Any:
        return self._call("RegisterImage", parameters)

    def deregister_image(self, **parameters: Any) -> Any:
        return self._call("DeregisterImage", parameters)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_tree(tmp_path / "images")


def test_an_image_is_registered_once_and_found_by_its_digest(folders: Path) -> None:
    image = make_image(folders / "images")
    client = Client(Cloud(folders / "cloud", image))
    ami = register_image(client, load_image(image))
    assert register_image(client, load_image(image)) == ami
    assert client.calls.count("RegisterImage") == 1
    filters = [{"Name": "tag:neurocaas:environment-digest", "Values": [f"sha256:{DIGEST}"]}]
    (known,) = client.describe_images(Owners=["self"], Filters=filters)["Images"]
    assert (known["ImageId"], known["Name"]) == (ami, f"neurocaas-tiny-{DIGEST[:12]}")
    assert known["ImageLocation"] == f"local-image:{image.name}"
    client.cloud.service.stop()


def test_an_image_built_with_another_python_takes_the_place_of_the_first(folders: Path) -> None:
    first = make_image(folders / "images")
    client = Client(Cloud(folders / "cloud", first))
    ami = register_image(client, load_image(first))
    other = first.rename(first.with_name(f"{DIGEST}-another-python"))
    assert register_image(client, load_image(other)) != ami
    assert len(client.describe_images(Owners=["self"])["Images"]) == 1
    client.cloud.service.stop()
