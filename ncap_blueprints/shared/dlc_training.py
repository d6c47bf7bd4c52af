"""Trains the network of a DeepLabCut project on its labelled frames, with DeepLabCut's own functions, and tests it.

Training set and test set are drawn by DeepLabCut from the seed; the snapshot with the best score on the test set is the
one that is used. It must not read videos.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import InputError, say
from dlc_labels import check_labels, image_sizes, read_labels
from dlc_listen import listening
from dlc_network import backbone_of, make_start, set_up, template_of
from dlc_project import Project, change_config, read_yaml

FOLDER = re.compile(r"-trainset(\d+)shuffle(\d+)$")


@dataclass(frozen=True)
class Trained:
    """A trained network: DeepLabCut's `shuffle`, the folder of its snapshots, the snapshot that is used."""

    shuffle: int
    folder: Path
    snapshot: Path
    backbone: str


@dataclass(frozen=True)
class Tested:
    """Labels and estimates of all labelled frames, (frames, parts, 2) in pixels; `is_test`: not trained on.

    `images`: the files, in the same order. `scores`: DeepLabCut's evaluation, by its own names.
    """

    images: tuple[Path, ...]
    labels: np.ndarray
    estimates: np.ndarray
    is_test: np.ndarray
    scores: dict[str, float]

    def errors(self, *, test: bool) -> np.ndarray:
        """Distances of estimate and label, pixels, of all labelled points in either set."""
        distances = np.linalg.norm(self.estimates - self.labels, axis=2)[self.is_test == test]
        return np.asarray(distances[np.isfinite(distances)])


def train(
    project: Project,
    parameters: Mapping[str, Any],
    device: str,
    *,
    log: Path,
    after_epoch: Callable[[Path], None],
) -> Trained:
    """Make the training set, train, and find the best snapshot. Raises InputError.

    `after_epoch` gets the file of losses, once a minute.
    """
    frames = check_labels(project)
    shuffle, fraction = parameters["shuffle"], round(parameters["train_fraction"], 2)
    in_training = int(frames * fraction)
    if not 0 < in_training < frames:
        raise InputError(f"Of {frames} labelled frames 'train_fraction' {fraction} leaves none to train or test with.")
    shutil.rmtree(project.folder / "dlc-models-pytorch", ignore_errors=True)
    shutil.rmtree(project.folder / "training-datasets", ignore_errors=True)
    change_config(project.config, {"TrainingFraction": [fraction], "iteration": 0, "snapshotindex": -1})
    say(f"Read {project.name}: {frames} labelled frames, {in_training} to train with; body parts: "
        f"{', '.join(project.bodyparts)}.")  # fmt: skip
    with listening(log):
        import deeplabcut

        # DeepLabCut draws the test frames from numpy's global generator.
        random.seed(parameters["seed"])
        np.random.seed(parameters["seed"])
        deeplabcut.create_training_dataset(
            project.config, Shuffles=[shuffle], net_type=template_of(parameters["net_type"]), userfeedback=False
        )
        folder = _model_folder(project, shuffle)
        document = set_up(folder / "pytorch_config.yaml", parameters, image_sizes(project))
        start, said = make_start(document, _weights(project, parameters), seed=parameters["seed"], place=folder)
    say(f"Training {parameters['net_type']} on {device} for {parameters['epochs']} epochs, from {said}.")
    with listening(log, lambda: after_epoch(folder / "learning_stats.csv")):
        deeplabcut.train_network(project.config, shuffle=shuffle, snapshot_path=start, device=device)
    start.unlink()
    losses = np.genfromtxt(folder / "learning_stats.csv", delimiter=",", names=True)["lossestraintotal_loss"]
    if not np.isfinite(losses).all():
        raise InputError(f"Dataset {project.name} could not be fitted: the loss is not finite. Lower 'learning_rate'.")
    return find_trained(project, shuffle)


def _weights(project: Project, parameters: Mapping[str, Any]) -> Path | None:
    """The file of weights the user names, in the project."""
    name = parameters["weights"]
    if not name:
        return None
    path = (project.folder / name).resolve()
    if not path.is_relative_to(project.folder.resolve()) or not path.is_file():
        raise InputError(f"Dataset {project.name} holds no file '{name}', which 'weights' names.")
    return path


