"""What a template may say, what it means, and what is refused before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.cloudformation.sources import object_of
from ncap_iac.local.service import ServiceError
from tests.local.cloudformation_rig import ACCOUNT, REGION, Rig, running, template, thing

IMAGE = "ami-0123456789abcdef0"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path) as made:
        yield made


def refusal(rig: Rig, body: Any, **more: Any) -> ServiceError:
    """The error of a creation; nothing may be left by it."""
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(ServiceError) as caught:
        rig.call("CreateStack", StackName="s", TemplateBody=text, **more)
    assert rig.call("ListStacks")["StackSummaries"] == []
    assert rig.cloud.calls == []
    return caught.value


def value_of(rig: Rig, value: Any, sections: dict[str, Any] | None = None, **more: Any) -> Any:
    """What a value in a template comes to."""
    stack = template(A=thing(Name="a"), B=thing(value, Name="b"), sections=sections)
    assert rig.create(stack, **more) == "CREATE_COMPLETE"
    return rig.cloud.things["b"].get("Value")


def parameters(**values: str) -> list[dict[str, str]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]


MAPPINGS = {"Mappings": {"Sizes": {"us-east-1": {"small": "1", "list": ["x", "y"]}}}}


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ({"Ref": "A"}, "a"),
        ({"Ref": "AWS::Region"}, REGION),
        ({"Ref": "AWS::AccountId"}, ACCOUNT),
        ({"Fn::GetAtt": ["A", "Arn"]}, "arn:a"),
        ({"Fn::GetAtt": "A.Arn"}, "arn:a"),
        ({"Fn::Sub": "${A}/${A.Arn}/${AWS::Partition}/${!A}"}, "a/arn:a/aws/${A}"),
        ({"Fn::Sub": ["${x}-${A}", {"x": {"Fn::Join": ["", ["y", "z"]]}}]}, "yz-a"),
        ({"Fn::Join": [":", ["1", {"Ref": "A"}, 2, True]]}, "1:a:2:true"),
        ({"Fn::Select": ["1", ["p", "q"]]}, "q"),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "us-east-1a"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "small"]}, "1"),
        ({"Fn::FindInMap": ["Sizes", "us-east-1", "list"]}, ["x", "y"]),
        ({"Fn::Base64": {"Fn::Sub": "${A}"}}, "YQ=="),
        ([{"Ref": "AWS::NoValue"}, "kept"], ["kept"]),
        ({"k": {"Ref": "AWS::NoValue"}, "l": 1}, {"l": 1}),
        ({"Condition": "is a word of policies"}, {"Condition": "is a word of policies"}),
    ],
)
def test_functions(rig: Rig, value: Any, meant: Any) -> None:
    assert value_of(rig, value, MAPPINGS) == meant


def test_conditions_choose_values_resources_and_outputs(rig: Rig) -> None:
    sections = {
        "Parameters": {"Stage": {"Type": "String", "Default": "dev"}, "Size": {"Type": "Number", "Default": 3}},
        "Conditions": {
            "Dev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
            "Three": {"Fn::Equals": [{"Ref": "Size"}, "3"]},
            "Both": {"Fn::And": [{"Condition": "Dev"}, {"Condition": "Three"}]},
            "Neither": {"Fn::Not": [{"Fn::Or": [{"Condition": "Dev"}, {"Condition": "Three"}]}]},
        },
    }
    stack = template(
        A=thing({"Fn::If": ["Both", "yes", {"Ref": "N"}]}, Name="a", DependsOn="N"),
        N=thing(Name="n", Condition="Neither"),
        sections=sections,
        outputs={"Gone": {"Value": {"Ref": "N"}, "Condition": "Neither"}, "Here": {"Value": {"Ref": "A"}}},
    )
    assert rig.create(stack) == "CREATE_COMPLETE"
    assert set(rig.cloud.things) == {"a"}
    assert rig.cloud.things["a"]["Value"] == "yes"
    assert rig.outputs() == {"Here": "a"}
    assert rig.update(stack, Parameters=parameters(Stage="prod", Size="4")) == "UPDATE_COMPLETE"
    assert rig.cloud.things["a"]["Value"] == "n"


def test_yaml_with_short_tags_means_the_same(rig: Rig) -> None:
    text = """
AWSTemplateFormatVersion: 2010-09-09
Conditions: {Always: !Equals [a, a]}
Resources:
  A:
    Type: Test::Thing
    Properties: {Name: a, Value: {Version: 2012-10-17, Truth: true}}
  B:
    Type: Test::Thing
    Properties:
      Name: b
      Value: !If [Always, !Sub "${A.Arn}!", !Ref AWS::NoValue]
      Uses: !Join ["-", [!GetAtt A.Arn, !Select [0, [z]]]]
