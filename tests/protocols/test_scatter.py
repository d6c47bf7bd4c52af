"""Points, labels and folders of a scatter: properties, and every way of asking wrongly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager.scatter import (
    MAX_LABEL,
    MAX_POINTS,
    Point,
    ScatterError,
    check_points,
    folder_places,
    parse_scatter,
    points_of,
    variant_places,
)

SCALARS = st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30)
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith("__"))
GRIDS = st.dictionaries(NAMES, st.lists(SCALARS, min_size=1, max_size=4, unique_by=json.dumps), min_size=1, max_size=4)
LABELS = st.lists(
    st.text(min_size=1, max_size=150).filter(lambda it: "/" not in it and it not in (".", "..")),
    min_size=1,
    max_size=4,
    unique=True,
)


def test_copies_are_numbered_from_one() -> None:
    points = points_of(parse_scatter({"copies": 3, "parameter": "seed"}), {})
    assert [dict(point.values) for point in points] == [{"seed": 1}, {"seed": 2}, {"seed": 3}]
    assert [json.loads(point.text) for point in points][2] == {"k": 3, "values": {"seed": 3}}


def test_the_last_name_of_a_grid_is_the_fastest() -> None:
    points = points_of(parse_scatter({"grid": {"seed": [1, 2], "rank": [5, 10]}}), {})
    assert [tuple(dict(point.values).values()) for point in points] == [(1, 5), (1, 10), (2, 5), (2, 10)]


@given(GRIDS)
def test_a_grid_has_every_combination_once(grid: dict[str, list[Any]]) -> None:
    points = points_of(parse_scatter({"grid": grid}), {})
    expected = 1
    for values in grid.values():
        expected *= len(values)
    assert len(points) == expected == len({json.dumps(dict(point.values)) for point in points})
    assert [point.number for point in points] == list(range(1, expected + 1))


@given(LABELS, GRIDS)
def test_labels_and_folders_are_unique_short_and_plain(labels: list[str], grid: dict[str, list[Any]]) -> None:
    points = points_of(parse_scatter({"grid": grid}), {})
    places = variant_places(labels, points)
    assert len(places) == len(labels) * len(points)
    assert len({place.label for place in places}) == len(places) == len({place.folder for place in places})
    for place in places:
        assert place.folder
        assert "/" not in place.label
        assert place.label.startswith(place.folder)
        assert len(place.label) <= MAX_LABEL + 6  # a number behind it where two would be one
        assert place.folder not in (".", "..")


@given(LABELS)
def test_datasets_with_folders_of_their_own_keep_their_labels(labels: list[str]) -> None:
    places = folder_places(labels)
    assert [place.label for place in places] == labels
    assert len({place.folder for place in places}) == len(labels)


def test_a_label_tells_what_differs() -> None:
    points = points_of(parse_scatter({"grid": {"rank": [5], "mode": ["a/b c"], "drift": [-0.5]}}), {})
    (place,) = variant_places(["x.csv"], points)
    assert (place.label, place.folder) == ("x__rank-5_mode-a-b-c_drift--0.5.csv", "x__rank-5_mode-a-b-c_drift--0.5")


def test_ten_thousand_points_have_ten_thousand_places() -> None:
    points = points_of(parse_scatter({"grid": {"seed": list(range(100)), "rank": list(range(100))}}), {})
    places = variant_places(["recording with a rather long name of its own.tar.gz"], points)
    assert len({place.folder for place in places}) == MAX_POINTS


def test_the_number_of_copies_may_be_a_field_of_the_config() -> None:
    scatter = parse_scatter({"copies": "ensemble_size", "parameter": "jobnb"})
    assert [dict(point.values) for point in points_of(scatter, {"ensemble_size": 2})] == [{"jobnb": 1}, {"jobnb": 2}]
    assert points_of(scatter, {"mode": "predict"}) == ()
    with pytest.raises(ScatterError, match="'ensemble_size' is \"two\"; accepted is a whole number"):
        points_of(scatter, {"ensemble_size": "two"})


def test_points_written_out_keep_their_numbers() -> None:
    points = points_of(parse_scatter({"points": [{"k": 7, "values": {"seed": 7}}]}), {})
    assert points == (Point(7, (("seed", 7),)),)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (3, "must be an object"),
        ({}, "either 'copies' and 'parameter', or 'grid'"),
        ({"copies": 2}, "'parameter' must be the name"),
        ({"copies": 0, "parameter": "seed"}, "'copies' is 0; accepted is a whole number from 1 to 10000"),
        ({"copies": True, "parameter": "seed"}, "'copies' is true"),
        ({"copies": 10_001, "parameter": "seed"}, "'copies' is 10001"),
        ({"copies": 2, "parameter": "__duration__"}, "the platform's own parameter"),
        ({"copies": 2, "parameter": "seed", "grid": {"a": [1]}}, "either 'copies'"),
        ({"copie": 2, "parameter": "seed"}, "unknown field 'copie'; did you mean 'copies'?"),
        ({"grid": {}}, "'grid' must be an object"),
        ({"grid": {"seed": []}}, "a list of at least one value"),
        ({"grid": {"seed": 3}}, "a list of at least one value"),
        ({"grid": {"seed": [1, 1]}}, "the same value twice"),
        ({"grid": {"a": list(range(101)), "b": list(range(100))}}, "'grid' has 10100 combinations"),
        ({"points": [{"k": 1, "values": {}}]}, "each of 'points'"),
        ({"points": [{"k": 1, "values": {"a": 1}}, {"k": 1, "values": {"a": 2}}]}, "the same 'k' twice"),
    ],
)
def test_what_is_asked_wrongly_is_told(asked: Any, words: str) -> None:
    with pytest.raises(ScatterError) as caught:
        parse_scatter(asked)
    assert words in str(caught.value)


def test_a_value_too_long_for_the_ledger_is_refused() -> None:
    with pytest.raises(ScatterError, match="longer than 1000 characters"):
        points_of(parse_scatter({"grid": {"text": ["x" * 2000]}}), {})


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"seed": {"type": "integer", "maximum": 2}, "rank": {"type": "integer"}},
    "required": ["seed", "rank"],
    "additionalProperties": False,
}


def test_every_point_is_checked_and_each_value_once() -> None:
    points = points_of(parse_scatter({"grid": {"seed": [1, 3, 4], "rank": [5, "ten"]}}), {})
    problems = check_points(points, {}, SCHEMA)
    assert len(problems) == 3
    assert all(any(value in problem for problem in problems) for value in ("3", "4", '"ten"'))


def test_what_points_do_not_set_must_still_be_there() -> None:
    points = points_of(parse_scatter({"grid": {"seed": [1, 2]}}), {})
    assert check_points(points, {}, SCHEMA) == ("parameter 'rank' is missing; accepted is a whole number",)
    assert check_points(points, {"rank": 1}, SCHEMA) == ()


def test_a_parameter_the_analysis_does_not_know_is_refused() -> None:
    points = points_of(parse_scatter({"copies": 2, "parameter": "sed"}), {})
    assert any("'sed' is not known" in problem for problem in check_points(points, {"seed": 1, "rank": 1}, SCHEMA))
