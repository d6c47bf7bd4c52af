"""Makes `grid.zip`: the summaries of a scattered job whose best point is known.

    python make_search.py

Two recordings, 5 ranks x 4 smoothings each, as a job leaves them: a folder a run with its summary, and its config with
`__scatter__`. The figure of recording r at point p is

    f(p) + offset(r) + slope(r) * log10(smoothing) + noise        f: one peak, at rank 10 and smoothing 0.1

The slopes of the two recordings cancel, so each alone has another best point than their mean. One run has no figure.
Needs the standard library only; the same seed gives the same file.
"""

from __future__ import annotations

import json
import math
import random
import zipfile
from pathlib import Path

SEED = 11
RANKS = (2, 5, 10, 20, 40)
SMOOTHINGS = (0.001, 0.01, 0.1, 1.0)
RECORDINGS = {"mouse-1": (0.05, 0.11), "mouse-2": (-0.05, -0.11)}
"""Offset and slope."""
NOISE_SD = 0.004
WITHOUT_FIGURE = ("mouse-2", 40, 0.001)


def quality(rank: int, smoothing: float) -> float:
    """f: the true quality of a point, 0.8 at its peak."""
    return 0.8 - 0.25 * (math.log10(rank / 10)) ** 2 - 0.05 * (math.log10(smoothing / 0.1)) ** 2


def main() -> None:
    draw = random.Random(SEED)
    with zipfile.ZipFile(Path(__file__).with_name("grid.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for recording, (offset, slope) in RECORDINGS.items():
            points = [(rank, smoothing) for rank in RANKS for smoothing in SMOOTHINGS]
            for k, (rank, smoothing) in enumerate(points, 1):
                noise = draw.gauss(0, NOISE_SD)
                figure = quality(rank, smoothing) + offset + slope * math.log10(smoothing / 0.1) + noise
                is_missing = (recording, rank, smoothing) == WITHOUT_FIGURE
                run = f"{recording}__rank-{rank}_smoothing-{smoothing}"
                summary = {
                    "dataset": f"{run}.csv",
                    "parameters": {"rank": rank, "smoothing": smoothing, "seed": 0},
                    "samples": 4000,
                    "scores": {"held_out_r2": None if is_missing else round(figure, 6), "fit_r2": round(0.5 + rank / 90, 6)},
                    "seconds": 1.5,
                }
                config = {
                    "rank": rank,
                    "smoothing": smoothing,
                    "__scatter__": {"k": k, "values": {"rank": rank, "smoothing": smoothing}},
                }
                for name, content in ((f"{run}_summary.json", summary), ("config.json", config)):
                    entry = zipfile.ZipInfo(f"{run}/{name}", date_time=(2024, 1, 1, 0, 0, 0))
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
