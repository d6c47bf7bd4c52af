"""The emergent property inference: exact gradients, exact densities, what it reads and refuses."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, run

EPI = BLUEPRINTS / "epi"
MODULES = ("flow", "models", "circuits", "lagrangian", "sensitivity", "emergent", "analysis_kit")
QUICK = {"epochs": 2, "iterations": 20, "batch": 40, "test_samples": 50, "samples": 100, "trials": 2}
OSCILLATOR: dict[str, Any] = {
    "model": "lds_2d",
    "emergent_property": {"real_part": {"mean": 0, "sd": 0.5}, "frequency": {"mean": 1, "sd": 0.1}},
}


@pytest.fixture
def epi() -> Iterator[dict[str, Any]]:
    """The analysis's own modules, by name, as a run imports them."""
    folders = [str(EPI / "environment"), str(BLUEPRINTS / "shared")]
    sys.path[:0] = folders
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        for folder in folders:
            sys.path.remove(folder)
        for name in MODULES:
            sys.modules.pop(name, None)


def make_flow(epi: dict[str, Any], *, size: int = 3) -> Any:
    """A small flow whose weights are not those of the start."""
    random = np.random.default_rng(3)
    flow = epi["flow"].Flow(-np.arange(1.0, size + 1), np.full(size, 2.0), stages=2, layers=2, units=5, random=random)
    flow.weights += 0.3 * random.normal(size=len(flow.weights))
    return flow


def oscillator(epi: dict[str, Any]) -> Any:
    models = epi["models"]
    names = ("a11", "a12", "a21", "a22")
    bounds = np.full(4, -10.0), np.full(4, 10.0)
    asked = np.array([0.0, 1.0]), np.array([0.5, 0.1])
    return models.Problem("lds_2d", models.LINEAR, names, *bounds, {}, ("real_part", "frequency"), *asked, 1)


def run_epi(folder: Path, document: dict[str, Any], config: dict[str, Any] | None = None) -> Ran:
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "config.json").write_text(json.dumps(QUICK | (config or {})))
    return run("epi", folder / "model.json", folder / "config.json", folder / "results")


def test_the_flow_can_be_run_backwards_and_knows_its_density(epi: dict[str, Any]) -> None:
    flow = make_flow(epi)

    z, log_q = flow.sample(500, np.random.default_rng(0))

    assert ((z > flow.low) & (z < flow.high)).all()
    assert flow.log_prob(z) == pytest.approx(log_q, abs=1e-9)


def test_the_log_determinant_is_that_of_the_jacobian(epi: dict[str, Any]) -> None:
    flow = make_flow(epi)
    x = np.random.default_rng(1).normal(size=(5, 3))
    step = 1e-6

    columns = [(flow.forward(x + step * e)[0] - flow.forward(x - step * e)[0]) / (2 * step) for e in np.eye(3)]

    _, expected = np.linalg.slogdet(np.stack(columns, 2))
    assert flow.forward(x)[1] == pytest.approx(expected, abs=1e-6)


def test_the_density_sums_to_one_over_the_box(epi: dict[str, Any]) -> None:
    flow = make_flow(epi, size=2)
    points = np.random.default_rng(2).uniform(flow.low, flow.high, (200_000, 2))

    total = np.exp(flow.log_prob(points)).mean() * np.prod(flow.high - flow.low)

    assert total == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("module", "name", "trials", "low", "high"),
    [("models", "LINEAR", 1, -5, 5), ("circuits", "V1", 3, 0.02, 0.2), ("circuits", "COLLICULUS", 5, -0.4, 0.9)],
)
def test_a_models_gradient_is_the_slope_of_its_statistics(
    epi: dict[str, Any], module: str, name: str, trials: int, low: float, high: float
) -> None:
    model = getattr(epi[module], name)
    random = np.random.default_rng(0)
    z = random.uniform(low, high, (6, len(model.parameters)))

    def total(points: np.ndarray) -> np.ndarray:
        statistics: np.ndarray = model.simulate(points, np.random.default_rng(1), trials)[0] @ weights
        return statistics

    weights = random.normal(size=len(model.statistics))
    statistics, pull_back = model.simulate(z, np.random.default_rng(1), trials)
    gradient = pull_back(np.tile(weights, (len(z), 1)))

    steps = 1e-6 * np.eye(z.shape[1])
    numeric = np.stack([(total(z + step) - total(z - step)) / 2e-6 for step in steps], 1)
    assert statistics.shape == (6, len(model.statistics))
    assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-4 * np.abs(numeric).max())


