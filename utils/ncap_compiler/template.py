"""Templates as stable text, and CloudFormation's limits on them.

Turns a finished structure into bytes that depend only on it. It must not know what the resources are for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from ncap_compiler.document import Json
from ncap_compiler.errors import DocumentError, Problem

MAX_RESOURCES = 500
MAX_BYTES = 1_000_000
"""From S3; in a request CloudFormation takes `MAX_INLINE_BYTES`."""
MAX_INLINE_BYTES = 51_200
MAX_PARAMETERS = 200
MAX_ROLE_POLICIES = 10_240
"""Characters of all inline policies of a role, white space aside (IAM quotas)."""
MAX_GROUP_POLICIES = 5_120
"""Characters of all inline policies of a group, white space aside (IAM quotas)."""

_LONGEST = {
    "AWS::Partition": "aws-us-gov",
    "AWS::Region": "ap-southeast-1",
    "AWS::AccountId": "0" * 12,
    "ImageId": "ami-" + "0" * 17,
    "LaunchTemplate": "lt-" + "0" * 17,
    "Imported": "x" * 64,
}


def render_template(template: Mapping[str, Json], *, stack: str) -> str:
    """The text of a template: sorted keys, two spaces, newline at the end.

    Raises DocumentError (T101 to T105) when CloudFormation or IAM would refuse it for its size. `stack` is the name
    used in messages.
    """
    text = json.dumps(template, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    problems = tuple(_check_limits(template, text, stack))
    if problems:
        raise DocumentError(problems)
    return text


def policy_length(policy: Json) -> int:
    """Characters IAM counts of a policy document, with the longest values a region can fill in."""
    return len(re.sub(r"\s", "", json.dumps(_filled(policy), ensure_ascii=False)))


def _check_limits(template: Mapping[str, Json], text: str, stack: str) -> Iterator[Problem]:
    resources, parameters = template.get("Resources"), template.get("Parameters")
    found = resources if isinstance(resources, dict) else {}
    if len(found) > MAX_RESOURCES:
        message = f"{len(found)} resources in one stack; CloudFormation takes {MAX_RESOURCES}"
        yield Problem("T101", stack, "/Resources", None, message, "Split the document into two.")
    if (size := len(text.encode())) > MAX_BYTES:
        message = f"the template has {size:,} bytes; CloudFormation takes {MAX_BYTES:,}"
        yield Problem("T102", stack, "", None, message, "Split the document into two.")
    if isinstance(parameters, dict) and len(parameters) > MAX_PARAMETERS:
        message = f"{len(parameters)} parameters; CloudFormation takes {MAX_PARAMETERS}"
        yield Problem("T103", stack, "/Parameters", None, message)
    for name, resource in found.items():
        if isinstance(resource, dict):
            yield from _check_policies(name, resource, stack)


def _check_policies(name: str, resource: dict[str, Json], stack: str) -> Iterator[Problem]:
    limits = {"AWS::IAM::Role": ("T104", MAX_ROLE_POLICIES), "AWS::IAM::Group": ("T105", MAX_GROUP_POLICIES)}
    problem_id, limit = limits.get(str(resource.get("Type")), ("", 0))
    properties = resource.get("Properties")
    policies = properties.get("Policies") if isinstance(properties, dict) else None
    if not problem_id or not isinstance(policies, list):
        return
    length = sum(policy_length(policy.get("PolicyDocument")) for policy in policies if isinstance(policy, dict))
    if length > limit:
        message = f"the inline policies have {length:,} characters; IAM takes {limit:,}"
        hint = "Name fewer analyses in one group, or fewer groups in one blueprint."
        yield Problem(problem_id, stack, f"/Resources/{name}", None, message, hint)


def _filled(value: Json) -> Json:
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Fn::Sub"]:
        text = value["Fn::Sub"]
        text = text[0] if isinstance(text, list) else text
        return re.sub(r"\$\{([^}]+)\}", lambda match: _LONGEST.get(match.group(1), "x" * 64), str(text))
    return {name: _filled(item) for name, item in value.items()}
