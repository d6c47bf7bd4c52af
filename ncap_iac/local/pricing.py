"""AWS's Price List of the local cloud: GetProducts, in the real form, with the prices of the deployed bundle's table.

The table that ships with the job manager is the only one there is without AWS. Everything else is refused by name.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ncap_compiler import names
from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

TABLE_IN_BUNDLE = "jobmanager/prices.json"
_OFFER, _RATE = "JRTCKXETXF", "6YS6EN2CT7"
"""AWS's codes of the on-demand offer and of its hourly rate."""
_PAGE = 100
Table = Mapping[str, Mapping[str, Any]]


class DeployedPrices:
    """The price table in the bundle that was deployed last. Read once a bundle."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._client = surroundings.client
        self._bucket = names.artifact_bucket(surroundings.account_id, surroundings.region)
        self._lock = threading.Lock()
        self._known: tuple[str, Table] | None = None

    def types(self) -> Table:
        """Entries by instance type. Raises ServiceError while nothing is deployed."""
        from botocore.exceptions import ClientError

        s3 = self._client("s3")
        with self._lock:
            try:
                listed = s3.list_objects_v2(Bucket=self._bucket, Prefix="bundles/").get("Contents", ())
                newest = max(listed, key=lambda item: item["LastModified"])["Key"]
                if self._known is None or self._known[0] != newest:
                    self._known = newest, self._read(s3, newest)
                return self._known[1]
            except (ClientError, ValueError, KeyError, zipfile.BadZipFile) as error:
                message = "The local cloud's prices are those of the deployed bundle, and none is deployed yet."
                raise ServiceError("NotFoundException", message) from error

    def _read(self, s3: Any, key: str) -> Table:
        body = s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(body)) as bundle:
            types: Table = json.loads(bundle.read(TABLE_IN_BUNDLE))["types"]
        return types


class PricingService:
    """GetProducts of AmazonEC2."""

    name = "pricing"

    def __init__(self, surroundings: Surroundings) -> None:
        self._region = surroundings.region
        self._prices = DeployedPrices(surroundings)

    def start(self) -> None:
        """Nothing to take up."""

    def stop(self) -> None:
        """Nothing to end."""

    def permissions(self, call: Call) -> Sequence[Permission]:
        """The operation; the Price List knows no resources."""
        return [Permission(f"pricing:{call.operation}", "*")]

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        if call.operation != "GetProducts" or call.parameters.get("ServiceCode") != "AmazonEC2":
            message = "The local cloud's Price List answers GetProducts of AmazonEC2 only."
            raise ServiceError("InvalidParameterException", message)
        wanted = [(str(item["Field"]), str(item["Value"])) for item in call.parameters.get("Filters") or ()]
        found = [item for item in self._products() if all(_has(item, *pair) for pair in wanted)]
        start = int(call.parameters.get("NextToken") or 0)
        size = int(call.parameters.get("MaxResults") or _PAGE)
        answer = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(it) for it in found[start : start + size]]}
        return answer | ({"NextToken": str(start + size)} if len(found) > start + size else {})

    def _products(self) -> Iterator[Mapping[str, Any]]:
        for number, (name, entry) in enumerate(sorted(self._prices.types().items())):
            yield _product(name, entry, region=self._region, sku=f"LOCAL{number:011d}")


def _has(product: Mapping[str, Any], field: str, value: str) -> bool:
    attributes = product["product"]["attributes"]
    if field not in attributes:
        known = ", ".join(attributes)
        message = f"The local cloud's products have no '{field}'; known: {known}."
        raise ServiceError("InvalidParameterException", message)
    return bool(attributes[field] == value)


def _product(name: str, entry: Mapping[str, Any], *, region: str, sku: str) -> Mapping[str, Any]:
    """A product as the Price List Query API gives it (AWS Price List, "Reading the price list file for a service")."""
    offer, rate = f"{sku}.{_OFFER}", f"{sku}.{_OFFER}.{_RATE}"
    attributes = {
        "servicecode": "AmazonEC2",
        "instanceType": name,
        "memory": f"{entry.get('memory_gib', 0)} GiB",
        "regionCode": region,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    dimension = {
        "unit": "Hrs",
        "rateCode": rate,
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${entry['usd_per_hour']} per On Demand Linux {name} Instance Hour",
        "appliesTo": [],
        "pricePerUnit": {"USD": f"{float(entry['usd_per_hour']):.10f}"},
    }
    terms = {offer: {"sku": sku, "offerTermCode": _OFFER, "termAttributes": {}, "priceDimensions": {rate: dimension}}}
    return {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": terms},
    }
