"""Makes `cortex.npz` and `cortex_truth.npz`: a widefield video of rank 30 whose regional signals are known.

    python make_video.py

Eight regions, four a hemisphere. Four of them have one source, four have two: a bump inside the region that spills over
its border. Traces are smooth and correlated, most with those of the same area on the other side, as in a brain, so that
a factorisation that is not held to the regions mixes them. Three weak broad waves that no region owns are added, as is
white noise; then the video is reduced to its 30 leading singular vectors: U (rows, columns, 30), V.
Needs numpy only; the same seed gives the same files.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIDE = 72
FRAMES = 1000
RANK = 30
NOISE = 0.15
WAVES = 3
WAVE_SD = 0.1
OWN_SHARE = 0.88
"""Of a source's energy, at least, in its own region."""
AREAS = ("MOs", "SSp", "RSP", "VIS")
TWO_SOURCES = (1, -1, 4, -4)


def atlas() -> np.ndarray:
    """Regions 1 to 4 on the left, -1 to -4 on the right, 0 outside of the brain."""
    y, x = np.mgrid[:SIDE, :SIDE]
    middle = (SIDE - 1) / 2
    brain = ((y - middle) / (0.48 * SIDE)) ** 2 + ((x - middle) / (0.46 * SIDE)) ** 2 < 1
    beside = np.abs(x - middle)
    area = np.where(y < 0.36 * SIDE, 1, np.where(y > 0.66 * SIDE, 4, np.where(beside > 0.2 * SIDE, 2, 3)))
    return (np.where(x < middle, 1, -1) * area * brain).astype(np.int16)


def sources(rng: np.random.Generator, regions: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Bumps (rows, columns, k) and the region of each."""
    maps, owners = [], []
    for label in sorted(set(regions.ravel().tolist()) - {0}, key=lambda it: (abs(it), -it)):
        pixels = np.argwhere(regions == label)
        centre = pixels.mean(0)
        away = pixels[np.argmax(((pixels - centre) ** 2).sum(1))] - centre
        places = (-0.4, 0.4) if label in TWO_SOURCES else (0.0,)
        for place in places:
            row, column = centre + place * away
            width = SIDE * (0.06 if len(places) == 2 else 0.1)
            bump = _bump(regions, row, column, width)
            while (bump[regions == label] ** 2).sum() < OWN_SHARE * (bump**2).sum():
                width *= 0.95
                bump = _bump(regions, row, column, width)
            maps.append(bump)
            owners.append(label)
    return np.stack(maps, -1), owners


def _bump(regions: np.ndarray, row: float, column: float, width: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2)) * (regions != 0)


def traces(rng: np.random.Generator, owners: list[int]) -> np.ndarray:
    """Smooth traces (k, frames): of the variance 20% is common to all, 40% to an area's two sides, the rest their own."""
    window = np.exp(-0.5 * (np.arange(-40, 41) / 5) ** 2)

    def smooth(count: int) -> np.ndarray:
        drawn = np.stack([np.convolve(rng.normal(size=FRAMES + 80), window, "valid") for _ in range(count)])
        return (drawn - drawn.mean(1, keepdims=True)) / drawn.std(1, keepdims=True)

    common, by_area, own = smooth(1), smooth(len(AREAS)), smooth(len(owners))
    area = [abs(owner) - 1 for owner in owners]
    mixed = np.sqrt(0.2) * common + np.sqrt(0.4) * by_area[area] + np.sqrt(0.4) * own
    return mixed * rng.uniform(0.7, 1.4, (len(owners), 1))


def waves(rng: np.random.Generator, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activity that no region owns: broad bumps anywhere, (rows, columns, WAVES), and their traces."""
    places = rng.uniform(0.25, 0.75, (WAVES, 2)) * SIDE
    maps = np.stack([_bump(regions, row, column, 0.3 * SIDE) for row, column in places], -1)
    window = np.exp(-0.5 * (np.arange(-40, 41) / 5) ** 2)
    drawn = np.stack([np.convolve(rng.normal(size=FRAMES + 80), window, "valid") for _ in range(WAVES)])
    return maps, WAVE_SD * (drawn - drawn.mean(1, keepdims=True)) / drawn.std(1, keepdims=True)


def main() -> None:
    rng = np.random.default_rng(5)
    regions = atlas()
    A, owners = sources(rng, regions)
    C = traces(rng, owners)
    broad, slow = waves(rng, regions)
    video = (A @ C + broad @ slow + NOISE * rng.normal(size=(SIDE, SIDE, FRAMES))).reshape(-1, FRAMES)
    left, s, right = np.linalg.svd(video, full_matrices=False)
    labels = [
        {"acronym": f"{name}_{side}", "label": sign * number}
        for number, name in enumerate(AREAS, start=1)
        for sign, side in ((1, "left"), (-1, "right"))
    ]
    np.savez_compressed(
        HERE / "cortex.npz",
        U=(left[:, :RANK] * s[:RANK]).reshape(SIDE, SIDE, RANK).astype(np.float32),
        V=right[:RANK].astype(np.float32),
        atlas=regions,
        brainmask=regions != 0,
        labels=np.array(json.dumps(labels)),
    )
    np.savez_compressed(
        HERE / "cortex_truth.npz", A=A.astype(np.float32), C=C.astype(np.float32), owners=np.array(owners)
    )


if __name__ == "__main__":
    main()
