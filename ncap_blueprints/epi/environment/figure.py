"""One picture of an inference: the parameters' distribution, the property against what was asked, the optimisation.

It must not compute anything that is not also in the result files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import PALETTE
from lagrangian import Fit
from models import Problem

MOST_PARAMETERS = 6
MOST_POINTS = 1500


def draw_inference(
    path: Path,
    title: str,
    *,
    problem: Problem,
    fitted: Fit,
    z: np.ndarray,
    log_q: np.ndarray,
    statistics: np.ndarray,
) -> None:
    """Write the picture. `z` (samples, parameters), `log_q` (samples,), `statistics` (samples, statistics)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 8.5, "axes.titlesize": 9.5, "axes.titlelocation": "left"}):
        figure = Figure(figsize=(11.5, 7.4), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.55, 1))
        _draw_pairs(left, problem, z, log_q)
        _draw_property(right, problem, fitted, statistics)
        state = "constraints met" if fitted.chosen.met else "CONSTRAINTS NOT MET"
        figure.suptitle(f"{title}: {problem.model.title}; epoch {fitted.chosen.number}, {state}", fontsize=11)
        figure.savefig(path, dpi=110)


def _draw_pairs(figure: Any, problem: Problem, z: np.ndarray, log_q: np.ndarray) -> None:
    shown = min(len(problem.free), MOST_PARAMETERS)
    grid = figure.subplots(shown, shown, squeeze=False)
    # The least likely points first, so that the likely ones are not hidden.
    order = np.argsort(log_q[:MOST_POINTS])
    limits = np.percentile(log_q, [5, 100])
    points = None
    for row in range(shown):
        for column in range(shown):
            axes = grid[row, column]
            if column > row:
                axes.axis("off")
                continue
            bounds = problem.low[column], problem.high[column]
            axes.set_xlim(*bounds)
            if column == row:
                axes.hist(z[:, row], bins=30, range=bounds, color=PALETTE[0])
                axes.set_yticks([])
            else:
                axes.set_ylim(problem.low[row], problem.high[row])
                points = axes.scatter(
                    z[order, column], z[order, row], c=log_q[order], s=4, cmap="viridis", vmin=limits[0], vmax=limits[1]
                )
            _label(axes, problem, (row, column), shown)
    if points is not None:
        figure.colorbar(points, ax=grid, shrink=0.5, label="log q (nats)", location="right")
    hidden = len(problem.free) - shown
    more = f" (first {shown} of {len(problem.free)})" if hidden else ""
    figure.suptitle(f"Inferred parameters{more}: {len(z)} samples, entropy {-log_q.mean():.2f} nats", fontsize=9.5)


def _label(axes: Any, problem: Problem, place: tuple[int, int], shown: int) -> None:
    row, column = place
    if row == shown - 1:
        axes.set_xlabel(_with_unit(problem.free[column], problem.model.parameters[problem.free[column]].unit))
    else:
        axes.set_xticklabels([])
    if column == 0 and row:
        axes.set_ylabel(_with_unit(problem.free[row], problem.model.parameters[problem.free[row]].unit))
    elif row != column:
        axes.set_yticklabels([])


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} ({unit})"


def _draw_property(figure: Any, problem: Problem, fitted: Fit, statistics: np.ndarray) -> None:
    count = len(problem.statistics)
    panels = figure.subplots(count + 2, 1)
    for index, name in enumerate(problem.statistics):
        axes, mean, spread = panels[index], problem.mean[index], problem.spread[index]
        axes.axvspan(mean - 2 * spread, mean + 2 * spread, color=PALETTE[1], alpha=0.25, label="asked mean, 2 sd")
        axes.axvline(mean, color=PALETTE[1])
        values = statistics[:, index]
        axes.hist(values, bins=40, range=(mean - 4 * spread, mean + 4 * spread), color=PALETTE[0], label="inferred")
        axes.set_title(
            f"{name}: asked {mean:g} \u00b1 {spread:g}, inferred {values.mean():.3g} \u00b1 {values.std():.3g}"
        )
        axes.set_xlabel(_with_unit(name, problem.model.statistics[name].unit))
        axes.set_ylabel("samples")
    panels[0].legend(frameon=False, fontsize=7.5)
    course = np.array([(iteration, entropy) for iteration, entropy, _ in fitted.course])
    panels[count].plot(course[:, 0], course[:, 1], color=PALETTE[0])
    panels[count].set(title="Entropy of the distribution", xlabel="iteration", ylabel="nats")
    numbers = [epoch.number for epoch in fitted.epochs]
    lengths = [float(np.linalg.norm(epoch.residual)) for epoch in fitted.epochs]
    axes = panels[count + 1]
    axes.semilogy(numbers, lengths, color="0.6", zorder=1)
    for met, colour, marker in ((True, PALETTE[2], "o"), (False, PALETTE[3], "X")):
        at = [index for index, epoch in enumerate(fitted.epochs) if epoch.met is met]
        label = "met" if met else "not met"
        axes.scatter([numbers[i] for i in at], [lengths[i] for i in at], color=colour, marker=marker, label=label)
    axes.set(title="Distance of the constraints from what was asked", xlabel="epoch", ylabel="|R|")
    axes.legend(frameon=False, fontsize=7.5)
