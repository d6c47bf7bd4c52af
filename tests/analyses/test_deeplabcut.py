"""DeepLabCut's workflow: what projects it takes and refuses, and that nothing but the sample's truth will do."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, evaluate, run

SAMPLE = BLUEPRINTS / "deeplabcut" / "sample"
SMALL = {"net_type": "resnet_18", "epochs": 1, "train_fraction": 0.8}
LABELS = "walk/labeled-data/walk/CollectedData_generator.csv"
Files = dict[str, bytes]


@pytest.fixture
def listening() -> Iterator[ModuleType]:
    folder = str(BLUEPRINTS / "shared")
    sys.path.insert(0, folder)
    yield import_module("dlc_listen")
    sys.path.remove(folder)
    sys.modules.pop("dlc_listen")


@pytest.fixture
def projects() -> Iterator[ModuleType]:
    folder = str(BLUEPRINTS / "shared")
    sys.path.insert(0, folder)
    yield import_module("dlc_project")
    sys.path.remove(folder)
    for name in ("dlc_project", "analysis_kit"):
        sys.modules.pop(name, None)


def sample_files() -> Files:
    with zipfile.ZipFile(SAMPLE / "walk.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def run_project(folder: Path, files: Files, config: dict[str, object] | None = None) -> Ran:
    (folder / "config.json").write_text(json.dumps({**SMALL, **(config or {})}))
    return run("deeplabcut", write_zip(folder / "mine.zip", files), folder / "config.json", folder / "results")


def test_a_project_is_at_home_where_it_was_unpacked(projects: ModuleType, tmp_path: Path) -> None:
    project = projects.open_project(SAMPLE / "walk.zip", tmp_path)

    assert project.folder == tmp_path / "walk"
    assert project.bodyparts == ("snout", "tail")
    assert project.skeleton == (("snout", "tail"),)
    assert [path.name for path in project.videos] == ["walk.avi"]
    document = projects.read_yaml(project.config)
    assert document["project_path"] == str(tmp_path / "walk")
    assert list(document["video_sets"]) == [str(tmp_path / "walk/videos/walk.avi")]
    assert document["scorer"] == "generator"


def test_a_folder_is_copied_and_left_as_it_is(projects: ModuleType, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    with zipfile.ZipFile(SAMPLE / "walk.zip") as archive:
        archive.extractall(sent)
    before = (sent / "walk/config.yaml").read_bytes()
    (tmp_path / "place").mkdir()

    project = projects.open_project(sent, tmp_path / "place")

    assert project.folder == tmp_path / "place/walk"
    assert (sent / "walk/config.yaml").read_bytes() == before


def test_videos_that_deeplabcut_made_are_not_analysed_again(projects: ModuleType, tmp_path: Path) -> None:
    names = ("a.avi", "aDLC_resnet50_x_labeled.mp4", "b_labeled.mp4", "b.MP4", "notes.txt")
    files = {**sample_files(), **{f"walk/videos/{name}": b"" for name in names}}

    project = projects.open_project(write_zip(tmp_path / "p.zip", files), tmp_path)

    assert [path.name for path in project.videos] == ["a.avi", "b.MP4", "walk.avi"]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "walk/../../out.txt", "..\\out.txt"])
def test_entries_that_point_out_of_the_project_are_refused(projects: ModuleType, name: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()

    with pytest.raises(Exception, match="points out of the project"):
        projects.open_project(write_zip(tmp_path / "p.zip", {**sample_files(), name: b"x"}), place)

    assert list(place.iterdir()) == []


def test_links_are_refused(projects: ModuleType, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("walk/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(Exception, match="points out of the project"):
        projects.open_project(tmp_path / "p.zip", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("scorer: generator\n", ""), "lacks scorer"),
        (lambda text: text.replace("multianimalproject: false", "multianimalproject: true"), "several animals"),
        (lambda text: text.replace("- tail\nskeleton", "- snout\nskeleton"), "list of different names"),
        (lambda text: text + "\n  : [", "cannot be read"),
    ],
)
def test_configs_that_cannot_be_used_are_refused(
    projects: ModuleType, change: Callable[[str], str], said: str, tmp_path: Path
) -> None:
    files = sample_files()
    files["walk/config.yaml"] = change(files["walk/config.yaml"].decode()).encode()

    with pytest.raises(Exception, match=said):
        projects.open_project(write_zip(tmp_path / "p.zip", files), tmp_path)


def test_progress_is_told_from_what_deeplabcut_prints(listening: ModuleType) -> None:
    told: list[str] = []
    kept = io.StringIO()
    listener = listening.Listener(kept, told.append, lambda: None)

    listener.write("Epoch 10/200 (lr=0.0005), train loss 0.00223, valid loss 0.00143\n")
    listener.write("Epoch 11/200 (lr=0.0005), train loss 0.00222\n")
    listener.write("Epoch 200/200 (lr=0.0005), train loss 0.00100\n")
    listener.write("\r 28%|## | 56/200 [00:00<00:00, 427.14it/s]")

    assert told == ["Epoch 10 of 200: loss 0.00223, test frames 0.00143.", "Epoch 200 of 200: loss 0.00100."]
    assert "56/200" in kept.getvalue()


def without(name: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        del files[name]

    return change


def labels(before: str, after: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        text = files[LABELS].decode()
        assert before in text
        files[LABELS] = text.replace(before, after).encode()

    return change


def first_value(text: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        lines = files[LABELS].decode().splitlines()
        fields = lines[3].split(",")
        lines[3] = ",".join([fields[0], text, *fields[2:]])
        files[LABELS] = "\n".join(lines).encode()

    return change


def content(name: str, data: bytes) -> Callable[[Files], None]:
    return lambda files: files.update({name: data})


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("change", "config", "said"),
    [
        (without(LABELS), {}, "0 labelled frames"),
        (labels("generator,generator", "somebody,somebody"), {}, "another scorer"),
        (labels("tail", "ear"), {}, "no columns of tail"),
        (first_value("inf"), {}, "infinite"),
        (first_value("-3"), {}, "outside the image"),
        (first_value("abc"), {}, "not a number"),
        (labels("img", "pic"), {}, "images that are not there"),
        (content("walk/videos/walk.avi", b"RIFF no video"), {}, "walk.avi cannot be read"),
        (lambda files: None, {"mode": "analyze"}, "train first"),
        (lambda files: None, {"filter_window": 4}, "must be odd"),
        (lambda files: None, {"epochs": 0}, "'epochs'"),
        (lambda files: None, {"learning": 1}, "unknown parameter 'learning'"),
        (lambda files: None, {"weights": "none.pt"}, "holds no file 'none.pt'"),
        (content("walk/w.pt", b"no weights"), {"weights": "w.pt"}, "w.pt cannot be read"),
    ],
)
def test_projects_that_cannot_be_used_end_in_one_sentence(
    change: Callable[[Files], None], config: dict[str, object], said: str, tmp_path: Path
) -> None:
    files = sample_files()
    change(files)

    ran = run_project(tmp_path, files, config)

    assert ran.code == 2, ran.out + ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


@pytest.mark.heavy
def test_a_trained_project_analyses_another_video_without_training(tmp_path: Path) -> None:
    files = {name: data for name, data in sample_files().items() if not name.startswith("walk/videos")}
    trained = run_project(tmp_path, files, {"epochs": 2})
    assert trained.code == 0, trained.err
    with zipfile.ZipFile(tmp_path / "results/mine_trained.zip") as archive:
        sent = {name: archive.read(name) for name in archive.namelist()}
    sent["walk/videos/other.avi"] = sample_files()["walk/videos/walk.avi"]
    (tmp_path / "second").mkdir()

    analysed = run_project(tmp_path / "second", sent, {"mode": "analyze", "filter_window": 5})

    assert analysed.code == 0, analysed.err
    names = {path.name for path in (analysed.results / "mine_poses").iterdir()}
    assert len(names) == 4
    assert all(name.startswith("otherDLC_") for name in names)
    assert not (analysed.results / "mine_snapshot.pt").exists()
    summary = json.loads((analysed.results / "mine_summary.json").read_text())
    assert summary["videos"][0]["frames"] == 200


@pytest.mark.heavy
def test_boxes_that_overlap_a_better_one_are_suppressed() -> None:
    stays = evaluate(
        "deeplabcut",
        "import torch, dlc_start\n"
        "boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [20, 20, 30, 26], [0, 0, 10, 4]])\n"
        "scores = torch.tensor([0.5, 0.9, 0.3, 0.8, 0.7])\n"
        "answer = dlc_start.suppress(boxes, scores, 0.5).tolist()",
    )

    assert stays == [1, 3, 4]
