"""Tables of people: every way spreadsheets write them, and a reason for every row that cannot be taken."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ncap_compiler import names
from ncap_iac.errors import UsageError
from ncap_iac.people.table import People, group_of_one, member_of_email, member_of_name, read_people

OLD = "Email,FirstName,LastName,Affiliation,Verified,Loaded\n"


def read(text: str | bytes) -> People:
    return read_people(text if isinstance(text, bytes) else text.encode(), file="people.csv")


def members(text: str | bytes) -> list[tuple[int, str, str]]:
    found = read(text)
    assert found.refusals == ()
    return [(person.row, person.member, person.group) for person in found.persons]


@pytest.mark.parametrize(
    "table",
    [
        "name,group,email\nada,lab,ada@x.org\n",
        "EMAIL, Group ,Name\nada@x.org,lab,ada\n",
        "\ufeffname,group\nada,lab\n",
        "name;group;email\r\nada;lab;ada@x.org\r\n",
        "name\tgroup\nada\tlab",
        'sep=;\nname;group\n"ada";"lab"\n',
        'name,group,remark\nada,lab,"two\nlines, and ""quotes"""\n',
        "group,member,Affil\nlab,ada\n",
        "name,group,,\nada,lab,,\n,,,\n",
        "name,group\nada,lab\n".encode("utf-16"),
    ],
)
def test_a_table_is_read_however_a_spreadsheet_wrote_it(table: str | bytes) -> None:
    assert [found[1:] for found in members(table)] == [("ada", "lab")]


def test_rows_count_as_in_the_spreadsheet() -> None:
    assert members("name,group\n\nada,lab\n\n\ngrace,lab\n") == [(3, "ada", "lab"), (6, "grace", "lab")]


def test_the_first_neurocaas_header_takes_verified_rows_only() -> None:
    table = OLD + "Ada@X.org,Ada,L,lab,1,0\nbob@x.org,Bob,B,lab,0,0\ncy@x.org,Cy,C,Website,1,1\n"
    assert members(table) == [(2, "ada@x.org", "lab"), (4, "cy@x.org", "cy@x.orggroup")]
    assert read(table).unverified == (3,)
    assert read(table).unread == ("FirstName", "LastName", "Loaded")


def test_a_table_of_unverified_people_is_empty_and_no_error() -> None:
    assert read(OLD + "bob@x.org,Bob,B,lab,0,0\n").persons == ()


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("ada,lab,not an address,1", "Email", "not an address"),
        ("ada,,a@x.org,1", "Group", "no group"),
        (",lab,,1", "Email", "neither a name nor an address"),
        ("ada,Smith Lab!,a@x.org,1", "Group", "Smith Lab"),
        ("ada,lab,a@x.org,maybe", "Verified", "neither yes nor no"),
        ("李雷,lab,,1", "Name", "no letter"),
        ("ada,lab,a@x.org,1,more", "", "5 cells under 4 columns"),
        ("ada,logs,,1", "Group", "platform"),
        (f"ada,{'g' * 60},,1", "Group", "60 characters"),
    ],
)
def test_a_row_that_cannot_be_taken_says_where_why_and_what_to_do(row: str, column: str, reason: str) -> None:
    (refusal,) = read(f"name,group,email,verified\nok,lab,,1\n{row}\n").refusals
    assert (refusal.row, refusal.column) == (3, column)
    assert reason in refusal.reason
    assert refusal.remedy


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("name,email\nada,a@x.org\n", "header"),
        ("group\nlab\n", "header"),
        ("name,member,group\na,b,lab\n", "same"),
        ('name,group\n"ada,lab\n', "line"),
        (b"name,group\n\xff\xfeada,lab\n", "UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(table: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(table)


@pytest.mark.parametrize(
    ("name", "member"),
    [("ada", "ada"), ("Ada Lovelace", "Ada-Lovelace"), ("José  Núñez", "Jose-Nunez"), ("O'Neill, S.", "O-Neill-S.")],
)
def test_a_name_stands_for_one_member(name: str, member: str) -> None:
    assert member_of_name(name) == member


@example("=@a.ac")
@given(st.emails())
def test_an_address_gives_a_legal_name_and_group(email: str) -> None:
    assert names.why_not_a_member(member_of_email(email)) is None
    assert names.why_not_a_group(group_of_one(email)) is None


@given(st.emails(), st.emails())
def test_two_addresses_give_two_members(one: str, other: str) -> None:
    if one.lower() != other.lower():
        assert member_of_email(one) != member_of_email(other)
        assert group_of_one(one.lower()) != group_of_one(other.lower())


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        found = read(f"name,group,email\n{text}".encode("utf-8", "replace"))
    except UsageError:
        return
    for person in found.persons:
        assert names.why_not_a_member(person.member) is None
        assert names.why_not_a_group(person.group) is None
