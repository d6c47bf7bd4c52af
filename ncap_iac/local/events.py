"""Delivers events of the edge's services (instance states) to the rules' targets, as EventBridge would.

An event is on disk before it is delivered and until every target has it: at least once, also over a restart. Events
about one resource arrive in the order they were emitted; events about different ones do not wait for each other.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ncap_iac.local.event_rules import Rules, Target, may_invoke, payload
from ncap_iac.local.store import Store

_TABLE = "events"
_WORKERS = 8
_ATTEMPTS = 12
_LONGEST_PAUSE_S = 30.0
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A target that will not take the event, however often it is tried."""


class EventDelivery:
    """The queue and the threads that empty it."""

    def __init__(
        self, store: Store, client: Callable[[str], Any], *, region: str, account_id: str, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._client = client
        self._region = region
        self._account_id = account_id
        self._clock = clock
        self._rules = Rules(client, clock)
        self._lock = threading.Lock()
        self._lines: dict[str, deque[str]] = {}
        self._next = max((int(key) for key, _ in store.items(_TABLE)), default=-1) + 1
        self._ended = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin, with what an earlier life left undelivered."""
        with self._lock:
            left = self._store.items(_TABLE)
            self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="events")
            for key, document in left:
                self._line_up(document["order"], key)

    def stop(self) -> None:
        """End; what is not delivered stays on disk."""
        with self._lock:
            self._ended.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def forget_rules(self) -> None:
        """Rules or targets changed."""
        self._rules.forget()

    def emit(self, event: Mapping[str, Any]) -> None:
        """Queue one event; the fields EventBridge adds are added if they are missing."""
        now = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        whole = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "account": self._account_id,
            "region": self._region,
            "time": now,
            "resources": [],
            **event,
        }
        order = str(whole["resources"][0]) if whole["resources"] else ""
        with self._lock:
            key = f"{self._next:020d}"
            self._next += 1
            self._store.put(_TABLE, key, {"order": order, "event": whole, "delivered": []})
            self._line_up(order, key)

    def _line_up(self, order: str, key: str) -> None:
        """Put an event behind the others about its resource; the lock is held."""
        if self._pool is None or self._ended.is_set():
            return
        waiting = self._lines.get(order)
        if waiting is None:
            self._lines[order] = deque([key])
            self._pool.submit(self._work, order)
        else:
            waiting.append(key)

    def _work(self, order: str) -> None:
        """Deliver one line's events until it is empty."""
        while not self._ended.is_set():
            with self._lock:
                line = self._lines[order]
                if not line:
                    del self._lines[order]
                    return
                key = line.popleft()
            try:
                self._deliver(key)
            except Exception:
                _log.exception("event %s was not delivered", key)
                self._store.delete(_TABLE, key)

    def _deliver(self, key: str) -> None:
        document = self._store.get(_TABLE, key)
        if document is None:
            return
        event, delivered = document["event"], set(document["delivered"])
        targets = self._patiently(lambda: self._rules.targets_of(event), f"event {event['id']}")
        for target in targets or []:
            if target.key in delivered:
                continue
            self._hand_over(target, event)
            if self._ended.is_set():
                return
            delivered.add(target.key)
            if len(targets or []) > 1:
                self._store.put(_TABLE, key, {**document, "delivered": sorted(delivered)})
        if not self._ended.is_set():
            self._store.delete(_TABLE, key)

    def _hand_over(self, target: Target, event: Mapping[str, Any]) -> None:
        try:
            self._patiently(lambda: self._send(target, payload(target, event)), f"target {target.key}")
        except Exception as error:
            _log.error("event %s: target %s does not get it: %s", event["id"], target.key, error)
            if target.dead_letter_arn:
                self._send_to_queue(target.dead_letter_arn, payload(target, event))

    def _patiently(self, act: Callable[[], Any], what: str) -> Any:
        """Try, wait and try again while there is hope. Raises the last error."""
        for attempt in range(_ATTEMPTS):
            try:
                return act()
            except Exception as error:
                if isinstance(error, RefusedError) or attempt == _ATTEMPTS - 1 or _is_final(error):
                    raise
                _log.warning("%s: %s; trying again", what, error)
                if self._ended.wait(min(0.2 * 2**attempt, _LONGEST_PAUSE_S)):
                    return None
        return None

    def _send(self, target: Target, text: str) -> None:
        service = target.arn.split(":")[2]
        if service == "lambda":
            self._invoke(target, text)
        elif service == "sqs":
            self._send_to_queue(target.arn, text)
        elif service == "sns":
            self._client("sns").publish(TopicArn=target.arn, Message=text)
        else:
            raise RefusedError(f"targets of {service} are not delivered to by the local cloud")

    def _invoke(self, target: Target, text: str) -> None:
        functions = self._client("lambda")
        try:
            policy = functions.get_policy(FunctionName=target.arn)["Policy"]
        except functions.exceptions.ResourceNotFoundException as error:
            raise RefusedError(f"{target.arn} has no policy that lets EventBridge call it") from error
        if not may_invoke(policy, target.rule_arn, target.arn):
            raise RefusedError(f"the policy of {target.arn} does not let EventBridge call it for {target.rule_arn}")
        functions.invoke(FunctionName=target.arn, InvocationType="Event", Payload=text.encode())

    def _send_to_queue(self, arn: str, text: str) -> None:
        queues = self._client("sqs")
        url = queues.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
        queues.send_message(QueueUrl=url, MessageBody=text)


def _is_final(error: Exception) -> bool:
    """Whether AWS said no, rather than nothing or "later"."""
    response = getattr(error, "response", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    return 400 <= status < 500 and status != 429
