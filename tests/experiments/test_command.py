"""The command: files under the names the original gave them, clear errors, pictures that are pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from experiments.__main__ import main


def test_figure_10_writes_every_panel_as_picture_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figure10", "--output-dir", str(tmp_path)]) == 0

    for analysis in ("CaImAn", "DLC", "PMDLocaNMF"):
        names = {path.name for path in (tmp_path / analysis / "panels").iterdir()}
        assert names == {
            f"{panel}.{kind}"
            for panel in ("Cost", "Time", "LCC_powermatch", "LUC_powermatch")
            for kind in ("png", "svg", "csv", "json")
        }
    rows = list(csv.DictReader((tmp_path / "CaImAn/panels/LCC_powermatch.csv").open()))
    (bar,) = [row for row in rows if row["size"] == "small" and row["series"] == "Standard, realistic (2 y)"]
    assert float(bar["value"]) == pytest.approx(74.7, abs=0.05)
    assert (tmp_path / "figure10.png").read_bytes().startswith(b"\x89PNG")
    assert "does not hold for every bar" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "figure10_claims.json").read_text())) == 3


def test_equal_inputs_give_equal_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert main(["figure6", "--output-dir", str(tmp_path / folder)]) == 0
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("verb", ["figure15", "spot", "today", "lab", "scaling"])
def test_every_command_says_what_it_found_and_what_it_wrote(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--output-dir", str(tmp_path)]) == 0

    said = capsys.readouterr().out.splitlines()
    assert len(said) >= 2
    assert str(tmp_path) in said[-1]
    pictures = sorted(tmp_path.rglob("*.png"))
    assert pictures
    assert all(path.stat().st_size > 10_000 for path in pictures)


@pytest.mark.parametrize(
    "words",
    [
        ["custom", "no-such.yaml"],
        ["lab", "--years", "-1"],
        ["spot", "--hours", "0"],
        ["spot", "--instance-type", "x1.large"],
        ["scaling", "--minutes", "nan"],
        ["figure6", "--records", "no-such-folder"],
    ],
)
def test_input_that_cannot_be_used_is_one_sentence_and_code_2(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--output-dir", str(tmp_path)]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert len(said.err.splitlines()) == 1
