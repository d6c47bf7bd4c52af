"""Budgets are kept as they were made, and only kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.budgets import BudgetsService
from ncap_iac.local.service import Call, Caller, ServiceError, Surroundings
from ncap_iac.local.store import Store

ACCOUNT = "000000000000"
ROOT = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", "", "AKIAROOT")
BUDGET = {
    "BudgetName": "monthly",
    "BudgetType": "COST",
    "TimeUnit": "MONTHLY",
    "BudgetLimit": {"Amount": "50", "Unit": "USD"},
}
NOTICE = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
PEOPLE = [{"SubscriptionType": "EMAIL", "Address": "operators@example.org"}]


def no_client(service: str) -> Any:
    raise AssertionError(f"budgets need no {service}")


class Desk:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "edge.db")
        surroundings = Surroundings(
            endpoint="http://127.0.0.1:1",
            region="us-east-1",
            account_id=ACCOUNT,
            folder=folder,
            images=folder,
            store=self.store,
            emit=lambda event: None,
            client=no_client,
            clock=time.time,
        )
        self.service = BudgetsService(surroundings)

    def call(self, operation: str, **parameters: Any) -> Any:
        given = {"AccountId": ACCOUNT, **parameters}
        return self.service.perform(Call(operation, given, "us-east-1", ROOT, "r"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def test_a_budget_survives_a_restart(desk: Desk, tmp_path: Path) -> None:
    with_people = [{"Notification": NOTICE, "Subscribers": PEOPLE}]
    desk.call("CreateBudget", Budget=BUDGET, NotificationsWithSubscribers=with_people)
    later = Desk(tmp_path)
    budget = later.call("DescribeBudget", BudgetName="monthly")["Budget"]
    assert {name: budget[name] for name in BUDGET} == BUDGET
    assert budget["CalculatedSpend"]["ActualSpend"] == {"Amount": "0", "Unit": "USD"}
    (notice,) = later.call("DescribeNotificationsForBudget", BudgetName="monthly")["Notifications"]
    assert notice == {**NOTICE, "ThresholdType": "PERCENTAGE"}
    found = later.call("DescribeSubscribersForNotification", BudgetName="monthly", Notification=notice)
    assert found["Subscribers"] == PEOPLE
    later.store.close()


def test_a_budget_is_changed_and_removed(desk: Desk) -> None:
    desk.call("CreateBudget", Budget=BUDGET)
    desk.call("UpdateBudget", NewBudget={**BUDGET, "BudgetLimit": {"Amount": "75", "Unit": "USD"}})
    (budget,) = desk.call("DescribeBudgets")["Budgets"]
    assert budget["BudgetLimit"]["Amount"] == "75"
    desk.call("DeleteBudget", BudgetName="monthly")
    assert desk.call("DescribeBudgets")["Budgets"] == []


def test_notifications_come_and_go(desk: Desk) -> None:
    desk.call("CreateBudget", Budget=BUDGET)
    desk.call("CreateNotification", BudgetName="monthly", Notification=NOTICE, Subscribers=PEOPLE)
    with pytest.raises(ServiceError, match="already exists"):
        desk.call("CreateNotification", BudgetName="monthly", Notification=NOTICE, Subscribers=PEOPLE)
    desk.call("DeleteNotification", BudgetName="monthly", Notification=NOTICE)
    assert desk.call("DescribeNotificationsForBudget", BudgetName="monthly")["Notifications"] == []


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("DescribeBudget", {"BudgetName": "no"}, "NotFoundException"),
        ("DeleteBudget", {"BudgetName": "no"}, "NotFoundException"),
        ("UpdateBudget", {"NewBudget": {**BUDGET, "BudgetName": "no"}}, "NotFoundException"),
        ("CreateBudget", {"Budget": {**BUDGET, "BudgetName": "a:b"}}, "InvalidParameterException"),
        ("CreateBudget", {"Budget": {**BUDGET, "TimeUnit": "HOURLY"}}, "InvalidParameterException"),
        (
            "CreateBudget",
            {"Budget": {"BudgetName": "x", "BudgetType": "COST", "TimeUnit": "DAILY"}},
            "InvalidParameterException",
        ),
        ("DescribeBudgets", {"AccountId": "111111111111"}, "AccessDeniedException"),
        ("ExecuteBudgetAction", {}, "UnsupportedOperation"),
    ],
)
def test_what_cannot_be_is_refused(desk: Desk, operation: str, parameters: dict[str, Any], code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        desk.call(operation, **parameters)
    assert caught.value.code == code


def test_a_name_is_used_once(desk: Desk) -> None:
    desk.call("CreateBudget", Budget=BUDGET)
    with pytest.raises(ServiceError) as caught:
        desk.call("CreateBudget", Budget=BUDGET)
    assert caught.value.code == "DuplicateRecordException"


def test_permissions_are_awss_two_actions(desk: Desk) -> None:
    def asked(operation: str, **parameters: Any) -> tuple[str, str]:
        (permission,) = desk.service.permissions(Call(operation, parameters, "us-east-1", ROOT, "r"))
        return permission.action, permission.resource

    arn = f"arn:aws:budgets::{ACCOUNT}:budget"
    assert asked("CreateBudget", Budget=BUDGET) == ("budgets:ModifyBudget", f"{arn}/monthly")
    assert asked("DescribeBudgets") == ("budgets:ViewBudget", f"{arn}/*")
