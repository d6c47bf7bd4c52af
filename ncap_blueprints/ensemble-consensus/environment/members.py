"""The trained members of an ensemble as they lie in a folder or a zip. Reads and checks; computes nothing.

A member is a folder with `<video>_scoremaps.h5`: dataset `logits` (frames, parts, rows, columns) with the attributes
`stride` (pixels a cell), `bodyparts` (a JSON list) and, where known, `fps`. Beside it may lie `<video>_heldout.csv`
(frame, bodypart, x, y: labels not trained on) and `<video>_summary.json`, whose parameters tell ensembles apart.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from analysis_kit import InputError

MAPS = "_scoremaps.h5"
MAX_ZIP_BYTES = 200 * 2**30


@dataclass(frozen=True)
class Member:
    """One trained model's maps of one video. `name` is its folder."""

    name: str
    path: Path
    parameters: dict[str, object]


@dataclass(frozen=True)
class Video:
    """A video and the members that tracked it; all their maps have this shape (frames, parts, rows, columns)."""

    name: str
    members: tuple[Member, ...]
    shape: tuple[int, int, int, int]
    bodyparts: tuple[str, ...]
    stride: float
    fps: float | None
    heldout: np.ndarray | None
    """Labels (frames, parts, 2) in pixels, NaN where there is none."""

    def read(self, member: Member, start: int, stop: int) -> np.ndarray:
        """A member's logits of some frames as doubles. Raises InputError when they are not finite."""
        with h5py.File(member.path) as file:
            logits = file["logits"][start:stop].astype(float)
        if not np.isfinite(logits).all():
            raise InputError(f"{member.name}/{member.path.name}: score maps hold values that are not finite.")
        return logits


def unpacked(data: Path, scratch: Path) -> Path:
    """The folder of members: the dataset itself, or what a zip holds. Raises InputError."""
    if data.is_dir():
        return data
    if data.suffix.lower() != ".zip":
        raise InputError(f"Dataset {data.name} is neither a folder nor a .zip of members' folders.")
    try:
        with zipfile.ZipFile(data) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_ZIP_BYTES:
                raise InputError(f"Dataset {data.name} unpacks to more than {MAX_ZIP_BYTES >> 30} GiB.")
            archive.extractall(scratch)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(f"Dataset {data.name} cannot be unpacked: {error}.") from error
    return scratch


def find_videos(folder: Path, title: str) -> tuple[Video, ...]:
    """The videos at least one member tracked, by name. Raises InputError."""
    files = sorted(folder.rglob(f"*{MAPS}"))
    if not files:
        raise InputError(f"Dataset {title} holds no member: no file ends in {MAPS}.")
    by_video: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_video[path.name.removesuffix(MAPS)].append(path)
    return tuple(_video(folder, name, paths) for name, paths in sorted(by_video.items()))


def _video(folder: Path, name: str, paths: list[Path]) -> Video:
    members = tuple(Member(_member_name(folder, path), path, _parameters(path, name)) for path in paths)
    if len(members) < 2:
        raise InputError(f"{name}: only one member tracked it ({members[0].name}); a consensus needs two or more.")
    first, *others = [(member, *_facts(member)) for member in members]
    for member, *facts in others:
        for what, one, other in zip(("shape", "body parts", "stride"), first[1:4], facts[:3], strict=True):
            if one != other:
                raise InputError(f"{name}: {first[0].name} and {member.name} differ in {what}: {one} and {other}.")
    _, shape, bodyparts, stride, fps = first
    return Video(name, members, shape, bodyparts, stride, fps, _heldout(paths, name, shape, bodyparts))


def _member_name(folder: Path, path: Path) -> str:
    return path.parent.relative_to(folder).as_posix() if path.parent != folder else path.stem


def _facts(member: Member) -> tuple[tuple[int, int, int, int], tuple[str, ...], float, float | None]:
    where = f"{member.name}/{member.path.name}"
    try:
        with h5py.File(member.path) as file:
            logits = file["logits"]
            shape, kind = logits.shape, logits.dtype.kind
            stride = float(logits.attrs["stride"])
            bodyparts = tuple(str(part) for part in json.loads(logits.attrs["bodyparts"]))
            fps = float(logits.attrs["fps"]) if "fps" in logits.attrs else None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where} is no file of score maps: {' '.join(str(error).split())}.") from error
    if len(shape) != 4 or kind != "f" or 0 in shape:
        raise InputError(f"{where}: logits must be numbers (frames, parts, rows, columns), found {shape}.")
    if len(bodyparts) != shape[1]:
        raise InputError(f"{where}: {len(bodyparts)} body parts are named, and there are maps of {shape[1]}.")
    if not stride > 0:
        raise InputError(f"{where}: the stride must be positive, found {stride:g}.")
    return shape, bodyparts, stride, fps if fps and fps > 0 else None


def _parameters(path: Path, name: str) -> dict[str, object]:
    try:
        found = json.loads(path.with_name(f"{name}_summary.json").read_text(encoding="utf-8"))["parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _heldout(paths: list[Path], name: str, shape: tuple[int, ...], bodyparts: tuple[str, ...]) -> np.ndarray | None:
    """The labels of the first member that has some; members of one project hold out the same frames."""
    path = next((it for one in paths if (it := one.with_name(f"{name}_heldout.csv")).is_file()), None)
    if path is None:
        return None
    labels = np.full((shape[0], len(bodyparts), 2), np.nan)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                labels[int(row["frame"]), bodyparts.index(row["bodypart"])] = float(row["x"]), float(row["y"])
    except (KeyError, ValueError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: not a table of frame, bodypart, x, y for this video: {error}.") from error
    return labels
