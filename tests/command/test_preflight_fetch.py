"""What preflight asks AWS and how it reads the answers: calls checked against AWS's own models, answers recorded."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from ncap_iac.aws import Gateway
from ncap_iac.cli import main
from ncap_iac.errors import AccessError
from ncap_iac.preflight import facts, fetch
from ncap_iac.preflight.checks import Cause, Finding, Verdict
from ncap_iac.preflight.facts import Answering, Holder, Way
from ncap_iac.preflight.network import network
from ncap_iac.preflight.permissions import Asked
from ncap_iac.preflight.run import Check, Outside, preflight, run_checks
from ncap_iac.target import Target

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
Say = Callable[..., None]


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(Target("AWS", region="us-east-1", access_key_id="testing", secret_access_key="testing"))


@pytest.fixture
def say(gateway: Gateway) -> Iterator[Say]:
    """Records an answer, or with `code` a refusal, of a service's next call, which must be the one named."""
    stubs: dict[str, Stubber] = {}
    with ExitStack() as stack:

        def add(
            service: str, operation: str, answer: dict[str, Any] | None = None, *, code: str = "", **asked: Any
        ) -> None:
            if service not in stubs:
                stubs[service] = stack.enter_context(Stubber(gateway.session.client(service)))
            expected = asked or None
            if code:
                status = int(code) if code.isdigit() else 400
                stubs[service].add_client_error(operation, code, http_status_code=status, expected_params=expected)
            else:
                stubs[service].add_response(operation, answer or {}, expected)

        yield add
        for stub in stubs.values():
            stub.assert_no_pending_responses()


def test_the_clock_is_read_from_the_answer_s_date(gateway: Gateway, say: Say) -> None:
    date = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sun, 22 Nov 2026 12:02:00 GMT"}}}
    say("sts", "get_caller_identity", {"Account": "1" * 12, "Arn": "arn:aws:iam::1:user/me", **date})
    assert fetch.identity(gateway, lambda: NOW) == facts.Identity("1" * 12, "arn:aws:iam::1:user/me", 120.0)
    assert fetch.clock_offset({}, NOW) is None


def test_bad_credentials_end_the_look_with_a_reason_and_the_clock(gateway: Gateway, say: Say) -> None:
    say("sts", "get_caller_identity", code="InvalidClientTokenId")
    found = preflight(facts.Needs(), Outside(gateway, lambda: 0.0, lambda: NOW))
    assert [(item.check, item.verdict, item.cause) for item in found] == [("identity", Verdict.PROBLEM, Cause.ACCESS)]


def test_without_a_region_there_is_nothing_to_look_at(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["preflight", "--aws", "--project", str(project_root)]) == 2
    assert "--region" in capsys.readouterr().err


def test_a_region_is_enabled_if_aws_lists_it(gateway: Gateway, say: Say) -> None:
    say("ec2", "describe_regions", {"Regions": [{"RegionName": "us-east-1", "OptInStatus": "opt-in-not-required"}]})
    assert fetch.region(gateway).opt_in == "opt-in-not-required"
    say("ec2", "describe_regions", {"Regions": [{"RegionName": "eu-west-1"}]})
    assert fetch.region(gateway).opt_in == "not-opted-in"


@pytest.mark.parametrize(
    ("code", "answering"),
    [("", Answering.ANSWERS), ("AccessDenied", Answering.DENIED), ("InternalError", Answering.OTHER)],
)
def test_a_service_that_answers_is_there_whatever_it_says(
    gateway: Gateway, say: Say, code: str, answering: Answering
) -> None:
    say("budgets", "describe_budgets", code=code, AccountId="1" * 12, MaxResults=1)
    assert fetch.reach(gateway, "AWS::Budgets", "1" * 12).answering is answering


def test_a_service_nobody_listens_for_is_unreachable() -> None:
    nowhere = Gateway(
        Target(
            "nowhere", region="us-east-1", endpoint_url="http://127.0.0.1:9",
            access_key_id="testing", secret_access_key="testing",
        )
    )  # fmt: skip
    assert fetch.reach(nowhere, "AWS::SQS", "1").answering is Answering.UNREACHABLE


def test_only_services_of_the_stacks_are_asked_and_those_deploying_needs() -> None:
    asked = fetch.services_of(["AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Custom::Thing"])
    assert asked == ("AWS::CloudFormation", "AWS::ResourceGroups", "AWS::SQS", "AWS::ServiceQuotas")


