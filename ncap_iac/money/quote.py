"""What a submission would cost: what the job manager would reserve for it, and whether it would be admitted.

Pure: datasets, config, terms, prices, budgets and earlier usage come as values. The rules are those of the job
manager's checks (`protocols/jobmanager/checks.py`, `manager.py`); a test submits and compares.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ncap_compiler.document import did_you_mean
from ncap_compiler.names import TOTAL_BUDGET
from ncap_iac.documents import scatter_problems
from ncap_iac.errors import UsageError
from ncap_iac.job.scatter import Scatter
from ncap_iac.money.amounts import (
    DURATION,
    Limits,
    Rate,
    cost_micro,
    limits_of,
    reservation_micro,
    usd_text,
)
from ncap_iac.money.budgets import Standing
from ncap_iac.money.prices import Price, PriceTable
from ncap_iac.money.terms import Terms
from ncap_iac.money.usage import SUCCEEDED, Record

MAX_DATASETS = 10_000
"""Of one job."""
MAX_CONFIG_BYTES = 1024 * 1024
NAMED_AT_MOST = 10
_GB = 1000**3


@dataclass(frozen=True)
class Dataset:
    """One dataset: its key, its size, and whether it is still on this computer."""

    key: str
    size: int
    is_local: bool = False


@dataclass(frozen=True)
class Ask:
    """What would be submitted. `missing`: named folders that hold no dataset; `scatter`: runs of each dataset."""

    group: str
    datasets: tuple[Dataset, ...]
    values: Mapping[str, Any]
    instance_type: str | None = None
    spot: bool | None = None
    missing: tuple[str, ...] = ()
    scatter: Scatter | None = None

    @property
    def points(self) -> int:
        """How often each dataset is run."""
        return 1 if self.scatter is None else self.scatter.count

    @property
    def count(self) -> int:
        """Runs: each takes an instance."""
        return len(self.datasets) * self.points


@dataclass(frozen=True)
class Likely:
    """What earlier datasets of the analysis took, and what so many of them would cost; hours of one dataset.

    `over_limit` of them took longer than this job would let them; no dataset costs more than its reservation.
    """

    samples: int
    instance_type: str
    hours: tuple[float, float, float]
    """Shortest, median, longest."""
    cost: tuple[int, int, int]
    """All datasets together at these hours, micro-dollars."""
    over_limit: int = 0


@dataclass(frozen=True)
class Outlook:
    """What is known beside the reservation. `standings` None: budgets may not be read with these keys."""

    prices: PriceTable
    standings: tuple[Standing, ...] | None = None
    likely: Likely | None = None


@dataclass(frozen=True)
class Quote:
    """What a submission would reserve. `problems` refuse it whatever the budget; then the amounts mean little."""

    ask: Ask
    terms: Terms
    types: tuple[tuple[str, Price | None], ...]
    limits: Limits
    each_micro: int
    problems: tuple[str, ...] = ()
    spot: bool = False

    @property
    def count(self) -> int:
        """Datasets, each as often as it is scattered."""
        return self.ask.count

    @property
    def reserved_micro(self) -> int:
        """What the job manager reserves at admission."""
        return self.count * self.each_micro

    @property
    def volume_gib(self) -> int:
        """The root volume of an instance."""
        return self.terms.volume_gib + self.limits.extra_gib

    @property
    def price_micro(self) -> int:
        """The price that is reserved: that of the dearest type that may be used."""
        return max((price.micro_per_hour for _, price in self.types if price), default=0)


def make_quote(ask: Ask, terms: Terms, prices: PriceTable) -> Quote:
    """What the job manager would reserve, and every reason it would have to refuse but the budget."""
    limits = limits_of(ask.values, max_minutes=terms.max_minutes, max_gib=terms.max_dataset_gb)
    types, type_problems = _types(ask, terms, prices)
    rate = Rate(
        max((price.micro_per_hour for _, price in types if price), default=0), terms.volume_gib + limits.extra_gib
    )
    problems = [
        *_group_problems(ask, terms),
        *_dataset_problems(ask, terms),
        *scatter_problems(ask.values, terms.schema, ask.scatter),
    ]
    spot, spot_problems = _spot(ask, terms)
    return Quote(
        ask,
        terms,
        types,
        limits,
        each_micro=reservation_micro(rate, limits.minutes),
        problems=(*problems, *limits.problems, *type_problems, *spot_problems),
        spot=spot,
    )


def _group_problems(ask: Ask, terms: Terms) -> list[str]:
    if ask.group in terms.groups:
        return []
    return [f"group '{ask.group}' may not use this analysis; ask an operator to add it"]


def _dataset_problems(ask: Ask, terms: Terms) -> list[str]:
    found = [f"folder '{name}' holds no dataset" for name in ask.missing]
    if ask.count > MAX_DATASETS:
        found.append(f"there are {ask.count} datasets; at most {MAX_DATASETS} are accepted in one job")
    large = [it.key for it in ask.datasets if it.size > terms.max_dataset_gb * _GB]
    found += [
        f"'{key}' is larger than the {terms.max_dataset_gb} GB this analysis accepts" for key in large[:NAMED_AT_MOST]
    ]
    if len(large) > NAMED_AT_MOST:
        found.append(f"… and {len(large) - NAMED_AT_MOST} more are too large")
    return found


def _types(ask: Ask, terms: Terms, prices: PriceTable) -> tuple[tuple[tuple[str, Price | None], ...], list[str]]:
    """The types to be tried in turn, with their prices, and what is wrong with them."""
    wanted, offered = ask.instance_type, terms.offered_types
    if wanted and wanted not in offered:
        near = did_you_mean(wanted, offered)
        said = f"instance type '{wanted}' is not offered for this analysis; accepted is {' or '.join(offered)}"
        return (), [f"{said}. {near}" if near else said]
    types = tuple((name, prices.prices.get(name)) for name in ((wanted,) if wanted else terms.types))
    unknown = [f"no price is known for instance type '{name}', so it is refused" for name, price in types if not price]
    return types, unknown


def _spot(ask: Ask, terms: Terms) -> tuple[bool, tuple[str, ...]]:
    """Whether it would run on spot instances, as the job manager decides (docs/contracts.md, section 10)."""
    has_duration = ask.values.get(DURATION) is not None
    if ask.spot and terms.spot == "never":
        return False, ("this analysis does not run on spot instances; leave 'spot' out",)
    if ask.spot and terms.spot == "save" and not has_duration:
        return False, (f"'spot' needs a time limit; set '{DURATION}' in the config, in minutes, or leave 'spot' out",)
    if ask.spot is not None:
        return ask.spot, ()
    return terms.spot == "always" or (terms.spot == "save" and has_duration), ()


def config_values(name: str, body: bytes) -> Mapping[str, Any]:
    """The parameters in a config, JSON or YAML by its name; what the job manager cannot read raises UsageError."""
    import yaml

    suffix = PurePosixPath(name).suffix
    if suffix not in (".json", ".yaml", ".yml"):
        raise UsageError("a config's name ends in .json, .yaml or .yml", where=name, hint="Rename the file.")
    if len(body) > MAX_CONFIG_BYTES:
        raise UsageError(f"it is larger than {MAX_CONFIG_BYTES // 1024} KB", where=name, hint="Keep data out of it.")
    try:
        text = body.decode()
        found = _parse_json(text) if suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise UsageError(said, where=name, hint="Mend the file: it is not JSON or YAML.") from error
    if found is None and suffix != ".json":
        return {}
    if not isinstance(found, Mapping):
        raise UsageError("it is not a mapping of names to values", where=name, hint="Write `name: value` lines.")
    unnamed = next((key for key in found if not isinstance(key, str)), None)
    if unnamed is not None:
        raise UsageError(f"the name {unnamed!r} must be text", where=name, hint="Write it in quotes.")
    return found


def _parse_json(text: str) -> Any:
    """JSON without NaN and without a name twice, which the job manager refuses. Raises ValueError."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in found]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the field {twice!r} is there twice")
        return dict(found)

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not a JSON number")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


