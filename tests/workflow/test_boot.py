"""Whole attempts: the real code, real child processes, object store and metadata service over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.workflow.rig import BUCKET, JOB, MANIFEST, STATUS, Rig
from workflow.boot import boot, main
from workflow.failure import Ending
from workflow.supervise import Inbox


@pytest.fixture
def run(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv("AWS_ENDPOINT_URL", rig.s3_url)
    return rig


def perform(rig: Rig, inbox: Inbox | None = None) -> int:
    return boot(f"s3://{BUCKET}/{MANIFEST}", environ=rig.environ, inbox=inbox or SimpleQueue())


def test_a_good_run_stores_results_config_log_status_and_marker_in_that_order(run: Rig) -> None:
    run.analysis('echo "working on $(basename $1)"; cp "$1" "$3/x_out.csv"; mkdir $3/sub; echo y > $3/sub/y.txt')
    assert perform(run) == 0
    stored = {key: body for key, body in run.store.objects.items() if key.startswith(f"{JOB}/process_results/")}
    assert stored == {
        f"{JOB}/process_results/x_out.csv": b"1,2\n",
        f"{JOB}/process_results/sub/y.txt": b"y\n",
        f"{JOB}/process_results/c.json": b'{"a": 1}',
        f"{JOB}/process_results/update.txt": b"",
    }
    assert run.store.objects[f"{JOB}/logs/x.csv_log.txt"] == b"working on x.csv\n"
    written = [key.removeprefix(f"{JOB}/") for key, _ in run.store.writes]
    assert written[-1] == "process_results/update.txt"
    assert written[-2] == "logs/DATASET_NAME:x.csv_STATUS.txt"


def test_the_status_has_the_fields_of_the_contract_in_their_order(run: Rig) -> None:
    run.analysis("echo one; echo two")
    perform(run)
    status = run.store.document(STATUS)
    contract = "instance command input status reason memory_usage cpu_usage job_start job_finish std"
    additions = "attempt failure message disk_usage environment isolation spot"
    assert list(status) == f"{contract} {additions}".split()
    assert status["status"] == "SUCCESS"
    assert status["reason"] == 0
    assert status["instance"] == "i-0123456789abcdef0"
    assert status["command"] == "sh run.sh"
    assert status["input"] == "demo/inputs/x.csv"
    assert status["std"] == {"0": "one\n", "1": "two\n"}
    assert status["environment"] == "iae:lds@sha256:00"
    for field in ("job_start", "job_finish"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status[field])


def test_status_is_written_at_once_and_follows_the_run(run: Rig) -> None:
    run.analysis("echo started; sleep 2.6; echo more")
    perform(run)
    states = run.store.states(STATUS)
    assert states[0]["status"] == "INITIALIZING"
    assert states[0]["reason"] is None
    assert states[0]["job_finish"] == "N/A"
    assert any(state["status"] == "IN PROGRESS" and "0" in state["std"] for state in states)
    assert len(states) <= 5


def test_the_exit_code_of_the_workflow_is_kept_and_its_files_are_stored(run: Rig) -> None:
    run.analysis('echo partial > "$3/x_part.txt"; echo "ValueError: negative rate"; exit 3')
    assert perform(run) == 3
    status = run.store.document(STATUS)
    assert (status["status"], status["reason"], status["failure"]) == ("FAILED", 3, "user-code")
    assert "exit code 3" in status["message"]
    assert "ValueError: negative rate" in status["message"]
    assert run.store.objects[f"{JOB}/process_results/x_part.txt"] == b"partial\n"


def test_a_killed_workflow_is_out_of_memory(run: Rig) -> None:
    run.analysis("kill -9 $$")
    assert perform(run) == 137
    status = run.store.document(STATUS)
    assert status["failure"] == "out-of-memory"
    assert "more memory" in status["message"]


def test_the_limit_ends_the_whole_group_and_keeps_what_there_is(run: Rig) -> None:
    run.manifest(durationMinutes=0.02)
    run.analysis('echo kept > "$3/x_kept.txt"; sleep 300 & echo $! > "$3/x_pid.txt"; wait')
    assert perform(run) == 124
    status = run.store.document(STATUS)
    assert (status["failure"], status["reason"]) == ("timeout", 124)
    assert "__duration__" in status["message"]
    pid = int(run.store.objects[f"{JOB}/process_results/x_pid.txt"])
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_a_workflow_leaves_running_is_ended_with_it(run: Rig) -> None:
    run.analysis('sleep 300 & echo $! > "$3/x_pid.txt"')
    assert perform(run) == 0
    deadline = time.monotonic() + 2
    pid = int(run.store.objects[f"{JOB}/process_results/x_pid.txt"])
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_output_that_is_not_utf8_is_shown_with_replacements(run: Rig) -> None:
    run.analysis(r"printf '10\rcaf\351 20\r\nend'")
    assert perform(run) == 0
    assert run.store.document(STATUS)["std"] == {"0": "caf� 20\n", "1": "end\n"}
    assert run.store.objects[f"{JOB}/logs/x.csv_log.txt"] == b"10\rcaf\xe9 20\r\nend"


def test_a_chatty_run_shows_its_end_and_stores_its_whole_log(run: Rig) -> None:
    run.analysis("seq 1 200000")
    assert perform(run) == 0
    lines = run.store.document(STATUS)["std"]
    assert list(lines)[-1] == "199999"
    assert lines["199999"] == "200000\n"
    assert len(lines) == 2000
    assert run.store.objects[f"{JOB}/logs/x.csv_log.txt"].count(b"\n") == 200_000


def test_a_silent_run_is_fine(run: Rig) -> None:
    run.analysis("exit 0")
    assert perform(run) == 0
    status = run.store.document(STATUS)
    assert status["std"] == {}
    assert "no result files" in status["message"]


def test_a_missing_dataset_is_an_input_failure(run: Rig) -> None:
    del run.store.objects["demo/inputs/x.csv"]
    assert perform(run) == 1
    status = run.store.document(STATUS)
    assert (status["status"], status["failure"]) == ("FAILED", "input")


def test_a_dataset_that_cannot_be_reached_is_told_as_a_boot_failure(run: Rig) -> None:
    (run.folder / "image/analysis/recipe.json").unlink()
    assert perform(run) == 1
    status = run.store.document(STATUS)
    assert status["failure"] == "boot"
    assert "recipe.json" in status["message"]


def test_a_program_that_is_not_in_the_environment_is_a_boot_failure(run: Rig) -> None:
    (run.folder / "image/analysis/recipe.json").write_text(json.dumps({"workflow": ["no-such-program"]}))
    assert perform(run) == 1
    assert "no-such-program" in run.store.document(STATUS)["message"]


def test_the_instance_takes_the_attempt_of_its_launch_index(run: Rig) -> None:
    run.metadata["ami-launch-index"] = "1"
    attempts = []
    for index, name in enumerate(["a.csv", "b.csv"]):
        key = f"demo/inputs/{name}"
        etag = run.store.put(key, name)
        attempts.append({"index": index, "attempt": 2, "dataset": key, "etag": etag, "label": name})
    run.manifest(attempts=attempts)
    run.analysis('cat "$1"')
    assert perform(run) == 0
    status = run.store.document(f"{JOB}/logs/DATASET_NAME:b.csv_STATUS.txt")
    assert status["std"] == {"0": "b.csv\n"}
    assert status["attempt"] == 2


def test_an_instance_without_an_attempt_does_nothing(run: Rig) -> None:
    run.metadata["ami-launch-index"] = "7"
    assert perform(run) == 1
    assert run.store.writes == []


def test_a_final_status_that_is_refused_is_tried_again(run: Rig) -> None:
    run.analysis("exit 0")
    run.store.refuse[STATUS] = 2
    assert perform(run) == 0
    assert run.store.document(STATUS)["status"] == "SUCCESS"


def test_refused_status_writes_never_end_the_analysis(run: Rig) -> None:
    run.analysis('sleep 0.3; echo done > "$3/x.txt"')
    run.store.refuse[STATUS] = 3
    assert perform(run) == 0
    assert f"{JOB}/process_results/x.txt" in run.store.objects


def test_results_that_cannot_be_stored_make_the_run_fail(run: Rig) -> None:
    run.analysis('echo 1 > "$3/x_a.txt"; echo 2 > "$3/x_b.txt"')
    run.store.refuse[f"{JOB}/process_results/x_a.txt"] = 99
    assert perform(run) == 1
    status = run.store.document(STATUS)
    assert (status["status"], status["failure"]) == ("FAILED", "boot")
    assert run.store.objects[f"{JOB}/process_results/x_b.txt"] == b"2\n"


def test_a_legacy_command_gets_its_four_values_as_data(run: Rig) -> None:
    key = """demo/inputs/a b'; touch pwned; ".csv"""
    attempt = {"index": 0, "attempt": 1, "dataset": key, "etag": run.store.put(key, "z"), "label": key[12:]}
    run.manifest(command="printf '%s\\n' {} \"<{}>\" '{}' {}", attempts=[attempt])
    assert perform(run) == 0
    status = run.store.document(f"{JOB}/logs/DATASET_NAME:{key[12:]}_STATUS.txt")
    expected = ["lds", f"<{key}>", "results/job__lds_t1", "demo/configs/c.json"]
    assert list(status["std"].values()) == [line + "\n" for line in expected]
    assert not list(run.folder.rglob("pwned"))


