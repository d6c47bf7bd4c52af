"""From a DeepLabCut project to poses of its videos: train or take the trained network, evaluate, analyse, draw.

What analyses that start with tracking have in common. Results are named after the dataset: `<stem>_…`. It must not know
what is done with the poses.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import InputError, say
from dlc_project import Project
from dlc_training import Tested, Trained

GIB = 2**30
NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True)
class Tracked:
    """What was tracked, with what. `tested`: only if trained in this run."""

    project: Project
    trained: Trained
    tested: Tested | None
    poses: tuple[Any, ...]
    """`dlc_poses.Poses` of every video, filtered if that was asked for."""
    device: str
    recommended: dict[str, object]


def track(
    data: Path,
    parameters: Mapping[str, Any],
    results: Path,
    place: Path,
    *,
    needs_video: bool,
    check: Callable[[Project, list[Any]], None] = lambda project, clips: None,
) -> Tracked:
    """The whole of it. `place`: an empty folder for the project. Raises InputError, before anything is written.

    `check` gets the project and its `dlc_poses.Clip`s and may refuse them as well.
    """
    import dlc_start
    from dlc_project import open_project

    if parameters["filter_window"] % 2 == 0:
        raise InputError(f"Config: 'filter_window' must be odd, found {parameters['filter_window']}.")
    project = open_project(data, place)
    is_training = parameters["mode"] == "train"
    if not project.videos and (needs_video or not is_training):
        raise InputError(f"Dataset {project.name} holds no video (in videos/) to analyse.")
    from dlc_labels import check_labels
    from dlc_poses import read_clip
    from dlc_training import find_trained

    # torch takes seconds to import; what is wrong with the input is said before.
    clips = [read_clip(path, project.name) for path in project.videos]
    check(project, clips)
    if is_training:
        check_labels(project)
    else:
        find_trained(project, parameters["shuffle"])
    dlc_start.prepare()
    try:
        device = dlc_start.device_of(parameters["device"])
    except ValueError as error:
        raise InputError(f"Config: {error}.") from error
    work = place / "deeplabcut.log"
    stem = str(results / data.stem)
    tested = None
    if is_training:
        trained, tested = _train(project, parameters, device, stem, work)
    else:
        trained = find_trained(project, parameters["shuffle"])
        say(f"Read {project.name}: trained network {trained.backbone}, {trained.snapshot.name}.")
    poses = [_analyse(project, trained, clip, parameters, device=device, stem=stem, log=work) for clip in clips]
    shutil.copy(work, f"{stem}_deeplabcut.log")
    recommended = recommend(project, clips, parameters)
    return Tracked(project, trained, tested, tuple(poses), device, recommended)


def _train(
    project: Project, parameters: Mapping[str, Any], device: str, stem: str, log: Path
) -> tuple[Trained, Tested]:
    from dlc_pictures import draw_training
    from dlc_training import evaluate, pack, train

    picture = Path(f"{stem}_training.png")
    title = f"Training of {parameters['net_type']}: {project.name}"
    trained = train(
        project,
        parameters,
        device,
        log=log,
        after_epoch=lambda losses: draw_training(picture, f"{title}, running", losses, None),
    )
    say(f"Training ended; {trained.snapshot.name} is taken. Evaluating it on the labelled frames.")
    table = Path(f"{stem}_evaluation.csv")
    tested = evaluate(project, trained, device, pcutoff=parameters["pcutoff"], log=log, table=table)
    errors = tested.errors(test=True)
    say(f"Test frames: median error {np.median(errors):.2f} pixels of {len(errors)} points.")
    losses = trained.folder / "learning_stats.csv"
    shutil.copy(losses, f"{stem}_losses.csv")
    shutil.copy(trained.snapshot, f"{stem}_snapshot.pt")
    pack(project, trained, Path(f"{stem}_trained.zip"))
    draw_training(picture, title, losses, tested)
    return trained, tested


def _analyse(
    project: Project,
    trained: Trained,
    clip: Any,
    parameters: Mapping[str, Any],
    *,
    device: str,
    stem: str,
    log: Path,
) -> Any:
    """Poses of one video, its tables, its picture and, if asked for, the video with the points drawn in."""
    from dlc_frames import write_labeled_video
    from dlc_pictures import draw_tracks
    from dlc_poses import filter_poses, find_poses

    folder = Path(f"{stem}_poses")
    poses = find_poses(project, trained, clip, device, batch_size=parameters["batch_size"], folder=folder, log=log)
    if parameters["filter_window"] > 1:
        poses = filter_poses(project, trained, poses, window=parameters["filter_window"], log=log)
    name = clip.path.stem
    picture = Path(f"{stem}_{name}_tracks.png")
    labels = labelled_frames(project, name, len(poses.points))
    draw_tracks(picture, f"Tracks: {clip.path.name}", poses, pcutoff=parameters["pcutoff"], labels=labels)
    if parameters["labeled_video"]:
        say(f"Writing {clip.path.name} with its body parts.")
        path = Path(f"{stem}_{name}_labeled.avi")
        write_labeled_video(path, poses, pcutoff=parameters["pcutoff"], skeleton=project.skeleton)
    return poses


def labelled_frames(project: Project, video: str, frames: int) -> list[int]:
    """Numbers of the labelled frames of a video, as the images' names tell them (`img0123.png`)."""
    named = [NUMBER.search(path.stem) for path in (project.folder / "labeled-data" / video).glob("*.png")]
    return sorted({int(match[1]) for match in named if match and int(match[1]) < frames})


