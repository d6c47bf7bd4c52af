"""Budgets as they stand: what each group may spend, has spent and has reserved, on each analysis and over all.

Truth is the ledger for what is spent, and the parameters for what is allowed (docs/contracts.md section 1); without a
parameter an analysis has the MAXCOST of the version it serves. Reads with an operator's rights; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ncap_compiler.document import did_you_mean
from ncap_compiler.names import TOTAL_BUDGET
from ncap_iac.deploy.versions import VersionReader
from ncap_iac.errors import NcapError, NotFoundError
from ncap_iac.money.amounts import micro_of, usd
from ncap_iac.money.terms import Terms, read_terms
from ncap_iac.stores import Sums

READERS = 16


class Source(Enum):
    """Where a limit comes from."""

    PARAMETER = "parameter"
    MAXCOST = "MAXCOST"
    NONE = "none"


class LedgerReader(Protocol):
    """What is needed of the ledger."""

    def sums(self, budgets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Sums]:
        """What is counted for each group and analysis."""
        ...


class ParameterReader(Protocol):
    """What is needed of the parameters."""

    def budgets(self, group: str = "") -> dict[tuple[str, str], str]:
        """The value of every budget parameter, or of a group's."""
        ...


class AnalysisLister(Protocol):
    """What is needed of the deployed stacks."""

    def served(self, analysis: str = "") -> dict[str, str]:
        """Each deployed analysis and the version it serves."""
        ...


@dataclass(frozen=True)
class Standing:
    """One budget, in micro-dollars; `limit` None: nothing limits it. `said` is the limit as the profile has it."""

    group: str
    analysis: str
    limit: int | None
    source: Source
    sums: Sums
    version_id: str = ""
    said: int | None = None
    problem: str = ""

    @property
    def left(self) -> int | None:
        """What another job may still reserve; never below 0. None where there is no limit."""
        return None if self.limit is None else max(0, self.limit - self.sums.committed)

    @property
    def is_exceeded(self) -> bool:
        """Whether more is spent and reserved than is allowed, since the limit was lowered."""
        return self.limit is not None and self.sums.committed > self.limit

    def where_from(self) -> str:
        """The source of the limit, for people."""
        if self.problem:
            return self.problem
        if self.source is Source.MAXCOST:
            return f"MAXCOST of {self.version_id}"
        if self.source is Source.NONE:
            return "no total is set" if self.analysis == TOTAL_BUDGET else "not deployed"
        if self.said is None:
            return "parameter"
        return "parameter, as the profile" if self.said == self.limit else f"parameter; profile: {usd(self.said)}"

    def document(self) -> dict[str, object]:
        """For JSON: money as decimal texts, null where there is no limit."""

        def text(micro: int | None) -> str | None:
            return None if micro is None else usd(micro)

        return {
            "group": self.group,
            "analysis": self.analysis,
            "limit": text(self.limit),
            "source": self.source.value,
            "versionId": self.version_id or None,
            "profile": text(self.said),
            "reserved": usd(self.sums.reserved),
            "spent": usd(self.sums.spent),
            "left": text(self.left),
            "exceeded": self.is_exceeded,
            "problem": self.problem or None,
        }


@dataclass(frozen=True)
class Known:
    """Everything that is deployed about budgets. `problems`: analyses whose version could not be read, and why."""

    terms: Mapping[str, Terms]
    parameters: Mapping[tuple[str, str], str]
    problems: Mapping[str, str] = field(default_factory=dict)

    def groups(self) -> tuple[str, ...]:
        """Every group an analysis is for, or that has a budget."""
        found = {group for group, _ in self.parameters}
        return tuple(sorted(found.union(*(terms.groups for terms in self.terms.values()))))

    def analyses(self, group: str) -> tuple[str, ...]:
        """The analyses a group may use, or has a budget for."""
        offered = {name for name, terms in self.terms.items() if group in terms.groups}
        named = {name for of, name in self.parameters if of == group and name != TOTAL_BUDGET}
        return tuple(sorted(offered | named))

    def require(self, group: str, analysis: str = "") -> None:
        """Raises NotFoundError with the nearest name when there is no such group, or it has no such analysis."""
        if group not in self.groups():
            if group in self.terms:
                raise NotFoundError(f"{group!r} is an analysis, not a group", hint="Say the group first.")
            raise NotFoundError(
                f"there is no group {group!r} with an analysis or a budget here", hint=_near(group, self.groups())
            )
        if analysis and analysis != TOTAL_BUDGET and analysis not in self.analyses(group):
            raise NotFoundError(
                f"group {group} has no analysis {analysis!r} here", hint=_near(analysis, self.analyses(group))
            )


def _near(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known) or f"Known here: {', '.join(known) or 'none'}."


def read_known(
    analyses: AnalysisLister, parameters: ParameterReader, objects: VersionReader, *, group: str = ""
) -> Known:
    """What is deployed, of a group its budgets only. Raises AccessError.

    A listing of stacks, one of parameters, and a read for each analysis, several at a time.
    """
    served = sorted(analyses.served().items())
    problems: dict[str, str] = {}

    def read(item: tuple[str, str]) -> Terms | None:
        try:
            return read_terms(objects, *item)
        except NcapError as error:
            problems[item[0]] = str(error)
            return None

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        terms = {name: found for (name, _), found in zip(served, pool.map(read, served), strict=True) if found}
    return Known(terms, parameters.budgets(group), problems)


def standing(known: Known, group: str, analysis: str, sums: Sums, *, said: int | None = None) -> Standing:
    """One budget, from what is known."""
    text = known.parameters.get((group, analysis))
    if text is not None:
        try:
            return Standing(group, analysis, micro_of(text), Source.PARAMETER, sums, said=said)
        except ValueError:
            problem = f"parameter is {text!r}, no amount: every submission is refused"
            return Standing(group, analysis, 0, Source.PARAMETER, sums, said=said, problem=problem)
    terms = known.terms.get(analysis)
    if terms is None:
        return Standing(group, analysis, None, Source.NONE, sums, said=said)
    return Standing(group, analysis, terms.max_cost_micro, Source.MAXCOST, sums, version_id=terms.version_id, said=said)


def read_standings(
    known: Known,
    ledger: LedgerReader,
    *,
    group: str = "",
    analysis: str = "",
    profile: Mapping[tuple[str, str], int] | None = None,
) -> tuple[Standing, ...]:
    """Budgets of every group, or those asked for; each group's total last. Raises NotFoundError, AccessError.

    `profile` holds what the project's profiles allow, by group and analysis.
    """
    if group:
        known.require(group, analysis)
    wanted = [
        (of, name) for of in ([group] if group else known.groups()) for name in _shown(known.analyses(of), analysis)
    ]
    sums = ledger.sums(wanted)
    said = profile or {}
    return tuple(standing(known, *key, sums[key], said=said.get(key)) for key in wanted)


def _shown(analyses: Iterable[str], analysis: str) -> tuple[str, ...]:
    """The analysis asked for and the total, which limits it too."""
    if not analysis:
        return (*analyses, TOTAL_BUDGET)
    return tuple(name for name in (*analyses, TOTAL_BUDGET) if name in (analysis, TOTAL_BUDGET))
