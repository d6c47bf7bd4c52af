"""Blueprints: what is accepted, what it means, and how each mistake is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncap_compiler.blueprint import Blueprint, dump_blueprint, load_blueprint
from ncap_compiler.errors import PROBLEM_IDS, DocumentError, Problem
from tests.compiler.documents import ENVIRONMENT, legacy_blueprint, minimal_blueprint, text


def load(document: Any) -> Blueprint:
    return load_blueprint(text(document), file="blueprint.json")


def problems(document: Any) -> tuple[Problem, ...]:
    with pytest.raises(DocumentError) as caught:
        load(document)
    return caught.value.problems


def with_config(**changes: Any) -> dict[str, Any]:
    document = minimal_blueprint()
    document["Lambda"]["LambdaConfig"] |= changes
    return document


def with_lambda(**changes: Any) -> dict[str, Any]:
    document = minimal_blueprint()
    document["Lambda"] |= changes
    return document


def only(document: Any) -> Problem:
    found = problems(document)
    assert len(found) == 1, found
    return found[0]


def test_the_smallest_blueprint_gets_the_defaults() -> None:
    blueprint = load(minimal_blueprint())
    assert (blueprint.analysis, blueprint.title, blueprint.group_names) == ("spikes", "spikes", ("lab",))
    hardware = blueprint.hardware
    assert hardware.ami == ENVIRONMENT
    assert hardware.environment_name == "spikes"
    assert hardware.instance_types == hardware.allowed_instance_types == ("m7i.large",)
    assert (hardware.deploy_limit, hardware.max_cost_usd, hardware.max_duration_minutes) == (100, "300", 720)
    assert hardware.command is None


def test_a_document_of_the_predecessor_is_understood() -> None:
    blueprint = load(legacy_blueprint())
    hardware = blueprint.hardware
    assert hardware.environment_name is None
    assert hardware.max_duration_minutes == 172000 // 60
    assert (hardware.deploy_limit, hardware.max_cost_usd, hardware.submit_timeout_s) == (20, "300", 180)
    ignored = {field.pointer.rpartition("/")[2] for field in blueprint.ignored}
    assert {"IAM_ROLE", "KEY_NAME", "MONITOR", "STAGE", "PipelineDir", "LOGFILE"} <= ignored
    assert all(field.reason and field.line for field in blueprint.ignored)


def test_zero_and_false_stay_what_they_are() -> None:
    blueprint = load(with_config(DEPLOY_LIMIT=0, MAXCOST=0, MONITOR=False))
    assert (blueprint.hardware.deploy_limit, blueprint.hardware.max_cost_usd) == (0, "0")
    assert [(field.pointer, field.value) for field in blueprint.ignored] == [("/Lambda/LambdaConfig/MONITOR", "false")]


@pytest.mark.parametrize(
    ("given", "read"), [("300", "300"), (300, "300"), ("12.50", "12.5"), (0.1, "0.1"), (1e2, "100")]
)
def test_amounts_are_read_exactly_however_they_are_written(given: Any, read: str) -> None:
    assert load(with_config(MAXCOST=given)).hardware.max_cost_usd == read


def test_the_types_a_submission_may_ask_for_include_the_preferred_ones() -> None:
    document = with_config(INSTANCE_TYPE=["m7i.large", "m6i.large"], ALLOWED_INSTANCE_TYPES=["c7i.large", "m6i.large"])
    hardware = load(document).hardware
    assert hardware.instance_types == ("m7i.large", "m6i.large")
    assert hardware.allowed_instance_types == ("m7i.large", "m6i.large", "c7i.large")


@pytest.mark.parametrize("document", [minimal_blueprint(), legacy_blueprint()])
def test_a_dumped_blueprint_loads_to_the_same_value(document: dict[str, Any]) -> None:
    blueprint = load(document)
    again = load_blueprint(dump_blueprint(blueprint), file="blueprint.json")
    assert again == blueprint
    assert dump_blueprint(again) == dump_blueprint(blueprint)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "DEPLOY_LIMIT": st.integers(0, 1000) | st.integers(0, 1000).map(str),
            "MAXCOST": st.integers(0, 10**6) | st.floats(0, 10**6),
            "MAX_DURATION": st.integers(1, 10080),
            "MAX_DATASET_SIZE": st.integers(1, 1000),
            "VOLUME_SIZE": st.integers(1, 1000),
            "COMMAND": st.text(alphabet='ab{} "$\\\n', min_size=1).filter(lambda text: text.count("{}") <= 4),
            "WORKING_DIRECTORY": st.text(min_size=1, max_size=20),
            "LOGFILE": st.text(),
            "SECURITY_GROUPS": st.text() | st.lists(st.text(), max_size=2),
        },
    )
)
def test_whatever_is_accepted_survives_dump_and_load(config: dict[str, Any]) -> None:
    blueprint = load(with_config(**config))
    assert load_blueprint(dump_blueprint(blueprint), file="blueprint.json") == blueprint


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    document = with_config(AMI="instance id", INSTANCE_TYPE="p3.2xlarge", DEPLOY_LIMT=3)
    document["PipelineName"] = "Spike_Sorting"
    document["Lambda"]["Handler"] = "submit_start.handler_unknown"
    del document["UXData"]
    found = problems(document)
    assert {problem.id for problem in found} == {"B105", "B202", "B102", "B201", "B203", "B101"}
    assert len(found) == 6
    assert [problem.line for problem in found] == sorted(problem.line or 0 for problem in found)
    assert all(problem.hint for problem in found)
    assert {problem.id for problem in found} <= set(PROBLEM_IDS)


def test_a_misspelt_field_is_named_with_the_nearest_known_one() -> None:
    problem = only(with_config(INSTANCE_TYP="m7i.large"))
    assert (problem.id, problem.pointer) == ("B102", "/Lambda/LambdaConfig/INSTANCE_TYP")
    assert problem.hint == "Did you mean `INSTANCE_TYPE`?"


def test_a_missing_field_says_what_belongs_there() -> None:
    document = minimal_blueprint()
    del document["Lambda"]["LambdaConfig"]["AMI"]
    problem = only(document)
    assert (problem.id, problem.pointer, problem.message) == ("B101", "/Lambda/LambdaConfig/AMI", "`AMI` is missing")
    assert "iae:<name>@sha256:" in (problem.hint or "")


@pytest.mark.parametrize(("field", "value"), [("SPOT", True)])
def test_fields_of_a_later_release_are_refused_by_name(field: str, value: Any) -> None:
    document = minimal_blueprint() | {field: value}
    problem = only(document)
    assert problem.id == "B108"
    assert "not part of this release" in problem.message


@pytest.mark.parametrize(
    ("retired", "offered"),
    [
        ("p2.xlarge", "g4dn.xlarge"),
        ("p3.2xlarge", "g5.2xlarge"),
        ("g3.4xlarge", "g4dn.4xlarge"),
        ("g4ad.xlarge", "g4dn"),
    ],
)
def test_a_retired_instance_type_is_refused_with_a_suggestion(retired: str, offered: str) -> None:
    problem = only(with_config(INSTANCE_TYPE=["m7i.large", retired]))
    assert (problem.id, problem.pointer) == ("B202", "/Lambda/LambdaConfig/INSTANCE_TYPE/1")
    assert offered in (problem.hint or "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ab", "3 to 63"),
        ("a" * 64, "3 to 63"),
        ("Spikes", "lower-case"),
        ("spike_sorting", "lower-case"),
        ("1spikes", "beginning with a letter"),
        ("spikes-", "not ending in a hyphen"),
        ("spikes\n", "lower-case"),
        ("neurocaas-account", "platform's own"),
        ("xn--spikes", "reserves"),
        ("spikes-s3alias", "reserves"),
        ("the name of your pipeline", "lower-case"),
    ],
)
def test_a_name_must_suit_bucket_and_stack(name: str, why: str) -> None:
    problem = only(minimal_blueprint() | {"PipelineName": name})
    assert problem.id == "B201"
    assert why in problem.message


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("os.system", "no such handler"),
    ],
)
def test_a_handler_that_cannot_be_used_is_refused_with_the_reason_and_the_one_to_use(handler: str, reason: str) -> None:
    problem = only(with_lambda(Handler=handler))
    assert (problem.id, problem.pointer) == ("B203", "/Lambda/Handler")
    assert reason in problem.message
    assert "`submit_start.handler_develop`" in (problem.hint or "")


def test_a_misspelt_handler_is_told_the_nearest_one() -> None:
    assert only(with_lambda(Handler="submit_start.handler_devlop")).hint == (
        "Did you mean `submit_start.handler_develop`?"
    )


EARLIER = ["handler", "handler_log", "handler_log_dev", "handler_log_demo"]
FOUR = 'run.sh "{}" "{}" "{}" "{}"'


@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_handler_with_todays_command_is_read_as_todays_with_a_notice(name: str) -> None:
    document = with_lambda(Handler=f"submit_start.{name}")
    document["Lambda"]["LambdaConfig"] |= {"AMI": "ami-0123456789abcdef0", "COMMAND": FOUR}
    blueprint = load(document)
    assert blueprint.handler == "submit_start.handler_develop"
    (notice,) = blueprint.notices
    assert (notice.id, notice.pointer, notice.line) == ("N202", "/Lambda/Handler", 5)
    assert load_blueprint(dump_blueprint(blueprint), file="blueprint.json") == blueprint


@pytest.mark.parametrize("name", EARLIER)
@pytest.mark.parametrize("count", [3, 8])
def test_a_command_of_an_earlier_generation_is_refused_with_the_four_values_of_today(name: str, count: int) -> None:
    document = with_lambda(Handler=f"submit_start.{name}")
    document["Lambda"]["LambdaConfig"]["COMMAND"] = " ".join(["run.sh", *["{}"] * count])
    problem = only(document)
    assert (problem.id, problem.pointer) == ("B205", "/Lambda/LambdaConfig/COMMAND")
    assert "bucket, dataset key, result path and config key" in problem.message
    assert "the fourth is the key of the job's config file" in (problem.hint or "")


def test_a_command_of_fewer_values_is_noticed_with_what_it_does_not_get() -> None:
    (notice,) = load(with_config(COMMAND="run {} {} {}")).notices
    assert (notice.id, notice.message) == (
        "N204",
        "the command takes 3 of the 4 values; not given to it: config key",
    )


def test_one_notice_names_all_fields_without_effect_and_only_those_that_mislead() -> None:
    blueprint = load(legacy_blueprint())
    (notice,) = blueprint.notices
    assert notice.id == "N201"
    assert notice.message == (
        "accepted and without effect: MONITOR, IAM_ROLE, KEY_NAME, SECURITY_GROUPS, CONFIG, MISSING_CONFIG_ERROR, "
        "LOGFILE, PipelinePath, PipelineDir"
    )
    assert load(with_config(MONITOR=True, SHUTDOWN_BEHAVIOR="terminate", INDIR="inputs")).notices == ()


def test_a_region_nobody_knows_is_noticed_with_the_nearest_one() -> None:
    (notice,) = load(minimal_blueprint() | {"REGION": "eu-centrall-1"}).notices
    assert (notice.id, notice.hint) == ("N203", "Did you mean `eu-central-1`?")


def test_what_the_developer_tool_of_the_predecessor_kept_is_refused_by_name() -> None:
    assert only(minimal_blueprint() | {"container_history": []}).id == "B108"


def test_more_groups_than_the_policies_can_hold_are_refused() -> None:
    document = minimal_blueprint()
    document["UXData"]["Affiliates"] = [
        {"AffiliateName": f"a-group-with-a-rather-long-name-number-{n}"} for n in range(499)
    ]
    problem = only(document)
    assert (problem.id, problem.pointer) == ("B211", "/UXData/Affiliates")
    document["UXData"]["Affiliates"] = [{"AffiliateName": f"group-{n}"} for n in range(499)]
    assert len(load(document).groups) == 499


@pytest.mark.parametrize("other", ["instance-lab", "shared-lab"])
def test_groups_whose_policies_would_have_one_name_are_found(other: str) -> None:
    document = minimal_blueprint()
    document["UXData"]["Affiliates"] = [{"AffiliateName": "lab-2"}, {"AffiliateName": "lab"}, {"AffiliateName": other}]
    assert only(document).id == "B208"


@pytest.mark.parametrize(
    ("field", "value"), [("MAX_DURATION", "0"), ("EXECUTION_TIMEOUT", "9999"), ("MAXCOST", "99999999")]
)
def test_a_number_written_as_text_has_the_same_range(field: str, value: str) -> None:
    assert only(with_config(**{field: value})).id == "B106"


def test_a_post_handler_must_be_a_function_of_postprocess() -> None:
    accepted = load(with_lambda(PostCodeUri="../../protocols", PostHandler="postprocess.consensus"))
    assert (accepted.post_handler, accepted.post_trigger) == ("postprocess.consensus", "end.txt")
    assert only(with_lambda(PostHandler="postprocess.epipostprocess")).id == "B203"
    assert only(with_lambda(PostHandler="data_format_lambda.lambda_handler")).id == "B203"
    assert load(with_lambda(PostHandler="", PostCodeUri="")).post_handler is None


def test_a_post_trigger_may_not_overlap_submissions() -> None:
    problem = only(with_lambda(PostHandler="postprocess.consensus", PostTrigger="mit.json"))
    assert problem.id == "B210"


def test_code_comes_from_the_protocols_folder_only() -> None:
    assert only(with_lambda(CodeUri="../lambda_repo")).id == "B204"


def test_a_literal_ami_needs_a_command() -> None:
    problem = only(with_config(AMI="ami-0123456789abcdef0"))
    assert (problem.id, problem.pointer) == ("B101", "/Lambda/LambdaConfig/COMMAND")


@pytest.mark.parametrize("command", ["run {} {} {} {} {}", "run '{}'", "echo \"it's\"; run '{}' {}", "run \0"])
def test_a_command_that_cannot_be_filled_in_is_refused(command: str) -> None:
    assert only(with_config(COMMAND=command)).id == "B205"


@pytest.mark.parametrize("command", ['run "{}" "{}" {} {}', 'echo "it\'s" {}', "echo it\\'s {}", "echo 'a' {} 'b'"])
def test_quotes_around_other_words_do_not_matter(command: str) -> None:
    assert load(with_config(COMMAND=command)).hardware.command == command


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a lab", "only letters"),
        ("-lab", "hyphen"),
        ("l" * 46, "at most 45"),
        ("..", "dots"),
        ("Logs", "platform"),
        ("lab\n", "only"),
    ],
)
def test_a_group_name_must_suit_folder_and_role(name: str, why: str) -> None:
    document = minimal_blueprint()
    document["UXData"]["Affiliates"] = [{"AffiliateName": name}]
    problem = only(document)
    assert problem.id == "B207"
    assert why in problem.message


def test_groups_whose_roles_would_have_one_name_are_found() -> None:
    document = minimal_blueprint()
    document["UXData"]["Affiliates"] = [{"AffiliateName": "Lab"}, {"AffiliateName": "lab"}]
    problem = only(document)
    assert (problem.id, problem.pointer) == ("B208", "/UXData/Affiliates/1/AffiliateName")


@pytest.mark.parametrize("setting", [{"LAUNCH": False}, {"LAUNCH": "false"}])
def test_a_job_manager_that_launches_nothing_is_refused(setting: dict[str, Any]) -> None:
    assert only(with_config(**setting)).id == "B209"


def test_two_regions_must_agree() -> None:
    assert only(with_config(REGION="eu-central-1") | {"REGION": "us-east-1"}).id == "B206"


@pytest.mark.parametrize(
    ("changes", "problem_id"),
    [
        ({"DEPLOY_LIMIT": -1}, "B106"),
        ({"DEPLOY_LIMIT": "many"}, "B105"),
        ({"DEPLOY_LIMIT": 1.5}, "B103"),
        ({"DEPLOY_LIMIT": True}, "B103"),
        ({"MAXCOST": "three hundred"}, "B105"),
        ({"MAXCOST": "300\n"}, "B105"),
        ({"MAX_DURATION": 0}, "B106"),
        ({"AMI": "ami-0123456789abcdef0\n"}, "B105"),
        ({"INSTANCE_TYPE": []}, "B107"),
        ({"INSTANCE_TYPE": ["m7i.large", "m7i.large"]}, "B109"),
        ({"SHUTDOWN_BEHAVIOR": "stop"}, "B104"),
    ],
)
def test_values_out_of_shape_are_told_by_kind(changes: dict[str, Any], problem_id: str) -> None:
    assert only(with_config(**changes)).id == problem_id
