"""Whether spot instances can be started in an account: EC2 needs its service-linked role for that. Asks IAM once.

Without the role jobs run on demand (EC2 user guide, "Service-linked role for Spot Instance requests").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ncap_iac.errors import NotFoundError
from ncap_iac.preflight import fetch
from ncap_iac.preflight.checks import Finding, Verdict

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

ROLE = "AWSServiceRoleForEC2Spot"


def has_role(gateway: Gateway) -> bool:
    """Whether the account has the role. Raises AccessError."""
    try:
        return bool(fetch.role_arn(gateway, ROLE))
    except NotFoundError:
        return False


def judge_role(analyses: Sequence[str], *, exists: bool) -> Iterator[Finding]:
    """What that means for the analyses that use spot instances."""
    if exists:
        yield Finding("spot", ROLE, Verdict.OK, "there")
    else:
        yield Finding(
            "spot", ROLE, Verdict.WARNING, "not there", f"jobs of {', '.join(analyses)} will run on demand",
            "Make it once an account: `aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`.",
        )  # fmt: skip