def test_the_simulator_is_asked_a_resource_at_a_time_and_denials_kept(gateway: Gateway, say: Say) -> None:
    def result(action: str, decision: str, *missing: str) -> dict[str, Any]:
        return {"EvalActionName": action, "EvalDecision": decision, "MissingContextValues": list(missing)}

    role = "arn:aws:iam::1:role/x/Deploy"
    for answer in ([result("s3:CreateBucket", "allowed")], [result("iam:CreateRole", "implicitDeny", "aws:tag")]):
        say("iam", "simulate_principal_policy", {"EvaluationResults": answer, "IsTruncated": False})
    asked = [Asked("arn:aws:s3:::x", ("s3:CreateBucket",)), Asked("arn:aws:iam::1:role/x", ("iam:CreateRole",))]
    assert fetch.simulation(gateway, role, asked, boundary="arn:b") == facts.Simulation(
        role, 2, (facts.Denial("iam:CreateRole", "arn:aws:iam::1:role/x", "implicitDeny", ("aws:tag",)),)
    )


def test_who_may_not_simulate_is_told_so_by_the_gateway(gateway: Gateway, say: Say) -> None:
    say("iam", "simulate_principal_policy", code="AccessDenied")
    with pytest.raises(AccessError):
        fetch.simulation(gateway, "arn:aws:iam::1:role/x", [Asked("*", ("s3:ListBucket",))])


def test_zones_and_vcpus_of_instance_types_are_joined(gateway: Gateway, say: Say) -> None:
    wanted = [{"Name": "instance-type", "Values": ["m5.large", "zz.large"]}]
    offers = [{"InstanceType": "m5.large", "Location": zone} for zone in ("us-east-1b", "us-east-1a")]
    say(
        "ec2", "describe_instance_type_offerings", {"InstanceTypeOfferings": offers},
        LocationType="availability-zone", Filters=wanted,
    )  # fmt: skip
    known = {
        "InstanceType": "m5.large",
        "VCpuInfo": {"DefaultVCpus": 2},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    }
    say("ec2", "describe_instance_types", {"InstanceTypes": [known]}, Filters=wanted)
    assert fetch.machine_types(gateway, ["zz.large", "m5.large", "m5.large"]) == (
        facts.MachineType("m5.large", 2, ("x86_64",), ("us-east-1a", "us-east-1b")),
        facts.MachineType("zz.large"),
    )


def test_a_quota_never_changed_has_aws_s_default_and_one_nobody_may_read_none(gateway: Gateway, say: Say) -> None:
    say("service-quotas", "get_service_quota", code="NoSuchResourceException", ServiceCode="s3", QuotaCode="L-1")
    say(
        "service-quotas",
        "get_aws_default_service_quota",
        {"Quota": {"Value": 100.0}},
        ServiceCode="s3",
        QuotaCode="L-1",
    )
    assert fetch.service_quota(gateway, "s3", "L-1") == 100
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        say("service-quotas", operation, code="AccessDeniedException")
    assert fetch.service_quota(gateway, "s3", "L-1") is None


def test_reserved_concurrency_counts_only_functions_that_are_there(gateway: Gateway, say: Say) -> None:
    limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 990}
    say("lambda", "get_account_settings", {"AccountLimit": limits})
    say("lambda", "get_function_concurrency", {"ReservedConcurrentExecutions": 10}, FunctionName="a")
    say("lambda", "get_function_concurrency", code="ResourceNotFoundException", FunctionName="b")
    assert fetch.concurrency(gateway, ["a", "b"]) == facts.Concurrency(1000, 990, (("a", 10),))


def test_identities_of_ours_are_not_counted_again(gateway: Gateway, say: Say) -> None:
    say("iam", "get_account_summary", {"SummaryMap": {"Groups": 7, "GroupsQuota": 300}})
    group = {"GroupName": "neurocaas-a", "GroupId": "g" * 16, "Arn": "arn:aws:iam::1:group/a", "Path": "/neurocaas/"}
    say("iam", "list_groups", {"Groups": [{**group, "CreateDate": NOW}]}, PathPrefix="/neurocaas/")
    needs = facts.Needs(counts=(("AWS::IAM::Group", 3),))
    assert list(fetch.iam_quotas(gateway, needs)) == [(facts.Quota("IAM groups", 7, 300), 2)]


@pytest.mark.parametrize(
    ("answer", "code", "holder"),
    [
        ({"BucketRegion": "us-east-1"}, "", Holder.OURS),
        ({"BucketRegion": "eu-west-1"}, "", Holder.ELSEWHERE),
        (None, "404", Holder.FREE),
        (None, "403", Holder.FOREIGN),
    ],
)
def test_a_bucket_name_is_free_ours_or_another_s(
    gateway: Gateway, say: Say, answer: dict[str, Any] | None, code: str, holder: Holder
) -> None:
    say("s3", "head_bucket", answer, code=code, Bucket="kalman-lds")
    if holder is Holder.OURS:
        stack = {"StackName": "kalman-lds", "CreationTime": NOW, "StackStatus": "CREATE_COMPLETE"}
        say("cloudformation", "describe_stacks", {"Stacks": [stack]}, StackName="kalman-lds")
    found = fetch.bucket(gateway, "kalman-lds", "kalman-lds")
    assert (found.holder, found.managed) == (holder, holder is Holder.OURS)


