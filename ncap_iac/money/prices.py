"""Prices of instance types, from the tables the job manager reserves by. Reads them as files; asks no price service.

The sweeper keeps a table of the region in the artifact bucket. Behind it stands the one that ships in the deployed
bundle (`jobmanager/prices.json`); a project's own is the next best. What is newer counts (docs/contracts.md, 10).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.errors import AccessError, NcapError, NotFoundError
from ncap_iac.money.amounts import micro_of
from ncap_iac.project import Project, read_bytes

if TYPE_CHECKING:
    from ncap_iac.deploy.versions import VersionReader

IN_BUNDLE = "jobmanager/prices.json"


@dataclass(frozen=True)
class Price:
    """Micro-dollars an hour, and where and when that was read; on spot by zone, where that is known."""

    micro_per_hour: int
    seen: str
    spot: Mapping[str, int] = field(default_factory=dict)

    @property
    def spot_micro(self) -> int | None:
        """What an hour on spot costs at most: the dearest zone, never above on demand."""
        return min(self.micro_per_hour, max(self.spot.values())) if self.spot else None


@dataclass(frozen=True)
class PriceTable:
    """Prices by instance type; `source` tells people which table it is."""

    prices: Mapping[str, Price]
    source: str
    fetched_at: str | None = None

    def beside(self, fetched: PriceTable | None) -> PriceTable:
        """This shipped table with a fetched one, if that is newer: it counts, and this one fills its gaps."""
        if fetched is None or not fetched.fetched_at or (self.fetched_at or "") > fetched.fetched_at:
            return self
        return PriceTable({**self.prices, **fetched.prices}, fetched.source, fetched.fetched_at)


def parse_prices(body: bytes, *, source: str) -> PriceTable:
    """A price table. Raises NcapError."""
    try:
        table = json.loads(body)
        prices = {
            str(name): Price(
                micro_of(str(entry["usd_per_hour"])),
                str(entry.get("seen") or "not told"),
                {str(zone): micro_of(str(usd)) for zone, usd in (entry.get("spot") or {}).items()},
            )
            for name, entry in table["types"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NcapError(f"its price table cannot be used: {error!r}", where=source) from error
    return PriceTable(prices, source, table.get("fetched_at"))


def fetched_prices(objects: VersionReader, bucket: str, region: str) -> PriceTable | None:
    """The sweeper's table of a region; None where there is none, or none these keys can read."""
    key = f"prices/{region}.json"
    try:
        body = objects.read(bucket, key).body
    except (AccessError, NotFoundError):
        return None
    return parse_prices(body, source=f"s3://{bucket}/{key}")


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
