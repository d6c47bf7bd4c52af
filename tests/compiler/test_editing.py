"""Changing JSON text: loading what was changed equals changing what was loaded, and the rest stays as it was."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncap_compiler.document import escape
from ncap_compiler.editing import Change, JsonText

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6), NAMES)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=5)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A document in one of the ways people write JSON."""
    value = draw(DOCUMENTS)
    indent = draw(st.sampled_from([None, 0, 1, 2, 4, "\t"]))
    separators = draw(st.sampled_from([None, (",", ":"), (" , ", " : ")]))
    written = json.dumps(value, indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()) and indent is not None:
        written = written.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\n", " \t\n"])) + written + draw(st.sampled_from(["", "\n", "\r\n  "]))


def places(value: Any, pointer: str = "") -> list[tuple[str, Any]]:
    found = [(pointer, value)]
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        found += places(child, f"{pointer}/{escape(str(name))}")
    return found


def within(document: Any, pointer: str) -> Any:
    return dict(places(document))[pointer]


@given(texts(), st.data(), st.lists(VALUES, min_size=1, max_size=3))
def test_appending_to_the_text_is_appending_to_the_list(text: str, data: st.DataObject, more: list[Any]) -> None:
    wanted = json.loads(text)
    lists = [pointer for pointer, value in places(wanted) if isinstance(value, list)]
    if not lists:
        return
    pointer = data.draw(st.sampled_from(lists))
    edited = JsonText(text)
    changed = edited.apply([edited.append(pointer, more)])
    within(wanted, pointer).extend(more)
    assert json.loads(changed) == wanted


@given(texts(), st.data())
def test_removing_from_the_text_is_removing_from_the_value(text: str, data: st.DataObject) -> None:
    wanted = json.loads(text)
    filled = [pointer for pointer, value in places(wanted) if isinstance(value, list | dict) and value]
    if not filled:
        return
    pointer = data.draw(st.sampled_from(filled))
    found = within(wanted, pointer)
    index = data.draw(st.integers(0, len(found) - 1))
    edited = JsonText(text)
    changed = edited.apply([edited.remove(pointer, index)])
    del found[index if isinstance(found, list) else list(found)[index]]
    assert json.loads(changed) == wanted


@given(texts(), st.data(), NAMES, VALUES)
def test_setting_a_field_of_the_text_is_setting_it_in_the_value(
    text: str, data: st.DataObject, name: str, value: Any
) -> None:
    wanted = json.loads(text)
    pointer = data.draw(st.sampled_from([pointer for pointer, value in places(wanted) if isinstance(value, dict)]))
    found = within(wanted, pointer)
    after = data.draw(st.sampled_from([*found, "", "not there"]))
    edited = JsonText(text)
    changed = edited.apply([edited.set_field(pointer, name, value, after=after)])
    had, names = name in found, list(found)
    found[name] = value
    assert json.loads(changed) == wanted
    if not had:
        again = JsonText(changed)
        back = again.apply([again.remove_field(pointer, name)])
        if names:
            assert back == text
        if after in names:
            assert list(within(json.loads(changed), pointer))[names.index(after) + 1] == name


@given(texts(), st.data(), VALUES)
def test_replacing_touches_nothing_but_the_value(text: str, data: st.DataObject, value: Any) -> None:
    wanted = json.loads(text)
    pointer = data.draw(st.sampled_from([pointer for pointer, _ in places(wanted)]))
    edited = JsonText(text)
    change = edited.replace(pointer, value)
    changed = edited.apply([change])
    assert json.loads(text[change.start : change.end]) == within(wanted, pointer)
    assert changed.startswith(text[: change.start])
    assert changed.endswith(text[change.end :])
    assert json.loads(changed[change.start : len(changed) - len(text) + change.end]) == json.loads(json.dumps(value))


@given(texts(), st.data())
def test_what_was_appended_can_be_removed_and_leaves_no_trace(text: str, data: st.DataObject) -> None:
    lists = [pointer for pointer, value in places(json.loads(text)) if isinstance(value, list) and value]
    if not lists:
        return
    pointer = data.draw(st.sampled_from(lists))
    edited = JsonText(text)
    longer = JsonText(edited.apply([edited.append(pointer, ["x"])]))
    count = len(within(json.loads(longer.text), pointer))
    assert longer.apply([longer.remove(pointer, count - 1)]) == text


def test_several_changes_are_made_together() -> None:
    edited = JsonText('{"a": [1, 2, 3], "b": {"c": 1}}')
    changes = [edited.set_field("", "d", True), edited.remove("/a", 1), edited.replace("/b/c", "x")]
    assert edited.apply(changes) == '{"a": [1, 3], "b": {"c": "x"}, "d": true}'


def test_changes_of_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="one place"):
        JsonText("[1, 2]").apply([Change(0, 5, ""), Change(3, 4, "")])


def test_an_object_is_laid_out_like_its_neighbour() -> None:
    text = json.dumps({"groups": [{"name": "a", "members": ["x"]}]}, indent=4).replace("\n", "\r\n")
    edited = JsonText(text)
    changed = edited.apply([edited.append("/groups", [{"name": "b", "members": []}, {"name": "c"}])])
    assert changed.splitlines()[6:14] == [
        "            ]",
        "        },",
        "        {",
        '            "name": "b",',
        '            "members": []',
        "        },",
        "        {",
        '            "name": "c"',
    ]
    assert changed.count("\n") == changed.count("\r\n")


def test_a_list_on_lines_stays_on_lines_and_the_original_is_not_mutated() -> None:
    text = '{"members": [\n    "a",\n    "b"\n  ]}'
    edited = JsonText(text)
    before = copy.copy(edited.text)
    assert edited.apply([edited.append("/members", ["c"])]) == '{"members": [\n    "a",\n    "b",\n    "c"\n  ]}'
    assert edited.text == before
