"""Who may do what on a running cloud, with real keys: managed policies, boundaries, keys switched off, simulations."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.local.cloud import RunningCloud
from tests.local.cloud_rig import local_cloud, root_client, until
from tests.local.edge_rig import client

pytestmark = pytest.mark.cloud
NUMBERS = itertools.count()
SOON = {"Delay": 0.1, "MaxAttempts": 300}
CONDITIONS = {
    "Bounded": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Boundary"}, ""]}]},
    "Wide": {"Fn::Equals": [{"Ref": "Reach"}, "wide"]},
}
PARAMETERS = {
    "Boundary": {"Type": "String", "Default": ""},
    "Reach": {"Type": "String", "Default": "narrow"},
    "KeyStatus": {"Type": "String", "Default": "Active"},
    "GroupPath": {"Type": "String", "Default": "/neurocaas/"},
    "Members": {"Type": "CommaDelimitedList", "Default": "member"},
}


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


TEMPLATE: dict[str, Any] = {
    "Metadata": {"origin": "tests"},
    "Parameters": PARAMETERS,
    "Conditions": CONDITIONS,
    "Resources": {
        "Group": {"Type": "AWS::IAM::Group", "Properties": {"GroupName": "lab", "Path": {"Ref": "GroupPath"}}},
        "User": {
            "Type": "AWS::IAM::User",
            "Properties": {
                "UserName": "member",
                "Path": {"Ref": "GroupPath"},
                "PermissionsBoundary": {"Fn::If": ["Bounded", {"Ref": "Boundary"}, {"Ref": "AWS::NoValue"}]},
            },
        },
        "Belonging": {
            "Type": "AWS::IAM::UserToGroupAddition",
            "DependsOn": "User",
            "Properties": {"GroupName": {"Ref": "Group"}, "Users": {"Ref": "Members"}},
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "machine",
                "AssumeRolePolicyDocument": document(
                    {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
                ),
                "Policies": [],
                "ManagedPolicyArns": [{"Ref": "Second"}],
            },
        },
        "Policy": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": "lab-2",
                "Path": "/neurocaas/",
                "Groups": [{"Ref": "Group"}],
                "PolicyDocument": document(
                    allow("ec2:DescribeRegions"),
                    {"Fn::If": ["Wide", allow("ec2:DescribeVpcs", "ssm:DescribeParameters"), {"Ref": "AWS::NoValue"}]},
                ),
            },
        },
        "Second": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"ManagedPolicyName": "machine-2", "PolicyDocument": document(allow("ec2:DescribeSubnets"))},
        },
        "Key": {
            "Type": "AWS::IAM::AccessKey",
            "Properties": {"UserName": {"Ref": "User"}, "Serial": 1, "Status": {"Ref": "KeyStatus"}},
        },
        "Secret": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "Name": "/members/member",
                "SecretString": {"Fn::Sub": '{"id": "${Key}", "secret": "${Key.SecretAccessKey}"}'},
            },
        },
    },
}


@dataclass
class Lab:
    """A deployed stack with one member, and the clients of both."""

    cloud: RunningCloud
    stack: str = "lab"
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def root(self, service: str) -> Any:
        if ("root", service) not in self.clients:
            self.clients["root", service] = root_client(self.cloud, service)
        return self.clients["root", service]

    def member(self, service: str) -> Any:
        if ("member", service) not in self.clients:
            text = self.root("secretsmanager").get_secret_value(SecretId="/members/member")["SecretString"]
            secret = json.loads(text)
            self.clients["member", service] = client(self.cloud.endpoint, service, secret["id"], secret["secret"])
        return self.clients["member", service]

    def deploy(self, **parameters: str) -> None:
        """Create, or update by a change set that keeps the template and every parameter it is not given."""
        cfn = self.root("cloudformation")
        existing = {item["StackName"] for item in cfn.describe_stacks()["Stacks"]}
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in PARAMETERS if name not in parameters]
        if self.stack not in existing:
            body, capabilities = json.dumps(TEMPLATE), ["CAPABILITY_NAMED_IAM"]
            cfn.create_stack(StackName=self.stack, TemplateBody=body, Parameters=given, Capabilities=capabilities)
            cfn.get_waiter("stack_create_complete").wait(StackName=self.stack, WaiterConfig=SOON)
            return
        cfn.create_change_set(
            StackName=self.stack,
            ChangeSetName=(name := f"change-{next(NUMBERS)}"),
            UsePreviousTemplate=True,
            Parameters=[*given, *kept],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        cfn.execute_change_set(StackName=self.stack, ChangeSetName=name)
        cfn.get_waiter("stack_update_complete").wait(StackName=self.stack, WaiterConfig=SOON)

    def drift(self) -> dict[str, list[str]]:
        """Drifted resources and the paths that differ."""
        cfn = self.root("cloudformation")
        detection = cfn.detect_stack_drift(StackName=self.stack)["StackDriftDetectionId"]
        asked = {"StackDriftDetectionId": detection}

        def is_complete() -> bool:
            status = cfn.describe_stack_drift_detection_status(**asked)["DetectionStatus"]
            return bool(status == "DETECTION_COMPLETE")

        assert until(is_complete)
        filters = ["MODIFIED", "DELETED"]
        found = cfn.describe_stack_resource_drifts(StackName=self.stack, StackResourceDriftStatusFilters=filters)
        return {
            item["LogicalResourceId"]: [difference["PropertyPath"] for difference in item["PropertyDifferences"]]
            for item in found["StackResourceDrifts"]
        }


def code(call: Any, **parameters: Any) -> str:
    """The error code a call ends in; empty if it is done."""
    try:
        call(**parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One deployed stack for all; each test leaves it as it was."""
    running = local_cloud(tmp_path_factory.mktemp("rights")).up("rights", port=0)
    try:
        made = Lab(running)
        made.deploy()
        yield made
    finally:
        running.stop()


