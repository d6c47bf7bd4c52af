"""A spot interruption while data is fetched, during the run, and what the status says of the instance."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.workflow.rig import BUCKET, JOB, MANIFEST, STATUS, Rig
from workflow import supervise
from workflow.boot import boot
from workflow.metadata import MetadataService
from workflow.supervise import NoticeWatch

NOTICE = '{"action": "terminate", "time": "2026-01-01T00:00:00Z"}'


@pytest.fixture
def run(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv("AWS_ENDPOINT_URL", rig.s3_url)
    return rig


def _perform(rig: Rig) -> int:
    return boot(f"s3://{BUCKET}/{MANIFEST}", environ=rig.environ, inbox=SimpleQueue())


def _when(condition: Path, act: object) -> None:
    def wait() -> None:
        while not condition.exists():
            time.sleep(0.02)
        assert callable(act)
        act()

    threading.Thread(target=wait, daemon=True).start()


def test_a_notice_in_mid_run_stops_the_analysis_and_stores_what_there_is(run: Rig) -> None:
    halfway = run.folder / "halfway"
    run.analysis(f'echo half > "$3/x_half.txt"; touch "{halfway}"; sleep 300')
    _when(halfway, lambda: run.metadata.update({"spot/instance-action": NOTICE}))
    began = time.monotonic()
    assert _perform(run) == 143
    assert time.monotonic() - began < supervise.NOTICE_EVERY_S + 8
    status = run.store.document(STATUS)
    assert (status["status"], status["failure"]) == ("FAILED", "spot")
    assert run.store.objects[f"{JOB}/process_results/x_half.txt"] == b"half\n"


def test_a_notice_while_data_is_fetched_is_reported(run: Rig) -> None:
    held = threading.Event()
    body = run.store.objects["demo/inputs/x.csv"]

    class Held(dict[str, bytes]):
        """The dataset's bytes come only after the test."""

        def __getitem__(self, key: str) -> bytes:
            if key == "demo/inputs/x.csv":
                held.wait(30)
                return body
            return super().__getitem__(key)

    run.store.objects = Held(run.store.objects)
    run.metadata["spot/instance-action"] = NOTICE
    try:
        assert _perform(run) == 143
    finally:
        held.set()
    assert run.store.document(STATUS)["failure"] == "spot"


@pytest.mark.parametrize(("life_cycle", "is_spot"), [("spot", True), ("on-demand", False), (None, False)])
def test_the_status_says_whether_the_instance_is_a_spot_one(run: Rig, life_cycle: str | None, is_spot: bool) -> None:
    if life_cycle:
        run.metadata["instance-life-cycle"] = life_cycle
    run.analysis('echo out > "$3/x_out.txt"')
    assert MetadataService(run.metadata_url, sleep=lambda _: None).identity().is_spot is is_spot
    assert _perform(run) == 0
    assert run.store.document(STATUS)["spot"] is is_spot


def test_the_notice_is_asked_for_every_five_seconds() -> None:
    now, asked = 0.0, []

    def ask() -> bool:
        asked.append(now)
        return now >= 12

    watch = NoticeWatch(ask, lambda: now)
    answers = []
    while now < 16:
        answers.append(watch.has_notice())
        now += 0.5
    assert asked == [5.0, 10.0, 15.0]
    assert answers.count(True) == 1
