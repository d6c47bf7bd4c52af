"""Measure what DESIGN's numbers are about, as ratios within one run, and write docs/benchmarks.json and its page.

`python -m tests.benchmarks.measure` prints; `--write` also writes the files; names choose some of the measurements.
Nothing here is a test: machines differ, and a busy one differs from itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from tests.benchmarks import documents, environments, instance, jobs, small
from tests.benchmarks.page import PAGE, render_page
from tests.stories.laboratory import ROOT, Laboratory, make_home, make_project

RESULTS = ROOT / "docs" / "benchmarks.json"
Figures = Mapping[str, Any]


def main(words: list[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="measurements (all)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.json and docs/benchmarks.md")
    options = parser.parse_args(words)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = options.names or [*SMALL, *IN_A_LABORATORY]
    for name in [name for name in SMALL if name in wanted]:
        known[name] = show(name, SMALL[name]())
    chosen = [name for name in IN_A_LABORATORY if name in wanted]
    if chosen:
        with tempfile.TemporaryDirectory() as folder:
            known.update(measure_in_laboratory(Path(folder), chosen))
    known["about"] = {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load before": os.getloadavg()[0],
    }
    if options.write:
        RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        PAGE.write_text(render_page(json.loads(RESULTS.read_text())))


def measure_in_laboratory(folder: Path, chosen: list[str]) -> dict[str, Figures]:
    """Those that need a running cloud with both analyses deployed."""
    laboratory = Laboratory(project=make_project(folder / "project"), home=make_home(folder / "home"), cloud="bench")
    laboratory.ncap("local", "up", "--background", "--name", "bench", "--port", "0")
    try:
        laboratory.ncap("environment", "pin", "faulty")
        for words in (["account"], ["profile", "demo"], ["blueprint", "faulty"], ["blueprint", "kalman-lds"]):
            laboratory.ncap(words[0], "deploy", *words[1:], "--yes")
        return {name: show(name, IN_A_LABORATORY[name](laboratory)) for name in chosen}
    finally:
        laboratory.ncap("local", "down", "--name", "bench")


def show(name: str, figures: Figures) -> Figures:
    """Print one measurement as it is made."""
    sys.stdout.write(f"{name}: {json.dumps(figures)}\n")
    sys.stdout.flush()
    return figures


SMALL: dict[str, Callable[[], Figures]] = {
    "help": small.help_time,
    "bundle": small.bundle_size,
    "import": small.import_time,
    "documents": documents.figures,
    "calls": small.call_counts,
    "large submissions": jobs.calls_of_large_jobs,
    "control plane": jobs.control_plane_of_one_job,
    "tool start": instance.tool_start,
    "log streaming": instance.log_streaming,
    "image build": environments.image_build,
    "local boot": environments.local_boot,
}
IN_A_LABORATORY: dict[str, Callable[[Laboratory], Figures]] = {
    "overhead": jobs.overhead_of_one_job,
    "data path": jobs.data_path,
    "transfers": instance.transfers,
    "hundred datasets": jobs.hundred_datasets,
}

if __name__ == "__main__":
    main(sys.argv[1:])
