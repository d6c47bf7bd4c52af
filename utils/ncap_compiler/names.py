"""Every derived name of the platform, in one place: the table in `docs/contracts.md`, section 1.

Functions of text only. Nothing else in this package may spell such a name out.
"""

from __future__ import annotations

import hashlib
import re

ACCOUNT_STACK = "neurocaas-account"
LEDGER_TABLE = "neurocaas-ledger"
LEDGER_OPEN_INDEX = "open"
MONITOR_FUNCTION = "neurocaas-instance-monitor"
SWEEPER_FUNCTION = "neurocaas-instance-sweeper"
TOPIC = "neurocaas-notifications"
DEAD_LETTER_QUEUE = "neurocaas-dead-letters"
SECURITY_GROUP = "neurocaas-instances"
BUDGET = "neurocaas-monthly"

DEVELOPMENT_STACK = "neurocaas-development"

PATH = "/neurocaas/"
"""IAM path of roles, groups and users."""
INSTANCE_PATH = "/neurocaas/instances/"
"""IAM path of instance roles and profiles."""

EXPORT_ARTIFACT_BUCKET = "neurocaas-artifact-bucket"
EXPORT_SECURITY_GROUP = "neurocaas-security-group"
EXPORT_LEDGER_ARN = "neurocaas-ledger-arn"
EXPORT_DEAD_LETTER_ARN = "neurocaas-dead-letter-arn"
EXPORT_TOPIC_ARN = "neurocaas-topic-arn"
EXPORT_SUBNETS = "neurocaas-subnets"

STACK_TAG = "neurocaas:stack"
ENVIRONMENT_TAG = "neurocaas:environment"
DIGEST_TAG = "neurocaas:environment-digest"
"""What makes an AMI usable: the digest of its environment's recipe, `sha256:…`."""
CANDIDATE_TAG = "neurocaas:environment-candidate"
"""The same of an AMI that has not passed the analysis's own sample yet."""

MAX_IAM_NAME = 64
"""Characters of a Lambda function's, role's or user's name."""
MAX_POLICIES = 10
"""Managed policies of one role or IAM group."""
MAX_GROUP_NAME = MAX_IAM_NAME - len("neurocaas-instance-")
"""Characters of a group's name: its instance role's name must fit."""

DEVELOPMENT_TAG = "neurocaas:development"
"""On instances people work on; its value is `On`."""
OWNER_TAG = "neurocaas:owner"
"""Who launched a development instance: an ARN."""
EXPIRES_TAG = "neurocaas:expires-at"
"""When a development instance has to be off: UTC, ISO 8601."""
AT_EXPIRY_TAG = "neurocaas:at-expiry"
"""What happens then: `terminate` or `stop`."""
SAVED_FROM_TAG = "neurocaas:saved-from"
"""Of an image: the environment its development instance was launched with."""

DEVELOPMENT = "development/"
HANDOVERS = "handovers/"
"""Where the artifact bucket keeps who was given a key."""

RESERVED_PREFIX = "neurocaas-"
"""Analyses may not begin so: their stacks and buckets would meet the platform's own."""
TOTAL_BUDGET = "total"
"""What a group may spend over all its analyses: kept beside the budgets of analyses, so none may have this name."""
RESERVED_GROUPS = frozenset({"active", "debug", "logs", "versions"})
"""First key segments the platform writes itself, and the folder of running instances' records."""

GROUP_NAME = re.compile(r"[A-Za-z0-9._@+][A-Za-z0-9._@+-]*")
MEMBER_NAME = re.compile(r"[A-Za-z0-9_+=@.][A-Za-z0-9_+=@.-]*")
ANALYSIS_NAME = re.compile(r"[a-z][a-z0-9-]{1,61}[a-z0-9]")


