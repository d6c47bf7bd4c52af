"""Asks a target for the facts preflight judges, with small reading calls. Changes nothing, judges nothing.

Errors go up as the gateway says them; who runs a check turns them into a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.deploy.state import Phase, read_status
from ncap_iac.errors import AccessError, AwsError, CloudError, NcapError, NotFoundError
from ncap_iac.preflight import facts
from ncap_iac.preflight.facts import Answering, Holder
from ncap_iac.preflight.permissions import Asked

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

Shape = Mapping[str, Any]

# fmt: off
READS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "AWS::Budgets": ("budgets", "describe_budgets", {"AccountId": "{account}", "MaxResults": 1}),
    "AWS::CloudFormation": ("cloudformation", "describe_stacks", {}),
    "AWS::CloudWatch": ("cloudwatch", "describe_alarms", {"MaxRecords": 1}),
    "AWS::DynamoDB": ("dynamodb", "list_tables", {"Limit": 1}),
    "AWS::EC2": ("ec2", "describe_regions", {}),
    "AWS::Events": ("events", "list_rules", {"Limit": 1}),
    "AWS::IAM": ("iam", "get_account_summary", {}),
    "AWS::KMS": ("kms", "list_keys", {"Limit": 1}),
    "AWS::Lambda": ("lambda", "get_account_settings", {}),
    "AWS::Logs": ("logs", "describe_log_groups", {"limit": 1}),
    "AWS::ResourceGroups": ("resourcegroupstaggingapi", "get_resources", {
        "TagFilters": [{"Key": names.STACK_TAG}], "ResourcesPerPage": 1}),
    "AWS::S3": ("s3", "list_buckets", {}),
    "AWS::SNS": ("sns", "list_topics", {}),
    "AWS::SQS": ("sqs", "list_queues", {"MaxResults": 1}),
    "AWS::SSM": ("ssm", "describe_parameters", {"MaxResults": 1}),
    "AWS::SecretsManager": ("secretsmanager", "list_secrets", {"MaxResults": 1}),
    "AWS::ServiceQuotas": ("service-quotas", "get_service_quota", {
        "ServiceCode": "lambda", "QuotaCode": "L-B99A9384"}),
}
# fmt: on
"""Beginning of a resource type → client, a cheap read, its arguments."""

FAR = frozenset({"Unreachable", "ReadTimeoutError", "ProxyConnectionError", "SSLError"})
"""Error codes of calls that never came to AWS, or from there."""
ALWAYS = ("AWS::CloudFormation", "AWS::ResourceGroups", "AWS::ServiceQuotas")
"""Services deploying or looking after it uses beside those of the resource types."""


def identity(gateway: Gateway, now: Callable[[], datetime]) -> facts.Identity:
    """Who calls, and how far apart the clocks are. Raises AccessError."""
    client = gateway.session.client("sts")
    with gateway.session.translated("your credentials"):
        answer = client.get_caller_identity()
    return facts.Identity(str(answer["Account"]), str(answer["Arn"]), clock_offset(answer, now()))


def clock_offset(answer: Shape, local: datetime) -> float | None:
    """Seconds AWS's clock is ahead of `local`, from the Date header of an answer, refusals too."""
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        there = parsedate_to_datetime(str(said))
    except ValueError:
        return None
    return (there.replace(tzinfo=there.tzinfo or UTC) - local).total_seconds()


def region(gateway: Gateway) -> facts.Region:
    """Whether the region is enabled: AWS lists those that are."""
    listed = {str(item["RegionName"]): item for item in _call(gateway, "ec2", "describe_regions")["Regions"]}
    found = listed.get(gateway.region, {"OptInStatus": "not-opted-in"})
    return facts.Region(gateway.region, str(found.get("OptInStatus", "opt-in-not-required")))


def services_of(resource_types: Iterable[str]) -> tuple[str, ...]:
    """The keys of `READS` that stacks of these types need."""
    return tuple(sorted({*ALWAYS, *("::".join(kind.split("::")[:2]) for kind in resource_types)} & READS.keys()))


def reach(gateway: Gateway, service: str, account: str) -> facts.Reach:
    """Whether a service answers. Never raises."""
    client, operation, template = READS[service]
    arguments = {name: account if value == "{account}" else value for name, value in template.items()}
    try:
        _call(gateway, client, operation, **arguments)
    except AccessError:
        return facts.Reach(client, Answering.DENIED)
    except CloudError as error:
        return facts.Reach(client, Answering.UNREACHABLE, error.what)
    except NcapError as error:
        unreachable = isinstance(error, AwsError) and error.code in (
            "Unreachable",
            "ReadTimeoutError",
            "ProxyConnectionError",
        )
        return facts.Reach(client, Answering.UNREACHABLE if unreachable else Answering.OTHER, error.what)
    return facts.Reach(client, Answering.ANSWERS)


