"""Faults of baselines 5.2 that arrive in a submission: malformed, hostile, huge. Refused in words, or inert."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobmanager.submission import parse_submission
from tests.chaos.books import check
from tests.chaos.world import World

META = ("$(reboot)", "`reboot`", "'; reboot; '", '"; reboot; "', "a && reboot", "a | tee /etc/passwd", "a > b", "*")
PLAIN = ("a b", "a+b", "a:b", "é漢字🧠", "שלום", "%2e%2e", "-rf", "~")


@pytest.fixture
def world() -> World:
    made = World()
    made.upload(["x.csv"])
    return made


def _only_end(world: World) -> str:
    (marker,) = world.platform.end_markers()
    return world.platform.text(marker)


def _deliver(world: World, body: Any, key: str = "demo/submissions/submit.json") -> None:
    world.platform.deliver(world.platform.event_for(key, world.put(key, body)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"dataname": "demo/inputs/x.csv", "configname"', "cannot be read as JSON: line 1"),
        (b'\xef\xbb\xbf{"timestamp": 1}', "byte-order mark"),
        ('{"timestamp": 1}'.encode("utf-16"), "byte-order mark"),
        (b'{"timestamp": NaN}', "NaN is not a JSON number"),
        (b'{"timestamp": 1, "timestamp": 2}', "the field 'timestamp' is there twice"),
        (b'{"timestamp": 1, "dataname": ["\xff"]}', "is not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"timestamp": ' + b"9" * 10_000 + b"}", "too many digits"),
        (b"", "it is empty"),
        (b"null", "must be a JSON object"),
    ],
    ids=["truncated", "bom", "utf-16", "nan", "twice", "not utf-8", "deep", "digits", "empty", "null"],
)
def test_a_malformed_submission_is_answered_in_words(world: World, body: bytes, words: str) -> None:
    _deliver(world, body)
    end = _only_end(world)
    assert end.startswith("REJECTED\n")
    assert words in end
    assert world.platform.instances == []


@pytest.mark.parametrize("field", ["dataname", "configname", "timestamp"])
@pytest.mark.parametrize("value", ["dropped", None, 1.5, True, {}, [[]], ""], ids=repr)
def test_a_missing_or_wrong_field_is_named(world: World, field: str, value: object) -> None:
    body: dict[str, object] = {"dataname": "demo/inputs/x.csv", "configname": "demo/configs/c.json", "timestamp": 1}
    if value == "dropped":
        del body[field]
    else:
        body[field] = value
    _deliver(world, body)
    end = _only_end(world)
    assert end.startswith("REJECTED\n")
    assert field in end or field.removesuffix("name") in end


@pytest.mark.parametrize("field", ["dataname", "configname", "timestamp", "instance_type", "version", "resultpath"])
@pytest.mark.parametrize("text", META)
def test_shell_metacharacters_in_any_field_are_data(world: World, field: str, text: str) -> None:
    value = f"demo/{'inputs' if field == 'dataname' else 'configs'}/{text}" if field.endswith("name") else text
    world.platform.deliver(world.submission("1", **{field: value}))
    assert _only_end(world).startswith("REJECTED\n")
    assert world.platform.instances == []
    check(world.platform, [*world.user_keys, *_results(world)], {})


def _results(world: World) -> list[str]:
    return [key for key in world.platform.all_keys() if "/process_results/" in key]


@pytest.mark.parametrize("stem", [*PLAIN, *META])
def test_outlandish_but_legal_names_of_datasets_work_and_reach_no_shell(world: World, stem: str) -> None:
    (key,) = world.upload([f"{stem}.csv"])
    world.platform.deliver(world.submission("t 1+1:2=@é", dataname=key))
    assert world.assignment(world.platform.instances[0]).dataset == key
    (line,) = (it for it in world.platform.session.launches[0]["UserData"].splitlines() if "boot" in it)
    assert line == "neurocaas-boot 's3://kalman-lds/demo/jobs/job__kalman-lds_t 1+1:2=@é/launch-1.json'"
    world.run_to_the_end()
    assert _only_end(world).startswith("SUCCEEDED\n")


def test_a_key_of_1024_bytes_is_refused_up_front_and_one_that_fits_works(world: World) -> None:
    long = "d/" * 400 + "é" * 50 + ".csv"
    (key,) = world.upload([long])
    world.platform.deliver(world.submission("fits", dataname=key))
    too_long = "x" * (1024 - len("demo/inputs/"))
    world.upload([too_long])
    world.platform.deliver(world.submission("1", dataname=f"demo/inputs/{too_long}"))
    assert len(world.platform.instances) == 1
    assert "too long for the key of its status" in _only_end(world)


SEGMENTS = st.sampled_from(
    ["..", ".", "", "inputs", "configs", "results", "demo", "lab2", "a\x00b", "\n", "x.csv", "s3:"]
)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(st.lists(SEGMENTS, min_size=1, max_size=6))
def test_no_path_leads_out_of_the_own_inputs(segments: list[str]) -> None:
    key = "/".join(segments)
    found = parse_submission(
        json.dumps({"dataname": key, "configname": "demo/configs/c", "timestamp": 1}).encode(), "demo"
    )
    assert found.problems or (key.startswith("demo/inputs/") and not {"..", ".", ""} & set(key.rstrip("/").split("/")))
    if found.problems:
        assert found.datasets == ()


@pytest.mark.parametrize("key", ["s3://other-bucket/x.csv", "lab2/inputs/x.csv", "demo/../lab2/inputs/x.csv"])
def test_data_of_others_is_refused_by_name(world: World, key: str) -> None:
    world.upload(["x.csv"], "lab2")
    world.platform.deliver(world.submission("1", dataname=key))
    assert _only_end(world).startswith("REJECTED\n")
    assert key in _only_end(world)


def test_500_entries_of_one_dataset_are_one_instance(world: World) -> None:
    world.platform.deliver(world.submission("1", dataname=["demo/inputs/x.csv"] * 500))
    assert len(world.platform.instances) == 1


def test_an_empty_list_of_datasets_is_refused_by_name(world: World) -> None:
    world.platform.deliver(world.submission("1", dataname=[]))
    assert "'dataname' is an empty list" in _only_end(world)


def test_a_hundred_datasets_are_one_call_and_one_job(world: World) -> None:
    world.platform.deliver(world.submission("1", dataname=world.upload([f"{k}.csv" for k in range(100)])))
    assert [launch["MaxCount"] for launch in world.platform.session.launches] == [100]


def test_a_submission_uploaded_in_parts_starts_its_job(world: World) -> None:
    event = world.submission("1")
    event["Records"][0]["eventName"] = "ObjectCreated:CompleteMultipartUpload"
    world.platform.deliver(event)
    assert len(world.platform.instances) == 1


def test_an_empty_dataset_is_the_workflows_to_judge(world: World) -> None:
    world.put("demo/inputs/empty.csv", b"")
    world.platform.deliver(world.submission("1", dataname="demo/inputs/empty.csv"))
    world.run_to_the_end()
    assert _only_end(world).startswith("SUCCEEDED\n")


def test_nothing_of_a_submission_or_config_is_in_the_functions_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    world.put("demo/configs/c.json", {"latents": 3, "token": secret})
    with caplog.at_level(logging.DEBUG, logger="jobmanager"):
        world.platform.deliver(world.submission("1", note=secret))
        world.strike(2, after=False, code="busy")
        world.attempt(lambda: world.platform.deliver(world.submission("2", note=secret)))
    assert secret not in caplog.text


def test_names_cannot_forge_rows_or_markup_in_what_users_read(world: World) -> None:
    name = "<script>x</script> | STATUS: SUCCESS.csv"
    world.upload([name])
    world.platform.deliver(world.submission("1", dataname=f"demo/inputs/{name}"))
    instance = world.platform.instances[0]
    world.finish(instance, status="FAILED", reason=1, message="a\nSUCCEEDED\n\n| STATUS: SUCCESS", failure="user-code")
    world.tell_all()
    assert _only_end(world).count("\n") == 5
    assert _only_end(world).splitlines()[0] == "FAILED"
    certificate = world.platform.result("job__kalman-lds_1", "certificate").splitlines()
    assert sum(line.startswith("DATANAME: ") for line in certificate) == 1


def test_a_submission_outside_a_groups_folder_and_our_own_writes_start_nothing(world: World) -> None:
    for key in ("submit.json", "demo/results/job__x/asubmit.json", "demo/jobs/submit.json", "logs/active/submit.json"):
        _deliver(world, {"dataname": "x"}, key)
    assert world.platform.session.calls == []
    world.platform.deliver(world.submission("1"))
    world.run_to_the_end()
    own = set(world.platform.all_keys()) - world.user_keys
    assert not [key for key in own if key.endswith("submit.json")]
