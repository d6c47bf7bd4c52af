"""``neurocaas-contrib`` as analysis scripts call it: by hand, and as in the paper's Figures 12 and 13."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.workflow.rig import BUCKET, JOB, MANIFEST, PROTOCOLS, STATUS, Rig
from workflow.boot import boot
from workflow.cli import main


@pytest.fixture
def job(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A registered job whose commands run in this process."""
    for name, value in rig.environ.items():
        if name.startswith("AWS_") or name == "HOME":
            monkeypatch.setenv(name, value)
    assert main(["workflow", "initialize-job", "-p", str(rig.folder)]) == 0
    return rig


def register(*, result: str = "results/job__lds_t1") -> None:
    assert main(["workflow", "register-dataset", "-b", BUCKET, "-k", "demo/inputs/x.csv"]) == 0
    assert main(["workflow", "register-config", "-b", BUCKET, "-k", "demo/configs/c.json"]) == 0
    assert main(["workflow", "register-resultpath", "-b", BUCKET, "-k", result]) == 0


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints on stdout, which must be all there is."""
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_the_registration_file_is_the_one_other_tools_know(job: Rig) -> None:
    register()
    home = json.loads((job.folder / "home/.neurocaas_contrib_storageloc.json").read_text())
    assert home == {"path": str(job.folder)}
    assert json.loads((job.folder / "registration.json").read_text()) == {
        "data": {"s3": "s3://lds/demo/inputs/x.csv"},
        "config": {"s3": "s3://lds/demo/configs/c.json"},
        "additional_files": {},
        "resultpath": {"s3": "s3://lds/demo/results/job__lds_t1"},
    }


def test_fetched_files_are_named_on_exactly_one_line(job: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    assert main(["workflow", "get-data"]) == 0
    assert main(["workflow", "get-config", "-f", "-o", f"{job.folder / 'home'}/"]) == 0
    assert said(capsys, "workflow", "get-datapath") == f"{job.folder}/inputs/x.csv\n"
    assert said(capsys, "workflow", "get-dataname") == "x.csv\n"
    assert said(capsys, "workflow", "get-configpath") == f"{job.folder}/home/c.json\n"
    assert said(capsys, "workflow", "get-configname") == "c.json\n"
    assert said(capsys, "workflow", "get-group") == "demo\n"
    assert said(capsys, "workflow", "get-bucket") == "lds\n"
    assert (job.folder / "inputs/x.csv").read_text() == "1,2\n"


def test_an_existing_file_is_kept_without_force_and_not_taken_for_the_dataset(
    job: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    (job.folder / "inputs/x.csv").write_text("stale")
    assert main(["workflow", "get-data"]) == 0
    assert main(["workflow", "get-datapath"]) == 1
    assert "get-data" in capsys.readouterr().err
    assert (job.folder / "inputs/x.csv").read_text() == "stale"
    assert main(["workflow", "get-data", "-f"]) == 0
    assert (job.folder / "inputs/x.csv").read_text() == "1,2\n"


def test_further_files_are_registered_by_name(job: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    job.store.put("demo/inputs/atlas.npy", b"atlas")
    assert main(["workflow", "register-file", "-n", "atlas", "-b", BUCKET, "-k", "demo/inputs/atlas.npy"]) == 0
    assert main(["workflow", "get-filepath", "-n", "atlas"]) == 1
    assert main(["workflow", "get-file", "-n", "atlas"]) == 0
    assert said(capsys, "workflow", "get-filepath", "-n", "atlas") == f"{job.folder}/inputs/atlas.npy\n"
    assert said(capsys, "workflow", "get-filename", "-n", "atlas") == "atlas.npy\n"
    assert main(["workflow", "get-file", "-n", "other"]) == 1


def test_results_go_below_process_results(job: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    register()
    (job.folder / "out.zip").write_bytes(b"zip")
    (job.folder / "tree").mkdir()
    assert main(["workflow", "put-result", "-r", str(job.folder / "out.zip")]) == 0
    assert job.store.objects[f"{JOB}/process_results/out.zip"] == b"zip"
    assert main(["workflow", "put-result", "-r", str(job.folder / "tree")]) == 1
    address = said(capsys, "workflow", "get-resultpath", "-l", f"{job.folder / 'tree'}/")
    assert address == f"s3://lds/{JOB}/process_results/tree\n"
    assert main(["workflow", "get-data"]) == 0
    assert said(capsys, "workflow", "get-resultpath-tmp") == f"{job.folder}/results\n"
    assert (job.folder / "results").is_dir()


def test_cleanup_stores_config_and_marker_and_may_be_repeated(job: Rig) -> None:
    register(result="s3://lds/demo/results/elsewhere")
    for _ in range(2):
        assert main(["workflow", "cleanup"]) == 0
    assert job.store.objects["demo/results/elsewhere/process_results/c.json"] == b'{"a": 1}'
    assert job.store.objects["demo/results/elsewhere/process_results/update.txt"] == b""


def test_a_job_on_this_machine_needs_no_bucket(job: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    (job.folder / "mine.csv").write_text("5")
    for command, path in (("dataset", "mine.csv"), ("config", "mine.csv"), ("resultpath", "out")):
        assert main(["workflow", f"register-{command}", "-l", str(job.folder / path)]) == 0
    assert main(["workflow", "get-data"]) == 0
    assert said(capsys, "workflow", "get-datapath") == f"{job.folder}/inputs/mine.csv\n"
    assert main(["workflow", "put-result", "-r", str(job.folder / "inputs/mine.csv")]) == 0
    assert (job.folder / "out/process_results/mine.csv").read_text() == "5"
    assert main(["workflow", "cleanup"]) == 0
    assert main(["workflow", "get-group"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["workflow", "register-dataset", "-b", BUCKET],
        ["workflow", "register-dataset", "-b", BUCKET, "-k", "x", "-l", "y"],
        ["workflow", "register-resultpath", "-b", BUCKET, "-k", "results/j"],
        ["workflow", "get-data"],
        ["workflow", "get-dataname"],
        ["workflow", "cleanup"],
    ],
)
def test_what_cannot_be_done_yet_exits_1_and_says_what_to_do(
    job: Rig, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("neurocaas-contrib: ")


def test_without_initialize_job_every_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["workflow", "get-datapath"]) == 1
    assert "initialize-job" in capsys.readouterr().err


def test_a_missing_object_exits_1(job: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow", "register-dataset", "-b", BUCKET, "-k", "demo/inputs/no.csv"]) == 0
    assert main(["workflow", "get-data"]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "printed"),
    [
        ("testing", "True"),
        ("nothing", "None"),
        ("number", "1.5"),
        ("text", "predict"),
        ("items", "1 b True "),
        ("table", '{"a": [1, 2]}'),
    ],
)
def test_read_yaml_prints_what_scripts_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, printed: str
) -> None:
    (tmp_path / "c.yaml").write_text(
        "testing: true\nnothing: null\nnumber: 1.5\ntext: predict\nitems: [1, b, true]\ntable: {a: [1, 2]}\n"
    )
    assert said(capsys, "scripting", "read-yaml", "-p", str(tmp_path / "c.yaml"), "-f", field) == printed + "\n"


def test_read_yaml_reads_json_with_tabs_and_falls_back_to_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "c.json")
    Path(path).write_text('{\n\t"mode": false\n}')
    assert said(capsys, "scripting", "read-yaml", "-p", path, "-f", "mode", "-d", "x") == "False\n"
    assert said(capsys, "scripting", "read-yaml", "-p", path, "-f", "other", "-d", "predict") == "predict\n"
    assert main(["scripting", "read-yaml", "-p", path, "-f", "other"]) == 1
    assert "mode" in capsys.readouterr().err


def test_parse_zip_prints_the_only_top_level_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("project/config.yaml", "a: 1")
        archive.writestr("__MACOSX/._project", "")
    assert said(capsys, "scripting", "parse-zip", "-z", str(tmp_path / "p.zip")) == "project\n"
    assert (tmp_path / "project/config.yaml").read_text() == "a: 1"
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "")
        archive.writestr("b", "")
    assert main(["scripting", "parse-zip", "-z", str(tmp_path / "two.zip")]) == 1
    (tmp_path / "no.zip").write_text("no")
    assert main(["scripting", "parse-zip", "-z", str(tmp_path / "no.zip")]) == 1


MAIN_SCRIPT = """#!/bin/bash
neurocaas-contrib workflow initialize-job -p "$HOME"
neurocaas-contrib workflow register-dataset -b "$1" -k "$2"
neurocaas-contrib workflow register-config -b "$1" -k "$4"
neurocaas-contrib workflow register-resultpath -b "$1" -k "$3"
neurocaas-contrib workflow log-command -b "$1" -c "$5" -r "$3"
neurocaas-contrib workflow cleanup
"""

ANALYSIS_SCRIPT = """#!/bin/bash
set -e
neurocaas-contrib workflow get-data -f -o "$HOME/"
neurocaas-contrib workflow get-config -f -o "$HOME/"
datapath=$(neurocaas-contrib workflow get-datapath)
configpath=$(neurocaas-contrib workflow get-configpath)
mode=$(neurocaas-contrib scripting read-yaml -p "$configpath" -f mode -d predict)
echo "----RUNNING ANALYSIS IN MODE: $mode----"
cp "$datapath" "$HOME/results_x.zip"
neurocaas-contrib workflow put-result -r "$HOME/results_x.zip"
exit "$(neurocaas-contrib scripting read-yaml -p "$configpath" -f a -d 0)"
"""


@pytest.mark.parametrize("code", [0, 4])
def test_the_papers_scripts_run_as_a_legacy_command(rig: Rig, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", rig.s3_url)
    tools = rig.folder / "image/env/bin"
    for path, text in (
        (
            tools / "neurocaas-contrib",
            f'#!/bin/sh\nPYTHONPATH={PROTOCOLS} exec {sys.executable} -m workflow.cli "$@"\n',
        ),
        (rig.folder / "image/main.sh", MAIN_SCRIPT),
        (rig.folder / "image/analysis/run.sh", ANALYSIS_SCRIPT),
    ):
        path.write_text(text)
        path.chmod(0o755)
    image = rig.folder / "image"
    rig.manifest(command=f"bash {image}/main.sh {{}} {{}} {{}} {{}} {image}/analysis/run.sh")
    key = "demo/configs/c.json"
    config = {"key": key, "etag": rig.store.put(key, json.dumps({"a": code}))}
    rig.store.put(MANIFEST, json.dumps({**rig.store.document(MANIFEST), "config": config}))
    assert boot(f"s3://{BUCKET}/{MANIFEST}", environ=rig.environ, inbox=SimpleQueue()) == code
    status = rig.store.document(STATUS)
    assert status["status"] == ("SUCCESS" if code == 0 else "FAILED")
    assert "----RUNNING ANALYSIS IN MODE: predict----\n" in status["std"].values()
    assert rig.store.objects[f"{JOB}/process_results/results_x.zip"] == b"1,2\n"
    assert rig.store.objects[f"{JOB}/process_results/update.txt"] == b""


def test_log_command_on_a_machine_by_itself_reports_and_returns_the_exit_code(job: Rig) -> None:
    register()
    script = job.folder / "my script"
    script.write_text("echo hello; exit 5\n")
    script.chmod(0o755)
    environ = {**job.environ, "PYTHONUNBUFFERED": "1"}
    argv = [sys.executable, "-m", "workflow.cli", "workflow", "log-command"]
    argv += ["-b", BUCKET, "-c", str(script), "-r", "results/job__lds_t1"]
    ended = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (5, "hello\n")
    status = job.store.document(STATUS)
    assert (status["status"], status["reason"], status["std"]) == ("FAILED", 5, {"0": "hello\n"})
    assert status["instance"] == "i-0123456789abcdef0"
    assert (job.folder / "logs/log.txt").read_text() == "hello\n"
