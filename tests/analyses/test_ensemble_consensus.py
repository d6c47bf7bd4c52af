"""The ensemble's consensus: the formulas, what it reads and what it refuses."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, run

ANALYSIS = "ensemble-consensus"
SAMPLE = BLUEPRINTS / ANALYSIS / "sample"


@pytest.fixture
def consensus() -> Iterator[ModuleType]:
    folder = str(BLUEPRINTS / ANALYSIS / "environment")
    sys.path.insert(0, folder)
    try:
        import consensus  # type: ignore[import-not-found]

        yield consensus
    finally:
        sys.path.remove(folder)
        sys.modules.pop("consensus", None)


def test_the_consensus_is_the_logit_of_the_mean_sigmoid(consensus: ModuleType) -> None:
    logits = np.random.default_rng(0).normal(scale=4, size=(5, 3, 6, 7))
    mean = (1 / (1 + np.exp(-logits))).mean(axis=0)
    np.testing.assert_allclose(consensus.mean_log_odds(logits), np.log(mean / (1 - mean)), rtol=1e-9)


def test_its_softmax_is_that_of_the_odds(consensus: ModuleType) -> None:
    logits = np.random.default_rng(1).normal(scale=3, size=(4, 1, 5, 5))
    mean = (1 / (1 + np.exp(-logits))).mean(axis=0)[0]
    odds = mean / (1 - mean)
    rows, columns = np.indices(odds.shape)
    place = np.array([(odds * columns).sum(), (odds * rows).sum()]) / odds.sum() * 8 + 4
    found = consensus.softargmax(consensus.mean_log_odds(logits), beta=1.0, stride=8.0)[0]
    np.testing.assert_allclose(found, place, rtol=1e-9)


@pytest.mark.parametrize("size", [37.0, 800.0, 60_000.0])
def test_maps_sure_beyond_floating_point_keep_their_peak(consensus: ModuleType, size: float) -> None:
    logits = np.full((3, 4, 5), -size)
    logits[:, 2, 3] = size
    with np.errstate(all="raise", under="ignore"):
        found = consensus.softargmax(consensus.mean_log_odds(logits), beta=1.0, stride=8.0)
        peak = consensus.peak_probability(consensus.mean_log_odds(logits))
    np.testing.assert_allclose(found, (3 * 8 + 4, 2 * 8 + 4))
    assert peak == pytest.approx(1)


def test_one_network_that_jumps_does_not_move_the_consensus_of_nine(consensus: ModuleType) -> None:
    rows, columns = np.indices((12, 12))
    here = 14 * np.exp(-((rows - 6) ** 2 + (columns - 5) ** 2) / 2) - 9
    logits = np.stack([here] * 8 + [here[::-1, ::-1]])
    found = consensus.softargmax(consensus.mean_log_odds(logits), beta=1.0, stride=1.0)
    assert np.hypot(*(found - (5.5, 6.5))) < 0.2


def test_rmse_is_divided_by_frames_only_and_passes_over_missing_labels(consensus: ModuleType) -> None:
    points, truth = np.zeros((4, 2, 2)), np.zeros((4, 2, 2))
    truth[:, :, 0] = 3.0
    assert consensus.rmse(points, truth) == pytest.approx(np.sqrt(4 * 2 * 9 / 4))
    truth[0] = np.nan
    assert consensus.rmse(points, truth) == pytest.approx(np.sqrt(3 * 2 * 9 / 4))


def test_frames_to_label_are_the_hardest_and_keep_their_distance(consensus: ModuleType) -> None:
    difficulty = np.array([0, 9, 8, 1, 7, 2, 0.0])
    assert consensus.frames_to_label(difficulty, count=3, apart=2) == [1, 4, 6]
    assert consensus.frames_to_label(difficulty, count=3, apart=4) == [1, 5]
    assert consensus.frames_to_label(difficulty, count=0, apart=1) == []


def members(folder: Path, **changes: bytes | None) -> Path:
    """The sample with two networks; files changed or left out."""
    with zipfile.ZipFile(SAMPLE / "arena.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist() if "seed-1" in name or "seed-2" in name}
    for name, body in changes.items():
        place = f"model__{name}/arena_scoremaps.h5" if "/" not in name else name
        if body is None:
            del files[place]
        else:
            files[place] = body
    path = folder / "pair.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return path


def analyse(folder: Path, data: Path, config: dict[str, Any] | None = None) -> Any:
    (folder / "config.json").write_text(json.dumps(config or {}))
    return run(ANALYSIS, data, folder / "config.json", folder / "results")


@pytest.mark.heavy
def test_a_folder_and_its_zip_give_the_same_track(tmp_path: Path) -> None:
    data = members(tmp_path)
    zipfile.ZipFile(data).extractall(tmp_path / "pair")
    ran = analyse(tmp_path, data)
    assert ran.code == 0, ran.err
    (tmp_path / "other").mkdir()
    again = analyse(tmp_path / "other", tmp_path / "pair")
    assert again.code == 0, again.err
    first, second = ((it.results / "arena_consensus.csv").read_bytes() for it in (ran, again))
    assert first == second


def test_networks_are_divided_by_one_of_their_parameters(tmp_path: Path) -> None:
    body = json.dumps({"parameters": {"train_fraction": 0.5}}).encode()
    with zipfile.ZipFile(SAMPLE / "arena.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist() if any(f"seed-{k}/" in name for k in "1245")}
    with zipfile.ZipFile(tmp_path / "four.zip", "w") as archive:
        for name, held in files.items():
            archive.writestr(name, held)
        for number in (1, 2):
            archive.writestr(f"model__seed-{number}/arena_summary.json", body)
    ran = analyse(tmp_path, tmp_path / "four.zip", {"group_by": "train_fraction"})
    assert ran.code == 0, ran.err
    summary = json.loads((ran.results / "four_summary.json").read_text())
    assert sorted(summary["videos"]["arena"]["rmse_px"]) == ["train_fraction 0.5", "train_fraction not given"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed-1": None}, "only one member tracked it"),
        ({"seed-1": None, "seed-2": None}, "holds no member"),
        ({"seed-1": b"not hdf5"}, "is no file of score maps"),
        ({"model__seed-1/arena_heldout.csv": b"frame,part\n1,nose\n"}, "not a table of frame, bodypart, x, y"),
        ({"model__seed-1/arena_heldout.csv": b"frame,bodypart,x,y\n9999,nose,1,2\n"}, "not a table of frame"),
    ],
)
def test_members_that_make_no_sense_are_refused_in_a_sentence(tmp_path: Path, changes: Any, said: str) -> None:
    ran = analyse(tmp_path, members(tmp_path, **changes))

    assert ran.code == 2, ran.out
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (b"", "empty.zip", "cannot be unpacked"),
        (b"PK\x03\x04cut", "cut.zip", "cannot be unpacked"),
        (b"x", "a.csv", "neither"),
    ],
)
def test_what_is_no_ensemble_is_refused_in_a_sentence(tmp_path: Path, body: bytes, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(body)
    ran = analyse(tmp_path, tmp_path / name)
    assert ran.code == 2
    assert said in ran.err
    assert name in ran.err


def test_a_truncated_zip_leaves_nothing_behind(tmp_path: Path) -> None:
    whole = (SAMPLE / "arena.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    ran = analyse(tmp_path, tmp_path / "half.zip")
    assert ran.code == 2
    assert io.StringIO(ran.err).readline().startswith("Dataset half.zip cannot be unpacked")
    assert list(ran.results.iterdir()) == []
