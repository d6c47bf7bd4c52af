"""Scattered jobs and their next steps from the command line: options, following, results, cancelling, resuming."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.cli import main
from ncap_iac.deploy.steps import describe_steps, step_changes
from ncap_iac.errors import UsageError
from ncap_iac.job.following import LINE, next_steps, read_followed
from ncap_iac.job.jobs import JobReader
from ncap_iac.job.resume import plan_resume, read_history, steps_to_replay
from ncap_iac.job.scatter import parse_values, scatter_of
from ncap_iac.job.variants import find_variants
from ncap_iac.money.prices import Price, PriceTable
from ncap_iac.money.quote import Ask, Dataset, make_quote
from ncap_iac.money.step_quote import quote_steps, total_micro
from ncap_iac.money.terms import Terms, terms_of
from tests.command.bucket import BUCKET, GROUP, JOB, REF, Bucket
from tests.command.ended_job import certificate, end_job

WHERE = ("--aws", "--region", "us-east-1", "--output", "json")
NEXT = "parameter-search"
NEXT_JOB = f"job__{NEXT}_{BUCKET}_2025-11-22T10-13-05Z"
STEP = f"1 (gather, {NEXT}): job {NEXT_JOB} in bucket {NEXT} was started."
NOW = datetime(2025, 11, 23, tzinfo=UTC)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No project around, and a folder of its own for downloads."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ncap(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main([*words, *WHERE]) == code
    shown = capsys.readouterr()
    document: dict[str, Any] = json.loads(shown.out or shown.err)
    return document


# --- options ---


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,3", [1, 2, 3]),
        ("1..4", [1, 2, 3, 4]),
        ("-1..1,5", [-1, 0, 1, 5]),
        ("0.1, 1e-3", [0.1, 0.001]),
        ("pca,random", ["pca", "random"]),
        ("true,null", [True, None]),
        ('"1","a,b"', ["1", "a,b"]),
        ("NaN", ["NaN"]),
    ],
)
def test_values_are_json_ranges_or_words(text: str, values: list[Any]) -> None:
    found = parse_values(text)
    assert found == values
    assert [type(it) for it in found] == [type(it) for it in values]


@pytest.mark.parametrize("text", ["1,,2", "1,", ",1", "1,1", "9..1", "[1]", "1..99999"])
def test_values_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_values(text)


def test_the_options_make_one_scatter_or_none() -> None:
    assert scatter_of([], copies=None, parameter=None) is None
    grid = scatter_of(["seed=1..2", "rank=5,10"], copies=None, parameter=None)
    assert grid is not None
    assert grid.document() == {"grid": {"seed": [1, 2], "rank": [5, 10]}}
    assert list(grid.values())[1] == {"seed": 1, "rank": 10}
    copies = scatter_of([], copies=3, parameter="seed")
    assert copies is not None
    assert copies.document() == {"copies": 3, "parameter": "seed"}
    assert list(copies.values()) == [{"seed": 1}, {"seed": 2}, {"seed": 3}]


@pytest.mark.parametrize(
    ("grid", "copies", "parameter"),
    [
        (["seed=1"], 3, "seed"),
        ([], 3, None),
        ([], None, "seed"),
        (["seed"], None, None),
        (["seed=1", "seed=2"], None, None),
        (["a=1..200", "b=1..200"], None, None),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    grid: list[str], copies: int | None, parameter: str | None
) -> None:
    with pytest.raises(UsageError):
        scatter_of(grid, copies=copies, parameter=parameter)


def test_a_grid_goes_into_the_submission(bucket: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path) -> None:
    for name in ("a.csv", "c.json"):
        (elsewhere / name).write_text("{}")
    words = ("job", "submit", BUCKET, "--data", "a.csv", "--config", "c.json", "--group", GROUP, "--timestamp", "x")
    found = ncap(capsys, *words, "--grid", "seed=1..2", "--grid", "init=pca,random", "--folders", "whole")
    assert found["scatter"] == {"grid": {"seed": [1, 2], "init": ["pca", "random"]}}
    written = json.loads(bucket.text(f"{GROUP}/submissions/x_submit.json"))
    assert (written["scatter"], written["folders"]) == (found["scatter"], "whole")


# --- following ---


@pytest.fixture
def followed(bucket: Bucket) -> Bucket:
    """A job that succeeded, and the next one, that failed."""
    end_job(bucket, {f"{GROUP}/inputs/a.csv": None})
    tell_step(bucket, STEP)
    bucket.s3.create_bucket(Bucket=NEXT)
    put_next(bucket, "logs/certificate.txt", "CERTIFICATE")
    put_next(bucket, "process_results/ranking.csv", "place")
    put_next(bucket, "process_results/end.txt", "FAILED\n\nIt ended so.\n")
    return bucket


def tell_step(bucket: Bucket, sentence: str) -> None:
    key = f"{REF.prefix}/logs/certificate.txt"
    line = f"[Job Manager] NEXT STEP {sentence}\t[+0:01:00.12]\n"
    bucket.put(key, bucket.text(key) + line)


def put_next(bucket: Bucket, name: str, text: str) -> None:
    bucket.s3.put_object(Bucket=NEXT, Key=f"{GROUP}/results/{NEXT_JOB}/{name}", Body=text.encode())


def test_steps_are_read_from_the_certificate_or_the_end() -> None:
    found = [
        match["said"] for match in LINE.finditer(f"x\n[Job Manager] NEXT STEP {STEP}\t[+0:01:00.12]\nNext step {STEP}")
    ]
    assert found == [STEP.partition(": ")[2]] * 2


def test_a_status_shows_what_follows(followed: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    found = ncap(capsys, "job", "status", JOB, "--group", GROUP, code=1)
    assert found["outcome"] == "SUCCEEDED"
    (step,) = found["steps"]
    assert (step["type"], step["analysis"], step["job"], step["outcome"]) == ("gather", NEXT, NEXT_JOB, "FAILED")


def test_watching_follows_all_steps_to_their_end(followed: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    found = ncap(capsys, "job", "status", JOB, "--group", GROUP, "--watch", "--timeout", "5", code=1)
    assert found["steps"][0]["outcome"] == "FAILED"


def test_a_step_without_a_job_says_why(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": None})
    tell_step(bucket, f"1 (gather, {NEXT}): not started: nothing succeeded.")
    found = ncap(capsys, "job", "status", JOB, "--group", GROUP, "--watch")
    assert (found["steps"][0]["job"], found["steps"][0]["message"]) == (None, "not started: nothing succeeded.")


def test_two_jobs_that_name_each_other_are_each_looked_at_once(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": None})
    tell_step(bucket, f"1 (chain, {BUCKET}): job {JOB} in bucket {BUCKET} was started.")
    found = read_followed(bucket.objects, JobReader(bucket.objects, REF).status())
    assert len(found.statuses) == 1


def test_results_come_in_a_folder_a_step(followed: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path) -> None:
    ncap(capsys, "job", "results", JOB, "--group", GROUP, "-o", "out")
    assert (elsewhere / "out" / NEXT / "ranking.csv").read_text() == "place"
    assert (elsewhere / "out" / BUCKET / "c.json").is_file()
    found = ncap(capsys, "job", "results", JOB, "--group", GROUP, "-o", "one", "--step", NEXT)
    assert sorted(found["files"]) == ["end.txt", "ranking.csv"]
    refused = ncap(capsys, "job", "results", JOB, "--group", GROUP, "--step", "other", code=4)
    assert f"{BUCKET}, {NEXT}" in refused["error"]["hint"]


def test_cancelling_an_ended_job_stops_what_follows_it(followed: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert ncap(capsys, "job", "cancel", JOB, "--group", GROUP)["asked"] is False
    followed.s3.delete_object(Bucket=NEXT, Key=f"{GROUP}/results/{NEXT_JOB}/process_results/end.txt")
    found = ncap(capsys, "job", "cancel", JOB, "--group", GROUP)
    assert found["asked"] is True
    assert json.loads(followed.text(found["submission"])) == {"cancel": JOB}


def test_resuming_tries_a_failed_step_again(followed: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    history = read_history(followed.objects, REF, now=NOW)
    assert steps_to_replay(followed.objects, history) == (NEXT,)
    found = ncap(capsys, "job", "resume", JOB, "--group", GROUP)
    assert (found["asked"], found["steps"]) == (True, [NEXT])
    assert json.loads(followed.text(found["submission"])) == {"replay": JOB}


# --- variants ---

VARIANTS = {
    "a__seed-1_init-pca.csv": None,
    "a__seed-1_init-random-walk.csv": "out-of-memory",
    "a__seed-2_init-pca.csv": "capacity",
}


@pytest.fixture
def scattered(bucket: Bucket) -> Bucket:
    """Three variants of one dataset: one succeeded, one failed, one never started."""
    bucket.put(f"{GROUP}/inputs/a.csv", "1,2")
    bucket.put(f"{GROUP}/configs/c.json", '{"gain": 1, "seed": 0}')
    names = {f"{GROUP}/inputs/{label}": failure for label, failure in VARIANTS.items()}
    bucket.job(
        "logs/certificate.txt", certificate(names, "line 2", "m7i.large", "v-0123456789abcdef", "2999-01-01 00:00:00")
    )
    tell_step(bucket, f"1 (gather, {NEXT}): not started: 1 of 3 succeeded and it needs 3.")
    for number, (label, failure) in enumerate(VARIANTS.items(), 1):
        if failure == "capacity":
            continue
        status = "FAILED" if failure else "SUCCESS"
        bucket.dataset(label, status, input=f"{GROUP}/inputs/a.csv", failure=failure)
        values = {"seed": 1, "init": "pca" if number == 1 else "random_walk"}
        copy = {"gain": 1, **values, "__scatter__": {"k": number, "values": values}}
        bucket.job(f"process_results/{label.removesuffix('.csv')}/c.json", json.dumps(copy))
    told = [f"{name}: {why}: So. Remedy: wait." if why else f"{name}: succeeded." for name, why in names.items()]
    bucket.end("\n".join(["PARTIAL", "", *told, "Look."]) + "\n")
    return bucket


def test_only_failed_variants_are_run_again_with_their_points(scattered: Bucket) -> None:
    history = read_history(scattered.objects, REF, now=NOW)
    plan = plan_resume(scattered.objects, history, config=None, version=None, instance_type=None)
    assert plan.datasets == (f"{GROUP}/inputs/a.csv",)
    assert (plan.config.key, plan.has_changed_config) == (f"{GROUP}/configs/c.json", False)
    assert plan.scatter is not None
    assert plan.scatter.document() == {
        "points": [
            {"k": 2, "values": {"seed": 1, "init": "random_walk"}},
            {"k": 3, "values": {"seed": 2, "init": "pca"}},
        ]
    }


def test_a_resumed_scatter_names_the_jobs_it_counts_with(scattered: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    found = ncap(capsys, "job", "resume", JOB, "--group", GROUP)
    written = json.loads(scattered.text(found["submission"]))
    assert written["resumes"] == [JOB]
    assert [point["k"] for point in written["scatter"]["points"]] == [2, 3]
    assert written["dataname"] == f"{GROUP}/inputs/a.csv"


def test_a_variant_nothing_tells_about_is_refused(bucket: Bucket) -> None:
    bucket.dataset("a__seed-1.csv", "FAILED")
    with pytest.raises(UsageError, match="cannot be told"):
        find_variants(bucket.objects, JobReader(bucket.objects, REF).status(), [f"{GROUP}/inputs/a__seed-1.csv"])


# --- money, words ---


def terms(analysis: str, *steps: dict[str, Any], minutes: int = 60) -> Terms:
    document = {
        **{"analysis": analysis, "instanceTypes": ["m7i.large"], "maxDurationMinutes": minutes, "maxDatasetSizeGb": 1},
        **{"volumeGib": 20, "maxCostUsd": "10", "groups": [GROUP], "steps": list(steps)},
    }
    return terms_of(document, source="test")


GATHER: dict[str, Any] = {
    "type": "gather",
    "analysis": "search",
    "files": [],
    "config": {},
    "atLeast": 1,
    "when": "scattered",
}
CHAIN: dict[str, Any] = {
    "type": "chain",
    "analysis": "after",
    "files": ["*.npy"],
    "config": {},
    "atLeast": None,
    "when": "asked",
}


def test_a_quote_counts_points_and_prices_every_step() -> None:
    prices = PriceTable({"m7i.large": Price(100_000, "now")}, "test")
    known = {"search": terms("search", minutes=30), "after": terms("after")}
    scatter = scatter_of(["seed=1..4"], copies=None, parameter=None)
    data = (Dataset("a", 1), Dataset("b", 1))
    values = {"__steps__": {"after": {"__duration__": 15}}}
    quote = make_quote(Ask(GROUP, data, values, scatter=scatter), terms("first", GATHER, CHAIN), prices)
    steps = quote_steps(quote, prices, known.get)
    assert quote.problems == ()
    assert quote.count == 8
    found = [(it.analysis, it.quote.count, it.quote.limits.minutes) for it in steps if it.quote]
    assert found == [("search", 1, 30), ("after", 8, 15)]
    assert total_micro(quote, steps) == quote.reserved_micro + sum(it.quote.reserved_micro for it in steps if it.quote)

    plain = make_quote(Ask(GROUP, data, {}), terms("first", GATHER, CHAIN), prices)
    assert quote_steps(plain, prices, known.get) == ()
    unknown = quote_steps(quote, prices, lambda name: None)
    assert [(it.analysis, it.quote) for it in unknown] == [("search", None), ("after", None)]


def test_steps_are_told_in_words() -> None:
    version = {"steps": [{"type": "scatter", "copies": 9, "parameter": "seed"}, GATHER, CHAIN]}
    first, gather, chain = describe_steps(version)
    assert first == "every dataset of every job runs 9 times, numbered in seed"
    assert "after every job that is scattered" in gather
    assert "the group pays" in gather
    assert "*.npy of each dataset" in chain
    assert next(iter(step_changes({}, version))) == f"from now on {first}"
    assert list(step_changes(version, {}))[-1] == f"no longer: {chain}"


def test_a_job_without_steps_has_none(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": None})
    assert next_steps(JobReader(bucket.objects, REF).status()) == ()
