"""A variant on its instance: its config, its folder; for recipes and for COMMANDs that fetch everything themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.workflow.rig import JOB, Rig, make_rig
from workflow.scatter import ConfigError, write_variant

POINT = {"k": 2, "values": {"seed": 7}}
ENTRY = {
    "index": 1,
    "attempt": 1,
    "dataset": "demo/inputs/x.csv",
    "etag": "",
    "label": "x__seed-7.csv",
    "folder": "x__seed-7",
    "scatter": POINT,
}
PLACE = f"{JOB}/process_results/x__seed-7"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with make_rig(tmp_path) as found:
        yield found


def _boot(rig: Rig) -> tuple[int, str]:
    process = rig.start()
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_a_json_config_takes_the_values_and_tells_the_point(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"latents": 3, "seed": 1, "name": "é"}')
    write_variant(path, POINT)
    first = path.read_text()
    assert json.loads(first) == {"latents": 3, "seed": 7, "name": "é", "__scatter__": POINT}
    write_variant(path, POINT)
    assert path.read_text() == first


def test_a_yaml_config_stays_yaml(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("# mine\nlatents: 3\nsince: 2020-01-02\n")
    write_variant(path, POINT)
    found = yaml.safe_load(path.read_text())
    assert (found["latents"], found["seed"], str(found["since"])) == (3, 7, "2020-01-02")
    assert found["__scatter__"] == POINT
    assert not path.read_text().startswith("{")


@pytest.mark.parametrize(("name", "text"), [("c.json", "[1]"), ("c.json", "{"), ("c.yaml", "a: [")])
def test_a_config_that_cannot_be_changed_is_told(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=name):
        write_variant(tmp_path / name, POINT)


def test_a_variant_runs_with_its_config_and_keeps_its_results_apart(rig: Rig) -> None:
    rig.manifest(attempts=[ENTRY])
    rig.store.put("demo/inputs/x.csv", "1,2\n")
    rig.analysis('cp "$2" "$3/seen.json"; basename "$1" > "$3/name.txt"')
    code, said = _boot(rig)
    assert code == 0, said
    seen = rig.store.document(f"{PLACE}/seen.json")
    assert seen == {"a": 1, "seed": 7, "__scatter__": POINT}
    assert rig.store.document(f"{PLACE}/c.json") == seen, "the copy of the config is the variant's"
    assert rig.store.objects[f"{PLACE}/name.txt"] == b"x__seed-7.csv\n"
    assert f"{JOB}/logs/DATASET_NAME:x__seed-7.csv_STATUS.txt" in rig.store.objects
    assert f"{JOB}/process_results/update.txt" in rig.store.objects, "clients look for it there"
    assert f"{JOB}/process_results/c.json" not in rig.store.objects


def test_a_command_is_given_the_key_of_its_variant_s_config(rig: Rig) -> None:
    rig.store.put("demo/inputs/x.csv", "1,2\n")
    rig.manifest(attempts=[ENTRY], command='echo "{}" "{}" "{}" "{}"; echo "folder $NEUROCAAS_FOLDER"')
    code, said = _boot(rig)
    assert code == 0, said
    status = rig.store.document(f"{JOB}/logs/DATASET_NAME:x__seed-7.csv_STATUS.txt")
    lines = list(status["std"].values())
    assert lines[0].split() == ["lds", "demo/inputs/x.csv", "results/job__lds_t1", f"{PLACE}/c.json"]
    assert lines[1] == "folder x__seed-7\n"
    assert rig.store.document(f"{PLACE}/c.json")["seed"] == 7
