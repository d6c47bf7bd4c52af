"""The environment stack: what EC2 Image Builder needs to make the AMIs of one recipe, and to try them.

Its own security group, two roles and nothing of the account's but the artifact bucket. What Image Builder makes is
named after the build and never changed; another recipe is another build. AMIs stay when the stack goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import (
    AWSObject,
    Equals,
    GetAtt,
    If,
    Not,
    NoValue,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    iam,
    imagebuilder,
    logs,
)

from ncap_compiler import defaults, image_policies, names, policies
from ncap_compiler.document import Json
from ncap_compiler.image_component import BASE_SYSTEMS, BaseSystem, component_document
from ncap_compiler.stacks import parts
from ncap_compiler.statements import policy_document

VERSION = "1.0.0"
IMAGE_TIMEOUT_MINUTES = 180


@dataclass(frozen=True, slots=True)
class EnvironmentBuild:
    """One build of a recipe: `archive_sha256` names the archive in the artifact bucket, `build` is in every name."""

    environment: str
    digest: str
    build: str
    archive_sha256: str
    base: str
    python: str
    os_packages: tuple[str, ...]
    architecture: str
    instance_type: str
    has_gpu: bool
    volume_gib: int
    regions: tuple[str, ...]
    """Where the AMI is copied to beside the stack's own region."""

    @property
    def stack(self) -> str:
        """Its stack's name."""
        return names.environment_stack(self.environment)

    @property
    def name(self) -> str:
        """What Image Builder's resources are called."""
        return names.environment_build(self.environment, self.build)

    @property
    def system(self) -> BaseSystem:
        """The system it is built on."""
        return BASE_SYSTEMS[self.base]

    @property
    def parent(self) -> str:
        """The public SSM parameter of the image it starts from. Raises KeyError for an architecture without one."""
        found = self.system.gpu_parents if self.has_gpu else self.system.parents
        return found[self.architecture]


def build_environment(build: EnvironmentBuild) -> dict[str, Json]:
    """The template of the environment stack."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description(f"NeuroCAAS environment {build.environment}: AMIs of its recipe, by EC2 Image Builder.")
    _add_parameters(template, build)
    parts.add_shared_parameters(template)
    group = _add_security_group(template, build)
    log = _add_log(template, build)
    builder = _add_profile(
        template, build, "Builder", policy_document(*image_policies.build_image(build.name, _key(build)))
    )
    tried = policy_document(*image_policies.try_image(build.environment))
    verifier = _add_profile(template, build, "Verifier", tried)
    image = _add_image(template, build, builder, group)
    image.DependsOn = [log.title, "BuilderRole"]
    outputs = {
        "ImageId": (GetAtt(image, "ImageId"), "The AMI in this region."),
        "VerifierProfile": (Ref(verifier), "Instance profile for trying an AMI."),
        "SecurityGroup": (GetAtt(group, "GroupId"), "Security group for trying an AMI."),
    }
    for name, (value, said) in outputs.items():
        template.add_output(Output(name, Value=value, Description=said))
    return parts.structure(template)


def _key(build: EnvironmentBuild) -> str:
    return names.environment_archive_key(build.archive_sha256)


def _add_parameters(template: Template, build: EnvironmentBuild) -> None:
    said = [
        ("ParentImage", f"ssm:{build.parent}", "(ami-[0-9a-f]+|ssm:/.+)", "The image to start from."),
        ("InstanceType", build.instance_type, "[a-z][a-z0-9-]*[.][a-z0-9-]+", "Type of the building instance."),
        ("VpcId", "", "(vpc-[0-9a-f]+)?", "Network to build in. Empty: the default network."),
        ("SubnetId", "", "(subnet-[0-9a-f]+)?", "Subnet of VpcId, with a way out. Empty: the default network's."),
    ]
    for name, default, pattern, description in said:
        template.add_parameter(
            Parameter(name, Type="String", Default=default, AllowedPattern=pattern, Description=description)
        )
    template.add_condition("VpcNamed", Not(Equals(Ref("VpcId"), "")))
    template.add_condition("SubnetNamed", Not(Equals(Ref("SubnetId"), "")))


def _add_security_group(template: Template, build: EnvironmentBuild) -> AWSObject:
    """Nothing comes in; packages and AWS's services go out."""
    ports = {443: "Packages and AWS services"} | ({80: "Signed packages of Ubuntu"} if build.system.needs_http else {})
    return parts.add_outgoing_group(
        template,
        build.stack,
        description="Building and trying a NeuroCAAS environment: nothing in, packages and AWS services out.",
        ports=ports,
    )


def _add_log(template: Template, build: EnvironmentBuild) -> AWSObject:
    return template.add_resource(
        logs.LogGroup(
            "BuildLog",
            LogGroupName=f"/aws/imagebuilder/{build.name}",
            RetentionInDays=defaults.LOG_RETENTION_DAYS,
            KmsKeyId=parts.own_key(),
            Tags=parts.tags(build.stack),
            **parts.DELETE,
        )
    )


