"""A users stack: groups, members with credentials, instance roles and budgets of one profile.

Secret keys go from IAM to Secrets Manager inside CloudFormation: no template, parameter or output ever holds one.
Adding a group or a member changes only this stack.
"""

from __future__ import annotations

import json

from troposphere import Ref, Sub, Template, iam, secretsmanager, ssm

from ncap_compiler import names, policies
from ncap_compiler.document import Json
from ncap_compiler.profile import Group, Profile
from ncap_compiler.stacks import parts


def build_users(profile: Profile, *, stack: str) -> dict[str, Json]:
    """The template of the users stack of one profile."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description("NeuroCAAS groups, their members and the roles of their instances.")
    for group in profile.groups:
        _add_group(template, group, stack)
        _add_instance_role(template, group, stack)
        for member in group.members:
            _add_member(template, member, group, stack)
        _add_budgets(template, group, stack)
    return parts.structure(template)


def _add_group(template: Template, group: Group, stack: str) -> None:
    """The IAM group; members are added by one resource, so that joining and leaving is one change."""
    document = policies.member_policy(group.name, group.analyses)
    iam_group = template.add_resource(
        iam.Group(
            names.logical_id("Group", group.name),
            GroupName=names.iam_group(group.name),
            Path=names.PATH,
            **({"Policies": [iam.Policy(PolicyName="neurocaas", PolicyDocument=document)]} if group.analyses else {}),
        )
    )
    if group.members:
        template.add_resource(
            iam.UserToGroupAddition(
                names.logical_id("Members", group.name),
                GroupName=Ref(iam_group),
                Users=[Ref(names.logical_id("Member", member)) for member in group.members],
            )
        )


def _add_instance_role(template: Template, group: Group, stack: str) -> None:
    document = policies.instance_policy(group.name, group.analyses)
    role = template.add_resource(
        iam.Role(
            names.logical_id("InstanceRole", group.name),
            RoleName=names.instance_role(group.name),
            Path=names.INSTANCE_PATH,
            AssumeRolePolicyDocument=policies.trust("ec2.amazonaws.com"),
            Tags=parts.tags(stack, group=group.name),
            **({"Policies": [iam.Policy(PolicyName="neurocaas", PolicyDocument=document)]} if group.analyses else {}),
        )
    )
    template.add_resource(
        iam.InstanceProfile(
            names.logical_id("InstanceProfile", group.name),
            InstanceProfileName=names.instance_role(group.name),
            Path=names.INSTANCE_PATH,
            Roles=[Ref(role)],
        )
    )


def _add_member(template: Template, member: str, group: Group, stack: str) -> None:
    """A user, its access key, and the secret that holds the key."""
    user = template.add_resource(
        iam.User(
            names.logical_id("Member", member),
            UserName=member,
            Path=names.PATH,
            Tags=parts.tags(stack, group=group.name),
        )
    )
    key = template.add_resource(
        iam.AccessKey(names.logical_id("Key", member), UserName=Ref(user), Serial=group.key_serial, Status="Active")
    )
    content = {
        "AccessKeyId": f"${{{key.title}}}",
        "SecretAccessKey": f"${{{key.title}.SecretAccessKey}}",
        "group": group.name,
    }
    template.add_resource(
        secretsmanager.Secret(
            names.logical_id("Secret", member),
            Name=names.member_secret(member),
            Description=f"Access key of member {member} of group {group.name}.",
            SecretString=Sub(json.dumps(content, sort_keys=True)),
            Tags=parts.tags(stack, group=group.name),
            **parts.DELETE,
        )
    )


def _add_budgets(template: Template, group: Group, stack: str) -> None:
    for budget in group.budgets:
        template.add_resource(
            ssm.Parameter(
                names.logical_id("Budget", group.name, budget.analysis),
                Name=names.budget_parameter(group.name, budget.analysis),
                Type="String",
                Value=budget.usd,
                Description=f"USD group {group.name} may spend on {budget.analysis}.",
                Tags={names.STACK_TAG: stack, "group": group.name},
            )
        )
