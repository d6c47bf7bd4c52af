"""The penalised matrix decomposition: its formulae, what it reads and refuses, and what it hands on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, evaluate, image_of, run

Array = np.ndarray[Any, Any]
SAMPLE = BLUEPRINTS / "pmd" / "sample"
SMALL = {"block_height": 8, "block_width": 8, "num_sims": 20, "max_components": 6}


@pytest.fixture
def blocks() -> Iterator[ModuleType]:
    folder = str(BLUEPRINTS / "shared")
    sys.path.insert(0, folder)
    yield import_module("pmd_blocks")
    sys.path.remove(folder)
    sys.modules.pop("pmd_blocks")


def movie(*, rows: int = 12, columns: int = 14, frames: int = 80, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    bump = np.exp(-((np.arange(rows)[:, None] - 5.0) ** 2 + (np.arange(columns) - 6.0) ** 2) / 8)
    noisy: Array = (
        100 + 9 * bump[..., None] * np.sin(np.arange(frames) / 6) + random.normal(size=(rows, columns, frames))
    )
    return noisy.astype(np.float32)


def run_movie(folder: Path, data: Path, config: dict[str, Any] | None = None) -> Ran:
    (folder / "config.json").write_text(json.dumps({**SMALL, **(config or {})}))
    return run("pmd", data, folder / "config.json", folder / "results")


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(20, 33), (8, 8), (5, 40), (17, 9)])
def test_blocks_have_one_size_and_their_weights_sum_to_one(
    blocks: ModuleType, rows: int, columns: int, overlapping: bool
) -> None:
    placed = blocks.tiles(rows, columns, height=8, width=9, overlapping=overlapping)

    assert {(tile.height, tile.width) for tile in placed} == {(min(8, rows), min(9, columns))}
    total = blocks.blending(rows, columns, placed)
    shares = np.zeros((rows, columns))
    for tile in placed:
        shares[tile.slices] += blocks.pyramid(tile.height, tile.width) / total[tile.slices]
    np.testing.assert_allclose(shares, 1, rtol=1e-5)


def test_overlapping_blocks_start_every_half_block_and_end_at_the_edge(blocks: ModuleType) -> None:
    starts = sorted({tile.row for tile in blocks.tiles(50, 20, height=20, width=20, overlapping=True)})

    assert starts == [0, 10, 20, 30]


def test_the_smoothest_image_within_the_noise_has_the_least_total_variation() -> None:
    """The optimum of the penalised problem: x = b - D'w, |w| <= weight, and w = weight * sign(Dx) where Dx is not 0."""
    answer = evaluate(
        "pmd",
        """
from pmd_penalties import smooth_image, spatial_roughness
rng = np.random.default_rng(0)
truth = np.zeros((16, 16)); truth[4:10, 5:12] = 6.0
b = (truth + rng.normal(size=truth.shape)).astype(np.float32)
x, weight = smooth_image(b, 16.0)
tv = lambda u: np.abs(np.diff(u, axis=0)).sum() + np.abs(np.diff(u, axis=1)).sum()
cost = lambda u: 0.5 * ((u - b) ** 2).sum() + weight * tv(u)
trials = [cost(x + 0.05 * rng.normal(size=x.shape)) for _ in range(50)]
flat = smooth_image(np.full((5, 5), 3.0, np.float32) + 0.01, 1.0)[0]
answer = [np.linalg.norm(x - b), tv(b), tv(x), tv(truth), cost(x), min(trials), np.abs(x - truth).mean(),
          np.abs(b - truth).mean(), np.ptp(flat)]
answer = [float(value) for value in answer]
""",
    )
    distance, rough, smooth, true, cost, best_trial, error, raw_error, flat = answer
    assert distance == pytest.approx(16, rel=0.05)
    assert true * 0.6 < smooth < rough / 3
    assert cost < best_trial
    assert error < raw_error / 2
    assert flat == 0


