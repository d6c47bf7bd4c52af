"""The parameter search's own modules: what was varied, which figure ranks, and inputs that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, check, run

ANALYSIS = "parameter-search"
SAMPLE = BLUEPRINTS / ANALYSIS / "sample"


def make_runs(folder: Path, figures: dict[str, dict[str, Any]], *, with_config: bool) -> Path:
    """A folder of runs: name -> its parameters and figures."""
    for number, (name, found) in enumerate(figures.items(), 1):
        place = folder / name
        place.mkdir(parents=True)
        (place / f"{name}_summary.json").write_text(json.dumps(found))
        if with_config:
            point = {"k": number, "values": found["parameters"]}
            (place / "c.json").write_text(json.dumps({**found["parameters"], "__scatter__": point}))
    return folder


def search(data: Path, tmp_path: Path, **config: Any) -> Ran:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    return run(ANALYSIS, data, path, tmp_path / "results")


RUNS: dict[str, dict[str, Any]] = {
    f"a__rank-{rank}_seed-{seed}": {"parameters": {"rank": rank, "seed": seed, "gain": 1}, "loss": loss, "n": rank}
    for rank, seed, loss in ((2, 1, 0.9), (10, 1, 0.2), (9, 1, 0.5), (2, 2, 0.8))
}


@pytest.mark.parametrize("with_config", [True, False])
def test_the_smallest_loss_wins_whether_or_not_configs_are_there(tmp_path: Path, with_config: bool) -> None:
    ran = search(make_runs(tmp_path / "job", RUNS, with_config=with_config), tmp_path, figure="loss", direction="min")
    assert ran.code == 0, ran.err
    ranking = json.loads((ran.results / "ranking.json").read_text())
    assert [point["mean"] for point in ranking["points"]] == [0.2, 0.5, 0.8, 0.9]
    # `gain` was the same in all runs: it was searched only if a config says so.
    assert ranking["searched"] == (["rank", "seed", "gain"] if with_config else ["rank", "seed"])
    summary = json.loads((ran.results / "job_summary.json").read_text())
    assert (summary["best"]["rank"], summary["best_figure"]) == (10, 0.2)


def test_without_a_name_the_first_figure_with_decimals_that_differs_ranks(tmp_path: Path) -> None:
    ran = search(make_runs(tmp_path / "job", RUNS, with_config=True), tmp_path)
    assert json.loads((ran.results / "ranking.json").read_text())["figure"] == "loss"


def test_a_figure_of_merit_a_summary_names_comes_first(tmp_path: Path) -> None:
    named = {name: {**it, "score": -it["loss"], "figure_of_merit": "score"} for name, it in RUNS.items()}
    ran = search(make_runs(tmp_path / "job", named, with_config=True), tmp_path)
    ranking = json.loads((ran.results / "ranking.json").read_text())
    assert (ranking["figure"], ranking["points"][0]["values"]["rank"]) == ("score", 10)


@pytest.mark.parametrize(
    ("figures", "config", "said"),
    [
        ({}, {}, "holds no run"),
        (RUNS, {"figure": "lost"}, "Known: loss, n"),
        ({"a": {"parameters": {}, "loss": None}}, {"figure": "loss"}, "finite figure"),
        ({"a": {"parameters": {}, "n": 1}}, {}, "name one with the parameter"),
        (RUNS, {"direction": "up"}, "direction"),
    ],
)
def test_what_cannot_be_ranked_ends_in_one_sentence(
    tmp_path: Path, figures: dict[str, Any], config: dict[str, Any], said: str
) -> None:
    folder = make_runs(tmp_path / "job", figures, with_config=False)
    folder.mkdir(exist_ok=True)
    ran = search(folder, tmp_path, **config)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


def test_ranking_by_one_recording_alone_misses_the_truth(tmp_path: Path) -> None:
    """The sample's threshold is one that a wrong implementation does not reach."""
    import zipfile

    half = tmp_path / "grid"
    with zipfile.ZipFile(SAMPLE / "grid.zip") as archive:
        archive.extractall(half, [name for name in archive.namelist() if name.startswith("mouse-1")])
    ran = run(ANALYSIS, half, SAMPLE / "config.json", tmp_path / "results")
    assert ran.code == 0
    checked = check(ANALYSIS, ran.results)
    assert any("best is" in problem for problem in checked.problems)
    assert any("agrees with the truth" in problem for problem in checked.problems)
