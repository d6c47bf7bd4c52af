"""`ncap member add|remove|move|suspend|resume|rotate` and `ncap profile budget` change what they name, nothing else."""

from __future__ import annotations

import difflib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ncap_iac.errors import UsageError
from ncap_iac.people.membership import parse_dollars
from ncap_iac.people.profile_editing import Edit, write_edits
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


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]


def test_adding_touches_one_list(people: People) -> None:
    answer = people.run("member", "add", "barbara", "--group", "lab")
    assert changed_lines(LAB, people.text()) == [
        '-                    "grace"',
        '+                    "grace",',
        '+                    "barbara"',
    ]
    assert answer["kind"] == "ProfileEdit"
    assert answer["changed"] is True
    assert answer["files"] == [str(people.path())]


def test_adding_to_one_text_makes_a_list(people: People) -> None:
    people.run("member", "add", "tony", "--group", "lab2")
    assert people.group("lab2")["UserNames"] == ["edsger", "tony"]


def test_adding_and_removing_leaves_no_trace(people: People) -> None:
    people.run("member", "add", "barbara", "--group", "lab")
    people.run("member", "remove", "barbara")
    assert people.text() == LAB


def test_suspending_and_resuming_leaves_no_trace(people: People) -> None:
    people.run("member", "suspend", "ada", "--reason", "key lost")
    assert people.group("lab")["Suspended"] == ["ada"]
    people.run("member", "suspend", "grace")
    assert people.group("lab")["Suspended"] == ["ada", "grace"]
    people.run("member", "resume", "ada")
    people.run("member", "resume", "grace")
    assert people.text() == LAB


def test_suspending_twice_changes_nothing(people: People) -> None:
    people.run("member", "suspend", "ada")
    once = people.text()
    assert people.run("member", "suspend", "ada")["changed"] is False
    assert people.text() == once


def test_a_crlf_file_stays_one(people: People) -> None:
    people.path().write_bytes(LAB.replace("\n", "\r\n").encode())
    people.run("member", "add", "barbara", "--group", "lab")
    people.run("member", "suspend", "ada")
    assert people.text().count("\n") == people.text().count("\r\n")


def test_the_mode_of_the_file_stays_and_nothing_lies_beside_it(people: People) -> None:
    people.path().chmod(0o640)
    people.run("member", "add", "barbara", "--group", "lab")
    assert stat.S_IMODE(people.path().stat().st_mode) == 0o640
    assert [path.name for path in people.path().parent.iterdir()] == [people.path().name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("barbara", "--group", "lap"), "lab"),
        (("-x", "--group", "lab"), "member"),
        (("a b", "--group", "lab"), "letters, digits"),
        (("x" * 65, "--group", "lab"), "65 characters"),
        (("ada", "--group", "lab"), "already"),
        (("ADA", "--group", "lab"), "does not tell it from 'ada'"),
        (("ada", "--group", "lab2"), "ncap member move ada --to lab2"),
        (("demo-member", "--group", "lab"), "profile demo, group demo"),
    ],
)
def test_who_cannot_be_added_is_refused_with_the_remedy(people: People, words: tuple[str, ...], said: str) -> None:
    name, *group = words
    error = people.refused("member", "add", *group, "--", name, code=4 if "lap" in group else 2)
    assert said in f"{error['where']} {error['what']} {error['hint']}"


def test_removing_takes_everything_of_the_person(people: People) -> None:
    people.run("member", "suspend", "ada")
    answer = people.run("member", "remove", "ada")
    assert "ada" not in people.text()
    assert people.group("lab")["ContactEmail"] == {"grace": "grace@example.org"}
    assert any("stays with it" in note for note in answer["notes"])
    assert any("instance role" in note for note in answer["notes"])


def test_removing_the_last_member_says_how_to_end_the_group(people: People) -> None:
    people.run("member", "remove", "neighbour-member")
    answer = people.run("member", "remove", "demo-member")
    assert people.group("demo", "demo")["UserNames"] == []
    assert any("no member left" in note for note in answer["notes"])
    assert any("kalman-lds" in note and "blueprints" in note for note in answer["notes"])


