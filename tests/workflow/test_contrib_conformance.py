"""``neurocaas-contrib``: each command and option that existing scripts know, with exactly what it prints.

One row a use. ``{job}`` is the job's folder, ``{home}`` the home folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.workflow.rig import BUCKET, JOB, Rig
from workflow.cli import build_parser, main


@dataclass(frozen=True)
class Row:
    """A use of the tool: its words, its whole stdout (None: not fixed), its exit code."""

    words: str
    out: str | None = ""
    code: int = 0

    def __str__(self) -> str:
        return self.words


BEFORE_ANYTHING = [
    *(
        Row(f"workflow {words}", "", 1)
        for words in (
            f"register-dataset -b {BUCKET} -k demo/inputs/x.csv",
            "get-data",
            "get-dataname",
            "get-datapath",
            "get-group",
            "get-bucket",
            "get-resultpath -l /",
            "get-resultpath-tmp",
            "put-result -r /etc/hostname",
            "log-command -c true -b b -r r",
            "log-command-local -c true",
            "cleanup",
        )
    ),
    Row("workflow initialize-job -p {home}/nowhere", "", 2),
    Row("workflow initialize-job", "", 2),
    Row("workflow no-such-command", "", 2),
    Row("", "", 2),
]
REGISTERED = [
    Row("workflow get-group", "demo\n"),
    Row("workflow get-bucket", "lds\n"),
    Row("--location /tmp -a anything workflow get-bucket", "lds\n"),
    Row("workflow get-dataname", "", 1),
    Row("workflow get-datapath", "", 1),
    Row("workflow get-configname", "", 1),
    Row("workflow get-configpath", "", 1),
    Row("workflow get-filename -n atlas", "", 1),
    Row("workflow get-filepath -n atlas", "", 1),
    Row("workflow get-filepath", "", 2),
    Row("workflow get-resultpath-tmp", "", 1),
    Row("workflow get-data", "\rdemo/inputs/x.csv  4 / 4  (100.00%)\n\n"),
    Row("workflow get-data -d", "\rdemo/inputs/x.csv  4 / 4  (100.00%)\n"),
    Row("workflow get-data -o {home}/", None),
    Row("workflow get-data -o {home}/nowhere", "", 2),
    Row("workflow get-data --outputpath {home} --force --display", None),
    Row("workflow get-file -n atlas -f", None),
    Row("workflow get-file -n other", "", 1),
    Row("workflow register-dataset -b lds", "", 1),
    Row("workflow register-dataset -b lds -k a/b -l {home}", "", 1),
    Row("workflow register-dataset --bucket lds --key demo/inputs/y.csv"),
    Row("workflow register-dataset --localpath {home}"),
    Row("workflow register-file --name n --bucket lds --key demo/inputs/x.csv"),
    Row("workflow register-file -b lds -k demo/inputs/x.csv", "", 2),
    Row("workflow register-resultpath -b lds -k results/other"),
]
FETCHED = [
    Row("workflow get-dataname", "x.csv\n"),
    Row("workflow get-datapath", "{job}/inputs/x.csv\n"),
    Row("workflow get-configname", "c.json\n"),
    Row("workflow get-configpath", "{job}/configs/c.json\n"),
    Row("workflow get-filename -n atlas", "atlas.npy\n"),
    Row("workflow get-filepath -n atlas", "{job}/inputs/atlas.npy\n"),
    Row("workflow get-data", "{job}/inputs/x.csv exists and is kept; -f fetches it again.\n"),
    Row("workflow get-resultpath -l {home}", f"s3://{BUCKET}/{JOB}/process_results/home\n"),
    Row("workflow get-resultpath -l {home}/nowhere", "", 2),
    Row("workflow get-resultpath-tmp", "{job}/results\n"),
    Row(
        "workflow put-result -r {job}/inputs/x.csv",
        f"\rx.csv  4 / 4  (100.00%)\nStored s3://{BUCKET}/{JOB}/process_results/x.csv\n",
    ),
    Row("workflow put-result --result {job}/inputs/x.csv --display", None),
    Row("workflow put-result -r {home}", "", 1),
    Row("workflow put-result -r {home}/nowhere", "", 1),
    Row("workflow put-folder -r {job}/inputs", f"Stored s3://{BUCKET}/{JOB}/process_results/inputs\n"),
    Row("workflow cleanup"),
]
SCRIPTING = [
    *(
        Row(f"scripting read-yaml -p {{home}}/c.yaml -f {field}", printed + "\n")
        for field, printed in {
            "testing": "True",
            "quiet": "False",
            "nothing": "None",
            "number": "1.5",
            "whole": "3",
            "text": "predict",
            "items": "1 b True ",
            "table": '{"a": [1, 2]}',
        }.items()
    ),
    Row("scripting read-yaml -p {home}/c.yaml -f missing -d predict", "predict\n"),
    Row("scripting read-yaml --path {home}/c.yaml --field missing --default False", "False\n"),
    Row("scripting read-yaml -p {home}/c.yaml -f missing", "", 1),
    Row("scripting read-yaml -p {home}/nowhere -f a", "", 2),
    Row("scripting parse-zip -z {home}/one.zip", "project\n"),
    Row("scripting parse-zip --zippath {home}/one.zip --outputpath {job}", "project\n"),
    Row("scripting parse-zip -z {home}/two.zip", "", 1),
    Row("scripting parse-zip -z {home}/nowhere.zip", "", 2),
]

Use = Callable[[Row], None]


@pytest.fixture
def use(rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Use:
    """Performs a row in this process and compares."""
    for name, value in rig.environ.items():
        if name.startswith("AWS_") or name == "HOME":
            monkeypatch.setenv(name, value)
    places = {"{job}": str(rig.folder), "{home}": str(rig.folder / "home")}

    def filled(text: str) -> str:
        for name, value in places.items():
            text = text.replace(name, value)
        return text

    def perform(row: Row) -> None:
        capsys.readouterr()
        try:
            code = main(filled(row.words).split())
        except SystemExit as end:
            code = int(end.code or 0)
        shown = capsys.readouterr()
        assert code == row.code, shown.err
        if row.out is not None:
            assert shown.out == filled(row.out)
        assert bool(shown.err) == bool(code)

    return perform


@pytest.fixture
def registered(rig: Rig, use: Use) -> Rig:
    """A job with dataset, config, further file and result path."""
    rig.store.put("demo/inputs/atlas.npy", b"atlas")
    for words in (
        "workflow initialize-job -p {job}",
        f"workflow register-dataset -b {BUCKET} -k demo/inputs/x.csv",
        f"workflow register-config -b {BUCKET} -k demo/configs/c.json",
        f"workflow register-file -n atlas -b {BUCKET} -k demo/inputs/atlas.npy",
        f"workflow register-resultpath -b {BUCKET} -k results/job__lds_t1",
    ):
        use(Row(words))
    return rig


@pytest.mark.parametrize("row", BEFORE_ANYTHING, ids=str)
def test_before_a_job_is_set_up(use: Use, row: Row) -> None:
    use(row)


@pytest.mark.parametrize("row", REGISTERED, ids=str)
def test_on_a_registered_job(registered: Rig, use: Use, row: Row) -> None:
    use(row)


@pytest.mark.parametrize("row", FETCHED, ids=str)
def test_on_a_job_with_its_files_fetched(registered: Rig, use: Use, row: Row) -> None:
    path = registered.folder / "registration.json"
    document = json.loads(path.read_text())
    for entry, name in (
        (document["data"], "inputs/x.csv"),
        (document["config"], "configs/c.json"),
        (document["additional_files"]["atlas"], "inputs/atlas.npy"),
    ):
        entry["local"] = str(registered.folder / name)
        (registered.folder / name).write_text("1,2\n")
    path.write_text(json.dumps(document))
    use(row)


@pytest.mark.parametrize("row", SCRIPTING, ids=str)
def test_tools_for_scripts(rig: Rig, use: Use, row: Row) -> None:
    home = rig.folder / "home"
    (home / "c.yaml").write_text(
        "testing: true\nquiet: false\nnothing: null\nnumber: 1.5\nwhole: 3\ntext: predict\nitems: [1, b, true]\n"
        "table: {a: [1, 2]}\n"
    )
    for name, tops in (("one", ["project/a", "__MACOSX/b"]), ("two", ["a", "b"])):
        with zipfile.ZipFile(home / f"{name}.zip", "w") as archive:
            for top in tops:
                archive.writestr(top, "")
    use(row)


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from commands(inner, (*words, name))


@pytest.mark.parametrize("words", list(commands(build_parser())), ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself(words: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, option])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: neurocaas-contrib")


def test_the_commands_are_those_scripts_know() -> None:
    assert {" ".join(words) for words in commands(build_parser())} == {
        *("", "workflow", "scripting", "scripting read-yaml", "scripting parse-zip"),
        *(f"workflow register-{what}" for what in ("dataset", "config", "file", "resultpath")),
        *(f"workflow get-{what}" for what in ("data", "config", "file", "group", "bucket")),
        *(f"workflow get-{what}{part}" for what in ("data", "config", "file") for part in ("name", "path")),
        *(f"workflow {name}" for name in ("get-resultpath", "get-resultpath-tmp", "put-result", "put-folder")),
        *(f"workflow {name}" for name in ("initialize-job", "log-command", "log-command-local", "cleanup")),
    }


def test_initializing_again_empties_the_registration_and_keeps_fetched_files(registered: Rig, use: Use) -> None:
    use(Row("workflow get-data", None))
    use(Row("workflow initialize-job -p {job}"))
    empty: dict[str, object] = {"data": {}, "config": {}, "additional_files": {}, "resultpath": {}}
    assert json.loads((registered.folder / "registration.json").read_text()) == empty
    assert (registered.folder / "inputs/x.csv").exists()
    use(Row("workflow get-datapath", "", 1))


def test_registering_anew_forgets_where_it_was_before(registered: Rig, use: Use) -> None:
    use(Row("workflow get-data", None))
    use(Row("workflow register-dataset -l {home}"))
    written = json.loads((registered.folder / "registration.json").read_text())
    assert written["data"] == {"localsource": str(registered.folder / "home")}
    use(Row(f"workflow register-dataset -b {BUCKET} -k demo/inputs/x.csv"))
    written = json.loads((registered.folder / "registration.json").read_text())
    assert written["data"] == {"s3": f"s3://{BUCKET}/demo/inputs/x.csv"}


def test_a_folder_is_fetched_with_all_below_it(registered: Rig, use: Use) -> None:
    for name in ("a.tif", "b/c.tif", "b/d.txt"):
        registered.store.put(f"demo/inputs/run 1/{name}", name)
    assert main(["workflow", "register-dataset", "-b", BUCKET, "-k", "demo/inputs/run 1/"]) == 0
    use(Row("workflow get-data", None))
    use(Row("workflow get-datapath", "{job}/inputs/run 1\n"))
    assert (registered.folder / "inputs/run 1/b/c.tif").read_text() == "b/c.tif"
    assert main(["workflow", "register-dataset", "-b", BUCKET, "-k", "demo/inputs/empty/"]) == 0
    use(Row("workflow get-data", "", 1))


def test_a_pattern_fetches_what_matches_into_the_folders_name(registered: Rig, use: Use) -> None:
    for name in ("a.tif", "b.txt"):
        registered.store.put(f"demo/inputs/run/{name}", name)
    use(Row(f"workflow register-dataset -b {BUCKET} -k demo/inputs/run/*.tif"))
    use(Row("workflow get-data", None))
    use(Row("workflow get-datapath", "{job}/inputs/run\n"))
    assert [path.name for path in (registered.folder / "inputs/run").iterdir()] == ["a.tif"]


def test_a_dataset_named_like_a_pattern_is_one_file(registered: Rig, use: Use) -> None:
    registered.store.put("demo/inputs/a[1].csv", b"itself")
    registered.store.put("demo/inputs/a1.csv", b"another")
    use(Row(f"workflow register-dataset -b {BUCKET} -k demo/inputs/a[1].csv"))
    use(Row("workflow get-data", None))
    use(Row("workflow get-datapath", "{job}/inputs/a[1].csv\n"))
    assert (registered.folder / "inputs/a[1].csv").read_bytes() == b"itself"


def test_a_pattern_stores_every_file_it_matches(registered: Rig, use: Use) -> None:
    for name in ("a.npy", "b.npy", "c.txt"):
        (registered.folder / "home" / name).write_text(name)
    use(Row("workflow put-result -r {home}/*.npy", None))
    stored = {key.rpartition("/")[2] for key in registered.store.objects if "process_results" in key}
    assert stored == {"a.npy", "b.npy"}


def test_a_stored_folder_keeps_its_tree(registered: Rig, use: Use) -> None:
    tree = registered.folder / "home/model"
    (tree / "a").mkdir(parents=True)
    (tree / "a/w.npy").write_text("w")
    use(Row("workflow put-folder -r {home}/model", f"Stored s3://{BUCKET}/{JOB}/process_results/model\n"))
    assert registered.store.objects[f"{JOB}/process_results/model/a/w.npy"] == b"w"


def test_data_of_another_bucket_is_registered_by_its_address(registered: Rig, use: Use) -> None:
    use(Row(f"workflow register-dataset -b {BUCKET} -k s3://elsewhere/lab/x.csv"))
    use(Row("workflow get-bucket", "elsewhere\n"))
    use(Row(f"workflow register-resultpath -b {BUCKET} -k s3://theirs/results/j"))
    use(Row("workflow get-resultpath -l {home}", "s3://theirs/results/j/process_results/home\n"))


def test_the_path_of_a_result_is_where_a_sync_of_the_folder_belongs(registered: Rig, use: Use) -> None:
    """`aws s3 sync FOLDER "$(neurocaas-contrib workflow get-resultpath -l FOLDER)"`: no slash at the end."""
    (registered.folder / "home/tree").mkdir()
    for spelling in ("{home}/tree", "{home}/tree/", "{home}/./tree"):
        use(Row(f"workflow get-resultpath -l {spelling}", f"s3://{BUCKET}/{JOB}/process_results/tree\n"))


def test_on_this_machine_alone(rig: Rig, use: Use) -> None:
    home = rig.folder / "home"
    (home / "x.csv").write_text("1")
    for words in (
        "workflow initialize-job -p {job}",
        "workflow register-dataset -l {home}/x.csv",
        "workflow register-config -l {home}/x.csv",
    ):
        use(Row(words))
    use(Row("workflow log-command-local -c true", "", 1))
    use(Row("workflow register-resultpath -l {job}/out"))
    script = home / "run.sh"
    script.write_text("echo hello; exit 3\n")
    argv = [sys.executable, "-m", "workflow.cli", "workflow", "log-command-local", "-c", f"sh {script}"]
    ended = subprocess.run(argv, env=rig.environ, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, b"hello\n")
    status = json.loads((rig.folder / "out/logs/DATASET_NAME:x.csv_STATUS.txt").read_text())
    assert (status["status"], status["reason"], status["std"]) == ("FAILED", 3, {"0": "hello\n"})
    assert status["input"] == str(home / "x.csv")
    series = json.loads((rig.folder / "out/logs/DATASET_NAME:x.csv_RESOURCES.json").read_text())
    assert series["columns"] == ["t_s", "cpu_percent", "memory_bytes", "disk_bytes", "gpu_percent"]
    assert (rig.folder / "logs/log.txt").read_text() == "hello\n"
