"""The metadata service as an instance sees it: by SDK, by hand, and not at all for anybody else."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher

from ncap_iac.local.metadata import Identity, MetadataService, RoleCredentials
from tests.local.ec2_support import Clock, FakeSts

IDENTITY = Identity(
    instance_id="i-0123456789abcdef0",
    image_id="ami-0123456789abcdef0",
    instance_type="m7i.large",
    launch_index=7,
    account_id="123456789012",
    region="us-east-1",
    zone="us-east-1a",
    zone_id="use1-az1",
    hostname="ip-172-31-0-4.ec2.internal",
    private_ip="172.31.0.4",
    reservation_id="r-0123456789abcdef0",
    security_groups=("sg-1",),
    launched_at=1_760_000_000.0,
    user_data=b"#!/bin/sh\n",
    profile_arn="arn:aws:iam::123456789012:instance-profile/neurocaas/instances/demo",
    profile_id="AIPA0",
    role_arn="arn:aws:iam::123456789012:role/neurocaas/instances/demo",
)


class Service:
    """A running metadata service and a client for it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sts = FakeSts(self.clock)
        self.service = MetadataService(RoleCredentials(lambda _: self.sts, self.clock), self.clock)
        self.service.start()

    def ask(self, method: str, url: str, **headers: str) -> tuple[int, str]:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=5)
        connection.request(
            method, parts.path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def token(self, endpoint: str) -> str:
        status, token = self.ask("PUT", f"{endpoint}latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")
        assert status == 200
        return token

    def read(self, endpoint: str, path: str) -> tuple[int, str]:
        return self.ask("GET", f"{endpoint}latest/{path}", X_aws_ec2_metadata_token=self.token(endpoint))


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.service.stop()


@pytest.fixture
def endpoint(service: Service) -> str:
    return service.service.admit(IDENTITY)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/ami-id", "ami-0123456789abcdef0"),
        ("meta-data/ami-launch-index", "7"),
        ("meta-data/instance-type", "m7i.large"),
        ("meta-data/placement/region", "us-east-1"),
        ("meta-data/placement/availability-zone", "us-east-1a"),
        ("meta-data/local-hostname", "ip-172-31-0-4.ec2.internal"),
        ("user-data", "#!/bin/sh\n"),
        ("meta-data/iam/security-credentials/", "demo"),
        ("meta-data/placement/", "availability-zone\navailability-zone-id\nregion"),
    ],
)
def test_a_value_stands_where_ec2_has_it(service: Service, endpoint: str, path: str, value: str) -> None:
    assert service.read(endpoint, path) == (200, value)


def test_the_identity_document_names_instance_region_and_account(service: Service, endpoint: str) -> None:
    document = json.loads(service.read(endpoint, "dynamic/instance-identity/document")[1])
    assert (document["instanceId"], document["region"]) == ("i-0123456789abcdef0", "us-east-1")
    assert document["accountId"] == "123456789012"


def test_profile_info_names_the_profile(service: Service, endpoint: str) -> None:
    assert json.loads(service.read(endpoint, "meta-data/iam/info")[1])["InstanceProfileArn"] == IDENTITY.profile_arn


MISSING = ["meta-data/spot/instance-action", "meta-data/nothing", "meta-data/iam/security-credentials/other"]


@pytest.mark.parametrize("path", MISSING)
def test_what_an_instance_has_not_is_not_found(service: Service, endpoint: str, path: str) -> None:
    assert service.read(endpoint, path)[0] == 404


def test_without_a_token_nothing_is_told(service: Service, endpoint: str) -> None:
    assert service.ask("GET", f"{endpoint}latest/meta-data/instance-id") == (401, "")
    wrong = service.ask("GET", f"{endpoint}latest/meta-data/instance-id", X_aws_ec2_metadata_token="guess")
    assert wrong == (401, "")


def test_a_token_ends_with_its_time_to_live(service: Service, endpoint: str) -> None:
    token = service.token(endpoint)
    service.clock.now += 61
    assert service.ask("GET", f"{endpoint}latest/meta-data/", X_aws_ec2_metadata_token=token)[0] == 401


