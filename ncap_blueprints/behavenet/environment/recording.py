"""Reads frames, labels and neural activity of trials from one HDF5 file, and says what is wrong with it.

    images/trial_0000         frames x channels x rows x columns; 0 to 255 as uint8, or floating-point from 0 to 1
    labels/trial_0000         frames x labels (optional): positions of body parts, or anything else measured each frame
    labels_masks/trial_0000   frames x labels (optional): 0 where a label was not observed (it may be NaN there)
    neural/trial_0000         frames x neurons (optional)

Frames stay in the file and are read trial by trial when asked for, or once for all if they are few. A file is believed
only as far as its own bytes go. It must not know what is computed from the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from analysis_kit import InputError

IMAGES, LABELS, MASKS, NEURAL = "images", "labels", "labels_masks", "neural"
KEPT_BYTES = 2 * 2**30
"""Frames of up to this size (4 bytes a pixel where they are floating-point) are held in memory."""
LARGEST_TRIAL, LARGEST_FILE = 4 * 2**30, 1024 * 2**30
LEAST_SIDE, LARGEST_SIDE = 8, 2048
MOST_CHANNELS, MOST_COLUMNS = 64, 20_000
LEAST_FRAMES = 5
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError)


@dataclass(frozen=True)
class Recording:
    """What a file holds. Trials are in the order of their names; `lengths` are their numbers of frames.

    `shape`: channels, rows, columns. `labels`: for each trial frames x labels, nought where `masks` (bool) is False.
    `neural`: for each trial frames x neurons. Labels, masks and neural are None where the file has none.
    """

    names: tuple[str, ...]
    lengths: np.ndarray
    shape: tuple[int, int, int]
    labels: tuple[np.ndarray, ...] | None
    masks: tuple[np.ndarray, ...] | None
    neural: tuple[np.ndarray, ...] | None
    read: Callable[[int], np.ndarray]
    """The frames of a trial, frames x channels x rows x columns, uint8 or float32 from 0 to 1."""

    @property
    def n_labels(self) -> int:
        """Labels of a frame."""
        return 0 if self.labels is None else int(self.labels[0].shape[1])

    def frames(self, trial: int) -> np.ndarray:
        """The frames of a trial as float32, 0 to 1."""
        return as_unit(self.read(trial))


def as_unit(frames: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1 as float32."""
    return frames.astype(np.float32) / 255 if frames.dtype == np.uint8 else frames


@contextmanager
def open_recording(path: Path, *, needs_labels: bool) -> Iterator[Recording]:
    """The recording in a file, checked, while it is open. `needs_labels`: a file without is refused.

    Raises InputError for everything that cannot be used, also for what turns out to be broken while it is read.
    """
    if path.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"Dataset {path.name}: frames, labels and neural activity come in a .h5 or .hdf5 file.")
    try:
        file = h5py.File(path, "r")
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            recording = _load(file, needs_labels=needs_labels)
        except InputError as error:
            raise InputError(f"Dataset {path.name}: {error}") from error
        except UNREADABLE as error:
            raise _unreadable(path, error) from error
        yield recording


def _unreadable(path: Path, error: Exception) -> InputError:
    said = " ".join(str(error).split()).rstrip(".").replace(f"{path.parent}/", "")
    return InputError(f"Dataset {path.name} cannot be read: {said}.")


def _load(file: h5py.File, *, needs_labels: bool) -> Recording:
    images = _trials(file, IMAGES)
    if not images:
        raise InputError(f"it lacks '{IMAGES}', a group with frames x channels x rows x columns for each trial.")
    names = tuple(sorted(images))
    shape = _frame_shape(names, images)
    lengths = np.array([images[name].shape[0] for name in names])
    labels = _series(file, LABELS, names, lengths)
    if needs_labels and labels is None:
        raise InputError(f"it lacks '{LABELS}', which ps-vae needs; 'model_class: ae' does without.")
    masks = None if labels is None else _masks(file, names, lengths, labels)
    if labels is not None and masks is not None:
        labels = tuple(np.where(seen, values, 0) for values, seen in zip(labels, masks, strict=True))
    neural = _series(file, NEURAL, names, lengths)
    for what, series in ((LABELS, labels), (NEURAL, neural)):
        _check_finite(what, names, series)
    recording = Recording(names, lengths, shape, labels, masks, neural, _reader(names, images))
    _check_labels_vary(recording)
    _check_frames(recording)
    return recording


def _trials(file: h5py.File, group: str) -> dict[str, h5py.Dataset]:
    """The arrays of a group by name; empty if there is no such group."""
    if group not in file:
        return {}
    for holder, name in ((file, group), *((file[group], name) for name in _names(file[group], group))):
        if not isinstance(holder.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"'{name}' is a link to somewhere else; the arrays must be in the file itself.")
    found = {str(name): file[group][name] for name in file[group]}
    for name, held in found.items():
        if not isinstance(held, h5py.Dataset) or held.dtype.kind not in "biuf":
            raise InputError(f"'{group}/{name}' does not hold numbers.")
        if held.is_virtual or held.external:
            raise InputError(f"'{group}/{name}' is in another file; the arrays must be in the file itself.")
        if int(np.prod(held.shape or (0,), dtype=object)) * held.dtype.itemsize > LARGEST_TRIAL:
            raise InputError(f"'{group}/{name}' is larger than {LARGEST_TRIAL // 2**30} GiB; cut it into trials.")
    return found


def _names(group: Any, what: str) -> list[str]:
    if not isinstance(group, h5py.Group):
        raise InputError(f"'{what}' must be a group with an array for each trial, such as {what}/trial_0000.")
    return list(group)


