"""Image Builder of the local cloud: what it keeps, what it builds, what it does not believe."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.serialize import create_serializer

from ncap_compiler.recipe import load_recipe, recipe_digest
from ncap_iac.environments.archive import make_archive
from ncap_iac.environments.contents import Contents
from ncap_iac.local.cloudformation.provider import Client, ResourceError, Surface
from ncap_iac.local.cloudformation.providers.imagebuilder import ImageProvider, from_api, to_api
from ncap_iac.local.cloudformation.values import Place
from ncap_iac.local.image_making import ImageMaking, workshop_of
from ncap_iac.local.imagebuilder import IMAGE, ImageBuilderService
from ncap_iac.local.queryapi import Codec
from ncap_iac.local.restjson import Line
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.service import Call, Caller, ServiceError, Surroundings
from ncap_iac.local.store import Store

ACCOUNT = "000000000000"
ROOT = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", "", "AKIAROOT")
RECIPE = {
    "schemaVersion": 1,
    "name": "tiny",
    "python": ">=3.11",
    "requirements": "requirements.lock",
    "workflow": ["python", "w.py"],
    "files": ["w.py"],
}


def contents() -> Contents:
    text = json.dumps(RECIPE).encode()
    recipe = load_recipe(text.decode(), file="recipe.json")
    tool = {
        "workflow/requirements.lock": b"",
        "workflow/__init__.py": b"",
        "workflow/boot.py": b"",
        "workflow/cli.py": b"",
    }
    digest = recipe_digest(recipe, {"requirements.lock": b"", "w.py": b"print(1)"}, tool)
    analysis = {"recipe.json": text, "w.py": b"print(1)"}
    return Contents("tiny", digest, ">=3.11", (), False, b"", analysis, frozenset(), tool)


class Bench:
    """The service with an S3 that is a dictionary and an EC2 that keeps what is registered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, bytes] = {}
        self.registered: list[dict[str, Any]] = []
        self.held = threading.Event()
        self.held.set()
        self.store = Store(folder / "edge.db")
        self.service = self.make_service()

    def make_service(self) -> ImageBuilderService:
        surroundings = Surroundings(
            endpoint="http://127.0.0.1:1",
            region="us-east-1",
            account_id=ACCOUNT,
            folder=self.folder,
            images=self.folder / "images",
            store=self.store,
            emit=lambda event: None,
            client=lambda service: self,
            clock=time.time,
        )
        environ = {**os.environ, "UV_OFFLINE": "1"}
        return ImageBuilderService(
            surroundings, ImageMaking(surroundings, workshop_of(surroundings, environ, home=lambda: self.folder))
        )

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.held.wait(10)
        return {"Body": io.BytesIO(self.objects[f"{Bucket}/{Key}"])}

    def register_image(self, **parameters: Any) -> dict[str, str]:
        self.registered.append(parameters)
        return {"ImageId": f"ami-{len(self.registered):08x}"}

    def call(self, operation: str, **parameters: Any) -> Any:
        return self.service.perform(Call(operation, parameters, "us-east-1", ROOT, "r"))

    def make(self, archive: bytes, sha256: str | None = None) -> str:
        """Everything an image needs, and the image; its ARN."""
        self.objects["bucket/key.tar"] = archive
        sha256 = sha256 or hashlib.sha256(archive).hexdigest()
        component = self.call(
            "CreateComponent", name="Build", semanticVersion="1.0.0", platform="Linux", data="{}", clientToken="t"
        )["componentBuildVersionArn"]
        given = {"Archive": "s3://bucket/key.tar", "Sha256": sha256}
        parameters = [{"name": name, "value": [value]} for name, value in given.items()]
        recipe = self.call(
            "CreateImageRecipe",
            name="Build",
            semanticVersion="1.0.0",
            parentImage="ssm:/x",
            clientToken="t",
            components=[{"componentArn": component, "parameters": parameters}],
        )["imageRecipeArn"]
        where = self.call("CreateInfrastructureConfiguration", name="Build", instanceProfileName="p", clientToken="t")[
            "infrastructureConfigurationArn"
        ]
        tags = {"neurocaas:environment-candidate": "sha256:x"}
        ami = {"name": "build {{ imagebuilder:buildDate }}", "amiTags": tags}
        distributions = [{"region": name, "amiDistributionConfiguration": ami} for name in ("us-east-1", "eu-west-1")]
        distribution = self.call(
            "CreateDistributionConfiguration", name="Build", distributions=distributions, clientToken="t"
        )["distributionConfigurationArn"]
        made = self.call(
            "CreateImage",
            imageRecipeArn=recipe,
            infrastructureConfigurationArn=where,
            distributionConfigurationArn=distribution,
            clientToken="t",
        )
        return str(made["imageBuildVersionArn"])

    def settled(self, arn: str) -> Any:
        deadline = time.monotonic() + 60
        while (image := self.call("GetImage", imageBuildVersionArn=arn)["image"])["state"]["status"] == "BUILDING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return image


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.held.set()
    made.service.stop()
    made.store.close()
    remove_tree(tmp_path / "images")


def test_an_image_is_really_built_and_registered_with_the_distribution_s_tags(bench: Bench) -> None:
    image = bench.settled(bench.make(make_archive(contents()).body))
    assert image["state"] == {"status": "AVAILABLE"}
    (registered,) = bench.registered
    assert registered["TagSpecifications"][0]["Tags"] == [
        {"Key": "neurocaas:environment-candidate", "Value": "sha256:x"}
    ]
    assert "{{" not in registered["Name"]
    folder = registered["ImageLocation"].removeprefix("local-image:")
    assert (bench.folder / "images" / folder / "analysis" / "w.py").read_bytes() == b"print(1)"
    assert [ami["image"] for ami in image["outputResources"]["amis"]] == ["ami-00000001"]


