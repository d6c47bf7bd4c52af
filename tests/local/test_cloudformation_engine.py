"""What becomes of stacks: made, changed, undone, removed, and taken up again after a kill."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.service import ServiceError
from tests.local.cloudformation_rig import FakeCloud, Rig, barrier_hook, running, template, thing


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path) as made:
        yield made


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def test_resources_are_made_after_what_they_use_and_removed_before_it(rig: Rig) -> None:
    stack = template(
        A=thing(Name="a"), B=thing({"Fn::GetAtt": ["A", "Arn"]}, Name="b"), C=thing(Name="c", DependsOn="B")
    )
    assert rig.create(stack) == "CREATE_COMPLETE"
    assert rig.cloud.things["b"]["Value"] == "arn:a"
    assert rig.delete() == "DELETE_COMPLETE"
    made_and_removed = [call for call in rig.cloud.calls if call[0] != "apply"]
    assert made_and_removed == [
        ("create", "a"),
        ("create", "b"),
        ("create", "c"),
        ("delete", "c"),
        ("delete", "b"),
        ("delete", "a"),
    ]
    assert rig.cloud.things == {}


def test_independent_resources_are_made_at_the_same_time(rig: Rig) -> None:
    together = barrier_hook(3)
    for name in "abc":
        rig.cloud.hooks["create", name] = together
    assert rig.create(template(A=thing(Name="a"), B=thing(Name="b"), C=thing(Name="c"))) == "CREATE_COMPLETE"


def test_a_failed_creation_is_rolled_back_and_says_why(rig: Rig) -> None:
    rig.cloud.failing.add(("create", "b"))
    stack = template(A=thing(Name="a"), B=thing(ref("A"), Name="b"), C=thing(ref("B"), Name="c"))
    assert rig.create(stack) == "ROLLBACK_COMPLETE"
    assert rig.cloud.things == {}
    assert ("create", "c") not in rig.cloud.calls
    assert "create of b is refused" in rig.reasons("B")
    assert "failed to create: [B]" in rig.reasons("s")
    assert [state for name, state in rig.events() if name == "s"] == [
        "CREATE_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_COMPLETE",
    ]


@pytest.mark.parametrize(
    ("request_", "status", "left"),
    [
        ({"DisableRollback": True}, "CREATE_FAILED", {"a"}),
        ({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", {"a"}),
        ({"OnFailure": "DELETE"}, "DELETE_COMPLETE", set()),
    ],
)
def test_on_failure_is_honoured(rig: Rig, request_: dict[str, Any], status: str, left: set[str]) -> None:
    rig.cloud.failing.add(("create", "b"))
    answer = rig.call(
        "CreateStack",
        StackName="s",
        TemplateBody=json.dumps(template(A=thing(Name="a"), B=thing(ref("A"), Name="b"))),
        **request_,
    )
    rig.settle()
    assert rig.status(answer["StackId"]) == status
    assert set(rig.cloud.things) == left


def test_what_exists_already_is_neither_adopted_nor_removed(rig: Rig) -> None:
    rig.cloud.things["a"] = {"Value": "somebody's"}
    assert rig.create(template(A=thing(Name="a"))) == "ROLLBACK_COMPLETE"
    assert "a already exists" in rig.reasons("A")
    assert rig.cloud.things == {"a": {"Value": "somebody's"}}


def test_a_property_the_service_forgets_fails_the_resource(rig: Rig) -> None:
    rig.cloud.dropped.add("Size")
    assert rig.create(template(A=thing(Name="a", Size=5))) == "ROLLBACK_COMPLETE"
    assert "property Size was not applied by the service: wanted 5, found nothing" in rig.reasons("A")
    assert rig.cloud.things == {}


def test_a_held_property_is_said_to_be_held(rig: Rig) -> None:
    rig.cloud.dropped.add("Ignored")
    assert rig.create(template(A=thing(Name="a", Ignored="x"))) == "CREATE_COMPLETE"
    assert "Ignored: held by the local cloud, not enforced" in rig.reasons("A")


def test_names_are_generated_once_and_tags_are_added(rig: Rig) -> None:
    assert rig.create(template(LogicalName=thing()), Tags=[{"Key": "team", "Value": "x"}]) == "CREATE_COMPLETE"
    (name,) = rig.cloud.things
    assert name.startswith("s-LogicalName-")
    tags = {tag["Key"]: tag["Value"] for tag in rig.cloud.things[name]["Tags"]}
    assert tags["team"] == "x"
    assert tags["aws:cloudformation:stack-name"] == "s"
    assert tags["aws:cloudformation:logical-id"] == "LogicalName"
    assert rig.update(template(LogicalName=thing("w"))) == "UPDATE_COMPLETE"
    assert set(rig.cloud.things) == {name}


def test_an_update_changes_in_place_only_what_differs(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(Name="b")))
    rig.cloud.calls.clear()
    assert rig.update(template(A=thing("w", Name="a"), B=thing(Name="b"))) == "UPDATE_COMPLETE"
    assert rig.cloud.calls == [("apply", "a")]
    assert rig.cloud.things["a"]["Value"] == "w"


def test_a_changed_attribute_reaches_those_who_use_it(rig: Rig) -> None:
    def stack(value: str) -> dict[str, Any]:
        return template(A=thing(value, Name="a"), B=thing({"Fn::GetAtt": "A.Version"}, Name="b"))

    rig.create(stack("1"))
    first = rig.cloud.things["b"]["Value"]
    rig.update(stack("2"))
    assert rig.cloud.things["b"]["Value"] != first


def test_an_update_without_changes_is_refused(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a")))
    with pytest.raises(ServiceError, match=r"No updates are to be performed\.") as caught:
        rig.update(template(A=thing(Name="a")))
    assert caught.value.code == "ValidationError"
    assert rig.status() == "CREATE_COMPLETE"


def test_a_replacement_is_made_before_the_previous_one_is_removed(rig: Rig) -> None:
    rig.create(template(A=thing(Fixed="1"), B=thing(ref("A"), Name="b")))
    (first,) = set(rig.cloud.things) - {"b"}
    rig.cloud.calls.clear()
    assert rig.update(template(A=thing(Fixed="2"), B=thing(ref("A"), Name="b"))) == "UPDATE_COMPLETE"
    (second,) = set(rig.cloud.things) - {"b"}
    assert rig.cloud.calls == [("create", second), ("apply", "b"), ("delete", first)]
    assert rig.cloud.things["b"]["Value"] == second
    assert "hence creating one" in rig.reasons("A")


def test_a_replacement_under_the_same_given_name_is_refused_with_advice(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a", Fixed="1")))
    assert rig.update(template(A=thing(Name="a", Fixed="2"))) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Rename a and update the stack again" in rig.reasons("A")
    assert rig.cloud.things["a"]["Fixed"] == "1"


def test_update_replace_policy_keeps_the_previous_one(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a1")))
    assert rig.update(template(A=thing(Name="a2", UpdateReplacePolicy="Retain"))) == "UPDATE_COMPLETE"
    assert set(rig.cloud.things) == {"a1", "a2"}
    assert ("A", "DELETE_SKIPPED") in rig.events()


def test_a_resource_that_left_the_template_is_removed(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(ref("A"), Name="b")))
    assert rig.update(template(A=thing(Name="a"))) == "UPDATE_COMPLETE"
    assert set(rig.cloud.things) == {"a"}
    resources = rig.call("ListStackResources", StackName="s")["StackResourceSummaries"]
    assert [item["LogicalResourceId"] for item in resources] == ["A"]


def test_a_failed_update_restores_everything(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a"), B=thing("1", Fixed="1"), D=thing("1", Name="d")))
    before = {name: dict(value) for name, value in rig.cloud.things.items()}
    rig.cloud.failing.add(("create", "c"))
    changed = template(A=thing("2", Name="a"), B=thing("2", Fixed="2"), N=thing(Name="n"), C=thing(ref("B"), Name="c"))
    changed["Resources"]["C"]["DependsOn"] = ["A", "N"]
    assert rig.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert rig.cloud.things == before
    assert "failed to update: [C]" in rig.reasons("s")
    rig.cloud.failing.clear()
    assert rig.update(changed) == "UPDATE_COMPLETE"
    assert {"a", "c", "n"} < set(rig.cloud.things)
    assert "d" not in rig.cloud.things


def test_a_property_forgotten_during_an_update_is_rolled_back(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a")))
    rig.cloud.dropped.add("Size")
    assert rig.update(template(A=thing("2", Name="a", Size=3))) == "UPDATE_ROLLBACK_COMPLETE"
    assert rig.cloud.things["a"]["Value"] == "1"


def test_a_failed_update_can_be_left_and_continued(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a")))
    rig.cloud.failing.add(("create", "b"))
    wanted = template(A=thing("2", Name="a"), B=thing(ref("A"), Name="b"))
    assert rig.update(wanted, DisableRollback=True) == "UPDATE_FAILED"
    assert rig.cloud.things["a"]["Value"] == "2"
    rig.cloud.failing.clear()
    assert rig.update(wanted) == "UPDATE_COMPLETE"
    assert set(rig.cloud.things) == {"a", "b"}


def test_a_replacement_left_half_done_can_be_continued_or_undone(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a1")))
    rig.cloud.failing.add(("create", "a2"))
    wanted = template(A=thing("2", Name="a2"))
    assert rig.update(wanted, DisableRollback=True) == "UPDATE_FAILED"
    rig.cloud.failing.clear()
    rig.cloud.dropped.add("Size")
    assert rig.update(template(A=thing("2", Name="a2", Size=1)), DisableRollback=True) == "UPDATE_FAILED"
    assert set(rig.cloud.things) == {"a1", "a2"}
    rig.cloud.failing.add(("apply", "a2"))
    assert rig.update(template(A=thing("3", Name="a2"))) == "UPDATE_ROLLBACK_COMPLETE"
    assert {name: value["Value"] for name, value in rig.cloud.things.items()} == {"a1": "1"}
    rig.cloud.failing.clear()
    assert rig.update(wanted) == "UPDATE_COMPLETE"
    assert set(rig.cloud.things) == {"a2"}


def test_a_rollback_that_fails_says_so(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a")))
    rig.cloud.failing.add(("create", "b"))
    rig.cloud.hooks["apply", "a"] = lambda: rig.cloud.failing.add(("apply", "a"))
    assert rig.update(template(A=thing("2", Name="a"), B=thing(ref("A"), Name="b"))) == "UPDATE_ROLLBACK_FAILED"
    with pytest.raises(ServiceError, match="UPDATE_ROLLBACK_FAILED state and can not be updated"):
        rig.update(template(A=thing("3", Name="a")))
    rig.cloud.failing.clear()
    assert rig.delete() == "DELETE_COMPLETE"
    assert rig.cloud.things == {}


def test_a_rollback_that_failed_can_be_continued(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a")))
    with pytest.raises(ServiceError, match="can not continue its rollback"):
        rig.call("ContinueUpdateRollback", StackName="s")
    rig.cloud.failing.add(("create", "b"))
    rig.cloud.hooks["apply", "a"] = lambda: rig.cloud.failing.add(("apply", "a"))
    assert rig.update(template(A=thing("2", Name="a"), B=thing(ref("A"), Name="b"))) == "UPDATE_ROLLBACK_FAILED"
    rig.cloud.failing.clear()
    rig.cloud.hooks.clear()
    rig.call("ContinueUpdateRollback", StackName="s")
    rig.settle()
    assert rig.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert {name: value["Value"] for name, value in rig.cloud.things.items()} == {"a": "1"}


def test_retained_resources_stay(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a", DeletionPolicy="Retain"), B=thing(ref("A"), Name="b")))
    assert rig.delete() == "DELETE_COMPLETE"
    assert set(rig.cloud.things) == {"a"}


@pytest.mark.parametrize(("policy", "left"), [("Retain", {"a"}), ("RetainExceptOnCreate", set())])
def test_a_rolled_back_creation_keeps_only_what_is_always_retained(rig: Rig, policy: str, left: set[str]) -> None:
    rig.cloud.failing.add(("create", "b"))
    rig.create(template(A=thing(Name="a", DeletionPolicy=policy), B=thing(ref("A"), Name="b")))
    assert set(rig.cloud.things) == left


def test_a_resource_that_cannot_be_removed_fails_the_deletion_and_can_be_left(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(ref("A"), Name="b"), C=thing(Name="c")))
    rig.cloud.failing.add(("delete", "b"))
    assert rig.delete() == "DELETE_FAILED"
    assert "failed to delete: [B]" in rig.stack()["StackStatusReason"]
    assert set(rig.cloud.things) == {"a", "b"}, "what B uses must stay with it, the rest goes"
    assert rig.delete(RetainResources=["B"]) == "DELETE_COMPLETE"
    assert set(rig.cloud.things) == {"b"}


def test_deleting_ends_a_creation_under_way(rig: Rig) -> None:
    begun, released = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert released.wait(5)

    rig.cloud.hooks["create", "a"] = hold
    answer = rig.call(
        "CreateStack",
        StackName="s",
        TemplateBody=json.dumps(template(A=thing(Name="a"), B=thing(ref("A"), Name="b"))),
    )
    assert begun.wait(5)
    rig.call("DeleteStack", StackName="s")
    released.set()
    rig.settle()
    assert rig.status(answer["StackId"]) == "DELETE_COMPLETE"
    assert rig.cloud.things == {}
    assert ("create", "b") not in rig.cloud.calls


def test_termination_protection_holds_until_it_is_lifted(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a")), EnableTerminationProtection=True)
    with pytest.raises(ServiceError, match="TerminationProtection is enabled"):
        rig.call("DeleteStack", StackName="s")
    rig.call("UpdateTerminationProtection", StackName="s", EnableTerminationProtection=False)
    assert rig.delete() == "DELETE_COMPLETE"


def test_a_name_can_be_used_again_after_deletion_and_not_before(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a")))
    with pytest.raises(ServiceError) as caught:
        rig.create(template(A=thing(Name="b")))
    assert caught.value.code == "AlreadyExistsException"
    rig.delete()
    with pytest.raises(ServiceError, match="Stack with id s does not exist"):
        rig.stack()
    assert rig.create(template(A=thing(Name="a"))) == "CREATE_COMPLETE"
    statuses = [item["StackStatus"] for item in rig.call("ListStacks")["StackSummaries"]]
    assert statuses == ["CREATE_COMPLETE", "DELETE_COMPLETE"]


def test_two_racing_creations_of_one_name_give_one_stack(rig: Rig) -> None:
    answers: list[str] = []

    def create() -> None:
        try:
            rig.call("CreateStack", StackName="s", TemplateBody=json.dumps(template(A=thing(Name="a"))))
            answers.append("made")
        except ServiceError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["AlreadyExistsException"] * 7 + ["made"]


def test_outputs_follow_resources_and_an_output_alone_is_an_update(rig: Rig) -> None:
    outputs = {"Where": {"Value": {"Fn::GetAtt": "A.Arn"}, "Description": "d"}}
    rig.create(template(A=thing(Name="a"), outputs=outputs))
    assert rig.outputs() == {"Where": "arn:a"}
    more = {**outputs, "More": {"Value": {"Fn::Sub": "${A}-${AWS::StackName}"}}}
    assert rig.update(template(A=thing(Name="a"), outputs=more)) == "UPDATE_COMPLETE"
    assert rig.outputs() == {"Where": "arn:a", "More": "a-s"}


def test_secrets_are_in_no_answer_and_no_event(rig: Rig) -> None:
    parameters = {"Parameters": {"Password": {"Type": "String", "NoEcho": True}}}
    stack = template(A=thing(Name="a"), B=thing({"Fn::GetAtt": "A.Secret"}, Name="b"), sections=parameters)
    given = [{"ParameterKey": "Password", "ParameterValue": "hush"}]
    rig.create(stack, Parameters=given)
    rig.call("CreateChangeSet", StackName="s", ChangeSetName="c", TemplateBody=json.dumps(stack), Parameters=given)
    assert rig.cloud.things["b"]["Value"] == "secret-of-a"
    shown = [rig.call(name, StackName="s") for name in ("DescribeStacks", "DescribeStackEvents", "ListStackResources")]
    shown += [rig.call("DescribeStackResource", StackName="s", LogicalResourceId="B"), *map(dict, rig.announced)]
    shown += [rig.call("DescribeChangeSet", StackName="s", ChangeSetName="c")]
    text = json.dumps(shown, default=str)
    assert "secret-of-a" not in text
    assert "hush" not in text
    assert "****" in text


def test_every_state_of_a_stack_is_announced(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a")))
    details = [event["detail"]["status-details"]["status"] for event in rig.announced]
    assert details == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]


def test_an_unforeseen_error_does_not_leave_a_stack_in_progress(rig: Rig) -> None:
    def explode() -> None:
        raise RuntimeError("nobody thought of this")

    rig.cloud.hooks["create", "a"] = explode
    assert rig.create(template(A=thing(Name="a"))) == "ROLLBACK_COMPLETE"
    assert "nobody thought of this" in rig.reasons("A")
    assert rig.cloud.things == {}


class TestAfterAKill:
    """The process dies while a step is under way; what was on disk then is all that the next life has."""

    def killed_during(self, rig: Rig, verb: str, name: str, folder: Path) -> tuple[Path, FakeCloud]:
        """Arrange a kill right after a step took effect; the copied disk and cloud are filled when it happens."""
        cloud = FakeCloud()

        def kill() -> None:
            if not folder.exists():
                rig.copy_at_this_moment(folder)
                cloud.things.update({key: dict(value) for key, value in rig.cloud.things.items()})

        rig.cloud.hooks[verb, name] = kill
        return folder, cloud

    def test_a_creation_is_rolled_back_with_what_it_was_just_making(self, rig: Rig, tmp_path: Path) -> None:
        folder, cloud = self.killed_during(rig, "create", "b", tmp_path / "later")
        rig.create(template(A=thing(Name="a"), B=thing(ref("A"), Name="b")))
        assert set(cloud.things) == {"a", "b"}
        with running(folder, cloud) as later:
            later.settle()
            assert later.status() == "ROLLBACK_COMPLETE"
            assert "stopped while this was under way" in later.reasons("s")
        assert cloud.things == {}

    def test_a_creation_does_not_take_what_was_there_before_it(self, rig: Rig, tmp_path: Path) -> None:
        rig.cloud.things["b"] = {"Value": "somebody's"}
        folder, cloud = self.killed_during(rig, "create", "a", tmp_path / "later")
        rig.create(template(A=thing(Name="a"), B=thing(Name="b", DependsOn="A")))
        with running(folder, cloud) as later:
            later.settle()
        assert cloud.things == {"b": {"Value": "somebody's"}}

    @pytest.mark.parametrize(("verb", "name"), [("apply", "a"), ("create", "n"), ("apply", "z")])
    def test_an_update_is_rolled_back(self, rig: Rig, tmp_path: Path, verb: str, name: str) -> None:
        rig.create(template(A=thing("1", Name="a"), B=thing(Name="b1"), Z=thing("1", Name="z")))
        before = {key: dict(value) for key, value in rig.cloud.things.items()}
        folder, cloud = self.killed_during(rig, verb, name, tmp_path / "later")
        rig.update(
            template(
                A=thing("2", Name="a"),
                B=thing(Name="b2", DependsOn="A"),
                N=thing(Name="n", DependsOn="B"),
                Z=thing("2", Name="z", DependsOn="N"),
            )
        )
        assert rig.status() == "UPDATE_COMPLETE"
        with running(folder, cloud) as later:
            later.settle()
            assert later.status() == "UPDATE_ROLLBACK_COMPLETE"
        assert cloud.things == before

    def test_a_rollback_under_way_is_finished(self, rig: Rig, tmp_path: Path) -> None:
        rig.create(template(A=thing("1", Name="a")))
        rig.cloud.failing.add(("create", "b"))
        folder, cloud = tmp_path / "later", FakeCloud()

        def kill_when_restoring() -> None:
            if rig.cloud.things["a"]["Value"] == "1":
                rig.copy_at_this_moment(folder)

        rig.cloud.hooks["apply", "a"] = kill_when_restoring
        rig.update(template(A=thing("2", Name="a"), B=thing(ref("A"), Name="b")))
        cloud.things["a"] = {**rig.cloud.things["a"], "Value": "2"}
        with running(folder, cloud) as later:
            later.settle()
            assert later.status() == "UPDATE_ROLLBACK_COMPLETE"
        assert cloud.things["a"]["Value"] == "1"

    def test_a_finished_update_keeps_its_result_and_cleans_up(self, rig: Rig, tmp_path: Path) -> None:
        rig.create(template(A=thing(Name="a1"), B=thing(Name="b")))
        folder, cloud = self.killed_during(rig, "delete", "a1", tmp_path / "later")
        rig.update(template(A=thing(Name="a2")))
        cloud.things["a1"] = {}
        with running(folder, cloud) as later:
            later.settle()
            assert later.status() == "UPDATE_COMPLETE"
        assert set(cloud.things) == {"a2"}

    def test_a_deletion_is_finished(self, rig: Rig, tmp_path: Path) -> None:
        rig.create(template(A=thing(Name="a"), B=thing(ref("A"), Name="b")))
        stack_id = rig.stack()["StackId"]
        folder, cloud = self.killed_during(rig, "delete", "b", tmp_path / "later")
        rig.delete()
        with running(folder, cloud) as later:
            later.settle()
            assert later.status(stack_id) == "DELETE_COMPLETE"
        assert cloud.things == {}

    def test_a_stop_ends_soon_and_the_next_start_takes_over(self, rig: Rig, tmp_path: Path) -> None:
        begun, released = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            released.wait(5)

        rig.cloud.hooks["create", "a"] = hold
        stack = template(A=thing(Name="a"), B=thing(ref("A"), Name="b"))
        rig.call("CreateStack", StackName="s", TemplateBody=json.dumps(stack))
        assert begun.wait(5)
        stopping = threading.Thread(target=rig.service.stop)
        stopping.start()
        released.set()
        stopping.join(5)
        assert not stopping.is_alive()
        assert rig.status() == "CREATE_IN_PROGRESS"
        with running(rig.copy_at_this_moment(tmp_path / "later"), rig.cloud) as later:
            later.settle()
            assert later.status() == "ROLLBACK_COMPLETE"
        assert rig.cloud.things == {}
