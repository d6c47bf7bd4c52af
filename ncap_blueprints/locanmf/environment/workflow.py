"""Localised semi-nonnegative matrix factorisation of a widefield video, after LocaNMF (Saxena et al. 2020).

    python workflow.py DATA CONFIG RESULTS

DATA is an .npz, a .zip or a folder with a low-rank video and an atlas, CONFIG a JSON or YAML file of parameters,
RESULTS a folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be
used.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis_kit import InputError, Summary, load_parameters, run, say

if TYPE_CHECKING:
    from factorisation import Factors
    from localisation import Regions
    from results import Components
    from video import Video


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, factorise, write, draw."""
    parameters = load_parameters(config)
    if parameters["minrank"] > parameters["maxrank"]:
        raise InputError(
            f"Config {config.name}: minrank {parameters['minrank']} is larger than maxrank {parameters['maxrank']}."
        )
    from video import load_video

    video = load_video(data)
    rows, columns, rank = video.U.shape
    frames = video.V.shape[1]
    brain = int(video.mask.sum())
    say(f"Read {data.name}: {rows} x {columns} pixels, {brain} in the brain, {frames} frames, rank {rank}.")

    from factorisation import Options, factorise, low_rank
    from localisation import find_regions

    summary = Summary(data, parameters, ("numpy", "scipy"))
    regions = find_regions(video.atlas, video.mask, min_pixels=parameters["min_pixels"])
    if not regions.labels:
        raise InputError(
            f"Dataset {data.name}: no region of the atlas has {parameters['min_pixels']} pixels in the brain"
            " (parameter min_pixels)."
        )
    for label in regions.too_small:
        say(f"Region {_name(video, label)} has fewer than {parameters['min_pixels']} pixels and gets no component.")
    inside = video.U[video.mask]
    if not inside.any() or not video.V.any():
        raise InputError(f"Dataset {data.name}: the video is 0 everywhere in the brain.")
    compact, scale = low_rank(inside, video.V)
    own = {name: value for name, value in parameters.items() if name not in ("frame_rate", "min_pixels")}
    factors = factorise(compact, regions, Options(**own), report=say)
    found = describe(video, regions, factors, scale=scale)

    from results import write_components

    stem = str(results / f"{data.stem}_")
    write_components(stem, found, atlas=video.atlas, mask=video.mask)
    say("Drawing the picture.")
    draw(
        Path(stem + "SummaryComponents.png"),
        data.name,
        video,
        regions,
        factors=factors,
        found=found,
        parameters=parameters,
    )
    summary.write(results, figures(video, regions, factors, found, parameters["loc_thresh"]))


def _name(video: Video, label: int) -> str:
    return video.names.get(label, str(label))


def describe(video: Video, regions: Regions, factors: Factors, *, scale: float) -> Components:
    """Components in their final form: largest value of A 1, C in the video's units; by region, strongest first."""
    import numpy as np
    from results import Components

    power = (factors.C.astype(np.float64) ** 2).sum(1)
    order = np.lexsort((-power, factors.owners))
    peaks = np.maximum(factors.A.max(0), 1e-30)[order]
    A = np.zeros((*video.mask.shape, len(order)), np.float32)
    A[video.mask] = factors.A[:, order] / peaks
    C = (factors.C[order] * (peaks[:, None] * scale)).astype(np.float32)
    labels = [regions.labels[owner] for owner in factors.owners[order].tolist()]
    region_rows: list[tuple[int, str, int, int, float | None]] = [
        (label, _name(video, label), int(regions.inside(index).sum()), labels.count(label), float(factors.r2[index]))
        for index, label in enumerate(regions.labels)
    ]
    for label in regions.too_small:
        pixels = int(((video.atlas == label) & video.mask).sum())
        region_rows.append((label, _name(video, label), pixels, 0, None))
    return Components(
        A=A,
        C=C,
        labels=labels,
        names=_component_names([_name(video, label) for label in labels]),
        share=factors.share[order],
        lambdas=factors.lambdas[order],
        power=power[order] / power.sum(),
        region_rows=region_rows,
    )


def _component_names(names: list[str]) -> list[str]:
    """Names of regions, numbered where a region has several components."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    running = dict.fromkeys(seen, 0)
    out = []
    for name in names:
        running[name] += 1
        out.append(f"{name} {running[name]}" if seen[name] > 1 else name)
    return out


def figures(
    video: Video, regions: Regions, factors: Factors, found: Components, loc_thresh: float
) -> dict[str, object]:
    """What the summary says."""
    import numpy as np

    rows, columns, rank = video.U.shape
    return {
        "rows": rows,
        "columns": columns,
        "brain_pixels": int(video.mask.sum()),
        "frames": video.V.shape[1],
        "video_rank": rank,
        "regions": len(regions.labels),
        "regions_too_small": list(regions.too_small),
        "components": len(found.names),
        "components_by_region": {name: count for _, name, _, count, _ in found.region_rows},
        "localised_percent_min": 100 * float(factors.share.min()),
        "all_localised": bool((100 * factors.share >= loc_thresh).all()),
        "region_r2_median": float(np.nanmedian(factors.r2)),
        "region_r2_min": float(np.nanmin(factors.r2)),
        "lambda_steps": factors.raised,
        "recommended": recommend(video),
    }


def recommend(video: Video) -> dict[str, object]:
    """Instance type and disk for videos like this one: U, its copy over the brain and a few of the same size."""
    gib = 4 * video.U.size * 4 / 2**30 + 4 * video.V.size * 12 / 2**30
    types = (("m7i.large", 8), ("m7i.2xlarge", 32), ("m7i.4xlarge", 64), ("r7i.4xlarge", 128), ("r7i.8xlarge", 256))
    fitting = [name for name, memory in types if memory * 0.8 > gib]
    disk = 20 + math.ceil(3 * 4 * video.U.size / 2**30)
    return {
        "memory_gib": round(gib, 2),
        "instance_type": fitting[0] if fitting else "fewer components",
        "disk_gib": disk,
    }


def draw(
    path: Path,
    title: str,
    video: Video,
    regions: Regions,
    *,
    factors: Factors,
    found: Components,
    parameters: dict[str, Any],
) -> None:
    """Hand the picture what it shows."""
    from figure import Drawing, draw_summary

    shape = f"{len(found.names)} components in {len(regions.labels)} regions"
    draw_summary(
        path,
        Drawing(
            title=f"Localised semi-NMF of {title}: {shape}",
            atlas=video.atlas,
            mask=video.mask,
            A=found.A,
            C=found.C,
            names=found.names,
            labels=found.labels,
            share=found.share,
            region_labels=regions.labels,
            region_names=[_name(video, label) for label in regions.labels],
            region_r2=factors.r2,
            loc_thresh=parameters["loc_thresh"],
            frame_rate=parameters["frame_rate"],
        ),
    )


if __name__ == "__main__":
    sys.exit(run(analyse, folders=True))