def describe(tracked: Tracked, parameters: Mapping[str, Any]) -> dict[str, object]:
    """What a summary says about the tracking."""
    tested = tracked.tested
    found: dict[str, object] = {
        "bodyparts": list(tracked.project.bodyparts),
        "backbone": tracked.trained.backbone,
        "snapshot": tracked.trained.snapshot.name,
        "device": tracked.device,
        "videos": [describe_video(poses, parameters["pcutoff"]) for poses in tracked.poses],
    }
    if tested is not None:
        found["labelled_frames"] = len(tested.images)
        found["test_frames"] = int(tested.is_test.sum())
        for name, is_test in (("train", False), ("test", True)):
            errors = tested.errors(test=is_test)
            found[f"{name}_median_error_px"] = np.median(errors) if len(errors) else None
        found["evaluation"] = tested.scores
    return {**found, "recommended": tracked.recommended}


def describe_video(poses: Any, pcutoff: float) -> dict[str, object]:
    """Size, and how much of it the network was sure of."""
    clip = poses.clip
    sure = (poses.likelihood >= pcutoff).mean(axis=0)
    return {
        "video": clip.path.name,
        "frames": len(poses.points),
        "fps": clip.fps or None,
        "width_px": clip.width,
        "height_px": clip.height,
        "median_likelihood": np.median(poses.likelihood),
        "sure_fraction": dict(zip(poses.bodyparts, sure.tolist(), strict=True)),
    }


def recommend(project: Project, clips: list[Any], parameters: Mapping[str, Any]) -> dict[str, object]:
    """Instance type and disk for a project of this size.

    A pass of resnet_50 takes about 90,000 multiplications a pixel (timm's tables, at output stride 16), a training step
    three passes; two cores of a CPU manage about 3 x 10^10 a second here. More than an hour of CPU goes to a GPU.
    """
    from dlc_labels import image_sizes

    weight = {"resnet_18": 0.5, "resnet_34": 0.9, "resnet_101": 1.8}.get(parameters["net_type"], 1.0)
    analysed = float(sum(clip.frames * clip.width * clip.height for clip in clips))
    trained = 0.0
    if parameters["mode"] == "train":
        crops = np.minimum(image_sizes(project), parameters["crop_size"]).prod(axis=1)
        trained = 3.0 * parameters["epochs"] * float(crops.sum())
    hours = weight * 9e4 * (analysed + trained) / 3e10 / 3600
    files = sum(path.stat().st_size for path in project.folder.rglob("*") if path.is_file())
    return {
        "instance_type": "g5.xlarge" if hours > 1 else "m7i.xlarge",
        "cpu_hours_at_most": round(hours, 2),
        "disk_gib": 30 + int(4 * files / GIB),
    }
