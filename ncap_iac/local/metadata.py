"""The instance metadata service: who an instance is, its user data, its role's credentials. Version 2 only.

One loopback server for all instances of a cloud. Where EC2 tells instances apart by their network, this one gives each
an unguessable path: `AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:<port>/<secret>/`, to which an SDK appends
`latest/…`. Credentials live in memory only. Knows nothing of launches or states.
"""

from __future__ import annotations

import datetime
import functools
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

TOKEN_HEADER = "X-aws-ec2-metadata-token"
TOKEN_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_LONGEST_TOKEN_S = 21600
_SECRET_BYTES = 24
_IDLE_S = 30
_CREDENTIALS_S = 3600
_REFRESH_BEFORE_S = 1200
"""SDKs ask again in the last 15 minutes; they must then get fresh ones."""
_QUEUE = 128
_POLL_S = 0.1
"""How soon the server sees that it shall stop."""


@dataclass(frozen=True)
class Identity:
    """What the metadata service says of one instance."""

    instance_id: str
    image_id: str
    instance_type: str
    launch_index: int
    account_id: str
    region: str
    zone: str
    zone_id: str
    hostname: str
    private_ip: str
    reservation_id: str
    security_groups: tuple[str, ...]
    launched_at: float
    user_data: bytes
    market: str = "on-demand"
    """`spot` or `on-demand`."""
    profile_arn: str | None = None
    profile_id: str | None = None
    role_arn: str | None = None

    @property
    def role_name(self) -> str:
        """The role's name without its path; empty without a role."""
        return (self.role_arn or "").rsplit("/", 1)[-1]


class RoleCredentials:
    """Temporary credentials of instance roles by `sts:AssumeRole`, the instance id as the session's name.

    Instance roles trust `ec2.amazonaws.com`. The call is made with the root credentials, which the base takes for a
    service's own call wherever a trust policy names a service.
    """

    def __init__(self, client: Callable[[str], Any], clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}

    def document(self, identity: Identity) -> dict[str, str]:
        """The JSON of `iam/security-credentials/<role>`; a refusal is a document too, as on EC2."""
        key = (identity.instance_id, identity.role_arn or "")
        with self._lock:
            good_until, document = self._known.get(key, (0.0, {}))
        if self._clock() < good_until - _REFRESH_BEFORE_S:
            return document
        now = _time(self._clock())
        try:
            answer = self._client("sts").assume_role(
                RoleArn=identity.role_arn, RoleSessionName=identity.instance_id, DurationSeconds=_CREDENTIALS_S
            )
        except (ClientError, BotoCoreError) as error:
            return {"Code": "AssumeRoleUnauthorizedAccess", "Message": str(error), "LastUpdated": now}
        credentials = answer["Credentials"]
        expires = credentials["Expiration"].timestamp()
        document = {
            "Code": "Success",
            "LastUpdated": now,
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials["AccessKeyId"],
            "SecretAccessKey": credentials["SecretAccessKey"],
            "Token": credentials["SessionToken"],
            "Expiration": _time(expires),
        }
        with self._lock:
            self._known[key] = (expires, document)
        return document

    def forget(self, instance_id: str) -> None:
        """Drop what is kept of an instance."""
        with self._lock:
            for key in [key for key in self._known if key[0] == instance_id]:
                del self._known[key]


@dataclass
class _Place:
    """One instance's part of the service."""

    identity: Identity
    tokens: dict[str, float] = field(default_factory=dict)
    """When each session token ends."""
    ends_at: float | None = None
    """When the instance will be taken back, once it was told."""


