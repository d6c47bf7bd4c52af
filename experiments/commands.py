"""What each command does: values from the model, files and pictures into a folder, sentences back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from experiments import claims, custom, drawing, figures, lab, scaling, spot, tables, usage
from experiments.cost_model import COMPLETE, PUBLISHED, Mode, Reading
from experiments.errors import InputError
from experiments.inputs import (
    ANALYSES,
    TODAYS_TYPE,
    Prices,
    benchmark_jobs,
    machine,
    prices_2019,
    prices_2026,
    runaway_jobs,
)
from experiments.panels import Value, cost_values, crossover_values, of_panel, panels_of, time_values

Lines = Iterator[str]
SEED = 20220901
READINGS = {"published": PUBLISHED, "complete": COMPLETE}
MODES = (Mode.STANDARD, Mode.SAVE)
COUNTS = (10, 100, 1000, 10_000, 100_000, 1_000_000)
LIFTED = scaling.Limits(deploy_limit=10_000, vcpus=80_000)


def run(arguments: argparse.Namespace) -> Lines:
    """Run one command. Raises InputError."""
    if arguments.verb != "all":
        return COMMANDS[arguments.verb](arguments)
    return _run_all(arguments)


def _run_all(arguments: argparse.Namespace) -> Lines:
    from experiments.__main__ import build_parser

    parser = build_parser()
    for verb in COMMANDS:
        own = [str(path) for path in sorted((Path(__file__).parent / "cost_files").glob("*.yaml"))]
        words = [verb, *(own if verb == "custom" else []), "--output-dir", str(arguments.output_dir)]
        yield f"== {verb}"
        yield from COMMANDS[verb](parser.parse_args(words))


def panel_values(variant: str, prices: Prices, modes: Sequence[Mode], reading: Reading = PUBLISHED) -> list[Value]:
    """Every panel of every analysis against one kind of local machine."""
    jobs = benchmark_jobs()
    machines = {analysis: machine(variant, analysis) for analysis in ANALYSES}
    return [
        *time_values(jobs),
        *cost_values(jobs, prices, modes, reading),
        *crossover_values(jobs, prices, machines, modes=modes, reading=reading),
    ]


def _write_panels(folder: Path, values: Sequence[Value]) -> None:
    for analysis in dict.fromkeys(value.analysis for value in values):
        for panel in panels_of(values):
            own = of_panel(values, panel, analysis)
            place = folder / analysis.replace("+", "") / "panels"
            drawing.save(drawing.panel_figure(own), place, panel)
            tables.write_values(place, panel, own)


def _crossovers(arguments: argparse.Namespace, variant: str, name: str) -> Lines:
    reading = READINGS[arguments.reading]
    values = panel_values(variant, prices_2019(), MODES, reading)
    _write_panels(arguments.output_dir, values)
    panels = panels_of(values)
    title = f"NeuroCAAS and a local {variant}, prices of 2019 ({arguments.reading} reading)"
    png, svg = drawing.save(drawing.overview(values, panels, ANALYSES, title=title), arguments.output_dir, name)
    suffix = panels[-1].partition("_")[2]
    found = (*claims.crossover_claims(values, suffix), claims.speed_claim(benchmark_jobs()))
    tables.write_json(arguments.output_dir / f"{name}_claims.json", [str(claim) for claim in found])
    yield from map(str, found)
    yield f"{png}, {svg.name}; single panels and their numbers in {arguments.output_dir}/<analysis>/panels/"


def figure10(arguments: argparse.Namespace) -> Lines:
    """Against a workstation."""
    return _crossovers(arguments, "workstation", "figure10")


def figure15(arguments: argparse.Namespace) -> Lines:
    """Against a cluster."""
    return _crossovers(arguments, "cluster", "figure15")


def figure6(arguments: argparse.Namespace) -> Lines:
    """Usage by parallelism."""
    without = frozenset() if arguments.with_runaway or arguments.records else runaway_jobs()
    usages = usage.read_usage(arguments.records) if arguments.records else usage.sample_usage()
    jobs = usage.used_jobs(usages, without=without)
    bins = usage.parallelism_bins(jobs, count_datasets=arguments.count == "datasets")
    before = usage.original_hours(jobs, [found.upto for found in bins])
    header = ("parallelism", "jobs", "hours", "of these estimated", "hours, original method")
    rows = [
        (it.label, it.jobs, round(it.known_hours + it.estimated_hours, 3), round(it.estimated_hours, 3), round(old, 3))
        for it, old in zip(bins, before, strict=True)
    ]
    tables.write_csv(arguments.output_dir / "figure6.csv", header, rows)
    left_out = "" if not without else f" (without {len(without)} runaway job)"
    figure = figures.usage_figure(bins, counted=arguments.count, left_out=left_out)
    png, svg = drawing.save(figure, arguments.output_dir, "figure6")
    lost = sum(found.estimated_hours > 0 for found in jobs)
    instances, hours = sum(job.instances for job in jobs), sum(job.hours for job in jobs)
    yield f"{len(jobs)} jobs, {instances} instances, {hours:.1f} hours."
    yield f"{lost} jobs lost events; {sum(it.estimated_hours for it in bins):.1f} of the hours are estimated for them."
    yield (
        f"The original method gives {sum(before):.1f} hours: it counts jobs on the edge of two bins twice, and lost "
        "events as no time."
    )
    yield f"{png}, {svg.name}, figure6.csv"


def run_custom(arguments: argparse.Namespace) -> Lines:
    """Cost files."""
    for path in arguments.file:
        cost_file = custom.read_cost_file(path)
        values = custom.custom_values(cost_file, prices_2019(), MODES)
        folder = arguments.output_dir / "custom" / path.stem
        _write_panels(folder, values)
        title = f"{path.stem}: your machine and NeuroCAAS, prices of 2019"
        figure = drawing.overview(values, panels_of(values), [cost_file.analysis], title=title)
        png, _ = drawing.save(figure, folder, "report")
        yield from custom.verdicts(cost_file, prices_2019())
        yield str(png)


def run_spot(arguments: argparse.Namespace) -> Lines:
    """Spot prices and policies."""
    path = arguments.history or spot.EXAMPLE
    histories = [it for it in spot.read_history(path) if it.instance_type == arguments.instance_type]
    if not histories:
        raise InputError(f"{path}: it holds no prices of {arguments.instance_type}")
    if not arguments.hours > 0 or not arguments.on_demand > 0:
        raise InputError("--hours and --on-demand have to be above 0")
    random = np.random.default_rng(SEED)
    drawn = np.concatenate([history.prices for history in histories])
    outcomes = {
        hazard: [
            spot.simulate(
                policy,
                hours=arguments.hours,
                hazard=hazard,
                spot_prices=drawn,
                on_demand=arguments.on_demand,
                runs=20_000,
                random=random,
            )
            for policy in spot.POLICIES
        ]
        for hazard in (0.01, 0.1, 0.3)
    }
    header = ("losses an hour", "policy", "mean hours", "95 % hours", "mean USD", "95 % USD", "share interrupted")
    rows = [
        (
            hazard,
            it.policy.name,
            *(round(v, 4) for v in (it.mean_hours, it.hours_95, it.mean_cost, it.cost_95, it.interrupted)),
        )
        for hazard, found in outcomes.items()
        for it in found
    ]
    tables.write_csv(arguments.output_dir / "spot.csv", header, rows)
    title = f"A job of {arguments.hours:g} hours"
    png, _ = drawing.save(figures.spot_figure(histories, outcomes, title=title), arguments.output_dir, "spot")
    if path == spot.EXAMPLE:
        yield "The shipped history is made, not recorded; give --history to use AWS's own."
    for hazard, found in outcomes.items():
        best = min(found, key=lambda outcome: outcome.mean_cost)
        yield (
            f"At {hazard:g} losses an hour {best.policy.name!r} is cheapest: {best.mean_cost:.2f} USD instead of "
            f"{found[0].mean_cost:.2f}, {best.mean_hours:.1f} hours on average, {best.hours_95:.1f} in 19 of 20 runs."
        )
    yield f"{png}, spot.csv"


def today(arguments: argparse.Namespace) -> Lines:
    """Today's prices."""
    then = panel_values("workstation", prices_2019(), [Mode.STANDARD])
    now = panel_values("workstation", prices_2026(), [Mode.STANDARD])
    folder = arguments.output_dir / "today"
    _write_panels(folder, now)
    for panel, unit, title in (
        ("Cost", "USD a job", "A job on demand"),
        ("LCC_powermatch", "jobs a week", "Local Cost Crossover, kept 2 years"),
    ):
        pair = [[it for it in of_panel(values, panel) if "optimistic" not in it.series] for values in (then, now)]
        figure = figures.comparison_figure(pair[0], pair[1], unit=unit, title=title)
        drawing.save(figure, folder, f"then_and_now_{panel}")
    swaps = ", ".join(f"{old} by {new}" for old, new in TODAYS_TYPE.items())
    yield f"Retired or dated types replaced: {swaps}. Spot for a fixed duration cannot be bought any more."
    yield "Assumption: the seconds of 2019 are kept; nobody has published these jobs' times on today's machines."
    for analysis in ANALYSES:
        old, new = (sum(it.value for it in of_panel(v, "Cost", analysis)) for v in (then, now))
        yield f"{analysis}: a job costs {new / old - 1:+.0%}, so its crossover moves by {old / new - 1:+.0%}."
    yield f"{folder}/then_and_now_*.png and the panels"