@pytest.mark.parametrize("ttl", ["0", "21601", "x", "-5", ""])
def test_a_token_needs_a_time_to_live_within_limits(service: Service, endpoint: str, ttl: str) -> None:
    status, _ = service.ask("PUT", f"{endpoint}latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=ttl)
    assert status == 400


def test_a_forwarded_request_gets_no_token(service: Service, endpoint: str) -> None:
    headers = {"X_aws_ec2_metadata_token_ttl_seconds": "60", "X_Forwarded_For": "10.0.0.1"}
    assert service.ask("PUT", f"{endpoint}latest/api/token", **headers)[0] == 403


def test_a_token_of_one_instance_opens_no_other(service: Service, endpoint: str) -> None:
    other = service.service.admit(replace(IDENTITY, instance_id="i-other"))
    token = service.token(endpoint)
    assert service.ask("GET", f"{other}latest/meta-data/instance-id", X_aws_ec2_metadata_token=token)[0] == 401


def test_who_does_not_know_the_secret_finds_nothing(service: Service, endpoint: str) -> None:
    base = endpoint.rsplit("/", 2)[0]
    ttl = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}
    assert service.ask("PUT", f"{base}/latest/api/token", **ttl)[0] in (404, 405)
    assert service.ask("PUT", f"{base}/guess/latest/api/token", **ttl)[0] == 404
    assert service.ask("GET", f"{base}/latest/meta-data/instance-id")[0] == 404


def test_a_dismissed_instance_is_not_served(service: Service, endpoint: str) -> None:
    service.service.dismiss(IDENTITY.instance_id)
    ttl = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}
    assert service.ask("PUT", f"{endpoint}latest/api/token", **ttl)[0] == 404


def test_an_sdk_finds_credentials_of_the_role(service: Service, endpoint: str) -> None:
    fetcher = InstanceMetadataFetcher(config={"ec2_metadata_service_endpoint": endpoint}, env={})
    found = fetcher.retrieve_iam_role_credentials()
    assert (found["role_name"], found["access_key"]) == ("demo", "ASIA1")
    assert (found["secret_key"], found["token"]) == ("secret1", "token1")
    assert service.sts.calls[0]["RoleSessionName"] == IDENTITY.instance_id
    assert service.sts.calls[0]["RoleArn"] == IDENTITY.role_arn


def test_an_sdk_finds_the_region(service: Service, endpoint: str) -> None:
    config = {"ec2_metadata_service_endpoint": endpoint}
    fetcher = InstanceMetadataRegionFetcher(config=config, env={})
    assert fetcher.retrieve_region() == "us-east-1"


def test_credentials_are_kept_and_renewed_before_they_end(service: Service, endpoint: str) -> None:
    path = "meta-data/iam/security-credentials/demo"
    keys = []
    for seconds in (0, 2000, 500):
        service.clock.now += seconds
        keys.append(json.loads(service.read(endpoint, path)[1])["AccessKeyId"])
    assert keys == ["ASIA1", "ASIA1", "ASIA2"]


def test_a_role_that_cannot_be_assumed_is_told_in_words(service: Service, endpoint: str) -> None:
    service.sts.refuses = True
    status, body = service.read(endpoint, "meta-data/iam/security-credentials/demo")
    assert status == 200
    assert json.loads(body)["Code"] == "AssumeRoleUnauthorizedAccess"
    service.sts.refuses = False
    assert json.loads(service.read(endpoint, "meta-data/iam/security-credentials/demo")[1])["Code"] == "Success"


def test_an_instance_without_a_profile_has_no_iam_folder(service: Service) -> None:
    plain = replace(IDENTITY, profile_arn=None, profile_id=None, role_arn=None)
    endpoint = service.service.admit(plain)
    assert service.read(endpoint, "meta-data/iam/security-credentials/")[0] == 404
    assert service.read(endpoint, "meta-data/iam/info")[0] == 404
