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

from ncap_iac.environments.build import Workshop, build_image
from ncap_iac.environments.source import read_source
from ncap_iac.local.paths import places

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
    return sorted(path.parents[1].name for path in BLUEPRINTS.glob("*/sample/check.py"))


@cache
def image_of(analysis: str) -> Path:
    """The analysis's built environment, from the developer's own cache if it is there."""
    found = places(os.environ, Path.home())
    source = read_source(BLUEPRINTS / analysis / "environment", ROOT / "protocols")
    workshop = Workshop(
        images=found.images,
        uv_cache=found.uv,
        environ=os.environ,
        home=Path.home(),
        clock=time.time,
        say=lambda text: None,
    )
    return build_image(source, workshop).folder


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


def check(analysis: str, results: Path) -> subprocess.CompletedProcess[str]:
    """Run the sample's own check over results."""
    script = BLUEPRINTS / analysis / "sample" / "check.py"
    command = [str(image_of(analysis) / "env/bin/python"), str(script), str(results)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
