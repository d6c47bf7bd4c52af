"""A group's own role, taken on to look at what lies outside the analysis's bucket: IAM then says whose that is.

The job manager's rights never count for such an address, so nobody can use them to reach what is not his own. The
session is narrowed to looking and to trying whether results can be written. Decides nothing by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobmanager.aws import Gateway
from jobmanager.datasets import DENIED
from jobmanager.errors import AwsError
from jobmanager.job import WRITE_TEST

SESSION_S = 900
"""The shortest session STS gives."""
_REFRESH_BEFORE_S = 120
_LONGEST_SESSION_NAME = 64
_KEY_USE = ["kms:Decrypt", "kms:GenerateDataKey"]
NARROWED = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"},
            {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:*:s3:::*/{WRITE_TEST}"},
            {"Effect": "Allow", "Action": _KEY_USE, "Resource": "*"},
        ],
    },
    separators=(",", ":"),
)
"""What is left of the role's rights in our hands: it may do no more than its group's policies allow either way."""


class NoRoleError(Exception):
    """The group's role cannot be taken on; the message is for the user."""


@dataclass(frozen=True)
class RolePlace:
    """Where roles of groups are: `arn_prefix` is their ARN up to the group's name. `session`: what STS calls us."""

    arn_prefix: str
    session: str


class GroupRoles:
    """Gateways with the rights of a group's role; one is kept, that of the group asked for last."""

    def __init__(self, gateway: Gateway, place: RolePlace | None, clock: Callable[[], datetime]) -> None:
        self._gateway = gateway
        self._place = place
        self._clock = clock
        self._kept: tuple[str, datetime, Gateway] | None = None

    def gateway(self, group: str) -> Gateway:
        """AWS with the rights of this group's role. Raises NoRoleError; AwsError: to be tried again."""
        now = self._clock()
        if self._kept and self._kept[0] == group and now < self._kept[1]:
            return self._kept[2]
        self._kept = None
        if self._place is None:
            raise NoRoleError("addresses outside this bucket cannot be looked up here; tell an operator")
        try:
            taken = self._gateway.assume_role(
                f"{self._place.arn_prefix}{group}",
                session=self._place.session[:_LONGEST_SESSION_NAME],
                policy=NARROWED,
                seconds=SESSION_S,
            )
        except AwsError as error:
            if error.code not in DENIED:
                raise
            raise NoRoleError(
                f"the job manager may not look up addresses outside this bucket with the rights of group '{group}': "
                "the group's profile must list this analysis, and be deployed again; ask an operator"
            ) from error
        self._kept = group, now + timedelta(seconds=SESSION_S - _REFRESH_BEFORE_S), taken
        return taken
