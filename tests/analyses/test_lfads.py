"""LFADS: its formulae, what it reads and refuses, that it learns what is there, and that its sample asks for more."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, evaluate, run

pytestmark = pytest.mark.heavy  # its environment has torch: a gigabyte

Array = np.ndarray[Any, Any]
SMALL = {
    "gen_dim": 8,
    "fac_dim": 3,
    "ic_dim": 3,
    "enc_dim": 8,
    "con_dim": 6,
    "max_epochs": 2,
    "posterior_draws": 2,
}
TRIALS, BINS, NEURONS = 20, 12, 6


def spikes(*, trials: int = TRIALS) -> Array:
    return np.random.default_rng(0).poisson(0.5, (trials, BINS, NEURONS)).astype(np.uint8)


def run_arrays(folder: Path, arrays: dict[str, Any], config: dict[str, Any] | None = None) -> Ran:
    np.savez(folder / "recording.npz", **arrays)
    return run_file(folder, folder / "recording.npz", config)


def run_file(folder: Path, data: Path, config: dict[str, Any] | None = None) -> Ran:
    (folder / "config.json").write_text(json.dumps({**SMALL, **(config or {})}))
    return run("lfads", data, folder / "config.json", folder / "results")


def summary_of(ran: Ran, stem: str = "recording") -> dict[str, Any]:
    assert ran.code == 0, ran.out + ran.err
    found: dict[str, Any] = json.loads((ran.results / f"{stem}_summary.json").read_text())
    return found


def sample_check() -> ModuleType:
    path = BLUEPRINTS / "lfads" / "sample" / "check.py"
    spec = importlib.util.spec_from_file_location("lfads_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_likelihoods_and_divergences_are_those_of_the_formulae() -> None:
    poisson, gaussian, kl, sampled = evaluate(
        "lfads",
        """
import math, torch
from objective import gaussian_kl, negative_log_likelihood
x, readout, v = torch.tensor([3.0]), torch.tensor([0.4]), torch.tensor([-0.7])
poisson = [float(negative_log_likelihood(x, readout, None)), math.exp(0.4) - 3 * 0.4]
density = torch.distributions.Normal(0.4, math.exp(-0.35)).log_prob(x)
gaussian = [float(negative_log_likelihood(x, readout, v)), -float(density)]
q = torch.distributions.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 2.0]))
p = torch.distributions.Normal(torch.tensor([0.3, 0.1]), torch.tensor([0.8, 0.2]))
own = gaussian_kl(q.mean, q.variance.log(), p.mean, p.variance.log())
answer = [poisson, gaussian, own.tolist(), torch.distributions.kl_divergence(q, p).tolist()]
""",
    )
    np.testing.assert_allclose(poisson[0], poisson[1], rtol=1e-5)
    np.testing.assert_allclose(gaussian[0], gaussian[1], rtol=1e-5)
    np.testing.assert_allclose(kl, sampled, rtol=1e-5)


def test_the_prior_of_inputs_keeps_its_variance_and_its_divergence_is_that_of_whole_paths() -> None:
    """By the chain rule, the mean over draws of the sum over time is KL between the paths' joint distributions."""
    variances, own, joint = evaluate(
        "lfads",
        """
import torch
from model import InputPrior
from objective import gaussian_kl
torch.manual_seed(0)
prior = InputPrior(1, tau_bins=3.0, variance=0.4)
with torch.no_grad():
    path = [0.4 ** 0.5 * torch.randn(200000, 1)]
    for t in range(1, 6):
        mean, log_variance = prior.before(torch.stack([path[-1], path[-1]], 1))
        path.append(mean[:, 1] + torch.exp(0.5 * log_variance[1]) * torch.randn(200000, 1))
    variances = [float(u.var()) for u in path]
    m, s = torch.tensor([0.5, -0.3, 0.8]), torch.tensor([0.6, 0.3, 0.9])
    u = m + s * torch.randn(400000, 3)
    mean, log_variance = prior.before(u[..., None])
    own = gaussian_kl(m[None, :, None].expand(400000, -1, -1), (2 * s.log())[None, :, None], mean, log_variance)
    keep = float(torch.exp(torch.tensor(-1 / 3.0)))
    covariance = 0.4 * torch.tensor([[keep ** abs(i - j) for j in range(3)] for i in range(3)])
    q = torch.distributions.MultivariateNormal(m, torch.diag(s**2))
    p = torch.distributions.MultivariateNormal(torch.zeros(3), covariance)
    answer = [variances, float(own.sum((1, 2)).mean()), float(torch.distributions.kl_divergence(q, p))]
""",
    )
    np.testing.assert_allclose(variances, 0.4, rtol=0.02)
    assert own == pytest.approx(joint, rel=0.01)


