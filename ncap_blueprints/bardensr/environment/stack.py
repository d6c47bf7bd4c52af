"""Reading a dataset: the image stack of a spatial-transcriptomics experiment and its codebook, checked.

Shapes: `images` (frames, rows, columns, slices), `codebook` (frames, barcodes). It must not know the model.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from analysis_kit import InputError

HEADINGS = frozenset({"", "name", "barcode", "gene", "target"})
"""First cells of a row that is the heading of a codebook table, not a barcode."""
MAX_VALUES = 2_000_000_000
"""Of an image stack: 8 GB as float32. Larger fields of view are cut before they are sent."""


@dataclass(frozen=True)
class Stack:
    """One field of view. `names` are the barcodes' names, in the codebook's order."""

    images: np.ndarray
    """Intensities, float32, (frames, rows, columns, slices)."""
    codebook: np.ndarray
    """1 where a barcode shines in a frame, else 0, float32, (frames, barcodes)."""
    names: tuple[str, ...]


def load_stack(path: Path) -> Stack:
    """Read `.npz` (`imagestack`, `codebook`, perhaps `names`) or `.zip` (`imagestack.tif` or `.npy`, `codebook.csv`).

    Raises InputError.
    """
    try:
        if path.suffix.lower() == ".npz":
            images, codebook, names = _from_npz(path)
        elif path.suffix.lower() == ".zip":
            images, codebook, names = _from_zip(path)
        else:
            raise InputError(f"Dataset {path.name}: a field of view is an .npz or a .zip file.")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"Dataset {path.name} cannot be read: {_plainly(error)}.") from error
    return _checked(path.name, images, codebook, names)


def _plainly(error: Exception) -> str:
    return f"it lacks {error.args[0]!r}" if isinstance(error, KeyError) else " ".join(str(error).split()).rstrip(".")


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    with np.load(path, allow_pickle=False) as file:
        codebook = file["codebook"]
        names = tuple(str(name) for name in file["names"]) if "names" in file else ()
        return file["imagestack"], codebook, names


def _from_zip(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The two files of an archive, read inside it: nothing is unpacked, so no path in it matters."""
    with zipfile.ZipFile(path) as archive:
        inside = {Path(name).name.lower(): name for name in archive.namelist()}
        if "codebook.csv" not in inside:
            raise KeyError("codebook.csv")
        codebook, names = _read_codebook(archive.read(inside["codebook.csv"]).decode("utf-8-sig"))
        if "imagestack.npy" in inside:
            images = np.load(io.BytesIO(archive.read(inside["imagestack.npy"])), allow_pickle=False)
        else:
            found = [inside[name] for name in ("imagestack.tif", "imagestack.tiff") if name in inside]
            if not found:
                raise KeyError("imagestack.tif")
            import tifffile

            images = tifffile.imread(io.BytesIO(archive.read(found[0])))
    return images, codebook, names


def _read_codebook(text: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """A table with a row a barcode: its name, then 0 or 1 for each frame."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if rows and (rows[0][0].strip().casefold() in HEADINGS or not _is_number(rows[0][-1])):
        rows = rows[1:]
    if not rows:
        raise ValueError("codebook.csv has no rows")
    if len({len(row) for row in rows}) != 1:
        raise ValueError("the rows of codebook.csv differ in length")
    return np.array([[float(value) for value in row[1:]] for row in rows]).T, tuple(row[0] for row in rows)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _checked(name: str, images: np.ndarray, codebook: np.ndarray, names: tuple[str, ...]) -> Stack:
    def refuse(what: str) -> InputError:
        return InputError(f"Dataset {name}: {what}.")

    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise refuse(f"the image stack has {images.ndim} dimensions; frames x rows x columns (x slices) are needed")
    if not np.issubdtype(images.dtype, np.number) or np.iscomplexobj(images):
        raise refuse(f"the image stack holds {images.dtype}, not numbers")
    if images.size == 0 or images.size > MAX_VALUES:
        raise refuse(f"the image stack has {images.size:,} values; 1 to {MAX_VALUES:,} are accepted")
    if codebook.ndim != 2 or 0 in codebook.shape:
        raise refuse("the codebook is not a table of frames x barcodes")
    if len(codebook) != len(images):
        raise refuse(f"the codebook speaks of {len(codebook)} frames and the image stack has {len(images)}")
    if not np.isin(codebook, (0, 1)).all():
        raise refuse("the codebook holds other values than 0 and 1")
    if (codebook.sum(0) == 0).any():
        raise refuse("a barcode of the codebook shines in no frame")
    if len(np.unique(codebook, axis=1).T) != codebook.shape[1]:
        raise refuse("two barcodes of the codebook are the same")
    if names and len(names) != codebook.shape[1]:
        raise refuse(f"there are {len(names)} names for {codebook.shape[1]} barcodes")
    values = images.astype(np.float32)
    if not np.isfinite(values).all():
        raise refuse("the image stack has values that are not finite numbers")
    if float(values.max()) <= float(values.min()):
        raise refuse("the image stack has one value everywhere")
    chosen = names or tuple(f"barcode-{index}" for index in range(codebook.shape[1]))
    return Stack(values, codebook.astype(np.float32), chosen)
