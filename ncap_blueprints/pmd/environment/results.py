"""The files of a decomposition, and the one that is a dataset of the LocaNMF analysis.

That one is an `.npz` with `U` (rows, columns, components), `V` (components, frames) and whatever `atlas`, `brainmask`
and `labels` came with the movie. It is written in bands of rows, so that the spatial components need not fit into
memory at once. It must not compute.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from movie import Movie
from pmd_blocks import Tile
from pmd_decomposition import Block
from pmd_fit import Pixels, bands
from scipy import sparse


def write_reduced(
    path: Path, *, spatial: tuple[sparse.csr_array, np.ndarray], V: np.ndarray, rows: int, extras: Mapping[str, bytes]
) -> None:
    """`spatial` is U (rows * columns, K) sparse and M (K, k): the components are U M. V is (k, frames)."""
    U, mixing = spatial
    columns, count = U.shape[0] // rows, mixing.shape[1]
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("U.npy", "w", force_zip64=True) as file:
            shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, columns, count)}
            np.lib.format.write_array_header_1_0(file, shape)
            for band in bands((rows, columns, max(1, count))):
                part = U[band.start * columns : band.stop * columns] @ mixing
                file.write(np.ascontiguousarray(part, "<f4").tobytes())
        with archive.open("V.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, np.ascontiguousarray(V, "<f4"), allow_pickle=False)
        for name, content in extras.items():
            with archive.open(name, "w") as file:
                file.write(content)


def write_denoised(path: Path, movie: Movie, pixels: Pixels, *, U: sparse.csr_array, V: np.ndarray) -> None:
    """The whole denoised movie, mean + U V, float32 (rows, columns, frames), in bands of rows."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, movie.shape)
    columns = movie.shape[1]
    for band in bands(movie.shape):
        model = U[band.start * columns : band.stop * columns] @ V
        out[band] = model.reshape(-1, *movie.shape[1:]) + pixels.mean[band][..., None]
    out.flush()


def write_components(stem: str, pixels: Pixels, *, U: sparse.csr_array, V: np.ndarray) -> None:
    """The decomposition itself, and what was taken from the pixels before."""
    sparse.save_npz(stem + "U.npz", sparse.csr_matrix(U))
    np.save(stem + "V.npy", V)
    np.save(stem + "mean.npy", pixels.mean.astype(np.float32))
    np.save(stem + "noise_sd.npy", np.sqrt(pixels.noise).astype(np.float32))


def write_reduction(
    stem: str, movie: Movie, spatial: tuple[sparse.csr_array, np.ndarray], s: np.ndarray, Vt: np.ndarray
) -> None:
    """Singular values, and the components as a dataset of LocaNMF; without a component there is none."""
    np.save(stem + "s.npy", s)
    if len(s):
        write_reduced(Path(stem + "reduced.npz"), spatial=spatial, V=Vt, rows=movie.shape[0], extras=movie.extras)


def write_blocks(path: Path, placed: list[Tile], found: list[Block]) -> None:
    """A row for every component that was tried: where, how rough, kept or not."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("block", "row", "column", "height", "width", "spatial_roughness", "temporal_roughness", "kept"))
        for number, (tile, block) in enumerate(zip(placed, found, strict=True)):
            for (spatial, temporal), kept in zip(block.roughness, block.kept, strict=True):
                place = (number, tile.row, tile.column, tile.height, tile.width)
                table.writerow((*place, f"{spatial:.6g}", f"{temporal:.6g}", int(kept)))