def test_the_smoothest_trace_within_the_noise_keeps_a_line_and_bends_where_it_must() -> None:
    answer = evaluate(
        "pmd",
        """
from pmd_penalties import smooth_trace, _trend_matrix, _second_adjoint
rng = np.random.default_rng(1)
truth = np.interp(np.arange(300), [0, 100, 150, 299], [0, 12, -6, 4])
b = truth + rng.normal(size=300)
x, weight = smooth_trace(b, np.sqrt(300))
bend = lambda u: np.abs(np.diff(u, 2)).sum()
D = np.diff(np.eye(9), 2, axis=0)
exact = np.eye(9) + 2.5 * D.T @ D
bands = _trend_matrix(9, 2.5)
built = np.diag(bands[0]) + np.diag(bands[1, :-1], -1) + np.diag(bands[1, :-1], 1)
built += np.diag(bands[2, :-2], -2) + np.diag(bands[2, :-2], 2)
line = smooth_trace(np.arange(50.0) + 0.01 * rng.normal(size=50), 5.0)[0]
adjoint = _second_adjoint(np.arange(7.0)) - D.T @ np.arange(7.0)
answer = [np.linalg.norm(x - b), bend(b), bend(x), np.abs(x - truth).mean(), np.abs(built - exact).max(),
          np.abs(adjoint).max(), bend(line)]
answer = [float(value) for value in answer]
""",
    )
    distance, rough, smooth, error, matrix, adjoint, line = answer
    assert distance == pytest.approx(np.sqrt(300), rel=0.05)
    assert smooth < rough / 50
    assert error < 0.4
    assert matrix < 1e-9
    assert adjoint == 0
    assert line < 1e-9


def test_noise_is_read_from_high_frequencies_only() -> None:
    slow, fast = evaluate(
        "pmd",
        """
from pmd_noise import noise_variance
rng = np.random.default_rng(0)
noise = 3 * rng.normal(size=(200, 1000))
slow = 50 * np.sin(np.arange(1000) * 2 * np.pi / 100)
answer = [float(noise_variance(noise + slow).mean()), float(noise_variance(noise).mean())]
""",
    )
    assert slow == pytest.approx(9, rel=0.03)
    assert fast == pytest.approx(9, rel=0.03)


def test_pure_noise_is_rejected_and_a_component_found_in_noise_is_the_true_one() -> None:
    kept, tried, u, v = evaluate(
        "pmd",
        """
from pmd_decomposition import Options, Thresholds, decompose_block, noise_roughness
options = Options(10, 3, 10, 5e-3, True, True)
limits = Thresholds(*np.percentile([noise_roughness((12, 12), 200, options, seed=s) for s in range(20)], 5, axis=0))
rng = np.random.default_rng(99)
noise = rng.normal(size=(144, 200)).astype(np.float32)
empty = decompose_block(noise, (12, 12), limits, options, seed=0)
y, x = np.mgrid[:12, :12]
u = np.exp(-((y - 5) ** 2 + (x - 6) ** 2) / 8).ravel(); v = 3 * np.sin(np.arange(200) / 9)
found = decompose_block((noise + np.outer(u, v)).astype(np.float32), (12, 12), limits, options, seed=0)
answer = [empty.U.shape[1], len(empty.kept), float(np.corrcoef(found.U[:, 0], u)[0, 1]),
          float(np.corrcoef(found.V[0], v)[0, 1])]
""",
    )
    assert kept <= 1
    assert tried >= 3
    assert u > 0.97
    assert v > 0.99


@pytest.mark.parametrize("components", [7, 40])
def test_the_reduced_form_is_the_singular_value_decomposition(components: int) -> None:
    apart, values, orthonormal = evaluate(
        "pmd",
        f"""
from pmd_fit import reduce
from scipy import sparse
rng = np.random.default_rng(0)
U = sparse.random_array((90, {components}), density=0.3, rng=rng, dtype=np.float32).tocsr()
V = rng.normal(size=({components}, 25)).astype(np.float32)
mixing, s, Vt = reduce(U, V, most=0)
full = U.toarray() @ V
answer = [float(np.abs(U @ mixing @ Vt - full).max()),
          float(np.abs(np.linalg.svd(full, compute_uv=False)[:len(s)] - s).max()),
          float(np.abs(Vt @ Vt.T - np.eye(len(Vt))).max())]
""",
    )
    assert apart < 1e-4
    assert values < 1e-3
    assert orthonormal < 1e-5


