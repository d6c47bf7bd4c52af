"""The arrays of a `.h5` or `.npz` file by name: their shapes first, their values when asked for.

A file is believed only as far as its own bytes go: no links to other files, no pickled objects, no sizes it does not
have. It must not know what the arrays mean.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
from analysis_kit import InputError

UNREADABLE = (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the readers raise for files that are broken, packed in an unknown way or locked with a password."""
MAX_VALUES = 1_000_000_000


@dataclass(frozen=True)
class Stored:
    """One array in a file; `read` gets its values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]


@contextmanager
def open_arrays(path: Path) -> Iterator[dict[str, Stored]]:
    """The arrays of a file, by lower-case name. Raises InputError, also for what goes wrong while they are read."""
    kinds: dict[str, Callable[[Path], Any]] = {".h5": _open_hdf5, ".hdf5": _open_hdf5, ".npz": _open_npz}
    opened = kinds.get(path.suffix.lower())
    if opened is None:
        raise InputError(f"Dataset {path.name}: binned spikes come in a .h5, .hdf5 or .npz file.")
    try:
        with opened(path) as arrays:
            yield arrays
    except InputError as error:
        raise InputError(f"Dataset {path.name}: {error}") from error
    except UNREADABLE as error:
        said = " ".join(str(error).split()).rstrip(".").replace(str(path.parent) + "/", "")
        raise InputError(f"Dataset {path.name} cannot be read: {said}.") from error


@contextmanager
def _open_hdf5(path: Path) -> Iterator[dict[str, Stored]]:
    with h5py.File(path, "r") as file:
        arrays = {}
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"'{name}' is a link to somewhere else; the arrays must be in the file itself.")
            held = file[name]
            if isinstance(held, h5py.Dataset):
                if held.is_virtual or held.external:
                    raise InputError(f"'{name}' is in another file; the arrays must be in the file itself.")
                arrays[name.lower()] = _stored(name, held.shape or (), held.dtype, held.__array__)
        yield arrays


@contextmanager
def _open_npz(path: Path) -> Iterator[dict[str, Stored]]:
    with zipfile.ZipFile(path) as archive:
        arrays = {}
        for entry in archive.infolist():
            name = PurePosixPath(entry.filename)
            if name.suffix == ".npy":
                arrays[name.stem.lower()] = _member(archive, entry, name.stem)
        yield arrays


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Stored:
    """One array of an archive; the sizes its header speaks of must be those of the entry."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        start = file.tell()
    if start + _count(shape) * dtype.itemsize != entry.file_size or dtype.hasobject:
        raise InputError(f"'{name}' is not a complete array of numbers.")

    def read() -> np.ndarray:
        with archive.open(entry) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    return _stored(name, shape, dtype, read)


def _stored(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[], np.ndarray]) -> Stored:
    if _count(shape) > MAX_VALUES:
        raise InputError(f"'{name}' has {_count(shape):,} values; at most {MAX_VALUES:,} are accepted.")
    return Stored(tuple(shape), dtype, read)


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=object)) if shape else 1
