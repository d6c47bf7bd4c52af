"""Derived names: within AWS's limits, and never two things under one name."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ncap_compiler import names

ANALYSES = st.from_regex(names.ANALYSIS_NAME, fullmatch=True).filter(lambda name: not names.why_not_an_analysis(name))


@given(ANALYSES)
def test_every_name_of_an_analysis_fits(analysis: str) -> None:
    assert len(names.submit_function(analysis)) <= 64
    assert len(names.postprocess_function(analysis)) <= 64
    assert len(names.launch_template(analysis)) <= 128


@given(ANALYSES, ANALYSES)
def test_cut_names_of_different_analyses_differ(one: str, other: str) -> None:
    assert (names.submit_function(one) == names.submit_function(other)) == (one == other)


def test_a_cut_name_keeps_its_beginning_and_ends_in_its_digest() -> None:
    long = "a" * 63
    assert re.fullmatch(r"neurocaas-submit-a{38}-[0-9a-f]{8}", names.submit_function(long))
    assert names.submit_function("kalman-lds") == "neurocaas-submit-kalman-lds"


@given(st.text(min_size=1), st.text(min_size=1))
def test_logical_ids_are_valid_and_distinct(one: str, other: str) -> None:
    assert re.fullmatch("[A-Za-z0-9]{1,255}", names.logical_id("Group", one))
    assert (names.logical_id("Group", one) == names.logical_id("Group", other)) == (one == other)


def test_the_longest_group_name_still_names_a_role() -> None:
    longest = "g" * names.MAX_GROUP_NAME
    assert names.why_not_a_group(longest) is None
    assert len(names.instance_role(longest)) == 64


def test_stacks_of_a_profile_are_numbered_from_the_second() -> None:
    assert names.users_stack("lab") == "neurocaas-users-lab"
    assert names.users_stack("lab", 3) == "neurocaas-users-lab--3"


def test_roles_of_the_control_plane_are_one_a_region() -> None:
    assert names.monitor_role("eu-central-1") == "neurocaas-monitor-eu-central-1"
    assert names.sweeper_role() == "neurocaas-sweeper-${AWS::Region}"


GROUPS = st.from_regex(names.GROUP_NAME, fullmatch=True).filter(lambda name: not names.why_not_a_group(name))


@given(GROUPS)
def test_names_of_policies_fit(group: str) -> None:
    shared = names.shared_policy(group, 99, 9)
    further = [names.further_policy(holder, 11) for holder in (names.instance_role(group), names.iam_group(group))]
    assert all(len(name) <= 128 for name in (shared, *further))


@given(GROUPS, GROUPS)
def test_what_groups_share_has_a_name_of_its_own(one: str, other: str) -> None:
    found = [names.shared_policy(group, stack, part) for group in {one, other} for stack in (1, 2) for part in (1, 2)]
    assert len(found) == len(set(found))
