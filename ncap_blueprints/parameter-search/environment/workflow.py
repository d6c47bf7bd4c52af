"""Ranks the runs of a scattered job by a figure of their summaries, and draws the figure against what was varied.

python workflow.py RUNS CONFIG RESULTS        RUNS: a folder of runs, or a .zip of one
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis_kit import InputError, Summary, load_parameters, say, write_json
from ranking import Ranked, Ranking, choose_figure, rank
from runs import Run, Value, read_runs

SHOWN = 5


def main(arguments: Sequence[str]) -> int:
    """Exit code 2 and one sentence: the runs or the config cannot be used."""
    if len(arguments) != 3:
        print("usage: python workflow.py RUNS CONFIG RESULTS", file=sys.stderr)
        return 2
    data, config, results = (Path(word) for word in arguments)
    try:
        if not data.exists():
            raise InputError(f"Dataset {data.name} does not exist.")
        if not config.is_file():
            raise InputError(f"Config {config.name} is not a file.")
        search(data, config, results)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def search(data: Path, config: Path, results: Path) -> None:
    """Read, rank, write, draw. Raises InputError."""
    parameters = load_parameters(config)
    summary = Summary(data, parameters, ("numpy", "matplotlib"))
    runs = read_runs(data)
    say(f"Read {data.name}: {len(runs)} runs of {len({run.dataset for run in runs})} datasets.")
    ranking = rank(runs, choose_figure(runs, parameters["figure"]), parameters["direction"])
    word = "largest" if ranking.direction == "max" else "smallest"
    say(f"{len(ranking.points)} points of {', '.join(ranking.parameters)}, ranked by {ranking.figure}, {word} first.")
    for point in ranking.points[:SHOWN]:
        say(f"{point.place}. {words(point.values)}: {point.mean:.6g}" + _spread(point))
    for name, reason in ranking.left_out:
        say(f"{name} is left out: {reason}.")

    write_table(results / "ranking.csv", ranking)
    write_json(results / "ranking.json", {**_about(ranking), "points": [_document(it) for it in ranking.points]})
    write_runs(results / "runs.csv", runs, ranking)
    say("Drawing the picture.")
    from figure import draw_search

    draw_search(results / f"{data.stem}_ranking.png", data.name, ranking)
    best = ranking.points[0]
    summary.write(
        results,
        {
            "runs": len(runs),
            "datasets": len({run.dataset for run in runs}),
            **_about(ranking),
            "best": best.values,
            "best_figure": best.mean,
            "worst_figure": ranking.points[-1].mean,
            "best_runs": best.runs,
            "left_out": dict(ranking.left_out),
            "recommended": {"instance_type": "m7i.large", "disk_gib": 20},
        },
    )


def words(values: dict[str, Value]) -> str:
    """A point as people write it."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _spread(point: Ranked) -> str:
    return f" (mean of {len(point.runs)}, {point.low:.6g} to {point.high:.6g})" if len(point.runs) > 1 else ""


def _about(ranking: Ranking) -> dict[str, object]:
    return {
        "figure": ranking.figure,
        "direction": ranking.direction,
        "searched": ranking.parameters,
        "points_ranked": len(ranking.points),
    }


def _document(point: Ranked) -> dict[str, object]:
    return {
        "place": point.place,
        "values": point.values,
        "mean": point.mean,
        "sd": point.sd,
        "low": point.low,
        "high": point.high,
        "runs": list(point.runs),
    }


def write_table(path: Path, ranking: Ranking) -> None:
    """One row a point, the best first: place, what was varied, the figure's mean and spread over its runs."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        spread = [f"{ranking.figure} {name}" for name in ("sd", "low", "high")]
        table.writerow(["place", *ranking.parameters, ranking.figure, *spread, "runs"])
        for it in ranking.points:
            numbers = (f"{number:.10g}" for number in (it.mean, it.sd, it.low, it.high))
            table.writerow([it.place, *(it.values.get(name) for name in ranking.parameters), *numbers, len(it.runs)])


def write_runs(path: Path, runs: Sequence[Run], ranking: Ranking) -> None:
    """One row a run, by name, with every figure: what a table program needs to look further."""
    figures = list(dict.fromkeys(name for run in runs for name in run.figures))
    searched = [name for name in ranking.parameters if any(name in dict(run.values) for run in runs)]
    # A figure may have the name of a parameter (a rank that was asked for, and the one that came out).
    heads = [f"figure {name}" if name in searched else name for name in figures]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["run", "dataset", *searched, *heads])
        for run in runs:
            values = dict(run.values)
            told = (run.figures.get(name) for name in figures)
            table.writerow([run.name, run.dataset, *(values.get(name) for name in searched), *told])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
