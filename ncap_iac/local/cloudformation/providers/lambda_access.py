"""AWS::Lambda::Permission and AWS::Lambda::EventInvokeConfig: who may call a function, what happens when it fails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ncap_iac.local.cloudformation.provider import Created, Provider, chosen, present
from ncap_iac.local.cloudformation.values import Properties


def _short_name(function: str) -> str:
    """Function name out of a name or an ARN."""
    return function.split(":function:", 1)[-1].split(":")[0]


class PermissionProvider(Provider):
    """AWS::Lambda::Permission. Every change replaces it; its id follows from its properties."""

    type = "AWS::Lambda::Permission"
    properties = frozenset(
        {"Action", "EventSourceToken", "FunctionName", "Principal", "PrincipalOrgID", "SourceAccount", "SourceArn"}
    )
    required = frozenset({"Action", "FunctionName", "Principal"})
    create_only = properties
    attributes = frozenset({"Id"})

    def _statement_id(self, properties: Properties) -> str:
        digest = hashlib.sha256(json.dumps(dict(properties), sort_keys=True).encode()).hexdigest()
        return f"{_short_name(properties['FunctionName'])[:80]}-{digest[:12]}"

    def _statement(self, function: str, statement_id: str) -> Mapping[str, Any] | None:
        answer = present(lambda: self._client("lambda").get_policy(FunctionName=function))
        statements = json.loads(answer["Policy"])["Statement"] if answer else []
        return next((item for item in statements if item.get("Sid") == statement_id), None)

    def find(self, properties: Properties) -> str | None:
        """The same permission on the same function."""
        statement_id = self._statement_id(properties)
        return None if self._statement(properties["FunctionName"], statement_id) is None else statement_id

    def create(self, properties: Properties) -> Created:
        """AddPermission."""
        statement_id = self._statement_id(properties)
        self._client("lambda").add_permission(StatementId=statement_id, **properties)
        return Created(statement_id, {"Id": statement_id}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Nothing: every property is of the creation."""
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """RemovePermission."""
        client = self._client("lambda")
        present(lambda: client.remove_permission(FunctionName=properties["FunctionName"], StatementId=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """The statement of the function's policy."""
        statement = self._statement(wanted["FunctionName"], physical_id)
        if statement is None:
            return None
        principal = statement["Principal"]
        if isinstance(principal, Mapping):
            principal = principal.get("Service") or principal.get("AWS")
        found = {"FunctionName": wanted["FunctionName"], "Action": statement["Action"], "Principal": principal}
        names = {
            "aws:sourcearn": "SourceArn",
            "aws:sourceaccount": "SourceAccount",
            "aws:principalorgid": "PrincipalOrgID",
            "lambda:eventsourcetoken": "EventSourceToken",
        }
        for operator in statement.get("Condition", {}).values():
            found |= {names[key.lower()]: value for key, value in operator.items() if key.lower() in names}
        return found


class EventInvokeConfigProvider(Provider):
    """AWS::Lambda::EventInvokeConfig: retries, age and destinations of asynchronous calls."""

    type = "AWS::Lambda::EventInvokeConfig"
    properties = frozenset(
        {"DestinationConfig", "FunctionName", "MaximumEventAgeInSeconds", "MaximumRetryAttempts", "Qualifier"}
    )
    required = frozenset({"FunctionName", "Qualifier"})
    create_only = required

    def _key(self, properties: Properties) -> dict[str, Any]:
        return chosen(properties, "FunctionName", "Qualifier")

    def find(self, properties: Properties) -> str | None:
        """The setting of the same function and qualifier."""
        found = present(lambda: self._client("lambda").get_function_event_invoke_config(**self._key(properties)))
        return None if found is None else self._id(properties)

    def _id(self, properties: Properties) -> str:
        return f"{_short_name(properties['FunctionName'])}|{properties['Qualifier']}"

    def create(self, properties: Properties) -> Created:
        """PutFunctionEventInvokeConfig."""
        self._put(properties)
        return Created(self._id(properties), {}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """PutFunctionEventInvokeConfig replaces all of it."""
        if dict(previous) != dict(wanted):
            self._put(wanted)
        return {}

    def _put(self, properties: Properties) -> None:
        settings = dict(properties)
        for name in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts"):
            if name in settings:
                settings[name] = int(settings[name])
        self._client("lambda").put_function_event_invoke_config(**settings)

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteFunctionEventInvokeConfig."""
        present(lambda: self._client("lambda").delete_function_event_invoke_config(**self._key(properties)))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetFunctionEventInvokeConfig."""
        answer = present(lambda: self._client("lambda").get_function_event_invoke_config(**self._key(wanted)))
        if answer is None:
            return None
        names = ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
        return {**self._key(wanted), **chosen(answer, *names)}
