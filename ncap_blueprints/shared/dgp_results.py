"""The tables and the checkpoint of a run: errors at labels, held-out labels, losses, weights. Computes errors only."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dgp_project import Labelled
from dgp_training import Progress
from torch import nn


@dataclass(frozen=True)
class Judged:
    """One labelled image with what the network sees in it, in pixels of the image; `is_held_out`: not trained on."""

    labelled: Labelled
    is_held_out: bool
    points: np.ndarray
    likelihood: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Distance of each part from its label (pixels), NaN where there is none."""
        return np.linalg.norm(self.points - self.labelled.points, axis=-1)


def errors_of(judged: Sequence[Judged], *, held_out: bool) -> dict[str, float | int | None]:
    """RMSE over labelled points and their median error (pixels), and the RMSE that is divided by images only."""
    chosen = [one for one in judged if one.is_held_out == held_out]
    errors = np.array([one.errors for one in chosen]).ravel()
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return {"images": len(chosen), "rmse_px": None, "median_px": None, "rmse_by_frames_px": None}
    return {
        "images": len(chosen),
        "rmse_px": float(np.sqrt((errors**2).mean())),
        "median_px": float(np.median(errors)),
        "rmse_by_frames_px": float(np.sqrt((errors**2).sum() / len(chosen))),
    }


def write_metrics(path: Path, judged: Sequence[Judged], bodyparts: Sequence[str]) -> None:
    """One row a label: where it is, where the network sees the part, and how far that is."""
    heading = ("video", "image", "bodypart", "set", "label_x", "label_y", "x", "y", "error_px", "likelihood")
    rows = (
        (
            one.labelled.video,
            one.labelled.image.name,
            name,
            "held out" if one.is_held_out else "training",
            *(f"{value:.3f}" for value in (*one.labelled.points[part], *one.points[part], one.errors[part])),
            f"{one.likelihood[part]:.5f}",
        )
        for one in judged
        for part, name in enumerate(bodyparts)
        if np.isfinite(one.errors[part])
    )
    _write(path, heading, rows)


def write_heldout(path: Path, labelled: Sequence[Labelled], bodyparts: Sequence[str]) -> None:
    """Labels of a video no network was trained on, as the ensemble's consensus reads them."""
    rows = (
        (one.frame, name, *(f"{value:.4f}" for value in one.points[part]))
        for one in sorted(labelled, key=lambda it: it.frame or 0)
        for part, name in enumerate(bodyparts)
        if np.isfinite(one.points[part]).all()
    )
    _write(path, ("frame", "bodypart", "x", "y"), rows)


def write_losses(path: Path, lines: Sequence[Progress]) -> None:
    """One row a line of progress: `dgp_training.Progress`'s fields."""
    names = [field.name for field in fields(Progress)]
    rows = ([it if isinstance(it, str | int) else f"{it:.6g}" for it in vars(line).values()] for line in lines)
    _write(path, names, rows)


def write_checkpoint(path: Path, network: nn.Module, bodyparts: Sequence[str], parameters: Mapping[str, Any]) -> None:
    """Weights and what is needed to use them again; `torch.load(path, weights_only=True)` reads it."""
    weights = {name: values.detach().cpu() for name, values in network.state_dict().items()}
    torch.save({"weights": weights, "bodyparts": list(bodyparts), "parameters": dict(parameters)}, path)


def _write(path: Path, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(heading)
        table.writerows(rows)
