"""A member runs a grid of four over one recording; the runs are gathered, ranked and fetched from the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.laboratory import ROOT, Laboratory, make_home, make_project

pytestmark = pytest.mark.cloud

AS_MEMBER = ("--as", "demo-member", "--output", "json")
SAMPLE = ROOT / "ncap_blueprints" / "kalman-lds" / "sample"
GRID = ("--grid", "latent_dim=2,6", "--grid", "seed=1..2")


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A cloud with kalman-lds and the analysis its scattered jobs go to."""
    folder = tmp_path_factory.mktemp("searching")
    project = make_project(folder / "project")
    profile = project / "user_profiles" / "demo" / "user_config_template.json"
    document = json.loads(profile.read_text())
    for group in document["UXData"]["Affiliates"]:
        group["Pipelines"] = ["kalman-lds", "parameter-search"]
        group["Budget"] = {"kalman-lds": 25, "parameter-search": 5}
    profile.write_text(json.dumps(document, indent=2))
    found = Laboratory(project=project, home=make_home(folder / "home"), cloud="searching")
    try:
        found.ncap("local", "up", "--background", "--name", "searching", "--port", "0")
        for analysis in ("kalman-lds", "parameter-search"):
            found.ncap("environment", "pin", analysis)
        found.ncap("account", "deploy", "--yes")
        found.ncap("profile", "deploy", "demo", "--yes")
        yield found
    finally:
        found.ncap("local", "down", "--name", "searching", check=False)


def test_a_grid_is_run_gathered_and_ranked(searching: Laboratory, tmp_path: Path) -> None:
    first = searching.ncap("blueprint", "deploy", "kalman-lds", "--yes")
    assert "parameter-search, not deployed here" in first.err
    searching.ncap("blueprint", "deploy", "parameter-search", "--yes")
    config = tmp_path / "search.json"
    config.write_text(json.dumps({"em_iters": 2, "holdout_fraction": 0.2, "init": "random"}))
    words = ("kalman-lds", "--data", str(SAMPLE / "synthetic_lds.csv"), "--config", str(config), *GRID)

    quote = searching.ncap("job", "quote", *words, *AS_MEMBER).data
    assert quote["datasets"] == 4
    assert [(step["analysis"], step["datasets"]) for step in quote["steps"]] == [("parameter-search", 1)]

    ended = searching.ncap("job", "submit", *words, "--watch", "--timeout", "240", *AS_MEMBER).data
    assert ended["outcome"] == "SUCCEEDED", ended
    assert len(ended["datasets"]) == 4
    (step,) = ended["steps"]
    assert (step["type"], step["analysis"], step["outcome"]) == ("gather", "parameter-search", "SUCCEEDED")

    searching.ncap("job", "results", ended["job"], "-o", str(tmp_path / "out"), *AS_MEMBER)
    runs = sorted((tmp_path / "out" / "kalman-lds").rglob("*_summary.json"))
    assert len(runs) == 4
    with (tmp_path / "out" / "parameter-search" / "ranking.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["latent_dim"], row["seed"]) for row in rows) == [("2", "1"), ("2", "2"), ("6", "1"), ("6", "2")]
    # The recording has six latents: no model of two predicts unseen channels as well.
    assert rows[0]["latent_dim"] == "6"
    figures = [float(row["held_out_channels_r2"]) for row in rows]
    assert figures == sorted(figures, reverse=True)
    searching.ncap(
        "job", "results", ended["job"], "--step", "parameter-search", "-o", str(tmp_path / "one"), *AS_MEMBER
    )
    assert (tmp_path / "one" / "ranking.json").is_file()


def test_what_the_next_analysis_refuses_is_refused_before_money(searching: Laboratory, tmp_path: Path) -> None:
    config = tmp_path / "wrong.json"
    config.write_text(json.dumps({"em_iters": 1, "__steps__": {"parameter-search": {"direction": "up"}}}))
    words = ("kalman-lds", "--data", str(SAMPLE / "synthetic_lds.csv"), "--config", str(config), *GRID)
    refused = searching.ncap("job", "submit", *words, "--watch", "--timeout", "60", *AS_MEMBER, check=False)
    assert refused.code == 1
    assert refused.data["outcome"] == "REJECTED"
    assert "direction" in refused.data["message"]
