"""Templates as stable text, and CloudFormation's limits on them.

Turns a finished structure into bytes that depend only on it. It must not know what the resources are for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from ncap_compiler.document import Json
from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.names import MAX_POLICIES

MAX_RESOURCES = 500
MAX_BYTES = 1_000_000
"""From S3; in a request CloudFormation takes `MAX_INLINE_BYTES`."""
MAX_INLINE_BYTES = 51_200
MAX_PARAMETERS = 200
MAX_ROLE_POLICIES = 10_240
"""Characters of all inline policies of a role, white space aside (IAM quotas)."""
MAX_TRUST_POLICY = 2_048
"""Characters of a role's trust policy (IAM quotas)."""
MAX_GROUP_POLICIES = 5_120
"""Characters of all inline policies of a group, white space aside (IAM quotas)."""

MAX_MANAGED_POLICY = 6_144
"""Characters of a managed policy, white space aside (IAM quotas)."""
MAX_BUCKET_POLICY = 20_480
"""Bytes of a bucket policy (S3 quotas)."""
MAX_LIFECYCLE_RULES = 1_000
"""Lifecycle rules of a bucket (S3 quotas)."""
MAX_LISTED = 1_280
"""Characters of a comma-separated parameter that a policy lists: 20 images, or 60 instance types of longer names."""

