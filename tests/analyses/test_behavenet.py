"""BehaveNet / PS-VAE: its formulae, states against known ones, what it reads and refuses, what its sample asks for."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, evaluate, in_environment, run

pytestmark = pytest.mark.heavy  # its environment has torch: a gigabyte

SMALL = {
    "n_ae_latents": 4,
    "ae_encoding_n_channels": [3, 4],
    "ae_encoding_kernel_size": 3,
    "max_n_epochs": 2,
    "ps_vae.anneal_epochs": 1,
    "approx_batch_size": 20,
    "n_arhmm_states": 2,
    "n_arhmm_iters": 3,
    "arhmm_restarts": 1,
    "n_decoder_lags": 1,
    "trial_splits": "3;1;1;0",
}
MAKE = """
import h5py, numpy as np
random = np.random.default_rng(0)
T, R, C = 12, 11, 14
images = {f"trial_{k:04d}": random.integers(0, 255, (T, 1, R, C)).astype(np.uint8) for k in range(5)}
labels = {name: random.normal(size=(T, 2)) for name in images}
neural = {name: random.poisson(1.0, (T, 3)).astype(np.uint8) for name in images}
groups = {"images": images, "labels": labels, "neural": neural}
"""
WRITE = """
with h5py.File(path, "w") as file:
    for group, held in groups.items():
        for name, values in held.items():
            file[f"{group}/{name}"] = values
"""


def make(folder: Path, change: str = "") -> Path:
    """A small file, after a change to its `groups`; written where h5py is, in the analysis's environment."""
    path = folder / "video.h5"
    in_environment("behavenet", f"path = {str(path)!r}\n{MAKE}\n{change}\n{WRITE}")
    return path


def run_file(folder: Path, data: Path, config: dict[str, Any] | None = None) -> Ran:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**SMALL, **(config or {})}))
    return run("behavenet", data, folder / "config.json", folder / "results")


