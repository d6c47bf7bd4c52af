"""DynamoDB in memory: the few expressions the job manager writes, its limits, and transactions that are all or none.

Refuses whatever it does not know, so that a test never passes on a condition that was not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
LARGEST_ITEM = 400 * 1024
LARGEST_TRANSACTION = 4 * 1024 * 1024
PAGE = 1000

_CLAUSE = re.compile(r"(?P<name>#?\w+) (?P<operator><>|<=|>=|=|<|>) (?P<value>:\w+)")
_EXISTS = re.compile(r"attribute_(?P<how>exists|not_exists)\((?P<name>#?\w+)\)")
_ABSENT_OR = re.compile(r"\(attribute_not_exists\((?P<name>#?\w+)\) OR (?P<rest>.+)\)")
_IN = re.compile(r"(?P<name>#?\w+) IN \((?P<values>.+)\)")
_APPEND = re.compile(r"(?P<name>#\w+) = list_append\(if_not_exists\((?P=name), (?P<empty>:\w+)\), (?P<value>:\w+)\)")
_SECTION = re.compile(r"(SET|ADD|REMOVE) ")
_COMPARE = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def failure(operation: str, code: str, **more: Any) -> ClientError:
    """An error as DynamoDB answers."""
    return ClientError({"Error": {"Code": code, "Message": "in memory"}, **more}, operation)


class Expressions:
    """One request's expressions with its names and values."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._names = request.get("ExpressionAttributeNames", {})
        self._values = request.get("ExpressionAttributeValues", {})

    def _name(self, text: str) -> str:
        return str(self._names[text]) if text.startswith("#") else text

    def holds(self, condition: str | None, item: Item | None) -> bool:
        """Whether an item, or none, meets a condition."""
        return all(self._clause(part, item or {}) for part in condition.split(" AND ")) if condition else True

    def _clause(self, text: str, item: Item) -> bool:
        if found := _ABSENT_OR.fullmatch(text):
            return self._name(found["name"]) not in item or self._clause(found["rest"], item)
        if found := _EXISTS.fullmatch(text):
            return (self._name(found["name"]) in item) == (found["how"] == "exists")
        if found := _IN.fullmatch(text):
            return item.get(self._name(found["name"])) in [self._values[it] for it in found["values"].split(", ")]
        found = _CLAUSE.fullmatch(text)
        assert found, f"a condition this fake does not know: {text}"
        have, want = item.get(self._name(found["name"])), self._values[found["value"]]
        if have is None or have.keys() != want.keys():
            return found["operator"] == "<>"
        return bool(_COMPARE[found["operator"]](_plain(have), _plain(want)))

    def updated(self, expression: str, item: Item) -> Item:
        """The item after an update."""
        changed = dict(item)
        parts = _SECTION.split(expression)[1:]
        for word, body in zip(parts[::2], parts[1::2], strict=True):
            for clause in re.split(r", (?=#)(?![^(]*\))", body.strip()):
                self._apply(word, clause, changed, item)
        return changed

    def _apply(self, word: str, clause: str, changed: Item, item: Item) -> None:
        if word == "REMOVE":
            changed.pop(self._name(clause), None)
        elif word == "ADD":
            name, value = clause.split(" ")
            before = int(item.get(self._name(name), {"N": "0"})["N"])
            changed[self._name(name)] = {"N": str(before + int(self._values[value]["N"]))}
        elif found := _APPEND.fullmatch(clause):
            name = self._name(found["name"])
            before_list = item.get(name, self._values[found["empty"]])["L"]
            changed[name] = {"L": before_list + self._values[found["value"]]["L"]}
        else:
            found = _CLAUSE.fullmatch(clause)
            assert found, f"an update this fake does not know: {clause}"
            assert found["operator"] == "="
            changed[self._name(found["name"])] = self._values[found["value"]]