def _add_profile(template: Template, build: EnvironmentBuild, title: str, policy: dict[str, Json]) -> AWSObject:
    """A role for instances, and the profile that hands it out."""
    role = template.add_resource(
        iam.Role(
            f"{title}Role",
            Path=names.PATH,
            AssumeRolePolicyDocument=policies.trust("ec2.amazonaws.com"),
            PermissionsBoundary=parts.boundary(),
            Policies=[parts.inline_policy(policy)],
            Tags=parts.tags(build.stack),
        )
    )
    return template.add_resource(iam.InstanceProfile(f"{title}Profile", Path=names.PATH, Roles=[Ref(role)]))


def _add_image(template: Template, build: EnvironmentBuild, profile: AWSObject, group: AWSObject) -> AWSObject:
    tagged = {names.STACK_TAG: build.stack, names.ENVIRONMENT_TAG: build.environment}
    return template.add_resource(
        imagebuilder.Image(
            "Image",
            ImageRecipeArn=Ref(_add_recipe(template, build, tagged)),
            InfrastructureConfigurationArn=Ref(_add_infrastructure(template, build, profile, group, tagged)),
            DistributionConfigurationArn=Ref(_add_distribution(template, build, tagged)),
            EnhancedImageMetadataEnabled=True,
            ImageTestsConfiguration=imagebuilder.ImageTestsConfiguration(
                ImageTestsEnabled=True, TimeoutMinutes=IMAGE_TIMEOUT_MINUTES
            ),
            Tags=tagged,
        )
    )


def _add_recipe(template: Template, build: EnvironmentBuild, tagged: dict[str, str]) -> AWSObject:
    """What is done to the parent image: one component, told which archive."""
    component = template.add_resource(
        imagebuilder.Component(
            "Component",
            Name=build.name,
            Version=VERSION,
            Platform="Linux",
            Description=f"Installs environment {build.environment}.",
            Data=component_document(build.system, build.python, build.os_packages),
            Tags=tagged,
        )
    )
    archive = Sub(f"s3://{names.artifact_bucket()}/{_key(build)}")
    values = {"Archive": archive, "Sha256": build.archive_sha256}
    parameters = [imagebuilder.ComponentParameter(Name=name, Value=[value]) for name, value in values.items()]
    disk = imagebuilder.EbsInstanceBlockDeviceSpecification(
        VolumeType="gp3",
        VolumeSize=build.volume_gib,
        Encrypted=True,
        DeleteOnTermination=True,
        KmsKeyId=parts.own_key(),
    )
    return template.add_resource(
        imagebuilder.ImageRecipe(
            "ImageRecipe",
            Name=build.name,
            Version=VERSION,
            ParentImage=Ref("ParentImage"),
            Components=[imagebuilder.ComponentConfiguration(ComponentArn=Ref(component), Parameters=parameters)],
            BlockDeviceMappings=[
                imagebuilder.InstanceBlockDeviceMapping(DeviceName=build.system.root_device, Ebs=disk)
            ],
            Tags=tagged,
        )
    )


def _add_infrastructure(
    template: Template, build: EnvironmentBuild, profile: AWSObject, group: AWSObject, tagged: dict[str, str]
) -> AWSObject:
    return template.add_resource(
        imagebuilder.InfrastructureConfiguration(
            "Infrastructure",
            Name=build.name,
            Description="Where the AMI is built: no way in, IMDSv2 only, gone when it fails.",
            InstanceProfileName=Ref(profile),
            InstanceTypes=[Ref("InstanceType")],
            SecurityGroupIds=[GetAtt(group, "GroupId")],
            SubnetId=If("SubnetNamed", Ref("SubnetId"), NoValue),
            TerminateInstanceOnFailure=True,
            InstanceMetadataOptions=imagebuilder.InstanceMetadataOptions(
                HttpTokens="required", HttpPutResponseHopLimit=1
            ),
            ResourceTags=tagged,
            Tags=tagged,
        )
    )


def _add_distribution(template: Template, build: EnvironmentBuild, tagged: dict[str, str]) -> AWSObject:
    """The AMI in every region, marked as one that still has to pass the analysis's sample."""
    ami = {
        "Name": f"{build.name} {{{{ imagebuilder:buildDate }}}}",
        "Description": f"NeuroCAAS environment iae:{build.environment}@sha256:{build.digest}",
        "AmiTags": {**tagged, names.CANDIDATE_TAG: f"sha256:{build.digest}"},
    }
    elsewhere = [region for region in build.regions if region]
    here = imagebuilder.Distribution(
        Region=Ref("AWS::Region"), AmiDistributionConfiguration=imagebuilder.AmiDistributionConfiguration(**ami)
    )
    copies = [
        imagebuilder.Distribution(
            Region=region, AmiDistributionConfiguration=imagebuilder.AmiDistributionConfiguration(**ami)
        )
        for region in elsewhere
    ]
    return template.add_resource(
        imagebuilder.DistributionConfiguration(
            "Distribution",
            Name=build.name,
            Description="Regions of the AMI; a candidate until it has passed the analysis's own sample.",
            Distributions=[here, *copies],
            Tags=tagged,
        )
    )