class MetadataService:
    """All instances' metadata. Serves from `start` to `stop`."""

    def __init__(self, credentials: RoleCredentials, clock: Callable[[], float]) -> None:
        self._credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen on a free loopback port."""
        self._server = _Server(self)
        serve = functools.partial(self._server.serve_forever, poll_interval=_POLL_S)
        threading.Thread(target=serve, name="metadata service", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def admit(self, identity: Identity) -> str:
        """Serve this instance from now on; its endpoint. The service must have been started."""
        if self._server is None:
            raise RuntimeError("the metadata service is not running")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        with self._lock:
            self._places[secret] = _Place(identity)
        return f"http://127.0.0.1:{self._server.server_address[1]}/{secret}/"

    def dismiss(self, instance_id: str) -> None:
        """Serve this instance no more."""
        with self._lock:
            for secret in [s for s, place in self._places.items() if place.identity.instance_id == instance_id]:
                del self._places[secret]
        self._credentials.forget(instance_id)

    def warn(self, instance_id: str, end: float) -> None:
        """Tell an instance when it will be taken back (`spot/instance-action`)."""
        with self._lock:
            for place in self._places.values():
                if place.identity.instance_id == instance_id:
                    place.ends_at = end

    def put_token(self, secret: str, ttl: str | None) -> tuple[HTTPStatus, str]:
        """A session token for `ttl` seconds, 1 to 21600."""
        if ttl is None or not ttl.isdigit() or not 1 <= int(ttl) <= _LONGEST_TOKEN_S:
            return HTTPStatus.BAD_REQUEST, ""
        token = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        with self._lock:
            place = self._places.get(secret)
            if place is None:
                return HTTPStatus.NOT_FOUND, ""
            for ended in [known for known, end in place.tokens.items() if end <= now]:
                del place.tokens[ended]
            place.tokens[token] = now + int(ttl)
        return HTTPStatus.OK, token

    def read(self, secret: str, path: str, token: str | None) -> tuple[HTTPStatus, bytes]:
        """What stands at `path` (`latest/meta-data/instance-id`), to who shows a token of this instance."""
        with self._lock:
            place = self._places.get(secret)
            is_known = place is not None and token is not None and place.tokens.get(token, 0.0) > self._clock()
        if place is None:
            return HTTPStatus.NOT_FOUND, b""
        if not is_known:
            return HTTPStatus.UNAUTHORIZED, b""
        content = self._content(place, path)
        return (HTTPStatus.NOT_FOUND, b"") if content is None else (HTTPStatus.OK, content)

    def _content(self, place: _Place, path: str) -> bytes | None:
        identity = place.identity
        credentials = f"latest/meta-data/iam/security-credentials/{identity.role_name}"
        if identity.role_arn and path == credentials:
            return json.dumps(self._credentials.document(identity), indent=2).encode()
        if path == "latest/user-data":
            return identity.user_data or None
        leaves = {**_leaves(identity), **_spot_leaves(place.ends_at)}
        # As on EC2, a value is also found with a slash at its end; an SDK asks for the zone like that.
        if path.rstrip("/") in leaves:
            return leaves[path.rstrip("/")].encode()
        return _listing([*leaves, *([credentials] if identity.role_arn else [])], path)


def _leaves(identity: Identity) -> Mapping[str, str]:
    """Every single value by its path (EC2 user guide, instance metadata categories)."""
    values = {
        "ami-id": identity.image_id,
        "ami-launch-index": str(identity.launch_index),
        "hostname": identity.hostname,
        "instance-id": identity.instance_id,
        "instance-life-cycle": identity.market,
        "instance-type": identity.instance_type,
        "local-hostname": identity.hostname,
        "local-ipv4": identity.private_ip,
        "placement/availability-zone": identity.zone,
        "placement/availability-zone-id": identity.zone_id,
        "placement/region": identity.region,
        "reservation-id": identity.reservation_id,
        "security-groups": "\n".join(identity.security_groups),
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
    }
    if identity.profile_arn:
        profile = {
            "Code": "Success",
            "LastUpdated": _time(identity.launched_at),
            "InstanceProfileArn": identity.profile_arn,
            "InstanceProfileId": identity.profile_id,
        }
        values["iam/info"] = json.dumps(profile, indent=2)
    leaves = {f"latest/meta-data/{name}": value for name, value in values.items()}
    leaves["latest/dynamic/instance-identity/document"] = json.dumps(_identity_document(identity), indent=2)
    return leaves


def _spot_leaves(ends_at: float | None) -> Mapping[str, str]:
    """EC2 user guide, Spot Instance interruption notices."""
    if ends_at is None:
        return {}
    time = _time(ends_at)
    return {
        "latest/meta-data/spot/instance-action": json.dumps({"action": "terminate", "time": time}),
        "latest/meta-data/spot/termination-time": time,
    }


def _identity_document(identity: Identity) -> Mapping[str, Any]:
    return {
        "accountId": identity.account_id,
        "architecture": "x86_64",
        "availabilityZone": identity.zone,
        "imageId": identity.image_id,
        "instanceId": identity.instance_id,
        "instanceType": identity.instance_type,
        "pendingTime": _time(identity.launched_at),
        "privateIp": identity.private_ip,
        "region": identity.region,
        "version": "2017-09-30",
    }


def _listing(paths: list[str], folder: str) -> bytes | None:
    """What lies directly below a folder, folders with a slash at the end; None if nothing does."""
    prefix = folder.rstrip("/") + "/"
    below = [path.removeprefix(prefix).partition("/") for path in paths if path.startswith(prefix)]
    names = sorted({name + slash for name, slash, _ in below})
    return "\n".join(names).encode() if names else None


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = _QUEUE

    def __init__(self, service: MetadataService) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    timeout = _IDLE_S
    server: _Server

    def do_GET(self) -> None:
        """A value or a listing."""
        secret, path = self._place()
        self._answer(*self.server.service.read(secret, path, self.headers.get(TOKEN_HEADER)))

    def do_PUT(self) -> None:
        """A session token; refused to what was forwarded by a proxy, as on EC2."""
        secret, path = self._place()
        if self.headers.get("X-Forwarded-For"):
            self._answer(HTTPStatus.FORBIDDEN, b"")
        elif path != "latest/api/token":
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, b"")
        else:
            status, token = self.server.service.put_token(secret, self.headers.get(TOKEN_TTL_HEADER))
            self._answer(status, token.encode())

    def log_message(self, *_: object) -> None:
        """Paths are secrets: nothing is logged."""

    def _place(self) -> tuple[str, str]:
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        secret, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        # A client that appends to an endpoint with a slash at its end sends two.
        return secret, path.lstrip("/")

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
