"""Templates with their parameters filled in: what is made, and what stays for CloudFormation to know."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_iac.deploy.resolved import Resolver, effective_parameters, name_of, resolve_template

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Key": {"Default": ""}, "Email": {}, "With": {"Default": "true"}},
    "Conditions": {
        "KeyNamed": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Key"}, ""]}]},
        "Wanted": {"Fn::Equals": [{"Ref": "With"}, "true"]},
        "Both": {"Fn::And": [{"Condition": "KeyNamed"}, {"Condition": "Wanted"}]},
        "Either": {"Fn::Or": [{"Condition": "KeyNamed"}, {"Condition": "Wanted"}]},
    },
    "Resources": {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Condition": "Wanted",
            "Properties": {
                "Kms": {"Fn::If": ["KeyNamed", {"Ref": "Key"}, {"Ref": "AWS::NoValue"}]},
                "Arn": {"Fn::Sub": "arn:${AWS::Partition}:${Key}"},
                "Plain": {"Fn::Sub": "key ${Key}"},
                "Items": [1, {"Fn::If": ["KeyNamed", 2, {"Ref": "AWS::NoValue"}]}],
                "Other": {"Ref": "Table"},
                "Email": {"Ref": "Email"},
            },
        }
    },
}


def properties(**parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = resolve_template(TEMPLATE, parameters)["Resources"]["Topic"]["Properties"]
    return found


def test_parameters_and_conditions_are_decided_and_the_rest_stays() -> None:
    assert properties() == {
        "Arn": {"Fn::Sub": "arn:${AWS::Partition}:"},
        "Plain": "key ",
        "Items": [1],
        "Other": {"Ref": "Table"},
        "Email": {"Ref": "Email"},
    }
    filled = properties(Key="k")
    assert (filled["Kms"], filled["Plain"], filled["Items"]) == ("k", "key k", [1, 2])


def test_a_resource_whose_condition_does_not_hold_is_not_made() -> None:
    assert resolve_template(TEMPLATE, {"With": "false"})["Resources"] == {}


@pytest.mark.parametrize(
    ("name", "parameters", "holds"),
    [
        ("Both", {}, False),
        ("Both", {"Key": "k"}, True),
        ("Either", {"With": "false"}, False),
        ("Either", {}, True),
        ("NotThere", {}, True),
    ],
)
def test_conditions(name: str, parameters: dict[str, str], holds: bool) -> None:
    assert Resolver(TEMPLATE, parameters).holds({"Condition": name}) is holds


def test_values_are_given_ones_then_defaults_and_only_those_declared() -> None:
    assert effective_parameters(TEMPLATE, {"Email": "a@b", "Else": "x"}) == {"Key": "", "With": "true", "Email": "a@b"}


def test_things_are_called_by_their_own_name_where_there_is_one() -> None:
    assert name_of("Logical", {"Properties": {"BucketName": "mine"}}) == "mine"
    assert name_of("Logical", {"Properties": {"BucketName": {"Fn::Sub": "a-${B}"}}}) == "Logical"