def test_a_policy_attached_to_a_group_counts_and_its_update_takes_effect_at_once(lab: Lab) -> None:
    ec2, ssm = lab.member("ec2"), lab.member("ssm")
    assert code(ec2.describe_regions) == ""
    assert code(ec2.describe_vpcs) == "UnauthorizedOperation"
    assert code(ssm.describe_parameters) == "AccessDeniedException"
    lab.deploy(Reach="wide")
    assert code(ec2.describe_vpcs) == ""
    assert code(ssm.describe_parameters) == ""
    lab.deploy(Reach="narrow")
    assert code(ec2.describe_vpcs) == "UnauthorizedOperation"
    assert code(ssm.describe_parameters) == "AccessDeniedException"


def test_a_policy_is_updated_more_often_than_it_keeps_versions(lab: Lab) -> None:
    for number in range(6):
        lab.deploy(Reach="narrow" if number % 2 else "wide")
    versions = lab.root("iam").list_policy_versions(PolicyArn="arn:aws:iam::000000000000:policy/neurocaas/lab-2")
    assert len(versions["Versions"]) == 5


def test_a_policy_attached_to_a_role_counts(lab: Lab) -> None:
    keys = lab.root("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/machine", RoleSessionName="session")
    held = keys["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    ec2 = client(lab.cloud.endpoint, "ec2", *(held[name] for name in names))
    assert code(ec2.describe_subnets) == ""
    assert code(ec2.describe_regions) == "UnauthorizedOperation"


def test_a_boundary_narrows_what_policies_allow_and_allows_nothing_by_itself(lab: Lab) -> None:
    iam = lab.root("iam")
    text = json.dumps(document(allow("ec2:DescribeVpcs", "ec2:DescribeSubnets", "ssm:*")))
    arn = iam.create_policy(PolicyName="limit", PolicyDocument=text)["Policy"]["Arn"]
    lab.deploy(Reach="wide", Boundary=arn)
    ec2, ssm = lab.member("ec2"), lab.member("ssm")
    assert code(ec2.describe_vpcs) == ""
    assert code(ssm.describe_parameters) == ""
    assert code(ec2.describe_regions) == "UnauthorizedOperation", "allowed by a policy, not by the boundary"
    assert code(ec2.describe_subnets) == "UnauthorizedOperation", "allowed by the boundary only"
    assert code(lab.member("ssm").get_parameter, Name="/x") == "AccessDeniedException"
    lab.deploy(Boundary="", Reach="narrow")
    assert code(ec2.describe_regions) == ""
    iam.delete_policy(PolicyArn=arn)


def test_a_key_that_is_switched_off_is_refused_everywhere_and_works_again_when_on(lab: Lab) -> None:
    sts, ec2, s3 = lab.member("sts"), lab.member("ec2"), lab.member("s3")
    lab.deploy(KeyStatus="Inactive")
    assert code(sts.get_caller_identity) == "InvalidClientTokenId"
    assert code(ec2.describe_regions) == "AuthFailure"
    assert code(s3.list_buckets) == "InvalidAccessKeyId"
    assert code(lab.member("cloudformation").list_stacks) == "InvalidClientTokenId"
    lab.deploy(KeyStatus="Active")
    assert code(sts.get_caller_identity) == ""
    assert code(ec2.describe_regions) == ""


def test_reading_several_parameters_needs_the_right_on_each(lab: Lab) -> None:
    iam, ssm = lab.root("iam"), lab.root("ssm")
    for name in ("/budgets/mine", "/budgets/theirs"):
        ssm.put_parameter(Name=name, Value="1", Type="String")
    resource = "arn:aws:ssm:us-east-1:000000000000:parameter/budgets/mine"
    statement = {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": resource}
    iam.put_user_policy(UserName="member", PolicyName="read", PolicyDocument=json.dumps(document(statement)))
    read = lab.member("ssm").get_parameters
    assert [item["Value"] for item in read(Names=["/budgets/mine"])["Parameters"]] == ["1"]
    assert code(read, Names=["/budgets/mine:1"]) == ""
    assert code(read, Names=["/budgets/theirs"]) == "AccessDeniedException"
    assert code(read, Names=["/budgets/mine", "/budgets/theirs"]) == "AccessDeniedException"
    assert len(ssm.get_parameters(Names=["/budgets/mine", "/budgets/theirs"])["Parameters"]) == 2
    iam.delete_user_policy(UserName="member", PolicyName="read")


def test_who_leaves_a_group_loses_its_rights_at_once(lab: Lab) -> None:
    ec2 = lab.member("ec2")
    assert code(ec2.describe_regions) == ""
    belonging = {"GroupName": "lab", "UserName": "member"}
    lab.root("iam").remove_user_from_group(**belonging)
    assert code(ec2.describe_regions) == "UnauthorizedOperation"
    lab.root("iam").add_user_to_group(**belonging)


def test_a_group_and_a_user_move_to_another_path_and_keep_what_they_have(lab: Lab) -> None:
    iam = lab.root("iam")
    before = lab.member("sts").get_caller_identity()
    lab.deploy(GroupPath="/elsewhere/")
    assert [item["GroupName"] for item in iam.list_groups(PathPrefix="/elsewhere/")["Groups"]] == ["lab"]
    assert iam.list_groups(PathPrefix="/neurocaas/")["Groups"] == []
    after = lab.member("sts").get_caller_identity()
    assert after["Arn"] == "arn:aws:iam::000000000000:user/elsewhere/member"
    assert after["UserId"] == before["UserId"]
    assert code(lab.member("ec2").describe_regions) == ""
    assert lab.drift() == {}
    assert code(iam.update_group, GroupName="lab", NewGroupName="other") == "UnsupportedOperation"
    assert code(iam.update_user, UserName="nobody", NewPath="/x/") == "NoSuchEntity"
    lab.deploy(GroupPath="/neurocaas/")


def test_what_was_given_by_hand_is_drift_what_other_resources_gave_is_not(lab: Lab) -> None:
    iam = lab.root("iam")
    assert lab.drift() == {}
    everything = json.dumps(document(allow("*")))
    iam.put_role_policy(RoleName="machine", PolicyName="by-hand", PolicyDocument=everything)
    arn = "arn:aws:iam::000000000000:policy/neurocaas/lab-2"
    iam.attach_role_policy(RoleName="machine", PolicyArn=arn)
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=everything, SetAsDefault=True)
    found = lab.drift()
    assert found["Role"] == ["/ManagedPolicyArns/1", "/Policies"]
    assert {path.split("/")[1] for path in found["Policy"]} == {"PolicyDocument"}
    assert set(found) == {"Role", "Policy"}
    iam.delete_role_policy(RoleName="machine", PolicyName="by-hand")
    iam.detach_role_policy(RoleName="machine", PolicyArn=arn)
    lab.deploy(Reach="wide")
    lab.deploy(Reach="narrow")
    assert lab.drift() == {}


def decisions(lab: Lab, source: str, *actions: str, **more: Any) -> dict[str, str]:
    arn = f"arn:aws:iam::000000000000:{source}"
    answer = lab.root("iam").simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **more)
    return {item["EvalActionName"]: item["EvalDecision"] for item in answer["EvaluationResults"]}


