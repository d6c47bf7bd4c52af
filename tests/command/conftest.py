"""One analysis bucket in moto a module, empty at the start of every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.command.bucket import Bucket


@pytest.fixture(scope="module")
def moto_bucket(no_developer_credentials: None) -> Iterator[Bucket]:
    with mock_aws():
        yield Bucket()


@pytest.fixture
def bucket(moto_bucket: Bucket) -> Bucket:
    moto_bucket.empty()
    return moto_bucket
