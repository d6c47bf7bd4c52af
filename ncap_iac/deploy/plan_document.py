"""What becomes different, as JSON and back: the shapes of `plan --output json` and of saved plans. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ncap_compiler import Change
from ncap_compiler.compare import Verb
from ncap_iac.deploy.careful import Care
from ncap_iac.deploy.comparison import Outcome, StackPlan, ValueChange
from ncap_iac.deploy.idle_cost import IdleCost, IdleLine

CURRENCY = "USD"


def money(usd: Decimal) -> dict[str, str]:
    """An amount: decimal text and currency."""
    return {"amount": str(usd), "currency": CURRENCY}


def change_document(change: Change) -> dict[str, object]:
    """One change of a resource."""
    return {
        "resource": change.resource,
        "type": change.type,
        "verb": change.verb.value,
        "properties": list(change.properties),
        "replaces": change.replaces,
        "keeps": change.keeps,
        "granted": list(change.granted),
        "revoked": list(change.revoked),
    }


def parse_change(document: Mapping[str, Any]) -> Change:
    """The change `change_document` wrote."""
    return Change(
        resource=document["resource"],
        type=document["type"],
        verb=Verb(document["verb"]),
        properties=tuple(document["properties"]),
        replaces=document["replaces"],
        keeps=document["keeps"],
        granted=tuple(document["granted"]),
        revoked=tuple(document["revoked"]),
    )


def care_document(care: Care) -> dict[str, object]:
    """One thing to be careful about."""
    return {"stack": care.stack, "text": care.text, "destroys": care.destroys}


def stack_document(stack: StackPlan) -> dict[str, object]:
    """What becomes different in one stack."""
    return {
        "stack": stack.stack,
        "outcome": stack.outcome.value,
        "parameters": dict(stack.parameters),
        "parameterChanges": [_value_change_document(change) for change in stack.parameter_changes],
        "tagChanges": [_value_change_document(change) for change in stack.tag_changes],
        "changes": [change_document(change) for change in stack.changes],
        "careful": [care_document(care) for care in stack.careful],
        "idleCost": {"before": cost_document(stack.idle_before), "after": cost_document(stack.idle_after)},
        "fingerprint": stack.fingerprint,
    }


def parse_stack(document: Mapping[str, Any]) -> StackPlan:
    """The stack `stack_document` wrote."""
    return StackPlan(
        stack=document["stack"],
        outcome=Outcome(document["outcome"]),
        changes=tuple(parse_change(change) for change in document["changes"]),
        parameters=tuple(sorted(document["parameters"].items())),
        parameter_changes=tuple(ValueChange(**change) for change in document["parameterChanges"]),
        tag_changes=tuple(ValueChange(**change) for change in document["tagChanges"]),
        careful=tuple(Care(**care) for care in document["careful"]),
        idle_before=_parse_cost(document["idleCost"]["before"]),
        idle_after=_parse_cost(document["idleCost"]["after"]),
        fingerprint=document["fingerprint"],
    )


def cost_document(cost: IdleCost) -> dict[str, object]:
    """An idle cost with what it is made of."""
    return {
        **money(cost.usd),
        "lines": [{"what": line.what, "count": line.count, "usd": str(line.usd)} for line in cost.lines],
        "byUse": list(cost.by_use),
        "unknown": list(cost.unknown),
    }


def _parse_cost(document: Mapping[str, Any]) -> IdleCost:
    return IdleCost(
        lines=tuple(IdleLine(line["what"], line["count"], Decimal(line["usd"])) for line in document["lines"]),
        by_use=tuple(document["byUse"]),
        unknown=tuple(document["unknown"]),
    )


def _value_change_document(change: ValueChange) -> dict[str, object]:
    return {"name": change.name, "before": change.before, "after": change.after}
