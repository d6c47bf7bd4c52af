"""Scatter, gather and chain from the submission to the last end, over several analyses on AWS in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobmanager.errors import AwsError
from jobmanager.states import EdgeState, JobState
from tests.fakes.analyses import CHAIN, CONSENSUS, GATHER, LOCANMF, SCATTER, Analyses
from tests.fakes.aws_session import refuse
from tests.fakes.platform import BUCKET, GROUP

FIRST = "job__kalman-lds_1"
GATHERED = f"job__{CONSENSUS}_kalman-lds_1"
CHAINED = f"job__{LOCANMF}_kalman-lds_1"
RESULTS = f"s3://{BUCKET}/{GROUP}/results/{FIRST}/process_results"


@pytest.fixture
def many() -> Analyses:
    """Three analyses."""
    return Analyses()


def _edge(many: Analyses, number: int = 1) -> tuple[EdgeState, str | None]:
    edge = next(it for it in many.edges() if it.number == number and it.bucket == BUCKET)
    return edge.state, edge.next_job


# Scatter


def test_a_scatter_makes_a_variant_a_point_each_with_its_own_place(many: Analyses) -> None:
    many.deploy()
    many.upload()
    many.submit(scatter={"grid": {"seed": [1, 2], "latents": [5, 10]}})
    (job,) = many.jobs()
    assert job.dataset_count == 4
    manifest, own = many.manifest(many.platform.instances[1])
    assert own["dataset"] == f"{GROUP}/inputs/x.csv"
    assert (own["label"], own["folder"]) == ("x__seed-1_latents-10.csv", "x__seed-1_latents-10")
    assert own["scatter"] == {"k": 2, "values": {"seed": 1, "latents": 10}}
    assert manifest["config"]["key"] == f"{GROUP}/configs/c.json"
    many.run_to_the_end()
    certificate = many.certificate(BUCKET, FIRST)
    assert f"DATANAME: {GROUP}/inputs/x__seed-2_latents-5.csv | STATUS: SUCCESS" in certificate
    assert many.end(BUCKET, FIRST).startswith("SUCCEEDED")


def test_a_variant_that_is_lost_is_tried_again_as_the_same_variant(many: Analyses) -> None:
    many.deploy(SCATTER)
    many.upload()
    many.submit()
    many.platform.clock.advance(minutes=3)
    many.platform.vanish(many.platform.instances[1])
    many.tell_all()
    many.resume_all()
    _manifest, own = many.manifest(many.platform.instances[3])
    assert (own["label"], own["scatter"]["k"], own["attempt"]) == ("x__seed-2.csv", 2, 2)


def test_ten_thousand_variants_are_taken_with_few_calls(many: Analyses) -> None:
    many.deploy(deployLimit=200)
    many.platform.set_budget("100000")
    many.upload()
    event = many.submission(scatter={"copies": 10_000, "parameter": "seed"})
    many.platform.session.calls.clear()
    many.platform.deliver(event)
    puts = sum(call == ("s3", "put_object") for call in many.platform.session.calls)
    assert many.jobs()[0].dataset_count == 10_000
    assert len(many.attempts(many.jobs()[0])) == 10_000
    assert puts <= 5, "no object a variant"
    writes = sum(call == ("dynamodb", "transact_write_items") for call in many.platform.session.calls)
    assert writes < 120


def test_a_scatter_of_the_version_is_that_of_the_config_s_field(many: Analyses) -> None:
    many.deploy(
        {"type": "scatter", "copies": "ensemble_size", "parameter": "jobnb"},
        parametersSchema={"type": "object"},
    )
    many.upload(config={"latents": 3, "mode": "train", "ensemble_size": 2})
    many.submit()
    assert [many.manifest(it)[1]["scatter"]["values"] for it in many.platform.instances] == [{"jobnb": 1}, {"jobnb": 2}]


def test_without_the_field_a_job_is_an_ordinary_one_and_says_so(many: Analyses) -> None:
    many.deploy(
        {"type": "scatter", "copies": "ensemble_size", "parameter": "jobnb"},
        parametersSchema={"type": "object"},
    )
    many.upload(config={"mode": "predict"})
    many.submit()
    _manifest, own = many.manifest(many.platform.instances[0])
    assert "folder" not in own
    assert "scatter" not in own
    assert "NOTE: the config has no 'ensemble_size'" in many.certificate(BUCKET, FIRST)


def test_a_submission_s_own_scatter_takes_the_place_of_the_version_s(many: Analyses) -> None:
    many.deploy(SCATTER)
    many.upload()
    many.submit(scatter={"points": [{"k": 2, "values": {"seed": 2}}]})
    (instance,) = many.platform.instances
    assert many.manifest(instance)[1]["scatter"] == {"k": 2, "values": {"seed": 2}}


@pytest.mark.parametrize(
    ("scatter", "datasets", "words"),
    [
        ({"copies": 2, "parameter": "sed"}, 1, "'sed' is not known to this analysis; did you mean 'seed'?"),
        ({"grid": {"seed": [1, 99_999]}}, 1, "parameter 'seed' is 99999"),
        ({"copies": 6_000, "parameter": "seed"}, 2, "2 datasets times 6000 points are 12000; at most 10000"),
        ({"copies": "n", "parameter": "seed"}, 1, "'copies' of 'scatter' must be a whole number"),
    ],
)
def test_a_scatter_that_cannot_be_is_refused_before_money(
    many: Analyses, scatter: Any, datasets: int, words: str
) -> None:
    many.deploy()
    names = [f"d{number}.csv" for number in range(datasets)]
    many.upload(*names)
    many.submit(scatter=scatter, dataname=[f"{GROUP}/inputs/{name}" for name in names])
    assert words in many.end(BUCKET, FIRST)
    assert many.platform.budget() == (0, 0)


# Gather


def test_a_gather_hands_all_results_over_as_one_dataset(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    assert "NEXT STEP 1 (gather, ensemble-consensus): waits for the end of this job" in many.certificate(BUCKET, FIRST)
    many.work()
    many.resume_all()
    (submission,) = many.submissions(CONSENSUS)
    assert submission == {
        "dataname": [f"{RESULTS}/x__seed-{k}/" for k in (1, 2, 3)],
        "configname": f"{GROUP}/configs/kalman-lds_1.json",
        "timestamp": "kalman-lds_1",
        "folders": "one",
        "files": ["*.out"],
        "from": {"bucket": BUCKET, "job": FIRST, "edge": 1},
    }
    assert json.loads(many.text(CONSENSUS, submission["configname"])) == {"beta": 12}
    many.run_to_the_end()
    first, gathered = many.jobs(BUCKET)[0], many.jobs(CONSENSUS)[0]
    assert (first.state, gathered.state, gathered.job) == (JobState.SUCCEEDED, JobState.SUCCEEDED, GATHERED)
    (attempt,) = many.attempts(gathered)
    parts = json.loads(many.text(CONSENSUS, str(attempt.parts)))
    assert len(parts) == 3
    assert all(part["key"].endswith(".out") for part in parts)
    assert _edge(many) == (EdgeState.SUCCEEDED, GATHERED)


def test_both_texts_of_the_first_job_name_the_next(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    many.run_to_the_end()
    assert f"Next step 1 (gather, ensemble-consensus): job {GATHERED} in bucket {CONSENSUS}" in many.end(BUCKET, FIRST)
    assert f"job {GATHERED} in bucket {CONSENSUS} ended: SUCCEEDED" in many.certificate(BUCKET, FIRST)


def test_the_end_of_the_first_job_is_told_when_the_next_is_known(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    many.work()
    assert not many.has_ended(BUCKET, FIRST)
    many.resume_all()
    many.deliver_pending()
    assert not many.has_ended(BUCKET, FIRST)
    many.platform.sweep(minutes=1)
    assert many.has_ended(BUCKET, FIRST)
    assert not many.has_ended(CONSENSUS, GATHERED)


def test_a_gather_of_a_partial_job_takes_what_succeeded_if_that_is_enough(many: Analyses) -> None:
    many.deploy(SCATTER, {**GATHER, "atLeast": 2})
    many.upload()
    many.submit()
    many.work("x__seed-2.csv")
    many.run_to_the_end()
    assert [job.state for job in many.jobs(BUCKET)] == [JobState.PARTIAL]
    assert many.submissions(CONSENSUS)[0]["dataname"] == [f"{RESULTS}/x__seed-{k}/" for k in (1, 3)]
    assert many.jobs(CONSENSUS)[0].state is JobState.SUCCEEDED


@pytest.mark.parametrize(("at_least", "wanted"), [(None, 3), (3, 3)])
def test_too_few_successes_start_nothing_and_say_why(many: Analyses, at_least: int | None, wanted: int) -> None:
    many.deploy(SCATTER, {**GATHER, "atLeast": at_least})
    many.upload()
    many.submit()
    many.work("x__seed-2.csv")
    many.run_to_the_end()
    words = f"(gather, ensemble-consensus): not started: 2 of 3 succeeded and it needs {wanted}."
    assert words in many.end(BUCKET, FIRST)
    assert words in many.certificate(BUCKET, FIRST)
    assert many.submissions(CONSENSUS) == []
    assert _edge(many) == (EdgeState.SKIPPED, None)


# Chain


def test_a_chain_makes_each_dataset_a_folder_of_one_next_job(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload("x.csv", "y.csv")
    many.submit(dataname=[f"{GROUP}/inputs/{name}" for name in ("x.csv", "y.csv")])
    many.work("y.csv")
    many.run_to_the_end()
    (submission,) = many.submissions(LOCANMF)
    assert submission["dataname"] == [f"{RESULTS}/x/"]
    assert submission["folders"] == "whole"
    assert "files" not in submission
    (chained,) = many.jobs(LOCANMF)
    assert (chained.job, chained.state, chained.dataset_count) == (CHAINED, JobState.SUCCEEDED, 1)


def test_one_dataset_keeps_its_results_where_they_always_were(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    assert "folder" not in many.manifest(many.platform.instances[0])[1]
    many.run_to_the_end()
    assert many.submissions(LOCANMF)[0]["dataname"] == [f"{RESULTS}/"]
    assert many.jobs(LOCANMF)[0].state is JobState.SUCCEEDED


def test_a_chain_of_a_chain_goes_on(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.serve(LOCANMF, "v-" + "a" * 16, parametersSchema={}, steps=[{**GATHER, "files": [], "analysis": CONSENSUS}])
    many.upload()
    many.submit()
    many.run_to_the_end()
    assert [job.state for job in many.jobs()] == [JobState.SUCCEEDED] * 3
    third = f"job__{CONSENSUS}_{LOCANMF}_kalman-lds_1"
    assert many.end(CONSENSUS, third).startswith("SUCCEEDED")
    assert [edge.depth for edge in many.edges()] == [1, 2]


def test_a_circle_of_analyses_comes_to_an_end(many: Analyses) -> None:
    many.deploy()
    many.serve(LOCANMF, "v-" + "a" * 16, parametersSchema={}, steps=[CHAIN])
    many.put(LOCANMF, f"{GROUP}/inputs/x.csv", "1")
    many.put(LOCANMF, f"{GROUP}/configs/c.json", {})
    key = f"{GROUP}/submissions/1_submit.json"
    body = {"dataname": f"{GROUP}/inputs/x.csv", "configname": f"{GROUP}/configs/c.json", "timestamp": "1"}
    version = many.put(LOCANMF, key, body)
    many.deliver(LOCANMF, many.event(LOCANMF, key, version))
    many.run_to_the_end(rounds=80)
    assert len(many.jobs(LOCANMF)) == 10
    last = next(job for job in many.jobs(LOCANMF) if job.state is JobState.REJECTED)
    assert "do its analyses follow each other in a circle?" in many.end(LOCANMF, last.job)


# When, and with what


def test_a_step_for_scattered_jobs_is_not_taken_by_others(many: Analyses) -> None:
    many.deploy({**GATHER, "when": "scattered"})
    many.upload()
    many.submit()
    many.submit(timestamp="2", scatter={"copies": 2, "parameter": "seed"})
    assert [edge.job for edge in many.edges()] == ["job__kalman-lds_2"]


def test_a_step_asked_for_takes_the_user_s_parameters(many: Analyses) -> None:
    many.deploy({**CHAIN, "when": "asked"})
    many.upload()
    many.submit()
    assert many.edges() == []
    many.upload(config={"latents": 3, "__steps__": {LOCANMF: {"maxrank": 5, "__duration__": 20}}})
    many.submit(timestamp="2")
    (edge,) = many.edges()
    assert json.loads(edge.config) == {"maxrank": 5, "__duration__": 20}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({LOCANMF: {"maxrank": "many"}}, "next step 'locanmf': parameter 'maxrank' is \"many\""),
        ({LOCANMF: {"__duration__": 10_000}}, "next step 'locanmf': parameter '__duration__' is 10000"),
        ({"locanfm": {}}, "names 'locanfm', which is no next step of this analysis; did you mean 'locanmf'?"),
        ({LOCANMF: 3}, "'__steps__' must be as"),
        ([], "'__steps__' must be as"),
    ],
)
def test_what_is_asked_of_a_next_step_is_checked_before_money(many: Analyses, asked: Any, words: str) -> None:
    many.deploy({**CHAIN, "when": "asked"})
    many.upload(config={"latents": 3, "__steps__": asked})
    many.submit()
    assert words in many.end(BUCKET, FIRST)
    assert many.platform.instances == []


def test_a_group_without_the_next_analysis_is_refused_at_once(many: Analyses) -> None:
    many.serve(LOCANMF, "v-" + "b" * 16, groups=["lab2"])
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    assert "analysis 'locanmf', which group 'demo' may not use; ask an operator" in many.end(BUCKET, FIRST)


def test_a_next_analysis_that_is_not_deployed_is_told_at_once(many: Analyses) -> None:
    many.deploy({**CHAIN, "analysis": "pmd", "bucket": "pmd"})
    many.upload()
    many.submit()
    assert "analysis 'pmd', which is not deployed; tell an operator" in many.end(BUCKET, FIRST)


# When something of it fails


def test_a_next_job_that_is_refused_is_named_with_the_reason(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.platform.set_budget("0", analysis=CONSENSUS)
    many.upload()
    many.submit()
    many.run_to_the_end()
    assert many.jobs(CONSENSUS)[0].state is JobState.REJECTED
    words = f"job {GATHERED} in bucket {CONSENSUS} was refused: the job may cost up to"
    assert words in many.end(BUCKET, FIRST)
    assert words in many.certificate(BUCKET, FIRST)
    assert many.end(BUCKET, FIRST).startswith("SUCCEEDED"), "the first job itself went well"
    assert many.platform.budget(analysis=CONSENSUS) == (0, 0)


def test_a_refused_step_can_be_carried_out_again(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.platform.set_budget("0", analysis=CONSENSUS)
    many.upload()
    many.submit()
    many.run_to_the_end()
    many.platform.set_budget("300", analysis=CONSENSUS)
    event = many.platform.submission(key=f"{GROUP}/submissions/r_submit.json", replay=FIRST)
    many.platform.deliver(event)
    many.run_to_the_end()
    again = f"job__{CONSENSUS}_kalman-lds_1-again-1"
    assert _edge(many) == (EdgeState.SUCCEEDED, again)
    assert f"job {again} in bucket {CONSENSUS} ended: SUCCEEDED" in many.certificate(BUCKET, FIRST)
    before = many.platform.rows("")
    many.platform.deliver(event)
    assert many.platform.rows("") == before, "what succeeded is not carried out once more"


def test_replaying_what_cannot_be_changes_nothing(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    many.work("x__seed-1.csv")
    many.run_to_the_end()
    before = many.edges()
    for job in (FIRST, "job__kalman-lds_none"):
        many.platform.deliver(many.platform.submission(key=f"{GROUP}/submissions/r_submit.json", replay=job))
    assert many.edges() == before


def test_results_of_a_resumed_job_are_gathered_with_those_of_the_first(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    many.work("x__seed-2.csv")
    many.run_to_the_end()
    assert many.submissions(CONSENSUS) == []
    many.submit(timestamp="1-resume-1", scatter={"points": [{"k": 2, "values": {"seed": 2}}]}, resumes=[FIRST])
    many.run_to_the_end()
    (submission,) = many.submissions(CONSENSUS)
    second = RESULTS.replace(FIRST, f"{FIRST}-resume-1")
    assert submission["dataname"] == [f"{RESULTS}/x__seed-1/", f"{RESULTS}/x__seed-3/", f"{second}/x__seed-2/"]
    assert many.jobs(CONSENSUS)[0].state is JobState.SUCCEEDED


def test_a_next_bucket_that_is_gone_ends_the_edge(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    many.aws.objects.gone.add(LOCANMF)
    many.run_to_the_end()
    assert "not started: the analysis 'locanmf' is not deployed any more." in many.end(BUCKET, FIRST)


def test_a_submission_that_cannot_be_written_is_tried_until_its_time_is_over(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    many.work()

    def deny(number: int, service: str, operation: str) -> None:
        if (service, operation) == ("s3", "put_object"):
            raise refuse("PutObject", "AccessDenied")

    many.platform.session.before = deny
    with pytest.raises(AwsError):
        many.resume_all()
    many.platform.session.before = None
    many.platform.session.invoked.clear()
    many.platform.sweep(minutes=31)
    many.platform.sweep(minutes=1)
    assert "not started: its submission could not be written: AccessDenied." in many.end(BUCKET, FIRST)


def test_a_lost_wake_up_is_repeated_by_the_sweep(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    many.work()
    many.platform.session.invoked.clear()
    many.run_to_the_end()
    assert _edge(many) == (EdgeState.SUCCEEDED, CHAINED)


def test_a_lost_event_of_the_next_submission_is_made_up_for(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    many.work()
    many.resume_all()
    ((_, lost),) = many.pending()
    many.platform.sweep(minutes=6)
    many.resume_all()
    again = many.pending()
    assert len(again) == 2
    many.deliver(LOCANMF, again[1][1])
    many.deliver(LOCANMF, lost)
    many.run_to_the_end()
    ran = [job for job in many.jobs(LOCANMF) if job.state is not JobState.REJECTED]
    assert [job.job for job in ran] == [CHAINED], "it came late after all, and only one of the two is carried out"
    assert _edge(many) == (EdgeState.SUCCEEDED, CHAINED)


def test_an_event_that_comes_twice_makes_one_job(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    many.work()
    many.resume_all()
    for _ in range(2):
        many.deliver_pending()
    many.run_to_the_end()
    many.deliver_pending()
    assert [job.job for job in many.jobs(LOCANMF)] == [CHAINED]


def test_a_next_job_never_answered_is_told_after_half_an_hour(many: Analyses) -> None:
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    many.work()
    many.resume_all()
    for _ in range(2):
        many.platform.sweep(minutes=16)
    many.platform.sweep(minutes=1)
    assert "not started: its submission was not answered within 30 minutes." in many.end(BUCKET, FIRST)
    many.deliver_pending()
    many.run_to_the_end()
    assert [job.state for job in many.jobs(LOCANMF)] == [JobState.REJECTED]
    assert "waits no longer for this one" in many.end(LOCANMF, CHAINED)


# Cancelling


def _cancel(many: Analyses) -> None:
    key = f"{GROUP}/submissions/cancel_submit.json"
    many.platform.deliver(many.platform.submission(key=key, cancel=FIRST))


def test_cancelling_a_running_job_cancels_what_was_to_follow(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    _cancel(many)
    many.run_to_the_end()
    assert many.end(BUCKET, FIRST).startswith("CANCELLED")
    assert _edge(many) == (EdgeState.CANCELLED, None)
    assert many.submissions(CONSENSUS) == []


def test_cancelling_between_two_jobs_keeps_the_second_from_starting(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    many.work()
    many.resume_all()
    _cancel(many)
    many.run_to_the_end()
    assert _edge(many) == (EdgeState.CANCELLED, None)
    assert [job.state for job in many.jobs(CONSENSUS)] == [JobState.REJECTED]
    assert "was cancelled" in many.end(CONSENSUS, GATHERED)
    assert "not started: cancelled at the request of its group." in many.end(BUCKET, FIRST)


def test_cancelling_the_first_job_stops_the_second(many: Analyses) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    many.work()
    many.resume_all()
    many.deliver_pending()
    (running,) = many.platform.living()
    _cancel(many)
    many.deliver_pending()
    assert many.platform.living() == [], f"{running} is ended"
    many.run_to_the_end()
    assert many.jobs(CONSENSUS)[0].state is JobState.CANCELLED
    assert _edge(many) == (EdgeState.CANCELLED, GATHERED)


# Forgery


@pytest.mark.parametrize(
    "origin",
    [
        {"bucket": BUCKET, "job": FIRST, "edge": 1},
        {"bucket": BUCKET, "job": "job__kalman-lds_none", "edge": 1},
        {"bucket": BUCKET, "job": FIRST, "edge": 9},
    ],
)
def test_a_submission_cannot_make_itself_the_next_job(many: Analyses, origin: dict[str, Any]) -> None:
    many.deploy(SCATTER, GATHER)
    many.upload()
    many.submit()
    before = many.edges()
    many.put(CONSENSUS, f"{GROUP}/inputs/x.csv", "1")
    many.put(CONSENSUS, f"{GROUP}/configs/c.json", {})
    key = f"{GROUP}/submissions/mine_submit.json"
    body = {"dataname": f"{GROUP}/inputs/x.csv", "configname": f"{GROUP}/configs/c.json", "timestamp": "1"}
    version = many.put(CONSENSUS, key, body | {"from": origin})
    many.deliver(CONSENSUS, many.event(CONSENSUS, key, version))
    assert "is not followed by this one; leave 'from' out" in many.end(CONSENSUS, f"job__{CONSENSUS}_1")
    assert many.edges() == before


def test_a_hand_made_origin_of_another_form_is_refused(many: Analyses) -> None:
    many.deploy()
    many.upload()
    many.submit(**{"from": {"bucket": "../x", "job": "a/b", "edge": True}})
    assert "'from' is written by the platform" in many.end(BUCKET, FIRST)
