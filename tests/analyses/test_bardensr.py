"""The barcode demixing: what it reads and refuses, and that tiles change nothing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, run

SAMPLE = BLUEPRINTS / "bardensr" / "sample"


def small(**changes: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    codebook = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]], np.uint8)
    return {"imagestack": random.random((4, 20, 20)).astype(np.float32), "codebook": codebook} | changes


def run_field(folder: Path, field: dict[str, Any], config: dict[str, Any] | None = None) -> Any:
    np.savez(folder / "field.npz", **field)
    (folder / "config.json").write_text(json.dumps(config or {"iterations": 10}))
    return run("bardensr", folder / "field.npz", folder / "config.json", folder / "results")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"imagestack": np.zeros((4, 20))}, "has 2 dimensions"),
        ({"imagestack": np.full((4, 20, 20), np.nan)}, "not finite"),
        ({"imagestack": np.zeros((4, 20, 20))}, "one value everywhere"),
        ({"imagestack": np.zeros((0, 20, 20))}, "0 values"),
        ({"imagestack": np.ones((4, 20, 20), complex)}, "not numbers"),
        ({"codebook": np.ones((3, 3))}, "speaks of 3 frames and the image stack has 4"),
        ({"codebook": np.full((4, 2), 2)}, "other values than 0 and 1"),
        ({"codebook": np.zeros((4, 2))}, "shines in no frame"),
        ({"codebook": np.ones((4, 2))}, "two barcodes of the codebook are the same"),
        ({"names": np.array(["a"])}, "1 names for 3 barcodes"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    ran = run_field(tmp_path, small(**changes))

    assert ran.code == 2, ran.out
    assert said in ran.err
    assert "field.npz" in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    ran = run_field(tmp_path, {"imagestack": np.ones((4, 20, 20))})

    assert ran.code == 2
    assert "codebook" in ran.err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"iterations": "many"}, "'iterations'"),
        ({"peak_treshold": 0.5}, "unknown parameter 'peak_treshold'"),
        ({"psf_radius": [1, -1, 0]}, "psf_radius"),
        ({"rounds": 3}, "no multiple of 3 rounds"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    ran = run_field(tmp_path, small(), config)

    assert ran.code == 2
    assert said in ran.err


def test_an_archive_of_a_stack_and_a_table_is_read_as_well(tmp_path: Path) -> None:
    with np.load(SAMPLE / "sparse.npz") as sample:
        images, codebook = sample["imagestack"], sample["codebook"]
    stored = io.BytesIO()
    np.save(stored, images)
    table = "\n".join(f"gene-{j}," + ",".join(map(str, codebook[:, j])) for j in range(codebook.shape[1]))
    with zipfile.ZipFile(tmp_path / "sparse.zip", "w") as archive:
        archive.writestr("field/imagestack.npy", stored.getvalue())
        archive.writestr("field/codebook.csv", "name," + ",".join(map(str, range(28))) + "\n" + table)

    ran = run("bardensr", tmp_path / "sparse.zip", SAMPLE / "config.json", tmp_path / "results")

    assert ran.code == 0, ran.err
    summary = json.loads((tmp_path / "results" / "sparse_summary.json").read_text())
    assert 140 <= summary["rolonies"] <= 160
    assert set(summary["rolonies_by_barcode"]) == {f"gene-{j}" for j in range(60)}


def test_tiles_find_what_the_whole_field_finds(tmp_path: Path) -> None:
    found = []
    for tile in (200, 40):
        (tmp_path / "config.json").write_text(json.dumps({"tile": tile, "iterations": 60}))
        ran = run("bardensr", SAMPLE / "sparse.npz", tmp_path / "config.json", tmp_path / str(tile))
        assert ran.code == 0, ran.err
        rows = (ran.results / "sparse_rolonies.csv").read_text().splitlines()[1:]
        found.append({tuple(row.split(",")[:3]) for row in rows})

    assert len(found[0] & found[1]) >= 0.9 * len(found[0] | found[1])


def test_equal_runs_give_equal_numbers(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        ran = run("bardensr", SAMPLE / "sparse.npz", SAMPLE / "config.json", tmp_path / name)
        assert ran.code == 0, ran.err
        texts.append((ran.results / "sparse_rolonies.csv").read_bytes())
    assert texts[0] == texts[1]
