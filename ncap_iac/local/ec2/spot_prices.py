"""Spot prices of the local cloud: a fixed share of the on-demand price, a little more in each further zone."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from ncap_iac.local.ec2.filters import page
from ncap_iac.local.ec2.network import Network
from ncap_iac.local.ec2.requests import Parameters, refuse_others

LINUX = "Linux/UNIX"
FIRST_ZONE_PERCENT, ZONE_STEP_PERCENT = 35, 2
"""Of the on-demand price: about what AWS's spot advisor shows for general types."""


class OnDemandPrices(Protocol):
    """Where the on-demand prices are."""

    def types(self) -> Mapping[str, Mapping[str, Any]]:
        """Entries by instance type."""
        ...


class SpotPrices:
    """DescribeSpotPriceHistory."""

    def __init__(self, network: Network, prices: OnDemandPrices, *, clock: Callable[[], float]) -> None:
        self._network = network
        self._prices = prices
        self._clock = clock

    def describe(self, parameters: Parameters) -> Mapping[str, Any]:
        """The one price of each type and zone. History there is none: no time changes the answer."""
        accepted = (
            *("StartTime", "EndTime", "InstanceTypes", "ProductDescriptions", "AvailabilityZone"),
            *("MaxResults", "NextToken"),
        )
        refuse_others("DescribeSpotPriceHistory", parameters, accepted)
        kinds, systems = parameters.get("InstanceTypes") or (), parameters.get("ProductDescriptions") or (LINUX,)
        zone = parameters.get("AvailabilityZone")
        now = datetime.datetime.fromtimestamp(int(self._clock()), datetime.UTC)
        shares = {name: FIRST_ZONE_PERCENT + ZONE_STEP_PERCENT * k for k, name in enumerate(self._network.zones)}
        found = [
            {
                "AvailabilityZone": name,
                "InstanceType": kind,
                "ProductDescription": LINUX,
                "SpotPrice": f"{Decimal(str(entry['usd_per_hour'])) * share / 100:.6f}",
                "Timestamp": now,
            }
            for kind, entry in sorted(self._prices.types().items())
            for name, share in shares.items()
            if LINUX in systems and (not kinds or kind in kinds) and zone in (None, "", name)
        ]
        shown, token = page(found, parameters)
        return {"SpotPriceHistory": shown} | ({"NextToken": token} if token else {})
