"""What the steps of a job would cost: a quote for each job that follows it, as the job manager would start it. Pure.

The rules are those of docs/contracts.md section 9. How large the results will be that are handed over, nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ncap_iac.job.scatter import Scatter
from ncap_iac.money.amounts import usd, usd_text
from ncap_iac.money.prices import PriceTable
from ncap_iac.money.quote import Ask, Dataset, Quote, make_quote
from ncap_iac.money.terms import Terms

MAX_DEPTH = 10
STEPS = "__steps__"

TermsOf = Callable[[str], Terms | None]
"""The terms of an analysis, None where they cannot be read."""


@dataclass(frozen=True)
class StepQuote:
    """One job that would follow; `quote` None: its analysis is not known here. `after` is what it follows."""

    type: str
    analysis: str
    after: str
    quote: Quote | None

    def row(self) -> tuple[str, str, str]:
        """For people: what, how much, from what."""
        what = f"then {self.type}"
        if self.quote is None:
            return what, f"{self.analysis}, not known", "it is not deployed, or these keys cannot read it"
        datasets = "1 dataset" if self.quote.count == 1 else f"{self.quote.count} datasets"
        said = f"{self.analysis}: {usd_text(self.quote.reserved_micro)}"
        return what, said, f"{datasets} of what {self.after} made; reserved when it starts"

    def document(self) -> dict[str, object]:
        """For JSON."""
        quote = self.quote
        return {
            "type": self.type,
            "analysis": self.analysis,
            "after": self.after,
            "datasets": quote and quote.count,
            "durationMinutes": quote and quote.limits.minutes,
            "reservedEach": quote and usd(quote.each_micro),
            "reserved": quote and usd(quote.reserved_micro),
            "problems": list(quote.problems) if quote else [],
        }


def own_scatter(terms: Terms, values: Mapping[str, Any]) -> Scatter | None:
    """The scatter an analysis has for every job of it, with the copies its config names."""
    step = next((step for step in terms.steps if step["type"] == "scatter"), None)
    if step is None:
        return None
    if step.get("grid"):
        return Scatter(grid=step["grid"])
    copies = step.get("copies")
    number = values.get(copies) if isinstance(copies, str) else copies
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return Scatter(copies=number, parameter=str(step.get("parameter"))) if is_number else None


def quote_steps(
    quote: Quote, prices: PriceTable, terms_of: TermsOf, *, depth: int = MAX_DEPTH
) -> tuple[StepQuote, ...]:
    """A quote for every job that would follow, and those that follow them, in order."""
    ask, terms = quote.ask, quote.terms
    asked = ask.values.get(STEPS)
    asked = asked if isinstance(asked, Mapping) else {}
    found: list[StepQuote] = []
    for step in terms.steps if depth else ():
        if step["type"] == "scatter" or not _is_taken(step, asked, is_scattered=ask.scatter is not None):
            continue
        name = str(step["analysis"])
        own = asked.get(name)
        values = {**(step.get("config") or {}), **(own if isinstance(own, Mapping) else {})}
        count = quote.count if step["type"] == "chain" else 1
        following = terms_of(name)
        after = None
        if following is not None:
            datasets = tuple(Dataset(f"results {number}", 0) for number in range(1, count + 1))
            scatter = own_scatter(following, values)
            after = make_quote(Ask(ask.group, datasets, values, scatter=scatter), following, prices)
        found.append(StepQuote(str(step["type"]), name, terms.analysis, after))
        if after is not None:
            found += quote_steps(after, prices, terms_of, depth=depth - 1)
    return tuple(found)


def _is_taken(step: Mapping[str, Any], asked: Mapping[str, Any], *, is_scattered: bool) -> bool:
    when = step.get("when") or "always"
    return when == "always" or (when == "scattered" and is_scattered) or (when == "asked" and step["analysis"] in asked)


def total_micro(quote: Quote, steps: tuple[StepQuote, ...]) -> int:
    """What the job and all that follows reserve, one after the other."""
    return quote.reserved_micro + sum(step.quote.reserved_micro for step in steps if step.quote)
