"""The EventBridge rules and targets of the account, read from the base and kept for a moment.

Says which targets an event concerns; delivers nothing.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.event_patterns import PatternError, covers, parse_pattern
from ncap_iac.local.policy import Access, Authority, Decision, PolicyError, decide, parse_policy

_TTL_S = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One target of one rule."""

    rule_arn: str
    id: str
    arn: str
    input: str | None = None
    input_path: str | None = None
    dead_letter_arn: str | None = None

    @property
    def key(self) -> str:
        """Tells it apart from all others."""
        return f"{self.rule_arn} {self.id}"


@dataclass(frozen=True)
class Rule:
    """An enabled rule with a pattern."""

    arn: str
    pattern: Mapping[str, Any]
    targets: tuple[Target, ...]


class Rules:
    """Rules of the default bus; asked for at most every two seconds, and again after a change."""

    def __init__(self, client: Callable[[str], Any], clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[Rule, ...] | None = None
        self._read_at = 0.0

    def forget(self) -> None:
        """Rules or targets changed."""
        with self._lock:
            self._kept = None

    def targets_of(self, event: Mapping[str, Any]) -> list[Target]:
        """Whom an event concerns. Raises botocore's errors if the base cannot be asked."""
        found: list[Target] = []
        for rule in self._current():
            try:
                if covers(rule.pattern, event):
                    found += rule.targets
            except PatternError as error:
                _log.error("rule %s is skipped: %s", rule.arn, error)
        return found

    def _current(self) -> tuple[Rule, ...]:
        with self._lock:
            if self._kept is None or self._clock() - self._read_at > _TTL_S:
                self._read_at = self._clock()
                self._kept = tuple(self._read())
            return self._kept

    def _read(self) -> list[Rule]:
        events = self._client("events")
        rules = []
        for item in _pages(events.list_rules, "Rules"):
            if item.get("State") != "ENABLED" or not item.get("EventPattern"):
                continue
            try:
                pattern = parse_pattern(item["EventPattern"])
            except PatternError as error:
                _log.error("rule %s is skipped: %s", item["Arn"], error)
                continue
            targets = _pages(events.list_targets_by_rule, "Targets", Rule=item["Name"])
            rules.append(Rule(item["Arn"], pattern, tuple(_targets(item["Arn"], targets))))
        return rules


def _targets(rule_arn: str, items: list[Any]) -> list[Target]:
    targets = []
    for item in items:
        if "InputTransformer" in item:
            _log.error("rule %s, target %s is skipped: InputTransformer is not understood", rule_arn, item["Id"])
            continue
        targets.append(
            Target(
                rule_arn,
                item["Id"],
                item["Arn"],
                input=item.get("Input"),
                input_path=item.get("InputPath"),
                dead_letter_arn=item.get("DeadLetterConfig", {}).get("Arn"),
            )
        )
    return targets


def _pages(operation: Callable[..., Any], result: str, **arguments: str) -> list[Any]:
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = operation(**arguments, **token)
        found += page[result]
        if not page.get("NextToken"):
            return found
        token = {"NextToken": page["NextToken"]}


def payload(target: Target, event: Mapping[str, Any]) -> str:
    """What a target receives: its constant, a part of the event, or the event."""
    if target.input is not None:
        return target.input
    part: Any = event
    for name in (target.input_path or "$").removeprefix("$").split("."):
        part = part.get(name) if name and isinstance(part, Mapping) else part
    return json.dumps(part)


def may_invoke(policy: str, rule_arn: str, function_arn: str) -> bool:
    """Whether a function's resource policy lets EventBridge call it for this rule, as AWS asks before it calls."""
    document = json.loads(policy)
    statements = [item for item in document.get("Statement", []) if _is_for_events(item.get("Principal"))]
    context = {"aws:sourcearn": [rule_arn], "aws:sourceaccount": [rule_arn.split(":")[4]]}
    try:
        authority = Authority(parse_policy({"Statement": statements}))
    except PolicyError:
        return False
    return decide(authority, Access("lambda:InvokeFunction", function_arn, context)) is Decision.ALLOW


def _is_for_events(principal: Any) -> bool:
    if not isinstance(principal, Mapping):
        return bool(principal == "*")
    services = principal.get("Service", [])
    return "events.amazonaws.com" in (services if isinstance(services, list) else [services])
