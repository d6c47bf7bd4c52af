"""A users stack: groups, members with credentials, instance roles and budgets of one profile.

Secret keys go from IAM to Secrets Manager inside CloudFormation: no template, parameter or output ever holds one.
Adding a group or a member changes only this stack. What others share with a group is in the group's own stack, so no
stack of a profile waits for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from troposphere import AWSObject, Equals, Parameter, Ref, Sub, Template, iam, secretsmanager, ssm

from ncap_compiler import group_roles, names, policies
from ncap_compiler.document import Json
from ncap_compiler.profile import Group
from ncap_compiler.spread import Policy, managed_policies, spread
from ncap_compiler.stacks import parts
from ncap_compiler.template import MAX_GROUP_POLICIES, MAX_ROLE_POLICIES

IDENTITY = {"Condition": "IdentitiesWanted"}
METADATA = "NeuroCAAS"
"""Where a template names its groups: `Metadata.NeuroCAAS.groups`."""


def build_users(groups: Sequence[Group], *, everyone: Sequence[Group], number: int, stack: str) -> dict[str, Json]:
    """The template of users stack `number` with `groups`, some of `everyone` of the profile."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description("NeuroCAAS groups, their members and the roles of their instances.")
    template.set_metadata({METADATA: {"groups": [group.name for group in groups]}})
    _add_parameters(template)
    made = [resource for group in groups for resource in group_resources(group, stack)]
    made += [resource for sharing in everyone for resource in _shared(sharing, groups, everyone, number)]
    # The limit on resources is ours to report, with what to do; troposphere's own check would only stop.
    return {**parts.structure(template), "Resources": {resource.title: resource.to_dict() for resource in made}}


def named_groups(template: Mapping[str, Json]) -> tuple[str, ...]:
    """The groups a template of `build_users` names."""
    metadata = template.get("Metadata")
    own = metadata.get(METADATA) if isinstance(metadata, dict) else None
    found = own.get("groups") if isinstance(own, dict) else None
    return tuple(name for name in found if isinstance(name, str)) if isinstance(found, list) else ()


def group_resources(group: Group, stack: str) -> list[AWSObject]:
    """Everything of one group but what others share with it."""
    return [
        *_iam_group(group),
        *_instance_role(group, stack),
        *(resource for member in group.members for resource in _member(member, group, stack)),
        *_budgets(group, stack),
    ]


def shared_policies(sharing: Group) -> tuple[Policy, ...]:
    """What the collaborators of `sharing` may read, in as many policies as it takes."""
    return managed_policies(sharing.analyses, partial(policies.shared_policy, sharing.name))


def _add_parameters(template: Template) -> None:
    parts.add_shared_parameters(template)
    template.add_parameter(
        Parameter(
            "WithIdentities",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="false: budgets only. For further regions of an account, where the groups are made already.",
        )
    )
    template.add_condition("IdentitiesWanted", Equals(Ref("WithIdentities"), "true"))


def _iam_group(group: Group) -> list[AWSObject]:
    rights = spread(
        group.analyses,
        inline=partial(policies.member_policy, group.name),
        further=partial(policies.member_policy, group.name, further=True),
        limit=MAX_GROUP_POLICIES,
    )
    held = iam.Group(
        names.logical_id("Group", group.name),
        GroupName=names.iam_group(group.name),
        Path=names.PATH,
        **({"Policies": [parts.inline_policy(rights.inline)]} if group.analyses else {}),
        **IDENTITY,
    )
    return [held, *parts.further_policies(held, names.iam_group(group.name), rights.managed, **IDENTITY)]


