"""Every analysis's sample, run in its own environment and held against its own truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analyses.rig import BLUEPRINTS, check, run, with_samples


def sample_of(analysis: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((BLUEPRINTS / analysis / "sample" / "sample.json").read_text())
    return found


ANALYSES = [
    pytest.param(name, marks=pytest.mark.heavy) if sample_of(name).get("heavy") else name for name in with_samples()
]


@pytest.mark.parametrize("analysis", ANALYSES)
def test_the_sample_comes_out_as_its_truth_says(analysis: str, tmp_path: Path) -> None:
    sample = BLUEPRINTS / analysis / "sample"
    about = sample_of(analysis)
    datasets = about["datasets"]
    assert isinstance(datasets, list)

    for name in datasets:
        ran = run(analysis, sample / name, sample / str(about["config"]), tmp_path)
        assert ran.code == 0, ran.out + ran.err
        assert ran.err == "" or "Warning" not in ran.err

    checked = check(analysis, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for name in datasets:
        stem = Path(name).stem
        summary = json.loads((tmp_path / f"{stem}_summary.json").read_text())
        assert summary["dataset"] == name
        assert summary["versions"]["python"]
        pictures = sorted(tmp_path.glob(f"{stem}_*.png"))
        assert pictures
        assert all(path.stat().st_size > 10_000 for path in pictures)


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", b""),
        ("binary", bytes(range(256)) * 8),
        ("text", b"this is not a recording"),
    ],
)
def test_data_that_cannot_be_used_ends_in_one_sentence(
    analysis: str, name: str, content: bytes, tmp_path: Path
) -> None:
    sample = BLUEPRINTS / analysis / "sample"
    about = sample_of(analysis)
    assert isinstance(about["datasets"], list)
    data = tmp_path / f"{name}{Path(about['datasets'][0]).suffix}"
    data.write_bytes(content)

    ran = run(analysis, data, sample / str(about["config"]), tmp_path / "results")

    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert data.name in ran.err
    assert list(ran.results.iterdir()) == []
