"""Which build an AMI is: system, Python, architecture, disk; and what is refused before anything is asked of AWS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ncap_compiler.blueprint import Hardware
from ncap_compiler.recipe import Resources
from ncap_iac.deploy.ami_build import architecture_of, find_amis, make_build, mark_usable
from ncap_iac.deploy.ami_trial import read_sample, user_data
from ncap_iac.environments.os_packages import missing_packages
from ncap_iac.environments.source import Source, read_source
from ncap_iac.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = Hardware("iae:x", ("m7i.large",), ("m7i.large",), None, None, 100, "300", 60, 10, 50, 60)


@pytest.fixture(scope="module")
def source() -> Source:
    return read_source(ROOT / "ncap_blueprints" / "kalman-lds" / "environment", ROOT / "protocols")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        *((name, "x86_64") for name in ("m7i.large", "g5.xlarge", "g4dn.xlarge")),
        *((name, "arm64") for name in ("m7g.large", "c7gd.large", "g5g.xlarge", "im4gn.large")),
    ],
)
def test_the_architecture_follows_from_the_instance_type(name: str, architecture: str) -> None:
    assert architecture_of(name) == architecture


def test_a_build_takes_the_best_python_of_its_base_within_the_recipe_s_range(source: Source) -> None:
    assert make_build(source, HARDWARE).build.python == "3.12"
    amazon = replace(source, recipe=replace(source.recipe, base="amazon-linux-2023"))
    assert make_build(amazon, HARDWARE).build.python == "3.13"
    older = replace(amazon, recipe=replace(amazon.recipe, python=">=3.11,<3.12"))
    assert make_build(older, HARDWARE).build.python == "3.11"


def test_a_range_without_a_python_of_the_base_is_refused(source: Source) -> None:
    wrong = replace(source, recipe=replace(source.recipe, python=">=3.11,<3.12"))
    with pytest.raises(UsageError, match=r"asks for Python >=3\.11,<3\.12, and ubuntu-24\.04 has 3\.12"):
        make_build(wrong, HARDWARE)


def test_a_disk_smaller_than_the_base_system_s_is_refused(source: Source) -> None:
    with pytest.raises(UsageError, match="VOLUME_SIZE is 8 GiB"):
        make_build(source, replace(HARDWARE, volume_size_gib=8))
    gpu = replace(source, recipe=replace(source.recipe, resources=Resources(gpu=1)))
    with pytest.raises(UsageError, match="needs 75"):
        make_build(gpu, HARDWARE)
    assert make_build(gpu, replace(HARDWARE, volume_size_gib=80)).build.has_gpu


def test_a_gpu_on_arm_is_refused(source: Source) -> None:
    gpu = replace(source, recipe=replace(source.recipe, resources=Resources(gpu=1)))
    with pytest.raises(UsageError, match=r"no ubuntu-24\.04 image with GPU drivers for arm64"):
        make_build(gpu, replace(HARDWARE, instance_types=("g5g.xlarge",), volume_size_gib=80))


def test_equal_recipes_are_one_build_and_other_regions_another(source: Source) -> None:
    here, again = make_build(source, HARDWARE), make_build(source, HARDWARE)
    assert here == again
    there = make_build(source, HARDWARE, regions=("us-west-2",))
    assert there.build.name != here.build.name
    assert there.build.digest == here.build.digest


def test_what_is_uploaded_is_named_by_its_content(source: Source) -> None:
    ami = make_build(source, HARDWARE)
    (artifact,) = ami.wanted.artifacts
    assert artifact.key == f"environments/{ami.build.archive_sha256}.tar"
    assert ami.build.archive_sha256 in ami.wanted.template


class Images:
    """An EC2 that has these images."""

    def __init__(self, *images: tuple[str, str]) -> None:
        self.images = list(images)

    def describe_images(self, *, Owners: list[str], Filters: list[dict[str, object]]) -> dict[str, object]:  # noqa: N803
        key = str(Filters[0]["Name"]).removeprefix("tag:")
        found = [{"ImageId": name, "RootDeviceName": "/dev/sda1"} for name, tag in self.images if tag == key]
        return {"Images": found if Owners == ["self"] else []}

    def create_tags(self, *, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        self.images += [(name, tag["Key"]) for name in Resources for tag in Tags]

    def delete_tags(self, *, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        gone = {(name, tag["Key"]) for name in Resources for tag in Tags}
        self.images = [item for item in self.images if item not in gone]


def test_a_candidate_is_found_but_not_usable_until_it_is_marked() -> None:
    ec2 = Images(("ami-1", "neurocaas:environment-candidate"))
    (found,) = find_amis(ec2, "sha256:x", "us-east-1")
    assert not found.is_usable
    mark_usable(ec2, found, "sha256:x")
    (found,) = find_amis(ec2, "sha256:x", "us-east-1")
    assert found.is_usable
    assert ec2.images == [("ami-1", "neurocaas:environment-digest")]


def test_usable_amis_come_before_candidates() -> None:
    ec2 = Images(("ami-2", "neurocaas:environment-candidate"), ("ami-1", "neurocaas:environment-digest"))
    assert [ami.image_id for ami in find_amis(ec2, "sha256:x", "r")] == ["ami-1", "ami-2"]


def test_an_analysis_without_a_sample_gets_no_ami(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sample an AMI could be tried with"):
        read_sample(tmp_path)
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "sample.json").write_text(json.dumps({"datasets": ["a.csv"], "config": "c.json"}))
    with pytest.raises(UsageError, match=r"lacks a\.csv, c\.json, check\.py"):
        read_sample(tmp_path)


def test_every_sample_of_the_project_can_be_tried() -> None:
    for path in sorted((ROOT / "ncap_blueprints").glob("*/sample/check.py")):
        assert read_sample(path.parents[1]).datasets


def test_user_data_of_a_trial_is_data_to_the_shell() -> None:
    lines = user_data("s3://bucket/it's; rm -rf", 60).splitlines()
    assert lines[1:] == ["shutdown -h +75", "neurocaas-boot 's3://bucket/it'\"'\"'s; rm -rf'", "shutdown -h now"]


def test_packages_of_the_system_are_asked_of_dpkg_where_there_is_one(tmp_path: Path) -> None:
    assert missing_packages(("surely-no-such-package",), search_path=str(tmp_path)) == ()
    tool = tmp_path / "dpkg-query"
    tool.write_text("#!/bin/sh\necho 'ffmpeg installed'\necho 'tree deinstall'\nexit 1\n")
    tool.chmod(0o755)
    assert missing_packages(("ffmpeg", "tree", "git"), search_path=str(tmp_path)) == ("tree", "git")
