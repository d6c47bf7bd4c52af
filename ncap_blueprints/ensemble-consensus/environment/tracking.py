"""Tracks of an ensemble: each member's and the consensus, block by block, so that memory does not grow with a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from consensus import mean_log_odds, peak_probability, rmse, softargmax, spread
from members import Member, Video

BLOCK_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Ensemble:
    """Members that belong together, with their tracks in pixels (x, y). `label` tells ensembles of a video apart."""

    label: str
    members: tuple[Member, ...]
    points: np.ndarray
    """(members, frames, parts, 2)"""
    consensus: np.ndarray
    """(frames, parts, 2)"""
    likelihood: np.ndarray
    """(frames, parts): the highest probability in the mean map."""
    hardest_map: np.ndarray
    """(rows, columns): the mean map of the hardest frame, the largest over parts, as probability."""

    @cached_property
    def spread(self) -> np.ndarray:
        """(frames, parts), pixels."""
        return spread(self.points, self.consensus)

    @cached_property
    def difficulty(self) -> np.ndarray:
        """(frames,), pixels: the spread of the part that is hardest in a frame."""
        return self.spread.max(axis=1)

    def errors(self, truth: np.ndarray) -> dict[str, float]:
        """Formula (2) on the frames with labels: of each member, of the mean of their points, of the consensus."""
        frames = np.isfinite(truth).any(axis=(1, 2))
        mean = self.points.mean(axis=0)
        named = {member.name: points for member, points in zip(self.members, self.points, strict=True)}
        tracks = {**named, "mean of points": mean, "consensus": self.consensus}
        return {name: rmse(points[frames], truth[frames]) for name, points in tracks.items()}


def divided(video: Video, group_by: str | None) -> dict[str, tuple[Member, ...]]:
    """The members of a video by the value of one of their parameters; all together without one."""
    if group_by is None:
        return {"": video.members}
    groups: dict[str, list[Member]] = {}
    for member in video.members:
        groups.setdefault(str(member.parameters.get(group_by, "not given")), []).append(member)
    return {f"{group_by} {value}": tuple(found) for value, found in sorted(groups.items(), key=_by_number)}


def _by_number(item: tuple[str, list[Member]]) -> tuple[float, str]:
    try:
        return float(item[0]), ""
    except ValueError:
        return float("inf"), item[0]


def track(
    video: Video,
    label: str,
    members: tuple[Member, ...],
    parameters: Mapping[str, float],
    report: Callable[[str], None],
) -> Ensemble:
    """Read the members' maps and track. Raises InputError for maps that are not finite."""
    frames, parts, rows, columns = video.shape
    beta, stride = parameters["softargmax_beta"], video.stride
    points = np.empty((len(members), frames, parts, 2))
    consensus, likelihood = np.empty((frames, parts, 2)), np.empty((frames, parts))
    block = max(1, int(BLOCK_BYTES / (8 * len(members) * parts * rows * columns)))
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        logits = np.stack([video.read(member, start, stop) for member in members])
        points[:, start:stop] = softargmax(logits, beta=beta, stride=stride)
        odds = mean_log_odds(logits)
        consensus[start:stop] = softargmax(odds, beta=beta, stride=stride)
        likelihood[start:stop] = peak_probability(odds)
        report(f"{' '.join(filter(None, (video.name, label)))}: {stop} of {frames} frames")
    hardest = int(spread(points, consensus).max(axis=1).argmax())
    odds = mean_log_odds(np.stack([video.read(member, hardest, hardest + 1)[0] for member in members]))
    return Ensemble(
        label, members, points, consensus, likelihood, 1 / (1 + np.exp(-np.clip(odds.max(axis=0), -700, 700)))
    )
