"""Spot instances of the local cloud: bought, described, priced, short of capacity; and AWS's Price List."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.local.ec2.model import Fault, Instance
from ncap_iac.local.ec2.network import Network
from ncap_iac.local.ec2.spot_prices import SpotPrices
from ncap_iac.local.pricing import DeployedPrices, PricingService
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.service import Call, Caller, ServiceError, Surroundings
from ncap_iac.local.store import Store
from tests.local.ec2_support import ACCOUNT, REGION, ROOT, Cloud
from tests.local.machines_support import make_image, wait_for

SPOT = {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
}
TABLE: dict[str, dict[str, Any]] = {
    "m7i.large": {"usd_per_hour": "0.1", "memory_gib": 8},
    "t3.micro": {"usd_per_hour": "0.0104"},
}
METADATA = """#!/bin/sh
python3 - <<'END'
import os, urllib.request
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] + "latest/"
def ask(path, method, **headers):
    request = urllib.request.Request(base + path, method=method, headers=headers)
    return urllib.request.urlopen(request).read().decode()
token = ask("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
print("life:", ask("meta-data/instance-life-cycle", "GET", **{"X-aws-ec2-metadata-token": token}), flush=True)
END
sleep 300
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    image = make_image(tmp_path / "images")
    made = Cloud(tmp_path / "cloud", image)
    yield made
    made.service.stop()
    remove_tree(image)


def test_a_spot_instance_is_described_as_one_and_knows_it(cloud: Cloud) -> None:
    (bought,) = cloud.run(METADATA, InstanceMarketOptions=SPOT)
    (ordinary,) = cloud.run()
    assert cloud.describe(bought)["InstanceLifecycle"] == "spot"
    assert cloud.describe(bought)["SpotInstanceRequestId"].startswith("sir-")
    assert "InstanceLifecycle" not in cloud.describe(ordinary)
    only = [{"Name": "instance-lifecycle", "Values": ["spot"]}]
    found = cloud.call("DescribeInstances", Filters=only)["Reservations"]
    assert [item["InstanceId"] for group in found for item in group["Instances"]] == [bought]
    wait_for(lambda: "life: spot" in cloud.console(bought))


def test_a_repeated_token_gives_the_same_spot_instance_and_another_market_is_another_request(cloud: Cloud) -> None:
    request = cloud.request(ClientToken="t", InstanceMarketOptions=SPOT)
    first = cloud.call("RunInstances", **request)["Instances"][0]["InstanceId"]
    assert cloud.call("RunInstances", **request)["Instances"][0]["InstanceId"] == first
    del request["InstanceMarketOptions"]
    assert cloud.refused("RunInstances", **request).code == "IdempotentParameterMismatch"


def test_there_may_be_no_spot_capacity_while_there_is_some_on_demand(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(market="spot", remaining=2))
    assert len(cloud.run()) == 1
    error = cloud.refused("RunInstances", **cloud.request(InstanceMarketOptions=SPOT))
    assert error.code == "InsufficientInstanceCapacity"
    assert [fault.remaining for fault in cloud.service.faults.armed()] == [1]


def test_an_instance_of_an_earlier_release_is_on_demand(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    document = cloud.store.get("ec2-instances", instance_id)
    assert document is not None
    del document["spot_request"]
    assert Instance.load(document).market == "on-demand"


def test_a_spot_launch_says_so_to_iam(cloud: Cloud) -> None:
    request = cloud.request(InstanceMarketOptions=SPOT)
    asked = {it.resource: it.context for it in cloud.permissions("RunInstances", **request)}
    assert asked[f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"]["ec2:InstanceMarketType"] == "spot"
    assert f"arn:aws:ec2:{REGION}:{ACCOUNT}:spot-instances-request/*" in asked
    ordinary = [it.resource for it in cloud.permissions("RunInstances", **cloud.request())]
    assert not any("spot" in resource for resource in ordinary)


class _Table:
    def types(self) -> Mapping[str, Mapping[str, Any]]:
        return TABLE


def test_spot_prices_are_below_on_demand_and_differ_by_zone() -> None:
    prices = SpotPrices(Network(ACCOUNT, REGION), _Table(), clock=lambda: 1_760_000_000.0)
    asked = {"StartTime": datetime(2026, 1, 1, tzinfo=UTC), "ProductDescriptions": ["Linux/UNIX"]}
    found = prices.describe({**asked, "InstanceTypes": ["m7i.large"]})["SpotPriceHistory"]
    assert [(item["AvailabilityZone"], item["SpotPrice"]) for item in found] == [
        ("us-east-1a", "0.035000"),
        ("us-east-1b", "0.037000"),
        ("us-east-1c", "0.039000"),
    ]
    assert prices.describe({**asked, "ProductDescriptions": ["Windows"]})["SpotPriceHistory"] == []
    page = prices.describe({**asked, "MaxResults": 5})
    rest = prices.describe({**asked, "MaxResults": 5, "NextToken": page["NextToken"]})
    assert len(page["SpotPriceHistory"]) + len(rest["SpotPriceHistory"]) == 6
    with pytest.raises(ServiceError):
        prices.describe({"Filters": [{"Name": "instance-type", "Values": ["m7i.large"]}]})


class _Artifacts:
    """An S3 client of an artifact bucket with one bundle, or without the bucket."""

    def __init__(self) -> None:
        self.bundles: list[bytes] = []
        self.reads = 0

    def list_objects_v2(self, **_: str) -> Any:
        if not self.bundles:
            raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": ""}}, "ListObjectsV2")
        days = range(1, len(self.bundles) + 1)
        return {
            "Contents": [
                {"Key": f"bundles/{day}.zip", "LastModified": datetime(2026, 1, day, tzinfo=UTC)} for day in days
            ]
        }

    def get_object(self, **asked: str) -> Any:
        self.reads += 1
        day = int(asked["Key"].removeprefix("bundles/").removesuffix(".zip"))
        return {"Body": io.BytesIO(self.bundles[day - 1])}


def _bundle(table: Mapping[str, Any]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as bundle:
        bundle.writestr("jobmanager/prices.json", json.dumps({"types": table}))
    return body.getvalue()


@pytest.fixture
def artifacts() -> _Artifacts:
    return _Artifacts()


@pytest.fixture
def surroundings(tmp_path: Path, artifacts: _Artifacts) -> Surroundings:
    return Surroundings(
        endpoint="http://127.0.0.1:4566",
        region=REGION,
        account_id=ACCOUNT,
        folder=tmp_path,
        images=tmp_path,
        store=Store(tmp_path / "edge.db"),
        emit=lambda event: None,
        client=lambda name: artifacts,
        clock=lambda: 0.0,
    )


def _products(service: PricingService, caller: Caller = ROOT, **parameters: Any) -> Any:
    asked = {"ServiceCode": "AmazonEC2", **parameters}
    return service.perform(Call("GetProducts", asked, "us-east-1", caller, "r-1"))


def test_the_price_list_has_the_form_of_awss(surroundings: Surroundings, artifacts: _Artifacts) -> None:
    artifacts.bundles = [_bundle(TABLE)]
    wanted = {"regionCode": REGION, "operatingSystem": "Linux", "tenancy": "Shared", "instanceType": "m7i.large"}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    (text,) = _products(PricingService(surroundings), Filters=filters)["PriceList"]
    product = json.loads(text)
    assert product["product"]["attributes"]["memory"] == "8 GiB"
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert (dimension["unit"], dimension["pricePerUnit"]) == ("Hrs", {"USD": "0.1000000000"})


def test_the_price_list_comes_in_pages(surroundings: Surroundings, artifacts: _Artifacts) -> None:
    artifacts.bundles = [_bundle(TABLE)]
    service = PricingService(surroundings)
    page = _products(service, MaxResults=1)
    rest = _products(service, MaxResults=1, NextToken=page["NextToken"])
    assert "NextToken" not in rest
    assert page["PriceList"] != rest["PriceList"]


def test_what_the_price_list_does_not_have_is_refused_by_name(
    surroundings: Surroundings, artifacts: _Artifacts
) -> None:
    service = PricingService(surroundings)
    with pytest.raises(ServiceError, match="none is deployed yet"):
        _products(service)
    artifacts.bundles = [_bundle(TABLE)]
    with pytest.raises(ServiceError, match="no 'color'"):
        _products(service, Filters=[{"Type": "TERM_MATCH", "Field": "color", "Value": "blue"}])
    with pytest.raises(ServiceError, match="GetProducts of AmazonEC2 only"):
        _products(service, ServiceCode="AmazonS3")


def test_the_latest_bundle_counts_and_is_read_once(surroundings: Surroundings, artifacts: _Artifacts) -> None:
    prices = DeployedPrices(surroundings)
    artifacts.bundles = [_bundle(TABLE)]
    assert [sorted(prices.types()) for _ in range(3)] == [sorted(TABLE)] * 3
    assert artifacts.reads == 1
    artifacts.bundles.append(_bundle({"c7i.large": {"usd_per_hour": "0.09"}}))
    assert list(prices.types()) == ["c7i.large"]
