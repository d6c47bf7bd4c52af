"""Looks at a target before a first deployment: asks everything at once, changes nothing, lets no failure hide another.

What is wanted is read from what the project's documents compile to. Facts are fetched by `preflight_fetch` and judged
by `preflight_checks` and `preflight_places`.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.deploy.resolved import resolve_template
from ncap_iac.deploy.wanted import Pairs, Wanted
from ncap_iac.errors import AccessError, ExitCode, NcapError
from ncap_iac.preflight import checks as judge
from ncap_iac.preflight import facts, fetch, places, spot
from ncap_iac.preflight.checks import Cause, Finding, Verdict
from ncap_iac.preflight.network import network
from ncap_iac.preflight.permissions import asked_of, principal_of

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

TIMEOUT_S = 30.0
"""How long one check may take."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Check:
    """One question; its findings, or an error that becomes one."""

    name: str
    subject: str
    run: Callable[[], Iterable[Finding]]


@dataclass(frozen=True)
class Outside:
    """What preflight needs of the world."""

    gateway: Gateway
    clock: Clock
    """Seconds, only ever forward."""
    now: Callable[[], datetime]
    timeout_s: float = TIMEOUT_S


def needs_of(wanted: Sequence[Wanted], analyses: Sequence[facts.Analysis], parameters: Pairs) -> facts.Needs:
    """What stacks ask for, with these parameters."""
    resources = [
        resource
        for stack in wanted
        for resource in resolve_template(json.loads(stack.template), dict(parameters))["Resources"].values()
    ]
    counts = Counter(str(resource["Type"]) for resource in resources)
    return facts.Needs(
        analyses=tuple(analyses),
        stacks=tuple(stack.stack for stack in wanted),
        buckets=tuple(analysis.name for analysis in analyses),
        resource_types=tuple(sorted(counts)),
        reserved=tuple(_reserved(resources)),
        counts=tuple(sorted(counts.items())),
        parameters=parameters,
    )


