"""The security model: who may do what, as functions of names. Reading this module is reading the model.

People and instances of a group reach that group's folder and nothing else; the job manager of an analysis reaches
that analysis; monitor and sweeper reach buckets only where the bucket says so. No write action has resource `*`, no
AWS-managed policy is used, and only named instance roles may be passed on. Nothing else is decided here.

Statements named `OwnKey…` are there only with the parameter `KmsKeyArn`: then data is under that key, and whoever
reads or writes it needs the key too, through the services that hold the data and no other way.

In S3 resource names `*` spans `/`, so `*/jobs/*` also matches `lab/inputs/jobs/x`: the control plane's own patterns
are that wide, those of people and instances begin with the group's name.
"""

from __future__ import annotations

from collections.abc import Sequence

from ncap_compiler import names
from ncap_compiler.document import Json
from ncap_compiler.statements import (
    Imported,
    Listed,
    Name,
    Statement,
    arn,
    bucket_arn,
    imported,
    objects,
    policy_document,
    role_arn,
)

OWN_KEY = ("${KmsKeyArn}",)
OWN_KEY_GIVEN = "OwnKeyGiven"
"""The parameter that names the own key, and the condition that there is one."""

MEMBER_FOLDERS = ("inputs", "configs", "submissions", "results")
"""Folders of a group its members see; `jobs` is the platform's."""

DATA_FOLDERS = ("inputs", "configs", "results")
"""Folders of a group that hold data of jobs."""

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

FUNCTION_DATA = ("dynamodb", "s3", "sns", "sqs")
"""Services through which functions use the own key."""


def trust(service: str) -> dict[str, Json]:
    """Who may take a role: one AWS service."""
    return policy_document(Statement("Trust", ("sts:AssumeRole",), (), principals=(service,)))


