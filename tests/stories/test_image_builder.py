"""An AMI of a recipe on the local cloud, the way AWS makes it: built, tried with the sample, usable only then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.laboratory import Laboratory, make_home, make_project

pytestmark = [pytest.mark.cloud, pytest.mark.heavy]

CHECK = """import sys
from pathlib import Path
found = (Path(sys.argv[1]) / "points_copy.csv").read_text()
print(found)
sys.exit(0 if found == "1,2\\n" else 1)
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A cloud with an account stack, and an analysis with a sample that its first config makes fail."""
    folder = tmp_path_factory.mktemp("yard")
    found = Laboratory(project=make_project(folder / "project"), home=make_home(folder / "home"), cloud="yard")
    blueprint = found.project / "ncap_blueprints" / "faulty" / "stack_config_template.json"
    blueprint.write_text(blueprint.read_text().replace('"VOLUME_SIZE": 8', '"VOLUME_SIZE": 10'))
    sample = found.project / "ncap_blueprints" / "faulty" / "sample"
    sample.mkdir()
    (sample / "sample.json").write_text(json.dumps({"datasets": ["points.csv"], "config": "config.json"}))
    (sample / "points.csv").write_text("1,2\n")
    (sample / "config.json").write_text(json.dumps({"mode": "exit-3"}))
    (sample / "check.py").write_text(CHECK)
    try:
        found.ncap("local", "up", "--background", "--name", "yard", "--port", "0")
        found.ncap("account", "deploy", "--yes")
        yield found
    finally:
        found.ncap("local", "down", "--name", "yard", check=False)


def images(yard: Laboratory) -> list[dict[str, str]]:
    """Tags of every AMI of the environment."""
    filters = [{"Name": "tag:neurocaas:environment", "Values": ["faulty"]}]
    found = yard.client("ec2").describe_images(Owners=["self"], Filters=filters)["Images"]
    return [{tag["Key"]: tag["Value"] for tag in image["Tags"]} for image in found]


def build(yard: Laboratory, *, check: bool = True) -> str:
    words = ("environment", "build", "faulty", "--on", "aws", "--cloud", "yard", "--output", "json")
    ran = yard.ncap(*words, check=check)
    return ran.out if check else ran.err


def config_of(yard: Laboratory) -> Path:
    return yard.project / "ncap_blueprints" / "faulty" / "sample" / "config.json"


def test_the_plan_is_shown_without_asking_anybody(yard: Laboratory) -> None:
    plan = yard.ncap("environment", "build", "faulty", "--on", "aws", "--dry-run", "--output", "json").data
    assert plan["stack"] == "neurocaas-environment-faulty"
    assert {"name": "Image", "type": "AWS::ImageBuilder::Image"} in plan["resources"]


def test_an_ami_that_fails_the_sample_stays_a_candidate_and_leaves_no_instance(yard: Laboratory) -> None:
    said = build(yard, check=False)
    assert "points.csv failed" in said
    (tags,) = images(yard)
    assert "neurocaas:environment-candidate" in tags
    assert "neurocaas:environment-digest" not in tags
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    assert yard.client("ec2").describe_instances(Filters=filters)["Reservations"] == []


def test_the_same_ami_is_tried_again_and_becomes_usable(yard: Laboratory) -> None:
    config_of(yard).write_text(json.dumps({"mode": "copy"}))
    answer = json.loads(build(yard))
    (tags,) = images(yard)
    assert "neurocaas:environment-candidate" not in tags
    assert tags["neurocaas:environment-digest"] == answer["environment"].rpartition("@")[2]


def test_a_usable_ami_is_not_built_or_tried_again(yard: Laboratory) -> None:
    config_of(yard).write_text(json.dumps({"mode": "exit-3"}))
    assert len(json.loads(build(yard))["images"]) == 1
    assert len(images(yard)) == 1


def test_another_recipe_is_another_build_and_the_earlier_ami_stays(yard: Laboratory) -> None:
    config_of(yard).write_text(json.dumps({"mode": "copy"}))
    workflow = yard.project / "ncap_blueprints" / "faulty" / "environment" / "workflow.py"
    workflow.write_text(workflow.read_text() + "# later\n")
    first = {tags["neurocaas:environment-digest"] for tags in images(yard)}
    answer = json.loads(build(yard))
    digests = {tags["neurocaas:environment-digest"] for tags in images(yard)}
    assert digests == first | {answer["environment"].rpartition("@")[2]}
    assert len(digests) == 2


def test_an_ami_made_so_is_what_a_blueprint_deploys(yard: Laboratory) -> None:
    yard.ncap("environment", "pin", "faulty")
    plan = yard.ncap("blueprint", "plan", "faulty", "--output", "json").data
    images = yard.client("ec2").describe_images(Owners=["self"])["Images"]
    assert plan["parameters"]["ImageId"] in {image["ImageId"] for image in images}


def test_the_stack_goes_and_its_amis_stay(yard: Laboratory) -> None:
    stacks = yard.client("cloudformation")
    stacks.delete_stack(StackName="neurocaas-environment-faulty")
    stacks.get_waiter("stack_delete_complete").wait(
        StackName="neurocaas-environment-faulty", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert len(images(yard)) == 2
