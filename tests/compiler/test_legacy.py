"""Documents in the shapes the predecessor had, with the verdict on each: as it is, and after its migration.

The shapes and field names are the predecessor's; names, commands and values are made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ncap_compiler.blueprint import load_blueprint
from ncap_compiler.errors import DocumentError
from ncap_compiler.migration import Migration, migrate_blueprint, migrate_profile, restore
from ncap_compiler.profile import load_profile

FOLDER = Path(__file__).parent / "legacy"


class Verdict(NamedTuple):
    """Ids found in a document as it is (of notices if it is accepted), and of problems left after migrating it."""

    now: tuple[str, ...]
    left: tuple[str, ...] = ()


# fmt: off
BLUEPRINTS = {
    "as-another-user": Verdict(("B202",)),
    "colliding-groups": Verdict(("B208",), ("B208",)),
    "demo-in-old-folder": Verdict(("B204",)),
    "demo-on-retired-hardware": Verdict(("B204", "B202")),
    "demonstration": Verdict(("B204", "B203")),
    "develop-with-dead-step": Verdict(("B203",)),
    "eight-values": Verdict(("B204", "B202", "B205"), ("B205",)),
    "ensemble": Verdict(("N202", "N201")),
    "from-the-developer-tool": Verdict(("B108",) * 6),
    "generation-before": Verdict(("N202", "N201")),
    "graphics": Verdict(("B203",)),
    "illegal-name": Verdict(("B201",), ("B201",)),
    "lab-of-its-own": Verdict(("N201",)),
    "labelling": Verdict(("B203",), ("B203",)),
    "launches-nothing": Verdict(("B209",), ("B209",)),
    "numbers-as-text": Verdict(()),
    "other-settings": Verdict(("N201",)),
    "protocol-of-its-own": Verdict(("B204", "B203", "B205"), ("B204", "B203", "B205")),
    "shortest": Verdict(("B202",)),
    "template": Verdict(
        ("B201", "B204", "B105", "B105", "B205", "B207", "B103", "B103"),
        ("B201", "B105", "B105", "B205", "B207", "B103", "B103"),
    ),
    "template-of-widefield": Verdict(
        ("B201", "B105", "B104", "B105", "B105", "B105"), ("B201", "B105", "B104", "B105", "B105", "B105")
    ),
    "ten-groups": Verdict(("B202",)),
    "three-values": Verdict(("B204", "B202", "B205"), ("B205",)),
    "today": Verdict(()),
    "unquoted": Verdict(("B202",)),
    "user-test": Verdict(("B204", "B105"), ("B105",)),
    "web-stack": Verdict(("N201",)),
    "widefield": Verdict(("N201",)),
    "zero-and-false": Verdict(("N201",)),
}
PROFILES = {
    "addresses": Verdict(("N201",)),
    "bare-names": Verdict(("N201",)),
    "budget-of-an-address": Verdict(("P205",), ("P205",)),
    "colliding-groups": Verdict(("P202",), ("P202",)),
    "current": Verdict(("N201",)),
    "folders-for-names": Verdict(("P204",), ("P204",)),
    "joining-code": Verdict(("P108",), ("P108",)),
    "one-person-twice": Verdict(("P203",), ("P203",)),
    "template": Verdict(("P201", "P206", "P204"), ("P201", "P206", "P204")),
    "thirteen-groups": Verdict(("N201",)),
    "today": Verdict(()),
    "upper-case-and-number-as-text": Verdict(()),
    "web": Verdict(("N201",)),
    "without-stage": Verdict(("N201",)),
}
# fmt: on

Migrate = Callable[..., Migration]
Load = Callable[..., Any]
CASES = [
    *(pytest.param("blueprints", name, verdict, id=name) for name, verdict in BLUEPRINTS.items()),
    *(pytest.param("profiles", name, verdict, id=f"profile-{name}") for name, verdict in PROFILES.items()),
]
READERS: dict[str, tuple[Load, Migrate]] = {
    "blueprints": (load_blueprint, migrate_blueprint),
    "profiles": (load_profile, migrate_profile),
}


def ids(load: Load, text: str) -> tuple[str, ...]:
    try:
        return tuple(notice.id for notice in load(text, file="x.json").notices)
    except DocumentError as error:
        found = error.problems
    assert all(problem.line and problem.hint for problem in found), "place and remedy"
    return tuple(problem.id for problem in found)


def test_every_document_has_a_verdict() -> None:
    for kind, verdicts in (("blueprints", BLUEPRINTS), ("profiles", PROFILES)):
        assert {path.stem for path in (FOLDER / kind).glob("*.json")} == set(verdicts)


@pytest.mark.parametrize(("kind", "name", "verdict"), CASES)
def test_the_verdict_on_a_document_of_the_predecessor(kind: str, name: str, verdict: Verdict) -> None:
    load, migrate = READERS[kind]
    text = (FOLDER / kind / f"{name}.json").read_text()
    assert ids(load, text) == verdict.now

    migration = migrate(text, file="x.json")
    assert tuple(problem.id for problem in migration.problems) == verdict.left
    if not verdict.left:
        assert ids(load, migration.text) == (), "a migrated document has nothing left to notice"
    if migration.upgrades:
        back = restore(json.loads(migration.text))
        assert json.dumps(back) == json.dumps(json.loads(text)), "values and their order are as they were"
    again = migrate(migration.text, file="x.json")
    assert (again.text, again.upgrades) == (migration.text, ())


def test_a_held_back_analysis_stays_held_back() -> None:
    text = (FOLDER / "blueprints" / "zero-and-false.json").read_text()
    for shown in (text, migrate_blueprint(text, file="x.json").text):
        hardware = load_blueprint(shown, file="x.json").hardware
        assert (hardware.deploy_limit, hardware.max_cost_usd) == (0, "0")
