"""DeepGraphPose: its formulae, what it reads and refuses, that a run can be repeated, and its ensemble's agreement."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, check, evaluate, run

Array = np.ndarray[Any, Any]
ANALYSIS = "deepgraphpose"
SAMPLE = BLUEPRINTS / ANALYSIS / "sample" / "crawler.zip"
TABLE = "labeled-data/crawler/CollectedData_maker.csv"
TRIAL = {"testing": True, "test_fraction": 0.2, "n_max_frames": 40}


@pytest.fixture
def graph() -> Iterator[ModuleType]:
    folder = str(BLUEPRINTS / "shared")
    sys.path.insert(0, folder)
    yield import_module("dgp_graph")
    sys.path.remove(folder)
    sys.modules.pop("dgp_graph")


def evidence_of(graph: ModuleType, *, frames: int, parts: int, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    mean = random.normal(40, 15, (frames, parts, 2))
    observed = np.full_like(mean, np.nan)
    observed[3, 0] = mean[3, 0] + 2
    return graph.Evidence(
        mean, random.uniform(1, 30, (frames, parts)), random.uniform(0.01, 1, (frames, parts)), observed
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_sweep_lowers_the_bound_and_labels_stay(graph: ModuleType, seed: int) -> None:
    evidence = evidence_of(graph, frames=30, parts=3, seed=seed)
    cliques = graph.Cliques(0.3, 0.2, 4.0, (graph.Edge(0, 1, 8.0, 15.0), graph.Edge(1, 2, 5.0, 6.0)))

    posterior = graph.infer(evidence, cliques)

    assert (np.diff(posterior.bounds) >= -1e-9).all()
    assert posterior.bounds[-1] > posterior.bounds[0] + 1
    np.testing.assert_array_equal(posterior.mean[3, 0], evidence.observed[3, 0])
    assert posterior.variance[3, 0] == 0


def test_without_free_steps_and_edges_the_means_solve_the_gaussian_chain(graph: ModuleType) -> None:
    """Precision P = diag(c / v) + wt L, L the chain's Laplacian; P m = (c / v) mu, the observed marker moved over."""
    evidence, wt = evidence_of(graph, frames=12, parts=1), 0.4
    own = evidence.precision[:, 0]
    laplacian = np.diag([1.0, *[2.0] * 10, 1.0]) - np.eye(12, k=1) - np.eye(12, k=-1)
    precision = np.diag(own) + wt * laplacian
    hidden = np.arange(12) != 3
    wanted = own[:, None] * evidence.mean[:, 0] - np.outer(precision[:, 3], evidence.observed[3, 0])
    exact = np.linalg.solve(precision[np.ix_(hidden, hidden)], wanted[hidden])

    posterior = graph.infer(evidence, graph.Cliques(wt, 0.0, 0.0, ()))

    np.testing.assert_allclose(posterior.mean[hidden, 0], exact, atol=0.05)
    np.testing.assert_allclose(posterior.variance[hidden, 0], 1 / np.diag(precision)[hidden], rtol=1e-9)


def test_a_part_out_of_sight_is_placed_by_its_neighbours(graph: ModuleType) -> None:
    time = np.arange(20)
    path = np.stack([10 + 3.0 * time, np.full(20, 50.0)], -1)
    mean = np.stack([path, path + np.array([0, 12])], axis=1)
    seen, variance = np.full((20, 2), 0.95), np.full((20, 2), 4.0)
    mean[8:12, 1], seen[8:12, 1], variance[8:12, 1] = (90, 90), 0.05, 100.0
    observed = np.full_like(mean, np.nan)

    posterior = graph.infer(
        graph.Evidence(mean, variance, seen, observed), graph.Cliques(0.2, 0.2, 4.0, (graph.Edge(0, 1, 10.0, 14.0),))
    )

    off = np.linalg.norm(posterior.mean[8:12, 1] - (path[8:12] + np.array([0, 12])), axis=-1)
    assert off.max() < 6
    np.testing.assert_allclose(posterior.mean[:8], mean[:8], atol=0.5)


