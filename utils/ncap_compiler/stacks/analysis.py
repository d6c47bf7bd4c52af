"""The analysis stack: bucket, job manager and launch template of one blueprint.

The bucket has a known name, so that the function's permission can come before the bucket's notifications. Users and
their rights are in the users stack; this one changes only with the blueprint.
"""

from __future__ import annotations

from functools import partial

from troposphere import AWSObject, Equals, GetAtt, Not, Output, Parameter, Ref, Sub, Template, awslambda, ec2, s3, ssm

from ncap_compiler import defaults, names, policies
from ncap_compiler.blueprint import Blueprint
from ncap_compiler.blueprint_checks import ROLE_CHARACTERS, roles_length
from ncap_compiler.document import Json
from ncap_compiler.spread import Spread, managed_policies, spread
from ncap_compiler.stacks import parts
from ncap_compiler.template import MAX_LISTED, MAX_ROLE_POLICIES


def build_analysis(blueprint: Blueprint, *, bundle_sha256: str, version_id: str) -> dict[str, Json]:
    """The template of the analysis stack; the function serves version `version_id` by default."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description(f"NeuroCAAS analysis {blueprint.analysis}: bucket, job manager, launch template.")
    _add_parameters(template, blueprint)
    _add_version_parameters(template, blueprint, version_id)
    _add_launch_template(template, blueprint)
    submit = _add_submit(template, blueprint, bundle_sha256)
    listeners = [(defaults.SUBMISSION_SUFFIX, submit)]
    if blueprint.post_handler is not None:
        listeners.append((blueprint.post_trigger, _add_postprocess(template, blueprint, bundle_sha256)))
    _add_bucket(template, blueprint, listeners)
    _add_served_version(template, blueprint)
    return parts.structure(template)


def _add_parameters(template: Template, blueprint: Blueprint) -> None:
    parts.add_bucket_parameters(template)
    parts.add_shared_parameters(template)
    literal = {} if blueprint.hardware.environment_name else {"Default": blueprint.hardware.ami}
    template.add_parameter(
        Parameter(
            "ImageId",
            Type="AWS::EC2::Image::Id",
            Description="The AMI the environment resolves to in this region.",
            **literal,
        )
    )
    template.add_parameter(
        Parameter(
            "RootDevice",
            Type="String",
            Default="/dev/xvda",
            AllowedPattern="/dev/[a-z0-9]+",
            Description="Root device of the AMI; /dev/sda1 on some systems.",
        )
    )


def _add_version_parameters(template: Template, blueprint: Blueprint, version_id: str) -> None:
    """What makes kept versions run, and one of them the default, without compiling their documents again."""
    listed: list[tuple[str, str, str, str]] = [
        (
            "InstanceTypes",
            ",".join(blueprint.hardware.allowed_instance_types),
            "[a-z][a-z0-9-]*[.][a-z0-9-]+(,[a-z][a-z0-9-]*[.][a-z0-9-]+)*",
            "Instance types the job manager may start, with commas: those of every version kept.",
        ),
        (
            "EarlierImages",
            "",
            "(arn:[a-z-]+:ec2:[a-z0-9-]+::image/ami-[0-9a-f]+(,arn:[a-z-]+:ec2:[a-z0-9-]+::image/ami-[0-9a-f]+)*)?",
            "ARNs of images of kept versions that the environment's tag does not cover, with commas.",
        ),
    ]
    for name, default, pattern, description in listed:
        template.add_parameter(
            Parameter(
                name,
                Type="String",
                Default=default,
                AllowedPattern=pattern,
                MaxLength=MAX_LISTED,
                Description=description,
            )
        )
    template.add_condition("EarlierImagesGiven", Not(Equals(Ref("EarlierImages"), "")))
    template.add_parameter(
        Parameter(
            "VersionId",
            Type="String",
            Default=version_id,
            AllowedPattern="v-[0-9a-f]{16}",
            Description="The version served by default; the bucket has its document.",
        )
    )


def _add_launch_template(template: Template, blueprint: Blueprint) -> None:
    stack = blueprint.analysis
    disk = ec2.EBSBlockDevice(
        VolumeType="gp3",
        VolumeSize=blueprint.hardware.volume_size_gib,
        Encrypted=True,
        DeleteOnTermination=True,
        KmsKeyId=parts.own_key(),
    )
    metadata = ec2.MetadataOptions(
        HttpEndpoint="enabled", HttpTokens="required", HttpPutResponseHopLimit=1, InstanceMetadataTags="disabled"
    )
    template.add_resource(
        ec2.LaunchTemplate(
            "LaunchTemplate",
            LaunchTemplateName=names.launch_template(blueprint.analysis),
            LaunchTemplateData=ec2.LaunchTemplateData(
                ImageId=Ref("ImageId"),
                SecurityGroupIds=[parts.imported(names.EXPORT_SECURITY_GROUP)],
                BlockDeviceMappings=[ec2.LaunchTemplateBlockDeviceMapping(DeviceName=Ref("RootDevice"), Ebs=disk)],
                MetadataOptions=metadata,
                InstanceInitiatedShutdownBehavior="terminate",
            ),
            TagSpecifications=[ec2.TagSpecifications(ResourceType="launch-template", Tags=parts.tags(stack))],
        )
    )


def _add_submit(template: Template, blueprint: Blueprint, bundle_sha256: str) -> AWSObject:
    hardware = blueprint.hardware
    name = names.submit_function(blueprint.analysis)
    return parts.add_function(
        template,
        parts.FunctionSpec(
            title="Submit",
            name=name,
            role=name,
            handler=blueprint.handler,
            bundle_sha256=bundle_sha256,
            artifact_bucket=parts.imported(names.EXPORT_ARTIFACT_BUCKET),
            timeout_s=hardware.submit_timeout_s,
            concurrency=defaults.SUBMIT_CONCURRENCY,
            environment={
                "ANALYSIS_BUCKET": blueprint.analysis,
                "VERSION_ID": Ref("VersionId"),
                "LEDGER_TABLE": names.LEDGER_TABLE,
                "SUBNET_IDS": parts.imported(names.EXPORT_SUBNETS),
                "VOLUME_KEY_ARN": parts.own_key(),
            },
            policy=_submit_policy(blueprint),
            dead_letters=parts.imported(names.EXPORT_DEAD_LETTER_ARN),
            description=f"Starts the jobs of {blueprint.analysis}.",
        ),
        blueprint.analysis,
    )


def _submit_policy(blueprint: Blueprint) -> Spread:
    """The job manager's rights; the instance roles of many groups need more than its inline policy."""
    all_roles = 2 * roles_length(blueprint.group_names) > ROLE_CHARACTERS
    found = spread(
        blueprint.group_names,
        inline=partial(
            policies.submit_policy,
            blueprint.analysis,
            environment=blueprint.hardware.environment_name,
            all_roles=all_roles,
        ),
        further=partial(policies.pass_policy, all_roles=all_roles),
        limit=MAX_ROLE_POLICIES,
    )
    steps = managed_policies(blueprint.next_analyses, policies.hand_over_policy)
    return Spread(found.inline, (*found.managed, *steps))