def run_lab(arguments: argparse.Namespace) -> Lines:
    """Your lab."""
    names = [field.name for field in fields(lab.Answers)]
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    answers = replace(lab.Answers(), **given)
    if arguments.records:
        usages = usage.read_usage(arguments.records)
        moments = [moment for it in usages for moment in (it.start, it.end) if moment is not None]
        weeks = max((max(moments) - min(moments)).total_seconds() / 604_800, 1) if moments else 0
        answers = lab.answers_from_usage(usage.used_jobs(usages), weeks, answers)
        rate, length = answers.datasets_a_week, answers.cloud_hours
        yield f"From {len(usages)} records over {weeks:.0f} weeks: {rate:.1f} datasets a week of {length:.2f} hours."
    random = np.random.default_rng(SEED)
    yield str(lab.judge(answers, random))
    png, _ = drawing.save(figures.lab_figure(answers, random), arguments.output_dir, "lab")
    page = arguments.output_dir / "lab.html"
    page.write_text(lab_page(answers), encoding="utf-8")
    yield f"{png}; {page} (open it in a browser: the same with sliders)"


def lab_page(answers: lab.Answers) -> str:
    """The page with sliders, set to these answers."""
    template = (Path(__file__).parent / "lab_page.html").read_text(encoding="utf-8")
    for field in fields(answers):
        template = template.replace(f"{{{{{field.name}}}}}", f"{getattr(answers, field.name):g}")
    return template