def _frame_shape(names: tuple[str, ...], images: Mapping[str, h5py.Dataset]) -> tuple[int, int, int]:
    """Channels, rows and columns, the same in all trials."""
    first = images[names[0]]
    for name in names:
        held = images[name]
        if held.ndim != 4:
            raise InputError(f"'{IMAGES}/{name}' has shape {held.shape}; frames x channels x rows x columns is needed.")
        if held.shape[1:] != first.shape[1:] or held.dtype != first.dtype:
            raise InputError(f"frames of '{names[0]}' and '{name}' differ in size or number type.")
        if held.shape[0] < LEAST_FRAMES:
            raise InputError(f"'{IMAGES}/{name}' has {held.shape[0]} frames; at least {LEAST_FRAMES} are needed.")
    if first.dtype != np.uint8 and first.dtype.kind != "f":
        raise InputError(f"pixels are {first.dtype}; uint8, or floating-point numbers from 0 to 1, are needed.")
    channels, *sides = (int(size) for size in first.shape[1:])
    if not 1 <= channels <= MOST_CHANNELS or min(sides) < LEAST_SIDE or max(sides) > LARGEST_SIDE:
        raise InputError(
            f"a frame is {channels} x {sides[0]} x {sides[1]} (channels x rows x columns); 1 to {MOST_CHANNELS}"
            f" channels and {LEAST_SIDE} to {LARGEST_SIDE} rows and columns are accepted."
        )
    if sum(held.size * held.dtype.itemsize for held in images.values()) > LARGEST_FILE:
        raise InputError(f"all frames together are larger than {LARGEST_FILE // 2**30} GiB.")
    return channels, sides[0], sides[1]


def _series(file: h5py.File, group: str, names: tuple[str, ...], lengths: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """One array frames x columns (float32) for each trial, or None if the file has no such group."""
    held = _trials(file, group)
    if not held:
        return None
    if missing := [name for name in names if name not in held]:
        raise InputError(f"'{group}' lacks {missing[0]}, which '{IMAGES}' has.")
    columns = held[names[0]].shape[1:]
    for name, length in zip(names, lengths, strict=True):
        shape = held[name].shape
        if len(shape) != 2 or shape != (length, *columns) or not 1 <= shape[1] <= MOST_COLUMNS:
            needed = f"{length} frames x {columns[0] if len(columns) == 1 and columns[0] else 'columns'}"
            raise InputError(f"'{group}/{name}' has shape {shape}; {needed} is needed.")
    return tuple(held[name][()].astype(np.float32) for name in names)


def _masks(
    file: h5py.File, names: tuple[str, ...], lengths: np.ndarray, labels: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...] | None:
    masks = _series(file, MASKS, names, lengths)
    if masks is None:
        return None
    if masks[0].shape[1] != labels[0].shape[1] or not all(np.isin(mask, (0, 1)).all() for mask in masks):
        raise InputError(f"'{MASKS}' must say 0 or 1 for each label of each frame.")
    return tuple(mask == 1 for mask in masks)


def _check_finite(what: str, names: tuple[str, ...], series: tuple[np.ndarray, ...] | None) -> None:
    for name, values in zip(names, series or (), strict=False):
        if not np.isfinite(values).all():
            frame, column = (int(place) for place in np.argwhere(~np.isfinite(values))[0])
            advice = f"; mark it in '{MASKS}' if it was not observed" if what == LABELS else ""
            raise InputError(
                f"'{what}/{name}' has a value that is not a finite number (frame {frame}, column {column}, counted"
                f" from 0){advice}."
            )


def _check_labels_vary(recording: Recording) -> None:
    if recording.labels is None:
        return
    values, seen = np.concatenate(recording.labels), observed(recording)
    for label in range(recording.n_labels):
        known = values[seen[:, label], label]
        if len(known) < 2 or known.min() == known.max():
            raise InputError(f"label {label} (counted from 0) never changes or was never observed.")


def observed(recording: Recording) -> np.ndarray:
    """All frames x labels: whether a label was observed."""
    if recording.masks is None:
        return np.ones((int(recording.lengths.sum()), recording.n_labels), bool)
    return np.concatenate(recording.masks)


def _check_frames(recording: Recording) -> None:
    """Every frame is read once: broken parts of a file and impossible pixels are found before anything is computed."""
    least, most = np.inf, -np.inf
    for trial, name in enumerate(recording.names):
        frames = recording.read(trial)
        low, high = float(frames.min()), float(frames.max())
        if not np.isfinite(low + high):
            raise InputError(f"'{IMAGES}/{name}' has a pixel that is not a finite number.")
        if frames.dtype != np.uint8 and (low < 0 or high > 1):
            raise InputError(f"pixels of '{IMAGES}/{name}' go from {low:g} to {high:g}; 0 to 1 is needed, or uint8.")
        least, most = min(least, low), max(most, high)
    if least == most:
        raise InputError("all pixels of all frames have one value.")


def _reader(names: tuple[str, ...], images: Mapping[str, h5py.Dataset]) -> Callable[[int], np.ndarray]:
    """Reads frames of a trial; keeps them if all of them fit into `KEPT_BYTES`."""
    width = 1 if images[names[0]].dtype == np.uint8 else 4
    keeps = sum(held.size for held in images.values()) * width <= KEPT_BYTES
    kept: dict[int, np.ndarray] = {}

    def read(trial: int) -> np.ndarray:
        if trial in kept:
            return kept[trial]
        frames: np.ndarray = images[names[trial]][()]
        frames = frames if frames.dtype == np.uint8 else frames.astype(np.float32)
        if keeps:
            kept[trial] = frames
        return frames

    return read
