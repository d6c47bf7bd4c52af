"""The benchmark page, rendered from the committed figures, so that the two cannot differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.stories.laboratory import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
WORDS = {
    "help": ("Start of the command", "`ncap --help`: under 150 ms"),
    "bundle": ("Lambda bundle", "under 300 KB, without the SDK"),
    "import": ("Import of the submit protocol", "under 50 ms CPU beyond boto3"),
    "documents": ("Documents", "compiling all blueprints under 5 s, checking 100 documents in seconds"),
    "calls": ("AWS calls of one submission", "10 for one dataset, 20 for 100, 100 for 1000"),
    "large submissions": ("Accepting large submissions, in memory", "1,000 datasets under 10 s, 10,000 under 60 s"),
    "control plane": ("Control plane of a 10-dataset job of one hour", "under 0.002 USD at list prices"),
    "overhead": ("Local overhead of one job, warm", "under 2 s from submit to the first line of the workflow"),
    "data path": ("Through the edge of the local cloud", "no wall of its own in front of the emulator"),
    "tool start": ("Start of the in-instance tool", "under 100 ms of its own beside the interpreter"),
    "log streaming": ("Following a job for an hour", "few requests, and bytes bounded whatever is printed"),
    "transfers": ("In-instance transfers against aws s3 cp", "within 1.2 of aws s3 cp"),
    "image build": ("Image build, a lock with numpy only", "no slower than plain pip; a second build instant"),
    "local boot": ("Boot of a local instance", "under 150 ms, sandbox included"),
    "hundred datasets": ("100 short datasets", "within 1.15 of running the script by hand in as many processes"),
}


REMARKS = {
    "import": (
        "**Not reached.** Lambda unpacks sources and compiles them at every cold start; with bytecode it is about half."
    ),
    "control plane": "Call latencies are assumed and list prices from general knowledge: `tests/benchmarks/jobs.py`.",
    "log streaming": (
        "On a clock of its own, with the reporter that runs on instances. The tool it replaces made one GET and two "
        "PUT a second, each with the whole log: 10,800 requests an hour, and at 10 kB/s about 65 GB."
    ),
    "image build": (
        "An image also holds the in-instance tool in a second virtual environment, every module compiled, and the "
        "hash of every file; pip installs the analysis's lock only."
    ),
    "hundred datasets": (
        "**Not reached.** A dataset costs about 1.5 s of processor time beside the script. With a script that does "
        "nothing it was 1.0 s: 0.25 s of it the emulator, the edge and the functions, the rest the in-instance tool, "
        "most of all the start of its SDK. Scripts that run longer hide it; one machine more than there are cores was "
        "tried and did not help."
    ),
}
"""What the figures alone do not say."""


def render_page(figures: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    about = figures["about"]
    lines = [
        "# Benchmarks",
        "",
        f"Measured {about['date']} on {about['machine']}, Python {about['python']}.",
        "Remake: `python -m tests.benchmarks.measure --write` (about ten minutes; leave the machine alone meanwhile).",
        "",
    ]
    for name, (title, reach) in WORDS.items():
        if name in figures:
            lines += [f"## {title}", "", f"To reach: {reach}.", "", "| what | measured |", "|---|---|"]
            lines += [f"| {what} | {_plainly(value)} |" for what, value in figures[name].items()]
            lines += ["", REMARKS[name], ""] if name in REMARKS else [""]
    return "\n".join(lines)


def _plainly(value: object) -> str:
    """A figure, or several of one kind, in a cell."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plainly(each)}" for name, each in value.items())
    return str(value)
