"""DeepGraphPose (after Wu et al. 2020), the whole run: read a project, train a network, track its videos, write, draw.

What the workflows of `deepgraphpose` and `ensemble-dgp` call. Progress goes to stdout; InputError says that the project
or the config cannot be used.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, say, write_json
from dgp_project import Labelled, Project, load_project, unpacked

if TYPE_CHECKING:
    import torch
    from dgp_frames import Chain, Video
    from dgp_graph import Cliques
    from dgp_results import Judged
    from dgp_tracking import Track
    from dgp_training import Examples, Progress
    from torch import nn

CHAIN_FRAMES = 50
PREVIEW_EVERY_S = 30.0
FEWEST_TRAINED = 2
GIB = 2**30
PACKAGES = ("torch", "numpy", "h5py", "opencv-python-headless")
MACS_A_PIXEL = {"small": 4.4e3, "resnet18": 6e4, "resnet50": 1.5e5}
"""Multiplications a pixel of one image."""
MACS_A_SECOND = 1e10
"""Of two cores of today."""


@dataclass(frozen=True)
class Split:
    """Numbers of the labelled images that are trained on, and of those kept for the errors."""

    trained: np.ndarray
    held_out: np.ndarray


def analyse(data: Path, config: Path, results: Path) -> None:
    """Read, train, track, write, draw."""
    parameters = load_parameters(config)
    summary = Summary(data, parameters, PACKAGES)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = load_project(unpacked(data, folder / "project"), data.name, video_type=parameters["videotype"])
        split = split_labels(len(project.labelled), parameters, data.name)
        _Run(data, results, parameters, project, split, folder).go(summary)


def split_labels(count: int, parameters: Mapping[str, Any], title: str) -> Split:
    """Draw by `seed` what is held out and what is trained on. Networks of an ensemble (`jobnb`) share the draw.

    `test_fraction` of the images are held out whatever `nb_frames` is; without it, all that is not trained on.
    Raises InputError.
    """
    order = np.random.default_rng(parameters["seed"]).permutation(count)
    tested = round(parameters["test_fraction"] * count)
    rest, wanted = order[tested:], parameters["nb_frames"]
    if len(rest) < max(FEWEST_TRAINED, wanted or 0):
        raise InputError(
            f"Dataset {title}: {count} labelled images, of which {tested} are held out, leave {len(rest)} to train on;"
            f" {max(FEWEST_TRAINED, wanted or 0)} are needed."
        )
    trained = rest[:wanted]
    held_out = order[:tested] if tested else rest[len(trained) :]
    return Split(np.sort(trained), np.sort(held_out))


def torch_device() -> torch.device:
    """The GPU if there is one; the same numbers at every run on the same kind of machine."""
    # Both are read when torch starts. The first (torch documentation, "Reproducibility") makes a GPU's linear algebra
    # repeatable. Without the second, threads that wait for one another spin, which is slow beside other work.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Run:
    """One run's values, as they come about."""

    def __init__(
        self, data: Path, results: Path, parameters: Mapping[str, Any], project: Project, split: Split, scratch: Path
    ) -> None:
        self.data, self.results, self.parameters, self.project = data, results, parameters, project
        self.split, self.scratch, self.scale = split, scratch, float(parameters["global_scale"])
        self.stem = str(results / f"{data.stem}_")
        # torch takes a second or two to import; what is wrong with the project is said before.
        self.device = torch_device()
        from dgp_frames import open_video, read_image

        self.videos = [open_video(path) for path in project.videos]
        self.images = [read_image(one.image, scale=self.scale) for one in project.labelled]
        self._check_labels()
        self.lines: list[Progress] = []

    def go(self, summary: Summary) -> None:
        project, frames = self.project, sum(video.frames for video in self.videos)
        say(
            f"Read {self.data.name}: {len(project.bodyparts)} body parts, {len(project.skeleton)} edges,"
            f" {len(self.images)} labelled images ({len(self.split.held_out)} held out),"
            f" {len(self.videos)} videos of {frames} frames."
        )
        self.network = self._network()
        cliques, examples = self._cliques(), self._examples()
        say(f"Training on {self.device.type}.")
        self._train(examples, cliques)
        from dgp_results import write_checkpoint, write_losses, write_metrics

        judged = self._judged()
        tracks = [self._track(video, judged) for video in self.videos]
        write_checkpoint(Path(self.stem + "model.pt"), self.network, project.bodyparts, self.parameters)
        write_losses(Path(self.stem + "losses.csv"), self.lines)
        write_metrics(Path(self.stem + "metrics.csv"), judged, project.bodyparts)
        say("Drawing the pictures.")
        self._draw_labelled(judged, self.data.name)
        self._draw_training(judged, tracks[0])
        summary.write(self.results, self._describe(judged, tracks, cliques))

    def _check_labels(self) -> None:
        for one, image in zip(self.project.labelled, self.images, strict=True):
            limits = np.array(image.shape[1::-1]) / self.scale + 1
            if (one.points < -1).any() or (one.points > limits).any():
                raise InputError(
                    f"{one.video}/{one.image.name}: a label lies outside the image, which has"
                    f" {round(limits[0] - 1)} x {round(limits[1] - 1)} pixels."
                )

    def _network(self) -> nn.Module:
        """With random weights of this run's own, or from a file of the project. Raises InputError."""
        import torch
        from dgp_network import build_network

        words = np.random.SeedSequence([self.parameters["seed"], self.parameters["jobnb"]]).generate_state(1)
        torch.manual_seed(int(words[0]))
        weights, name, backbone = None, self.parameters["weights"], self.parameters["backbone"]
        try:
            if name:
                held = torch.load(self.project.file(name), map_location="cpu", weights_only=True)
                weights = held.get("weights", held.get("state_dict", held))
            return build_network(backbone, len(self.project.bodyparts), weights).to(self.device)
        except InputError:
            raise
        except Exception as error:  # torch.load raises nearly anything on a foreign file
            said = " ".join(str(error).split())[:200]
            raise InputError(f"Weights {name} cannot be used as {backbone}: {said}.") from error

    def _cliques(self) -> Cliques:
        from dgp_graph import Cliques, find_edges

        points = np.stack([self.project.labelled[it].points for it in self.split.trained]) * self.scale
        edges = find_edges(self.project.skeleton, points, ws_max=self.parameters["ws_max"])
        if not self.project.skeleton and self.parameters["ws"]:
            say("config.yaml has no skeleton: only the temporal term is used.")
        elif len(edges) < len(self.project.skeleton):
            say("An edge of the skeleton has no image in which both of its parts are labelled, and is left out.")
        wt, ws, epsilon = (float(self.parameters[name]) for name in ("wt", "ws", "epsilon"))
        return Cliques(wt / self.scale**2, ws / self.scale**2, epsilon * self.scale, edges)

    def _examples(self) -> Examples:
        from dgp_frames import choose_chains, load_chains
        from dgp_training import Examples

        labelled = self.project.labelled
        chosen = choose_chains(
            [video.frames for video in self.videos], most=self.parameters["n_max_frames"], chain=CHAIN_FRAMES
        )
        chains = load_chains(self.videos, chosen, self.scratch, scale=self.scale)
        return Examples(
            tuple(self.images[it] for it in self.split.trained),
            np.stack([labelled[it].points for it in self.split.trained]) * self.scale,
            tuple(chains),
            tuple(self._observed(chain) for chain in chains),
        )

    def _observed(self, chain: Chain) -> np.ndarray:
        """The labels trained on in a chain's frames; of images of another size than the video nothing."""
        observed = np.full((len(chain.images), len(self.project.bodyparts), 2), np.nan)
        for number in self.split.trained:
            one, video = self.project.labelled[number], self.videos[chain.video]
            place = -1 if one.frame is None else one.frame - chain.start
            same = one.video == video.name and self.images[number].shape == chain.images.shape[1:]
            if same and 0 <= place < len(observed):
                observed[place] = one.points * self.scale
        return observed

    def _train(self, examples: Examples, cliques: Cliques) -> None:
        from dgp_training import fit

        random = np.random.default_rng([self.parameters["seed"], self.parameters["jobnb"], 1])
        preview = self._preview()

        def after(line: Progress) -> None:
            self.lines.append(line)
            say(_said(line))
            preview()

        try:
            fit(self.network, examples, cliques, self.parameters, random=random, after=after)
        except FloatingPointError as error:
            raise InputError(f"Dataset {self.data.name} could not be learned: {error}.") from error

    def _preview(self) -> Callable[[], None]:
        """Draws what the network sees in labelled images now and then."""
        shown = time.monotonic()

        def preview() -> None:
            nonlocal shown
            if time.monotonic() - shown >= PREVIEW_EVERY_S:
                self._draw_labelled(self._judged(), f"{self.data.name}, running")
                shown = time.monotonic()

        return preview

    def _judged(self) -> list[Judged]:
        """What the network sees in each labelled image."""
        from dgp_results import Judged
        from dgp_tracking import see

        held_out = set(self.split.held_out.tolist())
        chosen = sorted({*self.split.trained.tolist(), *held_out})
        found = [(number, see(self.network, [self.images[number]])[1]) for number in chosen]
        return [
            Judged(self.project.labelled[it], it in held_out, track.points[0] / self.scale, track.likelihood[0])
            for it, track in found
        ]

    def _track(self, video: Video, judged: Sequence[Judged]) -> Track:
        """Track a video and write its files."""
        from dgp_results import write_heldout
        from dgp_tracking import track_video, write_track

        stem, parts = str(self.results / f"{video.name}_"), self.project.bodyparts
        maps = Path(stem + "scoremaps.h5") if self.parameters["scoremaps"] else None
        track = track_video(self.network, video, parts, maps, scale=self.scale, report=say)
        write_track(Path(stem + "dgp.csv"), track, parts, scorer=f"DGP_{self.data.stem}")
        kept = [one.labelled for one in judged if one.is_held_out and _is_of(one.labelled, video)]
        if kept:
            write_heldout(Path(stem + "heldout.csv"), kept, parts)
        if video.name != self.data.stem:
            about = {"video": video.name, "dataset": self.data.name, "parameters": self.parameters}
            write_json(Path(stem + "summary.json"), about | _describe_track(track, parts))
        return track

    def _draw_labelled(self, judged: Sequence[Judged], title: str) -> None:
        from dgp_figure import MOST_IMAGES, Shown, draw_labelled

        chosen = sorted(judged, key=lambda one: not one.is_held_out)[:MOST_IMAGES]
        images = {one.image: image for one, image in zip(self.project.labelled, self.images, strict=True)}
        shown = [
            Shown(
                f"{one.labelled.image.name}, {'held out' if one.is_held_out else 'trained on'}",
                images[one.labelled.image],
                one.points * self.scale,
                one.likelihood,
                one.labelled.points * self.scale,
            )
            for one in chosen
        ]
        draw_labelled(Path(self.stem + "labelled.png"), title, shown, self.project.bodyparts, self.project.skeleton)

    def _draw_training(self, judged: Sequence[Judged], track: Track) -> None:
        from dgp_figure import Trace, draw_training
        from dgp_results import errors_of

        names = {"trained on": False, "held out": True}
        errors = {name: errors_of(judged, held_out=kept)["rmse_px"] for name, kept in names.items()}
        number = int(track.likelihood.mean(axis=0).argmin())
        video, part = self.videos[0], self.project.bodyparts[number]
        trace = Trace(video.name, part, track.points[:, number], track.likelihood[:, number], video.fps)
        draw_training(Path(self.stem + "training.png"), self.data.name, self.lines, errors, trace)

    def _describe(self, judged: Sequence[Judged], tracks: Sequence[Track], cliques: Cliques) -> dict[str, object]:
        import torch
        from dgp_results import errors_of

        parts = self.project.bodyparts
        edges = [
            (parts[it.one], parts[it.other], it.shortest / self.scale, it.longest / self.scale) for it in cliques.edges
        ]
        return {
            "bodyparts": parts,
            "skeleton": [dict(zip(("one", "other", "shortest_px", "longest_px"), edge, strict=True)) for edge in edges],
            "videos": {
                video.name: {"frames": video.frames, "fps": video.fps or None, **_describe_track(track, parts)}
                for video, track in zip(self.videos, tracks, strict=True)
            },
            "trained_on": errors_of(judged, held_out=False),
            "held_out": errors_of(judged, held_out=True),
            "steps": self.lines[-1].step if self.lines else 0,
            "bound_nats": next((line.bound for line in reversed(self.lines) if line.stage == "graph"), None),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "recommended": recommend(self.videos, self.parameters),
        }