def test_hidden_values_alone_count_and_expected_sums_stay() -> None:
    shown_and_counted, mean_shown, mean_weight, unseen_shape, unseen_weight = evaluate(
        "lfads",
        """
import torch
from objective import hide
x = torch.full((50, 40, 30), 2.0)
hidden = hide(x, 25, rate=0.3, random=torch.Generator().manual_seed(0))
weight = hidden.weight[..., :25]
answer = [int(((hidden.seen > 0) & (weight > 0)).sum()), float(hidden.seen.mean()), float(weight.mean()),
          list(hidden.seen.shape), hidden.weight[..., 25:].unique().tolist()]
""",
    )
    assert shown_and_counted == 0
    assert mean_shown == pytest.approx(2.0, rel=0.02)
    assert mean_weight == pytest.approx(1.0, rel=0.02)
    assert unseen_shape == [50, 40, 25]
    assert unseen_weight == [1.0]


def test_a_controller_without_effect_leaves_the_dynamics_of_the_fused_generator() -> None:
    """Stepping with inputs of zero is what the autonomous network does; rows of W_f have length 1."""
    worst, lengths = evaluate(
        "lfads",
        """
import torch
from dataclasses import replace
from model import Lfads, Sizes
torch.manual_seed(0)
sizes = Sizes(7, 5, 6, 3, 9, 4, 5, 1, 0)
stepped = Lfads(sizes, offset=torch.zeros(7), dropout=0.0).eval()
fused = Lfads(replace(sizes, co_dim=0), offset=torch.zeros(7), dropout=0.0).eval()
with torch.no_grad():
    stepped.co.weight.zero_(); stepped.co.bias.zero_()
    fused.load_state_dict(stepped.state_dict(), strict=False)
    x = torch.poisson(torch.full((8, 20, 5), 0.5))
    one, two = (model(x, None, sampled=False)[1].readout for model in (stepped, fused))
    answer = [float((one - two).abs().max()), stepped.normalised_factor_weights().norm(dim=1).tolist()]
""",
    )
    assert worst < 1e-5
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_what_is_not_shown_has_no_influence_on_what_is_inferred() -> None:
    """Neurons from `seen` on are changed; no rate moves."""
    moved, moved_by_seen = evaluate(
        "lfads",
        """
import torch
from recording import Recording
from trials import arrange
from training import build_model
from inference import infer
parameters = {"enc_dim": 6, "ic_dim": 3, "gen_dim": 8, "fac_dim": 3, "con_dim": 4, "co_dim": 1, "dropout_rate": 0.0}
values = np.random.default_rng(0).poisson(0.5, (20, 12, 10)).astype(np.uint8)
def rates(values):
    torch.manual_seed(1)
    trials = arrange(Recording(values, None, None, None, None, None), counts=True, valid_fraction=0.2,
                     held_out_neurons=0.3, name="x")
    model = build_model(trials, parameters)
    with torch.no_grad():
        model.readout.bias.zero_()
    return trials, infer(model, trials, np.arange(20), torch.device("cpu"), draws=1, seed=0).rates
trials, before = rates(values)
other = values.copy(); other[..., trials.unseen_neurons()] += 3
seen = values.copy(); seen[..., trials.order[0]] += 3
answer = [float(np.abs(rates(other)[1] - before).max()), float(np.abs(rates(seen)[1] - before).max())]
""",
    )
    assert moved == 0
    assert moved_by_seen > 1e-4


