"""The fake platform for the tests of the protocols."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.platform import FakePlatform, deployed_platform, memory_platform


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlatform]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with deployed_platform() as found:
        yield found


@pytest.fixture
def memory() -> FakePlatform:
    """The same on AWS in memory."""
    return memory_platform()
