"""Results in files: everything in one HDF5 file, and the parts most people want as arrays and tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from model import Model, centres
from quality import Quality
from scipy import sparse


@dataclass(frozen=True)
class Estimates:
    """What a run found. `shape` (rows, columns); `shifts` (frames, 2); images (rows, columns)."""

    model: Model
    quality: Quality
    dff: np.ndarray
    shifts: np.ndarray
    correlation: np.ndarray
    mean: np.ndarray
    shape: tuple[int, ...]

    def centres(self) -> np.ndarray:
        """Row and column of each cell's centre of mass, (cells, 2)."""
        return centres(self.model.A, self.shape[1])


def write_estimates(path: Path, found: Estimates, *, frame_rate_hz: float) -> None:
    """The HDF5 file. Sparse matrices are groups of data, indices, indptr (by column) and shape, as scipy has them."""
    model, quality = found.model, found.quality
    with h5py.File(path, "w") as file:
        file.attrs["frame_rate_hz"] = frame_rate_hz
        file.attrs["rows_columns"] = found.shape
        file.attrs["pixel_order"] = "row by row: pixel = row * columns + column"
        _write_sparse(file, "A", model.A)
        _write_sparse(file, "b", model.b)
        for name, values in (
            ("C", model.C),
            ("S", np.stack([trace.spikes for trace in model.traces]) if model.traces else np.zeros_like(model.C)),
            ("YrA", model.raw - model.C),
            ("F_dff", found.dff),
            ("f", model.f),
            ("accepted", quality.accepted),
            ("SNR", quality.snr),
            ("r", quality.r),
            ("radius", quality.radius),
            ("centers", found.centres()),
            ("shifts", found.shifts),
            ("noise", np.array([trace.noise for trace in model.traces])),
            ("baseline", np.array([trace.baseline for trace in model.traces])),
            ("g", np.array([trace.ar for trace in model.traces])),
            ("correlation_image", found.correlation),
            ("mean_image", found.mean),
        ):
            stored = values.astype(np.float32) if values.dtype == float else values
            # Without times in the file equal runs give equal bytes.
            file.create_dataset(name, data=stored, track_times=False)


def _write_sparse(file: h5py.File, name: str, matrix: sparse.csc_array) -> None:
    group = file.create_group(name)
    matrix.sort_indices()
    group.attrs["format"] = "csc"
    group.create_dataset("data", data=matrix.data.astype(np.float32), track_times=False)
    group.create_dataset("indices", data=matrix.indices.astype(np.int64), track_times=False)
    group.create_dataset("indptr", data=matrix.indptr.astype(np.int64), track_times=False)
    group.create_dataset("shape", data=np.array(matrix.shape, np.int64), track_times=False)


def write_arrays(stem: str, found: Estimates) -> None:
    """`footprints.npz` (scipy's sparse format, pixels x cells) and `calcium.npy` (cells x frames), of all cells."""
    sparse.save_npz(stem + "footprints.npz", found.model.A.astype(np.float32))
    np.save(stem + "calcium.npy", found.model.C.astype(np.float32))


def write_tables(stem: str, found: Estimates) -> None:
    """`cells.csv`, a row a cell in the order of all other results, and `shifts.csv`, a row a frame."""
    quality = found.quality
    with Path(stem + "cells.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("cell", "accepted", "row_px", "column_px", "radius_px", "snr", "r", "spikes", "peak_dff"))
        for k, (row, column) in enumerate(found.centres()):
            course = found.dff[k][np.isfinite(found.dff[k])]
            table.writerow(
                (
                    k,
                    int(quality.accepted[k]),
                    f"{row:.2f}",
                    f"{column:.2f}",
                    f"{quality.radius[k]:.2f}",
                    f"{quality.snr[k]:.2f}",
                    f"{quality.r[k]:.3f}",
                    int((found.model.traces[k].spikes > 0).sum()),
                    f"{course.max():.3f}" if len(course) else "",
                )
            )
    with Path(stem + "shifts.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("frame", "rows_px", "columns_px"))
        table.writerows((frame, f"{row:.3f}", f"{column:.3f}") for frame, (row, column) in enumerate(found.shifts))