def _reserved(resources: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    for resource in resources:
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Function" and "ReservedConcurrentExecutions" in properties:
            yield str(properties["FunctionName"]), int(properties["ReservedConcurrentExecutions"])


def preflight(needs: facts.Needs, outside: Outside) -> tuple[Finding, ...]:
    """Everything looked at, in the order people think of it."""
    callers: list[facts.Identity] = []
    first = run_checks([Check("identity", "your credentials", lambda: _identity(outside, callers))], outside)
    if not callers:
        return first
    return (*first, *run_checks(_checks(needs, outside.gateway, callers[0]), outside))


def _identity(outside: Outside, callers: list[facts.Identity]) -> Iterator[Finding]:
    """Who calls, also put into `callers`; without an answer nothing else can be looked at."""
    try:
        callers.append(fetch.identity(outside.gateway, outside.now))
        yield from judge.judge_identity(callers[0], is_local=outside.gateway.target.cloud is not None)
    except NcapError as error:
        cause = Cause.ACCESS if isinstance(error, AccessError) else Cause.OTHER
        meaning = "nothing else can be looked at without it"
        yield Finding("identity", "your credentials", Verdict.PROBLEM, error.what, meaning, error.hint, cause)
        refusal = getattr(error.__cause__, "response", {})
        if (offset := fetch.clock_offset(refusal, outside.now())) is not None:
            yield judge.judge_clock(offset)


def _checks(needs: facts.Needs, gateway: Gateway, caller: facts.Identity) -> list[Check]:
    account, arn, region = caller.account, caller.arn, gateway.region
    artifacts = names.artifact_bucket(account, region)
    is_local = gateway.target.cloud is not None
    buckets = {artifacts: names.ACCOUNT_STACK, **{name: name for name in needs.buckets}}
    types = _Once(lambda: fetch.machine_types(gateway, [kind for one in needs.analyses for kind in one.allowed_types]))
    checks = [
        Check("region", region, lambda: judge.judge_region(fetch.region(gateway))),
        Check("region", region, lambda: judge.judge_wanted_region(region, needs)),
        *(
            Check("service", service, partial(_reach, gateway, service, account))
            for service in fetch.services_of(needs.resource_types)
        ),
        Check("permissions", arn, partial(_permissions, gateway, needs, account, arn)),
        Check("quota vCPU", "EC2", lambda: _vcpus(gateway, needs, types())),
        Check("quota Lambda", "concurrency", lambda: _concurrency(gateway, needs)),
        Check("quota IAM", "IAM", lambda: _counted(fetch.iam_quotas(gateway, needs))),
        Check("quota S3 buckets", "S3", lambda: _counted([fetch.bucket_quota(gateway, buckets)])),
        Check("quota CloudFormation stacks", "stacks", lambda: _counted([fetch.stack_quota(gateway, needs)])),
        Check("instance types", region, lambda: places.judge_types(needs, types())),
        *(Check("image", one.name, partial(_image, gateway, one, is_local)) for one in needs.analyses),
        *(Check("bucket", name, partial(_bucket, gateway, name, stack)) for name, stack in buckets.items()),
        Check("earlier deployment", region, lambda: _earlier(gateway, needs, artifacts)),
    ]
    if not is_local:
        checks.append(Check("network", region, lambda: _network(gateway, needs)))
        if on_spot := [one.name for one in needs.analyses if one.uses_spot]:
            checks.append(Check("spot", spot.ROLE, lambda: spot.judge_role(on_spot, exists=spot.has_role(gateway))))
    if boundary := needs.parameter("PermissionsBoundary"):
        checks.append(Check("boundary", boundary, lambda: places.judge_boundary(fetch.boundary(gateway, boundary))))
    if key := needs.parameter("KmsKeyArn"):
        checks.append(Check("key", key, lambda: places.judge_key(fetch.key(gateway, key), region)))
    return checks


def _reach(gateway: Gateway, service: str, account: str) -> Iterator[Finding]:
    return judge.judge_reach([fetch.reach(gateway, service, account)])


def _permissions(gateway: Gateway, needs: facts.Needs, account: str, arn: str) -> Iterator[Finding]:
    kind, name = principal_of(arn)
    if kind == "root":
        yield Finding("permissions", arn, Verdict.OK, "the root user may do everything")
        return
    if kind == "federated":
        yield Finding("permissions", arn, Verdict.UNKNOWN, "the simulator does not know federated users")
        return
    asked = asked_of(needs, account=account, region=gateway.region, partition=arn.split(":")[1])
    try:
        principal = fetch.role_arn(gateway, name) if kind == "role" else arn
        boundary = needs.parameter("PermissionsBoundary")
        yield from judge.judge_permissions(fetch.simulation(gateway, principal, asked, boundary=boundary))
    except AccessError as error:
        yield Finding(
            "permissions", arn, Verdict.UNKNOWN, error.what, "what you may do cannot be looked up",
            "Ask for iam:SimulatePrincipalPolicy and iam:GetRole on yourself; or deploy, which tells what is missing.",
            Cause.ACCESS,
        )  # fmt: skip


def _vcpus(gateway: Gateway, needs: facts.Needs, types: Sequence[facts.MachineType]) -> Iterator[Finding]:
    quotas = {judge.vcpu_quota(analysis.instance_types[0]) for analysis in needs.analyses}
    codes = sorted(quota[0] for quota in quotas if quota is not None)
    limits = [(code, fetch.service_quota(gateway, "ec2", code)) for code in codes]
    return judge.judge_vcpus(needs, types, limits)


def _concurrency(gateway: Gateway, needs: facts.Needs) -> Iterator[Finding]:
    return judge.judge_concurrency(needs, fetch.concurrency(gateway, [name for name, _ in needs.reserved]))


def _counted(found: Iterable[tuple[facts.Quota, int]]) -> Iterator[Finding]:
    for quota, wanted in found:
        yield from judge.judge_quota(quota, wanted)


def _image(gateway: Gateway, analysis: facts.Analysis, is_local: bool) -> Iterator[Finding]:
    return places.judge_image(analysis, fetch.image(gateway, analysis.environment), is_local=is_local)


def _bucket(gateway: Gateway, name: str, stack: str) -> Iterator[Finding]:
    return places.judge_bucket(fetch.bucket(gateway, name, stack))


def _network(gateway: Gateway, needs: facts.Needs) -> Iterator[Finding]:
    subnets = [subnet for subnet in needs.parameter("SubnetIds").split(",") if subnet]
    return places.judge_network(network(gateway, vpc=needs.parameter("VpcId"), subnets=subnets))


def _earlier(gateway: Gateway, needs: facts.Needs, artifacts: str) -> Iterator[Finding]:
    return places.judge_deployment(fetch.deployment(gateway, needs, artifacts))


class _Once:
    """A fact two checks share, fetched by the first of them; its error is told to both."""

    def __init__(self, fetch_it: Callable[[], tuple[facts.MachineType, ...]]) -> None:
        self._fetch = fetch_it
        self._lock = threading.Lock()
        self._found: tuple[facts.MachineType, ...] | None = None

    def __call__(self) -> tuple[facts.MachineType, ...]:
        with self._lock:
            if self._found is None:
                self._found = self._fetch()
            return self._found


# --- running ---


def run_checks(checks: Sequence[Check], outside: Outside) -> tuple[Finding, ...]:
    """The findings of all checks, run side by side, in the order of the checks.

    A check that fails or takes longer than `timeout_s` becomes a finding that says so. Its thread is left behind: it
    ends with its own call or with the command.
    """
    found: list[tuple[Finding, ...] | None] = [None] * len(checks)

    def run(number: int, check: Check) -> None:
        found[number] = _findings(check)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(checks)]
    for thread in threads:
        thread.start()
    deadline = outside.clock() + outside.timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - outside.clock()))
    return tuple(
        finding
        for check, findings in zip(checks, list(found), strict=True)
        for finding in (findings if findings is not None else (_too_slow(check, outside.timeout_s),))
    )


def _findings(check: Check) -> tuple[Finding, ...]:
    try:
        return tuple(check.run())
    except AccessError as error:
        advice = "Ask for this reading permission, or look yourself."
        return (
            Finding(check.name, check.subject, Verdict.UNKNOWN, error.what, "it may not be read", advice, Cause.ACCESS),
        )
    except NcapError as error:
        return (Finding(check.name, check.subject, Verdict.UNKNOWN, error.what, "it could not be read", error.hint),)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return (Finding(check.name, check.subject, Verdict.UNKNOWN, said, "the answer could not be understood"),)


def _too_slow(check: Check, timeout_s: float) -> Finding:
    return Finding(check.name, check.subject, Verdict.UNKNOWN, f"no answer within {timeout_s:.0f} s", "", "Try again.")


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """Of all findings together: missing permissions first, then anything else in the way, then quotas alone."""
    causes = {finding.cause for finding in findings if finding.verdict is Verdict.PROBLEM}
    if not causes:
        return ExitCode.DONE
    if Cause.ACCESS in causes:
        return ExitCode.DENIED
    return ExitCode.FAILED if Cause.OTHER in causes else ExitCode.LIMIT
