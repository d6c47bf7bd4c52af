"""Writes what was found: arrays for programs, the table of quality, and a folder for the viewer phy if asked.

It must not measure anything.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from quality import Quality, similarities
from recording import Recording
from units import Units

DIGITS = 5


def write_arrays(stem: str, units: Units, recording: Recording) -> None:
    """Spikes in time order, templates, and the channels they are on."""
    np.save(stem + "spike_times.npy", units.samples)
    np.save(stem + "spike_clusters.npy", units.labels)
    np.save(stem + "spike_amplitudes.npy", units.amplitudes)
    np.save(stem + "templates.npy", units.templates)
    np.save(stem + "channels.npy", np.c_[recording.kept, recording.positions_um])


def write_quality(path: Path, table: list[Quality]) -> None:
    """A row a unit."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Quality)])
        writer.writeheader()
        for row in table:
            writer.writerow(
                {
                    name: round(value, DIGITS) if isinstance(value, float) else value
                    for name, value in asdict(row).items()
                }
            )


def write_phy(folder: Path, units: Units, recording: Recording, data: str) -> None:
    """The files phy opens (``phy template-gui params.py``); the raw recording is put beside them by hand."""
    folder.mkdir()
    count, channels = len(units.templates), len(recording.kept)
    arrays = {
        "spike_times": units.samples,
        "spike_clusters": units.labels,
        "spike_templates": units.labels,
        "amplitudes": np.abs(units.amplitudes).astype(float),
        "templates": units.templates,
        "similar_templates": similarities(units.templates).astype(np.float32),
        "channel_map": recording.kept.astype(np.int32),
        "channel_positions": recording.positions_um,
        "whitening_mat": np.eye(channels),
        "whitening_mat_inv": np.eye(channels),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n" + "".join(f"{k}\tunsorted\n" for k in range(count)))
    settings = {
        "dat_path": recording.file.name,
        "n_channels_dat": recording.shape[1],
        "dtype": recording.dtype.name,
        "offset": recording.first_byte,
        "sample_rate": recording.sampling_rate_hz,
        "hp_filtered": False,
    }
    lines = [
        f"# Sorted from {data!r}; dat_path is its raw binary, beside this file.",
        *(f"{k} = {v!r}" for k, v in settings.items()),
    ]
    (folder / "params.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
