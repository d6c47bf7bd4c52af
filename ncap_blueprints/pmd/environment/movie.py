"""Reading a dataset: an imaging movie, and what may come with it for a following analysis, checked.

A movie is only mapped into memory, (rows, columns, frames); one that is stored frame by frame or packed is first
rewritten in that order to scratch, some frames at a time. It must not change a value.
"""

from __future__ import annotations

import logging
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from analysis_kit import InputError

MIN_SIDE = 4
MIN_FRAMES = 32
"""Fewer frames tell neither noise nor smoothness."""
CHUNK_BYTES = 64_000_000
EXTRAS = ("atlas.npy", "brainmask.npy", "labels.npy", "labels.json")
"""What a .npz or .zip may hold beside the movie; handed on unchanged."""
TIFF = (".tif", ".tiff")
UNREADABLE = (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the readers raise for files that are broken, packed in an unknown way or locked with a password."""


@dataclass(frozen=True)
class Movie:
    """Where the values are: a file of `dtype` values from `offset`, (rows, columns, frames), C or Fortran order."""

    path: Path
    dtype: str
    offset: int
    shape: tuple[int, int, int]
    order: str
    extras: dict[str, bytes]

    def values(self) -> np.ndarray:
        """The movie mapped into memory, read only."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)  # type: ignore[call-overload]


def load_movie(path: Path, *, time_axis: str, scratch: Path) -> Movie:
    """Find and check a movie. `.npy`: the time axis as said; `.tif`: frames are pages; `.npz`, `.zip`: `movie` inside.

    Raises InputError. Values are checked later, where they are read.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            movie = _from_npy(path, path.name, time_axis, scratch)
        elif suffix in TIFF:
            movie = _from_tiff(path, path.name, scratch)
        elif suffix in (".npz", ".zip"):
            movie = _from_archive(path, time_axis, scratch)
        else:
            raise InputError(f"Dataset {path.name}: a movie is a .npy, .tif, .tiff, .npz or .zip file.")
    except InputError:
        raise
    except UNREADABLE as error:
        said = " ".join(str(error).split()).rstrip(".").replace(str(path.parent) + "/", "")
        raise InputError(f"Dataset {path.name} cannot be read as a movie: {said}.") from error
    rows, columns, frames = movie.shape
    if min(rows, columns) < MIN_SIDE or frames < MIN_FRAMES:
        raise InputError(
            f"Dataset {path.name}: {rows} x {columns} pixels and {frames} frames; at least {MIN_SIDE} x {MIN_SIDE} and"
            f" {MIN_FRAMES} are needed (parameter time_axis says which axis is time)."
        )
    return movie


def _from_npy(path: Path, name: str, time_axis: str, scratch: Path) -> Movie:
    with path.open("rb") as file:
        if not file.read(1):
            raise InputError(f"Dataset {name} is empty.")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise ValueError("it is not a .npy array")
    _check_array(name, array.shape, array.dtype)
    if time_axis == "first":
        return _rewritten(_slabs(array), array.shape, array.dtype, scratch)
    order = "C" if array.flags.c_contiguous else "F"
    return Movie(path, array.dtype.str, array.offset, array.shape, order, {})


def _from_tiff(path: Path, name: str, scratch: Path) -> Movie:
    import tifffile

    # What it would log, it also raises.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            shape = tuple(size for size in series.shape if size != 1)
            _check_array(name, shape, series.dtype)
            if series.dataoffset is not None:
                dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
                array = np.memmap(path, dtype, "r", series.dataoffset, shape)
                return _rewritten(_slabs(array), shape, dtype, scratch)
            if len(series.pages) != shape[0]:
                raise ValueError("its pages are not frames")
            pages = (np.asarray(page.asarray()).reshape(1, *shape[1:]) for page in series.pages)
            return _rewritten(pages, shape, series.dtype, scratch)
    except InputError:
        raise
    # The reader meets a broken file in whatever place it is broken.
    except Exception as error:
        raise ValueError(str(error)) from error


def _from_archive(path: Path, time_axis: str, scratch: Path) -> Movie:
    """The movie is unpacked under a name of our own, so no path in the archive matters."""
    with zipfile.ZipFile(path) as archive:
        inside = {PurePosixPath(entry.filename).name.lower(): entry for entry in archive.infolist()}
        wanted = [name for name in ("movie.npy", "movie.tif", "movie.tiff") if name in inside]
        if not wanted:
            raise InputError(
                f"Dataset {path.name} lacks 'movie' (it holds {', '.join(sorted(inside)[:8]) or 'nothing'})."
            )
        entry = inside[wanted[0]]
        if 2 * entry.file_size > shutil.disk_usage(scratch).free:
            raise InputError(
                f"Dataset {path.name}: its movie takes {entry.file_size / 1e9:.1f} GB unpacked, and there is no room"
                " for it; set __dataset_size__."
            )
        unpacked = scratch / f"unpacked{Path(wanted[0]).suffix}"
        with archive.open(entry) as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        extras = {name: archive.read(inside[name]) for name in EXTRAS if name in inside}
    name = f"{path.name}, movie"
    read: Callable[[], Movie] = (
        (lambda: _from_tiff(unpacked, name, scratch))
        if unpacked.suffix in TIFF
        else (lambda: _from_npy(unpacked, name, time_axis, scratch))
    )
    found = read()
    return Movie(found.path, found.dtype, found.offset, found.shape, found.order, extras)


def _check_array(name: str, shape: tuple[int, ...], dtype: Any) -> None:
    if len(shape) != 3:
        raise InputError(f"Dataset {name} has {len(shape)} dimension(s); a movie has three, rows x columns x frames.")
    if np.dtype(dtype).kind not in "iuf":
        raise InputError(f"Dataset {name} holds '{dtype}' values; a movie has real numbers.")


def _slabs(array: np.ndarray) -> Iterator[np.ndarray]:
    """A movie stored frame by frame, some frames at a time."""
    step = max(1, CHUNK_BYTES // max(1, array[0].nbytes))
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _rewritten(slabs: Iterator[np.ndarray], shape: tuple[int, ...], dtype: Any, scratch: Path) -> Movie:
    """A copy on scratch with time as the last axis, from slabs of (frames, rows, columns)."""
    frames, rows, columns = shape
    dtype = np.dtype(dtype)
    if rows * columns * frames * dtype.itemsize > shutil.disk_usage(scratch).free:
        raise InputError(f"The movie of {rows} x {columns} x {frames} values does not fit on the disk.")
    path = scratch / "movie.raw"
    copy = np.memmap(path, dtype, "w+", 0, (rows, columns, frames))
    done = 0
    for slab in slabs:
        copy[:, :, done : done + len(slab)] = np.moveaxis(slab, 0, -1)
        done += len(slab)
    copy.flush()
    return Movie(path, dtype.str, 0, (rows, columns, frames), "C", {})
