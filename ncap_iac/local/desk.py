"""Answers the requests for the edge's own services: who, what, may they, do it, say so.

Whatever a service does wrong ends as an AWS error with a logged traceback, never as a hang.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from ncap_iac.local.authorization import Guard
from ncap_iac.local.queryapi import Codec, Reply
from ncap_iac.local.request import Request
from ncap_iac.local.restjson import Line
from ncap_iac.local.service import Call, LocalService, ServiceError, SharedService

LARGEST_REQUEST = 8 << 20
"""Bytes; the largest legal request is far smaller (a template of 1 MB goes by S3)."""
_SCOPES = {"resourcegroupstaggingapi": "tagging", "service-quotas": "servicequotas"}
"""What credential scopes call a service where it is not boto3's client name."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Place:
    service: LocalService
    codec: Codec


class Desk:
    """The own services behind their codecs."""

    def __init__(self, services: Sequence[LocalService], guard: Guard, *, shared: Sequence[SharedService] = ()) -> None:
        self._places = {scope_of(service): _Place(service, Codec(service.name)) for service in services}
        self._shared = {scope_of(service): _Place(service, Codec(service.name)) for service in shared}
        self._operations = {scope_of(service): service.operations for service in shared}
        self._guard = guard

    @property
    def services(self) -> tuple[str, ...]:
        """Their names, as credential scopes have them."""
        return tuple(self._places)

    def shares(self, request: Request, body: bytes) -> bool:
        """Whether an operation of a service of the base is answered here; a `query` service's needs the body."""
        scope = request.scope.service if request.scope else ""
        if scope not in self._shared:
            return False
        target = request.head.get(b"x-amz-target").decode("latin-1")
        if target:
            return target.rpartition(".")[2] in self._operations[scope]
        action = parse_qs(_form(request, body).decode("utf-8", "replace")).get("Action", [""])[-1]
        return action in self._operations[scope]

    def answer(self, request: Request, body: bytes) -> tuple[Reply, str]:
        """The reply and its request id; `request.scope` must name one of the services, or `shares` be true."""
        request_id = str(uuid.uuid4())
        name = request.scope.service if request.scope else ""
        place = self._places.get(name) or self._shared[name]
        try:
            return self._perform(place, request, body, request_id), request_id
        except ServiceError as error:
            return place.codec.encode_error(error, request_id), request_id
        except Exception:
            _log.exception("%s: request %s failed", name, request_id)
            message = f"The local cloud failed on this request ({request_id}); see its log."
            failure = ServiceError("InternalFailure", message, status=500)
            return place.codec.encode_error(failure, request_id), request_id

    def _perform(self, place: _Place, request: Request, body: bytes, request_id: str) -> Reply:
        credential = self._guard.authenticate(request, body)
        line = Line(
            method=request.method.decode("latin-1"),
            path=request.path.decode("latin-1"),
            query=request.parameters,
            target=request.head.get(b"x-amz-target").decode("latin-1"),
        )
        operation, parameters = place.codec.decode(_form(request, body), line)
        call = Call(
            operation=operation,
            parameters=parameters,
            region=request.scope.region if request.scope else "",
            caller=self._guard.caller(credential),
            request_id=request_id,
        )
        name = place.service.name
        self._guard.authorize(credential, call, place.service.permissions(call), name)
        return place.codec.encode(operation, place.service.perform(call), request_id)


def scope_of(service: LocalService) -> str:
    """A service's name in credential scopes."""
    return _SCOPES.get(service.name, service.name)


def _form(request: Request, body: bytes) -> bytes:
    """The fields: of the body, or, in a presigned request, of the query."""
    if body or not request.is_presigned:
        return body
    return b"&".join(part for part in request.query.split(b"&") if part and not part.startswith(b"X-Amz-"))