def test_edges_have_the_lengths_of_their_labels_with_some_room(graph: ModuleType) -> None:
    points = np.zeros((4, 3, 2))
    points[:, 1, 0] = (10, 12, 20, np.nan)
    points[:, 2] = np.nan

    edges = graph.find_edges([(0, 1), (1, 2)], points, ws_max=1.25)

    assert edges == (graph.Edge(0, 1, 8.0, 25.0),)


@pytest.mark.heavy
def test_a_certain_networks_map_says_where_and_how_surely() -> None:
    """Both losses have one optimum: logits that fall with the squared distance from the label."""
    places, variance, probability, gradient, ensemble = evaluate(
        ANALYSIS,
        """
import torch
from dgp_maps import PEAK_LOGIT, WIDTH_PX, cross_entropy, detection_loss, distance2, moments
places = torch.tensor([[[33.3, 41.9], [60.0, 20.5]]])
logits = (PEAK_LOGIT - 0.5 * distance2(places, 12, 14) / WIDTH_PX**2).requires_grad_()
found = moments(logits.detach())
(cross_entropy(logits, places, torch.zeros(1, 2)) + detection_loss(logits, places)).sum().backward()
l = logits.detach().numpy()[0].astype(float)
w = np.exp(l); w /= w.sum((1, 2), keepdims=True)
ensemble = [[float(w[k].sum(0) @ np.arange(14)) * 8 + 4, float(w[k].sum(1) @ np.arange(12)) * 8 + 4] for k in range(2)]
answer = [found.mean[0].tolist(), found.variance[0].tolist(), found.probability[0].tolist(),
          float(logits.grad.abs().max()), ensemble]
""",
    )
    np.testing.assert_allclose(places, [[33.3, 41.9], [60.0, 20.5]], atol=0.05)
    np.testing.assert_allclose(ensemble, places, atol=1e-3)
    assert max(variance) < 1
    assert min(probability) > 0.9
    assert gradient < 1e-4


@pytest.mark.heavy
def test_places_move_with_the_images_they_are_in() -> None:
    worst, count = evaluate(
        ANALYSIS,
        """
import torch
from dgp_augment import changed
places = torch.tensor([[[40.0, 30.0], [70.0, 52.0]]]).repeat(6, 1, 1)
y, x = torch.meshgrid(torch.arange(80.0), torch.arange(120.0), indexing="ij")
blob = lambda p: torch.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / 8)
images = torch.stack([torch.stack([8 * blob(p[0]), 8 * blob(p[1]), 0 * x]) for p in places])
turned, moved = changed(images, places, np.random.default_rng(0))
off = []
for image, place in zip(turned, moved):
    for k in range(2):
        at = int(image[k].argmax())
        off.append(float(torch.hypot(at % 120 - place[k, 0], at // 120 - place[k, 1])))
answer = [max(off), int((moved - places).abs().amax((1, 2)).gt(1).sum())]
""",
    )
    assert worst < 1.8
    assert count >= 4


@pytest.mark.heavy
@pytest.mark.parametrize("backbone", ["small", "resnet18", "resnet50"])
def test_networks_give_a_map_a_part_at_a_stride_of_8(backbone: str) -> None:
    shape, names = evaluate(
        ANALYSIS,
        f"""
import torch
from dgp_network import build_network
network = build_network("{backbone}", 5, None).eval()
with torch.no_grad():
    answer = [list(network(torch.zeros(2, 3, 72, 104)).shape), list(network.state_dict())[:1]]
""",
    )
    assert shape == [2, 5, 9, 13]
    assert names


@pytest.mark.heavy
def test_weights_with_batch_statistics_are_used_and_others_are_refused() -> None:
    same, refused = evaluate(
        ANALYSIS,
        """
import torch
from dgp_network import ResNet, build_network
given = {name: value for name, value in ResNet("resnet18", 3, frozen=True).state_dict().items() if "head" not in name}
given["fc.weight"] = torch.zeros(3)
network = build_network("resnet18", 5, given)
network.train()
with torch.no_grad():
    network(torch.randn(2, 3, 32, 32))
same = all(bool((network.state_dict()[name] == value).all()) for name, value in given.items() if name != "fc.weight")
try:
    build_network("resnet50", 5, given)
    refused = ""
except ValueError as error:
    refused = str(error)
answer = [same, refused]
""",
    )
    assert same
    assert "resnet50" in refused


