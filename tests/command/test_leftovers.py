"""What is left of stacks: judged from things and stacks as values, found with recorded answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from ncap_iac.aws import Gateway
from ncap_iac.deploy.leftovers import REMOVALS, Leftover, Stack, Standing, Thing, held, leftovers, removal, thing_of
from ncap_iac.deploy.leftovers_fetch import find_things, stack_of
from ncap_iac.target import Target

HERE = "us-east-1"
ARN = f"arn:aws:{{}}:{HERE}:123456789012:{{}}"
NOW = datetime(2026, 11, 22, tzinfo=UTC)

ARNS = [
    ("arn:aws:s3:::kalman-lds", "bucket", "kalman-lds"),
    (ARN.format("dynamodb", "table/neurocaas-ledger"), "table", "neurocaas-ledger"),
    (ARN.format("lambda", "function:neurocaas-submit-x"), "function", "neurocaas-submit-x"),
    (ARN.format("logs", "log-group:/aws/lambda/neurocaas-submit-x:*"), "log group", "/aws/lambda/neurocaas-submit-x"),
    (ARN.format("sns", "neurocaas-notifications"), "topic", "neurocaas-notifications"),
    (ARN.format("sqs", "neurocaas-dead-letters"), "queue", "neurocaas-dead-letters"),
    (ARN.format("events", "rule/neurocaas-sweeper"), "rule", "neurocaas-sweeper"),
    (ARN.format("cloudwatch", "alarm:neurocaas-x"), "alarm", "neurocaas-x"),
    (ARN.format("ssm", "parameter/neurocaas/budgets/a/b"), "parameter", "/neurocaas/budgets/a/b"),
    (ARN.format("secretsmanager", "secret:/neurocaas/members/a-Ab12Cd"), "secret", "/neurocaas/members/a-Ab12Cd"),
    (ARN.format("ec2", "launch-template/lt-1"), "launch template", "lt-1"),
    (ARN.format("ec2", "volume/vol-1"), "volume", "vol-1"),
    (ARN.format("ec2", "instance/i-1"), "instance", "i-1"),
    (ARN.format("cloudformation", "stack/kalman-lds/8f00"), "stack", "kalman-lds"),
    ("arn:aws:iam::123456789012:role/neurocaas/instances/neurocaas-instance-a", "role", "neurocaas-instance-a"),
    (ARN.format("newservice", "gadget/one"), "newservice gadget", "one"),
]


def judge(*things: Thing, stacks: tuple[Stack, ...] = (), within: frozenset[str] | None = None) -> list[Leftover]:
    return list(leftovers(things, stacks, region=HERE, within=within))


def stack(name: str, *holds: tuple[str, str], region: str = HERE, status: str = "CREATE_COMPLETE") -> Stack:
    found = [held(kind, physical) for kind, physical in holds]
    return Stack(name, region, status, frozenset().union(*found))


@pytest.mark.parametrize(("arn", "kind", "name"), ARNS, ids=[name for _, name, _ in ARNS])
def test_an_arn_says_what_a_thing_is_and_how_commands_call_it(arn: str, kind: str, name: str) -> None:
    thing = thing_of(arn, "s")
    assert (thing.kind, thing.name) == (kind, name)
    command = removal(thing)
    assert command == "" if kind not in REMOVALS else name in command


def test_what_an_existing_stack_holds_is_no_leftover() -> None:
    things = [thing_of(arn, "kalman-lds") for arn, _, _ in ARNS[:8]]
    holds = stack(
        "kalman-lds",
        ("AWS::S3::Bucket", "kalman-lds"),
        ("AWS::DynamoDB::Table", "neurocaas-ledger"),
        ("AWS::Lambda::Function", "neurocaas-submit-x"),
        ("AWS::Logs::LogGroup", "/aws/lambda/neurocaas-submit-x"),
        ("AWS::SNS::Topic", ARN.format("sns", "neurocaas-notifications")),
        ("AWS::SQS::Queue", "https://sqs.us-east-1.amazonaws.com/123456789012/neurocaas-dead-letters"),
        ("AWS::Events::Rule", "neurocaas-sweeper"),
        ("AWS::CloudWatch::Alarm", "neurocaas-x"),
    )
    assert judge(*things, stacks=(holds,)) == []


def test_of_a_stack_that_is_gone_data_is_kept_and_the_rest_should_not_be_there() -> None:
    found = judge(*(thing_of(arn, "gone") for arn, _, _ in ARNS if "cloudformation" not in arn))
    kept = {item.thing.kind for item in found if item.standing is Standing.KEPT}
    assert kept == {"bucket", "table"}
    assert len(found) == len(ARNS) - 1
    assert found[0].standing is Standing.UNEXPECTED
    assert all("stack gone does not exist" in item.why for item in found)


def test_running_instances_of_a_stack_that_is_there_belong_to_jobs_and_others_do_not() -> None:
    running = Thing("instance", "i-1", "kalman-lds", state="running")
    assert judge(running, stacks=(stack("kalman-lds"),)) == []
    found = judge(running)
    assert [item.standing for item in found] == [Standing.UNEXPECTED]
    assert found[0].command == "aws ec2 terminate-instances --instance-ids i-1"
    assert judge(Thing("instance", "i-2", "kalman-lds", state="terminated")) == []


def test_a_thing_with_a_living_stack_s_tag_that_the_stack_does_not_hold_is_told() -> None:
    replaced = thing_of(ARN.format("lambda", "function:neurocaas-old"), "kalman-lds")
    found = judge(replaced, stacks=(stack("kalman-lds", ("AWS::Lambda::Function", "neurocaas-other")),))
    assert [item.why for item in found] == ["stack kalman-lds does not hold it"]


def test_a_name_held_as_another_kind_does_not_excuse_a_thing() -> None:
    role = Thing("role", "neurocaas-instance-a", None)
    holds = stack("neurocaas-users-x", ("AWS::IAM::InstanceProfile", "neurocaas-instance-a"))
    assert [item.thing for item in judge(role, stacks=(holds,))] == [role]


def test_identities_held_in_another_region_are_not_called_leftovers() -> None:
    role = Thing("role", "neurocaas-submit-x", "x")
    elsewhere = stack("x", ("AWS::IAM::Role", "neurocaas-submit-x"), region="eu-west-1")
    found = judge(role, stacks=(elsewhere,))
    assert [(item.standing, item.command) for item in found] == [(Standing.ELSEWHERE, "")]


def test_a_stack_whose_deletion_failed_is_itself_a_leftover() -> None:
    thing = thing_of(ARN.format("cloudformation", "stack/x/1"), "x")
    assert [item.why for item in judge(thing, stacks=(stack("x", status="DELETE_FAILED"),))] == ["it is DELETE_FAILED"]
    assert judge(thing, stacks=(stack("x"),)) == []


def test_only_the_stacks_asked_about_are_told() -> None:
    ours, theirs = Thing("role", "a", "one"), Thing("role", "b", "two")
    assert [item.thing for item in judge(ours, theirs, within=frozenset({"one"}))] == [ours]


def test_names_cannot_break_out_of_a_command() -> None:
    assert removal(Thing("role", "x; rm -rf ~", None)) == "aws iam delete-role --role-name 'x; rm -rf ~'"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(Target("AWS", region=HERE, access_key_id="testing", secret_access_key="testing"))


def entity(kind: str, name: str) -> dict[str, Any]:
    arn = f"arn:aws:iam::123456789012:{kind.lower()}/neurocaas/{name}"
    return {f"{kind}Name": name, f"{kind}Id": "A" * 16, "Arn": arn, "Path": "/neurocaas/", "CreateDate": NOW}


@pytest.fixture
def iam(gateway: Gateway) -> Iterator[Stubber]:
    with Stubber(gateway.session.client("iam")) as stub:
        path = {"PathPrefix": "/neurocaas/"}
        stub.add_response("list_roles", {"Roles": [entity("Role", "r")]}, path)
        tags = {"Tags": [{"Key": "neurocaas:stack", "Value": "x"}]}
        stub.add_response("list_role_tags", tags, {"RoleName": "r"})
        stub.add_response("list_users", {"Users": []}, path)
        stub.add_response("list_groups", {"Groups": [entity("Group", "g")]}, path)
        stub.add_response("list_instance_profiles", {"InstanceProfiles": []}, path)
        stub.add_response("list_policies", {"Policies": []}, {**path, "Scope": "Local"})
        yield stub
        stub.assert_no_pending_responses()


def test_things_are_found_by_tag_by_path_and_as_instances(gateway: Gateway, iam: Stubber) -> None:
    tag = {"Key": "neurocaas:stack", "Value": "x"}
    mapped = [
        {"ResourceARN": "arn:aws:s3:::x", "Tags": [tag]},
        # Long ended: the tagging service remembers it, EC2 does not.
        {"ResourceARN": ARN.format("ec2", "instance/i-old"), "Tags": [tag]},
    ]
    instance = {"InstanceId": "i-1", "State": {"Name": "running"}, "Tags": [tag]}
    with (
        Stubber(gateway.session.client("resourcegroupstaggingapi")) as tagging,
        Stubber(gateway.session.client("ec2")) as ec2,
    ):
        asked = {"TagFilters": [{"Key": "neurocaas:stack"}]}
        tagging.add_response("get_resources", {"ResourceTagMappingList": mapped}, asked)
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": [instance]}]})
        found = find_things(gateway)
    assert [(thing.kind, thing.name, thing.stack) for thing in found] == [
        ("bucket", "x", "x"),
        ("instance", "i-1", "x"),
        ("role", "r", "x"),
        ("IAM group", "g", None),
    ]


def test_a_stack_holds_what_was_not_deleted_from_it_and_one_that_is_not_there_nothing(gateway: Gateway) -> None:
    def resource(name: str, status: str) -> dict[str, Any]:
        return {
            "LogicalResourceId": name, "PhysicalResourceId": name, "ResourceType": "AWS::IAM::Role",
            "LastUpdatedTimestamp": NOW, "ResourceStatus": status,
        }  # fmt: skip

    with Stubber(gateway.session.client("cloudformation")) as stub:
        listed = [resource("a", "CREATE_COMPLETE"), resource("b", "DELETE_COMPLETE"), resource("c", "DELETE_SKIPPED")]
        stub.add_response("list_stack_resources", {"StackResourceSummaries": listed}, {"StackName": "x"})
        assert stack_of(gateway, "x").holds == {("role", "a")}
        stub.add_client_error("list_stack_resources", "ValidationError", "Stack with id y does not exist")
        assert stack_of(gateway, "y").holds == frozenset()
