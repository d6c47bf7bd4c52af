"""Rendering: stable text, and CloudFormation's limits."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_compiler.errors import DocumentError
from ncap_compiler.template import policy_length, render_template


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


def test_a_policy_is_measured_as_iam_will_see_it() -> None:
    assert policy_length({"a": {"Fn::Sub": "${AWS::AccountId}"}}) == len('{"a":"000000000000"}')