def test_another_archive_than_the_recipe_names_is_not_built(bench: Bench) -> None:
    image = bench.settled(bench.make(make_archive(contents()).body, sha256="0" * 64))
    assert image["state"]["status"] == "FAILED"
    assert "has not the digest the recipe names" in image["state"]["reason"]
    assert bench.registered == []


def test_an_archive_that_lies_about_its_environment_is_not_built(bench: Bench) -> None:
    image = bench.settled(bench.make(make_archive(replace(contents(), digest="ab" * 32)).body))
    assert image["state"]["status"] == "FAILED"
    assert "and its files are sha256:" in image["state"]["reason"]


def test_what_cannot_be_installed_is_the_image_s_reason(bench: Bench) -> None:
    wanted = b"no-such-package-of-neurocaas==1 --hash=sha256:" + b"0" * 64
    known = contents()
    recipe = load_recipe(json.dumps(RECIPE), file="r")
    digest = recipe_digest(recipe, {"requirements.lock": wanted, "w.py": b"print(1)"}, known.tool)
    image = bench.settled(bench.make(make_archive(replace(known, lock=wanted, digest=digest)).body))
    assert image["state"]["status"] == "FAILED"
    assert "no-such-package-of-neurocaas" in image["state"]["reason"]


def test_a_build_the_cloud_s_stop_cut_off_has_failed_at_the_next_start(bench: Bench) -> None:
    bench.store.put(IMAGE.table, "arn", {"arn": "arn", "state": {"status": "BUILDING"}})
    bench.make_service().start()
    assert bench.call("GetImage", imageBuildVersionArn="arn")["image"]["state"]["status"] == "FAILED"


def test_an_image_under_way_is_not_deleted(bench: Bench) -> None:
    bench.held.clear()
    arn = bench.make(make_archive(contents()).body)
    with pytest.raises(ServiceError, match="BUILDING"):
        bench.call("DeleteImage", imageBuildVersionArn=arn)
    bench.held.set()
    bench.settled(arn)
    bench.call("DeleteImage", imageBuildVersionArn=arn)
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        bench.call("GetImage", imageBuildVersionArn=arn)


def test_names_and_versions_are_taken_once(bench: Bench) -> None:
    words = {"name": "C", "semanticVersion": "1.0.0", "platform": "Linux", "clientToken": "t"}
    bench.call("CreateComponent", **words)
    with pytest.raises(ServiceError, match="already exists"):
        bench.call("CreateComponent", **words)


def test_tags_come_and_go(bench: Bench) -> None:
    arn = bench.call("CreateComponent", name="C", semanticVersion="1.0.0", platform="Linux", clientToken="t")
    which = {"resourceArn": arn["componentBuildVersionArn"]}
    bench.call("TagResource", **which, tags={"a": "1", "b": "2"})
    bench.call("UntagResource", **which, tagKeys=["a"])
    assert bench.call("ListTagsForResource", **which)["tags"] == {"b": "2"}


def test_what_is_not_supported_is_refused_by_name(bench: Bench) -> None:
    with pytest.raises(ServiceError, match="does not support ImportVmImage"):
        bench.call("ImportVmImage")


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("GetImage", {"imageBuildVersionArn": "arn:aws:imagebuilder:us-east-1:000000000000:image/a/1.0.0/1"}),
        (
            "TagResource",
            {"resourceArn": "arn:aws:imagebuilder:us-east-1:000000000000:image/a/1.0.0/1", "tags": {"a": "b"}},
        ),
        (
            "UntagResource",
            {"resourceArn": "arn:aws:imagebuilder:us-east-1:000000000000:image/a/1/1", "tagKeys": ["a", "b"]},
        ),
        ("CreateComponent", {"name": "C", "semanticVersion": "1.0.0", "platform": "Linux", "clientToken": "token-1"}),
    ],
)
def test_requests_of_the_rest_protocol_are_read_as_boto3_writes_them(
    operation: str, parameters: dict[str, Any]
) -> None:
    from urllib.parse import parse_qsl, urlencode

    codec = Codec("imagebuilder")
    request = create_serializer("rest-json").serialize_to_request(parameters, codec.model.operation_model(operation))
    query = request["query_string"]
    pairs = parse_qsl(query if isinstance(query, str) else urlencode(query, doseq=True))
    line = Line(method=request["method"], path=request["url_path"], query=pairs)
    body = request["body"]
    read = codec.decode(body if isinstance(body, bytes) else body.encode(), line)
    assert read == (operation, parameters)


def test_a_path_of_no_operation_is_refused() -> None:
    with pytest.raises(ServiceError, match="UnknownOperationException"):
        Codec("imagebuilder").decode(b"", Line(method="GET", path="/Nonsense"))


def test_properties_and_members_differ_in_a_capital_only() -> None:
    properties = {"Name": "n", "ResourceTags": {"Own:Key": "v"}, "Ebs": {"Encrypted": "true", "VolumeSize": "20"}}
    api = to_api("", properties)
    assert api == {"name": "n", "resourceTags": {"Own:Key": "v"}, "ebs": {"encrypted": True, "volumeSize": 20}}
    assert from_api("", api)["ResourceTags"] == {"Own:Key": "v"}


def test_a_failed_image_fails_its_resource_with_the_reason() -> None:
    class Failed:
        def get_image(self, **_: Any) -> dict[str, Any]:
            return {"image": {"state": {"status": "FAILED", "reason": "no disk"}}}

    def client(_: str) -> Client:
        return Failed()

    surface = Surface(client=client, place=Place("us-east-1", ACCOUNT), sleep=lambda _: None)
    with pytest.raises(ResourceError, match="the image is FAILED: no disk"):
        ImageProvider(surface).apply("arn", {}, {})
