"""Which instance type a run asks for: the cheapest known one with room for its memory and enough cores. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncap_iac.local.ec2.catalog import InstanceType
    from ncap_iac.money.prices import PriceTable

MEMORY_RESERVE = 1.25
"""Room above the peak: another dataset, another day."""
SYSTEM_BYTES = 0.5 * 2**30
"""What the operating system and the in-instance tool take."""
BURSTABLE = "t3."
"""Types that are slowed when they compute for long: not recommended."""


@dataclass(frozen=True)
class Need:
    """What a run took: bytes at its peak, cores it kept busy, whether it used a GPU."""

    peak_memory_bytes: float
    cores: float
    has_gpu: bool = False

    @property
    def memory_bytes(self) -> float:
        """What a machine must have."""
        return self.peak_memory_bytes * MEMORY_RESERVE + SYSTEM_BYTES


@dataclass(frozen=True)
class Recommended:
    """A type and its price."""

    instance_type: str
    vcpu: int
    memory_gib: float
    usd_per_hour: float

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "instanceType": self.instance_type,
            "vcpu": self.vcpu,
            "memoryGib": self.memory_gib,
            "usdPerHour": self.usd_per_hour,
        }


def recommend(need: Need, catalog: Mapping[str, InstanceType], prices: PriceTable) -> Recommended | None:
    """The cheapest type that has what is needed; None if no known and priced one has.

    A vCPU counts as a core. Of equally cheap types the one with more memory, then the later generation.
    """
    cores = max(1, math.ceil(need.cores - 0.25))
    fitting = [
        Recommended(name, kind.vcpu, kind.memory_mib / 1024, prices.prices[name].micro_per_hour / 1e6)
        for name, kind in catalog.items()
        if name in prices.prices
        and not name.startswith(BURSTABLE)
        and kind.memory_mib * 2**20 >= need.memory_bytes
        and kind.vcpu >= cores
        and bool(kind.gpus) == need.has_gpu
    ]
    fitting.sort(key=lambda it: it.instance_type, reverse=True)
    return min(fitting, key=lambda it: (it.usd_per_hour, -it.memory_gib), default=None)
