"""The pictures besides the panels: usage (Figure 6), spot, today, a lab, scaling. Draws values, computes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments import drawing
from experiments.cost_model import SECONDS_A_WEEK
from experiments.drawing import BLACK, BLUE, GREEN, ORANGE, RED, SKY
from experiments.lab import Answers, draw_costs, judge
from experiments.panels import Value
from experiments.scaling import Study
from experiments.spot import Outcome, PriceHistory
from experiments.usage import Bin


def usage_figure(bins: Sequence[Bin], *, counted: str, left_out: str) -> Figure:
    """Figure 6: jobs, and hours of computing, by parallelism; hours that had to be estimated are hatched."""
    figure = drawing.new_figure(4.6, 4.2)

    def draw() -> None:
        top, bottom = figure.subplots(2, 1, sharex=True)
        places = range(len(bins))
        top.bar(places, [found.jobs for found in bins], color=BLUE)
        top.bar_label(top.containers[0], fontsize=6, padding=1)
        top.set_ylabel("jobs")
        top.set_title("Jobs by parallelism")
        known = [found.known_hours for found in bins]
        bottom.bar(places, known, color=GREEN, label="measured")
        guessed = [found.estimated_hours for found in bins]
        bottom.bar(
            places,
            guessed,
            bottom=known,
            color="white",
            edgecolor=GREEN,
            hatch="////",
            label="start event lost, estimated",
        )
        bottom.bar_label(
            bottom.containers[-1],
            [f"{found.known_hours + found.estimated_hours:.1f}" for found in bins],
            fontsize=6,
            padding=1,
        )
        bottom.set_ylabel("compute hours")
        bottom.set_xticks(places, [found.label for found in bins])
        bottom.set_xlabel(f"{counted} of a job{left_out}")
        bottom.legend()
        for axes in (top, bottom):
            axes.margins(y=0.15)

    drawing.styled(draw)
    return figure


def spot_figure(
    histories: Sequence[PriceHistory], outcomes: Mapping[float, Sequence[Outcome]], *, title: str
) -> Figure:
    """Prices over time and their spread; cost against time of each policy, a line a hazard."""
    figure = drawing.new_figure(8.2, 2.9)

    def draw() -> None:
        left, right = figure.subplots(1, 2)
        palette = (BLUE, SKY, GREEN, ORANGE, RED, drawing.PINK)
        begin = min(history.moments[0] for history in histories)
        for history, tint in zip(histories, palette, strict=False):
            hours = (np.array([*history.moments, history.until]) - begin) / 3600
            prices = [*history.prices, history.prices[-1]]
            label = f"{history.instance_type}, {history.zone}: {history.mean():.3f} ± {history.deviation():.3f}"
            left.step(hours, prices, where="post", color=tint, linewidth=1, label=label)
        left.set_xlabel("hours")
        left.set_ylabel("USD an hour")
        left.set_ylim(0)
        left.set_title("Spot prices")
        left.legend(fontsize=6)
        for (hazard, found), tint in zip(outcomes.items(), palette, strict=False):
            right.plot(
                [outcome.mean_hours for outcome in found],
                [it.mean_cost for it in found],
                "o-",
                color=tint,
                markersize=4,
                linewidth=1,
                label=f"{hazard:g} losses an hour",
            )
        first = next(iter(outcomes.values()))
        dearest = max(outcomes.values(), key=lambda found: found[-1].mean_hours)
        for outcome in dearest:
            right.annotate(
                outcome.policy.name,
                (outcome.mean_hours, outcome.mean_cost),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=6,
            )
        right.set_xlabel("mean hours until the result")
        right.set_ylabel("mean USD")
        right.set_ylim(0, first[0].mean_cost * 1.25)
        right.margins(x=0.2)
        right.set_title(title)
        right.legend()

    drawing.styled(draw)
    return figure


def comparison_figure(then: Sequence[Value], now: Sequence[Value], *, unit: str, title: str) -> Figure:
    """One panel's bars then and now, side by side."""
    figure = drawing.new_figure(5.2, 3.0)

    def draw() -> None:
        axes = figure.subplots()
        names = [f"{value.analysis}, {value.size_label}" for value in then]
        places = np.arange(len(names))
        for values, side, tint, name in (
            (then, -0.2, SKY, "prices of 2019"),
            (now, 0.2, BLUE, "list prices of 2026"),
        ):
            bars = axes.barh(places + side, [value.value for value in values], 0.38, color=tint, label=name)
            axes.bar_label(bars, fmt="{:.3g}", fontsize=6, padding=2)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        axes.set_title(title)
        axes.margins(x=0.12)
        axes.legend(loc="lower right")

    drawing.styled(draw)
    return figure


def lab_figure(answers: Answers, random: np.random.Generator) -> Figure:
    """USD a year both ways over datasets a week, with bands that hold nine of ten draws."""
    figure = drawing.new_figure(4.6, 3.2)
    verdict = judge(answers, random)
    most = 2 * max(answers.datasets_a_week, min(verdict.crossover, 3 * SECONDS_A_WEEK / (answers.local_hours * 3600)))
    rates = np.linspace(0, most, 121)
    cloud, local = draw_costs(answers, rates, random, 4000)

    def draw() -> None:
        axes = figure.subplots()
        for costs, tint, name in ((cloud, BLUE, "cloud"), (local, ORANGE, "own machines, as many as needed")):
            low, middle, high = np.quantile(costs, (0.05, 0.5, 0.95), axis=0)
            axes.fill_between(rates, low, high, color=tint, alpha=0.25, linewidth=0)
            axes.plot(rates, middle, color=tint, label=name)
        axes.axvline(answers.datasets_a_week, color=BLACK, linestyle=":", linewidth=1)
        axes.annotate(
            "you", (answers.datasets_a_week, axes.get_ylim()[1]), xytext=(3, -9), textcoords="offset points", fontsize=7
        )
        axes.set_xlabel("datasets a week")
        axes.set_ylabel("USD a year")
        axes.set_ylim(0)
        axes.set_xlim(0, most)
        axes.set_title("Your lab")
        axes.legend(loc="lower right")

    drawing.styled(draw)
    return figure


def scaling_figure(studies: Sequence[Study], lifted: Sequence[Study], lifted_as: str) -> Figure:
    """Hours over datasets: what each limit alone asks for, and what came out, as it is and with limits lifted."""
    figure = drawing.new_figure(6.4, 3.8)

    def draw() -> None:
        axes = figure.subplots()
        counts = [study.workload.datasets for study in studies]
        palette = (BLACK, RED, ORANGE, BLUE, SKY, GREEN, drawing.PINK, drawing.YELLOW)
        for index, (bound, tint) in enumerate(zip(studies[0].bounds, palette, strict=True)):
            seconds = [study.bounds[index].seconds for study in studies]
            axes.plot(counts, [value / 3600 for value in seconds], color=tint, linewidth=1, label=bound.name)
        axes.plot(
            counts, [study.ended_s / 3600 for study in studies], "o", color=BLACK, markersize=5, label="simulated"
        )
        axes.plot(
            counts,
            [study.ended_s / 3600 for study in lifted],
            "D",
            color=BLACK,
            markerfacecolor="white",
            markersize=4,
            label=lifted_as,
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(0.05)
        axes.set_xlabel("datasets")
        axes.set_ylabel("hours until the last result")
        axes.set_title("What limits the control plane")
        axes.legend(fontsize=6, ncols=2)
        axes.grid(True, linewidth=0.3)

    drawing.styled(draw)
    return figure
