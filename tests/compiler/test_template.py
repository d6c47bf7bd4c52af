"""Rendering: stable text, and CloudFormation's limits."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_compiler.document import Json
from ncap_compiler.errors import DocumentError
from ncap_compiler.template import MAX_LISTED, policy_length, render_template


def ids(template: dict[str, Any]) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        render_template(template, stack="s")
    return [problem.id for problem in caught.value.problems]


def resource(count: int) -> dict[str, Any]:
    return {"Resources": {f"R{index}": {"Type": "AWS::SNS::Topic"} for index in range(count)}}


def test_the_text_does_not_depend_on_the_order_of_building() -> None:
    one = render_template({"b": 1, "a": {"d": 1, "c": 2}}, stack="s")
    assert one == render_template({"a": {"c": 2, "d": 1}, "b": 1}, stack="s")
    assert one.endswith("}\n")


def test_limits_are_told_by_name() -> None:
    assert render_template(resource(500), stack="s")
    assert ids(resource(501)) == ["T101"]
    assert ids({"Description": "x" * 1_000_000}) == ["T102"]
    assert ids({"Parameters": {f"P{index}": {} for index in range(201)}}) == ["T103"]


@pytest.mark.parametrize(
    ("type_", "size", "problem_id"), [("AWS::IAM::Role", 10_240, "T104"), ("AWS::IAM::Group", 5_120, "T105")]
)
def test_inline_policies_are_counted_together(type_: str, size: int, problem_id: str) -> None:
    def template(length: int) -> dict[str, Any]:
        policies = [{"PolicyDocument": "x" * (length // 2 - 2)}, {"PolicyDocument": "x" * (length - length // 2 - 2)}]
        return {"Resources": {"R": {"Type": type_, "Properties": {"Policies": policies}}}}

    assert render_template(template(size), stack="s")
    assert ids(template(size + 1)) == [problem_id]


def held(type_: str, **properties: Any) -> dict[str, Any]:
    return {"Resources": {"R": {"Type": type_, "Properties": properties}}}


@pytest.mark.parametrize(
    ("type_", "size", "problem_id"),
    [("AWS::IAM::ManagedPolicy", 6_144, "T106"), ("AWS::S3::BucketPolicy", 20_480, "T108")],
)
def test_a_policy_of_its_own_has_a_limit_of_its_own(type_: str, size: int, problem_id: str) -> None:
    assert render_template(held(type_, PolicyDocument="x" * (size - 2)), stack="s")
    assert ids(held(type_, PolicyDocument="x" * (size - 1))) == [problem_id]


@pytest.mark.parametrize(("kind", "holder"), [("Groups", {"Ref": "R"}), ("Roles", {"Ref": "R"}), ("Groups", "by-name")])
def test_a_role_or_group_takes_ten_managed_policies(kind: str, holder: Any) -> None:
    def template(count: int) -> dict[str, Any]:
        policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {}, kind: [holder, "other"]}}
        return {"Resources": {f"P{number}": policy for number in range(count)}}

    assert render_template(template(10), stack="s")
    assert ids(template(11)) == ["T107", "T107"]


def test_a_bucket_takes_a_thousand_lifecycle_rules() -> None:
    assert render_template(held("AWS::S3::Bucket", LifecycleConfiguration={"Rules": [{}] * 1000}), stack="s")
    assert ids(held("AWS::S3::Bucket", LifecycleConfiguration={"Rules": [{}] * 1001})) == ["T109"]


def test_every_problem_of_a_size_says_what_to_do() -> None:
    with pytest.raises(DocumentError) as caught:
        render_template(held("AWS::S3::BucketPolicy", PolicyDocument="x" * 30_000), stack="a-stack")
    (problem,) = caught.value.problems
    assert (problem.file, problem.pointer) == ("a-stack", "/Resources/R")
    assert "S3 takes 20,480" in problem.message
    assert problem.hint


def test_a_statement_behind_a_condition_is_measured_as_if_it_were_there() -> None:
    statement: Json = {"Fn::If": ["Given", {"Resource": {"Fn::Sub": "${AWS::AccountId}"}}, {"Ref": "AWS::NoValue"}]}
    assert policy_length([statement]) == len('[{"Resource":"000000000000"}]')


def test_a_listed_parameter_is_measured_at_its_longest() -> None:
    images: Json = {"Fn::Split": [",", {"Ref": "EarlierImages"}]}
    longest = ",".join(["arn:aws-us-gov:ec2:ap-southeast-1::image/ami-" + "0" * 17] * 20)
    assert len(longest) <= MAX_LISTED
    assert policy_length(images) >= len(longest) + 2 * 20 + 2
    types: Json = {"Fn::Split": [",", {"Ref": "InstanceTypes"}]}
    assert policy_length(types) >= MAX_LISTED * 10 // 8


def test_a_policy_is_measured_as_iam_will_see_it() -> None:
    assert policy_length({"a": {"Fn::Sub": "${AWS::AccountId}"}}) == len('{"a":"000000000000"}')