def run_scaling(arguments: argparse.Namespace) -> Lines:
    """Limits."""
    if not arguments.minutes > 0:
        raise InputError("--minutes has to be above 0")
    random = np.random.default_rng(SEED)
    work = [scaling.Workload(count, minutes=arguments.minutes) for count in COUNTS]
    studies = [scaling.simulate(it, scaling.Limits(), random) for it in work]
    raised = [scaling.simulate(it, LIFTED, random) for it in work]
    header = (
        "datasets",
        "hours",
        "bottleneck",
        "lifted by",
        "instances USD",
        "control plane USD",
        "hours with limits raised",
        "bottleneck then",
    )
    rows = [
        (
            it.workload.datasets,
            round(it.ended_s / 3600, 2),
            it.bottleneck.name,
            it.bottleneck.lifted_by,
            round(it.instances_usd, 2),
            round(it.control_usd, 4),
            round(then.ended_s / 3600, 2),
            then.bottleneck.name,
        )
        for it, then in zip(studies, raised, strict=True)
    ]
    tables.write_csv(arguments.output_dir / "scaling.csv", header, rows)
    name = f"simulated, {LIFTED.deploy_limit:,} at a time"
    png, _ = drawing.save(figures.scaling_figure(studies, raised, name), arguments.output_dir, "scaling")
    for it, then in zip(studies, raised, strict=True):
        yield (
            f"{it.workload.datasets:>9,} datasets: {it.ended_s / 3600:,.1f} h, held by {it.bottleneck.name} (lifted by "
            f"{it.bottleneck.lifted_by}); with {LIFTED.deploy_limit:,} at a time {then.ended_s / 3600:,.1f} h, held by "
            f"{then.bottleneck.name}."
        )
    yield f"{png}, scaling.csv"


COMMANDS: dict[str, Callable[[argparse.Namespace], Lines]] = {
    "figure10": figure10,
    "figure15": figure15,
    "figure6": figure6,
    "custom": run_custom,
    "spot": run_spot,
    "today": today,
    "lab": run_lab,
    "scaling": run_scaling,
}
"""The commands by name, in the order `all` runs them."""
