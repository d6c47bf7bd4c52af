"""Records as boto3 shows them. Pure; no secret ever leaves through here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ncap_iac.local.cloudformation.drift_book import ResourceDrift, StackDrift
from ncap_iac.local.cloudformation.parameters import shown_value
from ncap_iac.local.cloudformation.records import (
    ChangeSetRecord,
    Declaration,
    EventRecord,
    ResourceChange,
    ResourceRecord,
    StackRecord,
)
from ncap_iac.local.cloudformation.template import ParameterDefinition, Template

Shape = dict[str, Any]


def _filled(**members: Any) -> Shape:
    """The members that have a value; an empty text is none."""
    return {name: value for name, value in members.items() if value not in ("", None)}


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _parameters(declaration: Declaration, template: Template) -> list[Shape]:
    return [
        {"ParameterKey": name, "ParameterValue": shown_value(template.parameters.get(name), value)}
        for name, value in declaration.parameters.items()
    ]


def _tags(declaration: Declaration) -> list[Shape]:
    return [{"Key": key, "Value": value} for key, value in declaration.tags.items()]


def _stack_drift(drift: StackDrift | None) -> Shape:
    if drift is None:
        return {"StackDriftStatus": "NOT_CHECKED"}
    return {"StackDriftStatus": str(drift.status), "LastCheckTimestamp": _time(drift.time)}


def _resource_drift(drift: ResourceDrift | None) -> Shape:
    if drift is None:
        return {"StackResourceDriftStatus": "NOT_CHECKED"}
    return {"StackResourceDriftStatus": str(drift.status), "LastCheckTimestamp": _time(drift.time)}


def show_stack(stack: StackRecord, template: Template, drift: StackDrift | None = None) -> Shape:
    """An entry of DescribeStacks."""
    outputs = [
        _filled(
            OutputKey=output.name,
            OutputValue=output.value,
            Description=output.description,
            ExportName=output.export_name,
        )
        for output in stack.outputs
    ]
    return _filled(
        StackId=stack.stack_id,
        StackName=stack.name,
        ChangeSetId=stack.change_set_id,
        Description=stack.description,
        Parameters=_parameters(stack.declaration, template),
        CreationTime=_time(stack.created),
        LastUpdatedTime=_time(stack.updated),
        DeletionTime=_time(stack.deleted),
        StackStatus=str(stack.status),
        StackStatusReason=stack.reason,
        DisableRollback=stack.disable_rollback,
        NotificationARNs=[],
        Capabilities=list(stack.declaration.capabilities),
        Outputs=outputs,
        Tags=_tags(stack.declaration),
        EnableTerminationProtection=stack.termination_protection,
        DriftInformation=_stack_drift(drift),
    )


def show_summary(stack: StackRecord, drift: StackDrift | None = None) -> Shape:
    """An entry of ListStacks."""
    return _filled(
        StackId=stack.stack_id,
        StackName=stack.name,
        TemplateDescription=stack.description,
        CreationTime=_time(stack.created),
        LastUpdatedTime=_time(stack.updated),
        DeletionTime=_time(stack.deleted),
        StackStatus=str(stack.status),
        StackStatusReason=stack.reason,
        DriftInformation=_stack_drift(drift),
    )


def show_event(stack: StackRecord, event: EventRecord) -> Shape:
    """An entry of DescribeStackEvents."""
    return _filled(
        StackId=stack.stack_id,
        StackName=stack.name,
        EventId=event.event_id,
        LogicalResourceId=event.logical_id,
        PhysicalResourceId=event.physical_id,
        ResourceType=event.type,
        Timestamp=_time(event.time),
        ResourceStatus=str(event.status),
        ResourceStatusReason=event.reason,
        ClientRequestToken=event.token,
    )


def show_resource(stack: StackRecord, resource: ResourceRecord, drift: ResourceDrift | None = None) -> Shape:
    """An entry of DescribeStackResources."""
    return _filled(
        StackId=stack.stack_id,
        StackName=stack.name,
        LogicalResourceId=resource.logical_id,
        PhysicalResourceId=resource.physical_id,
        ResourceType=resource.type,
        Timestamp=_time(resource.updated),
        ResourceStatus=str(resource.status),
        ResourceStatusReason=resource.reason,
        DriftInformation=_resource_drift(drift),
    )


def show_resource_summary(resource: ResourceRecord, drift: ResourceDrift | None = None) -> Shape:
    """An entry of ListStackResources."""
    return _filled(
        LogicalResourceId=resource.logical_id,
        PhysicalResourceId=resource.physical_id,
        ResourceType=resource.type,
        LastUpdatedTimestamp=_time(resource.updated),
        ResourceStatus=str(resource.status),
        ResourceStatusReason=resource.reason,
        DriftInformation=_resource_drift(drift),
    )


def show_resource_detail(stack: StackRecord, resource: ResourceRecord, drift: ResourceDrift | None = None) -> Shape:
    """The answer of DescribeStackResource."""
    shown = show_resource(stack, resource, drift)
    shown["LastUpdatedTimestamp"] = shown.pop("Timestamp")
    return shown


def _show_change(change: ResourceChange) -> Shape:
    detail = _filled(
        Action=change.action,
        LogicalResourceId=change.logical_id,
        PhysicalResourceId=change.physical_id,
        ResourceType=change.type,
        Replacement=change.replacement,
        PolicyAction=change.policy_action,
        Scope=list(change.scope),
        Details=[dict(item) for item in change.details],
    )
    return {"Type": "Resource", "ResourceChange": detail}


def show_change_set(change_set: ChangeSetRecord, template: Template) -> Shape:
    """The answer of DescribeChangeSet."""
    return {
        **show_change_set_summary(change_set),
        "Parameters": _parameters(change_set.declaration, template),
        "Tags": _tags(change_set.declaration),
        "Capabilities": list(change_set.declaration.capabilities),
        "NotificationARNs": [],
        "Changes": [_show_change(change) for change in change_set.changes],
    }


def show_change_set_summary(change_set: ChangeSetRecord) -> Shape:
    """An entry of ListChangeSets."""
    return _filled(
        ChangeSetId=change_set.change_set_id,
        ChangeSetName=change_set.name,
        StackId=change_set.stack_id,
        StackName=change_set.stack_name,
        Description=change_set.description,
        CreationTime=_time(change_set.created),
        ExecutionStatus=change_set.execution_status,
        Status=change_set.status,
        StatusReason=change_set.reason,
        IncludeNestedStacks=False,
    )


def show_parameter(definition: ParameterDefinition) -> Shape:
    """An entry of GetTemplateSummary's Parameters."""
    constraints = {"AllowedValues": list(definition.allowed_values)} if definition.allowed_values else {}
    default = None if definition.default is None else shown_value(definition, definition.default)
    return {
        **_filled(
            ParameterKey=definition.name,
            ParameterType=definition.type,
            NoEcho=definition.no_echo,
            Description=definition.description,
        ),
        **({} if default is None else {"DefaultValue": default}),
        "ParameterConstraints": constraints,
    }


def show_template_parameter(definition: ParameterDefinition) -> Shape:
    """An entry of ValidateTemplate's Parameters."""
    shown = show_parameter(definition)
    return {key: value for key, value in shown.items() if key not in ("ParameterType", "ParameterConstraints")}
