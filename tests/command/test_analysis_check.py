"""Samples, checks, figures of merit, the record: read and judged as the documents say."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ncap_iac.analysis.checking import Checked, Figure, figures_of, run_check
from ncap_iac.analysis.facts import facts_of, memory_of, seconds_of
from ncap_iac.analysis.record import COLUMNS, record_text, row
from ncap_iac.analysis.sample import has_sample, load_sample
from ncap_iac.analysis.trial import Trial
from ncap_iac.errors import UsageError
from ncap_iac.job.jobs import DatasetStatus, JobRef, JobStatus, Outcome

DIGEST = "0123456789ab" + "c" * 52


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with the running Python where an image has its own."""
    programs = tmp_path / "image" / "env" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    return tmp_path / "image"


def write_sample(folder: Path, check: str, expected: object) -> Path:
    sample = folder / "sample"
    sample.mkdir(parents=True)
    (sample / "check.py").write_text(check)
    (sample / "expected.json").write_text(json.dumps(expected))
    return sample / "check.py"


def write_summary(folder: Path, stem: str, **values: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}_summary.json").write_text(json.dumps(values))
    return folder


def test_figures_come_from_the_score_and_from_summaries_with_their_limits(image: Path, tmp_path: Path) -> None:
    check = "def check(folder):\n    return []\ndef score(folder, stem):\n    return {'snr_db': 12.5}\n"
    limits = {"a": {"equal": {"rows": 3}, "between": {"snr_db": [10, 40], "fit.r2": [0.5, 1]}}, "b": {"snr_db": 11}}
    script = write_sample(tmp_path, check, limits)
    results = write_summary(tmp_path / "results", "a", rows=3, fit={"r2": 0.75})
    write_summary(results, "b")

    checked = run_check(image, script, results)

    assert checked.problems == ()
    assert checked.figures == (
        Figure("a", "snr_db", 12.5, 10, 40),
        Figure("a", "fit.r2", 0.75, 0.5, 1),
        Figure("b", "snr_db", 12.5, 11, None),
    )
    assert [it.limits for it in checked.figures] == ["10 to 40", "0.5 to 1", "at least 11"]
    assert checked.figure("fit.r2") == checked.figures[1]


def test_what_a_check_finds_wrong_is_told(image: Path, tmp_path: Path) -> None:
    script = write_sample(tmp_path, "def check(folder):\n    print('talk')\n    return ['a is missing']\n", {})
    assert run_check(image, script, write_summary(tmp_path / "r", "a")) == Checked(("a is missing",), ())


@pytest.mark.parametrize("check", ["raise ValueError('no truth')", "def check(folder):\n    raise SystemExit(0)\n"])
def test_a_check_that_breaks_is_a_problem_and_never_a_pass(image: Path, tmp_path: Path, check: str) -> None:
    script = write_sample(tmp_path, check, {})
    (problem,) = run_check(image, script, write_summary(tmp_path / "r", "a")).problems
    assert "broke off" in problem


def test_limits_without_datasets_hold_for_each() -> None:
    found = {"x": {"found": 18.0}, "y": {"found": 3.0, "other": 1.0}}
    assert [it.dataset for it in figures_of(found, {"found": 17, "absent": 1})] == ["x", "y"]
    assert figures_of(found, ["not", "limits"]) == []


def test_a_sample_names_files_that_are_there(tmp_path: Path) -> None:
    write_sample(tmp_path, "", {})
    about = tmp_path / "sample" / "sample.json"
    assert not has_sample(tmp_path)
    about.write_text('{"datasets": ["a.csv"], "config": "c.json", "heavy": true, "figure": "snr_db"}')
    assert has_sample(tmp_path)
    with pytest.raises(UsageError, match=r"a\.csv"):
        load_sample(tmp_path)
    (tmp_path / "sample" / "a.csv").touch()
    (tmp_path / "sample" / "c.json").write_text("{}")
    sample = load_sample(tmp_path)
    assert (sample.is_heavy, sample.figure, [path.name for path in sample.datasets]) == (True, "snr_db", ["a.csv"])


@pytest.mark.parametrize("text", ["", "[]", '{"datasets": ["a"]}', '{"datasets": [], "config": "check.py"}'])
def test_a_sample_that_says_too_little_is_refused(tmp_path: Path, text: str) -> None:
    write_sample(tmp_path, "", {})
    (tmp_path / "sample" / "sample.json").write_text(text)
    with pytest.raises(UsageError):
        load_sample(tmp_path)


def status(label: str = "a.csv", memory: str = "812 MB", finish: str = "2026-01-02T03:05:07Z") -> DatasetStatus:
    return DatasetStatus(
        label, label, "SUCCESS", memory_usage=memory, job_start="2026-01-02T03:04:05Z", job_finish=finish
    )


def test_the_facts_of_a_job_add_up_its_datasets() -> None:
    certificate = (
        "ANALYSIS VERSION ID: v-0123456789abcdef (x)\t[+0:00]\n[Job Manager] COST RESERVED: $0.41 (2 x)\t[+0:00]\n"
    )
    job = JobStatus(
        JobRef("x", "g", "job__x_1"), Outcome.SUCCEEDED, (status(), status("b", "900 MB")), certificate=certificate
    )
    facts = facts_of(job, f"iae:x@sha256:{DIGEST}")
    assert (facts.seconds, facts.peak_memory_bytes, facts.version_id) == (124, 900e6, "v-0123456789abcdef")
    assert facts.cost == "COST RESERVED: $0.41 (2 x)"


def test_what_a_status_does_not_tell_is_not_known() -> None:
    assert seconds_of(status(finish="N/A")) is None
    assert memory_of(status(memory="N/A")) is None


def test_the_record_is_a_table_with_date_and_machine() -> None:
    figures = (Figure("a", "first", 1.0, 0.5), Figure("a", "snr_db", 12.345, 10, 40))
    passed = Trial("pmd", f"iae:pmd@sha256:{DIGEST}", (), "job__pmd_1", 61, 812e6, figures, shown="snr_db")
    failed = Trial("epi", f"iae:epi@sha256:{DIGEST}", ("a|b is missing",))
    text = record_text([passed, failed], datetime(2026, 3, 4, tzinfo=UTC), "2 cores")
    assert "2026-03-04, 2 cores" in text
    assert "| pmd | 0123456789ab | 61 s | 812 MB | a: snr_db 12.35 | 10 to 40 | passed |" in text
    assert "| epi | 0123456789ab |  |  |  |  | FAILED |" in text
    assert len(row(failed)) == len(COLUMNS)
