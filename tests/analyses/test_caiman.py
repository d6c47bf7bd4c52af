"""The two-photon source extraction: formulae, what it reads and refuses, patches and formats that change nothing."""

from __future__ import annotations

import csv
import importlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, in_environment, run

FOLDER = BLUEPRINTS / "caiman" / "environment"
MODULES = ("deconvolution", "hals")
STILL = {"motion_correct": False}


@pytest.fixture
def own() -> Iterator[Any]:
    """The analysis's modules that need nothing but numpy."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(FOLDER))
        for name in MODULES:
            sys.modules.pop(name, None)


def calcium(frames: int, *, g: tuple[float, ...] = (0.92,), every: int = 60, height: float = 1.0) -> tuple[Any, Any]:
    spikes = np.zeros(frames)
    spikes[15::every] = height
    trace = np.zeros(frames)
    for t in range(frames):
        trace[t] = spikes[t] + sum(c * trace[t - lag] for lag, c in enumerate(g, start=1) if t >= lag)
    return trace, spikes


def movie(*, frames: int = 240, side: int = 48, noise: float = 0.2, seed: int = 0) -> np.ndarray:
    """Three cells at (12, 12), (24, 33) and (38, 16) on an even background, standing still."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side]
    still = np.full((frames, side, side), 3.0)
    for number, (r, c) in enumerate(((12, 12), (24, 33), (38, 16))):
        trace, _ = calcium(frames, every=47 + 11 * number)
        still += trace[:, None, None] * np.exp(-((row - r) ** 2 + (column - c) ** 2) / 18)
    moved: np.ndarray = still + noise * random.normal(size=still.shape)
    return moved.astype(np.float32)


def run_movie(folder: Path, values: Any, config: dict[str, Any] | None = None, name: str = "movie.npy") -> Ran:
    np.save(folder / name, values)
    (folder / "config.json").write_text(json.dumps(STILL | (config or {})))
    return run("caiman", folder / name, folder / "config.json", folder / f"results-{name}")


def cells_of(ran: Ran, stem: str = "movie") -> list[tuple[int, int]]:
    with (ran.results / f"{stem}_cells.csv").open(newline="") as file:
        return sorted(
            (round(float(row["row_px"])), round(float(row["column_px"])))
            for row in csv.DictReader(file)
            if row["accepted"] == "1"
        )


# --- deconvolution ---------------------------------------------------------------------------------------------------


def test_the_noise_is_that_of_the_upper_half_of_frequencies(own: Any) -> None:
    slow = np.sin(np.arange(4000) / 50)
    noisy = slow + 0.3 * np.random.default_rng(1).normal(size=(5, 4000))

    assert own.deconvolution.noise_sd(noisy) == pytest.approx(np.full(5, 0.3), rel=0.05)


@pytest.mark.parametrize("g", [(0.92,), (1.5, -0.54)])
def test_a_clean_trace_is_deconvolved_exactly(own: Any, g: tuple[float, ...]) -> None:
    trace, spikes = calcium(300, g=g)

    found, when = own.deconvolution.oasis(trace, g)

    assert found == pytest.approx(trace, abs=1e-6)
    assert when[2:] == pytest.approx(spikes[2:], abs=1e-6)


def test_oasis_meets_the_conditions_of_the_optimum(own: Any) -> None:
    """For order 1: s >= 0, and the gradient over s is zero where s > 0 and not negative elsewhere (KKT)."""
    g, penalty = 0.9, 0.3
    trace, _ = calcium(200, g=(g,))
    y = trace + 0.3 * np.random.default_rng(2).normal(size=200)

    found, _ = own.deconvolution.oasis(y, (g,), penalty=penalty)

    spikes = found.copy()
    spikes[1:] -= g * found[:-1]
    kernel = np.array([[g ** (t - u) if t >= u else 0.0 for u in range(200)] for t in range(200)])
    gradient = kernel.T @ (found - y) + penalty * (kernel.T @ np.r_[np.full(199, 1 - g), 1.0])
    assert spikes.min() > -1e-9
    assert gradient.min() > -1e-8
    assert np.abs(gradient[spikes > 1e-9]).max() < 1e-8


def test_small_spikes_are_left_out_when_asked(own: Any) -> None:
    trace, _ = calcium(300)
    y = trace + 0.1 * np.random.default_rng(3).normal(size=300)

    _, spikes = own.deconvolution.oasis(y, (0.92,), s_min=0.5)

    assert spikes[spikes > 0].min() >= 0.5 - 1e-9
    assert set(np.flatnonzero(spikes)) == set(range(15, 300, 60))