def member_policy(group: str, analyses: Sequence[str], *, further: bool = False) -> dict[str, Json]:
    """Members of `group`: bring inputs and configs, submit, take results away; see nothing of other groups.

    Inputs cannot be read back, as the S3 contract has it. The folder itself may be listed only level by level
    (delimiter `/`), so that `jobs/` stays unseen. One statement a folder keeps the policy short: IAM counts it.
    `further`: a policy beside a first one, for more analyses.
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
        *(() if further else (_own_key("s3"),)),
    )


def shared_policy(group: str, analyses: Sequence[str]) -> dict[str, Json]:
    """Members of a collaborator of `group`: list and read its results. Nothing else of it."""
    buckets = tuple(bucket_arn(analysis) for analysis in analyses)
    results = tuple(key for analysis in analyses for key in objects(analysis, f"{group}/results/*"))
    return policy_document(
        Statement("ListResults", ("s3:ListBucket",), buckets, (("StringLike", "s3:prefix", (f"{group}/results/*",)),)),
        Statement("ReadResults", ("s3:GetObject",), results),
        _own_key("s3"),
    )


def instance_policy(group: str, analyses: Sequence[str], *, further: bool = False) -> dict[str, Json]:
    """Instances working for `group`: read its data as it was submitted, write its results. Nothing else.

    Versions are listed to find the one a submission meant when a key was overwritten since. Results are read to see
    whose a key is that is already taken, and because they may be the data of another job; the widefield client looks
    for its results below configs. `further`: a policy beside a first one, for more analyses.
    """
    buckets = tuple(bucket_arn(analysis) for analysis in analyses)
    readable = tuple(
        key
        for analysis in analyses
        for key in objects(analysis, f"{group}/inputs/*", f"{group}/configs/*", f"{group}/jobs/*", f"{group}/results/*")
    )
    writable = tuple(
        key for analysis in analyses for key in objects(analysis, f"{group}/results/*", f"{group}/configs/*/results/*")
    )
    folders = (("StringLike", "s3:prefix", tuple(f"{group}/{name}/*" for name in DATA_FOLDERS)),)
    return policy_document(
        Statement("Read", ("s3:GetObject", "s3:GetObjectVersion"), readable),
        Statement("Find", ("s3:ListBucket", "s3:ListBucketVersions"), buckets, folders),
        Statement("WriteResults", ("s3:AbortMultipartUpload", "s3:PutObject"), writable),
        *(() if further else (_own_key("s3"),)),
    )


def submit_policy(
    analysis: str,
    groups: Sequence[str],
    *,
    environment: str | None,
    all_roles: bool = False,
) -> dict[str, Json]:
    """The job manager of `analysis`: its ledger items, its bucket, its instances.

    It may list its whole bucket: only then does S3 tell a missing key (404) from a forbidden one (403). `groups` are
    those whose instance roles it may pass on by this policy; `pass_policy` has the others. `all_roles`: see
    `_pass`.
    """
    function = names.submit_function(analysis)
    budgets = (names.budget_parameter("*", analysis), names.budget_parameter("*", names.TOTAL_BUDGET))
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
        Statement("ReadBudgets", ("ssm:GetParameters",), tuple(arn("ssm", f"parameter{name}") for name in budgets)),
        _read_prices(),
        *_launch(analysis, environment),
        *(_pass(groups, all_roles=all_roles) if groups else ()),
        Statement("ContinueQueue", ("lambda:InvokeFunction",), (arn("lambda", f"function:{function}"),)),
        *_report(function),
        *_function_key(function, *FUNCTION_DATA),
        *_volume_key(),
    )


def pass_policy(groups: Sequence[str], *, all_roles: bool = False) -> dict[str, Json]:
    """For job managers of many groups: the instance roles their first policy has no room for."""
    return policy_document(*_pass(groups, all_roles=all_roles))


def _pass(groups: Sequence[str], *, all_roles: bool) -> tuple[Statement, ...]:
    """Roles the job manager gives to instances, and takes to look with a group's own rights at its addresses.

    `all_roles`: too many to be named twice; then the trust of each role alone says which job managers may take it.
    """
    roles = tuple(role_arn(names.instance_role(name), names.INSTANCE_PATH) for name in groups)
    to_ec2 = (("StringEquals", "iam:PassedToService", ("ec2.amazonaws.com",)),)
    taken = (role_arn(names.instance_role("*"), names.INSTANCE_PATH),) if all_roles else roles
    return (
        Statement("PassInstanceRoles", ("iam:PassRole",), roles, to_ec2),
        Statement("LookAsGroups", ("sts:AssumeRole",), taken),
    )


def hand_over_policy(following: Sequence[str]) -> dict[str, Json]:
    """For job managers with steps: see what the next analyses take, and submit to them as a member would.

    Nothing else of theirs is read, and nothing overwritten that the platform wrote.
    """
    versions = tuple(key for name in following for key in objects(name, "versions/*"))
    written = tuple(key for name in following for key in objects(name, "*/configs/*", "*/submissions/*"))
    served = tuple(arn("ssm", f"parameter{names.version_parameter(name)}") for name in following)
    return policy_document(
        Statement("FindNextVersions", ("ssm:GetParameters",), served),
        Statement("ReadNextVersions", ("s3:GetObject",), versions),
        Statement("SubmitNext", ("s3:PutObject",), written),
    )


def _launch(analysis: str, environment: str | None) -> tuple[Statement, ...]:
    """Starting and ending instances of one analysis, in its environment, of its types.

    Versions that are kept run their own images: those tagged with the environment, or listed one by one.
    """
    run = ("ec2:RunInstances",)
    instance = (
        ("StringEquals", "aws:RequestTag/analysis", (analysis,)),
        ("StringEquals", "ec2:InstanceType", Listed("InstanceTypes")),
        ("StringEquals", "ec2:MetadataHttpTokens", ("required",)),
    )
    image = "arn:${AWS::Partition}:ec2:${AWS::Region}::image/"
    parts = tuple(
        arn("ec2", f"{part}/*") for part in ("network-interface", "spot-instances-request", "subnet", "volume")
    )
    group = Imported(arn("ec2", "security-group/${Imported}"), names.EXPORT_SECURITY_GROUP)
    created = (("StringEquals", "ec2:CreateAction", ("RunInstances",)),)
    own = (("StringEquals", "aws:ResourceTag/analysis", (analysis,)),)
    same = (("StringEquals", f"ec2:ResourceTag/{names.ENVIRONMENT_TAG}", (environment or "",)),)
    return (
        _see_instances(),
        Statement("LaunchFromTemplate", run, (arn("ec2", "launch-template/${LaunchTemplate}"),)),
        Statement("LaunchImage", run, (f"{image}${{ImageId}}",)),
        Statement("LaunchKeptImages", run, Listed("EarlierImages"), when="EarlierImagesGiven"),
        *((Statement("LaunchEarlierImages", run, (f"{image}*",), same),) if environment else ()),
        Statement("LaunchInstances", run, (arn("ec2", "instance/*"),), instance),
        Statement("LaunchParts", run, (*parts, group)),
        Statement("TagAtLaunch", ("ec2:CreateTags",), (arn("ec2", "instance/*"), arn("ec2", "volume/*")), created),
        Statement("EndInstances", ("ec2:TerminateInstances",), (arn("ec2", "instance/*"),), own),
    )


def postprocess_policy(analysis: str) -> dict[str, Json]:
    """The step after a job of `analysis`: read what the job left, write a config and a submission of its own."""
    function = names.postprocess_function(analysis)
    return policy_document(
        Statement("ListBucket", ("s3:ListBucket",), (bucket_arn(analysis),)),
        Statement("Read", ("s3:GetObject",), objects(analysis, "*/configs/*", "*/results/*", "*/submissions/*")),
        Statement(
            "FollowUp", ("s3:PutObject",), objects(analysis, "*/configs/*", "*/submissions/*", "*/process_results/*")
        ),
        *_report(function),
        *_function_key(function, "s3", "sns", "sqs"),
    )


def monitor_policy() -> dict[str, Json]:
    """The monitor: ledger items, watching instances, ending the platform's own, waking job managers."""
    return _watch(names.MONITOR_FUNCTION)


