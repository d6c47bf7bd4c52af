"""Consensus of an ensemble of pose-tracking networks (NeuroCAAS, section 3.2 and formulas 1 and 2 of its methods).

    python workflow.py DATA CONFIG RESULTS

DATA is a folder, or a .zip of one, with a folder for each trained network that holds its score maps, CONFIG a JSON or
YAML file of parameters, RESULTS a folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr:
data or config cannot be used.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from analysis_kit import Summary, load_parameters, run, say
from consensus import frames_to_label
from members import Video, find_videos, unpacked
from tracking import Ensemble, divided, track


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: find the networks, track, compare, write, draw."""
    parameters = load_parameters(config)
    with tempfile.TemporaryDirectory() as scratch:
        videos = find_videos(unpacked(data, Path(scratch)), data.name)
        summary = Summary(data, parameters, ("numpy", "h5py"))
        found = {video.name: _consensus_of(video, parameters, results) for video in videos}
    summary.write(results, {"videos": found, "recommended": recommend(videos)})


def _consensus_of(video: Video, parameters: dict, results: Path) -> dict[str, object]:
    frames, parts, *_ = video.shape
    say(f"{video.name}: {len(video.members)} networks, {frames} frames, {parts} body parts.")
    groups = divided(video, parameters["group_by"])
    ensembles = [track(video, label, members, parameters, say) for label, members in groups.items()]
    last = ensembles[-1]
    chosen = frames_to_label(
        last.difficulty, count=min(parameters["frames_to_label"], frames), apart=parameters["frames_apart"]
    )
    stem = str(results / f"{video.name}_")
    _write_consensus(Path(stem + "consensus.csv"), video, ensembles)
    _write_members(Path(stem + "members.csv"), video, ensembles)
    rows = ((place + 1, frame, f"{last.difficulty[frame]:.3f}") for place, frame in enumerate(chosen))
    _write(Path(stem + "label_next.csv"), ("rank", "frame", "spread_px"), rows)
    errors = {it.label or "ensemble": it.errors(video.heldout) for it in ensembles} if video.heldout is not None else {}
    if errors:
        table = ((label, name, f"{error:.4f}") for label, found in errors.items() for name, error in found.items())
        _write(Path(stem + "rmse.csv"), ("ensemble", "track", "rmse_px"), table)
    say("Drawing the picture.")
    from figure import draw_video

    draw_video(Path(stem + "ensemble.png"), video, ensembles, chosen)
    return {
        "frames": frames,
        "bodyparts": video.bodyparts,
        "networks": [member.name for member in video.members],
        "mean_spread_px": last.spread.mean(axis=0),
        "label_next": chosen,
        "rmse_px": errors,
    }


def recommend(videos: Sequence[Video]) -> dict[str, object]:
    """Instance type and disk for ensembles like these: maps are read in blocks, so the tracks decide the memory."""
    largest = max(len(it.members) * it.shape[0] * it.shape[1] for it in videos)
    size = sum(member.path.stat().st_size for video in videos for member in video.members if member.path.exists())
    gib = 1.5 + 40 * largest / 2**30
    types = (("m7i.large", 8), ("m7i.xlarge", 16), ("m7i.2xlarge", 32), ("r7i.2xlarge", 64))
    fitting = [name for name, memory in types if memory * 0.8 > gib]
    disk = 20 + int(2.2 * size / 2**30)
    return {"memory_gib": round(gib, 2), "instance_type": fitting[0] if fitting else "fewer frames", "disk_gib": disk}


def _write_consensus(path: Path, video: Video, ensembles: Sequence[Ensemble]) -> None:
    rows = (
        (
            ensemble.label,
            frame,
            name,
            *(f"{value:.3f}" for value in ensemble.consensus[frame, part]),
            f"{ensemble.likelihood[frame, part]:.5f}",
            f"{ensemble.spread[frame, part]:.3f}",
        )
        for ensemble in ensembles
        for frame in range(video.shape[0])
        for part, name in enumerate(video.bodyparts)
    )
    _write(path, ("ensemble", "frame", "bodypart", "x", "y", "likelihood", "spread_px"), rows)


def _write_members(path: Path, video: Video, ensembles: Sequence[Ensemble]) -> None:
    rows = (
        (ensemble.label, member.name, frame, name, *(f"{value:.3f}" for value in points[frame, part]))
        for ensemble in ensembles
        for member, points in zip(ensemble.members, ensemble.points, strict=True)
        for frame in range(video.shape[0])
        for part, name in enumerate(video.bodyparts)
    )
    _write(path, ("ensemble", "network", "frame", "bodypart", "x", "y"), rows)


def _write(path: Path, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(heading)
        table.writerows(rows)


if __name__ == "__main__":
    sys.exit(run(analyse, folders=True))