def test_penalties_grow_evenly_and_the_learning_rate_falls_before_the_training_ends(tmp_path: Path) -> None:
    ran = run_arrays(
        tmp_path,
        {"spikes": spikes()},
        {"max_epochs": 200, "ramp_epochs": 4, "lr_patience": 2, "lr_decay": 0.5, "patience": 9, "learning_rate": 0.03},
    )

    assert summary_of(ran)["ended"] in ("no gain", "learning rate")
    table = np.loadtxt(ran.results / "recording_losses.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:6, 2], [0, 0.25, 0.5, 0.75, 1, 1])
    assert table[-1, 1] < 0.03
    assert (np.diff(table[:, 1]) <= 0).all()
    best = summary_of(ran)["best_epoch"]
    assert table[best - 1, 7] <= table[:, 7].min() * (1 + 1e-3)


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(tmp_path: Path) -> None:
    rates = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        folder.mkdir()
        ran = run_arrays(folder, {"spikes": spikes()}, {"seed": seed, "co_dim": 1})
        summary_of(ran)
        rates.append(np.load(ran.results / "recording_rates.npy"))
    np.testing.assert_array_equal(rates[0], rates[1])
    assert not np.array_equal(rates[0], rates[2])


def test_files_of_one_part_and_of_two_say_the_same(tmp_path: Path) -> None:
    values = spikes()
    valid = np.arange(TRIALS) >= 15
    together, parted = tmp_path / "together", tmp_path / "parted"
    for folder in (together, parted):
        folder.mkdir()

    one = run_arrays(together, {"spikes": values, "valid": valid})
    two = run_arrays(parted, {"train_data": values[:15].astype(float), "valid_data": values[15:].astype(float)})

    assert summary_of(one)["validation_trials"] == summary_of(two)["validation_trials"] == 5
    np.testing.assert_array_equal(*(np.load(ran.results / "recording_rates.npy") for ran in (one, two)))


def test_neurons_that_a_file_does_not_show_the_encoders_are_predicted(tmp_path: Path) -> None:
    values = spikes()
    arrays = {f"{part}_recon_data": rows for part, rows in (("train", values[:15]), ("valid", values[15:]))}
    arrays |= {f"{part}_encod_data": rows[..., :4] for part, rows in (("train", values[:15]), ("valid", values[15:]))}

    ran = run_arrays(tmp_path, arrays)

    assert summary_of(ran)["held_out_neurons"] == [4, 5]
    assert summary_of(ran)["scores"]["co_smoothing_bits_per_spike"] is not None
    assert np.load(ran.results / "recording_rates.npy").shape == (TRIALS, BINS, NEURONS)


def test_numbers_that_are_no_counts_have_a_gaussian_readout_and_known_inputs_drive_the_generator(
    tmp_path: Path,
) -> None:
    """Signals that a known step alone explains; units are those of the data."""
    random = np.random.default_rng(0)
    step = np.zeros((60, BINS, 1))
    step[np.arange(60), random.integers(2, 10, 60)] = 1
    signal = np.cumsum(step, 1) * np.array([100.0, -50, 20]) + 7 + random.normal(size=(60, BINS, 3))
    config = {"readout": "gaussian", "max_epochs": 60, "gen_dim": 16, "ramp_epochs": 10, "l2_gen": 10, "batch_size": 16}

    ran = run_arrays(tmp_path, {"spikes": signal, "ext_input": step}, config)

    assert summary_of(ran)["known_inputs"] == 1
    assert summary_of(ran)["scores"]["hidden_r2"] > 0.8
    rates = np.load(ran.results / "recording_rates.npy")
    assert np.abs(rates - signal).mean() < 15


def test_a_checkpoint_gives_the_same_rates_again(tmp_path: Path) -> None:
    ran = run_arrays(tmp_path, {"spikes": spikes()}, {"posterior_draws": 1, "co_dim": 1, "held_out_neurons": 0.3})
    summary_of(ran)

    worst = evaluate(
        "lfads",
        f"""
import torch
from model import Lfads, Sizes
held = torch.load(r"{ran.results}/recording_model.pt", weights_only=True)
sizes = Sizes(**held["sizes"])
model = Lfads(sizes, offset=torch.zeros(sizes.neurons), dropout=0.0).eval()
model.load_state_dict(held["weights"])
order = held["neuron_order"].numpy()
x = torch.from_numpy(np.load(r"{tmp_path}/recording.npz")["spikes"][..., order[:sizes.seen]].astype(np.float32))
with torch.no_grad():
    rates = model(x, None, sampled=False)[1].readout.exp().numpy()
answer = float(np.abs(np.load(r"{ran.results}/recording_rates.npy")[..., order] - rates).max())
""",
    )
    assert worst < 1e-5


def with_value(value: float) -> Array:
    values = spikes().astype(np.float64)
    values[3, 2, 1] = value
    return values


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one neuron only": ({"spikes": spikes()[..., :1]}, "there are 1 neurons"),
    "few trials": ({"spikes": spikes()[:4]}, "there are 4 trials"),
    "two dimensions": ({"spikes": spikes()[0]}, "trials x time bins x neurons"),
    "nothing in it": ({"spikes": spikes()[:0]}, "is empty"),
    "no spike": ({"spikes": spikes() * 0}, "all values are nought"),
    "missing": ({"spikes": with_value(np.nan)}, "trial 3, bin 2, neuron 1, counted from 0), which is not a finite"),
    "infinite": ({"spikes": with_value(np.inf)}, "not a finite number"),
    "negative": ({"spikes": with_value(-1)}, "is negative"),
    "fraction": ({"spikes": with_value(0.5)}, "is not a whole number"),
    "too many spikes": ({"spikes": with_value(1e9)}, "more spikes in a bin"),
    "text": ({"spikes": spikes().astype(str)}, "numbers, trials x time bins"),
    "no activity": ({"rates": spikes()}, "it lacks 'spikes'"),
    "parts that differ": ({"train_data": spikes(), "valid_data": spikes()[:, :-1]}, "training trials are"),
    "no conditions": ({"spikes": spikes(), "conditions": np.arange(3)}, "'conditions' has shape"),
    "truth of another size": ({"spikes": spikes(), "truth": np.ones(5)}, "'truth' has shape"),
    "inputs of another size": ({"spikes": spikes(), "ext_input": np.ones((TRIALS, 3, 1))}, "'ext_input' has shape"),
    "nothing to train on": ({"spikes": spikes(), "valid": np.ones(TRIALS)}, "kept for validation"),
    "encoders' neurons": (
        {
            f"{part}_{name}_data": spikes() + (name == "encod")
            for part in ("train", "valid")
            for name in ("encod", "recon")
        },
        "must be the first neurons",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_that_cannot_be_used_end_in_one_sentence(case: str, tmp_path: Path) -> None:
    arrays, said = BAD[case]

    ran = run_arrays(tmp_path, arrays)

    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert ran.err.startswith("Dataset recording.npz")
    assert said in ran.err
    assert list(ran.results.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv", ".mat", ".h5", ".npz"])
def test_files_of_another_kind_and_truncated_ones_end_in_one_sentence(suffix: str, tmp_path: Path) -> None:
    data = tmp_path / f"recording{suffix}"
    whole = (BLUEPRINTS / "lfads" / "sample" / ("lorenz.h5" if suffix == ".h5" else "lorenz_truth.npz")).read_bytes()
    data.write_bytes(whole[: len(whole) // 2])

    ran = run_file(tmp_path, data)

    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert data.name in ran.err
    assert list(ran.results.iterdir()) == []


def test_baselines_miss_what_the_sample_asks_for() -> None:
    check = sample_check()
    expected = json.loads((BLUEPRINTS / "lfads" / "sample" / "expected.json").read_text())["lorenz"]["at_least"]
    valid = np.arange(400) % 5 == 2
    apart = np.arange(1, 30, 2)

    found = check.baselines("lorenz", valid, apart)

    for figures in found.values():
        for name, value in figures.items():
            assert value < expected[name] - 0.01, name


def test_inferred_inputs_find_when_and_in_which_sense_each_trial_was_pushed(tmp_path: Path) -> None:
    """A leaky integrator is pushed once a trial, at a time and in a sense of that trial's own."""
    random = np.random.default_rng(0)
    trials, bins = 200, 40
    when, sense = random.integers(8, 32, trials), random.choice([-1, 1], trials)
    state = np.zeros((trials, bins))
    for t in range(1, bins):
        state[:, t] = 0.9 * state[:, t - 1] + 2.5 * sense * (when == t)
    rates = np.minimum(0.3 * np.exp(state[..., None] * random.choice([-0.7, 0.7], 24)), 5)
    config = {"gen_dim": 24, "fac_dim": 4, "ic_dim": 4, "enc_dim": 24, "con_dim": 16, "co_dim": 1, "l2_gen": 50}
    config |= {"ramp_epochs": 20, "max_epochs": 60, "batch_size": 40, "posterior_draws": 10}

    ran = run_arrays(tmp_path, {"spikes": random.poisson(rates), "truth": rates}, config)

    assert summary_of(ran)["scores"]["truth_r2"] > 0.7
    inputs = np.load(ran.results / "recording_inputs.npz")["mean"][..., 0]
    valid = np.load(ran.results / "recording_starts.npz")["valid"]
    centred = inputs - np.median(inputs, 1, keepdims=True)
    found = np.abs(centred).argmax(1)
    assert (np.abs(found - when)[valid] <= 2).mean() > 0.85
    agreement = np.sign(centred[np.arange(trials), found])[valid] * sense[valid]
    assert abs(agreement.mean()) > 0.85
