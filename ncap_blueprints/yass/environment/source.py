"""Brings a dataset into one form: a raw binary file on disk, and what was told about it.

Reads a .zip or folder with a raw binary and ``geom.txt``, a folder (or .zip of it) that SpikeInterface saved, or a
.npz. Everything is copied in blocks, so that no recording need fit into memory. It must not judge values; it follows
no path that leads out of the dataset, and loads no pickle.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from analysis_kit import InputError

BLOCK_BYTES = 1 << 24
RAW_SUFFIXES = (".bin", ".dat", ".raw")
GEOMETRY = "geom.txt"
SAVED = "binary.json"
TRACES = ("traces", "recording", "data")
MAX_TEXT_BYTES = 10_000_000


@dataclass(frozen=True)
class Source:
    """A raw binary file, samples x channels, and what the dataset says about it; None: it does not say."""

    file: Path
    first_byte: int = 0
    dtype: np.dtype | None = None
    channels: int | None = None
    positions_um: np.ndarray | None = None
    sampling_rate_hz: float | None = None
    gains_uv: np.ndarray | None = None


def open_source(data: Path, scratch: Path) -> Source:
    """The source of a dataset; files it must unpack go to `scratch`. Raises InputError."""
    try:
        if data.is_dir():
            return _of_folder(data, data.name)
        if data.suffix.lower() == ".zip":
            return _of_folder(_unpacked(data, scratch), data.name)
        if data.suffix.lower() == ".npz":
            return _of_npz(data, scratch)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise InputError(
            f"Dataset {data.name} cannot be read: {' '.join(str(error).split()) or 'it is cut off'}."
        ) from error
    raise InputError(
        f"Dataset {data.name} ends in '{data.suffix}'; a .zip or folder with a raw binary and {GEOMETRY}, a .npz or a"
        " folder saved by SpikeInterface is needed."
    )


def _unpacked(data: Path, scratch: Path) -> Path:
    """The files of a .zip, without the folder they may be in; names that lead elsewhere are refused."""
    target = scratch / "unpacked"
    with zipfile.ZipFile(data) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_hidden(entry.filename)]
        _check_room(data.name, sum(entry.file_size for entry in entries), scratch)
        for entry in entries:
            parts = PurePosixPath(entry.filename).parts
            if ".." in parts or entry.filename.startswith("/"):
                raise InputError(f"Dataset {data.name} holds '{entry.filename}', which leads out of it.")
            path = target.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as packed, path.open("wb") as file:
                shutil.copyfileobj(packed, file, BLOCK_BYTES)
    if not target.is_dir():
        raise InputError(f"Dataset {data.name} is empty.")
    inside = list(target.iterdir())
    while len(inside) == 1 and inside[0].is_dir():
        target = inside[0]
        inside = list(target.iterdir())
    return target


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in PurePosixPath(name).parts)


def _check_room(name: str, size: int, scratch: Path) -> None:
    free = shutil.disk_usage(scratch).free
    if size > free:
        raise InputError(
            f"Dataset {name} takes {size / 1e9:.1f} GB unpacked, the disk has {free / 1e9:.1f} GB:"
            " say __dataset_size__ in the config."
        )


def _of_folder(folder: Path, name: str) -> Source:
    if (folder / SAVED).is_file():
        return _of_saved(folder, name)
    raw = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in RAW_SUFFIXES and path.is_file()]
    if len(raw) != 1:
        found = ", ".join(path.name for path in raw) or "none"
        raise InputError(f"Dataset {name} must hold one raw binary ({', '.join(RAW_SUFFIXES)}), found {found}.")
    geometry = folder / GEOMETRY
    if not geometry.is_file():
        raise InputError(f"Dataset {name} holds no {GEOMETRY}, the channels' positions (x y in um, a line a channel).")
    return Source(raw[0], positions_um=_read_geometry(geometry, name))


def _read_geometry(path: Path, name: str) -> np.ndarray:
    """Positions of channels, a row each; columns with spaces, tabs or commas between."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise InputError(f"Dataset {name}: {GEOMETRY} is too large to be one.")
    try:
        text = path.read_text(encoding="utf-8-sig").replace(",", " ")
        table = np.loadtxt(io.StringIO(text), ndmin=2) if text.strip() else np.empty((0, 2))
    except ValueError as error:
        raise InputError(
            f"Dataset {name}: {GEOMETRY} is no table of numbers: {' '.join(str(error).split())}."
        ) from error
    if table.size == 0:
        raise InputError(f"Dataset {name}: {GEOMETRY} is empty.")
    return table


