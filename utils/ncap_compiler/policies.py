"""The security model: who may do what, as functions of names. Reading this module is reading the model.

People and instances of a group reach that group's folder and nothing else; the job manager of an analysis reaches
that analysis; monitor and sweeper reach buckets only where the bucket says so. No write action has resource `*`, no
AWS-managed policy is used, and only named instance roles may be passed on. Nothing else is decided here.

In S3 resource names `*` spans `/`, so `*/jobs/*` also matches `lab/inputs/jobs/x`: the control plane's own patterns
are that wide, those of people and instances begin with the group's name.
"""

from __future__ import annotations

from collections.abc import Sequence

from ncap_compiler import names
from ncap_compiler.document import Json
from ncap_compiler.statements import (
    Imported,
    Name,
    Statement,
    arn,
    bucket_arn,
    imported,
    objects,
    policy_document,
    role_arn,
)

MEMBER_FOLDERS = ("inputs", "configs", "submissions", "results")
"""Folders of a group its members see; `jobs` is the platform's."""

LEDGER_ACTIONS = (
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
"""Items only: no role may change or delete the table."""


def trust(service: str) -> dict[str, Json]:
    """Who may take a role: one AWS service."""
    return policy_document(Statement("Trust", ("sts:AssumeRole",), (), principals=(service,)))


def member_policy(group: str, analyses: Sequence[str]) -> dict[str, Json]:
    """Members of `group`: bring inputs and configs, submit, take results away; see nothing of other groups.

    Inputs cannot be read back, as the S3 contract has it. The folder itself may be listed only level by level
    (delimiter `/`), so that `jobs/` stays unseen. One statement a folder keeps the policy short: IAM counts it.
    """
    buckets = tuple(bucket_arn(analysis) for analysis in analyses)

    def folder(name: str) -> tuple[str, ...]:
        return tuple(key for analysis in analyses for key in objects(analysis, f"{group}/{name}/*"))

    listed = tuple(f"{group}/{name}/*" for name in MEMBER_FOLDERS)
    level = (("StringEquals", "s3:prefix", (f"{group}/",)), ("StringEquals", "s3:delimiter", ("/",)))
    upload = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
    return policy_document(
        Statement("FindBuckets", ("s3:GetBucketLocation",), buckets),
        Statement("ListTheFolder", ("s3:ListBucket",), buckets, level),
        Statement("ListItsFolders", ("s3:ListBucket",), buckets, (("StringLike", "s3:prefix", listed),)),
        Statement("Inputs", (*upload, "s3:DeleteObject"), folder("inputs")),
        Statement("Configs", (*upload, "s3:DeleteObject", "s3:GetObject"), folder("configs")),
        Statement("Submissions", upload, folder("submissions")),
        Statement("Results", ("s3:DeleteObject", "s3:GetObject"), folder("results")),
    )


def instance_policy(group: str, analyses: Sequence[str]) -> dict[str, Json]:
    """Instances working for `group`: read its data as it was submitted, write its results. Nothing else.

    Versions are listed to find the one a submission meant when a key was overwritten since. Results are read to see
    whose a key is that is already taken.
    """
    buckets = tuple(bucket_arn(analysis) for analysis in analyses)
    readable = tuple(
        key
        for analysis in analyses
        for key in objects(analysis, f"{group}/inputs/*", f"{group}/configs/*", f"{group}/jobs/*", f"{group}/results/*")
    )
    writable = tuple(key for analysis in analyses for key in objects(analysis, f"{group}/results/*"))
    versions = (("StringLike", "s3:prefix", (f"{group}/inputs/*", f"{group}/configs/*")),)
    return policy_document(
        Statement("Read", ("s3:GetObject", "s3:GetObjectVersion"), readable),
        Statement("FindVersions", ("s3:ListBucketVersions",), buckets, versions),
        Statement("WriteResults", ("s3:AbortMultipartUpload", "s3:PutObject"), writable),
    )


def submit_policy(
    analysis: str, groups: Sequence[str], *, instance_types: Sequence[str], environment: str | None
) -> dict[str, Json]:
    """The job manager of `analysis`: its ledger items, its bucket, its instances.

    It may list its whole bucket: only then does S3 tell a missing key (404) from a forbidden one (403).
    """
    function = names.submit_function(analysis)
    return policy_document(
        _ledger(),
        Statement("ListBucket", ("s3:ListBucket",), (bucket_arn(analysis),)),
        Statement(
            "ReadRequests",
            ("s3:GetObject", "s3:GetObjectVersion"),
            objects(analysis, "*/inputs/*", "*/configs/*", "*/submissions/*", "*/jobs/*", "versions/*"),
        ),
        Statement("ReadReports", ("s3:GetObject",), objects(analysis, "*/results/*/logs/*")),
        Statement(
            "WriteJobs",
            ("s3:PutObject",),
            objects(analysis, "*/jobs/*", "*/results/*/logs/certificate.txt", "*/results/*/process_results/end.txt"),
        ),
        Statement("ClearRunningRecords", ("s3:DeleteObject",), objects(analysis, "logs/active/*")),
        Statement(
            "ReadBudgets", ("ssm:GetParameter",), (arn("ssm", f"parameter{names.budget_parameter('*', analysis)}"),)
        ),
        *_launch(analysis, groups, instance_types=instance_types, environment=environment),
        Statement("ContinueQueue", ("lambda:InvokeFunction",), (arn("lambda", f"function:{function}"),)),
        *_report(function),
    )


def _launch(
    analysis: str, groups: Sequence[str], *, instance_types: Sequence[str], environment: str | None
) -> tuple[Statement, ...]:
    """Starting and ending instances of one analysis, in its environment, of its types, with its groups' roles."""
    run = ("ec2:RunInstances",)
    tagged = ("StringEquals", "aws:RequestTag/analysis", (analysis,))
    instance = (
        tagged,
        ("StringEquals", "ec2:InstanceType", tuple(instance_types)),
        ("StringEquals", "ec2:MetadataHttpTokens", ("required",)),
    )
    image = "arn:${AWS::Partition}:ec2:${AWS::Region}::image/"
    parts = (arn("ec2", "network-interface/*"), arn("ec2", "subnet/*"), arn("ec2", "volume/*"))
    group = Imported(arn("ec2", "security-group/${Imported}"), names.EXPORT_SECURITY_GROUP)
    found = [
        _see_instances(),
        Statement("LaunchFromTemplate", run, (arn("ec2", "launch-template/${LaunchTemplate}"),)),
        Statement("LaunchImage", run, (f"{image}${{ImageId}}",)),
        Statement("LaunchInstances", run, (arn("ec2", "instance/*"),), instance),
        Statement("LaunchParts", run, (*parts, group)),
        Statement(
            "TagAtLaunch",
            ("ec2:CreateTags",),
            (arn("ec2", "instance/*"), arn("ec2", "volume/*")),
            (("StringEquals", "ec2:CreateAction", ("RunInstances",)),),
        ),
        Statement(
            "EndInstances",
            ("ec2:TerminateInstances",),
            (arn("ec2", "instance/*"),),
            (("StringEquals", "aws:ResourceTag/analysis", (analysis,)),),
        ),
    ]
    if environment is not None:
        same = (("StringEquals", f"ec2:ResourceTag/{names.ENVIRONMENT_TAG}", (environment,)),)
        found.append(Statement("LaunchEarlierImages", run, (f"{image}*",), same))
    if groups:
        roles = tuple(role_arn(names.instance_role(name), names.INSTANCE_PATH) for name in groups)
        to_ec2 = (("StringEquals", "iam:PassedToService", ("ec2.amazonaws.com",)),)
        found.append(Statement("PassInstanceRoles", ("iam:PassRole",), roles, to_ec2))
    return tuple(found)


def postprocess_policy(analysis: str) -> dict[str, Json]:
    """The step after a job of `analysis`: read what the job left, write a config and a submission of its own."""
    return policy_document(
        Statement("ListBucket", ("s3:ListBucket",), (bucket_arn(analysis),)),
        Statement("Read", ("s3:GetObject",), objects(analysis, "*/configs/*", "*/results/*", "*/submissions/*")),
        Statement(
            "FollowUp", ("s3:PutObject",), objects(analysis, "*/configs/*", "*/submissions/*", "*/process_results/*")
        ),
        *_report(names.postprocess_function(analysis)),
    )


def monitor_policy() -> dict[str, Json]:
    """The monitor: ledger items, watching instances, ending the platform's own, waking job managers."""
    return policy_document(_ledger(), *_watch(), *_report(names.MONITOR_FUNCTION, exported=False))


def sweeper_policy() -> dict[str, Json]:
    """The sweeper: what the monitor may do; its Query reaches the index of everything open."""
    return policy_document(_ledger(), *_watch(), *_report(names.SWEEPER_FUNCTION, exported=False))


def _watch() -> tuple[Statement, ...]:
    ours = (
        ("StringEquals", "aws:ResourceTag/PriceTracking", ("On",)),
        ("Null", "aws:ResourceTag/analysis", ("false",)),
    )
    functions = (arn("lambda", "function:neurocaas-submit-*"), arn("lambda", "function:neurocaas-postprocess-*"))
    return (
        _see_instances(),
        Statement("EndInstances", ("ec2:TerminateInstances",), (arn("ec2", "instance/*"),), ours),
        Statement("WakeJobManagers", ("lambda:InvokeFunction",), functions),
    )


def _see_instances() -> Statement:
    """Reading only; EC2 knows no resource to limit it to."""
    return Statement("SeeInstances", ("ec2:DescribeInstances",), ("*",))


def _ledger() -> Statement:
    table = arn("dynamodb", f"table/{names.LEDGER_TABLE}")
    return Statement("Ledger", LEDGER_ACTIONS, (table, f"{table}/index/*"))


def _report(function: str, *, exported: bool = True) -> tuple[Statement, ...]:
    """A function's own log, its failed events, and notices to the operators.

    `exported`: topic and queue belong to another stack than the function's.
    """
    topic: Name = imported(names.EXPORT_TOPIC_ARN) if exported else "${Topic}"
    queue: Name = imported(names.EXPORT_DEAD_LETTER_ARN) if exported else "${DeadLetters.Arn}"
    group = arn("logs", f"log-group:{names.log_group(function)}:*")
    return (
        Statement("Log", ("logs:CreateLogStream", "logs:PutLogEvents"), (group,)),
        Statement("KeepFailedEvents", ("sqs:SendMessage",), (queue,)),
        Statement("Notify", ("sns:Publish",), (topic,)),
    )


def secure_transport(bucket: str) -> Statement:
    """No plain HTTP to `bucket`."""
    return Statement(
        "DenyPlainHttp",
        ("s3:*",),
        (bucket_arn(bucket), f"{bucket_arn(bucket)}/*"),
        (("Bool", "aws:SecureTransport", ("false",)),),
        principals=("*",),
        effect="Deny",
    )


def control_plane_access(analysis: str) -> tuple[Statement, ...]:
    """What the bucket of `analysis` lets monitor and sweeper do: settle records, write certificates and end marks.

    Listing is on the whole bucket for the same reason as the job manager's: 404 and 403 must differ.
    """
    roles = (names.MONITOR_ROLE, names.SWEEPER_ROLE)
    return (
        Statement("ControlPlaneLists", ("s3:ListBucket",), (bucket_arn(analysis),), principals=roles),
        Statement(
            "ControlPlaneReads",
            ("s3:GetObject",),
            objects(analysis, "*/results/*/logs/*", "*/jobs/*", "logs/*", "versions/*"),
            principals=roles,
        ),
        Statement(
            "ControlPlaneWrites",
            ("s3:PutObject",),
            objects(analysis, "*/results/*/logs/certificate.txt", "*/results/*/process_results/end.txt", "logs/*"),
            principals=roles,
        ),
        Statement("ControlPlaneSettles", ("s3:DeleteObject",), objects(analysis, "logs/active/*"), principals=roles),
    )


def topic_access() -> Statement:
    """What the notification topic takes: alarms and budget notices of this account."""
    return Statement(
        "AlarmsAndBudgets",
        ("sns:Publish",),
        ("${Topic}",),
        (("StringEquals", "aws:SourceAccount", ("${AWS::AccountId}",)),),
        principals=("budgets.amazonaws.com", "cloudwatch.amazonaws.com"),
    )
