"""Reading a dataset: a widefield recording of one or two interleaved colours, and what comes with it, checked.

The recording is only mapped into memory or read frame by frame. It must not change a value.
"""

from __future__ import annotations

import logging
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from analysis_kit import InputError

RAW_NAME = re.compile(r"_(\d+)_(\d+)_(\d+)_(u?int8|u?int16|float32)$")
"""End of a raw file's name: channels, rows, columns, type of value."""
RAW, TIFF, MOVIES = (".dat", ".bin"), (".tif", ".tiff"), (".dat", ".bin", ".tif", ".tiff", ".npy")
EXTRAS = ("atlas.npy", "brainmask.npy", "labels.json", "labels.npy")
"""What a .zip may hold beside the recording for the analysis that follows; handed on unchanged."""
MIN_SIDE, MIN_FRAMES = 16, 32
"""Per colour; fewer tell neither noise nor motion."""
BATCH_BYTES = 128_000_000
UNREADABLE = (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the readers raise for files that are broken, packed in an unknown way or locked with a password."""


@dataclass(frozen=True)
class Recording:
    """Frames (n, rows, columns), colours in turn; `channels` of them. Incomplete turns at the end are left out."""

    name: str
    frames: np.ndarray
    channels: int
    extras: dict[str, bytes]

    @property
    def length(self) -> int:
        """Frames of each colour."""
        return len(self.frames) // self.channels

    def batches(self, channel: int, *, most: int | None = None) -> Iterator[np.ndarray]:
        """The frames of one colour (n, rows, columns), float32, some at a time; at most so many, spread evenly.

        Raises InputError at a value that is not finite.
        """
        places = np.arange(self.length)
        if most is not None and most < self.length:
            places = np.linspace(0, self.length - 1, most).round().astype(int)
        step = max(1, BATCH_BYTES // (4 * self.frames[0].size))
        for start in range(0, len(places), step):
            chosen = places[start : start + step] * self.channels + channel
            batch = np.stack([np.asarray(self.frames[place], np.float32) for place in chosen])
            if not np.isfinite(batch).all():
                wrong = int(chosen[~np.isfinite(batch).all(axis=(1, 2))][0])
                raise InputError(f"Dataset {self.name}: frame {wrong} has values that are not finite numbers.")
            yield batch


def load_recording(path: Path, *, channels: int, scratch: Path) -> Recording:
    """Find and check a recording. A .zip holds it as one file, with whatever else. Raises InputError."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".zip":
            movie, name, extras = _unpacked(path, scratch)
        elif suffix in MOVIES:
            movie, name, extras = path, path.name, {}
        else:
            raise InputError(f"Dataset {path.name}: a recording is a {', '.join(MOVIES)} file, or a .zip of one.")
        frames = _frames(movie, name, channels, scratch)
    except InputError:
        raise
    except UNREADABLE as error:
        said = " ".join(str(error).split()).rstrip(".").replace(str(path.parent) + "/", "")
        raise InputError(f"Dataset {path.name} cannot be read as a recording: {said}.") from error
    rows, columns = frames.shape[1:]
    if min(rows, columns) < MIN_SIDE or len(frames) // channels < MIN_FRAMES:
        raise InputError(
            f"Dataset {name}: {len(frames)} frames of {rows} x {columns} pixels in {channels} colour(s); at least"
            f" {MIN_FRAMES} a colour of {MIN_SIDE} x {MIN_SIDE} are needed."
        )
    return Recording(path.name, frames[: len(frames) // channels * channels], channels, extras)


def _unpacked(path: Path, scratch: Path) -> tuple[Path, str, dict[str, bytes]]:
    """The recording, under a name of our own but for what its name says; paths in the archive do not matter."""
    with zipfile.ZipFile(path) as archive:
        files = {PurePosixPath(it.filename).name: it for it in archive.infolist() if not it.is_dir()}
        named = {name.lower(): entry for name, entry in files.items() if not name.startswith(".")}
        movies = [name for name in files if Path(name).suffix.lower() in MOVIES and name.lower() not in EXTRAS]
        movies = [name for name in movies if not name.startswith(".")]
        raw = [name for name in movies if Path(name).suffix.lower() in RAW and RAW_NAME.search(Path(name).stem)]
        movies = raw if len(raw) == 1 else movies
        if len(movies) != 1:
            held = ", ".join(sorted(files)[:8]) or "nothing"
            raise InputError(f"Dataset {path.name} must hold one recording ({', '.join(MOVIES)}); it holds {held}.")
        entry = files[movies[0]]
        if 3 * entry.file_size > shutil.disk_usage(scratch).free:
            raise InputError(
                f"Dataset {path.name}: its recording takes {entry.file_size / 1e9:.1f} GB unpacked, and there is no"
                " room for it and its corrected copy; set __dataset_size__."
            )
        place = Path(movies[0])
        shape = RAW_NAME.search(place.stem)
        target = scratch / f"recording{shape.group(0) if shape else ''}{place.suffix.lower()}"
        with archive.open(entry) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        extras = {name: archive.read(named[name]) for name in EXTRAS if name in named}
    return target, f"{path.name}, {movies[0]}", extras


def _frames(path: Path, name: str, channels: int, scratch: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        raise InputError(f"Dataset {name} is empty.")
    if suffix in RAW:
        return _raw(path, name, channels)
    if suffix in TIFF:
        return _tiff(path, name, scratch)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim == 4:
        if array.shape[1] != channels:
            raise InputError(f"Dataset {name} has {array.shape[1]} colours; num_channels says {channels}.")
        if not array.flags.c_contiguous:
            raise ValueError("its values are not in C order")
        array = array.reshape(-1, *array.shape[2:])
    return _checked(array, name)


def _raw(path: Path, name: str, channels: int) -> np.ndarray:
    told = RAW_NAME.search(path.stem)
    if told is None:
        raise InputError(
            f"Dataset {name}: the name of a raw file must end in _CHANNELS_ROWS_COLUMNS_TYPE, as _2_540_640_uint16."
        )
    held, rows, columns = (int(told.group(k)) for k in (1, 2, 3))
    if held != channels:
        raise InputError(f"Dataset {name}: its name says {held} colour(s); num_channels says {channels}.")
    dtype = np.dtype(told.group(4)).newbyteorder("<")
    frame = rows * columns * dtype.itemsize
    size = path.stat().st_size
    if not frame or size % frame:
        raise InputError(
            f"Dataset {name}: {size:,} bytes are no whole number of frames of {rows} x {columns} {dtype.name}."
        )
    return np.memmap(path, dtype, "r", 0, (size // frame, rows, columns))


def _tiff(path: Path, name: str, scratch: Path) -> np.ndarray:
    import tifffile

    # What it would log, it also raises.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            shape = tuple(size for size in series.shape if size != 1)
            if len(shape) == 4:
                shape = (shape[0] * shape[1], *shape[2:])
            dtype = np.dtype(series.dtype)
            _checked(np.empty((0, *shape[1:]), dtype), name)
            copy = np.memmap(scratch / "frames.raw", dtype, "w+", 0, shape)
            for place, page in enumerate(series.pages):
                copy[place] = page.asarray()
            return copy
    except InputError:
        raise
    # The reader meets a broken file in whatever place it is broken.
    except Exception as error:
        raise ValueError(str(error)) from error


def _checked(array: Any, name: str) -> np.ndarray:
    if array.ndim != 3:
        raise InputError(f"Dataset {name} has {array.ndim} dimension(s); frames x rows x columns are needed.")
    if array.dtype.kind not in "iuf":
        raise InputError(f"Dataset {name} holds '{array.dtype}' values; a recording has real numbers.")
    return np.asarray(array) if not isinstance(array, np.memmap) else array