def test_removing_nobody_is_refused_with_the_nearest_name(people: People) -> None:
    assert "`grace`" in people.refused("member", "remove", "grce", code=4)["hint"]


def test_moving_takes_address_and_suspension_along(people: People) -> None:
    text = LAB.replace('"edsger", "Pipelines": "pmd"', '"edsger", "Pipelines": "pmd", "KeySerialNumber": 3')
    people.path().write_text(text)
    people.run("member", "suspend", "ada")
    answer = people.run("member", "move", "ada", "--to", "lab2")
    assert people.group("lab")["UserNames"] == ["grace"]
    assert "Suspended" not in people.group("lab")
    assert people.group("lab2")["UserNames"] == ["edsger", "ada"]
    assert people.group("lab2")["Suspended"] == ["ada"]
    assert any("keeps the key" in note for note in answer["notes"])


def test_moving_where_key_numbers_would_fall_is_refused(people: People) -> None:
    error = people.refused("member", "move", "ada", "--to", "lab2")
    assert "can only rise" in error["what"]
    assert "ncap member rotate lab2" in error["hint"]


def test_moving_where_key_numbers_rise_says_that_the_key_changes(people: People) -> None:
    answer = people.run("member", "move", "edsger", "--to", "lab")
    assert any("another key" in note for note in answer["notes"])


def test_moving_between_profiles_names_the_order_of_deployment(people: People) -> None:
    answer = people.run("member", "move", "demo-member", "--to", "lab")
    assert answer["files"] == [str(people.path("demo")), str(people.path("lab"))]
    assert any("deploy demo first" in note for note in answer["notes"])
    assert people.group("demo", "demo")["UserNames"] == []
    assert people.group("lab")["UserNames"] == ["ada", "grace", "demo-member"]


def test_rotating_raises_the_number_as_it_is_written(people: People) -> None:
    answer = people.run("member", "rotate", "lab")
    assert people.group("lab")["KeySerialNumber"] == "4"
    assert answer["members"] == ["ada", "grace"]
    assert any("ada, grace" in note for note in answer["notes"])
    people.run("member", "rotate", "lab2")
    assert people.group("lab2")["KeySerialNumber"] == 2


def test_rotating_one_of_several_needs_consent(people: People) -> None:
    assert "grace" in people.refused("member", "rotate", "ada")["what"]
    people.run("member", "rotate", "ada", "--yes")
    assert people.group("lab")["KeySerialNumber"] == "4"
    people.run("member", "rotate", "edsger")
    assert people.group("lab2")["KeySerialNumber"] == 2


def test_a_dry_run_writes_nothing(people: People) -> None:
    assert people.run("member", "add", "barbara", "--group", "lab", "--dry-run")["changed"] is False
    assert people.text() == LAB


def test_a_profile_with_problems_is_not_edited(people: People) -> None:
    people.path().write_text(LAB.replace('"pmd"]', '"Not A Bucket"]'))
    before = people.text()
    assert "P204" in people.run("member", "add", "barbara", "--group", "lab", "--in", "lab", code=2)["error"]["what"]
    assert people.text() == before


def test_who_cannot_deploy_learns_it_before_anything_is_written(people: People) -> None:
    error = people.refused("member", "add", "barbara", "--group", "lab", "--deploy", "--cloud", "none", code=7)
    assert "not running" in error["what"]


def test_another_profile_with_problems_is_no_hindrance(people: People) -> None:
    people.path("demo").write_text("{")
    people.run("member", "add", "barbara", "--group", "lab")
    assert "barbara" in people.text()


def test_a_group_in_two_profiles_must_be_chosen(people: People) -> None:
    people.path("demo").write_text(LAB.replace("ada", "bob").replace("grace", "carl").replace("edsger", "dan"))
    assert "--in" in people.refused("member", "add", "barbara", "--group", "lab")["hint"]
    people.run("member", "add", "barbara", "--group", "lab", "--in", "demo")
    assert people.text() == LAB


