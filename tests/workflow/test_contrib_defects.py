"""What went wrong with the tool these commands replace, and must not here; and jobs that print a lot, or oddly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.workflow.rig import BUCKET, JOB, STATUS, Rig
from workflow.cli import main
from workflow.reporter import LAST_ATTEMPTS

RESOURCES = f"{JOB}/logs/DATASET_NAME:x.csv_RESOURCES.json"


def tool(rig: Rig, *words: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "workflow.cli", "workflow", *words]
    return subprocess.run(argv, env={**rig.environ, **environ}, capture_output=True, check=False, cwd=rig.folder)


@pytest.fixture
def job(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    for name, value in rig.environ.items():
        if name.startswith("AWS_") or name == "HOME":
            monkeypatch.setenv(name, value)
    for words in (
        ["initialize-job", "-p", str(rig.folder)],
        ["register-dataset", "-b", BUCKET, "-k", "demo/inputs/x.csv"],
        ["register-config", "-b", BUCKET, "-k", "demo/configs/c.json"],
        ["register-resultpath", "-b", BUCKET, "-k", "results/job__lds_t1"],
    ):
        assert main(["workflow", *words]) == 0
    return rig


Logged = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def logged(job: Rig) -> Logged:
    """Runs a Python program by `log-command` in a process of its own."""

    def run(program: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
        script = job.folder / "program.py"
        script.write_text(program)
        line = f"{sys.executable} -u {script}"
        return tool(job, "log-command", "-b", BUCKET, "-c", line, "-r", "results/job__lds_t1", **environ)

    return run


def test_nothing_is_written_that_instances_share(job: Rig, logged: Logged) -> None:
    assert logged("print(1)").returncode == 0
    assert {key for key, _ in job.store.writes} == {STATUS, RESOURCES}


def test_a_status_object_need_not_exist_before_the_instance_starts(job: Rig, logged: Logged) -> None:
    assert STATUS not in job.store.objects
    assert logged("print(1)").returncode == 0
    assert job.store.document(STATUS)["status"] == "SUCCESS"


def test_a_script_that_has_not_printed_yet_is_in_progress(job: Rig, logged: Logged) -> None:
    logged("import time; time.sleep(0.7); print('x')")
    first = job.store.states(STATUS)[0]
    assert (first["status"], first["std"], first["reason"]) == ("IN PROGRESS", {}, None)


def test_a_dataset_with_blanks_in_its_name_has_a_status_of_its_own(job: Rig, logged: Logged) -> None:
    assert main(["workflow", "register-dataset", "-b", BUCKET, "-k", "demo/inputs/my x 1.csv"]) == 0
    logged("print(1)")
    status = job.store.document(f"{JOB}/logs/DATASET_NAME:my x 1.csv_STATUS.txt")
    assert status["input"] == "demo/inputs/my x 1.csv"


def test_datasets_of_one_basename_do_not_share_a_status(job: Rig, logged: Logged) -> None:
    logged("print(1)", NEUROCAAS_LABEL="x-2.csv")
    assert f"{JOB}/logs/DATASET_NAME:x-2.csv_STATUS.txt" in job.store.objects
    assert STATUS not in job.store.objects


def test_an_unreachable_bucket_is_told_and_the_command_runs_on(job: Rig, logged: Logged) -> None:
    job.store.refuse[STATUS] = 2
    ended = logged("print('done'); raise SystemExit(7)")
    assert ended.returncode == 7
    assert b"done\n" in ended.stdout
    assert b"access was denied" in ended.stderr
    assert not (job.folder / "logs/DATASTATUS.json").exists()


def test_a_byte_that_is_not_utf8_does_not_stop_the_log(job: Rig, logged: Logged) -> None:
    ended = logged("import sys; sys.stdout.buffer.write(b'caf\\xe9\\n'); print('after')")
    assert (ended.returncode, ended.stdout) == (0, b"caf\xe9\nafter\n")
    status = job.store.document(STATUS)
    assert (status["status"], status["std"]) == ("SUCCESS", {"0": "caf\ufffd\n", "1": "after\n"})


def test_a_character_printed_in_two_halves_is_whole(job: Rig, logged: Logged) -> None:
    program = "import sys, time; out = sys.stdout.buffer; out.write(b'\\xc3'); out.flush(); time.sleep(0.6); "
    logged(program + "out.write(b'\\xa9\\n')")
    assert job.store.document(STATUS)["std"] == {"0": "é\n"}


def test_a_final_status_that_is_refused_is_written_again(job: Rig, logged: Logged) -> None:
    job.store.refuse[STATUS] = LAST_ATTEMPTS - 4
    logged("print('last line')")
    status = job.store.document(STATUS)
    assert (status["status"], status["std"]) == ("SUCCESS", {"0": "last line\n"})


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_exit_code_is_the_commands(job: Rig, logged: Logged, code: int) -> None:
    assert logged(f"raise SystemExit({code})").returncode == code
    status = job.store.document(STATUS)
    assert (status["status"], status["reason"]) == ("FAILED" if code else "SUCCESS", code)


def test_times_are_utc_and_memory_is_what_was_used(job: Rig, logged: Logged) -> None:
    logged("import time; a = bytearray(60_000_000); time.sleep(1.3)", TZ="Asia/Tokyo")
    status = job.store.document(STATUS)
    started = time.mktime(time.strptime(status["job_start"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert abs(started - time.time()) < 60
    assert 50 < float(status["memory_usage"].removesuffix(" MB")) < 1000


@pytest.mark.parametrize(
    ("name", "text", "arguments"),
    [
        ("plain.sh", "#!/bin/sh\necho $# $1\n", ""),
        ("no interpreter line", "echo $# $1\n", ""),
        ("with.sh", "#!/bin/sh\necho $# $1\n", " 'a b' c"),
    ],
)
def test_a_command_may_have_blanks_arguments_or_no_interpreter_line(
    job: Rig, name: str, text: str, arguments: str
) -> None:
    script = job.folder / name
    script.write_text(text)
    script.chmod(0o755)
    ended = tool(job, "log-command", "-b", BUCKET, "-c", f"{script}{arguments}", "-r", "results/job__lds_t1")
    assert (ended.returncode, ended.stdout) == (0, b"2 a b\n" if arguments else b"0\n"), ended.stderr


def test_a_command_that_does_not_exist_exits_1_with_its_name(job: Rig) -> None:
    ended = tool(job, "log-command", "-b", BUCKET, "-c", "no-such-program", "-r", "results/job__lds_t1")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"no-such-program" in ended.stderr


def test_cleanup_may_be_repeated_and_follows_a_job_with_the_same_config_name(job: Rig) -> None:
    for text in ('{"a": 1}', '{"a": 2}'):
        job.store.put("demo/configs/c.json", text)
        assert main(["workflow", "cleanup"]) == 0
        assert job.store.objects[f"{JOB}/process_results/c.json"] == text.encode()
        assert job.store.objects.pop(f"{JOB}/process_results/update.txt") == b""


def test_two_commands_at_once_both_keep_what_they_register(job: Rig) -> None:
    def register(number: int) -> int:
        return tool(job, "register-file", "-n", f"n{number}", "-b", BUCKET, "-k", f"demo/inputs/{number}").returncode

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(register, range(16))) == {0}
    kept = json.loads((job.folder / "registration.json").read_text())["additional_files"]
    assert set(kept) == {f"n{number}" for number in range(16)}


def test_inside_the_platform_the_last_lines_before_a_stop_are_passed_on(job: Rig) -> None:
    script = job.folder / "program.sh"
    script.write_text("trap 'echo stopped; exit 9' TERM\necho started\nwhile :; do sleep 0.05; done\n")
    argv = [sys.executable, "-m", "workflow.cli", "workflow", "log-command"]
    argv += ["-b", BUCKET, "-c", f"sh {script}", "-r", "r"]
    environ = {**job.environ, "NEUROCAAS_OUTCOME": str(job.folder / "outcome")}
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
        os.killpg(child.pid, signal.SIGTERM)
        assert child.stdout.read().endswith(b"stopped\n")
    assert child.returncode == 9
    assert (job.folder / "outcome").read_text() == "9"
    assert (job.folder / "logs/log.txt").read_text().endswith("stopped\n")
    assert not job.store.writes


CHATTY = """
import sys
out = sys.stdout.buffer
line = b"x" * 99 + b"\\n"
for _ in range(100):
    out.write(line * 10_000)
