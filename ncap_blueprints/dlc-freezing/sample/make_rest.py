"""Makes `rest.zip` and `rest_truth.npz`: the walk of the sample of `deeplabcut`, with nine bouts of rest.

    python make_rest.py

900 frames at 30 a second; the animal stands still in nine bouts of 35 frames. Needs numpy and OpenCV (the analysis's
own environment has both); the same seed gives the same points and frames.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deeplabcut" / "sample"))
from make_walk import FPS, PARTS, path_of, write_project

SEED = 1
FRAMES = 900
BOUTS = 9
REST = 35


def main() -> None:
    rng = np.random.default_rng(SEED)
    starts = np.sort(rng.choice(np.arange(30, FRAMES - 60, 60), BOUTS, replace=False))
    is_resting = np.zeros(FRAMES, bool)
    for start in starts:
        is_resting[start : start + REST] = True
    points = path_of(np.cumsum(~is_resting))
    numbers = write_project("rest", points, seed=SEED, noise_sd=3.0, quality=75)
    np.savez_compressed(
        "rest_truth.npz",
        points=points.astype(np.float32),
        labelled=numbers,
        parts=PARTS,
        is_freezing=is_resting,
        starts=starts,
        bout_frames=REST,
        fps=FPS,
    )


if __name__ == "__main__":
    main()
