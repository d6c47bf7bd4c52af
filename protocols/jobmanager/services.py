"""What the steps work with, in one value: gateway, ledger, versions, prices, clock. Made once by the handlers."""

from __future__ import annotations

from dataclasses import dataclass

from jobmanager.aws import Gateway
from jobmanager.grouproles import GroupRoles, RolePlace
from jobmanager.ledger import Ledger
from jobmanager.pricing import MAX_TABLE_BYTES, PriceBook, PricePlace, Prices
from jobmanager.times import Clock, to_text, utc_now
from jobmanager.version import Versions


@dataclass(frozen=True)
class Services:
    """Everything with an effect, handed to the steps as an argument."""

    gateway: Gateway
    ledger: Ledger
    versions: Versions
    price_book: PriceBook
    clock: Clock
    roles: GroupRoles
    """What groups may see outside the analysis's bucket."""
    topic: str | None = None
    volume_key: str | None = None
    """The key instances' disks are encrypted with; None: AWS's own."""
    price_place: PricePlace | None = None
    """Where the newer price table is kept; None: the shipped one is all there is."""

    @property
    def prices(self) -> Prices:
        """The prices in force."""
        return self.price_book.prices()

    @property
    def now(self) -> str:
        """The present moment as text."""
        return to_text(self.clock())


def make_services(
    table: str,
    *,
    topic: str | None = None,
    volume_key: str | None = None,
    price_place: PricePlace | None = None,
    role_place: RolePlace | None = None,
    gateway: Gateway | None = None,
    clock: Clock = utc_now,
) -> Services:
    """Services on one ledger table; without a gateway, on AWS with the process's own credentials."""
    used = gateway or Gateway()
    place = price_place
    read = (lambda: used.get_object(place.bucket, place.key, limit=MAX_TABLE_BYTES).body) if place else None
    return Services(
        gateway=used,
        ledger=Ledger(used, table, clock),
        versions=Versions(lambda bucket, key: used.get_object(bucket, key).body, clock),
        price_book=PriceBook(read, clock),
        clock=clock,
        roles=GroupRoles(used, role_place, clock),
        topic=topic,
        volume_key=volume_key,
        price_place=price_place,
    )
