"""The paper's Figures 12 and 13 as a job: a blueprint with COMMAND, submitted, run on an instance, ended."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from tests.stories.laboratory import HERE, Laboratory, wait_for_end

pytestmark = pytest.mark.cloud

FIGURES = HERE.parent / "workflow" / "figures"
SCRIPTS = {
    "main.sh": "main.sh",
    "run_dgp.sh": "run_dgp.sh",
    "activate": "ubuntu/anaconda3/bin/activate",
    "zip": "ubuntu/anaconda3/bin/zip",
    "demo.py": "ubuntu/deepgraphpose/demo/predict_dgp_demo.py",
}


@pytest.fixture(scope="module")
def figures(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """The laboratory's cloud with one analysis more, from a project of its own that allows it to the groups."""
    project = tmp_path_factory.mktemp("figures") / "project"
    shutil.copytree(laboratory.project, project, ignore=shutil.ignore_patterns("__pycache__"))
    analysis = project / "ncap_blueprints" / "figures"
    shutil.copytree(HERE / "figures", analysis)
    for name, source in SCRIPTS.items():
        shutil.copyfile(FIGURES / source, analysis / "environment" / name)
    profile = project / "user_profiles" / "demo" / "user_config_template.json"
    document = json.loads(profile.read_text())
    for group in document["UXData"]["Affiliates"]:
        group["Pipelines"] = [*group["Pipelines"], "figures"]
        group["Budget"] = {**group["Budget"], "figures": 5}
    profile.write_text(json.dumps(document, indent=2))
    found = replace(laboratory, project=project)
    found.ncap("environment", "pin", "figures")
    found.ncap("profile", "deploy", "demo", "--yes")
    found.ncap("blueprint", "deploy", "figures", "--yes")
    return found


def submit(figures: Laboratory, timestamp: str, files: dict[str, str], config: str) -> Any:
    """A job over a zipped project; the member's S3 client once it has ended, and its `end.txt`."""
    s3 = figures.client("s3", figures.member_key("demo-member"))
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    s3.put_object(Bucket="figures", Key="demo/inputs/my mice.zip", Body=body.getvalue())
    s3.put_object(Bucket="figures", Key="demo/configs/c.yaml", Body=config)
    document = {"dataname": "demo/inputs/my mice.zip", "configname": "demo/configs/c.yaml", "timestamp": timestamp}
    s3.put_object(Bucket="figures", Key=f"demo/submissions/{timestamp}_submit.json", Body=json.dumps(document))
    return s3, wait_for_end(s3, "figures", "demo", f"job__figures_{timestamp}", patience_s=120)


def read(s3: Any, job: str, name: str) -> bytes:
    found: bytes = s3.get_object(Bucket="figures", Key=f"demo/results/job__figures_{job}/{name}")["Body"].read()
    return found


def test_the_papers_scripts_are_a_job_with_result_config_marker_and_series(figures: Laboratory) -> None:
    files = {"mice/videos/a.avi": "video", "mice/config.yaml": ""}
    s3, end = submit(figures, "good", files, "mode: predict\ntesting: true\n")
    assert end.startswith("SUCCEEDED"), end
    with zipfile.ZipFile(io.BytesIO(read(s3, "good", "process_results/results_mice.zip"))) as results:
        assert any(name.endswith("a_labeled.csv") for name in results.namelist())
    assert read(s3, "good", "process_results/c.yaml").startswith(b"mode: predict")
    assert read(s3, "good", "process_results/update.txt") == b""
    status = json.loads(read(s3, "good", "logs/DATASET_NAME:my mice.zip_STATUS.txt"))
    shown = [line.rstrip("\n") for line in status["std"].values()]
    assert "----STARTING PREDICTION; SETTING UP DEBUG NETWORK----" in shown
    assert "100%" in shown
    assert "50%" not in shown
    series = json.loads(read(s3, "good", "logs/DATASET_NAME:my mice.zip_RESOURCES.json"))
    assert series["rows"]
    certificate = read(s3, "good", "logs/certificate.txt").decode()
    assert certificate.count("DATANAME:") == 1


def test_a_failure_inside_the_script_fails_the_job(figures: Laboratory) -> None:
    s3, end = submit(figures, "bad", {"mice/config.yaml": ""}, "{}")
    assert end.startswith("FAILED"), end
    assert "no video in the project" in end
    status = json.loads(read(s3, "bad", "logs/DATASET_NAME:my mice.zip_STATUS.txt"))
    assert (status["status"], status["reason"]) == ("FAILED", 1)
    assert json.loads(read(s3, "bad", "logs/DATASET_NAME:my mice.zip_RESOURCES.json"))["rows"]