def summary_of(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.out + ran.err
    found: dict[str, Any] = json.loads((ran.results / "video_summary.json").read_text())
    return found


def sample_check() -> ModuleType:
    path = BLUEPRINTS / "behavenet" / "sample" / "check.py"
    spec = importlib.util.spec_from_file_location("behavenet_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_three_parts_add_up_to_the_divergence_and_each_is_that_of_its_formula() -> None:
    """Against sums written out by pairs; with posteriors that are all one, only the dimension-wise part is left."""
    parts, whole, by_hand, alike = evaluate(
        "behavenet",
        """
import math, torch
from torch.distributions import Normal
from model import Code
from objective import decomposed_kl, gaussian_kl
torch.manual_seed(0)
mean, log_variance = torch.randn(30, 3, dtype=torch.float64), torch.randn(30, 3, dtype=torch.float64)
z = mean + torch.randn(30, 3, dtype=torch.float64) * torch.exp(0.5 * log_variance)
parts = [float(value) for value in decomposed_kl(z, Code(mean, log_variance))]
q = Normal(mean, torch.exp(0.5 * log_variance))
whole = float((q.log_prob(z) - Normal(0, 1).log_prob(z)).sum(1).mean())
mi, tc = 0.0, 0.0
for i in range(30):
    density = [[math.exp(float(Normal(mean[j, d], math.exp(0.5 * log_variance[j, d])).log_prob(z[i, d])))
                for d in range(3)] for j in range(30)]
    joint = math.log(sum(a * b * c for a, b, c in density) / 30)
    mi += math.log(math.prod(density[i])) - joint
    tc += joint - sum(math.log(sum(row[d] for row in density) / 30) for d in range(3))
same = Code(torch.full((5000, 2), 0.4), torch.full((5000, 2), -1.0))
draws = same.mean + torch.randn(5000, 2) * math.exp(-0.5)
alike = [float(value) for value in decomposed_kl(draws[:1000], Code(same.mean[:1000], same.log_variance[:1000]))]
alike.append(float(gaussian_kl(same.mean[:1], same.log_variance[:1]).sum()))
answer = [parts, whole, [mi / 30, tc / 30], alike]
""",
    )
    assert sum(parts) == pytest.approx(whole, rel=1e-9)
    np.testing.assert_allclose(parts[:2], by_hand, rtol=1e-9)
    np.testing.assert_allclose(alike[:2], 0, atol=1e-4)
    assert alike[2] == pytest.approx(alike[3], rel=0.1)


def test_terms_are_those_of_the_formulae_and_the_loss_their_weighted_sum() -> None:
    terms, by_hand, loss, expected = evaluate(
        "behavenet",
        """
import torch
from model import BehaveNet, Sizes
from objective import Weights, terms_of, total
from trials import Batch
torch.manual_seed(0)
model = BehaveNet(Sizes((2, 9, 12), (3, 4), 3, 5, 2, True)).double()
with torch.no_grad():
    model.to_latents.weight += 0.1 * torch.randn_like(model.to_latents.weight)
    model.label_scale.copy_(torch.tensor([2.0, 0.5])); model.label_offset.copy_(torch.tensor([0.1, -0.3]))
x, y = torch.rand(6, 2, 9, 12, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
seen = torch.ones(6, 2, dtype=torch.float64); seen[0, 1] = 0
noise = torch.randn(6, 5, dtype=torch.float64)
t = terms_of(model, Batch(x, y, seen), noise, pixel_sd=0.3)
code = model.encode(x)
z = code.mean + noise * torch.exp(code.log_variance / 2)
error = ((x - model.decode(z)) ** 2).sum((1, 2, 3)).mean() / (2 * 0.09)
ydev = (y - torch.stack([2 * z[:, 0] + 0.1, 0.5 * z[:, 1] - 0.3], 1)) ** 2 * seen
s, lv = code.mean[:, :2], code.log_variance[:, :2]
prior = torch.distributions.Normal(torch.zeros_like(s), torch.ones_like(s))
kl = torch.distributions.kl_divergence(torch.distributions.Normal(s, torch.exp(lv / 2)), prior).sum(1).mean()
W = model.to_latents.weight
gram = ((W @ W.T - torch.eye(5, dtype=torch.float64)) ** 2).sum()
names = ("frame", "label", "kl_supervised", "mutual_information", "total_correlation", "dimension_kl", "orthogonality")
v = [float(getattr(t, name)) for name in names]
loss = float(total(t, Weights(7.0, 3.0, 2.0, 0.5)))
expected = v[0] + 7 * v[1] + 0.5 * (v[2] + v[3] + 3 * v[4] + v[5]) + 2 * v[6]
answer = [[v[0], v[1], v[2], v[6]], [float(u) for u in (error, ydev.sum(1).mean() / 2, kl, gram)], loss, expected]
""",
    )
    np.testing.assert_allclose(terms, by_hand, rtol=1e-9)
    assert loss == pytest.approx(expected, rel=1e-9)


def test_frames_of_any_size_come_back_in_their_size_and_latents_start_orthonormal() -> None:
    shapes, worst = evaluate(
        "behavenet",
        """
import torch
from model import BehaveNet, Sizes
shapes, worst = [], 0.0
for frame, channels in (((1, 32, 32), (4, 5)), ((2, 17, 30), (4, 5, 6)), ((1, 8, 13), (2, 2, 2, 2, 4))):
    model = BehaveNet(Sizes(frame, channels, 5, 4, 2, True))
    with torch.no_grad():
        shapes.append([list(model.decode(model.encode(torch.rand(3, *frame)).mean).shape[1:]), list(frame)])
        W = model.to_latents.weight
        worst = max(worst, float((W @ W.T - torch.eye(4)).abs().max()))
answer = [shapes, worst]
""",
    )
    for found, wanted in shapes:
        assert found == wanted
    assert worst < 1e-5


def test_forward_and_backward_passes_are_sums_over_all_paths() -> None:
    """Two states, trials of 5 and 3 frames: likelihood, posteriors, transitions, best path against every path."""
    found, by_hand, paths, best = evaluate(
        "behavenet",
        """
import itertools
from arhmm import Arhmm, infer, log_densities, most_likely_states, sequences_of
random = np.random.default_rng(0)
roots = random.normal(size=(2, 2, 2))
model = Arhmm(np.log([0.3, 0.7]), np.log([[0.8, 0.2], [0.4, 0.6]]), random.normal(size=(2, 2, 3)) * 0.5,
              roots @ roots.transpose(0, 2, 1) + np.eye(2))
trials = [random.normal(size=(6, 2)), random.normal(size=(4, 2))]
data = sequences_of(trials, 1)
post, dens = infer(model, data), log_densities(model, data)
ll, states, pairs, best = [], np.zeros((2, 5, 2)), np.zeros((2, 2)), []
for n, length in enumerate((5, 3)):
    scores = {}
    for path in itertools.product(range(2), repeat=length):
        score = model.log_start[path[0]] + sum(dens[n, t, path[t]] for t in range(length))
        scores[path] = score + sum(model.log_transition[path[t - 1], path[t]] for t in range(1, length))
    ll.append(np.log(sum(np.exp(s) for s in scores.values())))
    for path, score in scores.items():
        share = np.exp(score - ll[-1])
        for t in range(length):
            states[n, t, path[t]] += share
            if t:
                pairs[path[t - 1], path[t]] += share
    top = max(scores, key=scores.get)
    best.append([top[0], *top])
k, x, past = 1, trials[0][3], np.append(trials[0][2], 1)
error = x - model.weights[k] @ past
density = -0.5 * error @ np.linalg.inv(model.noise[k]) @ error - 0.5 * np.log(np.linalg.det(2 * np.pi * model.noise[k]))
flat = lambda *values: np.concatenate([np.ravel(v) for v in values]).tolist()
answer = [flat(post.log_likelihood, post.states, post.pairs, dens[0, 2, 1]), flat(ll, states, pairs, density),
          [path.tolist() for path in most_likely_states(model, data)], [[int(s) for s in path] for path in best]]
""",
    )
    np.testing.assert_allclose(found, by_hand, atol=1e-10)
    assert paths == best


def test_em_never_loses_and_finds_known_states_and_dynamics() -> None:
    """Two opposite rotations of a plane, told apart only by how the state before moves on."""
    accuracy, losses, worst, sticky, lags = evaluate(
        "behavenet",
        """
from arhmm import fit_arhmm, most_likely_states, sequences_of
random = np.random.default_rng(1)
turn = lambda angle: 0.98 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
matrices = np.stack([turn(0.5), turn(-0.5)])
trials, truth = [], []
for length in (120, 90, 150, 100, 60, 130):
    state, x, path, states = random.integers(2), random.normal(size=2), [], []
    for _ in range(length):
        state = 1 - state if random.random() < 0.04 else state
        x = matrices[state] @ x + 0.2 * random.normal(size=2)
        path.append(x); states.append(state)
    trials.append(np.array(path)); truth.append(states)
data = sequences_of(trials, 1)
silent = lambda line: None
model, course = fit_arhmm(data, 2, kappa=0, n_iters=60, restarts=3, seed=0, report=silent)
found, known = np.concatenate(most_likely_states(model, data)), np.concatenate(truth)
right = float((found == known).mean())
order = [0, 1] if right > 0.5 else [1, 0]
stuck, _ = fit_arhmm(data, 2, kappa=1e6, n_iters=20, restarts=1, seed=0, report=silent)
two = fit_arhmm(sequences_of(trials, 2), 2, kappa=0, n_iters=5, restarts=1, seed=0, report=silent)[0]
answer = [max(right, 1 - right), float(-np.diff(course).min()),
          float(np.abs(model.weights[order][:, :, :2] - matrices).max()),
          float(np.exp(stuck.log_transition).diagonal().min()), two.n_lags]
""",
    )
    assert accuracy > 0.95
    # The likelihood is of the data alone; priors are weak, so that EM may lose next to nothing of it.
    assert losses < 0.05
    assert worst < 0.1
    assert sticky > 0.999
    assert lags == 2


def test_the_decoder_finds_a_lagged_linear_map_and_nothing_in_noise() -> None:
    good, noise, window = evaluate(
        "behavenet",
        """
from decoding import fit_decoder, lagged
from scores import r2
random = np.random.default_rng(0)
neural = [random.poisson(2.0, (200, 5)) for _ in range(6)]
weights = random.normal(size=(5, 2))
latents = [np.roll(n, 2, 0) @ weights + 0.1 * random.normal(size=(200, 2)) for n in neural]
parts = {"train": [0, 1, 2, 3], "validation": [4], "n_lags": 3}
decoder = fit_decoder(neural, latents, **parts)
other = [random.poisson(2.0, (200, 5)) for _ in range(6)]
empty = fit_decoder(other, latents, **parts)
answer = [r2(latents[5][5:], decoder.predict(neural[5])[5:]), r2(latents[5], empty.predict(other[5])),
          lagged(np.array([[1.0], [2.0], [3.0]]), 1).tolist()]
""",
    )
    assert good > 0.98
    assert noise < 0.05
    assert window == [[0, 1, 2, 1], [1, 2, 3, 1], [2, 3, 0, 1]]


def test_results_fit_together_and_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    data = make(tmp_path)
    first, second = (run_file(tmp_path / name, data) for name in ("a", "b"))
    other = run_file(tmp_path / "c", data, {"rng_seed_model": 1})

    summary = summary_of(first)
    assert summary["trials_of"] == {"train": 3, "validation": 1, "test": 1, "unused": 0}
    assert len(summary["scores"]["label_r2"]) == 2
    for name in ("latents.npz", "arhmm_states.npz", "decoding.npz", "recon.npz", "metrics.csv", "recon.avi"):
        assert (first.results / f"video_{name}").read_bytes() == (second.results / f"video_{name}").read_bytes(), name
    held, changed = (np.load(ran.results / "video_latents.npz") for ran in (first, other))
    assert held["latents"].shape == (60, 4)
    assert held["labels_predicted"].shape == (60, 2)
    assert not np.array_equal(held["latents"], changed["latents"])
    assert np.load(first.results / "video_arhmm_states.npz")["states"].shape == (60,)
    assert np.load(first.results / "video_recon.npz")["reconstructions"].shape == (12, 1, 11, 14)
    riff, _, kind = struct.unpack("<4sI4s", (first.results / "video_recon.avi").read_bytes()[:12])
    assert (riff, kind) == (b"RIFF", b"AVI ")


def test_a_checkpoint_gives_the_same_latents_again(tmp_path: Path) -> None:
    data = make(tmp_path)
    ran = run_file(tmp_path / "a", data)
    summary_of(ran)

    worst = evaluate(
        "behavenet",
        f"""
import h5py, torch
from model import BehaveNet, Sizes
held = torch.load(r"{ran.results}/video_model.pt", weights_only=True)
model = BehaveNet(Sizes(**held["sizes"]))
model.load_state_dict(held["weights"])
with h5py.File(r"{data}") as file, torch.no_grad():
    latents = model.encode(torch.from_numpy(file["images/trial_0002"][()] / np.float32(255))).mean.numpy()
answer = float(np.abs(np.load(r"{ran.results}/video_latents.npz")["latents"][24:36] - latents).max())
""",
    )
    assert worst < 1e-5


def test_an_autoencoder_needs_no_labels_and_floating_point_frames_are_taken(tmp_path: Path) -> None:
    change = "del groups['labels'], groups['neural']\nfor k, v in images.items(): images[k] = v / 255"
    ran = run_file(tmp_path / "a", make(tmp_path, change), {"model_class": "ae", "n_arhmm_states": 0})

    assert set(summary_of(ran)["scores"]) == {"frame_r2"}
    assert np.load(ran.results / "video_latents.npz")["labels_predicted"].shape == (60, 0)


def test_a_label_that_was_not_observed_has_no_say(tmp_path: Path) -> None:
    """Whatever stands where the mask is nought, the results are the same."""
    latents = []
    for name, value in (("a", "np.nan"), ("b", "1e9")):
        folder = tmp_path / name
        folder.mkdir()
        change = f"""
groups["labels_masks"] = {{name: np.ones((T, 2)) for name in images}}
for name in images:
    groups["labels_masks"][name][3:5, 1] = 0
    labels[name][3:5, 1] = {value}
"""
        ran = run_file(folder, make(folder, change))
        summary_of(ran)
        latents.append(np.load(ran.results / "video_latents.npz")["latents"])
    np.testing.assert_array_equal(*latents)


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no frames": ("del groups['images']", {}, "it lacks 'images'"),
    "no labels": ("del groups['labels']", {}, "it lacks 'labels'"),
    "a trial without labels": ("del labels['trial_0003']", {}, "'labels' lacks trial_0003"),
    "labels of another length": ("labels['trial_0001'] = labels['trial_0001'][:-1]", {}, "12 frames x 2 is needed"),
    "neurons that differ": ("neural['trial_0001'] = neural['trial_0001'][:, :2]", {}, "12 frames x 3 is needed"),
    "a label that is missing": ("labels['trial_0001'][4, 1] = np.nan", {}, "(frame 4, column 1"),
    "activity that is infinite": (
        "neural['trial_0000'] = np.full((T, 3), np.inf)",
        {},
        "'neural/trial_0000' has a value that is not a finite",
    ),
    "a constant label": ("labels = groups['labels'] = {k: v * [1, 0] for k, v in labels.items()}", {}, "label 1"),
    "a mask of other numbers": ("groups['labels_masks'] = labels", {}, "'labels_masks' must say 0 or 1"),
    "frames without channels": ("images['trial_0000'] = images['trial_0000'][:, 0]", {}, "frames x channels x rows"),
    "frames of two sizes": ("images['trial_0002'] = images['trial_0002'][..., :-1]", {}, "differ in size"),
    "frames too small": ("groups['images'] = {k: v[..., :4] for k, v in images.items()}", {}, "8 to 2048"),
    "no frame in a trial": ("images['trial_0002'] = images['trial_0002'][:0]", {}, "has 0 frames"),
    "sixteen bits": (
        "groups['images'] = {k: v.astype(np.uint16) for k, v in images.items()}",
        {},
        "pixels are uint16",
    ),
    "negative pixels": ("groups['images'] = {k: v / -255 for k, v in images.items()}", {}, "0 to 1 is needed"),
    "pixels that are missing": (
        "groups['images'] = {k: v / 255 for k, v in images.items()}; groups['images']['trial_0001'][3] = np.nan",
        {},
        "'images/trial_0001' has a pixel that is not a finite number",
    ),
    "one grey": ("groups['images'] = {k: v * 0 + 7 for k, v in images.items()}", {}, "one value"),
    "text": ("labels['trial_0000'] = np.full((T, 2), b'a')", {}, "does not hold numbers"),
    "an array, not a group": ("groups = {}; h5py.File(path, 'w')['images'] = np.ones(3); WRITE = ''", {}, "a group"),
    "few trials": ("", {"trial_splits": "8;1;1;0"}, "there is no validation trial"),
    "few latents": ("", {"n_ae_latents": 2}, "at least 3 are needed"),
    "more latents than the encoder has": ("", {"ae_encoding_n_channels": [2] * 6}, "gives 2 numbers for 4 latents"),
    "short trials": (
        "groups = {g: {k: v[:5] for k, v in held.items()} for g, held in groups.items()}",
        {"n_arhmm_lags": 5},
        "the shortest trial has 5 frames",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_cannot_be_used_end_in_one_sentence(case: str, tmp_path: Path) -> None:
    change, config, said = BAD[case]
    if "WRITE" in change:
        data = tmp_path / "video.h5"
        in_environment("behavenet", f"import h5py\nh5py.File({str(data)!r}, 'w')['images'] = [1.0, 2.0]")
    else:
        data = make(tmp_path, change)

    assert_refused(run_file(tmp_path / "run", data, config), data, said)


def test_links_out_of_the_file_truncated_files_and_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    data = make(tmp_path)
    linked, short, other = tmp_path / "linked.h5", tmp_path / "short.h5", tmp_path / "video.mat"
    in_environment(
        "behavenet",
        f"import h5py\nfile = h5py.File({str(linked)!r}, 'w')\n"
        f"file['images/trial_0000'] = h5py.ExternalLink({str(data)!r}, '/images/trial_0000')",
    )
    short.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    other.write_bytes(data.read_bytes())

    for path, said in ((linked, "is a link to somewhere else"), (short, "cannot be read"), (other, ".h5 or .hdf5")):
        assert_refused(run_file(tmp_path / path.stem, path), path, said)


def assert_refused(ran: Ran, data: Path, said: str) -> None:
    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert ran.err.startswith(f"Dataset {data.name}")
    assert said in ran.err
    assert list(ran.results.iterdir()) == []


def test_states_at_chance_and_labels_at_their_means_miss_what_the_sample_asks_for() -> None:
    check = sample_check()
    limits = json.loads((BLUEPRINTS / "behavenet" / "sample" / "expected.json").read_text())["discs"]["at_least"]
    truth = check.truth_of("discs")
    states = truth["states"].ravel()
    shuffled = np.random.default_rng(0).permutation(states)
    labels = truth["labels"].reshape(-1, 2)
    frames = check._maker().render(truth["factors"].reshape(-1, 4)[:400])

    assert check.accuracy(states, (states + 1) % 3) == 1
    assert check.accuracy(states, shuffled) < limits["state_accuracy"] - 0.3
    assert check.r2(labels, np.broadcast_to(labels.mean(0), labels.shape)) < limits["label_r2"] - 0.5
    assert check.r2(frames, np.broadcast_to(frames.mean(0), frames.shape)) < limits["frame_r2"] - 0.5
