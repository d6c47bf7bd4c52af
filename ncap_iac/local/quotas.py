"""Service Quotas of the local cloud: the few quotas a deployment is checked against, with values that are true here.

Everything else is refused by name: a number nobody stands for would be worse than none. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.ec2.catalog import INSTANCE_TYPES
from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

Shape = dict[str, Any]
Request = Mapping[str, Any]
Clients = Callable[[str], Any]
_STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"


@dataclass(frozen=True)
class Quota:
    """One quota."""

    service: str
    code: str
    name: str
    default: float
    """AWS's default for an account, as its documentation has it."""
    here: Callable[[Clients], float] | None = None
    """What holds in this cloud; None: nothing limits it here, and AWS's default is told."""


def _of_iam(member: str) -> Callable[[Clients], float]:
    return lambda client: float(client("iam").get_account_summary()["SummaryMap"][member])


def _concurrency(client: Clients) -> float:
    return float(client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"])


def _ec2_quotas(cores: int) -> list[Quota]:
    """In vCPUs: the most that instances which run at once can have, one instance a core, whatever its type.

    The number of cores itself would be wrong: no type is refused here because it has more vCPUs than the computer.
    """

    def together(*families: str) -> float:
        return cores * max(kind.vcpu for kind in INSTANCE_TYPES.values() if kind.name[0] in families)

    standard, graphics = together("c", "m", "r", "t"), together("g")
    spot = "All {} Spot Instance Requests"
    return [
        _fixed("L-1216C47A", f"Running On-Demand {_STANDARD} instances", default=5, here=standard),
        _fixed("L-DB2E81BA", "Running On-Demand G and VT instances", default=0, here=graphics),
        _fixed("L-417A185B", "Running On-Demand P instances", default=0, here=0),
        _fixed("L-34B43A08", spot.format(_STANDARD), default=5, here=standard),
        _fixed("L-3819A6DF", spot.format("G and VT"), default=0, here=graphics),
        _fixed("L-7212CCBC", spot.format("P4, P3 and P2"), default=0, here=0),
    ]


def _fixed(code: str, name: str, *, default: float, here: float) -> Quota:
    return Quota("ec2", code, name, default, lambda _: here)


def known_quotas(cores: int) -> tuple[Quota, ...]:
    """Every quota of a cloud on a computer with so many cores."""
    return (
        *_ec2_quotas(cores),
        Quota("lambda", "L-B99A9384", "Concurrent executions", 1000, _concurrency),
        Quota("s3", "L-DC2B2D3D", "General purpose buckets", 10_000),
        Quota("cloudformation", "L-0485CB21", "Stack count", 2000),
        Quota("iam", "L-F4A5425F", "Groups per account", 300, _of_iam("GroupsQuota")),
        Quota("iam", "L-F55AF5E4", "Users per account", 5000, _of_iam("UsersQuota")),
        Quota("iam", "L-FE177D64", "Roles per account", 1000, _of_iam("RolesQuota")),
        Quota("iam", "L-E95E4862", "Customer managed policies per account", 1500, _of_iam("PoliciesQuota")),
        Quota("iam", "L-0DA4ABF3", "Managed policies per role", 10, _of_iam("AttachedPoliciesPerRoleQuota")),
        Quota("iam", "L-4019AD8B", "Managed policies per user", 10, _of_iam("AttachedPoliciesPerUserQuota")),
        Quota("iam", "L-384571C4", "Managed policies per group", 10, _of_iam("AttachedPoliciesPerGroupQuota")),
    )


class QuotasService:
    """GetServiceQuota, ListServiceQuotas and the defaults."""

    name = "service-quotas"

    def __init__(self, surroundings: Surroundings, *, cores: int) -> None:
        self._surroundings = surroundings
        self._quotas = known_quotas(cores)
        self._operations: Mapping[str, Callable[[Request], Shape]] = {
            "GetAWSDefaultServiceQuota": lambda asked: {"Quota": self._shown(self._find(asked), default=True)},
            "GetServiceQuota": lambda asked: {"Quota": self._shown(self._find(asked), default=False)},
            "ListAWSDefaultServiceQuotas": lambda asked: self._list(asked, default=True),
            "ListServiceQuotas": lambda asked: self._list(asked, default=False),
        }

    def start(self) -> None:
        """Nothing to take up."""

    def stop(self) -> None:
        """Nothing to end."""

    def permissions(self, call: Call) -> Sequence[Permission]:
        """The operation, on the quota it names."""
        asked, place = call.parameters, f"{call.region}:{self._surroundings.account_id}"
        resource = "*"
        if "QuotaCode" in asked:
            resource = f"arn:aws:servicequotas:{place}:{asked['ServiceCode']}/{asked['QuotaCode']}"
        return [Permission(f"servicequotas:{call.operation}", resource)]

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        operation = self._operations.get(call.operation)
        if operation is None:
            message = f"The local cloud's Service Quotas does not support {call.operation}: its quotas do not change."
            raise ServiceError("UnsupportedOperation", message)
        return operation(call.parameters)

    def _of(self, service: str) -> list[Quota]:
        found = [quota for quota in self._quotas if quota.service == service]
        if not found:
            known = ", ".join(sorted({quota.service for quota in self._quotas}))
            message = f"The local cloud tells no quotas of {service}. It knows those of: {known}."
            raise ServiceError("NoSuchResourceException", message)
        return found

    def _find(self, asked: Request) -> Quota:
        quotas = self._of(asked["ServiceCode"])
        for quota in quotas:
            if quota.code == asked["QuotaCode"]:
                return quota
        known = ", ".join(f"{quota.code} ({quota.name})" for quota in quotas)
        message = f"The local cloud does not tell quota {asked['QuotaCode']} of {asked['ServiceCode']}. Known: {known}."
        raise ServiceError("NoSuchResourceException", message)

    def _list(self, asked: Request, *, default: bool) -> Shape:
        return {"Quotas": [self._shown(quota, default=default) for quota in self._of(asked["ServiceCode"])]}

    def _shown(self, quota: Quota, *, default: bool) -> Shape:
        surroundings = self._surroundings
        here = quota.default if default or quota.here is None else quota.here(surroundings.client)
        place = f"{surroundings.region}:{surroundings.account_id}"
        return {
            "ServiceCode": quota.service,
            "QuotaArn": f"arn:aws:servicequotas:{place}:{quota.service}/{quota.code}",
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "Value": float(here),
            "Unit": "None",
            "Adjustable": False,
            "GlobalQuota": quota.service == "iam",
        }
