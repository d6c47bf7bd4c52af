"""The files of a run: arrays, table of losses, checkpoint. It must not compute scores nor draw."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference import Inferred
from training import Epoch, Fit
from trials import Trials


def write_arrays(stem: str, inferred: Inferred, trials: Trials) -> None:
    """Rates, factors and inferred inputs as `.npy`; starts of trials and what was kept for validation as `.npz`."""
    np.save(stem + "rates.npy", inferred.rates)
    np.save(stem + "factors.npy", inferred.factors)
    if inferred.inputs is not None and inferred.inputs_sd is not None:
        np.savez_compressed(stem + "inputs.npz", mean=inferred.inputs, sd=inferred.inputs_sd)
    valid = np.zeros(len(inferred.rates), bool)
    valid[trials.valid] = True
    np.savez_compressed(
        stem + "starts.npz",
        g0_mean=inferred.g0_mean,
        g0_sd=inferred.g0_sd,
        valid=valid,
        held_out_neurons=trials.unseen_neurons(),
    )


def write_losses(path: Path, fitted: Fit) -> None:
    """One row an epoch: `training.Epoch`'s fields."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = [field.name for field in fields(Epoch)]
        table.writerow(["epoch", *names[1:]])
        for epoch in fitted.epochs:
            table.writerow([epoch.number, *(f"{getattr(epoch, name):.6g}" for name in names[1:])])


def write_checkpoint(path: Path, fitted: Fit, trials: Trials, parameters: Mapping[str, Any]) -> None:
    """Weights and what is needed to use them again; `torch.load(path, weights_only=True)` reads it."""
    weights = {name: values.detach().cpu() for name, values in fitted.model.state_dict().items()}
    torch.save(
        {
            "weights": weights,
            "sizes": fitted.model.described(),
            "parameters": dict(parameters),
            "neuron_order": torch.from_numpy(trials.order),
            "mean": torch.from_numpy(trials.mean),
            "scale": torch.from_numpy(trials.scale),
        },
        path,
    )