def test_an_image_is_found_by_its_digest_and_described(gateway: Gateway, say: Say) -> None:
    image = {
        "ImageId": "ami-1", "State": "available", "Architecture": "x86_64", "RootDeviceName": "/dev/sda1",
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 30}},
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 500}},
        ],
    }  # fmt: skip
    say("ec2", "describe_images", {"Images": [image]})
    say("ec2", "describe_images", {"Images": [image]}, Filters=[{"Name": "image-id", "Values": ["ami-1"]}])
    found = fetch.image(gateway, "iae:x@sha256:0")
    assert (found.image_id, found.root_device, found.root_gib) == ("ami-1", "/dev/sda1", 30)
    say("ec2", "describe_images", {"Images": []})
    assert fetch.image(gateway, "ami-2").image_id is None


def test_boundary_and_key_that_do_not_exist_are_facts_not_failures(gateway: Gateway, say: Say) -> None:
    say("iam", "get_policy", code="NoSuchEntity", PolicyArn="arn:aws:iam::1:policy/missing")
    assert not fetch.boundary(gateway, "arn:aws:iam::1:policy/missing").exists
    say("kms", "describe_key", code="NotFoundException", KeyId="arn:k")
    assert fetch.key(gateway, "arn:k") == facts.Key("arn:k")


def test_where_a_subnet_s_packets_go_is_read_from_its_own_table_or_the_main_one(gateway: Gateway, say: Say) -> None:
    def table(name: str, association: dict[str, Any], **route: str) -> dict[str, Any]:
        routes = [{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}]
        routes += [{"DestinationCidrBlock": "0.0.0.0/0", **route}] if route else []
        return {"RouteTableId": name, "Associations": [association], "Routes": routes}

    subnets = [
        {"SubnetId": f"subnet-{n}", "AvailabilityZone": "us-east-1a", "MapPublicIpOnLaunch": n == 1} for n in (1, 2, 3)
    ]
    endpoint = {"ServiceName": "com.amazonaws.us-east-1.s3", "RouteTableIds": ["rtb-3"]}
    say("ec2", "describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1"}]}, Filters=[{"Name": "is-default", "Values": ["true"]}])
    say("ec2", "describe_subnets", {"Subnets": subnets})
    say("ec2", "describe_route_tables", {"RouteTables": [
        table("rtb-main", {"Main": True}, GatewayId="igw-1"),
        table("rtb-2", {"SubnetId": "subnet-2"}, NatGatewayId="nat-1"),
        table("rtb-3", {"SubnetId": "subnet-3"}),
    ]})  # fmt: skip
    say("ec2", "describe_vpc_endpoints", {"VpcEndpoints": [endpoint]})
    found = network(gateway, vpc="", subnets=[])
    assert [(one.way, one.public_addresses, one.s3_endpoint) for one in found.subnets] == [
        (Way.INTERNET, True, False), (Way.NAT, False, False), (Way.NONE, False, True),
    ]  # fmt: skip


def test_a_check_that_fails_hides_no_other_and_order_is_kept(gateway: Gateway) -> None:
    def refuse() -> list[Finding]:
        raise AccessError("no", where="x")

    def break_down() -> list[Finding]:
        raise KeyError("Regions")

    fine = Finding("c", "c", Verdict.OK, "fine")
    checks = [Check("a", "a", refuse), Check("b", "b", break_down), Check("c", "c", lambda: [fine])]
    found = run_checks(checks, Outside(gateway, lambda: 0.0, lambda: NOW, timeout_s=5))
    assert [(item.check, item.verdict) for item in found] == [
        ("a", Verdict.UNKNOWN), ("b", Verdict.UNKNOWN), ("c", Verdict.OK),
    ]  # fmt: skip


def test_a_check_without_an_answer_is_left_behind_after_its_time(gateway: Gateway) -> None:
    for_ever = threading.Event()

    def hang() -> list[Finding]:
        for_ever.wait()
        return []

    fine = Finding("b", "b", Verdict.OK, "fine")
    ticks = iter([0.0, *[0.05] * 50])
    outside = Outside(gateway, lambda: next(ticks), lambda: NOW, timeout_s=0.1)
    found = run_checks([Check("a", "a", hang), Check("b", "b", lambda: [fine])], outside)
    for_ever.set()
    assert [item.verdict for item in found] == [Verdict.UNKNOWN, Verdict.OK]
    assert "no answer within" in found[0].found


def test_nothing_preflight_calls_changes_anything() -> None:
    words = set(re.findall(r'"((?:[a-z]+_)+[a-z_]+)"', Path(fetch.__file__).read_text()))
    called = {
        word for word in words if word.startswith(("create", "put", "delete", "update", "modify", "run_", "set_"))
    }
    assert called == set()
    assert all(operation.startswith(("describe", "list", "get")) for _, operation, _ in fetch.READS.values())