def test_the_decay_is_estimated_and_kept_near_what_is_known(own: Any) -> None:
    random = np.random.default_rng(4)
    trace = np.convolve(random.random(20000) < 0.02, 0.95 ** np.arange(400))[:20000]
    y = trace + 0.1 * random.normal(size=20000)

    (free,) = own.deconvolution.ar_coefficients(y, 0.1, p=1, decay_frames=20)
    (kept,) = own.deconvolution.ar_coefficients(y, 0.1, p=1, decay_frames=2)

    assert free == pytest.approx(0.95, abs=0.015)
    assert kept == pytest.approx(np.exp(-1 / 6))


@pytest.mark.parametrize("p", [1, 2])
def test_a_noisy_trace_comes_back_with_its_height_and_baseline(own: Any, p: int) -> None:
    random = np.random.default_rng(5)
    trace = np.convolve(2.0 * (random.random(3000) < 0.015), 0.92 ** np.arange(200))[:3000]
    y = 7 + trace + 0.25 * random.normal(size=3000)

    found = own.deconvolution.deconvolve(y, p=p, decay_frames=12)

    assert np.corrcoef(found.calcium, trace)[0, 1] > 0.97
    assert found.baseline == pytest.approx(7, abs=0.1)
    assert found.calcium.max() == pytest.approx(trace.max(), rel=0.1)
    assert found.noise == pytest.approx(0.25, rel=0.2)


# --- updates ---------------------------------------------------------------------------------------------------------


def test_alternating_updates_recover_a_factorisation_within_its_supports(own: Any) -> None:
    random = np.random.default_rng(6)
    support = random.random((80, 3)) < 0.4
    y = (random.random((80, 3)) * support) @ (random.random((3, 200)) * (random.random((3, 200)) < 0.3))
    a, c = support * 0.5, random.random((3, 200))

    for _ in range(300):
        own.hals.update_footprints(a, y @ c.T, c @ c.T, support, sweeps=2)
        own.hals.update_traces(c, a.T @ y, a.T @ a, denoise=lambda k, row: np.maximum(row, 0), sweeps=2)

    assert np.abs(a @ c - y).max() < 1e-3
    assert (a[~support] == 0).all()
    assert min(a.min(), c.min()) >= 0


# --- motion ----------------------------------------------------------------------------------------------------------


def test_shifts_are_found_to_a_twentieth_of_a_pixel_and_undone() -> None:
    out = in_environment(
        "caiman",
        """
import json, numpy as np
from rigid_motion import estimate_shifts, make_template, move_back
row, column = np.mgrid[:64, :70]
def field(dr, dc):
    random = np.random.default_rng(0)
    spots = random.uniform(10, 54, (30, 2))
    return sum(np.exp(-((row - r - dr) ** 2 + (column - c - dc) ** 2) / 12) for r, c in spots)
true = np.array([[0, 0], [3, -2], [-1.5, 2.25], [0.35, 4.6]])
frames = np.stack([field(*shift) for shift in true]).astype(np.float32)
template = make_template(frames[0], cell_sd=(3, 3), max_shifts=(6, 6))
found = estimate_shifts(frames, template)
back = move_back(frames, found)
print(json.dumps([float(np.abs(found - true).max()), float(np.abs(back - frames[0])[:, 8:-8, 8:-8].max())]))
""",
    )
    error, left = json.loads(out)
    assert error <= 0.0501
    assert left < 0.1


def test_an_edge_that_moves_in_is_known() -> None:
    out = in_environment(
        "caiman",
        """
import json, numpy as np
from rigid_motion import always_seen
shifts = np.zeros((100, 2))
shifts[:40, 0] = 2.3
shifts[:15, 1] = -1
shifts[0, 1] = 6
inside = always_seen(shifts, (20, 30))
print(json.dumps([np.flatnonzero(inside.any(1))[[0, -1]].tolist(), np.flatnonzero(inside.any(0))[[0, -1]].tolist()]))
""",
    )
    assert json.loads(out) == [[0, 16], [1, 29]]


# --- whole runs ------------------------------------------------------------------------------------------------------


def test_patches_and_formats_find_the_same_cells(tmp_path: Path) -> None:
    values = movie()
    np.save(tmp_path / "movie.npy", values)
    in_environment(
        "caiman",
        f"""
import h5py, numpy as np, tifffile
values = np.load({str(tmp_path / "movie.npy")!r})
h5py.File({str(tmp_path / "movie.h5")!r}, "w").create_dataset("anything", data=values)
tifffile.imwrite({str(tmp_path / "a2.tif")!r}, values[:100])
tifffile.imwrite({str(tmp_path / "a10.tif")!r}, values[100:], compression="zlib")
""",
    )
    with zipfile.ZipFile(tmp_path / "movie.zip", "w") as archive:
        archive.write(tmp_path / "a10.tif", "day/a10.tif")
        archive.write(tmp_path / "a2.tif", "day/a2.tif")
    found: dict[str, list[tuple[int, int]]] = {}
    for name, config in (("movie.npy", {}), ("movie.h5", {}), ("movie.zip", {"rf": 12}), ("movie.npy", {"tsub": 2})):
        (tmp_path / "config.json").write_text(json.dumps(STILL | config))
        ran = run("caiman", tmp_path / name, tmp_path / "config.json", tmp_path / f"{name}{len(found)}")
        assert ran.code == 0, ran.err
        assert ran.err == ""
        found[f"{name} {config}"] = cells_of(ran)

    assert list(found.values()) == [[(12, 12), (24, 33), (38, 16)]] * 4