def test_a_commit_is_proposed_in_a_repository(people: People, capsys: pytest.CaptureFixture[str]) -> None:
    from ncap_iac.cli import main

    (people.project / ".git").mkdir()
    assert main(["member", "suspend", "ada", "--reason", "key lost; ask Bob's team"]) == 0
    shown = capsys.readouterr().err
    assert "git commit -m 'Suspend ada of group lab: key lost; ask Bob'\"'\"'s team' -- user_profiles/lab/" in shown


def test_edits_at_the_same_time_are_all_there(people: People) -> None:
    names = [f"member{number}" for number in range(4)]
    environment = {**os.environ, "NEUROCAAS_HOME": str(people.project.parent / "home")}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "ncap_iac", "member", "add", name, "--group", "lab", "-q"],
            cwd=people.project,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for name in names
    ]
    assert [process.wait(60) for process in running] == [0] * len(names)
    assert set(people.group("lab")["UserNames"]) == {"ada", "grace", *names}


def test_a_file_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text("1")
    second.write_text("changed")
    with pytest.raises(UsageError, match="changed while"):
        write_edits([Edit(first, "1", "2"), Edit(second, "1", "2")])
    assert (first.read_text(), second.read_text()) == ("1", "changed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("lab", "250"), 250),
        (("lab", "12.50"), 12.5),
        (("lab", "0"), 0),
        (("lab", "20", "--analysis", "pmd"), {"total": 100, "pmd": 20}),
        (("lab2", "7"), 7),
        (("lab2", "7", "--analysis", "pmd"), {"pmd": 7}),
        (("lab", "none"), None),
    ],
)
def test_a_budget_is_written_for_all_or_for_one_analysis(
    people: People, words: tuple[str, ...], wanted: object
) -> None:
    people.run("profile", "budget", "lab", *words)
    assert people.group(words[0]).get("Budget") == wanted
    text = people.text()
    assert people.run("profile", "budget", "lab", *words)["changed"] is False
    assert people.text() == text


def test_budgets_of_analyses_come_and_go_one_by_one(people: People) -> None:
    people.run("profile", "budget", "lab", "lab", "20", "--analysis", "pmd")
    people.run("profile", "budget", "lab", "lab", "30", "--analysis", "kalman-lds")
    people.run("profile", "budget", "lab", "lab", "none")
    assert people.group("lab")["Budget"] == {"pmd": 20, "kalman-lds": 30}
    people.run("profile", "budget", "lab", "lab", "none", "--analysis", "pmd")
    people.run("profile", "budget", "lab", "lab", "none", "--analysis", "kalman-lds")
    assert "Budget" not in people.group("lab")


def test_a_budget_of_a_foreign_analysis_is_refused(people: People) -> None:
    error = people.refused("profile", "budget", "lab", "lab", "20", "--analysis", "pmdd", code=4)
    assert "`pmd`" in error["hint"]


@pytest.mark.parametrize("amount", ["-1", "abc", "NaN", "inf", "1e9", "1.1234567", "10000001", ""])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(UsageError):
        parse_dollars(amount)


def test_the_list_without_a_cloud_says_what_the_profiles_say(people: People) -> None:
    people.run("member", "suspend", "ada")
    answer = people.run("member", "list", "--offline")
    assert [(row["member"], row["group"], row["state"]) for row in answer["members"]] == [
        ("demo-member", "demo", "active"),
        ("neighbour-member", "neighbours", "active"),
        ("ada", "lab", "suspended"),
        ("grace", "lab", "active"),
        ("edsger", "lab2", "active"),
    ]
    assert "not asked" in answer["deployment"]
    answer = people.run("member", "list", "lab", "--group", "lab2")
    assert [row["member"] for row in answer["members"]] == ["edsger"]
    assert "not running" in answer["deployment"]
    json.dumps(answer)
