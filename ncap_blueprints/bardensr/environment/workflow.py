"""Barcode demixing after BarDensr: which molecules are where in a spatial-transcriptomics field of view.

    python workflow.py DATA CONFIG RESULTS

DATA is an .npz or .zip with an image stack and its codebook, CONFIG a JSON or YAML file of parameters, RESULTS a
folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, run, say
from stack import Stack, load_stack


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, fit, find rolonies, write, draw."""
    parameters = load_parameters(config)
    stack = load_stack(data)
    frames, rows, columns, slices = stack.images.shape
    rounds = parameters["rounds"]
    if rounds and frames % rounds:
        raise InputError(f"Dataset {data.name}: {frames} frames are no multiple of {rounds} rounds.")
    say(f"Read {data.name}: {frames} frames of {rows} x {columns} x {slices}, {stack.codebook.shape[1]} barcodes.")

    # The library takes a second to import; what is wrong with the input is said before.
    from fields import fit_field
    from model import normalised

    summary = Summary(data, parameters, ("numpy", "scipy"))
    images, scale = normalised(stack.images)
    field = fit_field(images, stack.codebook, parameters, report=say)
    say(f"{len(field.rolonies)} rolonies; the model explains {field.explained:.1%} of the variance.")

    stem = str(results / f"{data.stem}_")
    _write_rolonies(Path(stem + "rolonies.csv"), stack, field.rolonies)
    with Path(stem + "gains.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("frame", "gain", "background"))
        table.writerows(
            (frame, f"{gain:.6g}", f"{back * scale:.6g}")
            for frame, (gain, back) in enumerate(zip(field.gains, field.frame_background, strict=True))
        )
    np.save(stem + "density.npy", field.density_sum)
    say("Drawing the picture.")
    from figure import draw_field

    draw_field(Path(stem + "rolonies.png"), data.name, images=images, field=field, names=stack.names)
    counts = np.bincount([it.barcode for it in field.rolonies], minlength=len(stack.names))
    summary.write(
        results,
        {
            "frames": frames,
            "voxels": [rows, columns, slices],
            "barcodes": len(stack.names),
            "rolonies": len(field.rolonies),
            "rolonies_by_barcode": dict(zip(stack.names, counts, strict=True)),
            "explained_variance": field.explained,
            "gains": field.gains,
            "final_loss": field.losses[-1],
            "tiles": field.tiles,
            "recommended": recommend(stack, parameters["tile"]),
        },
    )


def recommend(stack: Stack, tile: int) -> dict[str, object]:
    """Instance type and disk for fields like this one: a few copies of a tile's densities and of the stack."""
    _, rows, columns, slices = stack.images.shape
    voxels = min(rows, tile + 20) * min(columns, tile + 20) * slices
    gib = 4 * (5 * voxels * stack.codebook.shape[1] + 4 * stack.images.size) / 2**30
    types = (("m7i.large", 8), ("m7i.xlarge", 16), ("m7i.2xlarge", 32), ("m7i.4xlarge", 64), ("r7i.4xlarge", 128))
    fitting = [name for name, memory in types if memory * 0.8 > gib]
    disk = 20 + int(np.ceil(4 * stack.images.size * 4 / 2**30))
    return {"memory_gib": round(gib, 2), "instance_type": fitting[0] if fitting else "smaller tiles", "disk_gib": disk}


def _write_rolonies(path: Path, stack: Stack, rolonies: list) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("barcode", "row", "column", "slice", "score"))
        table.writerows((stack.names[it.barcode], it.row, it.column, it.slice, f"{it.score:.4f}") for it in rolonies)


if __name__ == "__main__":
    sys.exit(run(analyse))
