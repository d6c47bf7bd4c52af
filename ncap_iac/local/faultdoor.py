"""The operator's way to let things go wrong: one path of the edge, signed with root's key; and who asks it.

Documents in, documents out. What a fault does is EC2's business.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from ncap_iac.local.authorization import Guard
from ncap_iac.local.cloud_record import CloudRecord
from ncap_iac.local.queryapi import Reply
from ncap_iac.local.request import Request
from ncap_iac.local.service import ServiceError

if TYPE_CHECKING:
    from ncap_iac.local.ec2.model import Fault

FAULTS_PATH = b"/_neurocaas/faults"
_SERVICE = "neurocaas"
_TIMEOUT_S = 10.0
_LONGEST_WARNING_S = 3600
Document = Mapping[str, Any]


class FaultControl(Protocol):
    """What can be made to go wrong (see `ncap_iac.local.ec2.faults.Faults`)."""

    def arm(self, fault: Fault) -> None:
        """Let calls meet a fault."""
        ...

    def clear(self) -> None:
        """Disarm all."""
        ...

    def armed(self) -> Sequence[Fault]:
        """Faults that are still to be met."""
        ...

    def interrupt(self, instance_id: str, after_s: float) -> None:
        """Take an instance back."""
        ...

    def lose(self, instance_id: str) -> None:
        """Kill an instance."""
        ...


@runtime_checkable
class Breakable(Protocol):
    """A service that can be made to fail."""

    @property
    def faults(self) -> FaultControl:
        """How."""
        ...


class FaultDoor:
    """Answers GET (what is armed), POST (one more fault) and DELETE (none any more)."""

    def __init__(self, guard: Guard, faults: FaultControl) -> None:
        self._guard = guard
        self._faults = faults

    def answer(self, request: Request, body: bytes) -> Reply:
        """The armed faults after what was asked, or the reason of a refusal."""
        try:
            if self._guard.authenticate(request, body).caller.kind != "root":
                raise ServiceError("AccessDenied", "Faults are root's.", status=403)
            if request.method == b"POST":
                self._add(_parsed(body))
            elif request.method == b"DELETE":
                self._faults.clear()
            elif request.method != b"GET":
                raise ServiceError("MethodNotAllowed", "Expected GET, POST or DELETE.")
        except ServiceError as error:
            return _reply(error.status, {"code": error.code, "message": error.message})
        return _reply(200, {"faults": [_shown(fault) for fault in self._faults.armed()]})

    def _add(self, asked: Document) -> None:
        kind = asked.get("kind")
        if kind == "capacity" or kind == "throttle":
            self._faults.arm(_fault(asked))
        elif kind == "interrupt":
            after = asked.get("after", 120)
            if isinstance(after, bool) or not isinstance(after, (int, float)) or not 0 <= after <= _LONGEST_WARNING_S:
                raise _invalid(f"after: expected seconds from 0 to {_LONGEST_WARNING_S}, found {after!r}")
            self._faults.interrupt(_instance(asked), float(after))
        elif kind == "lose":
            self._faults.lose(_instance(asked))
        else:
            raise _invalid(f"kind: expected capacity, throttle, interrupt or lose, found {kind!r}")


def ask_faults(record: CloudRecord, method: str, document: Document | None = None) -> Document:
    """Ask a running cloud's door with its root key. Raises ServiceError with its refusal, and OSError."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = json.dumps(document).encode() if document is not None else b""
    path = FAULTS_PATH.decode()
    request = AWSRequest(method, record.endpoint + path, data=body)
    SigV4Auth(Credentials(record.access_key_id, record.secret_access_key), _SERVICE, record.region).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(record.endpoint).netloc, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path, body, dict(request.headers.items()))
        answer = connection.getresponse()
        found: Document = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise ServiceError(found["code"], found["message"], status=answer.status)
    return found


def _fault(asked: Document) -> Fault:
    from ncap_iac.local.ec2.model import THROTTLED, Fault

    times = asked.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise _invalid(f"times: expected a number from 1, found {times!r}")
    if asked["kind"] == "throttle":
        operation = str(asked.get("operation", ""))
        return Fault(THROTTLED, "Request limit exceeded.", 503, remaining=times, operation=operation)
    market = asked.get("market", "")
    if market not in ("", "spot", "on-demand"):
        raise _invalid(f"market: expected spot or on-demand, found {market!r}")
    types, zones = _texts(asked, "types"), _texts(asked, "zones")
    return Fault(remaining=times, instance_types=types, zones=zones, market=market)


def _shown(fault: Fault) -> Document:
    if fault.is_of_launches:
        more: Document = {"types": list(fault.instance_types), "zones": list(fault.zones), "market": fault.market}
    else:
        more = {"operation": fault.operation}
    kind = "capacity" if fault.is_of_launches else "throttle"
    return {"kind": kind, "code": fault.code, "times": fault.remaining, **more}


def _texts(asked: Document, name: str) -> tuple[str, ...]:
    value = asked.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _invalid(f"{name}: expected a list of names")
    return tuple(value)


def _instance(asked: Document) -> str:
    value = asked.get("instance")
    if not isinstance(value, str):
        raise _invalid("instance: expected an instance id")
    return value


def _parsed(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except ValueError:
        raise _invalid("expected a JSON object") from None
    if not isinstance(document, dict):
        raise _invalid("expected a JSON object")
    return document


def _reply(status: int, document: Document) -> Reply:
    return Reply(status, "application/json", json.dumps(document).encode())


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
