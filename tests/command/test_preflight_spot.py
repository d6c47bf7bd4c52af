"""Preflight tells whether spot instances can be started at all."""

from __future__ import annotations

from datetime import UTC, datetime

from botocore.stub import Stubber

from ncap_iac.aws import Gateway
from ncap_iac.preflight import spot
from ncap_iac.preflight.checks import Verdict
from ncap_iac.target import Target

ROLE = {
    "Path": "/aws-service-role/spot.amazonaws.com/",
    "RoleName": spot.ROLE,
    "RoleId": "AROA0123456789ABCDEF0",
    "Arn": f"arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/{spot.ROLE}",
    "CreateDate": datetime(2026, 1, 1, tzinfo=UTC),
}


def _gateway() -> Gateway:
    return Gateway(Target("AWS", region="us-east-1", access_key_id="testing", secret_access_key="testing"))


def test_a_role_that_is_there_is_enough() -> None:
    gateway = _gateway()
    with Stubber(gateway.session.client("iam")) as iam:
        iam.add_response("get_role", {"Role": ROLE}, {"RoleName": spot.ROLE})
        (finding,) = spot.judge_role(["kalman-lds"], exists=spot.has_role(gateway))
    assert finding.verdict is Verdict.OK


def test_without_the_role_the_command_that_makes_it_is_told() -> None:
    gateway = _gateway()
    with Stubber(gateway.session.client("iam")) as iam:
        iam.add_client_error("get_role", "NoSuchEntity")
        (finding,) = spot.judge_role(["kalman-lds"], exists=spot.has_role(gateway))
    assert finding.verdict is Verdict.WARNING
    assert "kalman-lds will run on demand" in finding.meaning
    assert "create-service-linked-role --aws-service-name spot.amazonaws.com" in finding.advice
