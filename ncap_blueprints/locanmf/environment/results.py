"""The files of a factorisation. It must not compute anything but shares of what it is given."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

MAT_HEADER = 116
"""Bytes of free text at the start of a .mat file; what is written there by default holds the time."""


@dataclass(frozen=True)
class Components:
    """A (rows, columns, K) with largest value 1, C (K, frames) in the video's units there; the rest by component.

    `region_rows`: number, acronym, pixels, components and R2 (None: it has no component) of each region.
    """

    A: np.ndarray
    C: np.ndarray
    labels: list[int]
    names: list[str]
    share: np.ndarray
    lambdas: np.ndarray
    power: np.ndarray
    region_rows: list[tuple[int, str, int, int, float | None]]


def write_components(stem: str, found: Components, *, atlas: np.ndarray, mask: np.ndarray) -> None:
    """A, C, the tables of components and of regions, and all of it for MATLAB."""
    np.save(stem + "A.npy", found.A)
    np.save(stem + "C.npy", found.C)
    with Path(stem + "components.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            (
                "component",
                "label",
                "acronym",
                "localised_percent",
                "share_of_power",
                "lambda",
                "peak_row",
                "peak_column",
            )
        )
        for number, (label, name) in enumerate(zip(found.labels, found.names, strict=True)):
            row, column = np.unravel_index(int(found.A[..., number].argmax()), atlas.shape)
            figures = (100 * found.share[number], found.power[number], found.lambdas[number])
            table.writerow((number, label, name, *(f"{value:.6g}" for value in figures), int(row), int(column)))
    with Path(stem + "regions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("label", "acronym", "pixels", "components", "r2"))
        for label, name, pixels, count, r2 in found.region_rows:
            table.writerow((label, name, pixels, count, "" if r2 is None else f"{r2:.6g}"))
    _write_mat(Path(stem + "LocaNMF_Components.mat"), found, atlas, mask)


def _write_mat(path: Path, found: Components, atlas: np.ndarray, mask: np.ndarray) -> None:
    savemat(
        path,
        {
            "A": found.A,
            "C": found.C,
            "areas": np.array(found.labels, np.int32),
            "acronyms": np.array(found.names, dtype=object),
            "localisation": found.share,
            "lambdas": found.lambdas,
            "region_labels": np.array([row[0] for row in found.region_rows], np.int32),
            "region_r2": np.array([np.nan if row[4] is None else row[4] for row in found.region_rows]),
            "atlas": atlas,
            "brainmask": mask,
        },
        do_compression=True,
    )
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file, LocaNMF components".ljust(MAT_HEADER))
