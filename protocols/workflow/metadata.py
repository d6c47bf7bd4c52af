"""Who this instance is, asked of the instance metadata service (IMDSv2). It must not hold or print credentials.

Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata": a session token from
``PUT /latest/api/token``, then ``GET /latest/meta-data/...`` with that token.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_ENDPOINT = "http://169.254.169.254"
TIMEOUT_S = 2.0
ATTEMPTS = 5
TOKEN_SECONDS = 21600


class MetadataError(Exception):
    """The metadata service did not answer; the message says what was asked and how often."""


@dataclass(frozen=True)
class Identity:
    """One instance: its id, its number within the launch (from 0), its region, and whether it is a spot instance."""

    instance_id: str
    launch_index: int
    region: str
    is_spot: bool = False


class MetadataService:
    """Reads the metadata of this instance; every read is tried several times."""

    def __init__(self, endpoint: str, *, sleep: Callable[[float], None], attempts: int = ATTEMPTS) -> None:
        parts = urlsplit(endpoint)
        self._host = parts.hostname or "169.254.169.254"
        self._port = parts.port or 80
        self._base = parts.path.rstrip("/")
        self._sleep = sleep
        self._attempts = attempts
        self._token = ""

    def identity(self) -> Identity:
        """Instance id, launch index, region and life cycle. Raises MetadataError."""
        instance_id = self._need("meta-data/instance-id")
        index = self._need("meta-data/ami-launch-index")
        region = self._need("meta-data/placement/region")
        if not index.isdigit():
            raise MetadataError(f"The metadata service gave the launch index {index!r}, which is not a number.")
        life_cycle = self._get("meta-data/instance-life-cycle", attempts=self._attempts)
        return Identity(instance_id, int(index), region, is_spot=life_cycle == "spot")

    def has_spot_notice(self) -> bool:
        """Whether this instance was told that it will be taken back (``spot/instance-action``, two minutes ahead)."""
        try:
            return self._get("meta-data/spot/instance-action", attempts=1) is not None
        except MetadataError:
            return False

    def _need(self, path: str) -> str:
        answer = self._get(path, attempts=self._attempts)
        if answer is None:
            raise MetadataError(f"The metadata service has no '{path}'. Is this an EC2 instance?")
        return answer

    def _get(self, path: str, *, attempts: int) -> str | None:
        """The answer, None for "not found"; other statuses and silence are tried again with growing pauses."""
        problem = ""
        for attempt in range(attempts):
            if attempt:
                self._sleep(0.1 * 2**attempt)
            try:
                if not self._token:
                    wanted = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
                    status, self._token = self._ask("PUT", "/latest/api/token", wanted)
                    if status != 200:
                        self._token, problem = "", f"status {status} for a token"
                        continue
                status, body = self._ask("GET", f"/latest/{path}", {"X-aws-ec2-metadata-token": self._token})
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if status == 200:
                return body
            if status == 404:
                return None
            self._token = "" if status == 401 else self._token
            problem = f"status {status}"
        raise MetadataError(f"The metadata service did not answer '{path}' in {attempts} attempts ({problem}).")

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, self._base + path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.read(65536).decode("utf-8", "replace").strip()
        finally:
            connection.close()


def metadata_endpoint(environ: Mapping[str, str]) -> str:
    """Where the metadata service is: the SDKs' standard variable, else the link-local address."""
    return environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or DEFAULT_ENDPOINT
