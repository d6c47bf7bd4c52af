"""Writes to the ledger as values, and their DynamoDB form. Pure; spells every expression, sends none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobmanager.errors import Value


@dataclass(frozen=True)
class If:
    """A condition on one attribute. Operators: `= <> < <= > >=`, `in`, `exists`, `absent`, `absent or <=`."""

    attribute: str
    operator: str
    value: Value = None


@dataclass(frozen=True)
class Put:
    """Write a whole row, by default only where there is none."""

    row: Mapping[str, Value]
    only_new: bool = True


@dataclass(frozen=True)
class Update:
    """Change some attributes of a row, if all conditions hold."""

    key: tuple[str, str]
    set: Mapping[str, Value] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    append: Mapping[str, list[Value]] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    conditions: tuple[If, ...] = ()


@dataclass(frozen=True)
class Delete:
    """Remove a row, whether it is there or not."""

    key: tuple[str, str]


Write = Put | Update | Delete


def to_attribute(value: Value) -> dict[str, Any]:
    """A value in DynamoDB's typed form."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, dict):
        return {"M": {name: to_attribute(item) for name, item in value.items()}}
    return {"L": [to_attribute(item) for item in value]}


def from_attribute(attribute: Mapping[str, Any]) -> Value:
    """The value of a typed attribute."""
    ((kind, value),) = attribute.items()
    if kind == "N":
        return int(value)
    if kind == "L":
        return [from_attribute(item) for item in value]
    if kind == "M":
        return {name: from_attribute(item) for name, item in value.items()}
    return None if kind == "NULL" else value


def from_item(item: Mapping[str, Any]) -> dict[str, Value]:
    """A row as DynamoDB returned it."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}


def to_item(row: Mapping[str, Value]) -> dict[str, Any]:
    """A row as DynamoDB wants it."""
    return {name: to_attribute(value) for name, value in row.items()}


def key_item(key: tuple[str, str]) -> dict[str, Any]:
    """A row's key as DynamoDB wants it."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


class _Names:
    """Placeholders for attribute names and values, so that no attribute can be a reserved word."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, attribute: str) -> str:
        return self.names.setdefault(attribute, f"#n{len(self.names)}")

    def value(self, value: Value) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = to_attribute(value)
        return placeholder

    def arguments(self) -> dict[str, Any]:
        values = {"ExpressionAttributeValues": self.values} if self.values else {}
        names = {placeholder: attribute for attribute, placeholder in self.names.items()}
        return ({"ExpressionAttributeNames": names} if names else {}) | values


def update_arguments(table: str, update: Update) -> dict[str, Any]:
    """The arguments of UpdateItem, or of an Update in a transaction."""
    names = _Names()
    sets = [f"{names.name(attribute)} = {names.value(value)}" for attribute, value in update.set.items()]
    for attribute, lines in update.append.items():
        place = names.name(attribute)
        sets.append(f"{place} = list_append(if_not_exists({place}, {names.value([])}), {names.value(lines)})")
    adds = [f"{names.name(attribute)} {names.value(value)}" for attribute, value in update.add.items()]
    parts = [
        f"{word} {', '.join(clauses)}"
        for word, clauses in (("SET", sets), ("ADD", adds), ("REMOVE", [names.name(a) for a in update.remove]))
        if clauses
    ]
    arguments: dict[str, Any] = {"TableName": table, "Key": key_item(update.key), "UpdateExpression": " ".join(parts)}
    if update.conditions:
        arguments["ConditionExpression"] = " AND ".join(_condition(names, wanted) for wanted in update.conditions)
    return arguments | names.arguments()


def transaction_item(table: str, write: Write) -> dict[str, Any]:
    """One write of a TransactWriteItems call; a failed condition comes back with the row it met."""
    if isinstance(write, Delete):
        return {"Delete": {"TableName": table, "Key": key_item(write.key)}}
    if isinstance(write, Update):
        return {"Update": update_arguments(table, write) | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
    put: dict[str, Any] = {"TableName": table, "Item": to_item(write.row)}
    if write.only_new:
        put |= {
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    return {"Put": put}


def _condition(names: _Names, wanted: If) -> str:
    place = names.name(wanted.attribute)
    if wanted.operator == "exists":
        return f"attribute_exists({place})"
    if wanted.operator == "absent":
        return f"attribute_not_exists({place})"
    if wanted.operator == "in":
        choices = wanted.value if isinstance(wanted.value, list | tuple) else [wanted.value]
        return f"{place} IN ({', '.join(names.value(choice) for choice in choices)})"
    if wanted.operator == "absent or <=":
        return f"(attribute_not_exists({place}) OR {place} <= {names.value(wanted.value)})"
    return f"{place} {wanted.operator} {names.value(wanted.value)}"
