"""Lets DeepLabCut (PyTorch engine) be imported on a computer with or without a GPU, and without a network.

Two things stand in the way. The package index's torchvision for Linux is a CUDA build; beside a CPU build of torch its
binary cannot be loaded, and `import torchvision` fails because the operators in it are missing. DeepLabCut needs that
package, but of those operators only `nms`, and only for detectors: here they are defined in torch's own terms where the
binary cannot be loaded. (`roi_align`, of two-stage detectors, stays missing.) And DeepLabCut fetches ImageNet weights
from a hub when it trains: the hub's client is told to stay offline. It must not import DeepLabCut by itself.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

_kept: list[Any] = []
"""Definitions of operators: torch forgets them with the object that made them."""


def prepare() -> None:
    """Call once, before the first import of `torchvision` or `deeplabcut`."""
    # Read when the libraries are imported (huggingface_hub, matplotlib, torch documentation, "Reproducibility").
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TORCH_LOAD_WEIGHTS_ONLY"] = "true"
    os.environ["MPLBACKEND"] = "Agg"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Threads that wait for one another sleep: where others compete for the cores, spinning costs many times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0") or 0) or torch.get_num_threads())
    if not _loads_binary():
        define_operators()


def _loads_binary() -> bool:
    """Whether torchvision's own operators can be used."""
    import torch

    package = importlib.util.find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    binaries = [path for folder in folders or () for path in Path(folder).glob("_C*.*") if path.suffix != ".py"]
    if not binaries:
        return False
    try:
        torch.ops.load_library(str(binaries[0]))
    except OSError:
        return False
    return True


def define_operators() -> None:
    """`torchvision::nms` and the signature of `qnms`, which importing torchvision asks for."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", suppress, "CPU")
    _kept.append(library)


def suppress(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Non-maximum suppression: indices of the boxes that stay, best score first.

    `boxes` (n, 4) as x1, y1, x2, y2. A box goes if its overlap with a better one that stays, intersection over union,
    is greater than the threshold.
    """
    import torch

    corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    areas = size.prod(1)
    stays: list[int] = []
    is_open = torch.ones(len(boxes), dtype=torch.bool)
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        if not is_open[index]:
            continue
        stays.append(index)
        low = torch.maximum(corner, corner[index])
        high = torch.minimum(boxes[:, 2:], boxes[index, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        is_open &= shared <= iou_threshold * (areas + areas[index] - shared)
    return torch.tensor(stays, dtype=torch.long)


def device_of(wanted: str) -> str:
    """`cuda` or `cpu` for the parameter `device`; raises ValueError when a GPU is asked for and there is none."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ValueError("'device' is cuda, and this computer has no GPU that torch can use")
    return "cuda" if there and wanted != "cpu" else "cpu"
