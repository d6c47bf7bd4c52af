"""Reading a dataset: a low-rank widefield video and the atlas it is aligned with, checked.

The video is U V: spatial components U (rows, columns, r), temporal components V (r, frames). Both come in one `.npz`,
one `.zip` or one folder with the atlas. It must not change a value.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from analysis_kit import InputError

SPATIAL = ("U_atlas", "U", "reduced_spatial", "spatial")
TEMPORAL = ("SVTcorr", "V", "reduced_temporal", "temporal")
"""Names a component file may have, the ones after registration and hemodynamic correction first."""
ATLAS, MASK, LABELS = "atlas", "brainmask", "labels"
UNREADABLE = (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the readers raise for files that are broken, packed in an unknown way or locked with a password."""
MIN_FRAMES = 10
MAX_VALUES = 4_000_000_000


@dataclass(frozen=True)
class Video:
    """U (rows, columns, r), V (r, frames), float32; `atlas` (rows, columns) int32, 0 outside of every region.

    `mask` (rows, columns): pixels of the brain. `names`: region number -> acronym.
    """

    U: np.ndarray
    V: np.ndarray
    atlas: np.ndarray
    mask: np.ndarray
    names: dict[int, str]


def load_video(path: Path) -> Video:
    """Read and check a `.npz`, a `.zip` or a folder. Raises InputError."""
    if not path.is_dir() and path.suffix.lower() not in (".npz", ".zip"):
        raise InputError(f"Dataset {path.name}: a video and its atlas come in one .npz or .zip file, or one folder.")
    try:
        with _opened(path) as archive:
            parts = _parts(archive)
            spatial_name, temporal_name = _first(parts, SPATIAL), _first(parts, TEMPORAL)
            U, V = (_array(archive, parts[name.lower()], name) for name in (spatial_name, temporal_name))
            atlas = _array(archive, parts[_first(parts, (ATLAS,))], ATLAS)
            mask = _array(archive, parts[MASK], MASK) if MASK in parts else None
            names = _names(archive, parts[LABELS]) if LABELS in parts else {}
    except InputError as error:
        raise InputError(f"Dataset {path.name}: {error}") from error
    except UNREADABLE as error:
        said = " ".join(str(error).split()).rstrip(".").replace(str(path.parent) + "/", "")
        raise InputError(f"Dataset {path.name} cannot be read: {said}.") from error
    try:
        return _checked(U, V, atlas, mask, names)
    except InputError as error:
        raise InputError(f"Dataset {path.name}: {error}") from error


@dataclass(frozen=True)
class _File:
    """A file of a folder, told of as a zip tells of its own."""

    filename: str
    file_size: int

    def is_dir(self) -> bool:
        """Folders are not listed."""
        return False


