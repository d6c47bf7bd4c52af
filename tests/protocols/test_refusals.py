"""Submissions that are refused: always with words, an end marker, and nothing started or charged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"


def _only_job(platform: FakePlatform, group: str = "demo") -> str:
    (row,) = [row for row in platform.rows("JOB#") if row["group"] == group]
    return str(row["job"])


def _assert_refused(platform: FakePlatform, job: str, *words: str, group: str = "demo") -> None:
    end, certificate = platform.result(job, "end", group), platform.result(job, "certificate", group)
    assert end.startswith("REJECTED\n\n")
    for word in words:
        assert word in end
        assert word in certificate
    assert "[JOB TERMINATE REASON]" in certificate
    assert "====" not in certificate
    assert platform.instances == []
    assert platform.budget(group) == (0, 0)
    assert all("open_pk" not in row for row in platform.rows("JOB#"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataname": "demo/inputs/none.csv"}, "dataset 'demo/inputs/none.csv' does not exist"),
        ({"dataname": "demo/inputs/x"}, "dataset 'demo/inputs/x' does not exist"),
        ({"dataname": ["demo/inputs/x.csv", "demo/inputs/y.csv"]}, "dataset 'demo/inputs/y.csv' does not exist"),
        ({"dataname": "demo/inputs/empty/"}, "folder 'demo/inputs/empty/' holds no dataset"),
        ({"configname": "demo/configs/none.json"}, "config 'demo/configs/none.json' does not exist"),
        ({"instance_type": "p4d.24xlarge"}, "instance type 'p4d.24xlarge' is not offered"),
        ({"instance_type": "m7i.larg"}, "did you mean 'm7i.large'?"),
        ({"version": "v-ffffffffffffffff"}, "version 'v-ffffffffffffffff' of this analysis does not exist"),
        ({"version": "../secret"}, "version '../secret' of this analysis does not exist"),
        ({"dataname": "lab2/inputs/x.csv"}, "it belongs to another group"),
        ({"resultpath": "other/place"}, "it must be an address of the form s3://bucket/prefix"),
    ],
)
def test_what_a_submission_may_not_say(platform: FakePlatform, fields: dict[str, Any], words: str) -> None:
    platform.upload()
    platform.put("lab2/inputs/x.csv")
    platform.submit(**fields)
    _assert_refused(platform, JOB, words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"dataname": "demo/inp', "cannot be read as JSON: line 1"),
        (b" " * (5 * 1024 * 1024 + 1), "larger than 5 MB"),
        (b'{"timestamp": "x;y"}', "'timestamp' must be a whole number or a text"),
        (b"{}", "'timestamp' is missing"),
    ],
)
def test_a_submission_that_cannot_be_read_is_answered_under_a_name_of_its_own(
    platform: FakePlatform, body: bytes, words: str
) -> None:
    key = "demo/submissions/submit.json"
    platform.deliver(platform.event_for(key, platform.put(key, body)))
    job = _only_job(platform)
    assert job.startswith("job__kalman-lds_2026-11-22T10-00-00Z-")
    _assert_refused(platform, job, words)


def test_every_problem_is_told_at_once(platform: FakePlatform) -> None:
    platform.upload(config={"latents": 0, "methd": "em", "__duration__": 61, "__dataset_size__": -1})
    platform.submit(dataname="demo/inputs/none.csv", instance_type="t3.nano", instancetype="x")
    _assert_refused(
        platform,
        JOB,
        "dataset 'demo/inputs/none.csv' does not exist",
        "parameter 'latents' is 0; it must be at least 1",
        "parameter 'methd' is not known to this analysis; did you mean 'method'?",
        "parameter '__duration__' is 61; accepted is a whole number of minutes from 1 to 60",
        "parameter '__dataset_size__' is -1; accepted is a whole number of gigabytes from 0 to 10",
        "instance type 't3.nano' is not offered",
    )
    assert "'instancetype' is not known and was ignored; did you mean 'instance_type'?" in platform.result(
        JOB, "certificate"
    )


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("c.yaml", b"latents: [1", "is not YAML we can read"),
        ("c.json", b"{", "is not JSON we can read"),
        ("c.txt", b"latents=3", "must end in .json, .yaml, .yml"),
        ("c.yml", b"- 1\n", "must be a mapping"),
        ("c.yaml", b"3: 4\n", "must be text; write it in quotes"),
        ("c.yaml", b"!!python/object/apply:os.system ['true']", "is not YAML we can read"),
        ("c.json", b'"' + b"x" * (1024 * 1024) + b'"', "is larger than 1024 KB"),
        ("c.yaml", b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n".encode() for i in range(8)
        ), "describes more than"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_read_is_refused(platform: FakePlatform, name: str, body: bytes, words: str) -> None:
    platform.upload()
    platform.put(f"demo/configs/{name}", body)
    platform.submit(configname=f"demo/configs/{name}")
    _assert_refused(platform, JOB, words)


def test_a_yml_config_is_read(platform: FakePlatform) -> None:
    platform.upload()
    platform.put("demo/configs/c.yml", b"latents: 3\n__duration__: 7\n")
    platform.submit(configname="demo/configs/c.yml")
    assert "shutdown -h +22\n" in platform.session.launches[0]["UserData"]


def test_a_group_without_the_analysis_is_refused_in_its_own_folder(platform: FakePlatform) -> None:
    key = "others/submissions/submit.json"
    document = {"dataname": "others/inputs/x", "configname": "others/configs/c.json", "timestamp": 1}
    platform.deliver(platform.event_for(key, platform.put(key, document)))
    _assert_refused(platform, JOB, "group 'others' may not use this analysis", group="others")


def test_a_dataset_above_the_limit_is_refused(platform: FakePlatform) -> None:
    platform.deploy(maxDatasetSizeGb=0)
    platform.upload()
    platform.submit()
    _assert_refused(platform, JOB, "is larger than the 0 GB this analysis accepts")


def test_a_type_without_a_known_price_is_refused(platform: FakePlatform) -> None:
    platform.deploy(instanceTypes=["zz9.large"])
    platform.upload()
    platform.submit()
    _assert_refused(platform, JOB, "no price is known for instance type 'zz9.large'")


def test_a_job_above_the_budget_is_refused_with_the_figures(platform: FakePlatform) -> None:
    platform.set_budget("0.15")
    platform.upload()
    platform.submit()
    platform.submit(timestamp="2")
    assert len(platform.instances) == 1
    end = platform.result("job__kalman-lds_2", "end")
    assert "the job may cost up to $0.10" in end
    assert "only $0.05 is left of the budget of $0.15 for this analysis" in end


def test_a_budget_of_zero_means_zero(platform: FakePlatform) -> None:
    platform.set_budget("0")
    platform.upload()
    platform.submit()
    _assert_refused(platform, JOB, "only $0.00 is left of the budget of $0.00 for this analysis")


@pytest.mark.parametrize(
    "key",
    [
        "demo/inputs/F/submit.json",
        "demo/results/job__x/logs/asubmit.json",
        "submissions/submit.json",
        "demo/submissions/x.json",
    ],
)
def test_other_keys_are_ignored(platform: FakePlatform, key: str) -> None:
    version = platform.put(key, {"dataname": "x"})
    before = platform.stored()
    platform.deliver(platform.event_for(key, version))
    assert platform.stored() == before
    assert platform.session.calls == []


def test_a_refusal_delivered_twice_is_one_refusal(platform: FakePlatform) -> None:
    event = platform.submission(dataname=[])
    platform.deliver(event)
    platform.upload()
    platform.deliver(event)
    assert platform.end_markers() == [f"demo/results/{JOB}/process_results/end.txt"]
    assert json.dumps(platform.rows("JOB#")).count("REJECTED") == 1


@pytest.mark.parametrize(
    "name", ["a b.csv", "a+b.csv", "é漢字.csv", "a:b.csv", "100%.csv", "$(x)`y`';\".csv", "x" * 200]
)
def test_odd_but_legal_names_work(platform: FakePlatform, name: str) -> None:
    (key,) = platform.upload([name])
    platform.submit(dataname=key, key="demo/submissions/déjà vu 1+1:2submit.json", timestamp="à 1+1:2")
    job = "job__kalman-lds_à 1+1:2"
    assert json.loads(platform.text(f"demo/jobs/{job}/launch-1.json"))["attempts"][0]["dataset"] == key
    assert (
        f"neurocaas-boot 's3://kalman-lds/demo/jobs/{job}/launch-1.json'\n" in platform.session.launches[0]["UserData"]
    )
    platform.end(platform.instances[0], job=job, label=name)
    assert platform.result(job, "end").startswith("SUCCEEDED")


def test_a_name_too_long_for_its_status_is_refused_up_front(platform: FakePlatform) -> None:
    name = "d/" * 10 + "x" * 990
    (key,) = platform.upload([name])
    platform.submit(dataname=key)
    _assert_refused(platform, JOB, "is too long for the key of its status")
