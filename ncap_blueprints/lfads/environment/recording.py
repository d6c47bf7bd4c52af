"""Reading a dataset: binned activity of a population in trials, checked. It must not change a value.

Trials x time bins x neurons, under one name (`spikes` or `data`), or already parted into `train_…` and `valid_…` as the
original's files are (`train_data`, or `train_recon_data` with `train_encod_data`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import InputError
from storage import Stored, open_arrays

TOGETHER = ("spikes", "data")
PARTED = ("recon_data", "data", "encod_data")
"""Names of the activity, in a file of one part and after `train_` and `valid_`; the first found counts."""
ENCODED = "encod_data"
KNOWN, CONDITIONS, TRUTH, VALID = "ext_input", "conditions", "truth", "valid"
LEAST = {"trials": 10, "time bins": 5, "neurons": 2}
MOST_SPIKES = 20_000
"""In one bin; more are not counts of spikes."""
TRIALS_AT_ONCE = 64


@dataclass(frozen=True)
class Recording:
    """`values` trials x time x neurons (whole numbers where they are counts); the rest is None if the file lacks it.

    `valid` (trials): not trained on. `seen`: the first neurons, which alone the file gives to the encoders.
    `known` trials x time x inputs. `conditions` (trials), whole numbers. `truth`: expected values, as `values`.
    """

    values: np.ndarray
    valid: np.ndarray | None
    seen: int | None
    known: np.ndarray | None
    conditions: np.ndarray | None
    truth: np.ndarray | None


def load_recording(path: Path, *, counts: bool) -> Recording:
    """Read and check a dataset; `counts`: values must be numbers of spikes. Raises InputError."""
    with open_arrays(path) as arrays:
        names = [name for name in TOGETHER if name in arrays]
        recording = _whole(arrays, names[0], counts=counts) if names else _parted(arrays, counts=counts)
        _check_parts(recording)
    return recording


def _whole(arrays: Mapping[str, Stored], name: str, *, counts: bool) -> Recording:
    valid = _flags(arrays[VALID]) if VALID in arrays else None
    extras = {extra: arrays.get(extra) for extra in (KNOWN, CONDITIONS, TRUTH)}
    return Recording(_activity(arrays, name, counts=counts), valid, None, *_extras(extras))


def _parted(arrays: Mapping[str, Stored], *, counts: bool) -> Recording:
    """Training trials first, then those of validation."""
    names = [name for name in PARTED if f"train_{name}" in arrays and f"valid_{name}" in arrays]
    if not names:
        held = ", ".join(sorted(arrays)[:10]) or "no array"
        raise InputError(f"it lacks 'spikes', or 'train_data' and 'valid_data' (it holds {held}).")
    parts = [_activity(arrays, f"{part}_{names[0]}", counts=counts) for part in ("train", "valid")]
    if parts[0].shape[1:] != parts[1].shape[1:]:
        raise InputError(f"training trials are {parts[0].shape[1:]} (time x neurons), others {parts[1].shape[1:]}.")
    valid = np.repeat([False, True], [len(part) for part in parts])
    extras = {name: _joined(arrays, name) for name in (KNOWN, CONDITIONS, TRUTH)}
    return Recording(np.concatenate(parts), valid, _encoded(arrays, names[0], parts), *_extras(extras))


def _joined(arrays: Mapping[str, Stored], name: str) -> Stored | None:
    parts = [arrays.get(f"{part}_{name}") for part in ("train", "valid")]
    first, second = parts
    if first is None or second is None:
        return None
    if first.shape[1:] != second.shape[1:]:
        raise InputError(f"'train_{name}' and 'valid_{name}' differ in shape: {first.shape}, {second.shape}.")
    shape = (first.shape[0] + second.shape[0], *first.shape[1:]) if first.shape else ()
    return Stored(shape, first.dtype, lambda: np.concatenate([first.read(), second.read()]))


def _encoded(arrays: Mapping[str, Stored], name: str, parts: list[np.ndarray]) -> int | None:
    """How many of the first neurons the encoders may read, if the file has them apart."""
    if name == ENCODED or f"train_{ENCODED}" not in arrays:
        return None
    given = arrays[f"train_{ENCODED}"].read()
    seen = given.shape[2] if given.ndim == 3 else 0
    if not 2 <= seen <= parts[0].shape[2] or not np.array_equal(given, parts[0][..., :seen]):
        raise InputError(
            f"'train_{ENCODED}' (shape {given.shape}) must be the first neurons of 'train_{name}' "
            f"(shape {parts[0].shape}), at all of its time bins."
        )
    return seen


def _activity(arrays: Mapping[str, Stored], name: str, *, counts: bool) -> np.ndarray:
    stored = arrays[name]
    if len(stored.shape) != 3 or stored.dtype.kind not in "biuf":
        raise InputError(f"'{name}' has shape {stored.shape}; numbers, trials x time bins x neurons, are needed.")
    if 0 in stored.shape:
        raise InputError(f"'{name}' is empty: its shape is {stored.shape}.")
    values = stored.read()
    most = 0.0
    for first in range(0, len(values), TRIALS_AT_ONCE):
        block = values[first : first + TRIALS_AT_ONCE]
        _check_values(block, first, name, counts=counts)
        most = max(most, float(np.abs(block.astype(np.float64)).max()))
    if not counts:
        return values.astype(np.float32)
    return values.astype(np.uint8 if most < 2**8 else np.uint16)


def _check_values(block: np.ndarray, first: int, name: str, *, counts: bool) -> None:
    """Refuses the first value that cannot be, with its place."""
    with np.errstate(over="ignore", invalid="ignore"):
        rules = [("is not a finite number", ~np.isfinite(block.astype(np.float32)))]
        if counts:
            rules += [
                ("is negative; spikes are counted", block < 0),
                ("is not a whole number; spikes are counted (readout 'gaussian' takes any number)", block % 1 != 0),
                (f"is more spikes in a bin than there can be ({MOST_SPIKES:,})", block > MOST_SPIKES),
            ]
    for what, wrong in rules:
        if wrong.any():
            trial, time_bin, neuron = np.argwhere(wrong)[0]
            place = f"trial {first + trial}, bin {time_bin}, neuron {neuron}, counted from 0"
            raise InputError(f"'{name}' holds {block[trial, time_bin, neuron]} ({place}), which {what}.")


def _extras(stored: Mapping[str, Stored | None]) -> tuple[np.ndarray | None, ...]:
    """Known inputs, conditions and truth, as numbers that are finite."""
    known, conditions, truth = (None if stored[name] is None else _finite(stored[name], name) for name in stored)
    if conditions is not None:
        if conditions.ndim != 1 or (conditions != np.round(conditions)).any():
            raise InputError("'conditions' must be one whole number a trial.")
        conditions = conditions.astype(np.int64)
    return known, conditions, truth


def _finite(stored: Stored | None, name: str) -> np.ndarray:
    if stored is None or stored.dtype.kind not in "biuf":
        raise InputError(f"'{name}' does not hold numbers.")
    values = stored.read().astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"'{name}' holds values that are not finite numbers.")
    return values


def _flags(stored: Stored) -> np.ndarray:
    values = _finite(stored, VALID)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise InputError(f"'{VALID}' must be 0 or 1 for each trial.")
    return values == 1


def _check_parts(recording: Recording) -> None:
    """Enough of everything, and parts that fit to each other."""
    shape = recording.values.shape
    for size, (what, least) in zip(shape, LEAST.items(), strict=True):
        if size < least:
            raise InputError(f"there are {size} {what} (shape {shape}); at least {least} are needed.")
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        VALID: (recording.valid, shape[:1]),
        CONDITIONS: (recording.conditions, shape[:1]),
        TRUTH: (recording.truth, shape),
    }
    for name, (values, needed) in expected.items():
        if values is not None and values.shape != needed:
            raise InputError(f"'{name}' has shape {values.shape}; {needed} is needed.")
    known = recording.known
    if known is not None and (known.ndim != 3 or known.shape[:2] != shape[:2] or not known.shape[2]):
        raise InputError(f"'{KNOWN}' has shape {known.shape}; {shape[:2]} x inputs is needed.")
    if not recording.values.any():
        raise InputError("all values are nought.")
    if recording.valid is not None and not 0 < recording.valid.sum() <= len(recording.valid) - LEAST["trials"] // 2:
        raise InputError("some trials, but not nearly all, must be kept for validation.")