def _instance_role(group: Group, stack: str) -> list[AWSObject]:
    rights = spread(
        group.analyses,
        inline=partial(policies.instance_policy, group.name),
        further=partial(policies.instance_policy, group.name, further=True),
        limit=MAX_ROLE_POLICIES,
    )
    role = iam.Role(
        names.logical_id("InstanceRole", group.name),
        RoleName=names.instance_role(group.name),
        Path=names.INSTANCE_PATH,
        AssumeRolePolicyDocument=group_roles.instance_trust(group.analyses),
        PermissionsBoundary=parts.boundary(),
        Tags=parts.tags(stack, group=group.name),
        **({"Policies": [parts.inline_policy(rights.inline)]} if group.analyses else {}),
        **IDENTITY,
    )
    profile = iam.InstanceProfile(
        names.logical_id("InstanceProfile", group.name),
        InstanceProfileName=names.instance_role(group.name),
        Path=names.INSTANCE_PATH,
        Roles=[Ref(role)],
        **IDENTITY,
    )
    further = (*rights.managed, *managed_policies(group.storage, group_roles.storage_policy))
    return [role, *parts.further_policies(role, names.instance_role(group.name), further, **IDENTITY), profile]


def _member(member: str, group: Group, stack: str) -> list[AWSObject]:
    """A user, its access key, and the secret that holds the key; suspended: no rights, and a key that does not work."""
    suspended = member in group.suspended
    user = iam.User(
        names.logical_id("Member", member),
        UserName=member,
        Path=names.PATH,
        PermissionsBoundary=parts.boundary(),
        Tags=parts.tags(stack, group=group.name),
        **({} if suspended else {"Groups": [Ref(names.logical_id("Group", group.name))]}),
        **IDENTITY,
    )
    key = iam.AccessKey(
        names.logical_id("Key", member),
        UserName=Ref(user),
        Serial=group.key_serial,
        Status="Inactive" if suspended else "Active",
        **IDENTITY,
    )
    content = {
        "AccessKeyId": f"${{{key.title}}}",
        "SecretAccessKey": f"${{{key.title}.SecretAccessKey}}",
        "group": group.name,
    }
    secret = secretsmanager.Secret(
        names.logical_id("Secret", member),
        Name=names.member_secret(member),
        Description=f"Access key of member {member} of group {group.name}.",
        KmsKeyId=parts.own_key(),
        SecretString=Sub(json.dumps(content, sort_keys=True)),
        Tags=parts.tags(stack, group=group.name),
        **parts.DELETE,
        **IDENTITY,
    )
    return [user, key, secret]


def _budgets(group: Group, stack: str) -> list[AWSObject]:
    return [
        ssm.Parameter(
            names.logical_id("Budget", group.name, budget.analysis),
            Name=names.budget_parameter(group.name, budget.analysis),
            Type="String",
            Value=budget.usd,
            Description=f"USD group {group.name} may spend on {_what(budget.analysis)}.",
            Tags={names.STACK_TAG: stack, "group": group.name},
        )
        for budget in group.budgets
    ]


def _what(analysis: str) -> str:
    return "all its analyses together" if analysis == names.TOTAL_BUDGET else analysis


def _shared(sharing: Group, held: Sequence[Group], everyone: Sequence[Group], number: int) -> list[AWSObject]:
    """What `sharing` lets the groups of this stack read; in its own stack also groups of other profiles, by name."""
    here = {group.name for group in held}
    known = {group.name for group in everyone}
    readers: list[parts.Text] = [
        Ref(names.logical_id("Group", name)) if name in here else names.iam_group(name)
        for name in sharing.collaborators
        if name in here or (sharing.name in here and name not in known)
    ]
    if not readers:
        return []
    title = names.logical_id("Shared", sharing.name)
    return [
        iam.ManagedPolicy(
            title if part == 1 else f"{title}Policy{part}",
            ManagedPolicyName=names.shared_policy(sharing.name, number, part),
            Path=names.PATH,
            Description=f"Results of group {sharing.name}, for its collaborators.",
            PolicyDocument=document,
            Groups=readers,
            **IDENTITY,
        )
        for part, document in enumerate(shared_policies(sharing), start=1)
    ]
