"""Random damage to documents, for property tests: what people, editors and programs do to JSON."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.compiler.documents import legacy_blueprint, minimal_blueprint, minimal_profile

FOLDER = Path(__file__).parent / "legacy"


def _written(kind: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((FOLDER / kind).glob("*.json"))]


SEEDS: list[dict[str, Any]] = [minimal_blueprint(), legacy_blueprint(), *_written("blueprints")]
PROFILE_SEEDS: list[dict[str, Any]] = [minimal_profile(), *_written("profiles")]

ODD_TEXTS = st.sampled_from(
    [
        "", " ", "{}", "{}" * 9, "\0", "\n", "ünïcode", "\u202e", "\ud7ff", "\U0001f9e0", "ſ", "ß", "null", "NaN",
        "Infinity", "-1", "1e9", "0", "00", "9" * 60, "١٢", "x" * 5000, "../../../etc/passwd", "a/b~c", "$(reboot)",
        "p3.2xlarge", "p99.huge", "us-east-1", "submit_start.handler", "submit_start.handler_log",
    ]
)  # fmt: skip
ODD_NUMBERS = st.sampled_from([0, -1, 1, 0.5, -0.0, 1e-9, 1e300, 2**63, 10**40, -(10**40), 3.0])


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    ODD_NUMBERS,
    ODD_TEXTS,
    st.text(max_size=20),
    st.builds(deep, st.sampled_from([1, 5, 70])),
    st.lists(ODD_TEXTS, max_size=3),
    st.dictionaries(ODD_TEXTS, ODD_NUMBERS, max_size=3),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys or indices."""
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    else:
        return []
    return [(value, key) for key, _ in children] + [place for _, child in children for place in _places(child)]


def _damage(draw: st.DrawFn, document: Any) -> None:
    places = _places(document)
    if not places:
        return
    container, key = draw(st.sampled_from(range(len(places))).map(lambda index: places[index]))
    kind = draw(st.sampled_from(["delete", "retype", "wrap", "duplicate", "add", "quote"]))
    if kind == "delete":
        del container[key]
    elif kind == "retype":
        container[key] = draw(VALUES)
    elif kind == "wrap":
        container[key] = draw(st.sampled_from([[container[key]], {"value": container[key]}]))
    elif kind == "duplicate" and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    elif kind == "quote":
        container[key] = json.dumps(container[key])
    elif isinstance(container, dict):
        container[draw(ODD_TEXTS | st.sampled_from([f"{key}_", str(key).swapcase()]))] = draw(VALUES)


@st.composite
def mutated(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """A copy of the document, damaged in one to four places; it may still be a good one."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        _damage(draw, found)
    return found
