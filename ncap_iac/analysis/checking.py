"""The check of a sample, run where the analysis runs: `check.py` in the image's own Python. Judges nothing itself.

`check(folder) -> list[str]` names what is not as expected. Where there is a `score(folder[, stem]) -> dict`, its
figures, and those of each dataset's summary, are told beside the limits of `expected.json`: a number there is the
lowest that passes, a pair the lowest and the highest.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 300.0
SHOWN_LINES = 5

_PROGRAM = """
import importlib.util, inspect, json, sys
from pathlib import Path
script, folder = Path(sys.argv[1]), Path(sys.argv[2])
spec = importlib.util.spec_from_file_location("check", script)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
problems = [str(problem) for problem in module.check(folder)]

def numbers(value, name=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, f"{name}.{key}" if name else str(key))
    elif hasattr(value, "item") and not isinstance(value, (list, str)):
        yield from numbers(value.item(), name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, float(value)

figures = {}
stems = sorted({path.name.removesuffix("_summary.json") for path in folder.glob("*_summary.json")})
for stem in stems:
    found = dict(numbers(json.loads((folder / f"{stem}_summary.json").read_text())))
    if not problems or hasattr(module, "score"):
        try:
            takes = len(inspect.signature(module.score).parameters)
            found.update(numbers(module.score(folder, stem) if takes > 1 else module.score(folder)))
        except Exception:
            pass
    figures[stem] = found
limits = json.loads((script.parent / "expected.json").read_text())
print("\\n" + json.dumps({"problems": problems, "figures": figures, "limits": limits}))
"""


@dataclass(frozen=True)
class Figure:
    """A figure of merit of one dataset, and the limits it has to keep."""

    dataset: str
    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def limits(self) -> str:
        """The limits, for people."""
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"{self.at_least:g} to {self.at_most:g}"

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "dataset": self.dataset,
            "name": self.name,
            "value": self.value,
            "atLeast": self.at_least,
            "atMost": self.at_most,
        }


@dataclass(frozen=True)
class Checked:
    """What a check found: problems as sentences, none if all is well; the figures it is about."""

    problems: tuple[str, ...]
    figures: tuple[Figure, ...] = ()

    def figure(self, name: str | None = None) -> Figure | None:
        """The figure of that name, or the first."""
        return next((it for it in self.figures if name is None or it.name == name), None)


def run_check(image: Path, script: Path, results: Path) -> Checked:
    """Run a sample's check over a folder of results, in the Python of the image in folder `image`.

    A check that breaks is a problem like any other.
    """
    words = [str(image / "env/bin/python"), "-I", "-B", "-c", _PROGRAM, str(script), str(results)]
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
    try:
        done = subprocess.run(
            words, env=environ, capture_output=True, text=True, errors="replace", timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Checked((f"{script.name} did not end within {LONGEST_S:.0f} s",))
    last = done.stdout.rpartition("\n{")[2]
    try:
        found = json.loads("{" + last) if done.returncode == 0 else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = " ".join(done.stderr.strip().splitlines()[-SHOWN_LINES:])
        return Checked((f"{script.name} broke off: {said or 'it printed nothing'}",))
    return Checked(tuple(found["problems"]), tuple(figures_of(found["figures"], found["limits"])))


def figures_of(found: dict[str, dict[str, float]], expected: object) -> list[Figure]:
    """The figures that `expected.json` limits: by dataset, or, where it does not tell datasets apart, for each."""
    if not isinstance(expected, dict):
        return []
    figures = []
    for dataset, values in found.items():
        own = expected.get(dataset, expected)
        for name, low, high in _limits(own if isinstance(own, dict) else {}):
            value = values.get(name)
            if value is not None:
                figures.append(Figure(dataset, name, value, low, high))
    return figures


def _limits(expected: dict[str, object]) -> list[tuple[str, float, float | None]]:
    """Name, lowest and highest of each limit, in order; values that must be equal are no figures of merit."""
    found: list[tuple[str, float, float | None]] = []
    for name, limit in expected.items():
        if name == "equal":
            continue
        if isinstance(limit, dict):
            found += _limits(limit)
        elif isinstance(limit, list) and len(limit) == 2 and all(isinstance(it, int | float) for it in limit):
            found.append((name, float(limit[0]), float(limit[1])))
        elif isinstance(limit, int | float) and not isinstance(limit, bool):
            found.append((name, float(limit), None))
    return found