def stored(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.heavy
def test_the_number_of_cores_and_the_layout_of_the_file_do_not_change_a_bit(tmp_path: Path) -> None:
    """Nine blocks and more are shared by as many processes as there are cores."""
    values = movie(rows=24, columns=24)
    results = []
    for number, (axis, cores) in enumerate((("last", "2"), ("first", "2"), ("last", "1"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        stored_as = values if axis == "last" else np.ascontiguousarray(np.moveaxis(values, -1, 0))
        np.save(folder / "movie.npy", stored_as)
        (folder / "config.json").write_text(json.dumps({**SMALL, "time_axis": axis}))
        paths = [folder / "movie.npy", folder / "config.json", folder]
        done = subprocess.run(
            [str(image_of("pmd") / "env/bin/python"), "workflow.py", *map(str, paths)],
            cwd=image_of("pmd") / "analysis",
            env={**os.environ, "OMP_NUM_THREADS": cores, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"{cores} at a time" in done.stdout
        results.append([(folder / f"movie_{part}").read_bytes() for part in ("U.npz", "V.npy", "reduced.npz")])

    assert results[0] == results[1] == results[2]


def test_what_came_with_the_movie_is_handed_on_and_the_rest_of_the_archive_is_not(tmp_path: Path) -> None:
    labels = json.dumps([{"acronym": "VIS", "label": 1}])
    with zipfile.ZipFile(tmp_path / "session.zip", "w") as archive:
        archive.writestr("day 1/movie.npy", stored(movie()))
        archive.writestr("day 1/atlas.npy", stored(np.ones((12, 14), np.int16)))
        archive.writestr("day 1/labels.json", labels)
        archive.writestr("day 1/notes.txt", "nothing")

    ran = run_movie(tmp_path, tmp_path / "session.zip", {"denoised_movie": True})

    assert ran.code == 0, ran.err
    with zipfile.ZipFile(ran.results / "session_reduced.npz") as archive:
        assert sorted(archive.namelist()) == ["U.npy", "V.npy", "atlas.npy", "labels.json"]
        assert archive.read("labels.json").decode() == labels
    denoised = np.load(ran.results / "session_denoised.npy")
    with np.load(ran.results / "session_reduced.npz") as reduced:
        again = reduced["U"] @ reduced["V"] + np.load(ran.results / "session_mean.npy")[..., None]
    np.testing.assert_allclose(denoised, again, atol=1e-2)


def test_a_movie_of_pure_noise_ends_well_and_hands_on_little(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(size=(16, 16, 100)).astype(np.float32)
    np.save(tmp_path / "noise.npy", noise)

    ran = run_movie(tmp_path, tmp_path / "noise.npy")

    assert ran.code == 0, ran.err
    summary = json.loads((ran.results / "noise_summary.json").read_text())
    assert summary["components"] <= 2
    assert summary["residual_to_noise"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("flat.npy", stored(np.zeros((6, 50))), "2 dimension(s)"),
        ("nan.npy", stored(np.full((6, 6, 50), np.nan)), "row 0, column 0"),
        ("large.npy", stored(np.full((6, 6, 50), 1e30)), "beyond 1e15"),
        ("still.npy", stored(np.ones((6, 6, 50))), "no pixel ever changes"),
        ("short.npy", stored(np.ones((6, 6, 5))), "5 frames"),
        ("words.npy", stored(np.full((6, 6, 50), "a")), "real numbers"),
        ("complex.npy", stored(np.ones((6, 6, 50), complex)), "real numbers"),
        ("cut.npy", stored(np.ones((6, 6, 50)))[:3000], "cannot be read"),
        ("film.avi", b"RIFF", ".npy, .tif"),
        ("broken.zip", b"PK\x03\x04 and no more", "cannot be read"),
    ],
)
def test_a_movie_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)

    ran = run_movie(tmp_path, tmp_path / name)

    assert ran.code == 2, ran.out + ran.err
    assert said in ran.err
    assert name in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


def test_an_archive_without_a_movie_says_what_it_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", film=np.ones((6, 6, 50)))

    ran = run_movie(tmp_path, tmp_path / "other.npz")

    assert ran.code == 2
    assert "lacks 'movie' (it holds film.npy)" in ran.err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"block_height": 2}, "'block_height'"),
        ({"block_hight": 40}, "unknown parameter 'block_hight'"),
        ({"time_axis": "middle"}, "'time_axis'"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    np.save(tmp_path / "movie.npy", movie())

    ran = run_movie(tmp_path, tmp_path / "movie.npy", config)

    assert ran.code == 2
    assert said in ran.err