def sweeper_policy() -> dict[str, Json]:
    """The sweeper: what the monitor may do, see budgets whose jobs it stops, keep prices, stop developers' machines."""
    developers = (("StringEquals", f"aws:ResourceTag/{names.DEVELOPMENT_TAG}", ("On",)),)
    budgets = arn("ssm", f"parameter{names.budget_parameter('*', '*')}")
    return _watch(
        names.SWEEPER_FUNCTION,
        Statement("ReadBudgets", ("ssm:GetParameters",), (budgets,)),
        Statement("AskPrices", ("pricing:GetProducts",), ("*",)),
        Statement("StopDevelopers", ("ec2:StopInstances",), (arn("ec2", "instance/*"),), developers),
        Statement("KeepPrices", ("s3:PutObject",), objects(names.artifact_bucket(), "prices/*")),
    )


def _watch(function: str, *further: Statement) -> dict[str, Json]:
    ours = (
        ("StringEquals", "aws:ResourceTag/PriceTracking", ("On",)),
        ("Null", "aws:ResourceTag/analysis", ("false",)),
    )
    functions = (arn("lambda", "function:neurocaas-submit-*"), arn("lambda", "function:neurocaas-postprocess-*"))
    return policy_document(
        _ledger(),
        _see_instances(),
        Statement("EndInstances", ("ec2:TerminateInstances",), (arn("ec2", "instance/*"),), ours),
        Statement("WakeJobManagers", ("lambda:InvokeFunction",), functions),
        _read_prices(),
        *further,
        *_report(function, exported=False),
        *_function_key(function, *FUNCTION_DATA),
    )


def _see_instances() -> Statement:
    """Reading only, and what spot ones cost; EC2 knows no resource to limit it to."""
    return Statement("SeeInstances", ("ec2:DescribeInstances", "ec2:DescribeSpotPriceHistory"), ("*",))


def _read_prices() -> Statement:
    return Statement("ReadPrices", ("s3:GetObject",), objects(names.artifact_bucket(), "prices/*"))


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


def _own_key(*services: str) -> Statement:
    via = tuple(f"{service}.${{AWS::Region}}.amazonaws.com" for service in services)
    use = ("kms:Decrypt", "kms:GenerateDataKey")
    return Statement("OwnKey", use, OWN_KEY, (("StringEquals", "kms:ViaService", via),), when=OWN_KEY_GIVEN)


def _function_key(function: str, *services: str) -> tuple[Statement, ...]:
    """What `_own_key` gives, and reading the function's own environment variables."""
    own = (("StringEquals", "kms:EncryptionContext:aws:lambda:FunctionArn", (arn("lambda", f"function:{function}"),)),)
    return (
        _own_key(*services),
        Statement("OwnKeyOfSettings", ("kms:Decrypt",), OWN_KEY, own, when=OWN_KEY_GIVEN),
    )


def _volume_key() -> tuple[Statement, ...]:
    """Disks of instances under the own key: EC2 uses it in the launcher's name.

    docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    """
    via = ("StringEquals", "kms:ViaService", ("ec2.${AWS::Region}.amazonaws.com",))
    use = ("Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo")
    grant = (("Bool", "kms:GrantIsForAWSResource", ("true",)), via)
    return (
        Statement("OwnKeyOfDisks", tuple(f"kms:{name}" for name in use), OWN_KEY, (via,), when=OWN_KEY_GIVEN),
        Statement("OwnKeyGrants", ("kms:CreateGrant",), OWN_KEY, grant, when=OWN_KEY_GIVEN),
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
    roles = (names.monitor_role(), names.sweeper_role())
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