def test_the_linear_systems_statistics_are_its_leading_eigenvalue(epi: dict[str, Any]) -> None:
    z = np.random.default_rng(4).uniform(-10, 10, (300, 4))

    statistics, _ = epi["models"].simulate_linear(z, np.random.default_rng(0), 1)

    values = np.linalg.eigvals(z.reshape(-1, 2, 2))
    assert statistics[:, 0] == pytest.approx(values.real.max(1), abs=1e-9)
    assert statistics[:, 1] == pytest.approx(np.abs(values.imag).max(1) / (2 * np.pi), abs=1e-9)


def test_the_visual_cortex_rests_without_noise_and_varies_with_it(epi: dict[str, Any]) -> None:
    z = np.zeros((2, 5))
    z[1, :4] = 0.02

    statistics, _ = epi["circuits"].simulate_v1(z, np.random.default_rng(0), 20)

    assert statistics[0, 0] < 0.05
    assert statistics[1, 0] > 1


def test_the_colliculus_decides_at_chance_without_connections_between_cells(epi: dict[str, Any]) -> None:
    z = np.array([[0.0, 0, 0, 0, 0.2]])

    statistics, _ = epi["circuits"].simulate_colliculus(z, np.random.default_rng(0), 2000)

    assert statistics[0] == pytest.approx([0.5, 0.5], abs=0.06)


def test_the_gradient_of_the_lagrangian_is_its_slope_in_every_weight(epi: dict[str, Any]) -> None:
    problem, lagrangian = oscillator(epi), epi["lagrangian"]
    random = np.random.default_rng(0)
    flow = epi["flow"].Flow(problem.low, problem.high, stages=1, layers=1, units=3, random=random)
    x = random.normal(size=(40, 4))
    eta, c = np.array([0.3, -0.2, 0.1, 0.4]), 0.7

    def loss() -> float:
        z, log_det, _ = flow.forward(x)
        statistics, _ = problem.simulate(z, random)
        residuals = lagrangian.constraints(statistics, problem.mean, problem.spread)
        one, other = residuals[:20].mean(0), residuals[20:].mean(0)
        # c |R|^2 / 2 with its two factors from different halves of the batch.
        return float(-log_det.mean() + eta @ residuals.mean(0) + c / 2 * (one @ other))

    gradient, _, _ = lagrangian.loss_gradient(flow, problem, x, (eta, c), random)
    for index in random.choice(len(flow.weights), 25, replace=False):
        before = flow.weights[index]
        flow.weights[index] = before + 1e-6
        above = loss()
        flow.weights[index] = before - 1e-6
        below = loss()
        flow.weights[index] = before
        assert gradient[index] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-4)


