"""Freezing from poses: formulae against known speeds, with numpy alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS

Array = np.ndarray[Any, Any]
FPS = 30.0


@pytest.fixture
def freezing() -> Iterator[ModuleType]:
    folder = str(BLUEPRINTS / "dlc-freezing" / "environment")
    sys.path.insert(0, folder)
    yield import_module("freezing")
    sys.path.remove(folder)
    sys.modules.pop("freezing")


def rules(freezing: ModuleType, **changes: float) -> Any:
    settings = {"pcutoff": 0.6, "smooth_s": 0.0, "min_duration_s": 0.5, "merge_gap_s": 0.2, "max_hidden_s": 1.0}
    return freezing.Rules(**{**settings, **changes})


def walk(frames: int, step: tuple[float, float], rest: slice | None = None, parts: int = 2) -> Array:
    """Parts that all move by `step` pixels a frame, and stand still in `rest`."""
    is_moving = np.ones(frames)
    if rest is not None:
        is_moving[rest] = 0
    way = np.cumsum(is_moving)[:, None, None] * np.array(step)
    return np.asarray(way + 10.0 * np.arange(parts)[None, :, None])


def test_a_steady_walk_has_its_speed_at_every_frame(freezing: ModuleType) -> None:
    points = walk(60, (3.0, 4.0))

    speed = freezing.speed_of(points, np.ones((60, 2)), FPS, rules(freezing))

    np.testing.assert_allclose(speed, 5.0 * FPS)


def test_speed_is_the_mean_over_the_parts(freezing: ModuleType) -> None:
    points = np.stack([walk(40, (2.0, 0.0), parts=1)[:, 0], walk(40, (0.0, 6.0), parts=1)[:, 0]], axis=1)

    speed = freezing.speed_of(points, np.ones((40, 2)), 10.0, rules(freezing))

    np.testing.assert_allclose(speed, 40.0)


def test_points_that_are_not_sure_are_interpolated_over(freezing: ModuleType) -> None:
    points = walk(60, (3.0, 4.0))
    likelihood = np.ones((60, 2))
    points[20:25, 0] = 500.0
    likelihood[20:25, 0] = 0.1

    speed = freezing.speed_of(points, likelihood, FPS, rules(freezing))

    np.testing.assert_allclose(speed, 5.0 * FPS)


def test_what_is_hidden_for_too_long_is_not_taken_for_rest(freezing: ModuleType) -> None:
    points = walk(120, (3.0, 4.0))
    likelihood = np.ones((120, 2))
    likelihood[40:80] = 0.0

    speed = freezing.speed_of(points, likelihood, FPS, rules(freezing))

    assert np.isnan(speed[41:79]).all()
    assert np.isfinite(speed[:39]).all()
    assert np.isfinite(speed[81:]).all()
    assert freezing.find_bouts(speed, 1000.0, FPS, rules(freezing)) != []
    assert all(bout.stop <= 41 or bout.start >= 79 for bout in freezing.find_bouts(speed, 1000.0, FPS, rules(freezing)))


def test_a_part_that_is_hidden_leaves_the_judgement_to_the_others(freezing: ModuleType) -> None:
    points = walk(120, (3.0, 4.0))
    likelihood = np.ones((120, 2))
    likelihood[40:80, 1] = 0.0

    speed = freezing.speed_of(points, likelihood, FPS, rules(freezing))

    np.testing.assert_allclose(speed, 5.0 * FPS)


def test_the_median_filter_takes_single_jumps_away_and_keeps_steps(freezing: ModuleType) -> None:
    values = np.zeros((30, 2))
    values[15:] = 8.0
    jumped = values.copy()
    jumped[5] = 99.0

    np.testing.assert_array_equal(freezing.median_filter(jumped, 5), values)


def test_the_median_filter_keeps_gaps(freezing: ModuleType) -> None:
    values = np.ones((10, 2))
    values[4:6] = np.nan

    smooth = freezing.median_filter(values, 5)

    assert np.isnan(smooth[4:6]).all()
    assert (smooth[np.isfinite(smooth)] == 1).all()


@pytest.mark.parametrize(("slow", "fast"), [(1.0, 100.0), (0.05, 2.0), (20.0, 300.0)])
def test_the_threshold_lies_in_the_valley_between_two_kinds_of_speed(
    freezing: ModuleType, slow: float, fast: float
) -> None:
    random = np.random.default_rng(3)
    speeds = np.concatenate([slow * 10 ** random.normal(0, 0.15, 300), fast * 10 ** random.normal(0, 0.15, 600)])

    threshold = freezing.valley_threshold(speeds)

    assert slow * 1.8 < threshold < fast / 1.8
    assert np.mean((speeds < threshold) == (np.arange(900) < 300)) > 0.98


def test_one_kind_of_speed_has_no_threshold(freezing: ModuleType) -> None:
    speeds = 80 * 10 ** np.random.default_rng(0).normal(0, 0.2, 2000)

    assert freezing.valley_threshold(speeds) is None


@pytest.mark.parametrize("speeds", [np.full(5, 3.0), np.full(500, np.nan), np.zeros(500)])
def test_too_few_unknown_or_equal_speeds_have_no_threshold(freezing: ModuleType, speeds: Array) -> None:
    assert freezing.valley_threshold(speeds) is None


def speeds_with(*rests: tuple[int, int], frames: int = 300) -> Array:
    speed = np.full(frames, 100.0)
    for start, stop in rests:
        speed[start:stop] = 1.0
    return speed


def found(freezing: ModuleType, speed: Array, **changes: float) -> list[tuple[int, int]]:
    return [(bout.start, bout.stop) for bout in freezing.find_bouts(speed, 10.0, FPS, rules(freezing, **changes))]


def test_bouts_are_where_speed_is_low(freezing: ModuleType) -> None:
    assert found(freezing, speeds_with((0, 20), (50, 90), (280, 300))) == [(0, 20), (50, 90), (280, 300)]


def test_short_gaps_are_bridged_and_long_ones_are_not(freezing: ModuleType) -> None:
    assert found(freezing, speeds_with((50, 70), (75, 100))) == [(50, 100)]
    assert found(freezing, speeds_with((50, 70), (76, 100))) == [(50, 70), (76, 100)]


def test_short_bouts_do_not_count_unless_they_are_bridged_to_a_long_one(freezing: ModuleType) -> None:
    assert found(freezing, speeds_with((50, 64))) == []
    assert found(freezing, speeds_with((50, 65))) == [(50, 65)]
    assert found(freezing, speeds_with((50, 58), (60, 68))) == [(50, 68)]


def test_what_cannot_be_judged_is_not_bridged(freezing: ModuleType) -> None:
    speed = speeds_with((50, 70), (73, 100))
    speed[70:73] = np.nan

    assert found(freezing, speed) == [(50, 70), (73, 100)]


def test_a_rest_is_found_from_poses_with_noise_and_lost_points(freezing: ModuleType) -> None:
    random = np.random.default_rng(5)
    points = walk(600, (2.0, 1.5), rest=slice(200, 290)) + random.normal(0, 0.2, (600, 2, 2))
    likelihood = np.ones((600, 2))
    lost = random.choice(600, 60, replace=False)
    points[lost, 0] += 80
    likelihood[lost, 0] = 0.2
    settings = rules(freezing, smooth_s=0.2)

    speed = freezing.speed_of(points, likelihood, FPS, settings)
    bouts = freezing.find_bouts(speed, freezing.valley_threshold(speed), FPS, settings)

    assert len(bouts) == 1
    assert abs(bouts[0].start - 200) <= 4
    assert abs(bouts[0].stop - 290) <= 4
    assert freezing.mask_of(bouts, 600).sum() == bouts[0].stop - bouts[0].start
