"""The development stack: deployed at the first launch, brought up to date by later ones. One an account and region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_iac import progress
from ncap_iac.deploy.plan import plan_stack
from ncap_iac.deploy.state import Deployed, Phase, read_stack, read_status
from ncap_iac.deploy.wanted import Wanted, with_parameters
from ncap_iac.errors import NotFoundError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

_SHARED = ("KmsKeyArn", "PermissionsBoundary", "VpcId")
"""Parameters taken over from the account stack."""


@dataclass(frozen=True)
class Surroundings:
    """What instances are launched with."""

    bucket: str
    """The artifact bucket, where test jobs are."""
    profile: str
    security_group: str
    subnet: str
    """Empty: any of the default network."""
    key: str
    """Of disks; empty: AWS's."""


def ensure_stack(
    gateway: Gateway, *, report: progress.Reporter, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Surroundings:
    """Deploy the stack if it is not as it should be. Raises NotFoundError without an account stack, ApplyError."""
    from ncap_compiler.compiler import compile_development
    from ncap_iac.deploy.apply import apply, settle
    from ncap_iac.deploy.deployment import target_place, workshop_at

    account = read_status(gateway.stacks, names.ACCOUNT_STACK)
    place = target_place(gateway)
    if account.phase is Phase.ABSENT or not place.has_artifact_bucket:
        raise NotFoundError(
            "the account stack is not deployed, and test jobs of development instances use its artifact bucket",
            where=f"stack {names.ACCOUNT_STACK}",
            hint="Deploy it with `ncap account deploy`.",
        )
    workshop = workshop_at(gateway, report, clock, sleep)
    settle(names.DEVELOPMENT_STACK, workshop)
    deployed = read_stack(gateway.stacks, names.DEVELOPMENT_STACK)
    bare = Wanted(names.DEVELOPMENT_STACK, compile_development())
    wanted = with_parameters(bare, deployed, known=_of_account(account), given=())
    plan = plan_stack(wanted, deployed, place)
    with progress.step("deploy what development instances need", report, clock) as step:
        step.text = "deployed" if apply(plan, workshop).changed else "was deployed before"
    stack = read_status(gateway.stacks, names.DEVELOPMENT_STACK)
    outputs = dict(stack.outputs)
    return Surroundings(
        bucket=place.artifact_bucket,
        profile=outputs["Profile"],
        security_group=outputs["SecurityGroup"],
        subnet=(account.parameter("SubnetIds") or "").partition(",")[0],
        key=stack.parameter("KmsKeyArn") or "",
    )


def _of_account(account: Deployed) -> dict[str, str]:
    found = {name: account.parameter(name) or "" for name in _SHARED}
    return {name: value for name, value in found.items() if value}
