"""The localised factorisation: its formulae, what it reads and refuses, and that it takes what the PMD hands on."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, check, evaluate, run

Array = np.ndarray[Any, Any]
SIDE = 16
SMALL = {"min_pixels": 20, "maxrank": 1}


def two_regions() -> Array:
    atlas = np.zeros((SIDE, SIDE), np.int16)
    atlas[2:14, 2:8], atlas[2:14, 8:14] = 1, -1
    return atlas


def video(**changes: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    atlas = two_regions()
    spatial = np.stack(
        [(atlas == 1) + 0.1 * random.random(atlas.shape), (atlas == -1) + 0.1 * random.random(atlas.shape)], -1
    )
    return {"U": spatial, "V": random.normal(size=(2, 80)), "atlas": atlas, "brainmask": atlas != 0} | changes


def run_video(folder: Path, arrays: dict[str, Any], config: dict[str, Any] | None = None) -> Ran:
    np.savez(folder / "video.npz", **arrays)
    return run_file(folder, folder / "video.npz", config)


def run_file(folder: Path, data: Path, config: dict[str, Any] | None = None) -> Ran:
    (folder / "config.json").write_text(json.dumps({**SMALL, **(config or {})}))
    return run("locanmf", data, folder / "config.json", folder / "results")


@pytest.mark.heavy
def test_a_sweep_minimises_the_penalised_cost_of_each_component_in_turn() -> None:
    """With C fixed, the cost 1/2 |Y - A C|^2 + sum lambda d A never rises, and rests at its optimum with A >= 0."""
    costs, slope, smallest = evaluate(
        "locanmf",
        """
from factorisation import sweep
rng = np.random.default_rng(0)
A = rng.random((40, 3)); C = rng.normal(size=(3, 9)); Y = rng.random((40, 3)) @ C + 0.3 * rng.normal(size=(40, 9))
penalty = 0.4 * rng.random((40, 3))
cost = lambda: float(0.5 * ((Y - A @ C) ** 2).sum() + (penalty * A).sum())
costs = [cost()]
for _ in range(300):
    sweep(A, Y @ C.T, C @ C.T, penalty)
    costs.append(cost())
gradient = (A @ C - Y) @ C.T + penalty
answer = [costs, float(np.abs(np.where(A > 0, gradient, np.minimum(gradient, 0))).max()), float(A.min())]
""",
    )
    assert (np.diff(costs) <= 1e-9).all()
    assert slope < 1e-6
    assert smallest == 0


def test_the_explained_variance_is_that_of_the_video_made_whole() -> None:
    free, held, direct = evaluate(
        "locanmf",
        """
from factorisation import low_rank, region_r2
from localisation import find_regions
rng = np.random.default_rng(0)
atlas = np.repeat([[1, 1, 1, 2, 2, 2]], 5, axis=0)
U = rng.random((30, 4)).astype(np.float32); V = (rng.normal(size=(4, 50)) + 2).astype(np.float32)
video, scale = low_rank(U, V)
regions = find_regions(atlas, atlas > 0, min_pixels=1)
A = rng.random((30, 3)).astype(np.float32)
inside = rng.normal(size=(3, 4)) @ video.Q.T
outside = np.abs(inside)
def whole(C):
    Y, out = U @ V / scale, []
    for label in (1, 2):
        own = atlas.ravel() == label
        left = Y[own] - A[own] @ C
        out.append(1 - left.var(1).sum() / Y[own].var(1).sum())
    return out
answer = [region_r2(video, A, inside, regions).tolist(), region_r2(video, A, outside, regions).tolist(),
          [np.array(whole(inside)).tolist(), np.array(whole(outside)).tolist()]]
""",
    )
    np.testing.assert_allclose(free, direct[0], rtol=1e-4)
    np.testing.assert_allclose(held, direct[1], rtol=1e-4)


def test_distances_are_nought_inside_and_grow_with_pixels_and_small_regions_are_left_out() -> None:
    labels, small, distances, share = evaluate(
        "locanmf",
        """