def test_constraints_are_met_only_when_zero_is_among_the_resampled_means(epi: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    residuals = random.normal(size=(4000, 2))
    residuals -= residuals.mean(0)
    residuals[:, 1] += 0.2

    p_values = epi["lagrangian"].bootstrap_p(residuals, 1000, random)

    assert p_values[0] > 0.5
    assert p_values[1] < 0.05


def test_the_epoch_of_greatest_entropy_that_meets_the_constraints_is_used(epi: dict[str, Any]) -> None:
    lagrangian = epi["lagrangian"]

    def epoch(number: int, entropy: float, length: float, *, met: bool) -> Any:
        return lagrangian.Epoch(number, entropy, np.array([length]), np.ones(1), np.zeros(1), 1.0, met, np.zeros(1))

    some = [epoch(1, 9, 3, met=False), epoch(2, 5, 0.1, met=True), epoch(3, 6, 0.2, met=True)]

    assert lagrangian.choose(some).number == 3
    assert lagrangian.choose([epoch(1, 9, 3, met=False), epoch(2, 5, 1, met=False)]).number == 2


def test_the_curvature_is_the_hessian_of_the_log_density(epi: dict[str, Any]) -> None:
    class Bell:
        low, high = np.zeros(2), np.array([1.0, 10.0])

        def log_prob(self, z: np.ndarray) -> np.ndarray:
            share = (z - [0.5, 5.0]) / [1.0, 10.0]
            exponent: np.ndarray = -0.5 * (8 * share[:, 0] ** 2 + 2 * share[:, 1] ** 2)
            return exponent

    eigenvalues, vectors = epi["sensitivity"].curvature(Bell(), np.array([0.5, 5.0]))

    assert eigenvalues == pytest.approx([-8, -2], abs=1e-6)
    assert vectors == pytest.approx(np.eye(2), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "import os"}, "'model' must be one of lds_2d, v1_variability, sc_task_switching"),
        ({"model": None}, "'model' must be one of"),
        ({"code": "print(1)"}, "unknown entry 'code'"),
        ({"parameters": {"a13": [0, 1]}}, "'a13', which the model has not"),
        ({"parameters": {"a11": [1, -1]}}, "not in order"),
        ({"parameters": {"a11": [1, 2, 3]}}, "must be [low, high]"),
        ({"parameters": {"a11": "many"}}, "is not a number"),
        ({"parameters": {"a11": True}}, "is not a number"),
        ({"parameters": {"a11": [-1e300, 1]}}, "not a number of usual size"),
        ({"parameters": {"a11": 0, "a12": 1, "a21": 2}}, "1 parameters are free"),
        ({"parameters": []}, "must be an object"),
        ({"emergent_property": {}}, "asks nothing"),
        ({"emergent_property": None}, "must be an object"),
        ({"emergent_property": {"colour": {"mean": 0, "sd": 1}}}, "'colour', which the model has not"),
        ({"emergent_property": {"frequency": {"mean": 1}}}, 'needs "mean" and "sd"'),
        ({"emergent_property": {"frequency": {"mean": 1, "sd": 0}}}, "must be positive"),
        ({"emergent_property": {"frequency": {"mean": -1, "sd": 1}}}, "cannot be"),
        ({"model": "v1_variability", "parameters": {"sigma_E": [-0.1, 1]}}, "cannot be"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_a_sentence(
    epi: dict[str, Any], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    refused(epi, tmp_path / "model.json", json.dumps(OSCILLATOR | change), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "must be an object"),
        ('{"model": "lds_2d", "model": "lds_2d"}', "is there twice"),
        (
            '{"model": "lds_2d", "emergent_property": {"frequency": {"mean": NaN, "sd": 1}}}',
            "not a number of usual size",
        ),
        ('{"model": "lds_2d"', "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        (" " * 1_000_001, "has far fewer"),
    ],
)
def test_a_file_that_is_no_question_is_refused_in_a_sentence(
    epi: dict[str, Any], tmp_path: Path, text: str, said: str
) -> None:
    refused(epi, tmp_path / "model.json", text, said)


def test_another_kind_of_file_is_refused_by_its_name(epi: dict[str, Any], tmp_path: Path) -> None:
    refused(epi, tmp_path / "model.py", json.dumps(OSCILLATOR), "come as a .json file")


def refused(epi: dict[str, Any], data: Path, text: str, said: str) -> None:
    """The reader says so in one sentence that names the file."""
    data.write_text(text)
    with pytest.raises(epi["analysis_kit"].InputError) as refusal:
        epi["emergent"].load_problem(data, trials=1)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(f"Dataset {data.name}")


def test_a_run_that_is_refused_ends_with_code_2_and_no_results(tmp_path: Path) -> None:
    ran = run_epi(tmp_path, OSCILLATOR | {"model": "import os"})

    assert ran.code == 2
    assert ran.err.startswith("Dataset model.json: 'model' must be one of")
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"epoch": 3}, "unknown parameter 'epoch'"),
        ({"batch": 41, "alpha": 0, "seed": -1}, "'batch'"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    ran = run_epi(tmp_path, OSCILLATOR, config)

    assert ran.code == 2
    assert said in ran.err


def test_more_simulations_than_memory_holds_are_refused(tmp_path: Path) -> None:
    question = {"model": "sc_task_switching", "emergent_property": {"pro_accuracy": {"mean": 0.75, "sd": 0.075}}}

    ran = run_epi(tmp_path, question, {"batch": 1000, "trials": 1000})

    assert ran.code == 2
    assert "simulations at once for dataset model.json" in ran.err


@pytest.mark.parametrize(
    ("model", "asked", "free"),
    [
        ("v1_variability", {"excitatory_sd": {"mean": 5, "sd": 1}}, 4),
        ("sc_task_switching", {"anti_accuracy": {"mean": 0.75, "sd": 0.075}}, 4),
    ],
)
def test_a_circuit_is_inferred_from_end_to_end(tmp_path: Path, model: str, asked: dict[str, Any], free: int) -> None:
    ran = run_epi(tmp_path, {"model": model, "emergent_property": asked}, {"iterations": 25})

    assert ran.code == 0, ran.err
    with np.load(ran.results / "model_samples.npz") as samples:
        assert samples["theta"].shape == (100, free)
        assert samples["statistics"].shape == (100, 1)
        assert np.isfinite(samples["log_prob"]).all()
    summary = json.loads((ran.results / "model_summary.json").read_text())
    assert list(summary["emergent_property"]) == list(asked)
    assert not summary["constraints_met"]
    assert "not met" in ran.out


def test_equal_runs_give_equal_numbers_and_another_seed_others(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        ran = run_epi(tmp_path / name, OSCILLATOR | {"parameters": {"a11": 0}}, {"seed": seed})
        assert ran.code == 0, ran.err
        with np.load(ran.results / "model_samples.npz") as samples:
            found.append(samples["theta"])

    assert found[0].shape == (100, 3)
    assert (found[0] == found[1]).all()
    assert not (found[0] == found[2]).any()
