"""A recording that can be sorted: its source, checked against the config, and looked through once, block by block.

It must not filter or change values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import InputError
from source import GEOMETRY, Source, open_source

BLOCK_VALUES = 1 << 22
SHORTEST_S = 1.0
LOWEST_RATE_HZ = 5000.0
MAX_CHANNELS = 10_000


@dataclass(frozen=True)
class Recording:
    """Samples x channels of a raw file, of which `kept` channels (their places in the file) are sorted.

    `positions_um` and `gains_uv` (microvolts a step) are of the kept channels, in the file's order.
    """

    file: Path
    first_byte: int
    dtype: np.dtype
    shape: tuple[int, int]
    kept: np.ndarray
    positions_um: np.ndarray
    sampling_rate_hz: float
    gains_uv: np.ndarray | None
    left_out: Mapping[int, str]

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.shape[0] / self.sampling_rate_hz

    @property
    def unit(self) -> str:
        """What amplitudes are in."""
        return "steps of the recording" if self.gains_uv is None else "µV"


def load_recording(data: Path, parameters: Mapping[str, Any], scratch: Path) -> Recording:
    """The recording of a dataset; unpacked files go to `scratch`. Raises InputError."""
    source = open_source(data, scratch)
    dtype = _dtype(source, parameters, data.name)
    positions = _positions(source, parameters, data.name)
    rate = _sampling_rate(source, parameters, data.name)
    shape = (_samples(source, dtype, len(positions), data.name), len(positions))
    if shape[0] < SHORTEST_S * rate:
        raise InputError(
            f"Dataset {data.name} has {shape[0]:,} samples, {shape[0] / rate:.2g} s at {rate:g} Hz;"
            f" at least {SHORTEST_S:g} s are needed."
        )
    left_out = _looked_through(source, dtype, shape, data.name)
    kept = np.array([channel for channel in range(shape[1]) if channel not in left_out], dtype=int)
    if not len(kept):
        raise InputError(f"Dataset {data.name}: every channel is constant.")
    gains = _gains(source, parameters, shape[1], data.name)
    return Recording(
        source.file,
        source.first_byte,
        dtype,
        shape,
        kept,
        positions[kept],
        rate,
        None if gains is None else gains[kept],
        left_out,
    )


def _dtype(source: Source, parameters: Mapping[str, Any], name: str) -> np.dtype:
    dtype = source.dtype if source.dtype is not None else np.dtype(parameters["dtype"]).newbyteorder("<")
    if dtype.kind not in "iuf" or dtype.itemsize > 8 or (dtype.kind in "iu" and dtype.itemsize == 8):
        raise InputError(f"Dataset {name} holds '{dtype}' values; integers of 8 to 32 bits or floats are needed.")
    return dtype


def _positions(source: Source, parameters: Mapping[str, Any], name: str) -> np.ndarray:
    """A row a channel, x and y in um; checked."""
    positions = source.positions_um
    if positions is None or positions.ndim != 2 or positions.shape[1] != 2:
        raise InputError(f"Dataset {name}: the geometry must have two columns, x and y in um, and a row a channel.")
    if not np.isfinite(positions).all():
        raise InputError(f"Dataset {name}: the geometry has positions that are not numbers.")
    if len(positions) > MAX_CHANNELS:
        raise InputError(f"Dataset {name}: {len(positions):,} channels are more than {MAX_CHANNELS:,}.")
    same = len(positions) - len(np.unique(positions, axis=0))
    if same:
        raise InputError(f"Dataset {name}: {same} channel(s) of the geometry are where another one is.")
    for what, count in (("the recording", source.channels), ("n_channels of the config", parameters["n_channels"])):
        if count is not None and count != len(positions):
            raise InputError(f"Dataset {name}: the geometry has {len(positions)} channels, {what} {count}.")
    return positions


def _sampling_rate(source: Source, parameters: Mapping[str, Any], name: str) -> float:
    """Hz, from the config or the dataset; where both speak they must agree."""
    given, told = parameters["sampling_rate"], source.sampling_rate_hz
    if given is None and told is None:
        raise InputError(
            f"Dataset {name} does not say its sampling rate: put sampling_rate (Hz) into the config, such as 30000."
        )
    if given is not None and told is not None and not np.isclose(given, told):
        raise InputError(f"Dataset {name} says a sampling rate of {told:g} Hz, the config {given:g} Hz.")
    rate = float(told if given is None else given)
    if not LOWEST_RATE_HZ <= rate <= 1e6:
        raise InputError(f"Dataset {name}: a sampling rate of {rate:g} Hz does not show spikes; 5,000 Hz at least.")
    return rate


def _gains(source: Source, parameters: Mapping[str, Any], channels: int, name: str) -> np.ndarray | None:
    given = parameters["gain_to_uv"]
    gains = source.gains_uv if given is None else np.full(channels, float(given))
    if gains is not None and not (np.isfinite(gains).all() and (gains > 0).all()):
        raise InputError(f"Dataset {name}: its gains must be above 0.")
    return gains


def _samples(source: Source, dtype: np.dtype, channels: int, name: str) -> int:
    """How many samples the file holds; its size must be whole samples."""
    size = source.file.stat().st_size - source.first_byte
    samples, rest = divmod(size, dtype.itemsize * channels)
    if size <= 0:
        raise InputError(f"Dataset {name} holds no samples.")
    if rest:
        raise InputError(
            f"Dataset {name}: {size:,} bytes are no whole number of samples of {channels} channels of {dtype.name};"
            f" it is cut off, or dtype or {GEOMETRY} are of another recording."
        )
    return samples


def _looked_through(source: Source, dtype: np.dtype, shape: tuple[int, int], name: str) -> dict[int, str]:
    """Channels that never change, after one pass; values that are not finite raise InputError."""
    low, high = np.full(shape[1], np.inf), np.full(shape[1], -np.inf)
    for first, block in blocks(source.file, source.first_byte, dtype, shape):
        if dtype.kind == "f" and not np.isfinite(block).all():
            sample, channel = np.argwhere(~np.isfinite(block))[0]
            raise InputError(
                f"Dataset {name}: the value at sample {first + sample:,}, channel {channel + 1} is not a finite number."
            )
        low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
    return {int(channel): "constant" for channel in np.flatnonzero(low == high)}


def blocks(file: Path, first_byte: int, dtype: np.dtype, shape: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """First sample and values (samples x channels) of one block after the other."""
    rows = max(1, BLOCK_VALUES // shape[1])
    with file.open("rb") as raw:
        raw.seek(first_byte)
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            yield first, np.frombuffer(raw.read(count * shape[1] * dtype.itemsize), dtype).reshape(count, shape[1])