# --- beside the reservation ---


def shortfalls(quote: Quote, standings: Sequence[Standing]) -> tuple[str, ...]:
    """The budgets that do not cover the reservation, in words; none: the job is admitted as things stand."""
    return tuple(
        it.problem or _shortfall(quote, it.left, it.limit, "total budget" if it.analysis == TOTAL_BUDGET else "budget")
        for it in standings
        if it.limit is not None and it.left is not None
        if it.problem or it.sums.committed + quote.reserved_micro > it.limit
    )


def _shortfall(quote: Quote, left: int, limit: int, name: str) -> str:
    return (
        f"{usd_text(quote.reserved_micro)} would be reserved, but only {usd_text(left)} is left of the {name} of "
        f"{usd_text(limit)}; submit fewer datasets, a shorter {DURATION}, or ask an operator for more"
    )


def likely_cost(quote: Quote, records: Sequence[Record]) -> Likely | None:
    """What earlier datasets that ended well suggest; those on the same instance type, if there are any."""
    if not quote.types or quote.types[0][1] is None:
        return None
    wanted, price = quote.types[0][0], quote.types[0][1]
    ended = [it for it in records if it.outcome == SUCCEEDED and it.seconds is not None]
    same = [it for it in ended if it.instance_type == wanted]
    seconds = [it.seconds for it in same or ended if it.seconds is not None]
    if not seconds:
        return None
    hour = price.spot_micro if quote.spot else None
    rate = Rate(price.micro_per_hour if hour is None else hour, quote.volume_gib)
    three = (min(seconds), statistics.median(seconds), max(seconds))
    limit = quote.limits.minutes * 60
    low, middle, high = (quote.count * cost_micro(rate, round(min(it, limit))) for it in three)
    return Likely(
        samples=len(seconds),
        instance_type=wanted if same else "other types",
        hours=(three[0] / 3600, three[1] / 3600, three[2] / 3600),
        cost=(low, middle, high),
        over_limit=sum(it > limit for it in seconds),
    )
