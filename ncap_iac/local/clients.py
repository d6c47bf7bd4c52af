"""boto3 clients of the local cloud, made when first asked for and shared by all threads."""

from __future__ import annotations

import threading
from typing import Any


class Clients:
    """Clients by service name, all through one endpoint with one pair of keys."""

    def __init__(self, endpoint: str, region: str, access_key_id: str, secret_access_key: str) -> None:
        self._endpoint = endpoint
        self._region = region
        self._keys = {"aws_access_key_id": access_key_id, "aws_secret_access_key": secret_access_key}
        self._lock = threading.Lock()
        self._session: Any = None
        """Shared: what it has read of AWS's models serves every client."""
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service (`"s3"`)."""
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        if self._session is None:
            self._session = boto3.session.Session(region_name=self._region, **self._keys)
        config = Config(
            connect_timeout=5,
            max_pool_connections=32,
            proxies={},
            retries={"mode": "standard", "max_attempts": 3},
            s3={"addressing_style": "path"},
            use_dualstack_endpoint=False,
            use_fips_endpoint=False,
        )
        return self._session.client(service, endpoint_url=self._endpoint, config=config)
