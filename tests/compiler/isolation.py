"""The isolation table: who may do what to what, and why. Asked of the compiled templates; rendered in the reference.

`rows()` is the table, `page` the same as a reference page, `statements_of` what the templates say to a principal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.compiler import compiled
from tests.compiler.iam import ACCOUNT, REGION, Statement, identity_statements, made, resource_statements

BUCKET = "arn:aws:s3:::spikes"
OTHER_BUCKET = "arn:aws:s3:::poses"
ARTIFACTS = f"arn:aws:s3:::neurocaas-artifacts-{ACCOUNT}-{REGION}"
THIRD_BUCKET = "arn:aws:s3:::third"
"""Analyses: the first two are used by group `other`, the first by `lab` too, the third by neither."""
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
IMAGES = f"arn:aws:ec2:{REGION}::image"
LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda"
PARAMETERS = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:neurocaas-notifications"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:neurocaas-dead-letters"
IAM = f"arn:aws:iam::{ACCOUNT}"
ROLES, INSTANCE_ROLES = f"{IAM}:role/neurocaas", f"{IAM}:role/neurocaas/instances"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
OTHER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99999999-2222-3333-4444-555555555555"
KEPT_IMAGE = f"{IMAGES}/ami-0aaaaaaaaaaaaaaaa"

Context = dict[str, str]

LAUNCH = {"ec2:InstanceType": "m7i.large", "ec2:MetadataHttpTokens": "required", "aws:RequestTag/analysis": "spikes"}
OURS = {"aws:ResourceTag/PriceTracking": "On", "aws:ResourceTag/analysis": "spikes"}
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}

PRINCIPALS = {
    "member of `lab`": ("User", "ann"),
    "suspended member of `lab`": ("User", "dan"),
    "member of `other`, collaborator of `lab`": ("User", "cho"),
    "instance of `lab`": ("Role", "neurocaas-instance-lab"),
    "job manager of `spikes`": ("Role", "neurocaas-submit-spikes"),
    "post-processing of `spikes`": ("Role", "neurocaas-postprocess-spikes"),
    "monitor": ("Role", f"neurocaas-monitor-{REGION}"),
    "sweeper": ("Role", f"neurocaas-sweeper-{REGION}"),
    "S3": ("Service", "s3.amazonaws.com"),
    "EventBridge": ("Service", "events.amazonaws.com"),
    "Lambda": ("Service", "lambda.amazonaws.com"),
    "EC2": ("Service", "ec2.amazonaws.com"),
    "CloudWatch": ("Service", "cloudwatch.amazonaws.com"),
    "somebody of another account": ("Service", "*"),
}
(MEMBER, SUSPENDED, COLLABORATOR, INSTANCE, MANAGER, POST, MONITOR, SWEEPER) = list(PRINCIPALS)[:8]
(S3, EVENTS, LAMBDA_SERVICE, EC2_SERVICE, CLOUDWATCH, STRANGER) = list(PRINCIPALS)[8:]

OPTIONS = {"KmsKeyArn": KEY, "EarlierImages": KEPT_IMAGE}
"""The parameters of rows that say so; the others are asked of stacks deployed without any."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question: may `principal` do `action` on `resource` in a request with these condition keys?

    `question` is its number in the list of isolation questions the project was given, 0 for those added here;
    `with_options`: asked of stacks with an own key and images of kept versions.
    """

    principal: str
    action: str
    resource: str
    wanted: bool
    why: str
    context: tuple[tuple[str, str], ...] = ()
    question: int = 0
    with_options: bool = False


@cache
def statements_of(principal: str, *, with_options: bool = False) -> tuple[Statement, ...]:
    """All statements the templates hold for a principal: its own, and those of buckets, topics, functions, roles."""
    resources = _resources(with_options, post=principal == POST)
    kind, name = PRINCIPALS[principal]
    if kind == "Service":
        return tuple(resource_statements(resources, name))
    own = identity_statements(resources, kind, name)
    path = "neurocaas/instances" if "instance" in name else "neurocaas"
    return (*own, *resource_statements(resources, f"{IAM}:{kind.lower()}/{path}/{name}"))


def _resources(with_options: bool, *, post: bool) -> dict[str, Any]:
    analysis = compiled.post() if post else compiled.analysis().template
    templates = {"account": compiled.account(), "analysis": analysis, "users": compiled.users()}
    given = OPTIONS if with_options else {}
    return {
        f"{stack}{name}": _own(resource, stack)
        for stack, template in templates.items()
        for name, resource in made(template, **given).items()
    }


def _own(value: Any, stack: str) -> Any:
    """References to resources with the stack's name in front, so that all stacks fit into one mapping."""
    if isinstance(value, list):
        return [_own(item, stack) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return {"Ref": f"{stack}{value['Ref']}"}
    if set(value) == {"Fn::GetAtt"}:
        return {"Fn::GetAtt": [f"{stack}{value['Fn::GetAtt'][0]}", *value["Fn::GetAtt"][1:]]}
    return {name: _own(item, stack) for name, item in value.items()}


@cache
def rows() -> tuple[Row, ...]:
    """The table, principal by principal."""
    parts = (
        _members(),
        _any_member(),
        _collaborators(),
        _instances(),
        _manager(),
        _launching(),
        _control_plane(),
        _services(),
        _key(),
    )
    return tuple(row for part in parts for row in part)


def page() -> str:
    """The table in Markdown, principal by principal; without a heading of its own."""
    lines = [
        "Asked of the compiled templates by `pytest tests/compiler/test_isolation.py`, in an account `123456789012`"
    ]
    lines += ["where groups `lab` and `other` use analysis `spikes`, and `other` alone uses `poses`.", ""]
    for principal in PRINCIPALS:
        lines += [
            f"## {principal[0].upper()}{principal[1:]}",
            "",
            "| may | action | on | if | why |",
            "|---|---|---|---|---|",
        ]
        for row in rows():
            if row.principal == principal:
                keys = [f"`{key}` is `{value}`" for key, value in row.context]
                keys += ["own key and kept images given"] if row.with_options else []
                may = "yes" if row.wanted else "**no**"
                said = (may, row.action, f"`{_short(row.resource)}`", ", ".join(keys), row.why)
                lines.append(f"| {' | '.join(said)} |")
        lines.append("")
    return "\n".join(lines)


def _short(resource: str) -> str:
    """An ARN without what is the same for all."""
    text = (
        resource.replace("arn:aws:s3:::", "s3://").replace(f":{REGION}:{ACCOUNT}:", ":").replace(f"::{ACCOUNT}:", "::")
    )
    return text.removeprefix("arn:aws:")


def _ask(
    principal: str,
    why: str,
    wanted: bool,
    *asked: tuple[str, str] | tuple[str, str, Context],
    question: int = 0,
    with_options: bool = False,
) -> Iterator[Row]:
    """Rows of one reason: each of `asked` is an action, a resource, and the request's condition keys if any."""
    for action, resource, *more in asked:
        context: Context = more[0] if more else {}
        yield Row(principal, action, resource, wanted, why, tuple(context.items()), question, with_options)


def _members() -> Iterator[Row]:
    mine, theirs = f"{BUCKET}/lab", f"{BUCKET}/other"
    listing = "s3:ListBucket"
    yield from _ask(
        MEMBER, "submits jobs of its own group", True, ("s3:PutObject", f"{mine}/submissions/submit.json"), question=12
    )
    yield from _ask(
        MEMBER,
        "reads and clears away its own results",
        True,
        ("s3:GetObject", f"{mine}/results/job/x"),
        ("s3:DeleteObject", f"{mine}/results/job/x"),
        question=13,
    )
    yield from _ask(
        MEMBER,
        "brings inputs and configs, and takes them away",
        True,
        *((action, f"{mine}/inputs/a") for action in ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")),
        *((action, f"{mine}/configs/a") for action in ("s3:PutObject", "s3:DeleteObject", "s3:GetObject")),
    )
    yield from _ask(
        MEMBER,
        "sees its own folders",
        True,
        ("s3:GetBucketLocation", BUCKET),
        (listing, BUCKET, {"s3:prefix": "lab/inputs/"}),
        (listing, BUCKET, {"s3:prefix": "lab/results/job/"}),
        (listing, BUCKET, {"s3:prefix": "lab/", "s3:delimiter": "/"}),
    )
    yield from _ask(
        MEMBER, "another group's data is not its own", False, ("s3:GetObject", f"{theirs}/inputs/a"), question=1
    )
    yield from _ask(
        MEMBER, "another group's results are not its own", False, ("s3:GetObject", f"{theirs}/results/x"), question=2
    )
    yield from _ask(
        MEMBER,
        "nobody spends another group's budget",
        False,
        ("s3:PutObject", f"{theirs}/submissions/submit.json"),
        question=3,
    )
    yield from _ask(
        MEMBER, "nobody destroys another group's work", False, ("s3:DeleteObject", f"{theirs}/results/x"), question=4
    )
    yield from _ask(
        MEMBER,
        "another group's file names are its own affair",
        False,
        (listing, BUCKET, {"s3:prefix": "other/inputs/"}),
        (listing, BUCKET, {"s3:prefix": "lab2/inputs/"}),
        (listing, BUCKET, {"s3:prefix": "other/", "s3:delimiter": "/"}),
        question=5,
    )
    yield from _ask(
        MEMBER,
        "who else uses an analysis is not told",
        False,
        (listing, BUCKET),
        (listing, BUCKET, {"s3:prefix": "", "s3:delimiter": "/"}),
        (listing, BUCKET, {"s3:delimiter": "/"}),
        question=6,
    )
    yield from _ask(
        MEMBER,
        "analyses the group does not use are closed",
        False,
        *(
            (action, f"{OTHER_BUCKET}/lab/{folder}/x")
            for action, folder in (
                ("s3:GetObject", "results"),
                ("s3:GetObject", "configs"),
                ("s3:PutObject", "configs"),
                ("s3:PutObject", "inputs"),
                ("s3:PutObject", "submissions"),
            )
        ),
        (listing, OTHER_BUCKET, {"s3:prefix": "lab/inputs/"}),
        (listing, OTHER_BUCKET, {"s3:prefix": "lab/", "s3:delimiter": "/"}),
        ("s3:GetBucketLocation", OTHER_BUCKET),
        question=7,
    )
    yield from _ask(
        MEMBER,
        "bills are written by the platform",
        False,
        ("s3:PutObject", f"{BUCKET}/logs/lab/i-1.json"),
        ("s3:PutObject", f"{BUCKET}/versions/v-1.json"),
        question=8,
    )
    yield from _ask(
        MEMBER,
        "machines are the platform's",
        False,
        ("ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
        ("ec2:RunInstances", f"{EC2}:instance/*", LAUNCH),
        question=9,
    )
    yield from _ask(
        MEMBER,
        "nobody raises their own budget",
        False,
        *(("ssm:PutParameter", f"{PARAMETERS}/neurocaas/budgets/lab/{name}") for name in ("spikes", "total")),
        question=10,
    )
    yield from _ask(
        MEMBER,
        "roles are the platform's",
        False,
        ("iam:PassRole", f"{INSTANCE_ROLES}/neurocaas-instance-lab", TO_EC2),
        question=11,
    )
    yield from _ask(
        MEMBER,
        "a role is taken by its service only",
        False,
        ("sts:AssumeRole", f"{ROLES}/neurocaas-submit-spikes"),
        ("sts:AssumeRole", f"{INSTANCE_ROLES}/neurocaas-instance-lab"),
        question=41,
    )
    yield from _ask(
        MEMBER,
        "the ledger is read by the platform only",
        False,
        ("dynamodb:GetItem", f"{TABLE}/neurocaas-ledger"),
        ("dynamodb:Query", f"{TABLE}/neurocaas-ledger"),
        question=45,
    )
    yield from _ask(
        MEMBER,
        "a presigned address has the rights of who signed it",
        False,
        ("s3:GetObject", f"{theirs}/results/y", {"s3:authType": "REST-QUERY-STRING"}),
        question=46,
    )
    yield from _ask(
        MEMBER,
        "what instances are told and say is not shown",
        False,
        ("ec2:DescribeInstanceAttribute", f"{EC2}:instance/i-1"),
        ("ec2:GetConsoleOutput", f"{EC2}:instance/i-1"),
        question=48,
    )
    yield from _ask(MEMBER, "inputs are brought, not read back", False, ("s3:GetObject", f"{mine}/inputs/a"))
    yield from _ask(
        MEMBER,
        "results are written by instances, plans of jobs by the platform",
        False,
        ("s3:PutObject", f"{mine}/results/job/x"),
        ("s3:PutObject", f"{mine}/jobs/job/launch-0.json"),
        ("s3:GetObject", f"{mine}/jobs/job/launch-0.json"),
        (listing, BUCKET, {"s3:prefix": "lab/jobs/"}),
        (listing, BUCKET, {"s3:prefix": "lab/"}),
        ("s3:GetObject", f"{mine}/submissions/submit.json"),
    )
    yield from _ask(
        MEMBER,
        "a group whose name begins alike is another group",
        False,
        ("s3:GetObject", f"{BUCKET}/lab2/results/x"),
        ("s3:PutObject", f"{BUCKET}/lab2/submissions/submit.json"),
        ("s3:PutObject", f"{BUCKET}/lab2/inputs/x"),
        ("s3:PutObject", f"{BUCKET}/lab2/configs/x"),
    )
    yield from _ask(
        MEMBER,
        "nobody changes a bucket's rules or gives themselves rights",
        False,
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:PutBucketAcl", BUCKET),
        ("s3:DeleteBucket", BUCKET),
        ("s3:DeleteObjectVersion", f"{mine}/results/job/x"),
        ("iam:CreateAccessKey", f"{IAM}:user/neurocaas/ann"),
        ("iam:AttachUserPolicy", f"{IAM}:user/neurocaas/ann"),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:/neurocaas/members/bob@x.org",
        ),
    )
    yield from _ask(
        MEMBER,
        "plain HTTP is refused",
        False,
        ("s3:GetObject", f"{mine}/results/job/x", {"aws:SecureTransport": "false"}),
        ("s3:PutObject", f"{mine}/inputs/a", {"aws:SecureTransport": "false"}),
        question=43,
    )


def _any_member() -> Iterator[Row]:
    """What holds for members of groups with one analysis and with several."""
    for who, group in ((MEMBER, "lab"), (COLLABORATOR, "other")):
        folder = f"{BUCKET}/{group}"
        level = {"s3:prefix": f"{group}/", "s3:delimiter": "/"}
        yield from _ask(
            who,
            "old versions, and who may do what, are not for members",
            False,
            ("s3:ListBucketVersions", BUCKET, level),
            ("s3:ListBucketVersions", BUCKET, {"s3:prefix": f"{group}/inputs/"}),
            *(
                ("s3:DeleteObjectVersion", f"{folder}/{name}/a")
                for name in ("inputs", "configs", "submissions", "results")
            ),
            *(("s3:PutObjectAcl", f"{folder}/{name}/b") for name in ("inputs", "configs", "submissions", "results")),
            ("s3:GetBucketPolicy", BUCKET),
        )
        yield from _ask(
            who,
            "an upload in parts may be looked at and given up",
            True,
            ("s3:ListMultipartUploadParts", f"{folder}/inputs/a"),
            ("s3:AbortMultipartUpload", f"{folder}/submissions/submit.json"),
        )


def _collaborators() -> Iterator[Row]:
    theirs = f"{BUCKET}/lab"
    yield from _ask(
        COLLABORATOR,
        "`lab` lets it read its results",
        True,
        ("s3:GetObject", f"{theirs}/results/job/x"),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/results/"}),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/results/job/"}),
    )
    yield from _ask(
        COLLABORATOR,
        "results are shared to read, and nothing else of the group",
        False,
        ("s3:DeleteObject", f"{theirs}/results/job/x"),
        ("s3:PutObject", f"{theirs}/results/job/x"),
        *(("s3:GetObject", f"{theirs}/{folder}/x") for folder in ("inputs", "configs", "submissions", "jobs")),
        ("s3:PutObject", f"{theirs}/submissions/submit.json"),
        ("s3:GetObject", f"{BUCKET}/lab2/results/x"),
        ("s3:GetObject", f"{THIRD_BUCKET}/lab/results/x"),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/inputs/"}),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/", "s3:delimiter": "/"}),
        ("s3:ListBucket", THIRD_BUCKET, {"s3:prefix": "lab/results/"}),
        ("s3:ListBucket", BUCKET),
    )
    yield from _ask(
        COLLABORATOR,
        "its own group works as before",
        True,
        ("s3:PutObject", f"{BUCKET}/other/submissions/submit.json"),
        ("s3:GetObject", f"{OTHER_BUCKET}/other/results/x"),
        ("s3:PutObject", f"{OTHER_BUCKET}/other/inputs/x"),
        ("s3:PutObject", f"{BUCKET}/other/configs/x"),
        *(("s3:GetBucketLocation", bucket) for bucket in (BUCKET, OTHER_BUCKET)),
        *(("s3:ListBucket", bucket, {"s3:prefix": "other/inputs/"}) for bucket in (BUCKET, OTHER_BUCKET)),
        *(("s3:ListBucket", bucket, {"s3:prefix": "other/", "s3:delimiter": "/"}) for bucket in (BUCKET, OTHER_BUCKET)),
    )
    yield from _ask(
        COLLABORATOR,
        "its own group ends where it did",
        False,
        ("s3:GetBucketLocation", THIRD_BUCKET),
        ("s3:ListBucket", THIRD_BUCKET, {"s3:prefix": "other/inputs/"}),
        ("s3:ListBucket", THIRD_BUCKET, {"s3:prefix": "other/", "s3:delimiter": "/"}),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "other/"}),
        ("s3:ListBucket", BUCKET, {"s3:delimiter": "/"}),
        *(("s3:PutObject", f"{THIRD_BUCKET}/other/{name}/x") for name in ("inputs", "configs", "submissions")),
        ("s3:GetObject", f"{THIRD_BUCKET}/other/results/x"),
        ("s3:ListBucketVersions", BUCKET, {"s3:prefix": "lab/results/"}),
    )
    yield from _ask(
        SUSPENDED,
        "a suspended member has no rights at all, and its key does not work",
        False,
        ("s3:GetObject", f"{theirs}/results/job/x"),
        ("s3:PutObject", f"{theirs}/submissions/submit.json"),
        ("s3:PutObject", f"{theirs}/inputs/x"),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/results/"}),
    )
    yield from _ask(
        STRANGER,
        "no bucket is public",
        False,
        ("s3:GetObject", f"{theirs}/results/job/x"),
        ("s3:ListBucket", BUCKET),
        ("s3:PutObject", f"{theirs}/inputs/x"),
        ("s3:GetObject", f"{theirs}/results/job/x", {"aws:SecureTransport": "true"}),
    )


