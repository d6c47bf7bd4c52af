"""The network of a DeepLabCut project: how it is set up, and the weights it starts from. Nothing is downloaded.

DeepLabCut writes `pytorch_config.yaml` with its defaults; what a user may set is changed in it. Training starts from a
snapshot that is made here: random weights, or those of a file in the project, so DeepLabCut does not ask a hub for
ImageNet's. It must not train.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError
from dlc_project import read_yaml

if TYPE_CHECKING:
    import torch

SMALL = {"resnet_18": ("resnet18", 512), "resnet_34": ("resnet34", 512)}
"""Networks DeepLabCut has no template of: timm's name and number of channels, put into the template of resnet_50."""
DROPS = ((0.6, 0.3), (0.85, 0.1))
"""After this share of the epochs, this share of the learning rate."""


def template_of(net_type: str) -> str:
    """The network whose template DeepLabCut is asked for."""
    return "resnet_50" if net_type in SMALL else net_type


def backbone_of(document: Mapping[str, Any]) -> str:
    """The name of a network's backbone, by timm; DeepLabCut's own `net_type` is that of the template."""
    return str(document.get("model", {}).get("backbone", {}).get("model_name", "of an unknown kind"))


def set_up(config: Path, parameters: Mapping[str, Any], sizes: np.ndarray) -> dict[str, Any]:
    """Write what the user set into a `pytorch_config.yaml`; the whole of it.

    `sizes` (n, 2): widths and heights of the labelled images; crops are not larger than the largest.
    """
    document = read_yaml(config)
    net_type, epochs, rate = (parameters[name] for name in ("net_type", "epochs", "learning_rate"))
    if net_type in SMALL:
        _replace_backbone(document["model"], *SMALL[net_type])
    width, height = (int(min(parameters["crop_size"], size)) for size in sizes.max(0))
    document["data"]["train"]["crop_sampling"].update(width=width, height=height)
    document["runner"]["optimizer"]["params"]["lr"] = rate
    document["runner"]["scheduler"] = {
        "type": "LRListScheduler",
        "params": {
            "lr_list": [[rate * share] for _, share in DROPS],
            "milestones": [max(1, round(part * epochs)) for part, _ in DROPS],
        },
    }
    document["runner"]["snapshots"].update(save_epochs=parameters["save_epochs"], max_snapshots=1)
    document["runner"]["eval_interval"] = min(parameters["save_epochs"], epochs)
    document["train_settings"].update(epochs=epochs, batch_size=parameters["batch_size"], seed=parameters["seed"])
    _write_yaml(config, document)
    return document


def _replace_backbone(model: dict[str, Any], name: str, channels: int) -> None:
    before = model["backbone_output_channels"]
    model["backbone"]["model_name"] = name
    model["backbone_output_channels"] = channels
    for head in model["heads"].values():
        for part in ("heatmap_config", "locref_config"):
            head[part]["channels"] = [channels if size == before else size for size in head[part]["channels"]]


def _write_yaml(path: Path, document: Mapping[str, Any]) -> None:
    import yaml

    path.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")


def make_start(document: Mapping[str, Any], weights: Path | None, *, seed: int, place: Path) -> tuple[Path, str]:
    """A snapshot to start training from, and what it is in words. Raises InputError if the weights do not fit.

    Without `weights` they are random, drawn from the seed.
    """
    import torch
    from deeplabcut.pose_estimation_pytorch.models import PoseModel

    torch.manual_seed(seed)
    model = PoseModel.build(document["model"], pretrained_backbone=False)
    said = "random weights"
    if weights is not None:
        state = model.state_dict()
        found = _matching(read_weights(weights), state)
        backbone = [name for name in state if name.startswith("backbone.")]
        lacking = [name for name in backbone if name not in found]
        if lacking:
            raise InputError(
                f"The weights {weights.name} do not fit {backbone_of(document)}: {len(lacking)} of {len(backbone)}"
                f" arrays of the backbone are missing or of another shape, {lacking[0]} for one."
            )
        model.load_state_dict({**state, **found})
        said = f"{weights.name}, {'all' if len(found) == len(state) else 'the backbone'} of it"
    snapshot = place / "start.pt"
    torch.save({"model": model.state_dict(), "metadata": {"epoch": 0}}, snapshot)
    return snapshot, said


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Named arrays of a snapshot of DeepLabCut, or of a plain state dict; no code in the file is run."""
    import pickle

    import torch

    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"The weights {path.name} cannot be read: {' '.join(str(error).split())[:200]}.") from error
    state = document.get("model", document) if isinstance(document, dict) else {}
    arrays = {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not arrays:
        raise InputError(f"The weights {path.name} hold no arrays: neither a snapshot nor a state dict.")
    return arrays


def _matching(found: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those arrays that fit by name and shape; names of a bare backbone (timm's) are tried with the model's prefix."""
    fitting = {}
    for name, value in state.items():
        for known in (name, name.removeprefix("backbone."), name.removeprefix("backbone.model.")):
            if known in found and found[known].shape == value.shape:
                fitting[name] = found[known]
                break
    return fitting
