"""Requests that only look: stacks, events, resources, templates, exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ncap_iac.local.cloudformation.answers import (
    show_event,
    show_parameter,
    show_resource,
    show_resource_detail,
    show_resource_summary,
    show_stack,
    show_summary,
    show_template_parameter,
)
from ncap_iac.local.cloudformation.changesets import ChangeSetDesk
from ncap_iac.local.cloudformation.desk import StackDesk
from ncap_iac.local.cloudformation.drift_desk import DriftDesk
from ncap_iac.local.cloudformation.exports import exports, importers
from ncap_iac.local.cloudformation.planning import World
from ncap_iac.local.cloudformation.records import ResourceRecord, StackRecord, Status
from ncap_iac.local.cloudformation.template import Template, parse_template
from ncap_iac.local.cloudformation.validation import check_template, required_capabilities
from ncap_iac.local.cloudformation.values import invalid

Shape = dict[str, Any]
Request = Mapping[str, Any]

_PAGE = 100
"""Entries of one answer, as on AWS."""


def _page(entries: list[Shape], request: Request, member: str) -> Shape:
    """One page of a long list; the token is the place of the next entry."""
    token = str(request.get("NextToken", "0"))
    if not token.isdigit():
        raise invalid("NextToken is not one of this local cloud.")
    end = int(token) + int(request.get("MaxResults", _PAGE))
    more = {"NextToken": str(end)} if end < len(entries) else {}
    return {member: entries[int(token) : end], **more}


class Reports:
    """Answers about what is."""

    def __init__(self, world: World, stacks: StackDesk, change_sets: ChangeSetDesk, drift: DriftDesk) -> None:
        self._world = world
        self._drift = drift
        self._records = world.records
        self._stacks = stacks
        self._change_sets = change_sets

    def _template(self, stack: StackRecord) -> Template:
        text = self._records.template_text(stack.declaration.template_sha)
        return parse_template(text) if text else Template("", None, {}, {}, {}, {}, {})

    def stacks(self, request: Request) -> Shape:
        """DescribeStacks: one, or all that are not deleted."""
        if "StackName" in request:
            found = [self._stacks.existing(request["StackName"])]
        else:
            found = [stack for stack in self._records.stacks() if stack.status is not Status.DELETE_COMPLETE]
        shown = [show_stack(stack, self._template(stack), self._drift.of_stack(stack)) for stack in found]
        return _page(shown, request, "Stacks")

    def stack_list(self, request: Request) -> Shape:
        """ListStacks, deleted ones too."""
        wanted = request.get("StackStatusFilter")
        found = [stack for stack in self._records.stacks() if not wanted or stack.status in wanted]
        return _page([show_summary(stack, self._drift.of_stack(stack)) for stack in found], request, "StackSummaries")

    def events(self, request: Request) -> Shape:
        """DescribeStackEvents, newest first."""
        stack = self._stacks.existing(request["StackName"])
        events = [show_event(stack, event) for event in self._records.events(stack.stack_id)]
        return _page(events, request, "StackEvents")

    def _resources(self, stack: StackRecord) -> list[ResourceRecord]:
        return list(self._records.resources(stack.stack_id).values())

    def _stack_with(self, physical_id: str) -> StackRecord:
        for stack in self._records.stacks():
            if any(item.physical_id == physical_id for item in self._resources(stack)):
                return stack
        raise invalid(f"Stack for {physical_id} does not exist")

    def resources(self, request: Request) -> Shape:
        """DescribeStackResources, of a stack or of the stack a physical id belongs to."""
        if "StackName" in request:
            stack = self._stacks.existing(request["StackName"])
        elif "PhysicalResourceId" in request:
            stack = self._stack_with(request["PhysicalResourceId"])
        else:
            raise invalid("One of StackName and PhysicalResourceId must be specified.")
        wanted, drifts = request.get("LogicalResourceId"), self._drift.of_resources(stack)
        found = [
            show_resource(stack, item, drifts.get(item.logical_id))
            for item in self._resources(stack)
            if wanted in (None, item.logical_id)
        ]
        return {"StackResources": found}

    def resource(self, request: Request) -> Shape:
        """DescribeStackResource."""
        stack = self._stacks.existing(request["StackName"])
        record = self._records.resources(stack.stack_id).get(request["LogicalResourceId"])
        if record is None:
            raise invalid(f"Resource {request['LogicalResourceId']} does not exist for stack {stack.name}")
        drift = self._drift.of_resources(stack).get(record.logical_id)
        return {"StackResourceDetail": show_resource_detail(stack, record, drift)}

    def resource_list(self, request: Request) -> Shape:
        """ListStackResources."""
        stack = self._stacks.existing(request["StackName"])
        drifts = self._drift.of_resources(stack)
        shown = [show_resource_summary(item, drifts.get(item.logical_id)) for item in self._resources(stack)]
        return _page(shown, request, "StackResourceSummaries")

    def drifts(self, request: Request) -> Shape:
        """DescribeStackResourceDrifts."""
        return _page(self._drift.describe(request), request, "StackResourceDrifts")

    def template(self, request: Request) -> Shape:
        """GetTemplate, of a stack or a change set."""
        if "ChangeSetName" in request:
            declaration = self._change_sets.find(request).declaration
        elif "StackName" in request:
            declaration = self._stacks.existing(request["StackName"]).declaration
        else:
            raise invalid("One of StackName and ChangeSetName must be specified.")
        body = self._records.template_text(declaration.template_sha)
        return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}

    def template_summary(self, request: Request) -> Shape:
        """GetTemplateSummary, of a template or a stack."""
        text, _ = self._stacks.template_of(request)
        template = parse_template(text)
        capabilities, reason = required_capabilities(template)
        return {
            "Parameters": [show_parameter(item) for item in template.parameters.values()],
            "Description": template.description,
            "Capabilities": capabilities,
            **({"CapabilitiesReason": reason} if reason else {}),
            "ResourceTypes": sorted({item.type for item in template.resources.values()}),
            "Version": "2010-09-09",
            "DeclaredTransforms": [],
        }

    def validation(self, request: Request) -> Shape:
        """ValidateTemplate: everything that can be said without values."""
        text, _ = self._stacks.template_of({key: item for key, item in request.items() if key != "StackName"})
        template = parse_template(text)
        check_template(template, self._world.providers)
        capabilities, reason = required_capabilities(template)
        return {
            "Parameters": [show_template_parameter(item) for item in template.parameters.values()],
            "Description": template.description,
            "Capabilities": capabilities,
            **({"CapabilitiesReason": reason} if reason else {}),
            "DeclaredTransforms": [],
        }

    def exports(self, request: Request) -> Shape:
        """ListExports."""
        found = [
            {"ExportingStackId": item.stack_id, "Name": item.name, "Value": item.value}
            for item in exports(self._records).values()
        ]
        return _page(found, request, "Exports")

    def imports(self, request: Request) -> Shape:
        """ListImports."""
        names = importers(self._records, request["ExportName"])
        if not names:
            raise invalid(f"Export '{request['ExportName']}' is not imported by any stack.")
        return {"Imports": names}
