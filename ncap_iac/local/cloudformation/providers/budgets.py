"""AWS::Budgets::Budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ncap_iac.local.cloudformation.provider import Created, Provider, ResourceError, present
from ncap_iac.local.cloudformation.values import Properties


class BudgetProvider(Provider):
    """AWS::Budgets::Budget. Its notifications are of the creation: a change replaces the budget."""

    type = "AWS::Budgets::Budget"
    properties = frozenset({"Budget", "NotificationsWithSubscribers"})
    required = frozenset({"Budget"})
    create_only = frozenset({"NotificationsWithSubscribers"})

    def _account(self) -> dict[str, str]:
        return {"AccountId": self._place.account_id}

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        answer = present(lambda: self._client("budgets").describe_budget(**self._account(), BudgetName=name))
        return None if answer is None else answer["Budget"]

    def find(self, properties: Properties) -> str | None:
        """The budget of that name."""
        name = properties["Budget"].get("BudgetName")
        return None if name is None or self._describe(name) is None else str(name)

    def create(self, properties: Properties) -> Created:
        """CreateBudget with its notifications."""
        notices = [_notice(item) for item in properties.get("NotificationsWithSubscribers", ())]
        budget = _budget(properties["Budget"])
        if "BudgetName" not in budget:
            raise ResourceError("the local cloud needs a BudgetName in Budget")
        self._client("budgets").create_budget(
            **self._account(), Budget=budget, **({"NotificationsWithSubscribers": notices} if notices else {})
        )
        return Created(budget["BudgetName"], {}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """UpdateBudget."""
        if previous.get("Budget") != wanted["Budget"]:
            self._client("budgets").update_budget(**self._account(), NewBudget=_budget(wanted["Budget"]))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteBudget."""
        present(lambda: self._client("budgets").delete_budget(**self._account(), BudgetName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeBudget, its notifications and their subscribers."""
        budget = self._describe(physical_id)
        if budget is None:
            return None
        client, which = self._client("budgets"), {**self._account(), "BudgetName": physical_id}
        notices = [
            {
                "Notification": notice,
                "Subscribers": client.describe_subscribers_for_notification(**which, Notification=notice)[
                    "Subscribers"
                ],
            }
            for notice in client.describe_notifications_for_budget(**which).get("Notifications", ())
        ]
        return {"Budget": budget, "NotificationsWithSubscribers": notices}


def _budget(value: Mapping[str, Any]) -> dict[str, Any]:
    """A budget with amounts as text, as the API wants them."""
    made = dict(value)
    if "BudgetLimit" in made:
        made["BudgetLimit"] = {name: str(item) for name, item in made["BudgetLimit"].items()}
    return made


def _notice(value: Mapping[str, Any]) -> dict[str, Any]:
    notification = dict(value["Notification"])
    notification["Threshold"] = float(notification["Threshold"])
    return {"Notification": notification, "Subscribers": list(value["Subscribers"])}