def _plain(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    return int(value) if kind == "N" else value


class Table:
    """One table with keys `pk`, `sk` and the sparse index `open`."""

    def __init__(self) -> None:
        self.partitions: dict[str, dict[str, Item]] = {}
        self.open: dict[tuple[str, str], Item] = {}
        self.seen: dict[tuple[str, str], Item] | None = None

    def fall_behind(self) -> None:
        """From now on the index shows what it shows now."""
        self.seen = dict(self.open)

    def catch_up(self) -> None:
        self.seen = None

    def get(self, key: Item) -> Item | None:
        return self.partitions.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def put(self, item: Item) -> None:
        size = len(json.dumps(item, ensure_ascii=False).encode())
        if size > LARGEST_ITEM:
            raise failure("PutItem", "ValidationException")
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        self.partitions.setdefault(pk, {})[sk] = item
        if "open_pk" in item:
            self.open[pk, sk] = item
        else:
            self.open.pop((pk, sk), None)

    def delete(self, key: Item) -> None:
        pk, sk = key["pk"]["S"], key["sk"]["S"]
        self.partitions.get(pk, {}).pop(sk, None)
        self.open.pop((pk, sk), None)

    def all(self) -> list[Item]:
        return [item for partition in self.partitions.values() for item in partition.values()]


class Tables:
    """The calls of a DynamoDB client."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def create_table(self, **request: Any) -> Any:
        self.tables[request["TableName"]] = Table()
        return {}

    def get_item(self, **request: Any) -> Any:
        item = self.tables[request["TableName"]].get(request["Key"])
        return {"Item": item} if item else {}

    def put_item(self, **request: Any) -> Any:
        self.tables[request["TableName"]].put(request["Item"])
        return {}

    def query(self, **request: Any) -> Any:
        table = self.tables[request["TableName"]]
        (wanted,) = request["ExpressionAttributeValues"].values()
        if request.get("IndexName"):
            assert request["KeyConditionExpression"] == "#hash = :hash"
            shown = table.open if table.seen is None else table.seen
            found = [item for item in shown.values() if item["open_pk"] == wanted]
            found.sort(key=lambda item: (item["deadline"]["S"], item["pk"]["S"], item["sk"]["S"]))
        else:
            partition = table.partitions.get(wanted["S"], {})
            found = [partition[name] for name in sorted(partition)]
        start = int(request.get("ExclusiveStartKey", {"at": {"N": "0"}})["at"]["N"])
        page = {"Items": found[start : start + PAGE]}
        return page | ({"LastEvaluatedKey": {"at": {"N": str(start + PAGE)}}} if len(found) > start + PAGE else {})

    def scan(self, **request: Any) -> Any:
        return {"Items": self.tables[request["TableName"]].all()}

    def update_item(self, **request: Any) -> Any:
        table = self.tables[request["TableName"]]
        item, expressions = table.get(request["Key"]), Expressions(request)
        if not expressions.holds(request.get("ConditionExpression"), item):
            raise failure("UpdateItem", "ConditionalCheckFailedException")
        changed = expressions.updated(request["UpdateExpression"], item or request["Key"])
        table.put(changed)
        return {"Attributes": changed}

    def transact_write_items(self, **request: Any) -> Any:
        acts = [next(iter(act.items())) for act in request["TransactItems"]]
        self._check_size(acts)
        reasons = [self._reason(kind, act) for kind, act in acts]
        if any(reason["Code"] != "None" for reason in reasons):
            raise failure("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)
        for kind, act in acts:
            table = self.tables[act["TableName"]]
            if kind == "Put":
                table.put(act["Item"])
            elif kind == "Delete":
                table.delete(act["Key"])
            else:
                before = table.get(act["Key"]) or act["Key"]
                table.put(Expressions(act).updated(act["UpdateExpression"], before))
        return {}

    def _check_size(self, acts: list[tuple[str, Item]]) -> None:
        keys = [json.dumps([(act.get("Key") or act["Item"])[name] for name in ("pk", "sk")]) for _, act in acts]
        size = len(json.dumps([act for _, act in acts], ensure_ascii=False).encode())
        if len(acts) > 100 or len(set(keys)) < len(keys) or size > LARGEST_TRANSACTION:
            raise failure("TransactWriteItems", "ValidationException")

    def _reason(self, kind: str, act: Item) -> Item:
        item = self.tables[act["TableName"]].get(act.get("Key") or act["Item"])
        if Expressions(act).holds(act.get("ConditionExpression"), item):
            return {"Code": "None"}
        told = act.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and item
        return {"Code": "ConditionalCheckFailed"} | ({"Item": item} if told else {})