def test_a_legacy_command_starts_in_its_working_directory(run: Rig) -> None:
    run.manifest(command="pwd", workingDirectory=str(run.folder / "image"))
    assert perform(run) == 0
    assert run.store.document(STATUS)["std"] == {"0": f"{run.folder / 'image'}\n"}


def test_a_stop_during_the_run_stores_what_there_is(run: Rig) -> None:
    inbox: Inbox = SimpleQueue()
    halfway = run.folder / "halfway"
    run.analysis(f'echo half > "$3/x_half.txt"; touch "{halfway}"; sleep 300')

    def stop() -> None:
        while not halfway.exists():
            time.sleep(0.02)
        inbox.put(Ending.CANCELLED)

    threading.Thread(target=stop, daemon=True).start()
    assert perform(run, inbox) == 143
    status = run.store.document(STATUS)
    assert (status["status"], status["failure"]) == ("FAILED", "cancelled")
    assert run.store.objects[f"{JOB}/process_results/x_half.txt"] == b"half\n"


def test_a_stop_with_a_spot_notice_is_a_spot_interruption(run: Rig) -> None:
    run.analysis("sleep 300")
    run.metadata["spot/instance-action"] = '{"action": "terminate", "time": "2026-01-01T00:00:00Z"}'
    inbox: Inbox = SimpleQueue()
    threading.Timer(0.4, lambda: inbox.put(Ending.CANCELLED)).start()
    assert perform(run, inbox) == 143
    assert run.store.document(STATUS)["failure"] == "spot"


def test_a_termination_signal_to_the_real_command_is_reported_within_seconds(rig: Rig) -> None:
    rig.analysis('echo half > "$3/x_half.txt"; echo started; sleep 300')
    process = rig.start()
    deadline = time.monotonic() + 20
    while not any(state["status"] == "IN PROGRESS" for state in rig.store.states(STATUS)):
        assert time.monotonic() < deadline, process.stderr and process.stderr.read()
        time.sleep(0.05)
    sent = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == 143
    assert time.monotonic() - sent < 8
    assert rig.store.document(STATUS)["failure"] == "cancelled"
    assert rig.store.objects[f"{JOB}/process_results/x_half.txt"] == b"half\n"
    if process.stderr:
        process.stderr.close()


def test_the_command_refuses_anything_but_one_s3_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["http://example.com"]) == 2
    assert "s3://<bucket>" in capsys.readouterr().err
