"""Checks the results of the sample search against the truth it was made of. Needs the standard library only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

HERE = Path(__file__).parent


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    (stem, wanted_of_it) = next(iter(expected.items()))
    wanted = ("ranking.csv", "ranking.json", "runs.csv", f"{stem}_ranking.png", f"{stem}_summary.json")
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        return [f"{name} is missing" for name in missing]
    summary = json.loads((folder / f"{stem}_summary.json").read_text())
    failures = [
        f"{name} is {summary[name]}, expected {value}"
        for name, value in wanted_of_it["equal"].items()
        if summary[name] != value
    ]
    with (folder / "ranking.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = [int(row["place"]) for row in rows]
    means = [float(row["scores.held_out_r2"]) for row in rows]
    if places != sorted(places) or means != sorted(means, reverse=True):
        failures.append("the ranking is not in the order of its figure")
    found = score(folder, stem)
    if not found["spearman"] >= wanted_of_it["spearman"]:
        failures.append(f"the order agrees with the truth by {found['spearman']:.3f}")
    if not found["largest_error"] <= wanted_of_it["largest_error"][1]:
        failures.append(f"a figure is off by {found['largest_error']:.3f}")
    if not (folder / f"{stem}_ranking.png").read_bytes().startswith(b"\x89PNG"):
        failures.append("the figure is not a PNG")
    return failures


def score(folder: Path, stem: str) -> dict[str, float]:
    """How well order and figures of the points with both recordings agree with the truth."""
    with (folder / "ranking.csv").open(newline="", encoding="utf-8") as file:
        whole = [row for row in csv.DictReader(file) if row["runs"] == "2"]
    found = [float(row["scores.held_out_r2"]) for row in whole]
    truth = [quality(int(row["rank"]), float(row["smoothing"])) for row in whole]
    if len(found) < 2:
        return {"spearman": 0.0, "largest_error": 1.0}
    worst = max(abs(mean - true) for mean, true in zip(found, truth, strict=True))
    return {"spearman": spearman(found, truth), "largest_error": worst}


def quality(rank: int, smoothing: float) -> float:
    """The true quality of a point, as `make_search.py` has it."""
    return 0.8 - 0.25 * (math.log10(rank / 10)) ** 2 - 0.05 * (math.log10(smoothing / 0.1)) ** 2


def spearman(found: list[float], truth: list[float]) -> float:
    """Rank correlation of two lists without equal entries; the truth has some by symmetry, which count as they come."""
    n = len(found)
    order = [sorted(range(n), key=values.__getitem__) for values in (found, truth)]
    ranks = [{index: rank for rank, index in enumerate(one)} for one in order]
    return 1 - 6 * sum((ranks[0][i] - ranks[1][i]) ** 2 for i in range(n)) / (n * (n * n - 1))


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
