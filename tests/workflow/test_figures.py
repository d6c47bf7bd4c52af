"""The scripts of the paper's Figures 12 and 13, unmodified, on a machine that has what they name."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.workflow.rig import BUCKET, JOB, PROTOCOLS, Rig

FIGURES = Path(__file__).parent / "figures"
STATUS = f"{JOB}/logs/DATASET_NAME:my mice.zip_STATUS.txt"


def has_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode == 0
    except OSError:
        return False


def can_bind(folder: Path) -> bool:
    return subprocess.run(["sh", FIGURES / "enter.sh", folder, "true"], check=False).returncode == 0


@pytest.fixture
def ubuntu(rig: Rig) -> Path:
    """The home folder the scripts expect, with the tool on PATH."""
    home = rig.folder / "ubuntu"
    shutil.copytree(FIGURES / "ubuntu", home)
    (home / "dlamirc").rename(home / ".dlamirc")
    (home / "contribdata").mkdir()
    (home / "deepgraphpose/data").mkdir()
    tools = home / "anaconda3/bin"
    (tools / "python").symlink_to(sys.executable)
    (tools / "zip").chmod(0o755)
    tool = tools / "neurocaas-contrib"
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={PROTOCOLS} exec {sys.executable} -m workflow.cli "$@"\n')
    tool.chmod(0o755)
    for name in ("main.sh", "run_dgp.sh"):
        shutil.copyfile(FIGURES / name, home / name)
        (home / name).chmod(0o755)
    if not has_namespaces() or not can_bind(home):
        pytest.skip("no mount namespace here, so /home/ubuntu cannot be provided")
    return home


def project() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("mice/videos/a.avi", "video")
        archive.writestr("mice/config.yaml", "")
        archive.writestr("__MACOSX/._mice", "")
    return body.getvalue()


def run(rig: Rig, ubuntu: Path, config: str, *, data: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """The main script as NeuroCAAS calls it: bucket, data key, result path, config key, script."""
    rig.store.put("demo/inputs/my mice.zip", project() if data is None else data)
    rig.store.put("demo/configs/c.yaml", config)
    values = [BUCKET, "demo/inputs/my mice.zip", "results/job__lds_t1", "demo/configs/c.yaml"]
    return subprocess.run(
        ["sh", FIGURES / "enter.sh", ubuntu, "/home/ubuntu/main.sh", *values, "/home/ubuntu/run_dgp.sh"],
        env={**rig.environ, "HOME": "/home/ubuntu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("config", "said", "content"),
    [
        ("mode: predict\ntesting: true\n", "----STARTING PREDICTION; SETTING UP DEBUG NETWORK----", "test\n"),
        ("mode: train\n", "----STARTING TRAINING; SETTING UP NETWORK----", "full\n"),
    ],
)
def test_the_scripts_end_with_a_status_and_the_zipped_result(
    rig: Rig, ubuntu: Path, config: str, said: str, content: str
) -> None:
    ended = run(rig, ubuntu, config)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    status = rig.store.document(STATUS)
    assert (status["status"], status["reason"]) == ("SUCCESS", 0)
    assert status["input"] == "demo/inputs/my mice.zip"
    lines = [line.rstrip("\n") for line in status["std"].values()]
    assert said in lines
    assert "100%" in lines
    assert "50%" not in lines
    with zipfile.ZipFile(io.BytesIO(rig.store.objects[f"{JOB}/process_results/results_mice.zip"])) as results:
        (name,) = [name for name in results.namelist() if name.endswith("a_labeled.csv")]
        assert results.read(name).decode() == content
    assert f"{JOB}/process_results/update.txt" not in rig.store.objects
    assert not any(key.endswith("certificate.txt") for key in rig.store.objects)


def test_a_script_that_fails_is_a_failed_status_with_its_exit_code(rig: Rig, ubuntu: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("mice/config.yaml", "")
    ended = run(rig, ubuntu, "{}", data=body.getvalue())
    assert ended.returncode == 1
    status = rig.store.document(STATUS)
    assert (status["status"], status["reason"]) == ("FAILED", 1)
    assert "no video in the project" in json.dumps(status["std"])
    assert f"{JOB}/process_results/results_mice.zip" not in rig.store.objects


def test_an_unknown_value_of_testing_ends_the_script_without_a_result(rig: Rig, ubuntu: Path) -> None:
    assert run(rig, ubuntu, "testing: maybe\n").returncode == 0
    assert rig.store.document(STATUS)["status"] == "SUCCESS"
    assert not any("process_results" in key for key in rig.store.objects)


def test_a_main_script_with_cleanup_leaves_the_config_and_the_marker(rig: Rig, ubuntu: Path) -> None:
    with (ubuntu / "main.sh").open("a") as script:
        script.write("neurocaas-contrib workflow cleanup\n")
    assert run(rig, ubuntu, "{}").returncode == 0
    assert rig.store.objects[f"{JOB}/process_results/c.yaml"] == b"{}"
    assert rig.store.objects[f"{JOB}/process_results/update.txt"] == b""
