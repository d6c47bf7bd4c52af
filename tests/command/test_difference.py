"""Templates compared as text: only what changed, as `diff -u` writes it, in a form people read."""

from __future__ import annotations

import json
from collections import OrderedDict

import pytest

from ncap_iac.deploy.comparison import ValueChange
from ncap_iac.deploy.difference import template_difference, values_difference
from ncap_iac.deploy.state import read_stack
from ncap_iac.errors import NcapError
from tests.command.fake_stacks import FakeStack, FakeStacks

BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "a"}}
ROLE = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}


def test_only_resources_that_changed_are_shown() -> None:
    before = {"Resources": {"Bucket": BUCKET, "Role": ROLE}}
    after = {"Resources": {"Bucket": {**BUCKET, "Properties": {"BucketName": "b"}}, "Role": ROLE}}
    assert template_difference("s", before, after).splitlines() == [
        "--- deployed s Resources/Bucket",
        "+++ wanted s Resources/Bucket",
        "@@ -1,3 +1,3 @@",
        " Properties:",
        "-  BucketName: a",
        "+  BucketName: b",
        " Type: AWS::S3::Bucket",
    ]


def test_what_comes_and_what_goes_is_whole() -> None:
    added = template_difference("s", None, {"Resources": {"Role": ROLE}})
    assert added.startswith("--- /dev/null\n+++ wanted s Resources/Role\n")
    gone = template_difference("s", {"Outputs": {"Url": {"Value": "x"}}}, {})
    assert gone.splitlines()[:2] == ["--- deployed s Outputs/Url", "+++ /dev/null"]


class Ordered(FakeStacks):
    """Answers with templates as botocore reads them."""

    def template(self, stack: str) -> OrderedDict[str, object]:
        found: OrderedDict[str, object] = json.loads(self.stacks[stack].template, object_pairs_hook=OrderedDict)
        return found


class Yaml(FakeStacks):
    """Answers with a template somebody wrote by hand."""

    def template(self, stack: str) -> str:
        return "Resources:\n  Role:\n    Type: AWS::IAM::Role\n"


def test_a_template_is_read_as_plain_values_whatever_the_answer_holds() -> None:
    stacks = Ordered({"s": FakeStack("CREATE_COMPLETE", json.dumps({"Resources": {"Role": ROLE}}))})
    assert "RoleName: r" in template_difference("s", read_stack(stacks, "s").template, {})


def test_a_stack_that_is_not_ours_is_told() -> None:
    with pytest.raises(NcapError, match="not deployed by this platform"):
        read_stack(Yaml({"s": FakeStack("CREATE_COMPLETE")}), "s")


def test_equal_templates_have_no_difference() -> None:
    assert template_difference("s", {"Resources": {"Role": ROLE}}, {"Resources": {"Role": dict(ROLE)}}) == ""
    assert values_difference("s", "tags", ()) == ""


def test_values_are_compared_line_by_line() -> None:
    changes = (ValueChange("Image", "ami-1", "ami-2"), ValueChange("Extra", None, "x"))
    assert values_difference("s", "parameters", changes).splitlines()[3:] == [
        "-Image: ami-1",
        "+Image: ami-2",
        "+Extra: x",
    ]
