"""What the steps work with, in one value: gateway, ledger, versions, prices, clock. Made once by the handlers."""

from __future__ import annotations

from dataclasses import dataclass

from jobmanager.aws import Gateway
from jobmanager.ledger import Ledger
from jobmanager.pricing import Prices, shipped_prices
from jobmanager.times import Clock, to_text, utc_now
from jobmanager.version import Versions


@dataclass(frozen=True)
class Services:
    """Everything with an effect, handed to the steps as an argument."""

    gateway: Gateway
    ledger: Ledger
    versions: Versions
    prices: Prices
    clock: Clock
    topic: str | None = None
    volume_key: str | None = None
    """The key instances' disks are encrypted with; None: AWS's own."""

    @property
    def now(self) -> str:
        """The present moment as text."""
        return to_text(self.clock())


def make_services(
    table: str,
    *,
    topic: str | None = None,
    volume_key: str | None = None,
    gateway: Gateway | None = None,
    clock: Clock = utc_now,
) -> Services:
    """Services on one ledger table; without a gateway, on AWS with the process's own credentials."""
    used = gateway or Gateway()
    return Services(
        gateway=used,
        ledger=Ledger(used, table, clock),
        versions=Versions(lambda bucket, key: used.get_object(bucket, key).body, clock),
        prices=shipped_prices(),
        clock=clock,
        topic=topic,
        volume_key=volume_key,
    )