"""
    rig.call("CreateStack", StackName="s", TemplateBody=text)
    rig.settle()
    assert rig.cloud.things["a"]["Value"] == {"Version": "2012-10-17", "Truth": True}
    assert rig.cloud.things["b"]["Value"] == "arn:a!"
    assert rig.cloud.things["b"]["Uses"] == "arn:a-z"
    assert rig.call("GetTemplate", StackName="s")["TemplateBody"] == text


ONE = template(A=thing(Name="a"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", r"JSON not well-formed\. \(line 1, column 2\)"),
        ("a: [", "YAML not well-formed"),
        ("[]", "unsupported structure"),
        ({"Resources": {}}, "At least one Resources member must be defined"),
        ({**ONE, "Resource": {}}, r"Invalid template property or properties \[Resource\]"),
        ({**ONE, "Transform": "AWS::Serverless-2016-10-31"}, "does not support the section Transform"),
        ({**ONE, "Rules": {}}, "does not support the section Rules"),
        (template(A={"Type": "Test::Nothing"}), r"Unrecognized resource types: \[Test::Nothing\]"),
        (template(A={**thing(), "CreationPolicy": {}}), "Invalid template resources property 'CreationPolicy'"),
        (template(A=thing(Valu="x")), r"unsupported property Valu of Test::Thing \(did you mean Value\?\)"),
        (template(A={"Type": "Test::Thing"}), r"required key \[Value\] not found"),
        (template(A=thing({"Ref": "AWS::NoValue"})), r"required key \[Value\] not found"),
        (template(A=thing({"Ref": "Nobody"})), r"Unresolved resource dependencies \[Nobody\] in the Resources block"),
        (template(A=thing(), outputs={"O": {"Value": {"Ref": "No"}}}), r"\[No\] in the Outputs block"),
        (template(A=thing({"Fn::Sub": "${Nobody}"})), r"Unresolved resource dependencies \[Nobody\]"),
        (template(A=thing({"Fn::GetAtt": "Nobody.Arn"})), "GetAtt references undefined resource Nobody"),
        (template(A=thing(), B=thing({"Fn::GetAtt": "A.Am"})), "does not support attribute type Am"),
        (template(A=thing(DependsOn="Nobody")), r"Unresolved resource dependencies \[Nobody\]"),
        (template(A=thing({"Fn::Cidr": []})), "Fn::Cidr"),
        (template(A=thing({"Fn::If": ["No", 1, 2]})), "Unresolved condition dependency No"),
        (template(A=thing(Condition="No")), "Unresolved condition dependency No"),
        (template(A=thing({"Fn::ImportValue": "nothing"})), "No export named nothing found"),
        (template(A=thing({"Fn::FindInMap": ["M", "a", "b"]})), "Unable to get mapping for M::a::b"),
        (template(A=thing({"Fn::Select": ["3", ["a"]]})), "nonexistent value at index 3"),
        (template(A=thing(DeletionPolicy="Snapshot")), "Unrecognized DeletionPolicy Snapshot"),
        (
            template(A=thing({"Ref": "B"}), B=thing({"Ref": "C"}), C=thing({"Fn::Sub": "${A}"})),
            r"Circular dependency between resources: \[A, B, C\]",
        ),
        (template(**{f"R{number}": thing() for number in range(501)}), "greater than maximum allowed, 500"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_made(rig: Rig, body: Any, said: str) -> None:
    error = refusal(rig, body)
    assert error.code == "ValidationError"
    with pytest.raises(ServiceError, match=said):
        raise error


def test_a_reference_to_a_resource_whose_condition_is_false_is_refused(rig: Rig) -> None:
    sections = {"Conditions": {"No": {"Fn::Equals": ["a", "b"]}}}
    error = refusal(rig, template(A=thing(Condition="No"), B=thing({"Ref": "A"}), sections=sections))
    assert "Unresolved resource dependencies [A]" in error.message


def parameter(**members: Any) -> dict[str, Any]:
    return template(A=thing({"Ref": "P"}, Name="a"), sections={"Parameters": {"P": {"Type": "String", **members}}})


@pytest.mark.parametrize(
    ("members", "given", "said"),
    [
        ({}, None, r"Parameters: \[P\] must have values"),
        ({"AllowedValues": ["a", "b"]}, "c", "must be one of AllowedValues"),
        ({"AllowedPattern": "[a-z]+"}, "ABC", "must match pattern"),
        ({"AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters"}, "ABC", "small letters"),
        ({"MinLength": 3}, "ab", "at least 3"),
        ({"MaxLength": "3"}, "abcd", "at most 3"),
        ({"Type": "Number"}, "three", "must be a number"),
        ({"Type": "Number", "MinValue": 0}, "-1", "at least 0"),
        ({"Type": "Number", "MaxValue": 5}, "6", "at most 5"),
        ({"Type": "AWS::EC2::Image::Id"}, "ubuntu", "valid AWS::EC2::Image::Id"),
        ({"Type": "AWS::EC2::Image::Id"}, "ami-00000000000000000", "does not exist"),
        ({"Type": "List<AWS::EC2::Subnet::Id>"}, "subnet-12345678,vpc-1", "valid AWS::EC2::Subnet::Id"),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, "/x", "Unrecognized parameter type"),
        ({"NoEcho": True, "MaxLength": 1}, "secret", r"found '\*\*\*\*'"),
    ],
)
def test_parameters_are_held_against_their_definition(
    rig: Rig, members: dict[str, Any], given: str | None, said: str
) -> None:
    error = refusal(rig, parameter(**members), Parameters=[] if given is None else parameters(P=given))
    with pytest.raises(ServiceError, match=said):
        raise error


@pytest.mark.parametrize(
    ("members", "given", "value"),
    [
        ({"Default": "d"}, None, "d"),
        ({"Default": True}, None, "true"),
        ({"Type": "Number", "Default": 0}, None, "0"),
        ({"Type": "CommaDelimitedList"}, "a, b,c", ["a", "b", "c"]),
        ({"Type": "CommaDelimitedList", "Default": ""}, None, []),
        ({"Type": "AWS::EC2::Image::Id"}, IMAGE, IMAGE),
        ({"Default": ""}, None, ""),
    ],
)
def test_parameters_have_values(rig: Rig, members: dict[str, Any], given: str | None, value: Any) -> None:
    assert (
        rig.create(parameter(**members), Parameters=[] if given is None else parameters(P=given)) == "CREATE_COMPLETE"
    )
    assert rig.cloud.things["a"]["Value"] == value


def test_unknown_parameters_are_named_and_previous_values_can_be_kept(rig: Rig) -> None:
    assert "[Q] do not exist" in refusal(rig, ONE, Parameters=parameters(Q="1")).message
    stack = parameter()
    stack["Resources"]["A"]["Properties"]["Size"] = 1
    rig.create(stack, Parameters=parameters(P="first"))
    stack["Resources"]["A"]["Properties"]["Size"] = 2
    keep = [{"ParameterKey": "P", "UsePreviousValue": True}]
    assert rig.update(stack, Parameters=keep) == "UPDATE_COMPLETE"
    assert rig.cloud.things["a"]["Value"] == "first"


def test_identities_need_a_capability(rig: Rig) -> None:
    named = template(R={"Type": "AWS::IAM::Role", "Properties": {"Value": "v"}})
    error = refusal(rig, named)
    assert error.code == "InsufficientCapabilitiesException"
    assert error.message == "Requires capabilities : [CAPABILITY_IAM]"
    assert rig.create(named, Capabilities=["CAPABILITY_NAMED_IAM"]) == "CREATE_COMPLETE"
    summary = rig.call("GetTemplateSummary", StackName="s")
    assert summary["Capabilities"] == ["CAPABILITY_IAM"]
    assert "AWS::IAM::Role" in summary["CapabilitiesReason"]


def test_a_body_has_a_limit_and_a_larger_template_comes_from_s3(rig: Rig) -> None:
    large = json.dumps({**ONE, "Metadata": {"x": "y" * 60_000}})
    assert "51200" in refusal(rig, large).message
    rig.s3.objects["artifacts", "templates/a b.json"] = large.encode()
    rig.call("CreateStack", StackName="s", TemplateURL="http://127.0.0.1:1/artifacts/templates/a%20b.json")
    rig.settle()
    assert rig.status() == "CREATE_COMPLETE"
    rig.s3.objects["artifacts", "huge"] = b"{" + b" " * 1_100_000
    with pytest.raises(ServiceError, match="may not exceed"):
        rig.call("ValidateTemplate", TemplateURL="https://s3.amazonaws.com/artifacts/huge")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://s3.amazonaws.com/b/k/x", ("b", "k/x", "")),
        ("https://s3.eu-west-1.amazonaws.com/b/k?versionId=v1", ("b", "k", "v1")),
        ("https://my.bucket.s3.us-east-1.amazonaws.com/k/x", ("my.bucket", "k/x", "")),
        ("http://127.0.0.1:4566/b/k", ("b", "k", "")),
    ],
)
def test_template_urls(url: str, meant: tuple[str, str, str]) -> None:
    assert object_of(url) == meant


@pytest.mark.parametrize("url", ["s3://b/k", "https://s3.amazonaws.com/b", "nonsense"])
def test_other_template_urls_are_refused(url: str) -> None:
    with pytest.raises(ServiceError, match="TemplateURL"):
        object_of(url)


def test_validate_template_tells_parameters_without_making_anything(rig: Rig) -> None:
    body = json.dumps({**parameter(Default="d", Description="what"), "Description": "all of it"})
    answer = rig.call("ValidateTemplate", TemplateBody=body)
    assert answer["Description"] == "all of it"
    assert answer["Parameters"] == [{"ParameterKey": "P", "DefaultValue": "d", "NoEcho": False, "Description": "what"}]
    with pytest.raises(ServiceError, match="Unrecognized resource types"):
        rig.call("ValidateTemplate", TemplateBody=json.dumps(template(A={"Type": "Nope"})))
    assert rig.call("ListStacks")["StackSummaries"] == []