out.write(b"\\xff\\xfe not text\\n")
out.write(b"z" * 10_000_000 + b"\\n")
for percent in range(101):
    out.write(b"\\r%3d%%|#####" % percent)
out.write(b"\\nend\\n")
"""


def test_a_hundred_megabytes_of_output_keep_status_right_and_memory_and_requests_few(job: Rig) -> None:
    script = job.folder / "program.py"
    script.write_text(CHATTY)
    line = f"{sys.executable} {script}"
    words = ["workflow", "log-command", "-b", BUCKET, "-c", line, "-r", "results/job__lds_t1"]
    program = f"import sys; from workflow.cli import main; code = main({words!r}); "
    program += "print(open('/proc/self/status').read(), file=sys.stderr); sys.exit(code)"
    with subprocess.Popen(
        [sys.executable, "-c", program], env=job.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        shown = 0
        while chunk := child.stdout.read(2**20):
            shown += len(chunk)
        peak_kb = int(child.stderr.read().partition(b"VmHWM:")[2].split()[0])
    assert child.returncode == 0
    assert shown > 110_000_000
    assert peak_kb < 150_000
    states = job.store.states(STATUS)
    assert len(states) < 60
    assert all(len(body) < 2_500_000 for key, body in job.store.writes if key == STATUS)
    lines = states[-1]["std"]
    assert states[-1]["status"] == "SUCCESS"
    assert len(lines) <= 2000
    assert list(lines)[-1] == str(1_000_000 + 3)
    assert list(lines.values())[-2:] == ["100%|#####\n", "end\n"]
    assert [len(line) for line in lines.values()][-3] == 10_002