def limited(name: str, limit: int = MAX_IAM_NAME) -> str:
    """`name`, or if it is longer than `limit` its beginning and 8 hex digits of its SHA-256."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9]}-{_digest(name)}"


def users_stack(profile: str, number: int = 1) -> str:
    """Stack `number` (from 1) of the profile folder `profile`: the first holds all groups there is room for."""
    return f"neurocaas-users-{profile}" if number == 1 else f"neurocaas-users-{profile}--{number}"


def artifact_bucket(account: str = "${AWS::AccountId}", region: str = "${AWS::Region}") -> str:
    """Bucket of bundles and templates; without arguments as text for `Fn::Sub`."""
    return f"neurocaas-artifacts-{account}-{region}"


def bundle_key(sha256: str) -> str:
    """Key of a bundle in the artifact bucket."""
    return f"bundles/{sha256}.zip"


def template_key(stack: str, sha256: str) -> str:
    """Key of a compiled template in the artifact bucket."""
    return f"templates/{stack}/{sha256}.json"


def version_key(version_id: str) -> str:
    """Key of a version document in the analysis bucket."""
    return f"versions/{version_id}.json"


def environment_stack(environment: str) -> str:
    """Stack that builds the AMIs of `environment`."""
    return f"neurocaas-environment-{environment}"


def environment_archive_key(sha256: str) -> str:
    """Key in the artifact bucket of the archive an AMI is built from."""
    return f"environments/{sha256}.tar"


def verification_prefix(environment: str) -> str:
    """Where in the artifact bucket AMIs of `environment` are tried: samples, launch manifests, results."""
    return f"verifications/{environment}/"


def development_prefix(instance: str = "*") -> str:
    """Where in the artifact bucket test jobs of a development instance are: data, launch manifests, results."""
    return f"{DEVELOPMENT}{instance}/"


def environment_build(environment: str, digest: str) -> str:
    """Name of everything Image Builder has of one build; nothing it made is ever changed."""
    return f"neurocaas-{environment}-{digest[:12]}"


def submit_function(analysis: str) -> str:
    """Function, and role, that starts the jobs of `analysis`."""
    return limited(f"neurocaas-submit-{analysis}")


def postprocess_function(analysis: str) -> str:
    """Function, and role, that runs after a job of `analysis`."""
    return limited(f"neurocaas-postprocess-{analysis}")


def monitor_role(region: str = "${AWS::Region}") -> str:
    """Role of the monitor of a region; without an argument as text for `Fn::Sub`."""
    return f"neurocaas-monitor-{region}"


def sweeper_role(region: str = "${AWS::Region}") -> str:
    """Role of the sweeper of a region; without an argument as text for `Fn::Sub`."""
    return f"neurocaas-sweeper-{region}"


def launch_template(analysis: str) -> str:
    """Launch template of the instances of `analysis`."""
    return f"neurocaas-{analysis}"


def log_group(function: str) -> str:
    """Log group of a function."""
    return f"/aws/lambda/{function}"


def instance_role(group: str) -> str:
    """Role and instance profile of the instances that work for `group`."""
    return f"neurocaas-instance-{group}"


def iam_group(group: str) -> str:
    """IAM group of the members of `group`."""
    return f"neurocaas-{group}"


def further_policy(holder: str, number: int) -> str:
    """Policy `number` (from 2) of the role or group named `holder`: what its inline policy has no room for."""
    return f"{holder}-{number}"


def shared_policy(group: str, stack_number: int = 1, part: int = 1) -> str:
    """What `group` lets its collaborators read: for the groups of one users stack, and by parts where one is too long.

    No group's name holds `=`, so no two of these names meet.
    """
    return f"neurocaas-shared-{group}" + (f"={stack_number}={part}" if (stack_number, part) != (1, 1) else "")


def derived_of_group(group: str) -> tuple[str, ...]:
    """What IAM keeps of `group`, each as a kind and a name: a role, a group, and the policies they may have."""
    holders = (instance_role(group), iam_group(group))
    further = (further_policy(holder, number) for holder in holders for number in range(2, MAX_POLICIES + 2))
    return (
        f"role {instance_role(group)}",
        f"group {iam_group(group)}",
        *(f"policy {policy}" for policy in (shared_policy(group), *further)),
    )


def member_secret(member: str) -> str:
    """Secrets Manager name of a member's credentials."""
    return f"/neurocaas/members/{member}"


def handover_key(member: str, access_key_id: str, number: int = 1) -> str:
    """Key in the artifact bucket of the record that a member's key was handed over, for the `number`th time."""
    again = "" if number == 1 else f"-{number}"
    return f"{HANDOVERS}{member}/{access_key_id}{again}.json"


def budget_parameter(group: str, analysis: str) -> str:
    """SSM parameter with the budget of `group` for `analysis` (`TOTAL_BUDGET`: over all of them), in USD."""
    return f"/neurocaas/budgets/{group}/{analysis}"


def version_parameter(analysis: str) -> str:
    """SSM parameter with the version `analysis` serves by default, for the analyses that hand results to it."""
    return f"/neurocaas/versions/{analysis}"


def logical_id(kind: str, *parts: str) -> str:
    """A logical id for something named by people: letters and digits, and a digest so that no two names meet."""
    words = "".join(word.capitalize() for part in parts for word in re.findall("[A-Za-z0-9]+", part))
    return f"{kind}{words[:40]}{_digest(chr(0).join(parts))}"


def why_not_an_analysis(name: str) -> str | None:
    """Why `name` cannot name both a bucket and a stack, None when it can. Rules: S3 bucket names, stack names."""
    if not 3 <= len(name) <= 63:
        return f"it has {len(name)} characters; 3 to 63 are accepted"
    if not ANALYSIS_NAME.fullmatch(name):
        return "only lower-case letters, digits and hyphens, beginning with a letter and not ending in a hyphen"
    if name.startswith(RESERVED_PREFIX):
        return f"names beginning with `{RESERVED_PREFIX}` are the platform's own"
    if name == TOTAL_BUDGET:
        return "a group's budget over all its analyses is kept under this name"
    if name.startswith(("xn--", "sthree-", "amzn-s3-demo-")):
        return "S3 reserves names that begin so"
    if name.endswith(("-s3alias", "--ol-s3", "--x-s3", "--table-s3")):
        return "S3 reserves names that end so"
    return None


def why_not_a_group(name: str) -> str | None:
    """Why `name` cannot be a group's folder, IAM group and instance role, None when it can."""
    if not GROUP_NAME.fullmatch(name):
        return "only letters, digits and . _ @ + -, not beginning with a hyphen"
    if len(name) > MAX_GROUP_NAME:
        return f"it has {len(name)} characters; at most {MAX_GROUP_NAME} are accepted"
    if set(name) == {"."}:
        return "dots alone are not a folder name"
    if name.casefold() in RESERVED_GROUPS:
        return "the platform keeps its own objects under this name"
    return None


def why_not_a_member(name: str) -> str | None:
    """Why `name` cannot be an IAM user and a secret's name, None when it can."""
    if not MEMBER_NAME.fullmatch(name):
        return "only letters, digits and _ + = @ . -, not beginning with a hyphen"
    if len(name) > MAX_IAM_NAME:
        return f"it has {len(name)} characters; at most {MAX_IAM_NAME} are accepted"
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
