"""Budgets shown from the ledger and the parameters, and set at once, with what could go wrong said before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command.money_rig import Money, a_member, deployed_analysis, tidied
from tests.fakes.platform import BUCKET, GROUP, VERSION_ID, FakePlatform

PROFILE = {
    "UXData": {
        "Affiliates": [
            {"AffiliateName": GROUP, "UserNames": ["ada"], "Pipelines": [BUCKET], "Budget": {BUCKET: 25, "total": 60}}
        ]
    }
}


@pytest.fixture(scope="module")
def analysis(no_developer_credentials: None) -> Iterator[FakePlatform]:
    with deployed_analysis() as found:
        yield found


@pytest.fixture
def money(
    analysis: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Money:
    monkeypatch.chdir(tmp_path)
    return Money(tidied(analysis), capsys, tmp_path)


@pytest.fixture
def project(money: Money) -> Money:
    """The same in a project whose profile gives the group 25 and 60 dollars."""
    for name in ("ncap_blueprints", "protocols", "user_profiles/lab"):
        (money.folder / name).mkdir(parents=True)
    money.file("user_profiles/lab/user_config_template.json", json.dumps(PROFILE))
    return money


def row(found: dict[str, object], analysis: str = BUCKET, group: str = GROUP) -> dict[str, object]:
    budgets = found["budgets"]
    assert isinstance(budgets, list)
    (wanted,) = [it for it in budgets if (it["group"], it["analysis"]) == (group, analysis)]
    assert isinstance(wanted, dict)
    return wanted


def test_without_a_parameter_the_limit_is_the_blueprints_and_nothing_is_spent(money: Money) -> None:
    found = money.ncap("budget", "show")
    assert {it["group"] for it in found["budgets"]} == {GROUP, "lab2"}
    assert row(found) == {
        "group": GROUP,
        "analysis": BUCKET,
        "limit": "300.00",
        "source": "MAXCOST",
        "versionId": VERSION_ID,
        "profile": None,
        "reserved": "0.00",
        "spent": "0.00",
        "left": "300.00",
        "exceeded": False,
        "problem": None,
    }
    assert row(found, "total") | {"limit": None, "source": "none", "left": None} == row(found, "total")


def test_limit_spent_reserved_and_left_add_up_exactly(money: Money) -> None:
    money.budget("25")
    money.budget("60", analysis="total")
    money.count(committed=10_000_001, spent=4_000_000)
    money.count(committed=12_000_000, spent=4_000_000, analysis="total")
    found = money.ncap("budget", "show", GROUP, BUCKET)
    assert len(found["budgets"]) == 2
    own, total = row(found), row(found, "total")
    assert [own[name] for name in ("limit", "spent", "reserved", "left")] == ["25.00", "4.00", "6.000001", "14.999999"]
    assert own["source"] == "parameter"
    assert [total[name] for name in ("limit", "spent", "reserved", "left")] == ["60.00", "4.00", "8.00", "48.00"]


def test_a_limit_that_is_exceeded_leaves_nothing_and_is_pointed_out(money: Money) -> None:
    money.budget("5")
    money.count(committed=6_000_000, spent=6_000_000)
    own = row(money.ncap("budget", "show", GROUP))
    assert (own["left"], own["exceeded"]) == ("0.00", True)
    out, err = money.table("budget", "show", GROUP)
    assert "$6.00" in out
    assert "more is spent and reserved than the limit" in err


def test_a_parameter_that_is_no_amount_is_shown_as_what_it_is(money: Money) -> None:
    money.budget("a lot")
    assert "every submission is refused" in str(row(money.ncap("budget", "show", GROUP))["problem"])


def test_a_profile_that_says_otherwise_is_pointed_out(project: Money) -> None:
    project.budget("40")
    assert row(project.ncap("budget", "show", GROUP))["profile"] == "25.00"
    out, err = project.table("budget", "show", GROUP)
    assert "profile: 25.00" in out
    assert "the profile of this project says otherwise" in err


def test_a_version_that_cannot_be_read_hides_no_other_budget(money: Money) -> None:
    money.budget("25")
    money.put(f"versions/{VERSION_ID}.json", "[")
    found = money.ncap("budget", "show")
    assert row(found)["limit"] == "25.00"
    _, err = money.table("budget", "show")
    assert BUCKET in err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("dema",), GROUP),
        ((GROUP, "kalman-lsd"), BUCKET),
        (("zzz",), "Known here: demo, lab2"),
        ((BUCKET,), "Say the group first"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(money: Money, words: tuple[str, ...], near: str) -> None:
    assert near in money.ncap("budget", "show", *words, code=4)["error"]["hint"]
    set_words = (words[0], words[-1] if len(words) > 1 else BUCKET)
    assert near in money.ncap("budget", "set", *set_words, "5", code=4)["error"]["hint"]
    assert money.parameter() is None


@pytest.mark.parametrize("amount", ["NaN", "inf", "1e400", "12,5", "ten", "", "0.0000001", "10000001", "--5"])
def test_what_is_no_sensible_amount_is_refused(money: Money, amount: str) -> None:
    words = ("budget", "set", "--yes", "--", GROUP, BUCKET, amount)
    from ncap_iac.cli import main

    assert main([words[0], words[1], "--yes", "--aws", "--region", "us-east-1", *words[3:]]) == 2
    assert money.parameter() is None


def test_a_negative_amount_is_refused(money: Money) -> None:
    money.ncap("budget", "set", GROUP, BUCKET, "-5", code=2)
    assert money.parameter() is None


def test_setting_counts_at_once_and_says_what_makes_it_last(project: Money) -> None:
    project.budget("25", stack="neurocaas-users-lab")
    found = project.ncap("budget", "set", GROUP, BUCKET, "40.50")
    assert project.parameter() == "40.5"
    assert (found["before"]["limit"], found["after"]["limit"], found["changed"]) == ("25.00", "40.50", True)
    assert found["lasting"].startswith(f"ncap profile budget lab {GROUP} 40.5 --analysis {BUCKET} --deploy")
    _, err = project.table("budget", "set", GROUP, BUCKET, "40.5")
    assert "It was so already" in err
    assert "The profile stays the truth" in err


def test_the_total_is_set_the_same_way(project: Money) -> None:
    project.budget("60", analysis="total", stack="neurocaas-users-lab")
    found = project.ncap("budget", "set", GROUP, "total", "70")
    assert project.parameter("total") == "70"
    assert found["lasting"].startswith(f"ncap profile budget lab {GROUP} 70 --deploy")


def test_lowering_below_what_is_spent_or_reserved_needs_a_yes(money: Money) -> None:
    money.budget("25", stack="neurocaas-users-lab")
    money.count(committed=6_000_000, spent=2_000_000)
    error = money.ncap("budget", "set", GROUP, BUCKET, "5.99", code=2)["error"]
    assert "$2.00 are spent and $4.00 reserved" in error["what"]
    assert money.parameter() == "25"
    money.ncap("budget", "set", GROUP, BUCKET, "6")
    assert money.parameter() == "6"
    found = money.ncap("budget", "set", GROUP, BUCKET, "0", "--yes")
    assert money.parameter() == "0"
    assert found["after"]["exceeded"] is True


def test_a_budget_no_profile_made_can_be_taken_away_again(money: Money) -> None:
    _, err = money.table("budget", "set", GROUP, BUCKET, "40")
    assert money.parameter() == "40"
    assert f"ncap budget set {GROUP} {BUCKET} none" in err
    assert money.ncap("budget", "set", GROUP, BUCKET, "none", "--yes")["changed"] is True
    assert money.parameter() is None
    assert money.ncap("budget", "set", GROUP, BUCKET, "none")["changed"] is False


def test_a_budget_of_a_stack_is_not_taken_from_it(project: Money) -> None:
    project.budget("25", stack="neurocaas-users-lab")
    error = project.ncap("budget", "set", GROUP, BUCKET, "none", "--yes", code=2)["error"]
    assert f"ncap profile budget lab {GROUP} none --analysis {BUCKET} --deploy" in error["hint"]
    assert project.parameter() == "25"


def test_a_lowered_budget_refuses_the_next_job_with_figures(money: Money) -> None:
    money.ncap("budget", "set", GROUP, BUCKET, "0.01")
    money.platform.upload()
    money.platform.submit()
    end = money.platform.result(f"job__{BUCKET}_1", "end")
    assert end.startswith("REJECTED")
    assert "$0.01" in end


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_drawn(money: Money, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    money.budget("25")
    money.count(committed=10_000_000, spent=4_000_000)
    money.ncap("budget", "show", "--plot", f"b.{suffix}")
    body = (money.folder / f"b.{suffix}").read_bytes()
    assert body.startswith(b"\x89PNG") if suffix == "png" else b"$4.00 + $6.00 of $25.00, $15.00 left" in body


@pytest.mark.parametrize("name", ["b.pdf", "nowhere/b.png"])
def test_a_picture_that_cannot_be_is_refused_before_anything_is_read(money: Money, name: str) -> None:
    error = money.ncap("budget", "show", "--plot", name, code=2)["error"]
    assert "--plot" in error["where"]


def test_a_member_is_told_who_can_see_budgets_and_where_the_own_reservation_is(money: Money) -> None:
    with a_member():
        for words in (("show", GROUP, BUCKET), ("set", GROUP, BUCKET, "1000")):
            error = money.ncap("budget", *words, code=3)["error"]
            assert "only operators" in error["what"]
            assert "ncap job logs" in error["hint"]
    assert money.parameter() is None