def test_noise_is_not_called_a_cell(tmp_path: Path) -> None:
    values = np.random.default_rng(7).normal(size=(200, 40, 40))

    ran = run_movie(tmp_path, values, {"motion_correct": True})

    assert ran.code == 0, ran.err
    assert ran.err == ""
    assert cells_of(ran) == []


def test_a_field_that_is_partly_black_gives_the_cells_of_the_rest(tmp_path: Path) -> None:
    values = movie()
    values[:, :, 22:] = 0

    ran = run_movie(tmp_path, values)

    assert ran.code == 0, ran.err
    assert ran.err == ""
    assert cells_of(ran) == [(12, 12), (38, 16)]


def test_the_file_of_estimates_holds_the_model(tmp_path: Path) -> None:
    values = movie()
    ran = run_movie(tmp_path, values)
    assert ran.code == 0, ran.err

    out = in_environment(
        "caiman",
        f"""
import h5py, json, numpy as np
from scipy import sparse
with h5py.File({str(ran.results / "movie_estimates.h5")!r}) as file:
    def matrix(name):
        group = file[name]
        return sparse.csc_array((group["data"][:], group["indices"][:], group["indptr"][:]), shape=group["shape"][:])
    fitted = matrix("A") @ file["C"][:] + matrix("b") @ file["f"][:]
    left = np.load({str(tmp_path / "movie.npy")!r}).reshape(240, -1).T - fitted
    peaks = np.nanmax(file["F_dff"][:], axis=1)[file["accepted"][:]]
    print(json.dumps([float(left.std()), sorted(map(float, peaks)), float(file.attrs["frame_rate_hz"]), sorted(file)]))
""",
    )

    left, peaks, frame_rate_hz, names = json.loads(out)
    # The noise is 0.2. A spike is 1 high where the background is 3; through a Gaussian footprint a that background is
    # 3 * sum(a) / sum(a^2) = 6, so a spike's dF/F is a sixth.
    assert left == pytest.approx(0.2, rel=0.05)
    assert all(0.14 < peak < 0.22 for peak in peaks)
    assert len(peaks) == 3
    assert frame_rate_hz == 30
    assert {"A", "C", "S", "F_dff", "b", "f", "accepted", "shifts", "SNR", "r"} <= set(names)


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    values = movie()
    results = [run_movie(tmp_path, values, name=name).results for name in ("a.npy", "b.npy")]

    for suffix in ("estimates.h5", "calcium.npy", "cells.csv"):
        assert (results[0] / f"a_{suffix}").read_bytes() == (results[1] / f"b_{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((60, 20)), "has 2 dimension(s)"),
        (np.zeros((0, 20, 20)), "has 0 frames"),
        (np.ones((60, 20, 5)), "at least 50 frames of 16 x 16"),
        (np.full((60, 20, 20), np.nan), "frame 0 has values that are not finite"),
        (np.r_[np.ones((59, 20, 20)), np.full((1, 20, 20), np.inf)], "frame 59 has values that are not finite"),
        (np.ones((60, 20, 20)), "one value everywhere"),
        (np.ones((60, 20, 20), complex), "holds complex128 values"),
        (np.full((60, 20, 20), "a"), "holds <U1 values"),
    ],
)
def test_a_movie_that_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, values: Any, said: str) -> None:
    ran = run_movie(tmp_path, values)

    assert ran.code == 2, ran.out + ran.err
    assert said in ran.err
    assert "movie.npy" in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


def test_a_broken_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    sample = (BLUEPRINTS / "caiman" / "sample" / "twophoton.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(sample[: len(sample) // 2])
    (tmp_path / "movie.avi").write_bytes(b"RIFF")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("notes.txt", "no movie")
    (tmp_path / "config.json").write_text("{}")
    for name, said in (("cut.tif", "cannot be read"), ("movie.avi", "a movie is a .tif"), ("empty.zip", "notes.txt")):
        ran = run("caiman", tmp_path / name, tmp_path / "config.json", tmp_path / f"results-{name}")
        assert ran.code == 2, ran.out
        assert said in ran.err
        assert name in ran.err
        assert "Traceback" not in ran.err
        assert str(tmp_path) not in ran.err
        assert list(ran.results.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"gSig": [3]}, "gSig"),
        ({"p": 3}, "'p'"),
        ({"min_snr": 2}, "unknown parameter 'min_snr'"),
        ({"K": 0}, "'K'"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    ran = run_movie(tmp_path, np.ones((60, 20, 20)), config)

    assert ran.code == 2
    assert said in ran.err