def _model_folder(project: Project, shuffle: int) -> Path:
    """Where DeepLabCut keeps the network of a shuffle."""
    iteration = read_yaml(project.config).get("iteration", 0)
    for folder in sorted((project.folder / "dlc-models-pytorch" / f"iteration-{iteration}").glob("*")):
        named = FOLDER.search(folder.name)
        if named and int(named[2]) == shuffle and (folder / "train" / "pytorch_config.yaml").is_file():
            change_config(project.config, {"TrainingFraction": [int(named[1]) / 100]})
            return folder / "train"
    raise InputError(
        f"Dataset {project.name} holds no network of DeepLabCut's PyTorch engine for shuffle {shuffle}"
        f" (dlc-models-pytorch/iteration-{iteration}): train first, with 'mode' train."
    )


def find_trained(project: Project, shuffle: int) -> Trained:
    """The network of a trained project. Raises InputError if there is none."""
    folder = _model_folder(project, shuffle)
    snapshots = sorted(folder.glob("snapshot*.pt"))
    if not snapshots:
        raise InputError(f"Dataset {project.name}: the network in {folder.parent.name} has no snapshot: train first.")
    document = read_yaml(folder / "pytorch_config.yaml")
    parts = tuple(map(str, document.get("metadata", {}).get("bodyparts", ())))
    if parts != project.bodyparts:
        raise InputError(
            f"Dataset {project.name}: its network was trained for {', '.join(parts)}, its config.yaml names"
            f" {', '.join(project.bodyparts)}."
        )
    best = [path for path in snapshots if "best" in path.name]
    chosen = best[-1] if best else snapshots[-1]
    return Trained(shuffle, folder, chosen, backbone_of(document))


def evaluate(project: Project, trained: Trained, device: str, *, pcutoff: float, log: Path, table: Path) -> Tested:
    """DeepLabCut's evaluation on all labelled frames; its table of scores is written to `table` (.csv)."""
    import pandas as pd

    with listening(log):
        import deeplabcut

        deeplabcut.evaluate_network(project.config, shuffles=[trained.shuffle], device=device, pcutoff=pcutoff)
    folder = project.folder / "evaluation-results-pytorch"
    scores = pd.read_csv(sorted(folder.rglob("DLC_*-results.csv"))[-1])
    scores.to_csv(table, index=False)
    merged = next(iter(sorted((project.folder / "training-datasets").rglob("CollectedData_*.h5"))))
    labels = read_labels(merged.with_suffix(""), project)[project.scorer][list(project.bodyparts)]
    found = pd.read_hdf(sorted(folder.rglob("DLC_*.h5"))[-1])
    # Here DeepLabCut names the individual as well, though there is one.
    found.columns = found.columns.droplevel([name for name in ("scorer", "individuals") if name in found.columns.names])
    found = found[list(project.bodyparts)].reindex(labels.index)
    shape = (len(labels), len(project.bodyparts), -1)
    estimates = found.to_numpy(float).reshape(shape)[..., :2]
    images = tuple(project.folder.joinpath(*map(str, name)) for name in labels.index)
    numbers = scores.iloc[-1].to_dict()
    scored = {str(name): float(value) for name, value in numbers.items()}
    return Tested(images, labels.to_numpy(float).reshape(shape), estimates, _is_test(project, len(images)), scored)


def _is_test(project: Project, frames: int) -> np.ndarray:
    """Which rows of the merged labels DeepLabCut kept for testing, as its documentation of the training set says."""
    import pandas as pd

    document = sorted((project.folder / "training-datasets").rglob("Documentation_data-*.pickle"))[-1]
    is_test = np.zeros(frames, bool)
    is_test[np.asarray(pd.read_pickle(document)[2], int)] = True
    return is_test


def pack(project: Project, trained: Trained, path: Path) -> None:
    """The trained project without videos and images as a .zip: with videos put in, it can be sent with mode analyze."""
    import zipfile

    wanted = [project.config, *sorted((project.folder / "training-datasets").rglob("*"))]
    wanted += [file for file in sorted(trained.folder.parent.rglob("*")) if file.suffix != ".pt"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in wanted:
            if file.is_file():
                archive.write(file, f"{project.task}/{file.relative_to(project.folder)}")
        archive.write(trained.snapshot, f"{project.task}/{trained.snapshot.relative_to(project.folder)}")