def _add_postprocess(template: Template, blueprint: Blueprint, bundle_sha256: str) -> AWSObject:
    name = names.postprocess_function(blueprint.analysis)
    return parts.add_function(
        template,
        parts.FunctionSpec(
            title="Postprocess",
            name=name,
            role=name,
            handler=str(blueprint.post_handler),
            bundle_sha256=bundle_sha256,
            artifact_bucket=parts.imported(names.EXPORT_ARTIFACT_BUCKET),
            timeout_s=blueprint.hardware.submit_timeout_s,
            concurrency=defaults.SUBMIT_CONCURRENCY,
            environment={"ANALYSIS_BUCKET": blueprint.analysis, "LEDGER_TABLE": names.LEDGER_TABLE},
            policy=Spread(policies.postprocess_policy(blueprint.analysis), ()),
            dead_letters=parts.imported(names.EXPORT_DEAD_LETTER_ARN),
            description=f"Runs after the jobs of {blueprint.analysis}.",
        ),
        blueprint.analysis,
    )


def _add_bucket(template: Template, blueprint: Blueprint, listeners: list[tuple[str, AWSObject]]) -> None:
    """The bucket and its policy. Each listener is a suffix of keys and the function that hears of them."""
    permissions = [_add_permission(template, blueprint, function) for _, function in listeners]
    bucket = template.add_resource(
        s3.Bucket(
            "Bucket",
            BucketName=blueprint.analysis,
            LifecycleConfiguration=s3.LifecycleConfiguration(Rules=[*parts.housekeeping_rules(), *_expiry(blueprint)]),
            NotificationConfiguration=s3.NotificationConfiguration(
                LambdaConfigurations=[
                    s3.LambdaConfigurations(
                        Event="s3:ObjectCreated:*",
                        Function=GetAtt(function, "Arn"),
                        Filter=s3.Filter(S3Key=s3.S3Key(Rules=[s3.Rules(Name="suffix", Value=suffix)])),
                    )
                    for suffix, function in listeners
                ]
            ),
            Tags=parts.tags(blueprint.analysis),
            DependsOn=permissions,
            **parts.bucket_protection(blueprint.analysis),
            **parts.RETAIN,
        )
    )
    template.add_resource(
        parts.bucket_policy(
            "BucketPolicy",
            bucket,
            policies.secure_transport(blueprint.analysis),
            policies.control_plane_access(blueprint.analysis),
        )
    )
    template.add_output(Output("AnalysisBucket", Value=Ref(bucket), Description="Where groups bring data and submit."))


def _add_served_version(template: Template, blueprint: Blueprint) -> None:
    """Tells the analyses that hand results to this one which version takes them."""
    template.add_resource(
        ssm.Parameter(
            "ServedVersion",
            Name=names.version_parameter(blueprint.analysis),
            Type="String",
            Value=Ref("VersionId"),
            Description=f"The version {blueprint.analysis} serves by default.",
            Tags={names.STACK_TAG: blueprint.analysis},
        )
    )


def _add_permission(template: Template, blueprint: Blueprint, function: AWSObject) -> str:
    permission = awslambda.Permission(
        f"{function.title}Permission",
        Action="lambda:InvokeFunction",
        FunctionName=Ref(function),
        Principal="s3.amazonaws.com",
        SourceAccount=Ref("AWS::AccountId"),
        SourceArn=Sub(f"arn:${{AWS::Partition}}:s3:::{blueprint.analysis}"),
    )
    return str(template.add_resource(permission).title)


def _expiry(blueprint: Blueprint) -> list[AWSObject]:
    """With `Retention`, results of each group go after so many days."""
    if blueprint.retention_days is None:
        return []
    return [
        s3.LifecycleRule(
            Id=f"results-of-{group}",
            Status="Enabled",
            Prefix=f"{group}/results/",
            ExpirationInDays=blueprint.retention_days,
        )
        for group in blueprint.group_names
    ]
