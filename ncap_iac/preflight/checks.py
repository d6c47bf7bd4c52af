"""Facts about a target → findings: what was found, what it means, what to do. Pure: asks nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from ncap_iac.preflight import facts
from ncap_iac.preflight.facts import Answering, Needs

CLOCK_WARNING_S = 60
CLOCK_PROBLEM_S = 300
"""AWS refuses requests signed more than five minutes away from its own time (Signature Version 4)."""
UNRESERVED_CONCURRENCY = 100
"""Lambda keeps this much for functions that reserve none, and refuses a reservation that leaves less."""
ARCHITECTURE = "x86_64"
OPTIONAL_SERVICES = frozenset({"servicequotas", "resourcegroupstaggingapi", "imagebuilder"})
"""Deploying works without them; looking and cleaning up do not."""


class Verdict(Enum):
    """What a finding means for a deployment."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


class Cause(Enum):
    """What kind of thing stands in the way: decides the exit code."""

    QUOTA = "quota"
    ACCESS = "access"
    OTHER = "other"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    check: str
    subject: str
    verdict: Verdict
    found: str
    meaning: str = ""
    advice: str = ""
    cause: Cause = Cause.OTHER


def judge_identity(fact: facts.Identity, *, is_local: bool = False) -> Iterator[Finding]:
    """Who calls, and whether the clock allows it."""
    if fact.arn.endswith(":root") and not is_local:
        yield Finding(
            "identity", fact.account, Verdict.WARNING, f"the root user of account {fact.account}",
            "it may do everything, and nothing can restrain it", "Deploy with a role made for it.",
        )  # fmt: skip
    else:
        yield Finding("identity", fact.account, Verdict.OK, fact.arn)
    yield judge_clock(fact.clock_offset_s)


def judge_clock(offset_s: float | None) -> Finding:
    """How far this computer's clock is off."""
    if offset_s is None:
        return Finding("clock", "this computer", Verdict.UNKNOWN, "AWS did not say what time it is")
    found = f"{abs(offset_s):.0f} s {'behind' if offset_s > 0 else 'ahead of'} AWS"
    if abs(offset_s) < CLOCK_WARNING_S:
        return Finding("clock", "this computer", Verdict.OK, found)
    verdict = Verdict.PROBLEM if abs(offset_s) >= CLOCK_PROBLEM_S else Verdict.WARNING
    return Finding(
        "clock", "this computer", verdict, found,
        "AWS refuses requests signed more than five minutes away from its own time", "Set this computer's clock.",
    )  # fmt: skip


def judge_region(fact: facts.Region) -> Iterator[Finding]:
    """Whether the account may use the region."""
    if fact.opt_in in ("opt-in-not-required", "opted-in"):
        yield Finding("region", fact.name, Verdict.OK, fact.opt_in)
    else:
        yield Finding(
            "region", fact.name, Verdict.PROBLEM, fact.opt_in, "nothing can be deployed there",
            "Enable the region in the account settings, or choose another with --region.",
        )  # fmt: skip


def judge_wanted_region(region: str, needs: Needs) -> Iterator[Finding]:
    """Whether blueprints mean this region."""
    for analysis in needs.analyses:
        if analysis.region not in (None, region):
            yield Finding(
                "region", analysis.name, Verdict.WARNING, f"its blueprint says {analysis.region}",
                f"it would be deployed to {region}", "Choose the region with --region, or change the blueprint.",
            )  # fmt: skip


def judge_reach(reached: Sequence[facts.Reach]) -> Iterator[Finding]:
    """Whether every service our stacks use can be reached."""
    for fact in reached:
        if fact.answering is Answering.ANSWERS:
            yield Finding("service", fact.service, Verdict.OK, "answers")
        elif fact.answering is Answering.DENIED:
            yield Finding("service", fact.service, Verdict.OK, "answers; this reading call is not allowed to you")
        elif fact.answering is Answering.OTHER:
            yield Finding("service", fact.service, Verdict.UNKNOWN, fact.said, "it answered with an error")
        else:
            optional = fact.service in OPTIONAL_SERVICES
            yield Finding(
                "service", fact.service, Verdict.WARNING if optional else Verdict.PROBLEM, fact.said,
                "quotas and leftovers cannot be read" if optional else "stacks cannot be deployed without it",
                "Check the network, a proxy, and whether the region has this service.",
            )  # fmt: skip


def judge_permissions(fact: facts.Simulation) -> Iterator[Finding]:
    """Whether the caller may do what deploying does."""
    sure = [denial for denial in fact.denials if not denial.missing]
    unsure = [denial for denial in fact.denials if denial.missing]
    allowed = fact.simulated - len(fact.denials)
    yield Finding(
        "permissions", fact.principal, Verdict.OK if allowed or not fact.simulated else Verdict.UNKNOWN,
        f"{allowed} of {fact.simulated} actions are allowed",
    )  # fmt: skip
    for denial in sure:
        how = "a policy forbids it" if denial.decision == "explicitDeny" else "no policy allows it"
        yield Finding(
            "permissions", denial.action, Verdict.PROBLEM, f"{how}, on {denial.resource}",
            "CloudFormation acts with your permissions: deploying would fail there",
            "Ask for this action; docs/pull-requests.md has a role that is enough.", Cause.ACCESS,
        )  # fmt: skip
    for denial in unsure:
        yield Finding(
            "permissions", denial.action, Verdict.WARNING,
            f"it depends on {', '.join(denial.missing)}, on {denial.resource}",
            "the simulator does not know what these will be", "Compare the condition of your policy.", Cause.ACCESS,
        )  # fmt: skip


