"""The environment stack: as reviewed, sound to CloudFormation's linter, and no wider than building an AMI needs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ncap_compiler.compiler import compile_environment
from ncap_compiler.image_component import BASE_SYSTEMS, component_document
from ncap_compiler.image_policies import AGENT_CHANNELS
from ncap_compiler.recipe import BASES
from ncap_compiler.stacks.environment import EnvironmentBuild
from tests.compiler import security_rules
from tests.compiler.iam import made

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "environment.json"
BUILD = EnvironmentBuild(
    environment="tiny",
    digest="ab" * 32,
    build="cd" * 32,
    archive_sha256="ef" * 32,
    base="ubuntu-24.04",
    python="3.12",
    os_packages=("ffmpeg",),
    architecture="x86_64",
    instance_type="m7i.large",
    has_gpu=False,
    volume_gib=20,
    regions=("us-west-2",),
)
BUCKET = "arn:aws:s3:::neurocaas-artifacts-123456789012-us-east-1"


def resources(build: EnvironmentBuild = BUILD, **parameters: str) -> dict[str, Any]:
    return made(compile_environment(build), **parameters)


def statements(role: str) -> dict[str, Any]:
    (policy,) = resources()[role]["Properties"]["Policies"]
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


def test_the_environment_stack_is_as_reviewed(request: pytest.FixtureRequest) -> None:
    text = compile_environment(BUILD)
    if request.config.getoption("--update-golden", default=False):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_equal_builds_give_equal_bytes() -> None:
    assert compile_environment(BUILD) == compile_environment(replace(BUILD))


def test_the_linter_finds_nothing_but_what_is_explained(tmp_path: Path) -> None:
    paths = []
    for base, has_gpu in (("ubuntu-24.04", False), ("amazon-linux-2023", True)):
        paths.append(tmp_path / f"{base}.json")
        build = replace(BUILD, base=base, has_gpu=has_gpu, python=BASE_SYSTEMS[base].pythons[0])
        paths[-1].write_text(compile_environment(build))
    linter = Path(sys.executable).with_name("cfn-lint")
    words = ["-e", "-c", "I", "-r", "us-east-1", "eu-central-1", "--format", "json", "--", *map(str, paths)]
    done = subprocess.run([str(linter), *words], capture_output=True, text=True, check=False)
    # I4010 wants a vendor's block; E3021 does not see that without a network named the default one is taken.
    found = {item["Rule"]["Id"] for item in json.loads(done.stdout)}
    assert found <= {"I4010", "E3021"}


def test_every_rule_of_our_own_holds_but_for_channels_that_know_no_resource() -> None:
    found = [said for rule in security_rules.RULES for said in rule(resources())]
    assert [said for said in found if "lets more out than HTTPS" not in said] == [
        f"BuilderRole allows {list(AGENT_CHANNELS)} on everything"
    ]


def test_only_ubuntu_fetches_packages_over_plain_http() -> None:
    for base, ports in (("ubuntu-24.04", {80, 443}), ("amazon-linux-2023", {443})):
        group = resources(replace(BUILD, base=base))["SecurityGroup"]["Properties"]
        assert {rule["FromPort"] for rule in group["SecurityGroupEgress"]} == ports
        assert "SecurityGroupIngress" not in group


def test_the_builder_reads_its_archive_and_no_other() -> None:
    found = statements("BuilderRole")
    assert found["ReadArchive"]["Resource"] == f"{BUCKET}/environments/{'ef' * 32}.tar"
    assert found["ReadArchive"]["Action"] == "s3:GetObject"
    writes = [sid for sid, statement in found.items() if "s3:PutObject" in security_rules.listed(statement["Action"])]
    assert writes == []


def test_the_verifier_reaches_verifications_of_its_environment_only() -> None:
    found = statements("VerifierRole")
    assert found["ReadSample"]["Resource"] == f"{BUCKET}/verifications/tiny/*"
    assert found["WriteResults"]["Resource"] == f"{BUCKET}/verifications/tiny/*/results/*"


def test_an_ami_is_a_candidate_and_not_usable_when_it_is_made() -> None:
    for item in resources()["Distribution"]["Properties"]["Distributions"]:
        tags = item["AmiDistributionConfiguration"]["AmiTags"]
        assert tags["neurocaas:environment-candidate"] == "sha256:" + "ab" * 32
        assert "neurocaas:environment-digest" not in tags


def test_instances_answer_imdsv2_only_and_disks_are_encrypted() -> None:
    found = resources()
    options = found["Infrastructure"]["Properties"]["InstanceMetadataOptions"]
    assert options == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert found["Infrastructure"]["Properties"]["TerminateInstanceOnFailure"] is True
    (disk,) = found["ImageRecipe"]["Properties"]["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert "KmsKeyId" not in disk["Ebs"]


def test_the_own_key_and_the_boundary_reach_everything() -> None:
    key, boundary = "arn:aws:kms:us-east-1:123456789012:key/k", "arn:aws:iam::123456789012:policy/b"
    found = resources(KmsKeyArn=key, PermissionsBoundary=boundary)
    assert found["ImageRecipe"]["Properties"]["BlockDeviceMappings"][0]["Ebs"]["KmsKeyId"] == key
    assert found["BuildLog"]["Properties"]["KmsKeyId"] == key
    assert list(security_rules.bounded(found, boundary)) == []


def test_a_gpu_recipe_starts_from_an_image_with_drivers() -> None:
    template = json.loads(compile_environment(replace(BUILD, has_gpu=True)))
    default = template["Parameters"]["ParentImage"]["Default"]
    assert default.startswith("ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/")


def test_nothing_image_builder_keeps_is_named_twice_for_two_builds() -> None:
    kinds = ("Component", "ImageRecipe", "Infrastructure", "Distribution")
    one, other = resources(), resources(replace(BUILD, build="12" * 32))
    assert all(one[kind]["Properties"]["Name"] != other[kind]["Properties"]["Name"] for kind in kinds)


@pytest.mark.parametrize("base", sorted(BASE_SYSTEMS))
def test_the_component_checks_the_archive_before_it_runs_anything_of_it(base: str) -> None:
    system = BASE_SYSTEMS[base]
    document = json.loads(component_document(system, system.pythons[0], ("ffmpeg",)))
    steps = document["phases"][0]["steps"]
    order = [step["name"] for step in steps]
    assert order.index("FetchArchive") < order.index("CheckArchive") < order.index("InstallEnvironment")
    install = steps[order.index("InstallPackages")]["inputs"]["commands"][0]
    assert f"{system.install} " in install
    assert install.index(f"python{system.pythons[0]}") < install.index("ffmpeg")
    assert "sha256sum --check --strict" in steps[order.index("CheckArchive")]["inputs"]["commands"][0]
    assert {phase["name"] for phase in document["phases"]} == {"build", "validate", "test"}
    assert len(json.dumps(document)) < 16_000


def test_every_shell_line_of_the_component_is_read_by_a_shell() -> None:
    system = BASE_SYSTEMS["ubuntu-24.04"]
    document = json.loads(component_document(system, "3.12", ()))
    for phase in document["phases"]:
        for step in phase["steps"]:
            for command in step["inputs"]["commands"] if step["action"] == "ExecuteBash" else ():
                assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0


def test_recipes_name_the_bases_there_are() -> None:
    assert set(BASES) == set(BASE_SYSTEMS)
