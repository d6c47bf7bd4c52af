"""One picture of a field of view: where the rolonies are, which barcodes, the gains, and how the fit went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from analysis_kit import PALETTE
from fields import Field

MOST_NAMED = 12


def draw_field(path: Path, title: str, *, images: np.ndarray, field: Field, names: tuple[str, ...]) -> None:
    """Write the picture. `images` (frames, rows, columns, slices), normalised."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.4), layout="constrained")
    left, right = figure.add_gridspec(2, 2, width_ratios=(1, 1)).subplots().T
    brightest = images.max(axis=(0, 3))
    left[0].imshow(brightest, cmap="gray", vmax=np.percentile(brightest, 99.5))
    left[0].set_title("Largest intensity over frames")
    left[1].imshow(brightest, cmap="gray", alpha=0.35, vmax=np.percentile(brightest, 99.5))
    counts = np.bincount([it.barcode for it in field.rolonies], minlength=len(names))
    common = np.argsort(-counts, kind="stable")[: len(PALETTE) - 1]
    for barcode, colour in zip(common.tolist(), PALETTE, strict=False):
        own = [it for it in field.rolonies if it.barcode == barcode]
        if own:
            left[1].scatter([it.column for it in own], [it.row for it in own], s=14, color=colour, label=names[barcode])
    rest = [it for it in field.rolonies if it.barcode not in set(common.tolist())]
    left[1].scatter([it.column for it in rest], [it.row for it in rest], s=6, color="0.45", label="other barcodes")
    left[1].set_title(f"{len(field.rolonies)} rolonies")
    left[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    for axes in left:
        axes.set_xlabel("column (voxels)")
        axes.set_ylabel("row (voxels)")
    shown = np.argsort(-counts, kind="stable")[:MOST_NAMED]
    right[0].barh([names[index] for index in shown], counts[shown], color=PALETTE[0])
    right[0].invert_yaxis()
    right[0].set_xlabel("rolonies")
    right[0].set_title(f"The {len(shown)} most common of {len(names)} barcodes")
    right[1].bar(np.arange(len(field.gains)), field.gains, color=PALETTE[1])
    right[1].set_xlabel("frame")
    right[1].set_ylabel("gain (mean 1)")
    right[1].set_title(f"Gains; the model explains {field.explained:.0%} of the variance")
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