# --- quotas ---

# fmt: off
VCPU_QUOTAS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), ("L-1216C47A", "Standard")),
    **dict.fromkeys(("g", "gr", "vt"), ("L-DB2E81BA", "G and VT")),
    "dl": ("L-6E869C2A", "DL"), "f": ("L-74FC7D96", "F"), "hpc": ("L-F7808C92", "HPC"), "inf": ("L-1945791B", "Inf"),
    "p": ("L-417A185B", "P"), "trn": ("L-2C3B7624", "Trn"), "u": ("L-43DA4232", "High Memory"),
    "x": ("L-7295265B", "X"),
}
# fmt: on
"""Family letters → quota code and name: running on-demand instances, in vCPUs (Service Quotas, service `ec2`)."""


def vcpu_quota(instance_type: str) -> tuple[str, str] | None:
    """The quota an instance type counts against: code and name; None for families without one of vCPUs."""
    found = re.match(r"([a-z]+)", instance_type)
    return VCPU_QUOTAS.get(found[1]) if found else None


def judge_vcpus(
    needs: Needs, types: Sequence[facts.MachineType], limits: Sequence[tuple[str, int | None]]
) -> Iterator[Finding]:
    """Whether the vCPU quotas hold one instance (or nothing runs), and as many as DEPLOY_LIMIT asks for."""
    known = {fact.name: fact for fact in types}
    allowed = dict(limits)
    for analysis in needs.analyses:
        kind = analysis.instance_types[0]
        quota = vcpu_quota(kind)
        if quota is None or kind not in known or not known[kind].vcpus:
            continue
        code, name = quota
        yield _vcpu_finding(analysis, known[kind], name, allowed.get(code))


def _vcpu_finding(analysis: facts.Analysis, kind: facts.MachineType, name: str, limit: int | None) -> Finding:
    wanted = kind.vcpus * analysis.deploy_limit
    asks = f"{analysis.deploy_limit} x {kind.name} are {wanted} vCPUs"
    if limit is None:
        found = f"{asks}; the quota {name} could not be read"
        return Finding("quota vCPU", analysis.name, Verdict.UNKNOWN, found, cause=Cause.QUOTA)
    found = f"{asks}; the quota {name} is {limit}"
    ask = "Ask for more in Service Quotas (EC2, running on-demand instances), or lower DEPLOY_LIMIT."
    if limit < kind.vcpus:
        meaning = "not a single instance can start"
        return Finding("quota vCPU", analysis.name, Verdict.PROBLEM, found, meaning, ask, Cause.QUOTA)
    if limit < wanted:
        meaning = f"at most {limit // kind.vcpus} datasets run at a time, further ones wait in the queue"
        return Finding("quota vCPU", analysis.name, Verdict.WARNING, found, meaning, ask, Cause.QUOTA)
    return Finding("quota vCPU", analysis.name, Verdict.OK, found, cause=Cause.QUOTA)


def judge_concurrency(needs: Needs, fact: facts.Concurrency) -> Iterator[Finding]:
    """Whether Lambda lets our functions reserve what they reserve."""
    held = dict(fact.reserved)
    missing = sum(max(0, wanted - held.get(name, 0)) for name, wanted in needs.reserved)
    left = fact.unreserved - missing
    found = f"{fact.unreserved} of {fact.limit} are unreserved; our functions reserve {missing} more"
    if left >= UNRESERVED_CONCURRENCY:
        yield Finding("quota Lambda", "concurrency", Verdict.OK, found, cause=Cause.QUOTA)
    else:
        yield Finding(
            "quota Lambda", "concurrency", Verdict.PROBLEM, found,
            f"{UNRESERVED_CONCURRENCY} must stay unreserved, {left} would: Lambda would refuse",
            "Ask for more in Service Quotas (Lambda, concurrent executions).", Cause.QUOTA,
        )  # fmt: skip


def judge_quota(fact: facts.Quota, wanted: int) -> Iterator[Finding]:
    """Whether `wanted` more of something fit."""
    if fact.limit is None:
        found = f"{fact.used} now, {wanted} more wanted; the quota could not be read"
        yield Finding(f"quota {fact.what}", fact.what, Verdict.UNKNOWN, found, cause=Cause.QUOTA)
        return
    found = f"{fact.used} of {fact.limit} now, {wanted} more wanted"
    left = fact.limit - fact.used - wanted
    verdict = Verdict.PROBLEM if left < 0 else Verdict.WARNING if left < fact.limit // 10 else Verdict.OK
    meaning = {Verdict.PROBLEM: f"{-left} would not fit", Verdict.WARNING: f"{left} would be left"}.get(verdict, "")
    advice = "" if verdict is Verdict.OK else "Ask for more in Service Quotas, or remove what is not needed."
    yield Finding(f"quota {fact.what}", fact.what, verdict, found, meaning, advice, Cause.QUOTA)
