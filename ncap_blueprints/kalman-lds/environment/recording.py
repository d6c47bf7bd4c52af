"""Reads a multichannel recording from ``.csv`` or ``.npy`` and says plainly what is wrong with one it cannot use.

Rows are time, columns are channels. It must not scale, fill or otherwise change a value.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from parameters import InputError

MISSING = {"", "nan", "na", "n/a", "null", "none", "-"}
"""Cells (lower case, blanks removed) that mean "not measured"."""

MIN_ROWS = 20
"""Fewer time points than this cannot tell dynamics from noise."""


@dataclass(frozen=True)
class Recording:
    """``values``: time x channels, float64, NaN where missing; ``left_out``: channel -> why it was not used."""

    values: np.ndarray
    channels: tuple[str, ...]
    left_out: dict[str, str]


def load_recording(path: Path, *, latent_dim: int) -> Recording:
    """Read and check a recording; channels that carry no signal are left out by name. Raises InputError."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        values, channels = _read_csv(path)
    elif suffix == ".npy":
        values, channels = _read_npy(path)
    else:
        raise InputError(f"Dataset {path.name}: files of type '{suffix}' are not read; send a .csv or a .npy file.")
    _check_values(path.name, values)
    recording = _without_silent_channels(values, channels)
    n_channels = recording.values.shape[1]
    if latent_dim >= n_channels:
        raise InputError(
            f"Dataset {path.name}: latent_dim {latent_dim} must be smaller than the number of usable channels"
            f" ({n_channels}); lower latent_dim or send more channels."
        )
    return recording


def _read_csv(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except UnicodeDecodeError as error:
        raise InputError(f"Dataset {path.name} is not a text file (byte {error.start} is not UTF-8).") from error
    if not first.strip():
        raise InputError(f"Dataset {path.name} is empty or starts with an empty line.")
    delimiter = max(",;\t", key=first.count)
    cells = next(csv.reader([first], delimiter=delimiter))
    has_header = not all(_is_number(cell) or cell.strip().lower() in MISSING for cell in cells)
    channels = tuple(cell.strip() for cell in cells) if has_header else _numbered(len(cells))
    try:
        values = np.loadtxt(path, delimiter=delimiter, skiprows=int(has_header), ndmin=2, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError):
        values = _read_cells(path, delimiter=delimiter, skip=int(has_header), width=len(cells))
    if values.size == 0:
        raise InputError(f"Dataset {path.name} has a header but no rows of numbers.")
    if values.shape[1] != len(channels):
        raise InputError(f"Dataset {path.name}: {len(channels)} column names but {values.shape[1]} columns of numbers.")
    return values, channels


def _read_cells(path: Path, *, delimiter: str, skip: int, width: int) -> np.ndarray:
    """The slow reader for files with missing or wrong cells: it can tell where the wrong one is."""
    rows: list[list[float]] = []
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        for number, cells in enumerate(csv.reader(file, delimiter=delimiter), start=1):
            if number <= skip or not cells:
                continue
            if len(cells) != width:
                raise InputError(
                    f"Dataset {path.name}, line {number}: {len(cells)} columns where the first line has {width}."
                )
            for column, cell in enumerate(cells, start=1):
                if cell.strip().lower() not in MISSING and not _is_number(cell):
                    raise InputError(f"Dataset {path.name}, line {number}, column {column}: {cell!r} is not a number.")
            rows.append([np.nan if cell.strip().lower() in MISSING else float(cell) for cell in cells])
    return np.array(rows, dtype=float).reshape(len(rows), width)


def _read_npy(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"Dataset {path.name} is not a readable .npy array: {error}.") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"Dataset {path.name} holds '{array.dtype}' values; real numbers are needed.")
    if array.ndim != 2:
        raise InputError(f"Dataset {path.name} has {array.ndim} dimension(s); time x channels (2) are needed.")
    return array.astype(float), _numbered(array.shape[1])


def _check_values(name: str, values: np.ndarray) -> None:
    """Refuse what cannot be fitted at all."""
    rows, columns = values.shape
    if columns < 2:
        raise InputError(f"Dataset {name} has one channel; at least two are needed (rows are time, columns channels).")
    if rows < MIN_ROWS:
        raise InputError(f"Dataset {name} has {rows} time points; at least {MIN_ROWS} are needed (rows are time).")
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise InputError(f"Dataset {name}: infinite value at time point {row + 1}, channel {column + 1}.")
    if np.isnan(values).all():
        raise InputError(f"Dataset {name}: every value is missing.")


def _without_silent_channels(values: np.ndarray, channels: tuple[str, ...]) -> Recording:
    """Drop channels without two different values: they have no variance to explain and cannot be standardized."""
    left_out: dict[int, str] = {}
    for column in range(values.shape[1]):
        seen = values[np.isfinite(values[:, column]), column]
        if seen.size == 0:
            left_out[column] = "every value is missing"
        elif np.ptp(seen) == 0:
            left_out[column] = "constant"
    keep = [column for column in range(values.shape[1]) if column not in left_out]
    names = {channels[column]: reason for column, reason in left_out.items()}
    return Recording(values[:, keep], tuple(channels[column] for column in keep), names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"channel {i + 1}" for i in range(count))