def role_arn(gateway: Gateway, role: str) -> str:
    """A role's own ARN, with its path, which the ARN of who assumed it leaves out. Raises AccessError."""
    return str(_call(gateway, "iam", "get_role", RoleName=role)["Role"]["Arn"])


def simulation(gateway: Gateway, principal: str, asked: Sequence[Asked], *, boundary: str = "") -> facts.Simulation:
    """What the policy simulator says of every action asked about. Raises AccessError if it may not be asked."""
    context = {"iam:PassedToService": "lambda.amazonaws.com", "iam:PermissionsBoundary": boundary}
    entries = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in context.items()
        if value
    ]
    denials: list[facts.Denial] = []
    for one in asked:
        pages = _pages(
            gateway, "iam", "simulate_principal_policy", "EvaluationResults", PolicySourceArn=principal,
            ActionNames=list(one.actions), ResourceArns=[one.resource], ContextEntries=entries,
        )  # fmt: skip
        denials += [
            facts.Denial(
                str(result["EvalActionName"]), one.resource, str(result["EvalDecision"]),
                tuple(result.get("MissingContextValues", ())),
            )
            for result in pages
            if result["EvalDecision"] != "allowed"
        ]  # fmt: skip
    return facts.Simulation(principal, sum(len(one.actions) for one in asked), tuple(denials))


def machine_types(gateway: Gateway, kinds: Sequence[str]) -> tuple[facts.MachineType, ...]:
    """What the region says of instance types; those it does not know have no zones."""
    if not kinds:
        return ()
    wanted = [{"Name": "instance-type", "Values": sorted(set(kinds))}]
    zones: dict[str, list[str]] = {}
    for offer in _pages(
        gateway, "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings",
        LocationType="availability-zone", Filters=wanted,
    ):  # fmt: skip
        zones.setdefault(str(offer["InstanceType"]), []).append(str(offer["Location"]))
    known = {
        str(found["InstanceType"]): found
        for found in _pages(gateway, "ec2", "describe_instance_types", "InstanceTypes", Filters=wanted)
    }
    return tuple(_machine_type(kind, known.get(kind, {}), zones.get(kind, ())) for kind in sorted(set(kinds)))


def _machine_type(kind: str, found: Shape, zones: Sequence[str]) -> facts.MachineType:
    architectures = found.get("ProcessorInfo", {}).get("SupportedArchitectures", ())
    vcpus = int(found.get("VCpuInfo", {}).get("DefaultVCpus", 0))
    return facts.MachineType(kind, vcpus, tuple(architectures), tuple(sorted(zones)))


def service_quota(gateway: Gateway, service: str, code: str) -> int | None:
    """A quota's value here, else AWS's default; None if neither may be read."""
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        try:
            answer = _call(gateway, "service-quotas", operation, ServiceCode=service, QuotaCode=code)
            return int(answer["Quota"]["Value"])
        except NcapError:
            continue
    return None


def concurrency(gateway: Gateway, functions: Iterable[str]) -> facts.Concurrency:
    """Lambda's concurrency, and what these functions hold of it already."""
    limits = _call(gateway, "lambda", "get_account_settings")["AccountLimit"]
    held = []
    for function in functions:
        try:
            answer = _call(gateway, "lambda", "get_function_concurrency", FunctionName=function)
        except NotFoundError:
            continue
        held.append((function, int(answer.get("ReservedConcurrentExecutions", 0))))
    return facts.Concurrency(
        int(limits["ConcurrentExecutions"]), int(limits["UnreservedConcurrentExecutions"]), tuple(held)
    )


IAM_KINDS = (
    ("IAM roles", "AWS::IAM::Role", "Roles", "list_roles"),
    ("IAM users", "AWS::IAM::User", "Users", "list_users"),
    ("IAM groups", "AWS::IAM::Group", "Groups", "list_groups"),
    ("IAM instance profiles", "AWS::IAM::InstanceProfile", "InstanceProfiles", "list_instance_profiles"),
    ("IAM policies", "AWS::IAM::ManagedPolicy", "Policies", "list_policies"),
)
"""What people call it, resource type, its name in the account summary, how ours are listed."""


def iam_quotas(gateway: Gateway, needs: facts.Needs) -> Iterator[tuple[facts.Quota, int]]:
    """IAM's counts and quotas, each with how many more would be made."""
    summary = _call(gateway, "iam", "get_account_summary")["SummaryMap"]
    for what, kind, name, operation in IAM_KINDS:
        if wanted := needs.count(kind):
            scope = {"Scope": "Local"} if operation == "list_policies" else {}
            ours = len(_pages(gateway, "iam", operation, name, PathPrefix=names.PATH, **scope))
            limit = summary.get(f"{name}Quota")
            quota = facts.Quota(what, int(summary.get(name, 0)), None if limit is None else int(limit))
            yield quota, max(0, wanted - ours)