def project(folder: Path, change: Callable[[Path], None] | None = None) -> Path:
    """The sample's project as a folder, changed."""
    zipfile.ZipFile(SAMPLE).extractall(folder / "project")
    root = folder / "project" / "crawler-maker"
    if change:
        change(root)
    return root


def analyse(folder: Path, data: Path, config: dict[str, Any] | None = None, *, analysis: str = ANALYSIS) -> Ran:
    (folder / "config.json").write_text(json.dumps({**TRIAL, **(config or {})}))
    return run(analysis, data, folder / "config.json", folder / "results")


@pytest.mark.heavy
def test_a_folder_and_its_zip_give_the_same_track_and_another_network_another(tmp_path: Path) -> None:
    tracks, held_out = [], []
    for name, data, number in (("zip", SAMPLE, 1), ("folder", None, 1), ("other", SAMPLE, 2)):
        folder = tmp_path / name
        folder.mkdir()
        ran = analyse(folder, data or project(folder), {"jobnb": number})
        assert ran.code == 0, ran.out + ran.err
        tracks.append((ran.results / "crawler_dgp.csv").read_text().split("\n")[3:])
        held_out.append((ran.results / "crawler_heldout.csv").read_bytes())
    assert tracks[0] == tracks[1]
    assert tracks[0] != tracks[2]
    assert held_out[0] == held_out[1] == held_out[2]


@pytest.mark.heavy
def test_what_is_trained_on_and_held_out_is_drawn_by_the_seed() -> None:
    nested, rest, by_number = evaluate(
        ANALYSIS,
        """
from dgp_analysis import split_labels
def split(**given):
    found = split_labels(20, {"seed": 1, "jobnb": 1, "nb_frames": None, "test_fraction": 0.0, **given}, "x")
    return found.trained.tolist(), found.held_out.tolist()
few, many = split(test_fraction=0.25, nb_frames=5), split(test_fraction=0.25, nb_frames=10)
answer = [few[1] == many[1] and len(few[1]) == 5 and set(few[0]) < set(many[0]) and not set(many[0]) & set(many[1]),
          [len(it) for it in split(nb_frames=12)], split(jobnb=3) == split() and split(seed=2, nb_frames=5) != few]
""",
    )
    assert nested
    assert rest == [12, 8]
    assert by_number


@pytest.mark.heavy
def test_scaled_frames_give_results_in_the_videos_pixels(tmp_path: Path) -> None:
    ran = analyse(tmp_path, SAMPLE, {"global_scale": 0.5})

    assert ran.code == 0, ran.out + ran.err
    stride, shape = evaluate(
        ANALYSIS,
        f"""
import h5py
with h5py.File(r"{ran.results}/crawler_scoremaps.h5") as file:
    answer = [float(file["logits"].attrs["stride"]), list(file["logits"].shape)]
""",
    )
    assert stride == 16
    assert shape == [300, 3, 6, 6]


def replace(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return change


def write(path: str, body: bytes) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).write_bytes(body)

    return change


