"""Instance profiles as IAM knows them, asked through the edge; an answer is good for a few seconds.

One RunInstances asks twice (for permissions, then to perform), a burst of launches many times.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ncap_iac.local.ec2.model import Profile
from ncap_iac.local.service import ServiceError

MANAGED_ACTION = "ssm:UpdateInstanceInformation"
"""By what the agent of Systems Manager registers an instance."""

_FRESH_S = 5.0


class ProfileDirectory:
    """Instance profiles by name."""

    def __init__(self, client: Callable[[str], Any], clock: Callable[[], float], region: str) -> None:
        self._client = client
        self._region = region
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Profile]] = {}

    def find(self, *, name: str | None, arn: str | None) -> Profile:
        """The profile of a name or an ARN. Raises InvalidParameterValue in EC2's words."""
        asked = name or (arn or "").rsplit("/", 1)[-1]
        parameter, value = ("name", name) if name else ("arn", arn)
        wrong = ServiceError(
            "InvalidParameterValue",
            f"Value ({value}) for parameter iamInstanceProfile.{parameter} is invalid. "
            f"Invalid IAM Instance Profile {parameter}",
        )
        try:
            profile = self._fresh(asked) or self._ask(asked)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchEntity", "ValidationError"):
                raise wrong from error
            raise
        if arn and profile.arn != arn:
            raise wrong
        return profile

    def _fresh(self, name: str) -> Profile | None:
        with self._lock:
            asked_at, profile = self._known.get(name, (float("-inf"), None))
        return profile if profile and self._clock() - asked_at < _FRESH_S else None

    def _ask(self, name: str) -> Profile:
        answer = self._client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        roles = answer.get("Roles") or [{}]
        role = roles[0].get("Arn")
        profile = Profile(
            arn=answer["Arn"],
            profile_id=answer["InstanceProfileId"],
            role_arn=role,
            is_managed=bool(role) and self._may_be_managed(role),
        )
        with self._lock:
            self._known[name] = (self._clock(), profile)
        return profile

    def _may_be_managed(self, role: str) -> bool:
        """Whether Systems Manager's agent could register with these rights."""
        account = role.split(":")[4]
        answer = self._client("iam").simulate_principal_policy(
            PolicySourceArn=role,
            ActionNames=[MANAGED_ACTION],
            ResourceArns=[f"arn:aws:ec2:{self._region}:{account}:instance/i-00000000000000000"],
        )
        return all(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])
