"""Reading a dataset: a two-photon movie of (frames, rows, columns), some frames at a time.

TIFF (perhaps several in a .zip), .npy and HDF5. Nothing is held in memory beyond the frames asked for. It must not
change a value, and must not know what is done with the movie.
"""

from __future__ import annotations

import logging
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from analysis_kit import InputError

MIN_SIDE, MIN_FRAMES = 16, 50
"""A cell and its surroundings do not fit into less; fewer frames tell neither noise nor decay."""
TIFF = (".tif", ".tiff")
HDF5 = (".h5", ".hdf5")


class Pages:
    """The frames of one TIFF file, read page by page or, where they lie in one piece, mapped."""

    def __init__(self, path: Path) -> None:
        import tifffile

        self._file = tifffile.TiffFile(path)
        series = self._file.series[0]
        self.shape = tuple(size for size in series.shape if size != 1)
        self.dtype = np.dtype(series.dtype)
        self._mapped: np.ndarray | None = None
        if series.dataoffset is not None:
            stored = self.dtype.newbyteorder(self._file.byteorder)
            self._mapped = np.memmap(path, stored, "r", series.dataoffset, self.shape)
        elif len(self.shape) == 3 and len(series.pages) != self.shape[0]:
            raise ValueError("its pages are not frames")

    def __getitem__(self, frames: slice) -> np.ndarray:
        if self._mapped is not None:
            return np.asarray(self._mapped[frames])
        pages = self._file.series[0].pages
        return np.stack([np.squeeze(pages[number].asarray()) for number in range(frames.start, frames.stop)])


@dataclass(frozen=True)
class Movie:
    """`parts` follow one another in time; all have the same rows and columns."""

    name: str
    parts: tuple[Any, ...]
    shape: tuple[int, int, int]
    bytes_per_value: int

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames as float32, (frames, rows, columns). Raises InputError if they cannot be read or are not numbers."""
        pieces, first = [], 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                pieces.append(self._values(part, slice(low, high)))
            first += part.shape[0]
        frames = np.concatenate(pieces)
        if not np.isfinite(frames).all():
            bad = start + int(np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2)))[0])
            raise InputError(f"Dataset {self.name}: frame {bad} has values that are not finite numbers.")
        return frames

    def _values(self, part: Any, frames: slice) -> np.ndarray:
        try:
            return np.asarray(part[frames], np.float32).reshape(-1, *self.shape[1:])
        # A reader meets a broken file in whatever place it is broken.
        except Exception as error:
            raise InputError(
                f"Dataset {self.name} cannot be read to its end (frames {frames.start} to {frames.stop - 1}):"
                f" {_plainly(error)}."
            ) from error

    def blocks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames, `size` at a time, each block with the number of its first frame."""
        for start in range(0, self.shape[0], size):
            yield start, self.read(start, min(start + size, self.shape[0]))


def open_movie(path: Path, *, hdf5_name: str, scratch: Path) -> Movie:
    """Find the movie in a dataset and check its form; values are checked where they are read. Raises InputError."""
    # What the reader of TIFF would log, it also raises.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    suffix = path.suffix.lower()
    if suffix not in (*TIFF, *HDF5, ".npy", ".zip"):
        raise InputError(f"Dataset {path.name}: a movie is a .tif, .tiff, .zip (of TIFF), .npy, .h5 or .hdf5 file.")
    if path.stat().st_size == 0:
        raise InputError(f"Dataset {path.name} is empty.")
    try:
        parts: list[Any]
        if suffix == ".zip":
            parts = [Pages(unpacked) for unpacked in _unpacked(path, scratch)]
        elif suffix in TIFF:
            parts = [Pages(path)]
        elif suffix in HDF5:
            parts = [_dataset(path, hdf5_name)]
        else:
            parts = [np.load(path, mmap_mode="r", allow_pickle=False)]
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"Dataset {path.name} cannot be read as a movie: {_plainly(error)}.") from error
    return _checked(path.name, parts)


def _plainly(error: Exception) -> str:
    said = re.sub(r"(/[^\s'\"]*)?/([^\s/'\"]+)", r"\2", " ".join(str(error).split())).rstrip(".")
    return said or type(error).__name__


def _unpacked(path: Path, scratch: Path) -> list[Path]:
    """The TIFF files of an archive in the order of their names (2 before 10), unpacked under names of our own."""

    def by_number(entry: zipfile.ZipInfo) -> list[tuple[int, str]]:
        return [(int(word), "") if word.isdigit() else (0, word) for word in re.split(r"(\d+)", entry.filename)]

    found: list[Path] = []
    with zipfile.ZipFile(path) as archive:
        wanted = [
            entry
            for entry in archive.infolist()
            if PurePosixPath(entry.filename).suffix.lower() in TIFF
            and not PurePosixPath(entry.filename).name.startswith(".")
        ]
        if not wanted:
            inside = ", ".join(archive.namelist()[:5]) or "nothing"
            raise InputError(f"Dataset {path.name} holds no .tif file; it holds {inside}.")
        need, free = sum(entry.file_size for entry in wanted), shutil.disk_usage(scratch).free
        if need > free:
            raise InputError(
                f"Dataset {path.name}: unpacked it takes {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; set"
                " __dataset_size__."
            )
        for number, entry in enumerate(sorted(wanted, key=by_number)):
            found.append(scratch / f"part{number}.tif")
            with archive.open(entry) as source, found[-1].open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    return found


def _dataset(path: Path, name: str) -> Any:
    """The dataset called `name` in an HDF5 file, or the only one with three dimensions."""
    import h5py

    file = h5py.File(path, "r")
    if isinstance(file.get(name), h5py.Dataset):
        return file[name]
    inside: list[Any] = []
    file.visititems(lambda _, item: inside.append(item) if isinstance(item, h5py.Dataset) else None)
    movies = [item for item in inside if item.ndim == 3]
    if len(movies) != 1:
        names = ", ".join(sorted(item.name for item in inside)) or "nothing"
        raise InputError(f"Dataset {path.name} lacks '{name}' (parameter var_name_hdf5); it holds {names}.")
    return movies[0]


def _checked(name: str, parts: list[Any]) -> Movie:
    for part in parts:
        if len(part.shape) != 3:
            raise InputError(
                f"Dataset {name} has {len(part.shape)} dimension(s), {_times(part.shape)}; a movie has three: frames x"
                " rows x columns."
            )
        if np.dtype(part.dtype).kind not in "iuf":
            raise InputError(f"Dataset {name} holds {part.dtype} values; a movie has real numbers.")
    sizes = {tuple(part.shape[1:]) for part in parts}
    if len(sizes) > 1:
        raise InputError(f"Dataset {name}: its files differ in size ({' and '.join(map(_times, sorted(sizes)))}).")
    frames, (rows, columns) = sum(part.shape[0] for part in parts), sizes.pop()
    if min(rows, columns) < MIN_SIDE or frames < MIN_FRAMES:
        raise InputError(
            f"Dataset {name} has {frames} frames of {rows} x {columns} pixels; at least {MIN_FRAMES} frames of"
            f" {MIN_SIDE} x {MIN_SIDE} are needed, and the first axis is time."
        )
    return Movie(name, tuple(parts), (frames, rows, columns), int(np.dtype(parts[0].dtype).itemsize))


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single value"