def _is_of(one: Labelled, video: Video) -> bool:
    return one.video == video.name and one.frame is not None and one.frame < video.frames


def _said(line: Progress) -> str:
    if line.stage != "graph":
        return f"Step {line.step}, labels: loss {line.labelled_loss:.3f}, learning rate {line.learning_rate:.2g}."
    return (
        f"Epoch {line.epoch}, step {line.step}: loss of labels {line.labelled_loss:.3f}, graph {line.graph_loss:.3f},"
        f" bound {line.bound:.3f}; the graph moves markers by {line.moved_px:.2f} pixels."
    )


def _describe_track(track: Track, bodyparts: Sequence[str]) -> dict[str, object]:
    return {"mean_likelihood": dict(zip(bodyparts, track.likelihood.mean(axis=0).tolist(), strict=True))}


def recommend(videos: Sequence[Video], parameters: Mapping[str, Any]) -> dict[str, object]:
    """Instance type and disk for videos like these: over an hour on two cores, a GPU is worth its price."""
    pixels = max(video.rows * video.columns for video in videos) * parameters["global_scale"] ** 2
    frames = sum(video.frames for video in videos)
    batch, learned = parameters["batch_size"], min(frames, parameters["n_max_frames"])
    images = 6 * batch * parameters["maxiters"] / 2 + 7 * learned * parameters["nepoch"] + frames
    hours = images * pixels * MACS_A_PIXEL[parameters["backbone"]] / MACS_A_SECOND / 3600
    # Outputs kept for the gradient, as floats: 35 a pixel of the small network, about ten times as many otherwise.
    memory = 1.0 + 8.0 * batch * pixels * (35 if parameters["backbone"] == "small" else 350) / GIB
    small = "m7i.large" if memory < 6 else "m7i.2xlarge"
    return {
        "instance_type": "g5.2xlarge" if hours > 1 else small,
        "cpu_hours": round(hours, 2),
        "memory_gib": round(memory, 1),
        "disk_gib": 30 + int((3 * sum(video.path.stat().st_size for video in videos) + 4 * learned * pixels) / GIB),
    }
