"""Prices of instance types, from the table the job manager reserves by. Reads it as a file; asks no price service.

The table ships in the bundle (`jobmanager/prices.json`), so the deployed bundle's is the one that counts; a project's
own is the next best.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.errors import NcapError, NotFoundError
from ncap_iac.money.amounts import micro_of
from ncap_iac.project import Project, read_bytes

if TYPE_CHECKING:
    from ncap_iac.deploy.versions import VersionReader

IN_BUNDLE = "jobmanager/prices.json"


@dataclass(frozen=True)
class Price:
    """Micro-dollars an hour, and where and when that was read."""

    micro_per_hour: int
    seen: str


@dataclass(frozen=True)
class PriceTable:
    """Prices by instance type; `source` tells people which table it is."""

    prices: Mapping[str, Price]
    source: str


def parse_prices(body: bytes, *, source: str) -> PriceTable:
    """A price table. Raises NcapError."""
    try:
        types = json.loads(body)["types"]
        prices = {
            str(name): Price(micro_of(str(entry["usd_per_hour"])), str(entry.get("seen") or "not told"))
            for name, entry in types.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NcapError(f"its price table cannot be used: {error!r}", where=source) from error
    return PriceTable(prices, source)


def bundle_prices(objects: VersionReader, bucket: str, sha256: str) -> PriceTable:
    """The table in a deployed bundle. Raises AccessError, NotFoundError, NcapError."""
    from ncap_compiler import names

    key = names.bundle_key(sha256)
    body = objects.read(bucket, key).body
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as bundle:
            table = bundle.read(IN_BUNDLE)
    except (KeyError, zipfile.BadZipFile) as error:
        raise NotFoundError(f"it has no {IN_BUNDLE}", where=f"s3://{bucket}/{key}", hint="Deploy it again.") from error
    return parse_prices(table, source=f"deployed bundle {sha256[:12]}")


def project_prices(project: Project) -> PriceTable:
    """The table of the project. Raises UsageError, NcapError."""
    path: Path = project.protocols / IN_BUNDLE
    return parse_prices(read_bytes(path), source=f"the project's {path.relative_to(project.root)}")