_LISTED: dict[str, list[Json]] = {
    "InstanceTypes": ["x" * 7] * (MAX_LISTED // 8),
    "EarlierImages": ["x" * 62] * (MAX_LISTED // 63),
}
"""Such parameters at their longest once they are lists: many short values cost most."""
_LONGEST = {
    "AWS::Partition": "aws-us-gov",
    "AWS::Region": "ap-southeast-1",
    "AWS::AccountId": "0" * 12,
    "ImageId": "ami-" + "0" * 17,
    "LaunchTemplate": "lt-" + "0" * 17,
    "Imported": "x" * 64,
    "KmsKeyArn": "arn:aws-us-gov:kms:ap-southeast-1:000000000000:key/mrk-" + "0" * 32,
}


_INLINE = {"AWS::IAM::Role": ("T104", MAX_ROLE_POLICIES), "AWS::IAM::Group": ("T105", MAX_GROUP_POLICIES)}
_DOCUMENT = {
    "AWS::IAM::ManagedPolicy": ("T106", MAX_MANAGED_POLICY, "IAM"),
    "AWS::S3::BucketPolicy": ("T108", MAX_BUCKET_POLICY, "S3"),
}
_SPLIT = "Move some of its groups into another profile (their members get other keys), or split the document."
_FEWER = "Name fewer analyses in one group, or fewer groups in one blueprint."
_REMEDIES = {
    "T104": _FEWER,
    "T105": _FEWER,
    "T106": "Give the group or the analysis a shorter name.",
    "T107": f"{_FEWER} A group may also be collaborator of too many others.",
    "T108": "Give the analysis a shorter name.",
    "T109": "Name fewer groups in the blueprint, or leave Retention out.",
}


def render_template(template: Mapping[str, Json], *, stack: str) -> str:
    """The text of a template.

    Raises DocumentError (T101 to T109) when CloudFormation or IAM would refuse it for its size. `stack` is the name
    used in messages.
    """
    text = render_structure(template)
    problems = tuple(_check_limits(template, text, stack))
    if problems:
        raise DocumentError(problems)
    return text


def render_structure(template: Mapping[str, Json]) -> str:
    """The text of a template, whatever its size: sorted keys, two spaces, newline at the end."""
    return json.dumps(template, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def policy_length(policy: Json) -> int:
    """Characters IAM counts of a policy document, with the longest values a region can fill in."""
    return len(re.sub(r"\s", "", json.dumps(_filled(policy), ensure_ascii=False)))


def _check_limits(template: Mapping[str, Json], text: str, stack: str) -> Iterator[Problem]:
    resources, parameters = template.get("Resources"), template.get("Parameters")
    found = resources if isinstance(resources, dict) else {}
    if len(found) > MAX_RESOURCES:
        message = f"{len(found)} resources in one stack; CloudFormation takes {MAX_RESOURCES}"
        yield Problem("T101", stack, "/Resources", None, message, _SPLIT)
    if (size := len(text.encode())) > MAX_BYTES:
        message = f"the template has {size:,} bytes; CloudFormation takes {MAX_BYTES:,}"
        yield Problem("T102", stack, "", None, message, _SPLIT)
    if isinstance(parameters, dict) and len(parameters) > MAX_PARAMETERS:
        message = f"{len(parameters)} parameters; CloudFormation takes {MAX_PARAMETERS}"
        yield Problem("T103", stack, "/Parameters", None, message, _SPLIT)
    yield from _check_attached(found, stack)
    for name, resource in found.items():
        if isinstance(resource, dict):
            yield from _check_resource(name, resource, stack)


def _check_resource(name: str, resource: Mapping[str, Json], stack: str) -> Iterator[Problem]:
    kind, properties = str(resource.get("Type")), resource.get("Properties")
    held = properties if isinstance(properties, dict) else {}
    if kind in _INLINE:
        problem_id, limit = _INLINE[kind]
        policies = held.get("Policies")
        inline = [policy for policy in policies if isinstance(policy, dict)] if isinstance(policies, list) else []
        length = sum(policy_length(policy.get("PolicyDocument")) for policy in inline)
        yield from _over(problem_id, stack, name, f"the inline policies have {length:,} characters; IAM", length, limit)
    if kind in _DOCUMENT:
        problem_id, limit, keeper = _DOCUMENT[kind]
        length = policy_length(held.get("PolicyDocument"))
        yield from _over(problem_id, stack, name, f"the policy has {length:,} characters; {keeper}", length, limit)
    if kind == "AWS::S3::Bucket":
        lifecycle = held.get("LifecycleConfiguration")
        rules = lifecycle.get("Rules") if isinstance(lifecycle, dict) else None
        count = len(rules) if isinstance(rules, list) else 0
        yield from _over(
            "T109", stack, name, f"the bucket has {count:,} lifecycle rules; S3", count, MAX_LIFECYCLE_RULES
        )


def _check_attached(resources: Mapping[str, Json], stack: str) -> Iterator[Problem]:
    """Managed policies of each role and group, by the resource or the name that stands for it."""
    counts = Counter(
        str(holder.get("Ref")) if isinstance(holder, dict) else str(holder)
        for resource in resources.values()
        if isinstance(resource, dict) and resource.get("Type") == "AWS::IAM::ManagedPolicy"
        for holders in _holders(resource)
        for holder in holders
    )
    for name, count in counts.items():
        yield from _over("T107", stack, name, f"it has {count} managed policies; IAM", count, MAX_POLICIES)


def _holders(resource: Mapping[str, Json]) -> Iterator[list[Json]]:
    properties = resource.get("Properties")
    for kind in ("Groups", "Roles"):
        found = properties.get(kind) if isinstance(properties, dict) else None
        if isinstance(found, list):
            yield found


def _over(problem_id: str, stack: str, name: str, message: str, count: int, limit: int) -> Iterator[Problem]:
    if count > limit:
        yield Problem(
            problem_id, stack, f"/Resources/{name}", None, f"{message} takes {limit:,}", _REMEDIES[problem_id]
        )


def _filled(value: Json) -> Json:
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Fn::If"]:
        branches = value["Fn::If"]
        return _filled(branches[1]) if isinstance(branches, list) else branches
    if list(value) == ["Fn::Split"]:
        return next((values for name, values in _LISTED.items() if name in str(value)), value)
    if list(value) == ["Fn::Sub"]:
        text = value["Fn::Sub"]
        text = text[0] if isinstance(text, list) else text
        return re.sub(r"\$\{([^}]+)\}", lambda match: _LONGEST.get(match.group(1), "x" * 64), str(text))
    return {name: _filled(item) for name, item in value.items()}