def bucket_quota(gateway: Gateway, wanted: Iterable[str]) -> tuple[facts.Quota, int]:
    """Buckets of the account, with how many more would be made."""
    found = {str(bucket["Name"]) for bucket in _call(gateway, "s3", "list_buckets").get("Buckets", ())}
    limit = service_quota(gateway, "s3", "L-DC2B2D3D")
    return facts.Quota("S3 buckets", len(found), limit), len(set(wanted) - found)


def stack_quota(gateway: Gateway, needs: facts.Needs) -> tuple[facts.Quota, int]:
    """Stacks of account and region, with how many more would be made."""
    found = {str(stack["StackName"]) for stack in _pages(gateway, "cloudformation", "describe_stacks", "Stacks")}
    limit = service_quota(gateway, "cloudformation", "L-0485CB21")
    return facts.Quota("CloudFormation stacks", len(found), limit), len(set(needs.stacks) - found)


def image(gateway: Gateway, environment: str) -> facts.Image:
    """What an environment resolves to here."""
    if environment.startswith("ami-"):
        ids: Sequence[str] = (environment,)
    else:
        ids = gateway.images(environment.partition("@")[2])
    if not ids:
        return facts.Image(environment)
    filters = [{"Name": "image-id", "Values": [ids[0]]}]
    found = _call(gateway, "ec2", "describe_images", Filters=filters)["Images"]
    return _image(environment, found[0]) if found else facts.Image(environment)


def _image(environment: str, found: Shape) -> facts.Image:
    root = str(found.get("RootDeviceName", ""))
    sizes = [
        int(device.get("Ebs", {}).get("VolumeSize", 0))
        for device in found.get("BlockDeviceMappings", ())
        if device.get("DeviceName") == root
    ]
    return facts.Image(
        environment, str(found["ImageId"]), str(found.get("State", "")), str(found.get("Architecture", "")),
        root, str(found.get("RootDeviceType", "")), max(sizes, default=0),
    )  # fmt: skip


def bucket(gateway: Gateway, name: str, stack: str) -> facts.Bucket:
    """Whose a bucket name is; `stack` is the stack that would hold it."""
    try:
        answer = _call(gateway, "s3", "head_bucket", Bucket=name)
    except NotFoundError:
        return facts.Bucket(name, Holder.FREE)
    except AccessError:
        return facts.Bucket(name, Holder.FOREIGN)
    except AwsError as error:
        if error.code == "301":
            return facts.Bucket(name, Holder.ELSEWHERE)
        raise
    if answer.get("BucketRegion") not in (None, gateway.region):
        return facts.Bucket(name, Holder.ELSEWHERE)
    return facts.Bucket(name, Holder.OURS, managed=read_status(gateway.stacks, stack).phase is not Phase.ABSENT)


def boundary(gateway: Gateway, arn: str) -> facts.Boundary:
    """Whether a managed policy exists."""
    try:
        _call(gateway, "iam", "get_policy", PolicyArn=arn)
    except (NotFoundError, AwsError) as error:
        if isinstance(error, NotFoundError) or error.code in ("NoSuchEntity", "InvalidInput"):
            return facts.Boundary(arn, exists=False)
        raise
    return facts.Boundary(arn, exists=True)


def key(gateway: Gateway, arn: str) -> facts.Key:
    """What a KMS key is."""
    try:
        found = _call(gateway, "kms", "describe_key", KeyId=arn)["KeyMetadata"]
    except (NotFoundError, AwsError) as error:
        if isinstance(error, NotFoundError) or error.code in ("NotFoundException", "InvalidArnException"):
            return facts.Key(arn)
        raise
    return facts.Key(
        str(found.get("Arn", arn)), str(found["KeyState"]), str(found["KeyUsage"]), str(found.get("KeySpec", ""))
    )


def deployment(gateway: Gateway, needs: facts.Needs, artifact_bucket: str) -> facts.Deployment:
    """What is there of an earlier deployment."""
    found = [(stack, read_status(gateway.stacks, stack)) for stack in needs.stacks]
    try:
        _call(gateway, "dynamodb", "describe_table", TableName=names.LEDGER_TABLE)
        ledger = True
    except NotFoundError:
        ledger = False
    stacks = tuple((stack, status.status) for stack, status in found if status.status)
    return facts.Deployment(stacks, ledger, gateway.objects.has_bucket(artifact_bucket))


def _call(gateway: Gateway, service: str, operation: str, **arguments: Any) -> Shape:
    client = gateway.session.client(service)
    with gateway.session.translated(service):
        answer: Shape = getattr(client, operation)(**arguments)
        return answer


def _pages(gateway: Gateway, service: str, operation: str, member: str, **arguments: Any) -> list[Shape]:
    """Every item of a listing."""
    client = gateway.session.client(service)
    with gateway.session.translated(service):
        return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[member]]
