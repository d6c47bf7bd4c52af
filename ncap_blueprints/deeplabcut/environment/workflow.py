"""DeepLabCut: trains a network to find body parts in videos from a few labelled frames, and tracks them.

    python workflow.py DATA CONFIG RESULTS

DATA is a DeepLabCut project, a .zip file or a folder; CONFIG a JSON or YAML file of parameters; RESULTS a folder that
exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from analysis_kit import Summary, load_parameters, run
from dlc_run import describe, track

PACKAGES = ("deeplabcut", "torch", "torchvision", "timm", "numpy", "opencv-python-headless")


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run."""
    parameters = load_parameters(config)
    summary = Summary(data, parameters, PACKAGES)
    with tempfile.TemporaryDirectory(prefix="dlc-") as place:
        tracked = track(data, parameters, results, Path(place), needs_video=False)
        summary.write(results, describe(tracked, parameters))


if __name__ == "__main__":
    sys.exit(run(analyse, folders=True))
