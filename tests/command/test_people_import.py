"""`ncap profile import`: all or nothing, twice is as once, groups there are get members and keep the rest."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.command.people_rig import LAB, People, make_project


@pytest.fixture
def people(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> People:
    monkeypatch.setenv("NEUROCAAS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(make_project(project_root, folder))
    return People(folder, capsys)


def write(people: People, text: str) -> None:
    (people.project / "people.csv").write_bytes(text.encode())


def imported(people: People, *words: str, code: int = 0, into: str = "lab") -> dict[str, object]:
    return people.run("profile", "import", "people.csv", "--into", into, *words, code=code)


def test_people_join_groups_there_are_and_groups_that_are_made(people: People) -> None:
    write(people, "name,group\nbarbara,lab\ntony,lab2\nnaomi,course\nomar,course\nada,lab\n")
    answer = imported(people, "--analyses", "kalman-lds, pmd")
    assert people.group("lab") == {
        **json.loads(LAB)["UXData"]["Affiliates"][0],
        "UserNames": ["ada", "grace", "barbara"],
    }
    assert people.group("lab2") == {"AffiliateName": "lab2", "UserNames": ["edsger", "tony"], "Pipelines": "pmd"}
    assert people.group("course") == {
        "AffiliateName": "course",
        "UserNames": ["naomi", "omar"],
        "Pipelines": ["kalman-lds", "pmd"],
    }
    assert answer["addedGroups"] == ["course"]
    assert answer["present"] == [{"row": 6, "member": "ada", "group": "lab"}]


def test_a_second_import_changes_nothing(people: People) -> None:
    write(people, "email;group\r\nAda.B@x.org;lab\r\nmüller@x.org;Website\r\n")
    imported(people, "--analyses", "pmd")
    once = people.text()
    answer = imported(people)
    assert people.text() == once
    assert (answer["changed"], answer["joining"]) == (False, [])


def test_a_dry_run_writes_nothing(people: People) -> None:
    write(people, "name,group\nbarbara,lab\n")
    assert imported(people, "--dry-run")["changed"] is False
    assert people.text() == LAB


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ("barbara,lab\nbarbara,lab2\n", [(3, "Group")]),
        ("barbara,lab\nBarbara,lab\n", [(3, "Name")]),
        ("ADA,lab\n", [(2, "Name")]),
        ("ada,lab2\n", [(2, "Group")]),
        ("demo-member,lab\n", [(2, "Group")]),
        ("barbara,demo\n", [(2, "Group")]),
        ("barbara,LAB\n", [(2, "Group")]),
        ("naomi,course\nomar,Course\n", [(3, "Group")]),
        ("Ana Lee,lab\nAna  Lee!,lab\n", [(3, "Name")]),
        ("ok,lab\n,lab\nx y z,a b\n", [(3, "Email"), (4, "Group")]),
    ],
)
def test_with_one_refused_row_nothing_is_imported(people: People, rows: str, refused: list[tuple[int, str]]) -> None:
    write(people, f"name,group\n{rows}")
    answer = imported(people, "--analyses", "pmd", code=2)
    found = answer["refused"]
    assert isinstance(found, list)
    assert [(row["row"], row["column"]) for row in found] == refused
    assert all(row["reason"] and row["remedy"] for row in found)
    assert people.text() == LAB


def test_a_row_written_twice_is_one_person(people: People) -> None:
    write(people, "name,group,email\nbarbara,lab,b@x.org\nbarbara,lab,B@x.org\n")
    imported(people)
    assert people.group("lab")["UserNames"] == ["ada", "grace", "barbara"]


def test_two_people_of_one_name_are_told_apart_by_their_addresses(people: People) -> None:
    write(people, "name,group,email\nbarbara,lab,b@x.org\nbarbara,lab,b@y.org\n")
    answer = imported(people, code=2)
    assert "addresses differ" in str(answer["refused"])


def test_groups_that_are_made_need_analyses(people: People) -> None:
    write(people, "name,group\nnaomi,course\n")
    error = people.refused("profile", "import", "people.csv", "--into", "lab")
    assert "course" in error["what"]
    assert "--analyses" in error["where"]


def test_a_profile_can_be_made(people: People) -> None:
    write(people, "name,group\nnaomi,course\n")
    assert "--into" not in people.refused("profile", "import", "people.csv", "--into", "summer")["what"]
    imported(people, "--create", "--analyses", "pmd", into="summer")
    assert people.group("course", "summer")["UserNames"] == ["naomi"]
    assert people.run("profile", "validate", "summer")["problems"] == []
    write(people, "name,group\nnaomi,course\nomar,course\n")
    imported(people, "--create", into="summer")
    assert people.group("course", "summer")["UserNames"] == ["naomi", "omar"]


def test_a_profile_that_is_made_knows_the_others(people: People) -> None:
    write(people, "name,group\nada,course\n")
    answer = imported(people, "--create", "--analyses", "pmd", into="summer", code=2)
    assert "in group lab" in str(answer["refused"])
    assert not people.path("summer").exists()


def test_ten_thousand_people_are_imported_in_seconds(people: People) -> None:
    """A bound on the order of growth: a quadratic import would take minutes."""
    rows = "".join(f"p{number}@x.org,group{number % 100}\n" for number in range(10_000))
    write(people, f"email,group\n{rows}")
    began = time.process_time()
    answer = imported(people, "--analyses", "pmd")
    assert time.process_time() - began < 30
    assert len(people.group("group7")["UserNames"]) == 100
    joining = answer["joining"]
    assert isinstance(joining, list)
    assert len(joining) == 10_000


def test_people_see_who_joins_and_what_is_refused(people: People, capsys: pytest.CaptureFixture[str]) -> None:
    from ncap_iac.cli import main

    write(people, "name,group,x\nbarbara,lab,1\n")
    assert main(["profile", "import", "people.csv", "--into", "lab"]) == 0
    shown = capsys.readouterr()
    assert "2\tbarbara\tlab" in shown.out
    assert "Not read: column x." in shown.err
    write(people, "name,group\n,lab\n")
    assert main(["profile", "import", "people.csv", "--into", "lab"]) == 2
    shown = capsys.readouterr()
    assert "2\tEmail\t" in shown.out
    assert "nothing was imported" in shown.err