def _of_saved(folder: Path, name: str) -> Source:
    """What ``recording.save(folder=...)`` of SpikeInterface writes; its documents are read, no class is loaded."""
    try:
        told: Mapping[str, Any] = json.loads((folder / SAVED).read_text(encoding="utf-8"))["kwargs"]
        files = [str(file) for file in told["file_paths"]]
        source_dtype, channels = np.dtype(str(told["dtype"])), int(told["num_channels"])
        rate, first = float(told["sampling_frequency"]), int(told.get("file_offset") or 0)
        gains = told.get("gain_to_uV")
        gains_uv = None if gains is None else np.broadcast_to(np.asarray(gains, float), (channels,)).copy()
        time_axis = int(told.get("time_axis", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"Dataset {name}: {SAVED} is not what SpikeInterface writes: {error!r}.") from error
    if len(files) != 1 or time_axis != 0:
        raise InputError(f"Dataset {name}: one segment, saved samples first, is needed; it has {len(files)} file(s).")
    file = (folder / files[0]).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise InputError(f"Dataset {name}: its file '{files[0]}' is not in it.")
    return Source(file, first, source_dtype, channels, _saved_positions(folder, name), rate, gains_uv)


def _saved_positions(folder: Path, name: str) -> np.ndarray:
    """Channels' positions in the order of the file: a contact says which channel it is wired to."""
    path = next((folder / it for it in ("probegroup.json", "probe.json") if (folder / it).is_file()), None)
    if path is None:
        raise InputError(f"Dataset {name} has no probe: set one before saving (recording.set_probe).")
    try:
        probes = json.loads(path.read_text(encoding="utf-8"))["probes"]
        places = np.concatenate([np.asarray(probe["contact_positions"], float)[:, :2] for probe in probes])
        wired = np.concatenate([np.asarray(probe["device_channel_indices"], int) for probe in probes])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"Dataset {name}: {path.name} cannot be read: {error!r}.") from error
    if len(wired) != len(places):
        raise InputError(f"Dataset {name}: {path.name} does not say to which channel each contact is wired.")
    connected = wired >= 0
    return places[connected][np.argsort(wired[connected], kind="stable")]


def _of_npz(data: Path, scratch: Path) -> Source:
    """`traces` is copied to a raw file in blocks, whatever its size."""
    with zipfile.ZipFile(data) as archive:
        names = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        key = next((it for it in TRACES if it in names), None)
        missing = "traces" if key is None else None if "geom" in names else "geom"
        if missing or key is None:
            raise InputError(f"Dataset {data.name} has no array '{missing}'; it has {', '.join(names) or 'none'}.")
        _check_room(data.name, names[key].file_size, scratch)
        with archive.open(names[key]) as packed:
            shape, dtype = _copied(packed, scratch / "traces.raw", data.name)
    small = {name: entry for name, entry in names.items() if entry.file_size < MAX_TEXT_BYTES and name != key}
    with np.load(data, allow_pickle=False) as arrays:
        told = {name: arrays[name] for name in ("geom", "sampling_rate", "gain_to_uv") if name in small}
    try:
        rate = float(told["sampling_rate"].reshape(())) if "sampling_rate" in told else None
        gains = np.broadcast_to(told["gain_to_uv"].astype(float), shape[1:]).copy() if "gain_to_uv" in told else None
        positions = np.atleast_2d(told["geom"].astype(float))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"Dataset {data.name}: geom, sampling_rate or gain_to_uv are not numbers of fitting shape."
        ) from error
    return Source(scratch / "traces.raw", 0, dtype, shape[1], positions, rate, gains)


def _copied(packed: IO[bytes], file: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Copy an array's values to a raw file; returns its shape and type."""
    version = np.lib.format.read_magic(packed)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read_header(packed)
    if len(shape) != 2 or dtype.hasobject:
        raise InputError(f"Dataset {name}: traces have shape {shape}; samples x channels of numbers are needed.")
    if by_columns and min(shape) > 1:
        raise InputError(f"Dataset {name}: traces are stored channel by channel; save numpy.ascontiguousarray(traces).")
    with file.open("wb") as raw:
        shutil.copyfileobj(packed, raw, BLOCK_BYTES)
    if file.stat().st_size != int(np.prod(shape)) * dtype.itemsize:
        raise InputError(f"Dataset {name} is cut off: its traces end before their last sample.")
    return shape, dtype
