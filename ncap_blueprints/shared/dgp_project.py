"""A DeepLabCut project as it lies in a folder or a .zip: configuration, labels, where images and videos are.

Reads and checks; decodes no picture. The format is DeepLabCut's: `config.yaml`, `videos/`, and labels in
`labeled-data/<video>/CollectedData_*.csv` beside the images. Points are in pixels (x, y).
"""

from __future__ import annotations

import csv
import re
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from analysis_kit import InputError

VIDEO_FOLDERS = ("videos", "videos_dgp")
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".mpeg", ".mpg", ".m4v")
MAX_ZIP_BYTES = 500 * 2**30
MAX_YAML_BYTES = 5_000_000
FEWEST_LABELLED = 4
_HEADINGS = ("scorer", "bodyparts", "coords")
_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True)
class Labelled:
    """One labelled image. `frame` is its number in the video where the file's name tells it; `points` (parts, 2)."""

    video: str
    image: Path
    frame: int | None
    points: np.ndarray
    """NaN where a part has no label."""


@dataclass(frozen=True)
class Project:
    """What a project holds. `skeleton` are pairs of numbers of body parts."""

    folder: Path
    scorer: str
    bodyparts: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]
    labelled: tuple[Labelled, ...]
    videos: tuple[Path, ...]

    def file(self, name: str) -> Path:
        """A file of the project by name or path inside it. Raises InputError."""
        found = [
            it for it in sorted(self.folder.rglob(Path(name).name)) if it.is_file() and it.as_posix().endswith(name)
        ]
        if not found:
            raise InputError(f"The project holds no file '{name}', which the config names.")
        return found[0]


def unpacked(data: Path, scratch: Path) -> Path:
    """The folder of the project: the dataset itself, or what a zip holds. Raises InputError."""
    if data.is_dir():
        return data
    if data.suffix.lower() != ".zip":
        raise InputError(f"Dataset {data.name} is neither a folder nor a .zip of a DeepLabCut project.")
    try:
        with zipfile.ZipFile(data) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_ZIP_BYTES:
                raise InputError(f"Dataset {data.name} unpacks to more than {MAX_ZIP_BYTES >> 30} GiB.")
            archive.extractall(scratch)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"Dataset {data.name} cannot be unpacked: {error}.") from error
    return scratch


def load_project(folder: Path, title: str, *, video_type: str | None = None) -> Project:
    """Read the project in a folder or below it. `video_type`: only videos with this ending. Raises InputError."""
    found = sorted(_own(folder.rglob("config.yaml")), key=lambda path: (len(path.parts), str(path)))
    if not found:
        raise InputError(f"Dataset {title} holds no config.yaml, so it is no DeepLabCut project.")
    root = found[0].parent
    settings = _settings(found[0])
    bodyparts = _bodyparts(settings)
    labelled = _labelled(root, bodyparts)
    if len(labelled) < FEWEST_LABELLED:
        raise InputError(
            f"Dataset {title} has {len(labelled)} labelled images (labeled-data/<video>/CollectedData_*.csv);"
            f" {FEWEST_LABELLED} are the least."
        )
    videos = _videos(root, video_type)
    if not videos:
        kind = f"no video that ends in '{video_type}'" if video_type else "no video"
        raise InputError(
            f"Dataset {title} holds {kind} in videos/ or videos_dgp/; accepted: {', '.join(VIDEO_SUFFIXES)}."
        )
    scorer = str(settings.get("scorer") or "scorer")
    return Project(root, scorer, bodyparts, _skeleton(settings, bodyparts), labelled, videos)


def _own(paths: Any) -> list[Path]:
    """Without what macOS adds to archives."""
    return [path for path in paths if "__MACOSX" not in path.parts and not path.name.startswith("._")]