class _Folder:
    """A folder that is read as a zip is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def infolist(self) -> list[_File]:
        """Its files, at any depth."""
        files = sorted(it for it in self._path.rglob("*") if it.is_file())
        return [_File(it.relative_to(self._path).as_posix(), it.stat().st_size) for it in files]

    def open(self, entry: _File) -> BinaryIO:
        """One of them."""
        return (self._path / entry.filename).open("rb")

    def read(self, entry: _File) -> bytes:
        """One of them, whole."""
        return (self._path / entry.filename).read_bytes()


def _opened(path: Path) -> Any:
    """The archive; of a folder that holds one archive and no arrays, that one: what `pmd` leaves."""
    if not path.is_dir():
        return zipfile.ZipFile(path)
    files = sorted(it for it in path.rglob("*") if it.is_file() and not it.name.startswith("."))
    archives = [it for it in files if it.suffix.lower() in (".npz", ".zip")]
    reduced = [it for it in archives if it.name.endswith("_reduced.npz")] or archives
    held = {it.stem.lower() for it in files if it.suffix.lower() == ".npy"}
    if len(reduced) == 1 and not any(name.lower() in held for name in SPATIAL):
        return zipfile.ZipFile(reduced[0])
    return _Folder(path)


def _parts(archive: Any) -> dict[str, Any]:
    """Files by name without folder and ending, in lower case; hidden ones are passed over."""
    files = ((PurePosixPath(entry.filename), entry) for entry in archive.infolist() if not entry.is_dir())
    return {
        place.stem.lower(): entry
        for place, entry in files
        if place.suffix.lower() in (".npy", ".json") and not place.name.startswith(".")
    }


def _first(parts: dict[str, Any], names: tuple[str, ...]) -> str:
    found = [name for name in names if name.lower() in parts]
    if not found:
        held = ", ".join(sorted(parts)[:10]) or "no array"
        raise InputError(f"it lacks '{' or '.join(names)}' (it holds {held}).")
    return found[0]


def _array(archive: Any, entry: Any, name: str) -> np.ndarray:
    """One array; the sizes its header speaks of are believed only if the file has them."""
    with archive.open(entry) as file:
        shape, dtype, header = _header(file)
    size = int(np.prod(shape, dtype=object)) if shape else 1
    if size > MAX_VALUES:
        raise InputError(f"'{name}' has {size:,} values; at most {MAX_VALUES:,} are accepted.")
    if dtype.kind not in "biufU" or size * dtype.itemsize + header != entry.file_size:
        raise InputError(f"'{name}' is not a complete array of numbers.")
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _header(file: BinaryIO | Any) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype, file.tell()


def _names(archive: Any, entry: Any) -> dict[int, str]:
    """Region names: a JSON list of {"acronym", "label"}, or an object label -> acronym; as a file or as one string."""
    if entry.filename.lower().endswith(".json"):
        text = archive.read(entry).decode("utf-8-sig")
    else:
        text = str(_array(archive, entry, LABELS))
    wrong = '\'labels\' must be a JSON list of {"acronym": …, "label": …}.'
    try:
        document = json.loads(text)
        if isinstance(document, dict):
            return {int(label): str(acronym) for label, acronym in document.items()}
        return {int(entry["label"]): str(entry["acronym"]) for entry in document}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(wrong) from error


def _checked(U: np.ndarray, V: np.ndarray, atlas: np.ndarray, mask: np.ndarray | None, names: dict[int, str]) -> Video:
    if V.ndim != 2 or V.dtype.kind not in "iuf":
        raise InputError(f"the temporal components have shape {V.shape}; components x frames are needed.")
    if atlas.ndim != 2 or atlas.dtype.kind not in "iuf":
        raise InputError(f"the atlas has shape {atlas.shape}; rows x columns of whole numbers are needed.")
    if U.ndim == 2 and len(U) == atlas.size:
        U = U.reshape(*atlas.shape, -1)
    if U.ndim != 3 or U.dtype.kind not in "iuf":
        raise InputError(f"the spatial components have shape {U.shape}; rows x columns x components are needed.")
    if U.shape[2] != len(V) or len(V) == 0:
        raise InputError(f"there are {U.shape[2]} spatial and {len(V)} temporal components.")
    if V.shape[1] < MIN_FRAMES:
        raise InputError(f"the video has {V.shape[1]} frames; at least {MIN_FRAMES} are needed.")
    for what, image in (("atlas", atlas), ("brain mask", mask)):
        if image is not None and image.shape != U.shape[:2]:
            raise InputError(f"the {what} has shape {image.shape} and the spatial components {U.shape[:2]}.")
    # A registered atlas may have NaN outside; a fraction of a region is none.
    whole = np.where(np.isfinite(atlas), atlas, 0) if atlas.dtype.kind == "f" else atlas
    if np.any(whole != np.round(whole)) or np.abs(whole).max(initial=0) > 2**31 - 1:
        raise InputError("the atlas holds values that are not whole numbers.")
    inside = whole != 0 if mask is None else np.nan_to_num(mask.astype(np.float64)) != 0
    if not (inside & (whole != 0)).any():
        raise InputError("no pixel of the brain mask lies in a region of the atlas.")
    if not np.isfinite(V).all():
        raise InputError("the temporal components have values that are not finite numbers.")
    wrong = inside & ~np.isfinite(U).all(axis=2)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"the spatial components have values in the brain that are no numbers (row {row}, column {column})."
        )
    return Video(
        U.astype(np.float32, copy=False), V.astype(np.float32, copy=False), whole.astype(np.int32), inside, names
    )