def _instances() -> Iterator[Row]:
    mine = f"{BUCKET}/lab"
    yield from _ask(
        INSTANCE,
        "reads what its group submitted, in the version that was meant",
        True,
        ("s3:GetObject", f"{mine}/inputs/a"),
        ("s3:GetObjectVersion", f"{mine}/configs/a"),
        ("s3:GetObject", f"{mine}/jobs/job/launch-0.json"),
        ("s3:GetObject", f"{mine}/results/job/process_results/x"),
        ("s3:ListBucketVersions", BUCKET, {"s3:prefix": "lab/inputs/a"}),
    )
    yield from _ask(
        INSTANCE,
        "writes its group's results",
        True,
        ("s3:PutObject", f"{mine}/results/job/process_results/x"),
        ("s3:AbortMultipartUpload", f"{mine}/results/job/x"),
    )
    yield from _ask(
        INSTANCE,
        "another group's data is out of reach of any analysis code",
        False,
        ("s3:GetObject", f"{BUCKET}/other/inputs/a"),
        ("s3:GetObject", f"{BUCKET}/lab2/inputs/a"),
        ("s3:ListBucketVersions", BUCKET, {"s3:prefix": "other/inputs/a"}),
        ("s3:ListBucketVersions", BUCKET),
        ("s3:GetObject", f"{OTHER_BUCKET}/lab/inputs/a"),
        ("s3:ListBucketVersions", OTHER_BUCKET, {"s3:prefix": "lab/inputs/a"}),
        question=14,
    )
    yield from _ask(
        INSTANCE,
        "another group's results are not overwritten",
        False,
        ("s3:PutObject", f"{BUCKET}/other/results/x"),
        ("s3:PutObject", f"{OTHER_BUCKET}/lab/results/x"),
        question=15,
    )
    yield from _ask(
        INSTANCE,
        "folders of data are seen, and the widefield client's results go below configs",
        True,
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/inputs/recording/"}),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/results/job/"}),
        ("s3:PutObject", f"{mine}/configs/folder/results/x"),
    )
    yield from _ask(
        INSTANCE,
        "configs and what others have stay as they are, and unseen",
        False,
        ("s3:PutObject", f"{mine}/configs/a"),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "lab/jobs/"}),
        ("s3:ListBucketMultipartUploads", BUCKET, {"s3:prefix": "lab/inputs/"}),
        ("s3:ListBucket", BUCKET, {"s3:prefix": "other/inputs/"}),
    )
    yield from _ask(
        INSTANCE,
        "a job cannot start jobs",
        False,
        ("s3:PutObject", f"{mine}/submissions/submit.json"),
        ("s3:PutObject", f"{mine}/inputs/a"),
        question=16,
    )
    yield from _ask(
        INSTANCE,
        "data is not destroyed",
        False,
        ("s3:ListBucket", BUCKET),
        ("s3:DeleteBucket", BUCKET),
        ("s3:DeleteObject", f"{mine}/results/job/x"),
        ("s3:DeleteObject", f"{mine}/inputs/a"),
        question=17,
    )
    yield from _ask(
        INSTANCE,
        "no bucket is made public",
        False,
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:PutObjectAcl", f"{mine}/results/x"),
        question=18,
    )
    yield from _ask(
        INSTANCE,
        "parameters are the platform's",
        False,
        ("ssm:GetParameter", f"{PARAMETERS}/neurocaas/budgets/lab/spikes"),
        question=19,
    )
    yield from _ask(
        INSTANCE, "instances do not command each other", False, ("ssm:SendCommand", f"{EC2}:instance/i-2"), question=20
    )
    yield from _ask(
        INSTANCE,
        "instances do not end each other",
        False,
        ("ec2:TerminateInstances", f"{EC2}:instance/i-2", OURS),
        question=21,
    )
    yield from _ask(
        INSTANCE,
        "instances do not start instances",
        False,
        ("ec2:RunInstances", f"{EC2}:instance/*", LAUNCH),
        question=22,
    )
    yield from _ask(
        INSTANCE,
        "other instances' user data and console stay unseen",
        False,
        ("ec2:DescribeInstanceAttribute", f"{EC2}:instance/i-2"),
        ("ec2:GetConsoleOutput", f"{EC2}:instance/i-2"),
        question=48,
    )
    yield from _ask(
        INSTANCE,
        "an instance has its own role only",
        False,
        ("sts:AssumeRole", f"{ROLES}/neurocaas-submit-spikes"),
        ("sts:AssumeRole", f"{INSTANCE_ROLES}/neurocaas-instance-other"),
        question=41,
    )
    yield from _ask(
        INSTANCE,
        "the ledger is the platform's",
        False,
        ("dynamodb:PutItem", f"{TABLE}/neurocaas-ledger"),
        ("dynamodb:GetItem", f"{TABLE}/neurocaas-ledger"),
    )


