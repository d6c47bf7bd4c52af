"""Change sets, exports and the rest of what a client can ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.cloudformation.differences import DIFFERENCES, Extent
from ncap_iac.local.cloudformation.providers import PROVIDERS
from ncap_iac.local.service import Call, ServiceError
from tests.local.cloudformation_rig import ACCOUNT, REGION, ROOT, Rig, running, template, thing


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path) as made:
        yield made


def propose(rig: Rig, body: Any, kind: str = "UPDATE", name: str = "c", **more: Any) -> dict[str, Any]:
    """Create a change set and describe it."""
    text = json.dumps(body)
    rig.call("CreateChangeSet", StackName="s", ChangeSetName=name, ChangeSetType=kind, TemplateBody=text, **more)
    return rig.call("DescribeChangeSet", StackName="s", ChangeSetName=name)


def changes(described: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Logical id to action and replacement."""
    entries = [item["ResourceChange"] for item in described["Changes"]]
    return {entry["LogicalResourceId"]: (entry["Action"], entry.get("Replacement")) for entry in entries}


def test_a_change_set_makes_a_stack_only_when_it_is_executed(rig: Rig) -> None:
    described = propose(rig, template(A=thing(Name="a")), "CREATE", Description="first")
    assert (described["Status"], described["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert changes(described) == {"A": ("Add", None)}
    assert rig.status() == "REVIEW_IN_PROGRESS"
    assert rig.cloud.things == {}
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    rig.settle()
    assert rig.status() == "CREATE_COMPLETE"
    assert rig.stack()["ChangeSetId"] == described["ChangeSetId"]
    assert (
        rig.call("DescribeChangeSet", ChangeSetName=described["ChangeSetId"])["ExecutionStatus"] == "EXECUTE_COMPLETE"
    )


@pytest.mark.parametrize("policy", ["Retain", "RetainExceptOnCreate"])
def test_what_a_stack_kept_is_taken_over_when_asked_for(rig: Rig, policy: str) -> None:
    kept = template(A=thing(Name="a", DeletionPolicy=policy))
    rig.create(kept)
    rig.delete()
    changed = template(A=thing("2", Name="a", DeletionPolicy=policy))
    propose(rig, changed, "CREATE", ImportExistingResources=True)
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    rig.settle()
    assert rig.status() == "CREATE_COMPLETE"
    assert rig.cloud.things["a"]["Value"] == "2"
    assert [call for call in rig.cloud.calls if call == ("create", "a")] == [("create", "a")]


def test_a_takeover_that_is_rolled_back_leaves_what_was_there(rig: Rig) -> None:
    rig.cloud.things["a"] = {"Name": "a", "Value": "1"}
    rig.cloud.failing.add(("create", "b"))
    both = template(A=thing(Name="a", DeletionPolicy="RetainExceptOnCreate"), B=thing({"Ref": "A"}, Name="b"))
    propose(rig, both, "CREATE", ImportExistingResources=True)
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    rig.settle()
    assert rig.status() == "ROLLBACK_COMPLETE"
    assert set(rig.cloud.things) == {"a"}


def test_what_would_be_deleted_with_the_stack_is_not_taken_over(rig: Rig) -> None:
    rig.cloud.things["a"] = {"Name": "a", "Value": "1"}
    propose(rig, template(A=thing(Name="a")), "CREATE", ImportExistingResources=True)
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    rig.settle()
    assert rig.status() == "ROLLBACK_COMPLETE"
    assert "a already exists" in rig.reasons("A")


def test_a_change_set_tells_what_would_change_and_how(rig: Rig) -> None:
    rig.create(
        template(
            Same=thing(Name="same"),
            InPlace=thing("1", Name="in-place"),
            Moved=thing(Fixed="1"),
            User=thing(Fixed={"Ref": "Moved"}),
            Follower=thing({"Fn::GetAtt": "InPlace.Version"}, Name="follower"),
            Gone=thing(Name="gone", DeletionPolicy="Retain"),
        )
    )
    calls = list(rig.cloud.calls)
    described = propose(
        rig,
        template(
            Same=thing(Name="same"),
            InPlace=thing("2", Name="in-place"),
            Moved=thing(Fixed="2"),
            User=thing(Fixed={"Ref": "Moved"}),
            Follower=thing({"Fn::GetAtt": "InPlace.Version"}, Name="follower"),
            More=thing(Name="more"),
        ),
    )
    assert changes(described) == {
        "InPlace": ("Modify", "False"),
        "Moved": ("Modify", "True"),
        "User": ("Modify", "Conditional"),
        "Follower": ("Modify", "False"),
        "More": ("Add", None),
        "Gone": ("Remove", None),
    }
    entries = {item["ResourceChange"]["LogicalResourceId"]: item["ResourceChange"] for item in described["Changes"]}
    assert entries["Gone"]["PolicyAction"] == "Retain"
    assert entries["Moved"]["Details"] == [
        {
            "Target": {"Attribute": "Properties", "Name": "Fixed", "RequiresRecreation": "Always"},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    ]
    assert entries["User"]["Details"][0]["Evaluation"] == "Dynamic"
    assert rig.cloud.calls == calls, "asking changes nothing"


def test_a_change_set_without_changes_fails_in_the_words_clients_look_for(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a")))
    described = propose(rig, template(A=thing(Name="a")))
    assert (described["Status"], described["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "The submitted information didn't contain changes." in described["StatusReason"]
    with pytest.raises(ServiceError) as caught:
        rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    assert caught.value.code == "InvalidChangeSetStatus"


def test_tags_and_policies_alone_are_changes(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a")))
    described = propose(rig, template(A=thing(Name="a")), Tags=[{"Key": "k", "Value": "v"}])
    assert described["Changes"][0]["ResourceChange"]["Scope"] == ["Tags"]
    described = propose(rig, template(A=thing(Name="a", DeletionPolicy="Retain")), name="d")
    assert described["Changes"][0]["ResourceChange"]["Scope"] == ["DeletionPolicy"]
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="d")
    rig.settle()
    assert rig.delete() == "DELETE_COMPLETE"
    assert set(rig.cloud.things) == {"a"}


def test_an_update_voids_the_other_change_sets(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a")))
    propose(rig, template(A=thing("2", Name="a")), name="c")
    propose(rig, template(A=thing("3", Name="a")), name="d")
    with pytest.raises(ServiceError) as caught:
        propose(rig, template(A=thing("4", Name="a")), name="d")
    assert caught.value.code == "AlreadyExistsException"
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="d")
    rig.settle()
    names = [item["ChangeSetName"] for item in rig.call("ListChangeSets", StackName="s")["Summaries"]]
    assert names == ["d"]


def test_the_name_of_an_executed_change_set_is_free_again(rig: Rig) -> None:
    """Pipelines and `aws cloudformation deploy` within one second use the same name for one change after another."""
    rig.create(template(A=thing("1", Name="a")))
    for value in ("2", "3"):
        propose(rig, template(A=thing(value, Name="a")), name="same")
        rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="same")
        rig.settle()
    described = rig.call("DescribeChangeSet", StackName="s", ChangeSetName="same")
    assert described["ExecutionStatus"] == "EXECUTE_COMPLETE"
    with pytest.raises(ServiceError) as caught:
        rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    assert caught.value.code == "ChangeSetNotFound"
    assert rig.cloud.things["a"]["Value"] == "3"


def test_a_failed_execution_is_told(rig: Rig) -> None:
    rig.create(template(A=thing("1", Name="a")))
    propose(rig, template(A=thing("2", Name="a")))
    rig.cloud.failing.add(("apply", "a"))
    rig.cloud.hooks["create", "a"] = rig.cloud.failing.clear
    rig.call("ExecuteChangeSet", StackName="s", ChangeSetName="c")
    rig.settle()
    assert rig.call("DescribeChangeSet", StackName="s", ChangeSetName="c")["ExecutionStatus"] == "EXECUTE_FAILED"


def test_a_change_set_can_be_given_up(rig: Rig) -> None:
    propose(rig, template(A=thing(Name="a")), "CREATE")
    rig.call("DeleteChangeSet", StackName="s", ChangeSetName="c")
    rig.call("DeleteChangeSet", StackName="s", ChangeSetName="c")
    assert rig.call("ListChangeSets", StackName="s")["Summaries"] == []
    assert rig.delete() == "DELETE_COMPLETE"


def test_an_update_set_of_nothing_and_one_of_a_broken_stack_are_refused(rig: Rig) -> None:
    with pytest.raises(ServiceError, match="Stack with id s does not exist"):
        propose(rig, template(A=thing()))
    rig.cloud.failing.add(("create", "a"))
    rig.create(template(A=thing(Name="a")))
    with pytest.raises(ServiceError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        propose(rig, template(A=thing()))


EXPORTER = template(
    A=thing("1", Name="a"), outputs={"O": {"Value": {"Fn::GetAtt": "A.Arn"}, "Export": {"Name": "shared"}}}
)
IMPORTER = template(B=thing({"Fn::ImportValue": "shared"}, Name="b"))


class TestExports:
    def test_a_value_goes_from_stack_to_stack(self, rig: Rig) -> None:
        rig.create(EXPORTER, "one")
        rig.create(IMPORTER, "two")
        assert rig.cloud.things["b"]["Value"] == "arn:a"
        (export,) = rig.call("ListExports")["Exports"]
        assert (export["Name"], export["Value"]) == ("shared", "arn:a")
        assert rig.call("ListImports", ExportName="shared")["Imports"] == ["two"]

    def test_what_is_used_can_neither_go_nor_change(self, rig: Rig) -> None:
        rig.create(EXPORTER, "one")
        rig.create(IMPORTER, "two")
        with pytest.raises(ServiceError, match="Cannot delete export shared as it is in use by two"):
            rig.call("DeleteStack", StackName="one")
        assert rig.status("one") == "CREATE_COMPLETE"
        assert rig.update(template(A=thing("1", Name="a"), C=thing(Name="c")), "one") == "UPDATE_ROLLBACK_COMPLETE"
        assert "Export shared cannot be deleted as it is in use by two" in rig.reasons("one", "one")
        changed = json.loads(json.dumps(EXPORTER))
        changed["Outputs"]["O"]["Value"] = "other"
        assert rig.update(changed, "one") == "UPDATE_ROLLBACK_COMPLETE"
        assert rig.outputs("one") == {"O": "arn:a"}
        rig.delete("two")
        with pytest.raises(ServiceError, match="not imported by any stack"):
            rig.call("ListImports", ExportName="shared")
        assert rig.delete("one") == "DELETE_COMPLETE"

    def test_a_name_is_exported_once(self, rig: Rig) -> None:
        rig.create(EXPORTER, "one")
        other = template(X=thing(Name="x"), outputs={"O": {"Value": "y", "Export": {"Name": "shared"}}})
        assert rig.create(other, "two") == "ROLLBACK_COMPLETE"
        assert "Export with name shared is already exported by stack one" in rig.reasons("two", "two")

    def test_an_import_ends_with_the_update_that_drops_it_and_not_with_one_that_fails(self, rig: Rig) -> None:
        rig.create(EXPORTER, "one")
        rig.create(IMPORTER, "two")
        rig.cloud.failing.add(("create", "c"))
        without = template(B=thing("own", Name="b"), C=thing(Name="c", DependsOn="B"))
        assert rig.update(without, "two") == "UPDATE_ROLLBACK_COMPLETE"
        assert rig.call("ListImports", ExportName="shared")["Imports"] == ["two"]
        rig.cloud.failing.clear()
        assert rig.update(without, "two") == "UPDATE_COMPLETE"
        assert rig.delete("one") == "DELETE_COMPLETE"


def test_other_operations_and_parameters_are_refused_by_name(rig: Rig) -> None:
    with pytest.raises(ServiceError, match="does not support CreateStackSet") as caught:
        rig.service.perform(Call("CreateStackSet", {"StackSetName": "s"}, REGION, ROOT, "r"))
    assert caught.value.code == "UnsupportedOperation"
    with pytest.raises(ServiceError, match="does not support RoleARN of CreateStack"):
        rig.create(template(A=thing()), RoleARN="arn:aws:iam::000000000000:role/x")
    with pytest.raises(ServiceError, match="change sets of type IMPORT"):
        propose(rig, template(A=thing()), "IMPORT")
    assert rig.create(template(A=thing()), NotificationARNs=[], RollbackConfiguration={}) == "CREATE_COMPLETE"


def test_permissions_are_on_the_stack(rig: Rig) -> None:
    def asked(operation: str, **parameters: Any) -> tuple[str, str]:
        (permission,) = rig.service.permissions(Call(operation, parameters, REGION, ROOT, "r"))
        return permission.action, permission.resource

    stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s/"
    assert asked("CreateStack", StackName="s") == ("cloudformation:CreateStack", f"{stack}*")
    rig.create(template(A=thing()))
    assert asked("DeleteStack", StackName="s")[1] == rig.stack()["StackId"]
    assert asked("ListStacks") == ("cloudformation:ListStacks", "*")


def test_resources_are_found_by_stack_and_by_physical_id(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(Name="b")))
    of_stack = rig.call("DescribeStackResources", StackName="s")["StackResources"]
    assert [item["LogicalResourceId"] for item in of_stack] == ["A", "B"]
    by_id = rig.call("DescribeStackResources", PhysicalResourceId="b")["StackResources"]
    assert {item["StackName"] for item in by_id} == {"s"}
    detail = rig.call("DescribeStackResource", StackName="s", LogicalResourceId="B")["StackResourceDetail"]
    assert detail["PhysicalResourceId"] == "b"
    with pytest.raises(ServiceError, match="Resource C does not exist for stack s"):
        rig.call("DescribeStackResource", StackName="s", LogicalResourceId="C")


def test_long_lists_come_in_pages(rig: Rig) -> None:
    rig.create(template(**{f"R{number}": thing(Name=f"r{number}") for number in range(40)}))
    first = rig.call("DescribeStackEvents", StackName="s")
    second = rig.call("DescribeStackEvents", StackName="s", NextToken=first["NextToken"])
    assert len(first["StackEvents"]) == 100
    assert "NextToken" not in second
    ids = [event["EventId"] for event in first["StackEvents"] + second["StackEvents"]]
    assert len(ids) == len(set(ids)) == 2 + 3 * 40


def test_every_difference_names_a_property_that_is_taken() -> None:
    providers = {provider.type: provider for provider in PROVIDERS}
    for difference in DIFFERENCES:
        assert difference.type in providers
        assert not difference.property or difference.property in providers[difference.type].properties
        assert difference.reason.endswith(".")
    held = {(item.type, item.property) for item in DIFFERENCES if item.extent is Extent.HELD}
    assert held == {(kind, name) for kind, provider in providers.items() for name in provider.held}
