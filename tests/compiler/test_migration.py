"""Migration: today's form with nothing lost, whatever the document was, and the same again a second time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncap_compiler.blueprint import load_blueprint
from ncap_compiler.migration import Migration, Upgraded, migrate_blueprint, migrate_profile, restore
from ncap_compiler.profile import load_profile
from tests.compiler.documents import legacy_blueprint, minimal_profile, text
from tests.compiler.mutations import PROFILE_SEEDS, SEEDS, VALUES, mutated

SCHEMA = {"$schema": "../../utils/ncap_compiler/schemas/blueprint.json"}


def migrated(document: Any) -> Migration:
    return migrate_blueprint(text(document), file="blueprint.json")


def after(document: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(migrated(document).text)
    return found


def with_config(**changes: Any) -> dict[str, Any]:
    document = legacy_blueprint()
    document["Lambda"]["LambdaConfig"] |= changes
    return document


def config_after(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = after(with_config(**changes))["Lambda"]["LambdaConfig"]
    return found


def test_fields_without_effect_are_put_aside_and_can_be_taken_back() -> None:
    document = legacy_blueprint()
    found = after(document)
    assert list(found) == ["$schema", "PipelineName", "REGION", "STAGE", "Lambda", "UXData", "Legacy"]
    assert found["Legacy"]["Removed"]["/Lambda/LambdaConfig/KEY_NAME"] == {"Position": 4, "Value": "a-key"}
    assert not {"KEY_NAME", "IAM_ROLE", "MONITOR", "LOGFILE"} & set(found["Lambda"]["LambdaConfig"])
    assert json.dumps(restore(found)) == json.dumps(document)


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("p3.2xlarge", "g5.2xlarge"),
        ("p2.8xlarge", "g4dn.12xlarge"),
        ("g4ad.xlarge", "g4dn.xlarge"),
        (["p2.xlarge", "g4dn.xlarge", "m5.large"], ["g4dn.xlarge", "m5.large"]),
    ],
)
def test_retired_hardware_gets_its_replacement_once(before: Any, offered: Any) -> None:
    assert config_after(INSTANCE_TYPE=before)["INSTANCE_TYPE"] == offered


def test_a_time_limit_in_seconds_becomes_minutes_in_its_place() -> None:
    found = config_after(SSM_TIMEOUT=172000)
    assert found["MAX_DURATION"] == 2866
    assert "SSM_TIMEOUT" not in found
    assert load_blueprint(migrated(legacy_blueprint()).text, file="x").hardware.max_duration_minutes == 2866


def test_a_time_limit_that_is_not_looked_at_is_put_aside() -> None:
    found = config_after(SSM_TIMEOUT=600, MAX_DURATION=30)
    assert (found["MAX_DURATION"], "SSM_TIMEOUT" in found) == (30, False)


def test_a_step_that_was_never_there_is_taken_out() -> None:
    document = legacy_blueprint()
    document["Lambda"] |= {
        "PostCodeUri": "../../protocols",
        "PostHandler": "postprocess.epipostprocess",
        "PostTrigger": "end.txt",
    }
    assert not {"PostCodeUri", "PostHandler", "PostTrigger"} & set(after(document)["Lambda"])


def test_a_handler_is_mapped_only_with_a_command_of_four_values() -> None:
    document = legacy_blueprint()
    document["Lambda"]["Handler"] = "submit_start.handler_log"
    assert after(document)["Lambda"]["Handler"] == "submit_start.handler_develop"
    document["Lambda"]["LambdaConfig"]["COMMAND"] = 'run.sh "{}" "{}" "{}"'
    migration = migrated(document)
    assert json.loads(migration.text)["Lambda"]["Handler"] == "submit_start.handler_log"
    assert [(problem.id, problem.pointer) for problem in migration.problems] == [
        ("B205", "/Lambda/LambdaConfig/COMMAND")
    ]
    assert "KEY_NAME" not in json.loads(migration.text)["Lambda"]["LambdaConfig"], "the rest is still migrated"


def test_what_is_left_is_placed_in_the_text_before() -> None:
    document = legacy_blueprint() | {"PipelineName": "Not_A_Name"}
    lines = text(document).splitlines()
    (problem,) = migrated(document).problems
    assert "Not_A_Name" in lines[(problem.line or 0) - 1]


def test_a_setting_the_platform_refuses_is_not_put_aside() -> None:
    migration = migrated(with_config(LAUNCH=False))
    assert [problem.id for problem in migration.problems] == ["B209"]
    assert json.loads(migration.text)["Lambda"]["LambdaConfig"]["LAUNCH"] is False


def test_amounts_stay_exact() -> None:
    assert config_after(MAXCOST="12.50")["MAXCOST"] == 12.5
    assert config_after(MAXCOST="300")["MAXCOST"] == 300
    document = minimal_profile()
    document["UXData"]["Affiliates"][0] |= {"Budget": {"spikes": "0.1", "total": "3"}, "KeySerialNumber": "2"}
    migration = migrate_profile(text(document), file="profile.json")
    group = json.loads(migration.text)["UXData"]["Affiliates"][0]
    assert (group["Budget"], group["KeySerialNumber"]) == ({"spikes": 0.1, "total": 3}, 2)
    assert load_profile(migration.text, file="x").groups == load_profile(text(document), file="x").groups


def test_the_secret_of_a_joining_code_is_not_kept_as_something_put_aside() -> None:
    document = minimal_profile()
    document["UXData"]["Affiliates"][0]["GroupCode"] = "1234"
    migration = migrate_profile(text(document), file="profile.json")
    assert [problem.id for problem in migration.problems] == ["P108"]
    assert "GroupCode" not in json.dumps(json.loads(migration.text).get("Legacy"))


def test_the_text_around_stays_as_it_was_written() -> None:
    written = text(legacy_blueprint()).replace('"MAXCOST": "300"', '"MAXCOST"   :\t"300"').replace("\n", "\r\n")
    found = migrate_blueprint(written, file="blueprint.json").text
    assert '"MAXCOST"   :\t300,\r\n' in found
    assert "\n" not in found.replace("\r\n", "")
    kept = set(written.splitlines()) & set(found.splitlines())
    assert len(kept) > 20


def test_a_document_on_one_line_stays_on_one_line() -> None:
    written = json.dumps(legacy_blueprint())
    found = migrate_blueprint(written, file="blueprint.json")
    assert "\n" not in found.text
    assert json.dumps(restore(json.loads(found.text))) == written


def test_a_second_migration_keeps_what_the_first_put_aside() -> None:
    first = after(legacy_blueprint())
    first["Lambda"]["LambdaConfig"]["KEY_NAME"] = "added-by-hand"
    second = after(first)
    assert json.dumps(restore(second)) == json.dumps(first)
    assert second["Legacy"]["Removed"]["/Legacy"]["Value"] == first["Legacy"]
    assert load_blueprint(json.dumps(second), file="x").analysis == "spikes"


def test_text_that_is_not_json_comes_back_with_its_problem() -> None:
    migration = migrate_blueprint("{'a': 1}", file="blueprint.json")
    assert (migration.text, migration.document, migration.upgrades) == ("{'a': 1}", None, ())
    assert [problem.id for problem in migration.problems] == ["D102"]


def test_every_upgrade_says_what_and_why() -> None:
    upgrades = migrated(legacy_blueprint()).upgrades
    assert {upgrade.kind for upgrade in upgrades} == set(Upgraded)
    assert all(upgrade.reason and upgrade.pointer.startswith("/") for upgrade in upgrades)


def test_restoring_passes_over_places_that_are_gone() -> None:
    found = after(legacy_blueprint())
    del found["Lambda"]
    assert restore(found)["PipelineName"] == "spikes"
    assert restore({"a": 1, "Legacy": 3}) == {"a": 1, "Legacy": 3}


POINTERS = st.sampled_from(["", "/", "a", "/a", "/a/0/b", "/a/²/b", "/a/" + "9" * 5000 + "/b", "/b/c", "/~1/~"])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from("ab"), VALUES | st.dictionaries(st.just("c"), VALUES) | st.lists(VALUES), max_size=2
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "Added": VALUES | st.lists(POINTERS, max_size=3),
            "Changed": VALUES | st.dictionaries(POINTERS, VALUES, max_size=3),
            "Removed": VALUES
            | st.dictionaries(POINTERS, st.fixed_dictionaries({"Position": VALUES, "Value": VALUES}), max_size=3),
        },
    )
    | VALUES,
)
def test_a_damaged_record_of_a_migration_is_taken_back_as_far_as_it_goes(document: dict[str, Any], legacy: Any) -> None:
    assert isinstance(restore(document | {"Legacy": legacy}), dict)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(["blueprint", "profile"]))
def test_whatever_is_migrated_can_be_taken_back_and_migrating_twice_changes_nothing(data: Any, kind: str) -> None:
    seeds, migrate = (SEEDS, migrate_blueprint) if kind == "blueprint" else (PROFILE_SEEDS, migrate_profile)
    document = data.draw(mutated(data.draw(st.sampled_from(seeds))))
    layout = data.draw(st.sampled_from([None, 0, 2, 4, "\t"]))
    migration = migrate(json.dumps(document, indent=layout, ensure_ascii=data.draw(st.booleans())), file="x.json")
    if migration.document is None:
        return
    found = json.loads(migration.text)
    assert found == migration.document
    if migration.upgrades:
        assert json.dumps(restore(found)) == json.dumps(document)
    again = migrate(migration.text, file="x.json")
    assert (again.text, again.upgrades) == (migration.text, ())
