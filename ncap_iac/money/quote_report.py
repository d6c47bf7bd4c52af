"""A quote for people and for scripts: rows of a table, and a document with money as decimal texts. Pure."""

from __future__ import annotations

from ncap_compiler.names import TOTAL_BUDGET
from ncap_iac.money.amounts import DURATION, plain, usd, usd_text
from ncap_iac.money.budgets import Standing
from ncap_iac.money.prices import PriceTable
from ncap_iac.money.quote import Likely, Outlook, Quote
from ncap_iac.money.step_quote import StepQuote, total_micro

ADMITTED = {True: "yes", False: "no", None: "not known"}
Row = tuple[str, str, str]
_UNITS = ((1000**4, "TB"), (1000**3, "GB"), (1000**2, "MB"), (1000, "KB"))


def quote_rows(quote: Quote, outlook: Outlook, *, admitted: bool | None) -> tuple[Row, ...]:
    """What, how much, and where that is from."""
    local = sum(it.is_local for it in quote.ask.datasets)
    size = sum(it.size for it in quote.ask.datasets)
    shorter = quote.limits.minutes != quote.terms.max_minutes
    extra = f" ({quote.terms.volume_gib} and {quote.limits.extra_gib} as asked for)" if quote.limits.extra_gib else ""
    rows = [
        (
            "datasets",
            f"{len(quote.ask.datasets)}, {_size(size)}",
            f"{local} to be uploaded" if local else "all uploaded",
        ),
        *_scatter_rows(quote),
        *_price_rows(quote, outlook.prices),
        *_spot_rows(quote),
        ("duration limit", f"{quote.limits.minutes} min a dataset", f"{DURATION}" if shorter else quote.terms.source),
        ("disk", f"{quote.volume_gib} GiB a dataset{extra}", quote.terms.source),
        (
            "reserved",
            usd_text(quote.reserved_micro),
            f"{quote.count} x ${usd(quote.each_micro)}; the most it can cost",
        ),
    ]
    if outlook.likely is not None:
        rows.append(_likely_row(outlook.likely))
    rows += [_budget_row(standing) for standing in outlook.standings or ()]
    return (*rows, ("admitted", ADMITTED[admitted], "as things stand now"))


def _scatter_rows(quote: Quote) -> list[Row]:
    points = quote.ask.points
    return [("runs", str(quote.count), f"each dataset {points} times")] if quote.ask.scatter is not None else []


def step_rows(quote: Quote, steps: tuple[StepQuote, ...]) -> tuple[Row, ...]:
    """A row for each job that would follow, and what all of it reserves; none without steps."""
    if not steps:
        return ()
    unknown = any(step.quote is None for step in steps)
    in_all = usd_text(total_micro(quote, steps)) + (" and what is not known" if unknown else "")
    return (*(step.row() for step in steps), ("reserved in all", in_all, "each job by itself, when it starts"))


def _size(count: int) -> str:
    """Bytes for people."""
    unit, name = next(((unit, name) for unit, name in _UNITS if count >= unit), (1, "bytes"))
    return f"{count} bytes" if unit == 1 else f"{count / unit:,.1f} {name}"


def _price_rows(quote: Quote, prices: PriceTable) -> list[Row]:
    rows = []
    for place, (name, price) in enumerate(quote.types):
        what = "instance type" if not place else f"if there is none ({place})"
        amount = f"{name}, ${plain(price.micro_per_hour)} an hour" if price else f"{name}, no price"
        rows.append((what, amount, f"{price.seen}; {prices.source}" if price else prices.source))
    return rows


def _spot_rows(quote: Quote) -> list[Row]:
    if not quote.spot:
        return []
    prices = [price.spot_micro for _, price in quote.types if price and price.spot_micro is not None]
    amount = f"about ${plain(prices[0])} an hour" if prices else "price not known"
    return [("on spot", amount, "reserved at the on-demand price, for a dataset may be moved there")]


def _likely_row(likely: Likely) -> Row:
    low, middle, high = (f"{hours:.2f}" for hours in likely.hours)
    over = f"; {likely.over_limit} took longer than this limit" if likely.over_limit else ""
    cheap, usual, dear = map(usd_text, likely.cost)
    return (
        "likely cost",
        f"{usual} ({cheap} to {dear})",
        f"{likely.samples} earlier on {likely.instance_type}: median {middle} h, {low} to {high} h{over}",
    )


def _budget_row(standing: Standing) -> Row:
    what = "left of the total" if standing.analysis == TOTAL_BUDGET else "left of the budget"
    if standing.limit is None or standing.left is None:
        return what, "no limit", standing.where_from()
    return what, f"{usd_text(standing.left)} of {usd_text(standing.limit)}", standing.where_from()


def quote_document(quote: Quote, outlook: Outlook) -> dict[str, object]:
    """For JSON."""
    return {
        "analysis": quote.terms.analysis,
        "group": quote.ask.group,
        "versionId": quote.terms.version_id or None,
        "termsFrom": quote.terms.source,
        "datasets": quote.count,
        "bytes": sum(it.size for it in quote.ask.datasets),
        "toUpload": sum(it.is_local for it in quote.ask.datasets),
        "instanceTypes": [
            {
                "name": name,
                "usdPerHour": price and usd(price.micro_per_hour),
                "spotUsdPerHour": usd(spot) if price and (spot := price.spot_micro) is not None else None,
                "seen": price and price.seen,
            }
            for name, price in quote.types
        ],
        "pricesFrom": outlook.prices.source,
        "spot": quote.spot,
        "durationMinutes": quote.limits.minutes,
        "diskGib": quote.volume_gib,
        "reservedEach": usd(quote.each_micro),
        "reserved": usd(quote.reserved_micro),
        "likely": None if outlook.likely is None else _likely_document(outlook.likely),
        "budgets": None if outlook.standings is None else [it.document() for it in outlook.standings],
    }


def _likely_document(likely: Likely) -> dict[str, object]:
    return {
        "samples": likely.samples,
        "overLimit": likely.over_limit,
        "instanceType": likely.instance_type,
        "hours": {name: round(it, 4) for name, it in zip(("low", "median", "high"), likely.hours, strict=True)},
        "cost": {name: usd(it) for name, it in zip(("low", "median", "high"), likely.cost, strict=True)},
    }
