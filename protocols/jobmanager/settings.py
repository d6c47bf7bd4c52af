"""The environment of the functions (contract section 3). The only reader of it; reads nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jobmanager.errors import SettingsError
from jobmanager.grouproles import RolePlace
from jobmanager.pricing import PricePlace

INSTANCE_ROLES = "/neurocaas/instances/neurocaas-instance-"
TOPIC = "neurocaas-notifications"
ARTIFACTS = "neurocaas-artifacts-{account}-{region}"
_DEFAULT_NETWORK = "default"


class LambdaContext(Protocol):
    """The two facts the functions take from the context Lambda hands them."""

    @property
    def invoked_function_arn(self) -> str:
        """The ARN this invocation used."""

    @property
    def function_name(self) -> str:
        """The function's name."""


@dataclass(frozen=True)
class Settings:
    """Where the ledger is, and for the submit function which analysis it serves."""

    ledger_table: str
    analysis_bucket: str = ""
    version_id: str = ""
    subnets: tuple[str, ...] = ()
    volume_key: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, submit: bool = False) -> Settings:
        """Settings of the monitor and the sweeper, or with `submit` of a submit function. Raises SettingsError."""
        wanted = ["LEDGER_TABLE", *(["ANALYSIS_BUCKET", "VERSION_ID"] if submit else [])]
        missing = [name for name in wanted if not environ.get(name)]
        if missing:
            raise SettingsError(
                f"environment of the function: {', '.join(missing)} not set; deploy the stack of this function again"
            )
        if not submit:
            return cls(environ["LEDGER_TABLE"])
        subnets = parse_subnets(environ.get("SUBNET_IDS", _DEFAULT_NETWORK))
        return cls(
            environ["LEDGER_TABLE"],
            environ["ANALYSIS_BUCKET"],
            environ["VERSION_ID"],
            subnets,
            volume_key=environ.get("VOLUME_KEY_ARN") or None,
        )


def parse_subnets(text: str) -> tuple[str, ...]:
    """The subnets instances may be started in, each once; none for `default`: those of the default network."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    return () if names == (_DEFAULT_NETWORK,) else names


def role_place(context: LambdaContext) -> RolePlace | None:
    """Where the groups' roles are, in this function's own account; sessions are named after this function."""
    parts = context.invoked_function_arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        return None
    return RolePlace(f"arn:{parts[1]}:iam::{parts[4]}:role{INSTANCE_ROLES}", context.function_name)


def topic_arn(context: LambdaContext) -> str | None:
    """The ARN of the notification topic beside this function: same partition, region and account."""
    parts = context.invoked_function_arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        return None
    return f"arn:{parts[1]}:sns:{parts[3]}:{parts[4]}:{TOPIC}"


def price_place(context: LambdaContext) -> PricePlace | None:
    """Where the price table of this function's region is: the artifact bucket's name holds account and region."""
    parts = context.invoked_function_arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        return None
    return PricePlace(ARTIFACTS.format(account=parts[4], region=parts[3]), parts[3])
