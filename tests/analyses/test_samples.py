"""Every analysis's sample, run in its own environment and held against its own truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analyses.rig import check, run, sample_of, with_samples

ANALYSES = [
    pytest.param(name, marks=pytest.mark.heavy) if sample_of(name).is_heavy else name for name in with_samples()
]


@pytest.mark.parametrize("analysis", ANALYSES)
def test_the_sample_comes_out_as_its_truth_says(analysis: str, tmp_path: Path) -> None:
    sample = sample_of(analysis)

    for data in sample.datasets:
        ran = run(analysis, data, sample.config, tmp_path)
        assert ran.code == 0, ran.out + ran.err
        assert ran.err == "" or "Warning" not in ran.err

    checked = check(analysis, tmp_path)
    assert checked.problems == ()
    assert checked.figures, "expected.json has limits of figures that its check or the summaries tell"
    for data in sample.datasets:
        stem = data.stem
        summary = json.loads((tmp_path / f"{stem}_summary.json").read_text())
        assert summary["dataset"] == data.name
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
    sample = sample_of(analysis)
    data = tmp_path / f"{name}{sample.datasets[0].suffix}"
    data.write_bytes(content)

    ran = run(analysis, data, sample.config, tmp_path / "results")

    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert data.name in ran.err
    assert list(ran.results.iterdir()) == []