from localisation import find_regions, localised_share
atlas = np.zeros((4, 10), int); atlas[:, :3] = 2; atlas[:, 5:8] = -2; atlas[0, 9] = 7
mask = np.ones(atlas.shape, bool)
regions = find_regions(atlas, mask, min_pixels=4)
A = np.zeros((40, 2), np.float32); A[0] = 2; A[9] = 1
answer = [regions.labels, regions.too_small, (regions.distances[0].reshape(4, 10)[1] * 10).tolist(),
          localised_share(A, np.array([0, 1]), regions).tolist()]
""",
    )
    assert labels == [2, -2]
    assert small == [7]
    np.testing.assert_allclose(distances, [0, 0, 0, 1, 2, 3, 4, 5, 6, 7], atol=1e-5)
    np.testing.assert_allclose(share, [0.8, 0.0])


def test_weights_rise_until_every_component_is_localised(tmp_path: Path) -> None:
    """The left has two sources and one component; a weak one on the right follows one of them and would explain it."""
    random = np.random.default_rng(1)
    row, column = np.mgrid[:SIDE, :SIDE]
    bumps = [
        size * np.exp(-((row - y) ** 2 + (column - x) ** 2) / 4) for y, x, size in ((4, 4, 1), (11, 4, 1), (8, 11, 0.2))
    ]
    own = random.normal(size=(3, 200))
    field = video(
        U=np.stack(bumps, -1) + 0.01 * random.random((SIDE, SIDE, 3)),
        V=np.stack([own[0], own[1], 0.6 * own[1] + 0.8 * own[2]]),
    )

    summaries = {}
    for asked in (0, 95):
        folder = tmp_path / str(asked)
        folder.mkdir()
        ran = run_video(folder, field, {"loc_thresh": asked})
        assert ran.code == 0, ran.err
        summaries[asked] = json.loads((ran.results / "video_summary.json").read_text())

    assert summaries[0]["localised_percent_min"] < 50
    assert summaries[0]["lambda_steps"] == 0
    assert summaries[95]["localised_percent_min"] >= 95
    assert summaries[95]["lambda_steps"] > 10


def test_traces_are_in_the_units_of_the_video_and_nonnegative_on_demand(tmp_path: Path) -> None:
    ran = run_video(tmp_path, video(V=np.abs(video()["V"])), {"nonnegative_temporal": True})

    assert ran.code == 0, ran.err
    maps, traces = np.load(ran.results / "video_A.npy"), np.load(ran.results / "video_C.npy")
    assert traces.min() >= 0
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max(axis=(0, 1)), 1, rtol=1e-6)
    inside = two_regions() != 0
    truth = (video()["U"] @ np.abs(video()["V"]))[inside]
    error = np.abs((maps @ traces)[inside] - truth).mean() / np.abs(truth).mean()
    assert error < 0.1


@pytest.mark.parametrize(
    ("spatial", "temporal"), [("U_atlas", "SVTcorr"), ("reduced_spatial", "reduced_temporal"), ("U", "V")]
)
def test_names_of_other_programs_are_understood_in_a_zip_with_labels(
    tmp_path: Path, spatial: str, temporal: str
) -> None:
    given = video()
    with zipfile.ZipFile(tmp_path / "session.zip", "w") as archive:
        for name, key in ((spatial, "U"), (temporal, "V"), ("atlas", "atlas"), ("brainmask", "brainmask")):
            file = io.BytesIO()
            np.save(file, given[key])
            archive.writestr(f"session/{name}.npy", file.getvalue())
        labels = [{"acronym": "MO_left", "label": 1}, {"acronym": "MO_right", "label": -1}]
        archive.writestr("session/labels.json", json.dumps(labels))
        archive.writestr("__MACOSX/session/._atlas.npy", b"of no interest")

    ran = run_file(tmp_path, tmp_path / "session.zip")

    assert ran.code == 0, ran.err
    with (ran.results / "session_regions.csv").open(newline="") as table:
        assert [row["acronym"] for row in csv.DictReader(table)] == ["MO_left", "MO_right"]


def test_the_same_video_gives_the_same_bytes(tmp_path: Path) -> None:
    kept = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        ran = run_video(folder, video())
        assert ran.code == 0, ran.err
        kept.append({path.name: path.read_bytes() for path in ran.results.iterdir() if path.suffix != ".json"})

    assert kept[0] == kept[1]
    assert b"Created on" not in kept[0]["video_LocaNMF_Components.mat"]


@pytest.mark.heavy
def test_what_the_decomposition_of_a_movie_hands_on_is_a_dataset(tmp_path: Path) -> None:
    """Movie and atlas -> PMD -> LocaNMF: the four regional signals that the sample movie was made of come back."""
    sample = BLUEPRINTS / "pmd" / "sample"
    first = run("pmd", sample / "widefield.npz", sample / "config.json", tmp_path / "pmd")
    assert first.code == 0, first.err

    second = run_file(tmp_path, first.results / "widefield_reduced.npz", {"min_pixels": 50})

    assert second.code == 0, second.err
    traces = np.load(second.results / "widefield_reduced_C.npy")
    with (second.results / "widefield_reduced_components.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert sorted(row["acronym"] for row in rows) == ["MO_left", "MO_right", "VIS_left", "VIS_right"]
    with np.load(sample / "widefield_truth.npz") as truth:
        for signal, label in zip(truth["C"], (1, 2, -1, -2), strict=True):
            found = traces[[int(row["label"]) for row in rows].index(label)]
            assert np.corrcoef(signal, found)[0, 1] > 0.99


def test_without_the_constraint_the_sample_fails_its_check(tmp_path: Path) -> None:
    sample = BLUEPRINTS / "locanmf" / "sample"
    config = json.loads((sample / "config.json").read_text())
    ran = run_file(tmp_path, sample / "cortex.npz", {**config, "loc_thresh": 0})
    assert ran.code == 0, ran.err

    failures = "\n".join(check("locanmf", ran.results).problems)

    assert "localised_percent_min" in failures
    assert "spatial_r_median" in failures


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"U": np.ones((SIDE, SIDE, 3))}, "3 spatial and 2 temporal"),
        ({"U": np.ones((SIDE, 2))}, "rows x columns x components"),
        ({"U": np.full((SIDE, SIDE, 2), np.nan)}, "no numbers"),
        ({"U": np.zeros((SIDE, SIDE, 2))}, "0 everywhere"),
        ({"U": np.ones((SIDE, SIDE, 2), complex)}, "not a complete array of numbers"),
        ({"V": np.full((2, 80), np.inf)}, "not finite"),
        ({"V": np.ones((2, 4))}, "4 frames"),
        ({"atlas": np.ones((5, 5), int)}, "the atlas has shape (5, 5)"),
        ({"atlas": np.full((SIDE, SIDE), 0.5)}, "whole numbers"),
        ({"brainmask": np.zeros((SIDE, SIDE))}, "no pixel of the brain mask"),
        ({"labels": np.array("nonsense")}, "'labels' must be"),
    ],
)
def test_a_video_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    ran = run_video(tmp_path, video(**changes))

    assert ran.code == 2, ran.out + ran.err
    assert said in ran.err
    assert "video.npz" in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


@pytest.mark.parametrize("part", ["U", "V", "atlas"])
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    ran = run_video(tmp_path, {name: value for name, value in video().items() if name != part})

    assert ran.code == 2
    assert "it lacks" in ran.err
    assert part in ran.err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"loc_thresh": 120}, "'loc_thresh'"),
        ({"max_rank": 3}, "unknown parameter 'max_rank'"),
        ({"minrank": 4}, "minrank 4 is larger than maxrank 1"),
        ({"min_pixels": 5000}, "no region of the atlas has 5000 pixels"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    ran = run_video(tmp_path, video(), config)

    assert ran.code == 2
    assert said in ran.err
