"""Finds what carries the platform's tag or path, and which stacks hold what. Reading calls only; judges nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.deploy.leftovers import GLOBAL, RUNNING, Leftover, Stack, Thing, held, leftovers, thing_of
from ncap_iac.errors import NcapError, NotFoundError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

Shape = Mapping[str, Any]

IAM_LISTS = (
    ("role", "list_roles", "Roles", "RoleName", "list_role_tags"),
    ("user", "list_users", "Users", "UserName", "list_user_tags"),
    ("IAM group", "list_groups", "Groups", "GroupName", ""),
    ("instance profile", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName", ""),
    ("IAM policy", "list_policies", "Policies", "PolicyName", ""),
)
"""Kind, how ours are listed, where, their name, and how their tags are read."""


def find_things(gateway: Gateway) -> tuple[Thing, ...]:
    """Everything with the platform's tag in this region, and every IAM entity on its path."""
    found: dict[tuple[str, str], Thing] = {}
    for thing in (*_tagged(gateway), *_instances(gateway), *_identities(gateway)):
        # What is found twice is described best by its own service, which comes later.
        found[thing.kind, thing.name] = thing
    return tuple(found.values())


def _tagged(gateway: Gateway) -> Iterator[Thing]:
    pages = _pages(
        gateway, "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList",
        TagFilters=[{"Key": names.STACK_TAG}],
    )  # fmt: skip
    for item in pages:
        thing = thing_of(str(item["ResourceARN"]), _tag(item.get("Tags", ())))
        # The tagging service still knows instances long after they ended; EC2 says which are there.
        if thing.kind != "instance":
            yield thing


def _instances(gateway: Gateway) -> Iterator[Thing]:
    filters = [
        {"Name": "tag-key", "Values": [names.STACK_TAG]},
        {"Name": "instance-state-name", "Values": sorted(RUNNING)},
    ]
    for reservation in _pages(gateway, "ec2", "describe_instances", "Reservations", Filters=filters):
        for item in reservation["Instances"]:
            state = str(item["State"]["Name"])
            yield Thing("instance", str(item["InstanceId"]), _tag(item.get("Tags", ())), state=state)


def _identities(gateway: Gateway) -> Iterator[Thing]:
    client = gateway.session.client("iam")
    for kind, operation, member, field, tags in IAM_LISTS:
        scope = {"Scope": "Local"} if operation == "list_policies" else {}
        for item in _pages(gateway, "iam", operation, member, PathPrefix=names.PATH, **scope):
            name = str(item[field])
            stack = None
            if tags:
                with gateway.session.translated(f"{kind} {name}"):
                    stack = _tag(getattr(client, tags)(**{field: name}).get("Tags", ()))
            yield Thing(kind, name, stack, str(item.get("Arn", "")))


def find_stacks(gateway: Gateway, mentioned: frozenset[str] = frozenset()) -> tuple[Stack, ...]:
    """The platform's stacks of this region with what they hold: with its tag, or mentioned by a thing's tag."""
    return tuple(
        stack_of(gateway, str(item["StackName"]), str(item["StackStatus"]))
        for item in _pages(gateway, "cloudformation", "describe_stacks", "Stacks")
        if _tag(item.get("Tags", ())) is not None or item["StackName"] in mentioned
    )


def stack_of(gateway: Gateway, name: str, status: str = "") -> Stack:
    """A stack with what it holds; with nothing if there is none."""
    try:
        listed = _pages(
            gateway, "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=name
        )  # fmt: skip
    except NotFoundError:
        listed = []
    holds = [
        held(str(item["ResourceType"]), str(item.get("PhysicalResourceId") or ""))
        for item in listed
        if item.get("ResourceStatus") not in ("DELETE_COMPLETE", "DELETE_SKIPPED")
    ]
    return Stack(name, gateway.region, status, frozenset().union(*holds))


def find_leftovers(gateway: Gateway) -> tuple[Leftover, ...]:
    """Everything of the platform that no stack holds; other regions are asked only if an IAM entity is among it."""
    things = find_things(gateway)
    mentioned = frozenset(thing.stack for thing in things if thing.stack is not None)
    stacks = find_stacks(gateway, mentioned)
    found = leftovers(things, stacks, region=gateway.region)
    if gateway.target.cloud is None and any(item.thing.kind in GLOBAL for item in found):
        stacks += tuple(stack for region in _other_regions(gateway) for stack in _stacks_there(gateway, region))
        found = leftovers(things, stacks, region=gateway.region)
    return found


def verify_destroyed(gateway: Gateway, before: Iterable[Stack]) -> tuple[Leftover, ...]:
    """What is left of stacks that were deleted; `before` is what they held."""
    was = tuple(before)
    owner = {known: stack.name for stack in was for known in stack.holds}
    things = tuple(
        replace(thing, stack=thing.stack or owner.get((thing.kind, thing.name)) or owner.get((thing.kind, thing.arn)))
        for thing in find_things(gateway)
    )
    within = frozenset(stack.name for stack in was)
    return leftovers(things, find_stacks(gateway, within), region=gateway.region, within=within)


def _other_regions(gateway: Gateway) -> Iterator[str]:
    client = gateway.session.client("ec2")
    with gateway.session.translated("regions"):
        listed = client.describe_regions()["Regions"]
    return (str(item["RegionName"]) for item in listed if item["RegionName"] != gateway.region)


def _stacks_there(gateway: Gateway, region: str) -> tuple[Stack, ...]:
    """The platform's stacks of another region; none if it cannot be asked."""
    try:
        return find_stacks(type(gateway)(replace(gateway.target, region=region)))
    except NcapError:
        return ()


def _tag(tags: Iterable[Shape]) -> str | None:
    """The stack a list of tags names."""
    return next((str(tag["Value"]) for tag in tags if tag["Key"] == names.STACK_TAG), None)


def _pages(gateway: Gateway, service: str, operation: str, member: str, **arguments: Any) -> list[Shape]:
    """Every item of a listing."""
    client = gateway.session.client(service)
    with gateway.session.translated(service):
        return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[member]]