def test_a_simulation_says_what_a_request_would_meet(lab: Lab) -> None:
    iam = lab.root("iam")
    statements = [
        {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"},
        allow("s3:GetObject", Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}),
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::mine/*"},
    ]
    iam.put_user_policy(UserName="member", PolicyName="own", PolicyDocument=json.dumps(document(*statements)))
    try:
        user = "user/neurocaas/member"
        assert decisions(lab, user, "ec2:DescribeRegions", "s3:DeleteBucket", "s3:ListBucket") == {
            "ec2:DescribeRegions": "allowed",
            "s3:DeleteBucket": "explicitDeny",
            "s3:ListBucket": "implicitDeny",
        }
        assert decisions(lab, user, "s3:GetObject") == {"s3:GetObject": "implicitDeny"}
        context = {
            "ContextKeyName": "aws:RequestedRegion",
            "ContextKeyType": "string",
            "ContextKeyValues": ["us-east-1"],
        }
        assert decisions(lab, user, "s3:GetObject", ContextEntries=[context]) == {"s3:GetObject": "allowed"}
        answer = iam.simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::000000000000:{user}",
            ActionNames=["s3:PutObject"],
            ResourceArns=["arn:aws:s3:::mine/a", "arn:aws:s3:::other/a"],
        )["EvaluationResults"]
        assert [(item["EvalResourceName"], item["EvalDecision"]) for item in answer] == [
            ("arn:aws:s3:::mine/a", "allowed"),
            ("arn:aws:s3:::other/a", "implicitDeny"),
        ]
        assert answer[0]["MatchedStatements"][0]["SourcePolicyId"] == "own"
    finally:
        iam.delete_user_policy(UserName="member", PolicyName="own")


def test_a_simulation_weighs_groups_roles_and_boundaries(lab: Lab) -> None:
    assert decisions(lab, "group/neurocaas/lab", "ec2:DescribeRegions") == {"ec2:DescribeRegions": "allowed"}
    assert decisions(lab, "role/machine", "ec2:DescribeSubnets", "ec2:DescribeRegions") == {
        "ec2:DescribeSubnets": "allowed",
        "ec2:DescribeRegions": "implicitDeny",
    }
    answer = lab.root("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::000000000000:role/machine",
        ActionNames=["ec2:DescribeSubnets"],
        PermissionsBoundaryPolicyInputList=[json.dumps(document(allow("s3:*")))],
    )["EvaluationResults"][0]
    assert answer["EvalDecision"] == "implicitDeny"
    assert answer["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}


def test_a_simulation_needs_a_principal_and_the_right_to_simulate(lab: Lab) -> None:
    asked = {"ActionNames": ["s3:GetObject"]}
    iam = lab.root("iam")
    unclear = {"PolicySourceArn": "arn:aws:iam::000000000000:root", **asked}
    assert code(iam.simulate_principal_policy, **unclear) == "InvalidInput"
    unknown = {"PolicySourceArn": "arn:aws:iam::000000000000:user/nobody", **asked}
    assert code(iam.simulate_principal_policy, **unknown) == "NoSuchEntity"
    own = {"PolicySourceArn": "arn:aws:iam::000000000000:user/neurocaas/member", **asked}
    assert code(lab.member("iam").simulate_principal_policy, **own) == "AccessDenied"


def test_everything_goes_with_the_stack(lab: Lab) -> None:
    cfn, iam = lab.root("cloudformation"), lab.root("iam")
    local = iam.list_policies(Scope="Local")["Policies"]
    assert {item["PolicyName"] for item in local} == {"lab-2", "machine-2"}
    here = iam.list_policies(Scope="Local", PathPrefix="/neurocaas/")["Policies"]
    assert [item["PolicyName"] for item in here] == ["lab-2"]
    cfn.delete_stack(StackName=lab.stack)
    cfn.get_waiter("stack_delete_complete").wait(StackName=lab.stack, WaiterConfig=SOON)
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_groups()["Groups"] == iam.list_users()["Users"] == iam.list_roles()["Roles"] == []
