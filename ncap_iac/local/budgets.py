"""AWS Budgets of the local cloud: budgets, notifications and subscribers are kept, durably; nothing evaluates them.

No cost is measured here and no notice is ever sent; what a job costs is the job manager's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

Shape = dict[str, Any]
Request = Mapping[str, Any]

_TABLE = "budgets"
_MOST_NOTIFICATIONS = 10
_MOST_SUBSCRIBERS = 11
"""Quotas of AWS Budgets: docs.aws.amazon.com/cost-management/latest/userguide/management-limits.html."""


def _money(spend: Mapping[str, Any]) -> Shape:
    return {"Amount": str(spend["Amount"]), "Unit": str(spend["Unit"])}


def _shown(budget: Mapping[str, Any]) -> Shape:
    """A kept budget with times as times."""
    shown = {**budget, "LastUpdatedTime": datetime.fromtimestamp(budget["LastUpdatedTime"], UTC)}
    if "TimePeriod" in shown:
        period = shown["TimePeriod"]
        shown["TimePeriod"] = {name: datetime.fromtimestamp(value, UTC) for name, value in period.items()}
    return shown


def _same_notice(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """The three or four members that identify a notification."""
    return (
        left["NotificationType"] == right["NotificationType"]
        and left["ComparisonOperator"] == right["ComparisonOperator"]
        and float(left["Threshold"]) == float(right["Threshold"])
        and left.get("ThresholdType", "PERCENTAGE") == right.get("ThresholdType", "PERCENTAGE")
    )


class BudgetsService:
    """Budgets, stored and not evaluated."""

    name = "budgets"

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._store = surroundings.store
        self._lock = threading.Lock()
        self._operations: Mapping[str, Callable[[Request], Shape]] = {
            "CreateBudget": self._create,
            "CreateNotification": self._create_notification,
            "DeleteBudget": self._delete,
            "DeleteNotification": self._delete_notification,
            "DescribeBudget": self._describe,
            "DescribeBudgets": self._describe_all,
            "DescribeNotificationsForBudget": self._notifications,
            "DescribeSubscribersForNotification": self._subscribers,
            "UpdateBudget": self._update,
        }

    def start(self) -> None:
        """Nothing to take up."""

    def stop(self) -> None:
        """Nothing to end."""

    def permissions(self, call: Call) -> Sequence[Permission]:
        """`budgets:ModifyBudget` or `budgets:ViewBudget`, AWS's two actions, on the budget."""
        writes = not call.operation.startswith("Describe")
        named = call.parameters.get("BudgetName") or self._named(call.parameters)
        arn = f"arn:aws:budgets::{self._surroundings.account_id}:budget/{named or '*'}"
        return [Permission("budgets:ModifyBudget" if writes else "budgets:ViewBudget", arn)]

    @staticmethod
    def _named(parameters: Request) -> str:
        budget = parameters.get("Budget") or parameters.get("NewBudget") or {}
        return str(budget.get("BudgetName", ""))

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ServiceError("UnsupportedOperation", f"The local cloud's Budgets does not support {call.operation}.")
        if call.parameters.get("AccountId", self._surroundings.account_id) != self._surroundings.account_id:
            raise ServiceError("AccessDeniedException", "The account is not this local cloud's.")
        with self._lock:
            return operation(call.parameters)

    def _load(self, request: Request) -> Shape:
        name = request["BudgetName"]
        document = self._store.get(_TABLE, name)
        if document is None:
            raise ServiceError("NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist.")
        return document

    def _save(self, name: str, document: Shape) -> None:
        self._store.put(_TABLE, name, document)

    def _settled(self, budget: Mapping[str, Any], spent: Any = None) -> Shape:
        """A budget as it is kept: amounts as text, times as seconds, nothing spent."""
        kept = {name: value for name, value in budget.items() if name not in ("CalculatedSpend", "LastUpdatedTime")}
        if "BudgetLimit" in kept:
            kept["BudgetLimit"] = _money(kept["BudgetLimit"])
        if "TimePeriod" in kept:
            kept["TimePeriod"] = {
                name: value if isinstance(value, (int, float)) else value.timestamp()
                for name, value in kept["TimePeriod"].items()
            }
        if kept.get("TimeUnit") not in ("DAILY", "MONTHLY", "QUARTERLY", "ANNUALLY"):
            raise ServiceError("InvalidParameterException", f"TimeUnit {kept.get('TimeUnit')} is not supported.")
        if kept.get("BudgetType") == "COST" and not {"BudgetLimit", "PlannedBudgetLimits", "AutoAdjustData"} & set(
            kept
        ):
            raise ServiceError("InvalidParameterException", "BudgetLimit is required for a cost budget.")
        unit = kept.get("BudgetLimit", {}).get("Unit", "USD")
        kept["CalculatedSpend"] = spent or {"ActualSpend": {"Amount": "0", "Unit": unit}}
        kept["LastUpdatedTime"] = self._surroundings.clock()
        return kept

    def _create(self, request: Request) -> Shape:
        budget = request["Budget"]
        name = budget["BudgetName"]
        if ":" in name or "\\" in name or not 1 <= len(name) <= 100:
            raise ServiceError("InvalidParameterException", "BudgetName: 1 to 100 characters, none of them : or \\.")
        if self._store.get(_TABLE, name) is not None:
            raise ServiceError(
                "DuplicateRecordException", f"Error creating budget: {name} - the budget already exists."
            )
        document: Shape = {"Budget": self._settled(budget), "Notifications": []}
        for item in request.get("NotificationsWithSubscribers", ()):
            self._add_notice(document, item["Notification"], item["Subscribers"])
        self._save(name, document)
        return {}

    @staticmethod
    def _add_notice(document: Shape, notice: Mapping[str, Any], subscribers: Sequence[Mapping[str, Any]]) -> None:
        notices = document["Notifications"]
        if any(_same_notice(item["Notification"], notice) for item in notices):
            raise ServiceError("DuplicateRecordException", "The notification already exists.")
        if len(notices) >= _MOST_NOTIFICATIONS:
            raise ServiceError(
                "CreationLimitExceededException", f"At most {_MOST_NOTIFICATIONS} notifications a budget."
            )
        if not 1 <= len(subscribers) <= _MOST_SUBSCRIBERS:
            raise ServiceError("InvalidParameterException", f"A notification has 1 to {_MOST_SUBSCRIBERS} subscribers.")
        kept = {"ThresholdType": "PERCENTAGE", **notice, "Threshold": float(notice["Threshold"])}
        notices.append({"Notification": kept, "Subscribers": [dict(item) for item in subscribers]})

    def _update(self, request: Request) -> Shape:
        budget = request["NewBudget"]
        document = self._load({"BudgetName": budget["BudgetName"]})
        document["Budget"] = self._settled(budget, document["Budget"].get("CalculatedSpend"))
        self._save(budget["BudgetName"], document)
        return {}

    def _delete(self, request: Request) -> Shape:
        self._load(request)
        self._store.delete(_TABLE, request["BudgetName"])
        return {}

    def _describe(self, request: Request) -> Shape:
        return {"Budget": _shown(self._load(request)["Budget"])}

    def _describe_all(self, request: Request) -> Shape:
        return {"Budgets": [_shown(document["Budget"]) for _, document in self._store.items(_TABLE)]}

    def _create_notification(self, request: Request) -> Shape:
        document = self._load(request)
        self._add_notice(document, request["Notification"], request["Subscribers"])
        self._save(request["BudgetName"], document)
        return {}

    def _delete_notification(self, request: Request) -> Shape:
        document = self._load(request)
        document["Notifications"].remove(self._notice(document, request))
        self._save(request["BudgetName"], document)
        return {}

    @staticmethod
    def _notice(document: Shape, request: Request) -> Shape:
        for item in document["Notifications"]:
            if _same_notice(item["Notification"], request["Notification"]):
                return dict(item)
        raise ServiceError("NotFoundException", "The notification doesn't exist.")

    def _notifications(self, request: Request) -> Shape:
        return {"Notifications": [item["Notification"] for item in self._load(request)["Notifications"]]}

    def _subscribers(self, request: Request) -> Shape:
        return {"Subscribers": self._notice(self._load(request), request)["Subscribers"]}
