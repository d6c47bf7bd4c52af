"""Runs an analysis's workflow by hand, in the very environment an instance would have."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ncap_iac.analysis.checking import Checked, run_check
from ncap_iac.analysis.sample import Sample, has_sample, load_sample
from ncap_iac.deploy.images import ImageMaker
from ncap_iac.progress import silent
from ncap_iac.project import Project

ROOT = Path(__file__).resolve().parents[2]
BLUEPRINTS = ROOT / "ncap_blueprints"


@dataclass(frozen=True)
class Ran:
    """How a run ended, and where its results are."""

    code: int
    out: str
    err: str
    results: Path


def with_samples() -> list[str]:
    """The analyses that bring a sample and its check."""
    return sorted(path.name for path in BLUEPRINTS.iterdir() if has_sample(path))


def sample_of(analysis: str) -> Sample:
    """What its sample.json says."""
    return load_sample(BLUEPRINTS / analysis)


@cache
def image_of(analysis: str) -> Path:
    """The analysis's built environment, from the developer's own cache if it is there."""
    maker = ImageMaker(Project(ROOT), os.environ, Path.home(), silent, time.monotonic)
    return maker.build(BLUEPRINTS / analysis).folder


def run(analysis: str, data: Path, config: Path, results: Path, *, timeout_s: float = 600) -> Ran:
    """Run the workflow as the recipe says."""
    image = image_of(analysis)
    results.mkdir(parents=True, exist_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    done = subprocess.run(
        [str(image / "env/bin/python"), "workflow.py", str(data), str(config), str(results)],
        cwd=image / "analysis",
        env={**os.environ, **threads, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, results)


def check(analysis: str, results: Path) -> Checked:
    """Run the sample's own check over results."""
    return run_check(image_of(analysis), sample_of(analysis).check, results)


def in_environment(analysis: str, script: str) -> str:
    """What a script prints that runs where the workflow runs."""
    image = image_of(analysis)
    done = subprocess.run(
        [str(image / "env/bin/python"), "-c", script],
        cwd=image / "analysis",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluate(analysis: str, code: str) -> Any:
    """What `answer` is after some code that uses the analysis's modules, in the analysis's environment."""
    program = f"import json, numpy as np\n{code}\nprint(json.dumps(answer))"
    found: Any = json.loads(in_environment(analysis, program))
    return found