def _settings(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_YAML_BYTES:
        raise InputError(f"config.yaml has {path.stat().st_size:,} bytes; a project's is far smaller.")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"config.yaml is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(settings, dict):
        raise InputError("config.yaml must be a set of 'name: value' pairs.")
    if settings.get("multianimalproject"):
        raise InputError("config.yaml says multianimalproject: projects of several animals cannot be tracked here.")
    return settings


def _bodyparts(settings: dict[str, Any]) -> tuple[str, ...]:
    found = settings.get("bodyparts")
    if not isinstance(found, list) or not found or not all(isinstance(name, str | int) for name in found):
        raise InputError("config.yaml: 'bodyparts' must be a list of names.")
    names = tuple(str(name) for name in found)
    if len(set(names)) < len(names):
        raise InputError("config.yaml: 'bodyparts' names a part twice.")
    return names


def _skeleton(settings: dict[str, Any], bodyparts: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    edges: list[tuple[int, int]] = []
    found = settings.get("skeleton") or []
    if not isinstance(found, list):
        raise InputError("config.yaml: 'skeleton' must be a list of pairs of body parts.")
    for chain in found:
        names = [str(name) for name in chain] if isinstance(chain, list) else []
        unknown = [name for name in names if name not in bodyparts]
        if len(names) < 2 or unknown:
            said = (
                f"names '{unknown[0]}', which is no body part" if unknown else "has an entry that is no pair of parts"
            )
            raise InputError(f"config.yaml: 'skeleton' {said}.")
        places = [bodyparts.index(name) for name in names]
        edges += [(min(pair), max(pair)) for pair in pairwise(places) if pair[0] != pair[1]]
    return tuple(dict.fromkeys(edges))


def _labelled(root: Path, bodyparts: tuple[str, ...]) -> tuple[Labelled, ...]:
    tables = sorted(_own(root.glob("labeled-data/*/CollectedData_*.csv")))
    if not tables and any(root.glob("labeled-data/*/CollectedData_*.h5")):
        raise InputError("Labels are read from CollectedData_*.csv, and the project has only .h5: save them as CSV.")
    found: dict[tuple[str, str], Labelled] = {}
    for path in tables:
        for one in _read_table(path, bodyparts):
            found[(one.video, one.image.name)] = one
    return tuple(found.values())


def _read_table(path: Path, bodyparts: tuple[str, ...]) -> list[Labelled]:
    where = f"{path.parent.name}/{path.name}"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{where} cannot be read as a table: {error}.") from error
    headings = {
        row[0].strip().lower(): row for row in rows[:4] if row[0].strip().lower() in (*_HEADINGS, "individuals")
    }
    if "individuals" in headings:
        raise InputError(f"{where} has labels of several animals, which cannot be tracked here.")
    if not all(name in headings for name in _HEADINGS):
        raise InputError(f"{where} does not begin with the rows scorer, bodyparts, coords of a DeepLabCut table.")
    columns = _columns(headings, bodyparts, where)
    first = min(place for _, _, place in columns)
    return [one for row in rows[3:] if (one := _row(path, row, columns, first=first, parts=len(bodyparts))) is not None]


def _columns(headings: dict[str, list[str]], bodyparts: tuple[str, ...], where: str) -> list[tuple[int, int, int]]:
    """(part, 0 for x or 1 for y, column) of each column of a part the project tracks."""
    columns = [
        (bodyparts.index(part.strip()), "xy".index(coordinate.strip()), place)
        for place, (part, coordinate) in enumerate(zip(headings["bodyparts"], headings["coords"], strict=False))
        if part.strip() in bodyparts and coordinate.strip() in ("x", "y")
    ]
    if not columns:
        raise InputError(f"{where} has no column of the body parts that config.yaml names: {', '.join(bodyparts)}.")
    return columns


def _row(path: Path, row: list[str], columns: list[tuple[int, int, int]], *, first: int, parts: int) -> Labelled | None:
    """One labelled image; nothing when no part has a label."""
    name = [it for cell in row[:first] for it in cell.replace("\\", "/").split("/") if it.strip()]
    image = path.parent / name[-1] if name else path.parent
    points = np.full((parts, 2), np.nan)
    for part, axis, place in columns:
        text = row[place].strip() if place < len(row) else ""
        if not text or text.lower() == "nan":
            continue
        try:
            points[part, axis] = float(text)
        except ValueError as error:
            raise InputError(f"{path.parent.name}/{path.name}: '{text:.40}' for {image.name} is no number.") from error
    if np.isinf(points).any():
        raise InputError(f"{path.parent.name}/{path.name}: a label of {image.name} is infinite.")
    points[np.isnan(points).any(axis=1)] = np.nan
    if np.isnan(points).all():
        return None
    if not image.is_file():
        raise InputError(
            f"{path.parent.name}/{path.name} has labels of {image.name}, and there is no such image beside it."
        )
    number = _NUMBER.search(image.stem)
    return Labelled(path.parent.name, image, int(number[1]) if number else None, points)


def _videos(root: Path, video_type: str | None) -> tuple[Path, ...]:
    ending = f".{video_type.lstrip('.').lower()}" if video_type else None
    found: dict[str, Path] = {}
    for path in (it for folder in VIDEO_FOLDERS for it in sorted(_own(root.glob(f"{folder}/*")))):
        suffix = path.suffix.lower()
        if suffix not in VIDEO_SUFFIXES or (ending and suffix != ending) or path.stem.endswith("_labeled"):
            continue
        if path.stem in found:
            raise InputError(f"Two videos are called {path.stem}: {found[path.stem].name} and {path.name}; rename one.")
        found[path.stem] = path
    return tuple(found.values())
