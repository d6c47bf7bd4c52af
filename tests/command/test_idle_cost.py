"""What stacks cost when nothing runs: sums, schedules, conditions, and a price or a reason for every type we use."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.deploy.idle_cost import IdleCost, idle_cost
from ncap_iac.documents import Compiled
from ncap_iac.project import Kind, Project


def template(**resources: dict[str, Any]) -> dict[str, Any]:
    return {"Resources": resources}


def test_what_is_billed_for_being_there_is_counted() -> None:
    secret = {"Type": "AWS::SecretsManager::Secret"}
    cost = idle_cost(template(A=secret, B=secret, C={"Type": "AWS::CloudWatch::Alarm"}), {})
    assert cost.usd == Decimal("0.90")
    assert [(line.what, line.count) for line in cost.lines] == [("alarm", 1), ("secret", 2)]


def test_what_is_not_made_costs_nothing() -> None:
    conditional = {
        "Parameters": {"With": {"Default": "false"}},
        "Conditions": {"Wanted": {"Fn::Equals": [{"Ref": "With"}, "true"]}},
        "Resources": {"A": {"Type": "AWS::KMS::Key", "Condition": "Wanted"}},
    }
    assert idle_cost(conditional, {}).usd == 0
    assert idle_cost(conditional, {"With": "true"}).usd == Decimal("1.00")
    assert idle_cost(None, {}) == IdleCost()


@pytest.mark.parametrize(
    ("rate", "state", "runs"),
    [("rate(1 minute)", "ENABLED", 43800), ("rate(2 hours)", "ENABLED", 365), ("rate(1 day)", "DISABLED", None)],
)
def test_a_schedule_costs_its_runs(rate: str, state: str, runs: int | None) -> None:
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {"ScheduleExpression": rate, "State": state, "Targets": [{"Arn": {"Fn::GetAtt": ["F", "Arn"]}}]},
    }
    function = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512}}
    cost = idle_cost(template(R=rule, F=function), {})
    assert [line.count for line in cost.lines] == ([] if runs is None else [runs])
    if runs == 43800:  # requests 0.00876, and 43800 x 0.3 s x 0.5 GiB
        assert cost.usd == Decimal("0.12")


def test_what_is_billed_by_use_is_named_and_what_has_no_price_too() -> None:
    cost = idle_cost(template(A={"Type": "AWS::S3::Bucket"}, B={"Type": "AWS::EC2::NatGateway"}), {})
    assert cost.usd == 0
    assert cost.by_use[0].startswith("bucket: 0.023")
    assert cost.unknown == ("AWS::EC2::NatGateway",)


def test_every_type_of_our_stacks_has_a_price_or_is_known_to_be_free(project_root: Path) -> None:
    project = Project(project_root)
    compiled = Compiled(project)
    stacks = [compiled.account()]
    stacks += [stack for kind in Kind for path in project.documents(kind) for stack in compiled.stacks(kind, path)]
    costs = {stack.stack: idle_cost(json.loads(stack.template), {}) for stack in stacks}
    assert {name: cost.unknown for name, cost in costs.items() if cost.unknown} == {}
    assert costs["neurocaas-account"].usd < 1
    assert costs["kalman-lds"].usd == 0