BAD: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "no config": (lambda root: (root / "config.yaml").unlink(), {}, "holds no config.yaml"),
    "config no yaml": (write("config.yaml", b"a: [1"), {}, "is no YAML"),
    "no parts": (replace("config.yaml", "bodyparts:", "parts:"), {}, "'bodyparts' must be a list"),
    "several animals": (replace("config.yaml", "project: false", "project: true"), {}, "several animals"),
    "unknown edge": (replace("config.yaml", "- - middle\n  - tail", "- - middle\n  - wing"), {}, "names 'wing'"),
    "no labels": (lambda root: shutil.rmtree(root / "labeled-data"), {}, "has 0 labelled images"),
    "no table": (write(TABLE, b"frame,x,y\n1,2,3\n"), {}, "does not begin with the rows scorer"),
    "no number": (replace(TABLE, "85.87", "here"), {}, "'here' for img001.png is no number"),
    "infinite": (replace(TABLE, "85.87", "inf"), {}, "a label of img001.png is infinite"),
    "outside": (replace(TABLE, "85.87", "8587"), {}, "lies outside the image"),
    "lost image": (lambda root: (root / "labeled-data/crawler/img001.png").unlink(), {}, "no such image beside it"),
    "broken image": (write("labeled-data/crawler/img001.png", b"no png"), {}, "img001.png cannot be decoded"),
    "no video": (lambda root: (root / "videos/crawler.avi").unlink(), {}, "holds no video"),
    "other video": (lambda root: None, {"videotype": "mp4"}, "no video that ends in 'mp4'"),
    "broken video": (write("videos/crawler.avi", b"RIFF" + bytes(50)), {}, "Video crawler.avi cannot be decoded"),
    "too few": (lambda root: None, {"nb_frames": 50}, "50 are needed"),
    "no weights": (lambda root: None, {"weights": "net.pt"}, "holds no file 'net.pt'"),
    "bad weights": (write("net.pt", b"no weights"), {"weights": "net.pt"}, "Weights net.pt cannot be used"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("case", BAD)
def test_projects_that_cannot_be_used_end_in_one_sentence(case: str, tmp_path: Path) -> None:
    change, config, said = BAD[case]

    ran = analyse(tmp_path, project(tmp_path, change), config)

    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert said in ran.err
    assert list(ran.results.iterdir()) == []


@pytest.mark.heavy
def test_a_truncated_zip_ends_in_one_sentence(tmp_path: Path) -> None:
    whole = SAMPLE.read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])

    ran = analyse(tmp_path, tmp_path / "half.zip")

    assert ran.code == 2
    assert ran.err.startswith("Dataset half.zip cannot be unpacked")
    assert list(ran.results.iterdir()) == []


def test_the_ensembles_networks_are_those_of_the_analysis_itself() -> None:
    """One analysis under two names: parameters, locks and files may not drift apart."""
    own, other = (BLUEPRINTS / name for name in (ANALYSIS, "ensemble-dgp"))
    parameters = [json.loads((folder / "parameters.schema.json").read_text())["properties"] for folder in (own, other)]
    assert parameters[1].pop("ensemble_size")
    assert parameters[0] == parameters[1]
    assert (own / "environment/requirements.lock").read_bytes() == (
        other / "environment/requirements.lock"
    ).read_bytes()
    recipes = [json.loads((folder / "environment/recipe.json").read_text()) for folder in (own, other)]
    assert [recipe.pop("name") for recipe in recipes] == [ANALYSIS, "ensemble-dgp"]
    assert recipes[0] == recipes[1]


@pytest.mark.heavy
def test_without_its_graph_the_network_misses_what_the_sample_asks_for(tmp_path: Path) -> None:
    config = json.loads((SAMPLE.parent / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "wt": 0, "ws": 0}))

    ran = run(ANALYSIS, SAMPLE, tmp_path / "config.json", tmp_path / "results")

    assert ran.code == 0, ran.out + ran.err
    assert any("rmse_px" in problem for problem in check(ANALYSIS, ran.results).problems)


@pytest.mark.heavy
def test_three_networks_and_their_consensus_meet_what_the_sample_asks_for(tmp_path: Path) -> None:
    sample = BLUEPRINTS / "ensemble-dgp" / "sample"
    config = json.loads((sample / "ensemble.json").read_text())
    networks = tmp_path / "networks"
    for number in range(1, config["ensemble_size"] + 1):
        (tmp_path / "config.json").write_text(json.dumps({**config, "jobnb": number}))
        ran = run("ensemble-dgp", SAMPLE, tmp_path / "config.json", networks / f"crawler__jobnb-{number}")
        assert ran.code == 0, ran.out + ran.err
    (tmp_path / "empty.json").write_text("{}")

    ran = run("ensemble-consensus", networks, tmp_path / "empty.json", tmp_path / "consensus")

    assert ran.code == 0, ran.out + ran.err
    (tmp_path / "consensus").rename(networks / "consensus")
    checked = check("ensemble-dgp", networks)
    assert checked.problems == ()