def _manager() -> Iterator[Row]:
    lab = f"{BUCKET}/lab"
    yield from _ask(
        MANAGER,
        "looks at addresses elsewhere with the rights of the group that names them",
        True,
        ("sts:AssumeRole", f"{INSTANCE_ROLES}/neurocaas-instance-lab"),
        ("sts:AssumeRole", f"{INSTANCE_ROLES}/neurocaas-instance-other"),
    )
    yield from _ask(
        MANAGER,
        "takes no role of groups it does not serve, nor one of the platform's",
        False,
        ("sts:AssumeRole", f"{INSTANCE_ROLES}/neurocaas-instance-third"),
        ("sts:AssumeRole", f"{ROLES}/neurocaas-monitor-{REGION}"),
        ("sts:TagSession", f"{INSTANCE_ROLES}/neurocaas-instance-lab"),
    )
    yield from _ask(
        MANAGER,
        "reads submissions and what they name, to check before money is spent",
        True,
        ("s3:ListBucket", BUCKET),
        ("s3:GetObject", f"{lab}/submissions/submit.json"),
        ("s3:GetObject", f"{lab}/inputs/a"),
        ("s3:GetObjectVersion", f"{lab}/configs/a"),
        ("s3:GetObject", f"{lab}/jobs/job/launch-0.json"),
        ("s3:GetObject", f"{BUCKET}/versions/v-1.json"),
        ("s3:GetObject", f"{lab}/results/job/logs/DATASET_NAME:a_STATUS.txt"),
    )
    yield from _ask(
        MANAGER,
        "writes what instances have to do, certificates and end marks",
        True,
        ("s3:PutObject", f"{lab}/jobs/job/launch-0.json"),
        ("s3:PutObject", f"{lab}/results/job/logs/certificate.txt"),
        ("s3:PutObject", f"{lab}/results/job/process_results/end.txt"),
        ("s3:DeleteObject", f"{BUCKET}/logs/active/i-1.json"),
    )
    yield from _ask(
        MANAGER,
        "keeps the ledger's items, the budgets' sums, its queue and its log",
        True,
        ("dynamodb:PutItem", f"{TABLE}/neurocaas-ledger"),
        ("dynamodb:Query", f"{TABLE}/neurocaas-ledger/index/open"),
        ("ssm:GetParameters", f"{PARAMETERS}/neurocaas/budgets/lab/spikes"),
        ("ssm:GetParameters", f"{PARAMETERS}/neurocaas/budgets/lab/total"),
        ("lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-spikes"),
        ("logs:PutLogEvents", f"{LOGS}/neurocaas-submit-spikes:log-stream:x"),
        ("sns:Publish", "neurocaas-topic-arn"),
        ("sqs:SendMessage", "neurocaas-dead-letter-arn"),
    )
    yield from _ask(
        MANAGER,
        "makes no keys",
        False,
        ("iam:CreateAccessKey", f"{IAM}:user/neurocaas/ann"),
        ("iam:PutRolePolicy", f"{ROLES}/neurocaas-submit-spikes"),
        question=28,
    )
    yield from _ask(
        MANAGER,
        "does not rewrite itself",
        False,
        ("lambda:UpdateFunctionCode", f"{LAMBDA}:neurocaas-submit-spikes"),
        question=29,
    )
    yield from _ask(
        MANAGER,
        "destroys no data",
        False,
        ("s3:DeleteBucket", BUCKET),
        ("s3:DeleteObject", f"{lab}/inputs/a"),
        ("s3:DeleteObject", f"{BUCKET}/logs/lab/i-1.json"),
        ("s3:DeleteObject", f"{lab}/results/job/logs/a"),
        ("s3:DeleteObject", f"{lab}/jobs/job/x"),
        ("s3:DeleteObjectVersion", f"{BUCKET}/logs/active/i-1.json"),
        question=30,
    )
    yield from _ask(
        MANAGER,
        "raises no budget, and reads those of its analysis only",
        False,
        ("ssm:PutParameter", f"{PARAMETERS}/neurocaas/budgets/lab/spikes"),
        ("ssm:GetParameters", f"{PARAMETERS}/neurocaas/budgets/lab/poses"),
        ("ssm:GetParameters", f"{PARAMETERS}/a-secret"),
        question=31,
    )
    yield from _ask(
        MANAGER,
        "whoever launches does not read results",
        False,
        ("s3:GetObject", f"{lab}/results/job/process_results/x"),
        ("s3:GetObject", f"{BUCKET}/logs/lab/i-1.json"),
        question=49,
    )
    yield from _ask(
        MANAGER,
        "does not submit, and writes no result or version",
        False,
        ("s3:PutObject", f"{lab}/submissions/submit.json"),
        ("s3:PutObject", f"{lab}/results/job/process_results/x"),
        ("s3:PutObject", f"{BUCKET}/logs/lab/i-1.json"),
        ("s3:PutObject", f"{BUCKET}/versions/v-1.json"),
        ("s3:PutObject", f"{lab}/inputs/a"),
        ("s3:PutBucketPolicy", BUCKET),
    )
    yield from _ask(
        MANAGER,
        "other analyses are closed to it",
        False,
        ("s3:ListBucket", OTHER_BUCKET),
        ("s3:GetObject", f"{OTHER_BUCKET}/lab/inputs/a"),
        ("s3:GetObject", f"{OTHER_BUCKET}/lab/results/job/logs/a"),
        ("s3:PutObject", f"{OTHER_BUCKET}/lab/jobs/job/x"),
        ("s3:DeleteObject", f"{OTHER_BUCKET}/logs/active/i-1.json"),
        ("lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-poses"),
        ("logs:PutLogEvents", f"{LOGS}/neurocaas-submit-poses:log-stream:x"),
        ("logs:CreateLogGroup", f"{LOGS}/neurocaas-submit-spikes"),
        ("logs:DeleteLogStream", f"{LOGS}/neurocaas-submit-spikes:log-stream:x"),
        ("dynamodb:PutItem", f"{TABLE}/another"),
        ("dynamodb:PutItem", f"{TABLE}/another/index/open"),
        ("dynamodb:DeleteTable", f"{TABLE}/neurocaas-ledger"),
        ("sns:Publish", "another-topic"),
        ("sqs:SendMessage", "another-queue"),
        ("sns:Subscribe", "neurocaas-topic-arn"),
        ("sqs:ReceiveMessage", "neurocaas-dead-letter-arn"),
    )


