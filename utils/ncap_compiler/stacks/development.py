"""The development stack: the security group and the role of instances developers work on. One an account and region.

Instances are launched by `ncap instance`, not by CloudFormation; taking the stack away takes their rights.
"""

from __future__ import annotations

from troposphere import AWSObject, Equals, GetAtt, Not, Output, Parameter, Ref, Template, iam

from ncap_compiler import development_policies, names, policies
from ncap_compiler.document import Json
from ncap_compiler.stacks import parts
from ncap_compiler.statements import policy_document

_PORTS = {443: "Packages, source code and AWS services", 80: "Signed packages of the operating system"}


def build_development() -> dict[str, Json]:
    """The template of the development stack."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description("NeuroCAAS development instances: no way in but Systems Manager, and rights of their own.")
    template.add_parameter(
        Parameter(
            "VpcId",
            Type="String",
            Default="",
            AllowedPattern="(vpc-[0-9a-f]+)?",
            Description="Network of the instances. Empty: the default network.",
        )
    )
    template.add_condition("VpcNamed", Not(Equals(Ref("VpcId"), "")))
    parts.add_shared_parameters(template)
    group = parts.add_outgoing_group(
        template,
        names.DEVELOPMENT_STACK,
        description="NeuroCAAS development instances: nothing in, packages and AWS services out.",
        ports=_PORTS,
    )
    profile = _add_profile(template)
    outputs = {
        "Profile": (Ref(profile), "Instance profile of development instances."),
        "SecurityGroup": (GetAtt(group, "GroupId"), "Security group of development instances."),
    }
    for name, (value, description) in outputs.items():
        template.add_output(Output(name, Value=value, Description=description))
    return parts.structure(template)


def _add_profile(template: Template) -> AWSObject:
    """The role of the instances, and the profile that hands it out."""
    role = template.add_resource(
        iam.Role(
            "Role",
            Path=names.PATH,
            AssumeRolePolicyDocument=policies.trust("ec2.amazonaws.com"),
            PermissionsBoundary=parts.boundary(),
            Policies=[parts.inline_policy(policy_document(*development_policies.develop()))],
            Tags=parts.tags(names.DEVELOPMENT_STACK),
        )
    )
    return template.add_resource(iam.InstanceProfile("Profile", Path=names.PATH, Roles=[Ref(role)]))
