"""Values nobody means well by: huge, deep, half, many. Each is answered with words, in the time a function has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobmanager.budget import micro_of
from jobmanager.certificate import clipped
from jobmanager.config import ConfigError, parse_config
from jobmanager.datasets import LookTooLongError, Patience, PatientFinder, find_datasets
from jobmanager.job import dataset_labels
from jobmanager.observed import Listing, ObjectFacts
from jobmanager.parameters import check_parameters
from jobmanager.pricing import parse_prices
from jobmanager.rows import JobRow, LaunchRow, value_of
from jobmanager.scatter import folder_places
from jobmanager.strictjson import NotJsonError, parse_json
from jobmanager.submission import parse_submission
from tests.fakes.analyses import CHAIN, LOCANMF, SCATTER, Analyses
from tests.fakes.aws_session import CrashError, refuse
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"
ROW_BYTES = 400 * 1024
"""What a row of DynamoDB may hold."""
MANY = 10_000


def _largest_row(platform: FakePlatform) -> int:
    return max(len(json.dumps(row, ensure_ascii=False).encode()) for row in platform.rows(""))


# Numbers


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (10**400, {"type": "integer", "maximum": 20}),
        (1e308, {"type": "number", "multipleOf": 0.1, "maximum": 20}),
        (10**4000, {"type": "integer", "multipleOf": 7, "maximum": 20}),
    ],
)
def test_a_huge_number_is_a_problem_in_words_and_no_error(value: Any, schema: dict[str, Any]) -> None:
    assert any("at most 20" in it for it in check_parameters({"n": value}, {"properties": {"n": schema}}))


@pytest.mark.parametrize("text", ["0x" + "f" * 5_000, "1" + ":59" * 3_000])
def test_a_number_of_a_yaml_config_that_cannot_be_shown_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="too many digits"):
        parse_config("c.yaml", f"__duration__: {text}\n".encode())
    with pytest.raises(ConfigError, match="must be text"):
        parse_config("c.yaml", f"? {text}\n: 1\n".encode())


def test_a_number_beyond_all_numbers_is_refused_where_json_is_read() -> None:
    with pytest.raises(NotJsonError, match="too large a number"):
        parse_json(b'{"scatter": {"grid": {"rate": [1e400]}}}')


@pytest.mark.parametrize("usd", ["1e999999", "1" + "0" * 40])
def test_a_budget_beyond_all_money_is_no_amount(usd: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        micro_of(usd)


def test_a_price_table_of_no_moment_is_not_used() -> None:
    for moment in (5, "soon"):
        with pytest.raises(ValueError, match=r"price table|isoformat"):
            parse_prices(json.dumps({"types": {}, "fetched_at": moment}).encode())


# Depth, halves of signs, aliases


def test_what_is_nested_deeply_is_refused_before_anybody_writes_it() -> None:
    deep = b"[" * 400 + b"]" * 400
    with pytest.raises(NotJsonError, match="nested too deeply"):
        parse_json(b'{"spot": ' + deep + b"}")
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_config("c.yaml", b"a: " + b"[" * 150 + b"]" * 150)


def test_a_scatter_of_half_a_sign_is_refused_before_money(many: Analyses) -> None:
    many.deploy(parametersSchema={"type": "object"})
    many.upload()
    body = {"dataname": "demo/inputs/x.csv", "configname": "demo/configs/c.json", "timestamp": "1"}
    text = json.dumps(body | {"scatter": {"grid": {"note": ["\ud800"]}}})
    many.platform.deliver(
        many.platform.event_for("demo/submissions/submit.json", many.platform.put("demo/submissions/submit.json", text))
    )
    assert "half of a sign" in many.platform.result(JOB, "end")
    assert many.platform.budget() == (0, 0)


def test_a_config_for_a_next_step_of_half_a_sign_or_of_too_many_bytes_is_refused(many: Analyses) -> None:
    many.serve(LOCANMF, "v-0000000000000002", parametersSchema={"type": "object"})
    many.deploy(CHAIN, parametersSchema={"type": "object"})
    for number, note in enumerate(["\ud800", "\U0001f600" * 30_000]):
        many.upload(config={"__steps__": {LOCANMF: {"note": note}}})
        many.submit(timestamp=str(number))
        end = many.platform.result(f"job__kalman-lds_{number}", "end")
        assert "half of a sign" in end or "more than 100 KB" in end
    assert many.platform.budget() == (0, 0)


def test_aliases_that_describe_gigabytes_of_text_are_not_followed() -> None:
    body = 'a: &a "' + "x" * 500_000 + '"\nb: [' + ", ".join(["*a"] * 50_000) + "]\n"
    with pytest.raises(ConfigError, match="too much text"):
        parse_config("c.yaml", body.encode())


# What the ledger can hold


def test_a_refusal_with_a_thousand_long_words_fits_into_a_row_and_is_answered(memory: FakePlatform) -> None:
    memory.upload()
    config = {"latents": 3} | {"\U0001f600" * 2_000 + str(number): 1 for number in range(100)}
    memory.put("demo/configs/c.json", json.dumps(config, ensure_ascii=False))
    memory.submit()
    assert memory.result(JOB, "end").startswith("REJECTED")
    assert _largest_row(memory) < ROW_BYTES


def test_clipped_texts_say_how_many_are_left_out() -> None:
    assert clipped(["a", "b"]) == ("a", "b")
    shown = clipped(["\U0001f600" * 1_400] * 50)
    assert sum(len(it.encode()) for it in shown) < 70_000
    assert shown[-1] == f"… and {50 - (len(shown) - 1)} more"


def test_a_queue_that_waits_for_this_and_that_does_not_fill_the_job_s_row(memory: FakePlatform) -> None:
    memory.upload()
    codes = ("VcpuLimitExceeded", "InsufficientInstanceCapacity")
    memory.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), codes[0])
    memory.submit()
    for turn in range(130):
        memory.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), codes[turn % 2])
        memory.deliver({"resume": {"bucket": "kalman-lds", "group": "demo", "job": JOB}})
    (row,) = [value_of(JobRow, it) for it in memory.rows("JOB#") if it["sk"] == "JOB"]
    launches = [value_of(LaunchRow, it).number for it in memory.rows("JOB#") if str(it["sk"]).startswith("LAUNCH#")]
    assert max(launches) > 120
    assert len(row.log) < 115


def test_names_of_jobs_that_would_not_fit_into_a_key_are_refused() -> None:
    long = "\U0001f600" * 300
    body = {"dataname": "demo/inputs/x.csv", "configname": "demo/configs/c.json", "timestamp": "1"}
    asked = parse_submission(json.dumps(body | {"from": {"bucket": long, "job": long, "edge": 1}}).encode(), "demo")
    assert asked.origin is None
    assert any("'from'" in it for it in asked.problems)
    assert parse_submission(json.dumps({"cancel": long}).encode(), "demo").cancel is None


def test_the_list_of_a_large_job_is_not_changed_by_one_that_loses_its_name(memory: FakePlatform) -> None:
    memory.set_budget("100000")
    keys = memory.upload([f"{number}.csv" for number in range(120)])

    def dies(number: int, service: str, operation: str) -> None:
        transactions = memory.session.calls.count(("dynamodb", "transact_write_items"))
        if operation == "transact_write_items" and transactions == 2:  # admitted, with thirty rows still to write
            raise CrashError(operation)

    event = memory.submission(dataname=keys)
    memory.session.calls.clear()
    memory.session.before = dies
    with pytest.raises(CrashError):
        memory.deliver(event)
    memory.session.before = None
    memory.submit(dataname=keys[::-1][:110], key="demo/submissions/2submit.json")
    memory.deliver({"resume": {"bucket": "kalman-lds", "group": "demo", "job": JOB}})  # as the sweeper asks
    own = f"JOB#kalman-lds/demo/{JOB}"
    rows = [it for it in memory.rows(own) if it["pk"] == own and str(it["sk"]).startswith("ATTEMPT#")]
    assert [it["dataset"] for it in sorted(rows, key=lambda it: str(it["sk"]))] == keys


def test_the_list_of_a_job_of_an_earlier_release_is_found(memory: FakePlatform) -> None:
    memory.set_budget("100000")
    keys = memory.upload([f"{number}.csv" for number in range(120)])

    def dies(number: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise CrashError(operation)

    event = memory.submission(dataname=keys)
    memory.session.before = dies
    with pytest.raises(CrashError):
        memory.deliver(event)
    memory.session.before = None
    (place,) = memory.stored("demo/jobs/")[:1]
    memory.put(f"demo/jobs/{JOB}/attempts.json", memory.text(place))
    table = memory.session.backend("dynamodb")
    table.update_item(
        TableName="neurocaas-ledger",
        Key={"pk": {"S": f"JOB#kalman-lds/demo/{JOB}"}, "sk": {"S": "JOB"}},
        UpdateExpression="REMOVE #n0",
        ExpressionAttributeNames={"#n0": "plan_key"},
    )
    memory.session.backend("s3").delete_object(Bucket="kalman-lds", Key=place)
    memory.deliver(event)
    assert len(memory.instances) == 120


def test_a_row_that_cannot_be_read_does_not_keep_the_others_from_being_looked_after(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit()
    memory.services.gateway.put_row(
        "neurocaas-ledger",
        {"pk": "INSTANCE#i-0", "sk": "INSTANCE", "open_pk": "open", "deadline": "2026", "state": "A LATER STATE"},
    )
    memory.report(memory.instances[0], job=JOB)
    memory.vanish(memory.instances[0])
    memory.sweep(minutes=1)
    assert memory.result(JOB, "end").startswith("SUCCEEDED")


# Time


def test_ten_thousand_datasets_of_one_name_are_told_apart_in_little_time() -> None:
    labels = dataset_labels([f"demo/inputs/{number}/data.csv" for number in range(MANY)])
    assert (labels[0], labels[1], labels[-1]) == ("data.csv", "data-2.csv", f"data-{MANY}.csv")
    assert len(set(labels)) == MANY
    places = folder_places([f"a.{number}" for number in range(MANY)])
    assert len({it.folder for it in places}) == MANY


def test_a_name_that_looks_numbered_is_not_given_twice() -> None:
    keys = ["a/x.csv", "b/x.csv", "c/x-2.csv", "d/x.csv", "e/x-2.csv"]
    assert dataset_labels(keys) == ("x.csv", "x-3.csv", "x-2.csv", "x-4.csv", "x-2-2.csv")


class _Endless:
    """A bucket whose every folder goes on and on."""

    def __init__(self) -> None:
        self.calls = 0

    def head_object(self, bucket: str, key: str) -> ObjectFacts | None:
        self.calls += 1
        return None

    def list_objects(self, bucket: str, prefix: str, *, start_after: str) -> Listing:
        self.calls += 1
        below = prefix if start_after in (prefix, "") or not start_after.startswith(prefix) else start_after
        return Listing(tuple(ObjectFacts(f"{below}{number:04d}", "e", 1) for number in range(1000)), is_last=False)


def test_folders_without_end_are_given_up_in_time() -> None:
    bucket = _Endless()
    folders = [f"demo/inputs/{number}/{number}/" for number in range(MANY)]
    with pytest.raises(LookTooLongError, match="split the job"):
        find_datasets(bucket, "b", folders, limit=MANY)
    assert bucket.calls < 500


def test_places_without_end_are_given_up_in_time() -> None:
    bucket = _Endless()
    with pytest.raises(LookTooLongError, match="too many places"):
        find_datasets(
            PatientFinder(bucket, Patience(300)),
            "b",
            [f"x{number}/y/f{number}.csv" for number in range(MANY)],
            limit=MANY,
        )
    assert bucket.calls == 300


def test_a_submission_that_may_take_long_is_noted_first_so_that_a_function_without_time_left_is_answered_for(
    memory: FakePlatform,
) -> None:
    memory.upload(["one/x.csv"])
    event = memory.submission(dataname="demo/inputs/one/")

    def runs_out_of_time(number: int, service: str, operation: str) -> None:
        if operation == "list_objects_v2":
            raise CrashError(operation)

    for _ in range(3):  # Lambda tries three times
        memory.session.before = runs_out_of_time
        with pytest.raises(CrashError):
            memory.deliver(event)
    memory.session.before = None
    memory.sweep(minutes=31)
    (end,) = memory.end_markers()
    assert "through no fault of yours" in memory.text(end)
    assert not any("open_pk" in row for row in memory.rows(""))


def test_the_note_of_a_long_submission_goes_when_it_is_answered(memory: FakePlatform) -> None:
    memory.upload(["one/x.csv"])
    event = memory.submission(dataname="demo/inputs/one/")
    memory.deliver(event)
    memory.deliver(event)
    assert not any(row["sk"] == "PENDING" for row in memory.rows("SUBMISSION#"))


def test_spot_prices_that_cannot_be_read_keep_no_launch_from_being_written_down(memory: FakePlatform) -> None:
    memory.deploy(spot="always")
    memory.upload()
    memory.session.spot_prices = {("m7i.large", "us-east-1a"): "cheap"}
    memory.submit()
    (instance,) = memory.rows("INSTANCE#")
    assert instance["spot"] is True


def test_a_refusal_of_aws_of_any_length_fits_into_the_certificate(memory: FakePlatform) -> None:
    memory.upload()

    def refuses(number: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise refuse(operation, "UnauthorizedOperation", "x" * 300_000)

    memory.session.before = refuses
    memory.submit()
    memory.session.before = None
    memory.sweep(minutes=1)
    assert memory.result(JOB, "end").startswith("FAILED")
    assert _largest_row(memory) < ROW_BYTES


@pytest.fixture
def many() -> Analyses:
    """Three analyses."""
    return Analyses()


# Folders of earlier jobs


@pytest.mark.parametrize("place", [None, "s3://lab-archive/there", "s3://kalman-lds/demo/results/there"])
def test_copies_of_the_config_of_an_earlier_job_are_no_data_wherever_its_results_are(
    many: Analyses, place: str | None
) -> None:
    many.deploy(SCATTER, CHAIN)
    many.upload()
    many.submit(**({"resultpath": place} if place else {}))
    results = f"{place}/{JOB}" if place else f"s3://kalman-lds/demo/results/{JOB}"
    bucket, _, prefix = results.removeprefix("s3://").partition("/")
    for number in (1, 2, 3):
        for name in ("c.json", "r.npy"):
            many.put(bucket, f"{prefix}/process_results/x__seed-{number}/{name}", {"seed": number})
    many.work()
    many.resume_all()
    many.deliver_pending()
    next_job = f"job__{LOCANMF}_kalman-lds_1"
    assert many.jobs()[-1].job == next_job
    listed = many.s3.list_objects_v2(Bucket=LOCANMF, Prefix=f"demo/jobs/{next_job}/parts-")["Contents"]
    names = {part["key"].rpartition("/")[2] for it in listed for part in json.loads(many.text(LOCANMF, it["Key"]))}
    assert "r.npy" in names
    assert "c.json" not in names


def test_the_certificate_tells_what_a_resumption_has_to_ask_for(memory: FakePlatform) -> None:
    memory.deploy(spot="always")
    memory.upload(["one/x.npy"])
    memory.submit(dataname="demo/inputs/one/", folders="whole", files=["*.npy", "\n é"], spot=False)
    (line,) = [it for it in memory.result(JOB, "certificate").split("\n") if "ASKED" in it]
    said = line.partition("ASKED: ")[2].partition("\t")[0]
    assert json.loads(said) == {"folders": "whole", "files": ["*.npy", "\n é"], "spot": False}
    memory.submit(dataname="demo/inputs/one/x.npy", timestamp="2")
    assert "ASKED" not in memory.result("job__kalman-lds_2", "certificate")