def _launching() -> Iterator[Row]:
    run, end, instance = "ec2:RunInstances", "ec2:TerminateInstances", f"{EC2}:instance/*"
    role = f"{INSTANCE_ROLES}/neurocaas-instance-lab"
    yield from _ask(
        MANAGER,
        "starts instances of its analysis: its types, its template, its image, no way in, IMDSv2",
        True,
        (run, instance, LAUNCH),
        (run, instance, LAUNCH | {"ec2:InstanceType": "m7i.xlarge"}),
        (run, f"{IMAGES}/ami-0123456789abcdef0"),
        (run, f"{EC2}:launch-template/lt-0123456789abcdef0"),
        (run, f"{EC2}:security-group/neurocaas-security-group"),
        (run, f"{EC2}:subnet/subnet-1"),
        (run, f"{EC2}:volume/*"),
        (run, f"{EC2}:network-interface/*"),
        ("iam:PassRole", role, TO_EC2),
        ("ec2:CreateTags", f"{EC2}:instance/i-1", {"ec2:CreateAction": "RunInstances"}),
        ("ec2:CreateTags", f"{EC2}:volume/v-1", {"ec2:CreateAction": "RunInstances"}),
        ("ec2:DescribeInstances", "*"),
        ("ec2:DescribeSpotPriceHistory", "*"),
        (run, f"{EC2}:spot-instances-request/*"),
        ("s3:GetObject", f"{ARTIFACTS}/prices/{REGION}.json"),
    )
    yield from _ask(
        MANAGER,
        "prices are read, not written, and nothing else of the artifacts",
        False,
        ("s3:GetObject", f"{ARTIFACTS}/bundles/x.zip"),
        ("s3:PutObject", f"{ARTIFACTS}/prices/{REGION}.json"),
        question=33,
    )
    yield from _ask(
        MANAGER,
        "earlier versions start their own image, by the environment's tag",
        True,
        (run, f"{IMAGES}/ami-0fffffffffffffff0", {"ec2:ResourceTag/neurocaas:environment": "spikes"}),
    )
    yield from _ask(MANAGER, "ends instances of its analysis", True, (end, f"{EC2}:instance/i-1", OURS), question=24)
    yield from _ask(
        MANAGER,
        "instances that are not the platform's are safe from it",
        False,
        (end, f"{EC2}:instance/i-1"),
        ("ec2:StopInstances", f"{EC2}:instance/i-1"),
        question=23,
    )
    yield from _ask(
        MANAGER,
        "nothing runs without the tags it is found and billed by",
        False,
        (run, instance),
        (run, instance, {name: value for name, value in LAUNCH.items() if "Tag" not in name}),
        question=25,
    )
    yield from _ask(
        MANAGER,
        "only images of the analysis are started",
        False,
        (run, f"{IMAGES}/ami-0fffffffffffffff0"),
        (run, f"{IMAGES}/ami-0fffffffffffffff0", {"ec2:ResourceTag/neurocaas:environment": "poses"}),
        (run, instance, {"ec2:ResourceTag/neurocaas:environment": "spikes"}),
        ("ec2:DeregisterImage", f"{IMAGES}/ami-0fffffffffffffff0", {"ec2:ResourceTag/neurocaas:environment": "spikes"}),
        ("ec2:DeregisterImage", f"{IMAGES}/ami-0123456789abcdef0"),
        (run, KEPT_IMAGE),
        question=26,
    )
    yield from _ask(
        MANAGER, "images of kept versions are started where they are listed", True, (run, KEPT_IMAGE), with_options=True
    )
    yield from _ask(
        MANAGER,
        "the list of kept images opens no other image",
        False,
        (run, f"{IMAGES}/ami-0fffffffffffffff0"),
        ("ec2:DeregisterImage", KEPT_IMAGE),
        with_options=True,
        question=26,
    )
    yield from _ask(
        MANAGER,
        "no strong role is passed on",
        False,
        ("iam:PassRole", f"{IAM}:role/admin", TO_EC2),
        ("iam:PassRole", f"{ROLES}/neurocaas-submit-spikes", TO_EC2),
        question=27,
    )
    yield from _ask(
        MANAGER,
        "instance roles go to instances and nowhere else",
        False,
        ("iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("iam:PassRole", role),
        ("iam:PutRolePolicy", role, TO_EC2),
        question=35,
    )
    yield from _ask(
        MANAGER,
        "roles of groups the blueprint does not name, or outside the path, stay out",
        False,
        ("iam:PassRole", f"{INSTANCE_ROLES}/neurocaas-instance-third", TO_EC2),
        ("iam:PassRole", f"{IAM}:role/neurocaas-instance-lab", TO_EC2),
        question=36,
    )
    yield from _ask(
        MANAGER,
        "a launch that differs from the blueprint is refused",
        False,
        (run, instance, LAUNCH | {"ec2:InstanceType": "p4d.24xlarge"}),
        (run, instance, LAUNCH | {"ec2:MetadataHttpTokens": "optional"}),
        (run, instance, {name: value for name, value in LAUNCH.items() if "Metadata" not in name}),
        (run, instance, {name: value for name, value in LAUNCH.items() if "Type" not in name}),
        (run, f"{EC2}:security-group/sg-0fffffffffffffff0"),
        (run, f"{EC2}:launch-template/lt-0fffffffffffffff0"),
        ("ec2:CreateLaunchTemplateVersion", f"{EC2}:launch-template/lt-0123456789abcdef0"),
        ("ec2:ModifyInstanceAttribute", instance, LAUNCH),
        (run, f"{EC2}:key-pair/a-key"),
        question=37,
    )
    yield from _ask(
        MANAGER,
        "tags are set at launch only: taking over an instance by its tags is impossible",
        False,
        ("ec2:CreateTags", f"{EC2}:instance/i-1", OURS),
        ("ec2:CreateTags", f"{EC2}:instance/i-1"),
        ("ec2:CreateTags", f"{EC2}:volume/v-1"),
        ("ec2:CreateTags", f"{IMAGES}/ami-1", {"ec2:CreateAction": "RunInstances"}),
        ("ec2:DeleteTags", f"{EC2}:instance/i-1", {"ec2:CreateAction": "RunInstances"}),
        question=38,
    )
    yield from _ask(
        MANAGER, "tags stay as they are", False, ("ec2:DeleteTags", f"{EC2}:instance/i-1", OURS), question=39
    )
    yield from _ask(
        MANAGER,
        "instances of other analyses are not its own",
        False,
        (end, f"{EC2}:instance/i-1", OURS | {"aws:ResourceTag/analysis": "poses"}),
        (run, instance, LAUNCH | {"aws:RequestTag/analysis": "poses"}),
        (end, f"{EC2}:volume/v-1", OURS),
        (run, f"{EC2}:capacity-reservation/x", LAUNCH),
        question=40,
    )
    yield from _ask(
        MANAGER,
        "it does not look into instances or networks",
        False,
        ("ec2:GetConsoleOutput", "*"),
        ("ec2:DescribeInstanceAttribute", "*"),
        ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", OURS),
        question=48,
    )


def _control_plane() -> Iterator[Row]:
    lab = f"{BUCKET}/lab"
    for who, function in ((MONITOR, "neurocaas-instance-monitor"), (SWEEPER, "neurocaas-instance-sweeper")):
        yield from _ask(
            who,
            "follows every instance of the platform to its end",
            True,
            ("ec2:DescribeInstances", "*"),
            ("ec2:DescribeSpotPriceHistory", "*"),
            ("s3:GetObject", f"{ARTIFACTS}/prices/{REGION}.json"),
            ("ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS),
            ("dynamodb:UpdateItem", f"{TABLE}/neurocaas-ledger"),
            ("dynamodb:Query", f"{TABLE}/neurocaas-ledger/index/open"),
            ("lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-spikes"),
            ("lambda:InvokeFunction", f"{LAMBDA}:neurocaas-postprocess-spikes"),
            ("logs:PutLogEvents", f"{LOGS}/{function}:log-stream:x"),
            ("sqs:SendMessage", QUEUE),
            ("sns:Publish", TOPIC),
        )
        yield from _ask(
            who,
            "settles records, and writes certificates and end marks",
            True,
            ("s3:ListBucket", BUCKET),
            ("s3:GetObject", f"{lab}/results/job/logs/DATASET_NAME:a_STATUS.txt"),
            ("s3:GetObject", f"{lab}/jobs/job/attempts.json"),
            ("s3:GetObject", f"{BUCKET}/versions/v-1.json"),
            ("s3:GetObject", f"{BUCKET}/logs/active/i-1.json"),
            ("s3:PutObject", f"{lab}/results/job/logs/certificate.txt"),
            ("s3:PutObject", f"{lab}/results/job/process_results/end.txt"),
            ("s3:PutObject", f"{BUCKET}/logs/lab/i-1.json"),
            ("s3:DeleteObject", f"{BUCKET}/logs/active/i-1.json"),
        )
        yield from _ask(
            who,
            "people's data and other buckets are closed to it",
            False,
            ("s3:GetObject", f"{lab}/inputs/a"),
            ("s3:GetObject", f"{lab}/results/job/process_results/x"),
            ("s3:PutObject", f"{lab}/results/job/process_results/x"),
            ("s3:PutObject", f"{lab}/submissions/submit.json"),
            ("s3:DeleteObject", f"{BUCKET}/logs/lab/i-1.json"),
            ("s3:DeleteObjectVersion", f"{BUCKET}/logs/active/i-1.json"),
            ("s3:DeleteObject", f"{lab}/results/job/x"),
            ("s3:ListBucket", OTHER_BUCKET),
            ("s3:GetObject", f"{OTHER_BUCKET}/logs/active/i-1.json"),
            ("s3:PutObject", f"{OTHER_BUCKET}/logs/lab/i-1.json"),
            ("s3:DeleteObject", f"{OTHER_BUCKET}/logs/active/i-1.json"),
            ("s3:PutBucketPolicy", BUCKET),
            ("s3:GetObject", f"{ARTIFACTS}/bundles/x.zip"),
            ("s3:DeleteObject", f"{ARTIFACTS}/prices/{REGION}.json"),
            ("s3:PutObject", f"{ARTIFACTS}/bundles/x.zip"),
            question=33,
        )
        yield from _ask(
            who,
            "machines that are not the platform's are safe from it",
            False,
            ("ec2:TerminateInstances", f"{EC2}:instance/i-1"),
            ("ec2:TerminateInstances", f"{EC2}:instance/i-1", {"aws:ResourceTag/PriceTracking": "On"}),
            ("ec2:TerminateInstances", f"{EC2}:instance/i-1", {"aws:ResourceTag/analysis": "spikes"}),
            ("ec2:TerminateInstances", f"{EC2}:volume/v-1", OURS),
            ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", OURS),
            question=23,
        )
        yield from _ask(
            who,
            "it ends, and never starts",
            False,
            ("ec2:RunInstances", f"{EC2}:instance/*", LAUNCH),
            ("iam:PassRole", f"{INSTANCE_ROLES}/neurocaas-instance-lab", TO_EC2),
            ("ec2:GetConsoleOutput", "*"),
            question=49,
        )
        yield from _ask(
            who,
            "rules, functions, tables, queues and topics of others are not its own",
            False,
            ("events:DeleteRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/x"),
            ("lambda:InvokeFunction", f"{LAMBDA}:something-else"),
            ("lambda:UpdateFunctionCode", f"{LAMBDA}:neurocaas-submit-spikes"),
            ("dynamodb:UpdateItem", f"{TABLE}/another"),
            ("dynamodb:Query", f"{TABLE}/another/index/open"),
            ("dynamodb:DeleteTable", f"{TABLE}/neurocaas-ledger"),
            ("logs:PutLogEvents", f"{LOGS}/another:log-stream:x"),
            ("logs:DeleteLogGroup", f"{LOGS}/{function}:log-stream:x"),
            ("sqs:SendMessage", f"{QUEUE}-other"),
            ("sqs:PurgeQueue", QUEUE),
            ("sns:Publish", f"{TOPIC}-other"),
            ("sns:Subscribe", TOPIC),
            question=32,
        )
    prices, budget = f"{ARTIFACTS}/prices/{REGION}.json", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
    yield from _ask(
        SWEEPER,
        "keeps the price list, and sees budgets",
        True,
        ("pricing:GetProducts", "*"),
        ("s3:PutObject", prices),
        ("ssm:GetParameters", f"{budget}/neurocaas/budgets/lab/spikes"),
    )
    yield from _ask(
        SWEEPER,
        "asks for prices only, and changes no budget",
        False,
        ("pricing:GetPriceListFileUrl", "*"),
        ("ssm:GetParameters", f"{budget}/another"),
        ("ssm:PutParameter", f"{budget}/neurocaas/budgets/lab/spikes"),
        question=32,
    )
    developers = {"aws:ResourceTag/neurocaas:development": "On"}
    yield from _ask(
        SWEEPER,
        "stops machines of developers whose hours are over",
        True,
        ("ec2:StopInstances", f"{EC2}:instance/i-1", developers),
    )
    yield from _ask(
        SWEEPER,
        "stops no other machine, and does nothing else to theirs",
        False,
        ("ec2:StopInstances", f"{EC2}:instance/i-1"),
        ("ec2:StopInstances", f"{EC2}:instance/i-1", OURS),
        ("ec2:StopInstances", f"{EC2}:volume/v-1", developers),
        ("ec2:StartInstances", f"{EC2}:instance/i-1", developers),
        ("ec2:ModifyInstanceAttribute", f"{EC2}:instance/i-1", developers),
        question=23,
    )
    yield from _ask(MONITOR, "the price list is the sweeper's", False, ("s3:PutObject", prices), question=33)
    yield from _ask(
        POST,
        "reads what a job left, and may submit a job of its own",
        True,
        ("s3:ListBucket", BUCKET),
        ("s3:GetObject", f"{lab}/results/job/process_results/x"),
        ("s3:GetObject", f"{lab}/configs/a"),
        ("s3:PutObject", f"{lab}/configs/b"),
        ("s3:PutObject", f"{lab}/submissions/submit.json"),
        ("logs:PutLogEvents", f"{LOGS}/neurocaas-postprocess-spikes:log-stream:x"),
        ("sns:Publish", "neurocaas-topic-arn"),
        ("sqs:SendMessage", "neurocaas-dead-letter-arn"),
    )
    yield from _ask(
        POST,
        "writes no other bucket",
        False,
        ("s3:PutObject", f"{OTHER_BUCKET}/lab/configs/b"),
        ("s3:GetObject", f"{OTHER_BUCKET}/lab/results/x"),
        ("s3:ListBucket", OTHER_BUCKET),
        question=33,
    )
    yield from _ask(
        POST,
        "destroys nothing, starts nothing, keeps no books",
        False,
        ("s3:DeleteObject", f"{lab}/configs/b"),
        ("s3:DeleteObject", f"{lab}/results/job/x"),
        ("s3:PutObject", f"{lab}/inputs/a"),
        ("s3:PutBucketPolicy", BUCKET),
        ("ec2:RunInstances", f"{EC2}:instance/*", LAUNCH),
        ("dynamodb:PutItem", f"{TABLE}/neurocaas-ledger"),
        ("logs:PutLogEvents", f"{LOGS}/another:log-stream:x"),
        ("logs:DeleteLogGroup", f"{LOGS}/neurocaas-postprocess-spikes:log-stream:x"),
        ("sns:Publish", "another-topic"),
        ("sns:Subscribe", "neurocaas-topic-arn"),
        ("sqs:SendMessage", "another-queue"),
        ("sqs:PurgeQueue", "neurocaas-dead-letter-arn"),
        question=34,
    )


def _services() -> Iterator[Row]:
    invoke = "lambda:InvokeFunction"
    submit, watch = f"{LAMBDA}:neurocaas-submit-spikes", f"{LAMBDA}:neurocaas-instance-monitor"
    sweep = f"{LAMBDA}:neurocaas-instance-sweeper"
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule"
    ours = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": BUCKET}
    theirs = {"aws:SourceAccount": "999999999999", "aws:SourceArn": BUCKET}
    yield from _ask(S3, "submissions in the analysis's bucket start its job manager", True, (invoke, submit, ours))
    yield from _ask(
        S3,
        "a bucket of another account, or another bucket, starts nothing",
        False,
        (invoke, submit, theirs),
        (invoke, submit, ours | {"aws:SourceArn": OTHER_BUCKET}),
        (invoke, submit),
        (invoke, watch, ours),
        ("lambda:UpdateFunctionCode", submit, ours),
        question=42,
    )
    for function, name in ((watch, "neurocaas-instance-monitor"), (sweep, "neurocaas-instance-sweeper")):
        its = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"{rule}/{name}"}
        yield from _ask(EVENTS, "the platform's own rules start monitor and sweeper", True, (invoke, function, its))
        yield from _ask(
            EVENTS,
            "other rules and other accounts start nothing",
            False,
            (invoke, function, its | {"aws:SourceArn": f"{rule}/another"}),
            (invoke, function, its | {"aws:SourceAccount": "999999999999"}),
            (invoke, submit, its),
            ("lambda:UpdateFunctionCode", function, its),
            question=42,
        )
    yield from _ask(
        CLOUDWATCH,
        "alarms of the account reach its operators",
        True,
        ("sns:Publish", TOPIC, {"aws:SourceAccount": ACCOUNT}),
    )
    yield from _ask(
        CLOUDWATCH,
        "alarms of other accounts do not, and nobody is added",
        False,
        ("sns:Publish", TOPIC, {"aws:SourceAccount": "999999999999"}),
        ("sns:Publish", TOPIC),
        ("sns:Publish", f"{TOPIC}-other", {"aws:SourceAccount": ACCOUNT}),
        ("sns:Subscribe", TOPIC, {"aws:SourceAccount": ACCOUNT}),
    )
    functions = [f"{ROLES}/neurocaas-{name}" for name in ("submit-spikes", f"monitor-{REGION}", f"sweeper-{REGION}")]
    instances = [f"{INSTANCE_ROLES}/neurocaas-instance-{group}" for group in ("lab", "other")]
    assume = "sts:AssumeRole"
    by_rule = [(watch, "neurocaas-instance-monitor"), (sweep, "neurocaas-instance-sweeper")]
    yield from _ask(
        STRANGER,
        "nobody but the named service, of this account, takes a role, starts a function or writes to operators",
        False,
        *((assume, role) for role in (*functions, *instances)),
        (invoke, submit, ours),
        *((invoke, name, {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"{rule}/{by}"}) for name, by in by_rule),
        ("sns:Publish", TOPIC, {"aws:SourceAccount": ACCOUNT}),
    )
    yield from _ask(
        STRANGER,
        "the platform's own records are open to monitor and sweeper only",
        False,
        ("s3:GetObject", f"{BUCKET}/lab/results/job/logs/a"),
        ("s3:PutObject", f"{BUCKET}/logs/lab/i-1.json"),
        ("s3:DeleteObject", f"{BUCKET}/logs/active/i-1.json"),
    )
    yield from _ask(LAMBDA_SERVICE, "functions have their roles", True, *((assume, role) for role in functions))
    yield from _ask(
        LAMBDA_SERVICE,
        "functions have no instance's role",
        False,
        *((assume, role) for role in instances),
        *(("sts:TagSession", role) for role in functions),
        question=41,
    )
    yield from _ask(EC2_SERVICE, "instances have their group's role", True, *((assume, role) for role in instances))
    yield from _ask(
        EC2_SERVICE,
        "instances have no function's role",
        False,
        *((assume, role) for role in functions),
        *(("sts:TagSession", role) for role in instances),
        question=41,
    )


def _key() -> Iterator[Row]:
    def through(service: str) -> Context:
        return {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}

    use, make = "kms:Decrypt", "kms:GenerateDataKey"
    held = {
        MEMBER: ("s3",),
        COLLABORATOR: ("s3",),
        INSTANCE: ("s3",),
        POST: ("s3", "sns", "sqs"),
        MANAGER: ("dynamodb", "s3", "sns", "sqs"),
        MONITOR: ("dynamodb", "s3", "sns", "sqs"),
        SWEEPER: ("dynamodb", "s3", "sns", "sqs"),
    }
    for who, services in held.items():
        yield from _ask(
            who,
            "uses the own key through the services that hold its data",
            True,
            *((action, KEY, through(service)) for service in services for action in (use, make)),
            with_options=True,
        )
        yield from _ask(
            who,
            "uses no other key, nor this one by itself, nor manages it",
            False,
            (use, KEY),
            (make, KEY),
            (use, KEY, through("secretsmanager")),
            (make, KEY, through("ec2")),
            ("kms:ScheduleKeyDeletion", KEY, through("s3")),
            ("kms:PutKeyPolicy", KEY, through("s3")),
            *((action, OTHER_KEY, through(service)) for service in services for action in (use, make)),
            question=44,
            with_options=True,
        )
        yield from _ask(
            who, "without an own key nobody has a right to any", False, (use, KEY, through("s3")), question=44
        )
    for who, name in (
        (MANAGER, "submit-spikes"),
        (POST, "postprocess-spikes"),
        (MONITOR, "instance-monitor"),
        (SWEEPER, "instance-sweeper"),
    ):
        own = {"kms:EncryptionContext:aws:lambda:FunctionArn": f"{LAMBDA}:neurocaas-{name}"}
        other = {"kms:EncryptionContext:aws:lambda:FunctionArn": f"{LAMBDA}:another"}
        yield from _ask(who, "reads its own settings under the own key", True, (use, KEY, own), with_options=True)
        yield from _ask(
            who,
            "other functions' settings are closed to it",
            False,
            (use, KEY, other),
            (use, OTHER_KEY, own),
            ("kms:PutKeyPolicy", KEY, own),
            with_options=True,
        )
    disks, grant = through("ec2"), through("ec2") | {"kms:GrantIsForAWSResource": "true"}
    yield from _ask(
        MANAGER,
        "instances' disks are under the own key",
        True,
        (use, KEY, disks),
        ("kms:GenerateDataKeyWithoutPlaintext", KEY, disks),
        ("kms:CreateGrant", KEY, grant),
        with_options=True,
    )
    yield from _ask(
        MANAGER,
        "grants are for EC2's disks only",
        False,
        ("kms:CreateGrant", KEY, disks),
        ("kms:CreateGrant", KEY, {"kms:GrantIsForAWSResource": "true"}),
        ("kms:CreateGrant", OTHER_KEY, grant),
        (use, OTHER_KEY, disks),
        ("kms:DescribeKey", KEY),
        ("kms:PutKeyPolicy", KEY, grant),
        question=44,
        with_options=True,
    )
