"""Instance types this cloud knows, with the figures of AWS's instance type pages. A table; decides nothing.

Retired generations (p2, p3, g3, g4ad, m4, c4, …) are absent on purpose: EC2 refuses them too, or soon will.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InstanceType:
    """One type."""

    name: str
    vcpu: int
    memory_mib: int
    gpus: int = 0
    gpu_name: str = ""
    gpu_memory_mib: int = 0


_MIB = 1024
_GENERAL = {"m": 4, "c": 2, "r": 8}
"""GiB of memory a vCPU, by family."""

_SIZES = {
    "m5": (2, 4, 8, 16, 32, 48, 64, 96),
    "m6i": (2, 4, 8, 16, 32, 48, 64, 96, 128),
    "m7i": (2, 4, 8, 16, 32, 48, 64, 96, 192),
    "c5": (2, 4, 8, 16, 36, 48, 72, 96),
    "c6i": (2, 4, 8, 16, 32, 48, 64, 96, 128),
    "c7i": (2, 4, 8, 16, 32, 48, 64, 96, 192),
    "r5": (2, 4, 8, 16, 32, 48, 64, 96),
    "r6i": (2, 4, 8, 16, 32, 48, 64, 96, 128),
    "r7i": (2, 4, 8, 16, 32, 48, 64, 96, 192),
}
"""vCPUs of each size; `large` has 2, `xlarge` 4, `<n>xlarge` 4 n."""

_BURSTABLE = {
    "nano": (2, 512),
    "micro": (2, 1024),
    "small": (2, 2048),
    "medium": (2, 4096),
    "large": (2, 8192),
    "xlarge": (4, 16384),
    "2xlarge": (8, 32768),
}
"""t3: vCPUs, MiB."""

_GPU_NAMES = {"g4dn": ("T4", 16384), "g5": ("A10G", 24576), "g6": ("L4", 24576)}
_GPU_SIZES = {
    "g4dn": {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1},
    "g5": {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1, 24: 4, 48: 8},
    "g6": {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1, 24: 4, 48: 8},
}
"""GPUs by n of `<n>xlarge`; 4 n vCPUs, 16 n GiB."""


def _size_name(vcpu: int) -> str:
    return {2: "large", 4: "xlarge"}.get(vcpu, f"{vcpu // 4}xlarge")


def _all_types() -> list[InstanceType]:
    general = [
        InstanceType(f"{family}.{_size_name(vcpu)}", vcpu, vcpu * _GENERAL[family[0]] * _MIB)
        for family, sizes in _SIZES.items()
        for vcpu in sizes
    ]
    burstable = [InstanceType(f"t3.{size}", vcpu, mib) for size, (vcpu, mib) in _BURSTABLE.items()]
    gpu = [
        InstanceType(f"{family}.{_size_name(4 * n)}", 4 * n, 16 * n * _MIB, gpus, *_GPU_NAMES[family])
        for family, sizes in _GPU_SIZES.items()
        for n, gpus in sizes.items()
    ]
    return sorted([*general, *burstable, *gpu], key=lambda kind: kind.name)


INSTANCE_TYPES = {kind.name: kind for kind in _all_types()}
