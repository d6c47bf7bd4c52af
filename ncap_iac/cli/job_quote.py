"""`ncap job quote`: what a submission would cost, before anything is uploaded or run. Changes nothing."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.desk import Desk, open_desk
from ncap_iac.cli.job_options import add_asked, add_scatter, wanted_scatter
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import AccessError, ExitCode, NcapError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.job.submission import Source
    from ncap_iac.money.prices import PriceTable
    from ncap_iac.money.quote import Ask, Dataset, Outlook, Quote
    from ncap_iac.money.step_quote import StepQuote
    from ncap_iac.money.terms import Terms

LOOKED_AT = 200
"""Usage records an estimate is made from, the latest of the analysis."""
READERS = 16


def add_quote(verbs: SubParsers) -> argparse.ArgumentParser:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "quote",
        "Tell what a job would cost and reserve, before anything is uploaded or run.",
        [
            "ncap job quote kalman-lds --data recordings/*.csv --config config.yaml",
            "ncap job quote kalman-lds --data demo/inputs/ --config demo/configs/config.yaml --group demo",
            "ncap job quote kalman-lds --data a.csv --config c.json --grid latent_dim=2,4,6",
            "ncap job quote kalman-lds --data a.csv --config c.json --instance-type m7i.xlarge --output json",
        ],
        run=run_quote,
        detail="Reserved is the most a job can cost: price and disk, to the duration limit, for every dataset. What\n"
        "is not used is given back. Ends with 5 if the budget does not cover it, with 2 if it would be refused\n"
        "anyway. Budgets and earlier usage need an operator's rights; without them the rest is told.",
    )
    add_asked(parser, data="files, globs or keys")
    add_spot(parser)
    add_scatter(parser)
    parser.add_argument("--analysis-version", metavar="VERSION", help="a kept version, v-…, not the one served")
    return parser


def add_spot(parser: argparse.ArgumentParser) -> None:
    """Add `--spot` and `--no-spot`."""
    words = "on spot instances, which cost less and may be taken back; or not (as the analysis does)"
    parser.add_argument("--spot", action=argparse.BooleanOptionalAction, default=None, help=words)


def run_quote(context: Context) -> Answer:
    """Look at what would be submitted, and at what it would meet."""
    from ncap_iac.money.quote import make_quote
    from ncap_iac.money.step_quote import quote_steps

    desk = open_desk(context, context.arguments.analysis)
    name = context.get("member")
    gateway = context.member(name).gateway if name else context.gateway
    served, terms = _terms(context, gateway, desk)
    ask = _ask(context, desk, terms)
    prices = _prices(context, gateway, served)
    quote = make_quote(ask, terms, prices)
    steps = quote_steps(quote, prices, lambda analysis: _next_terms(context, gateway, analysis))
    outlook, notes = _outlook(context, gateway, quote, served, prices)
    return _answer(context, quote, outlook, [*notes, *_step_problems(steps)], steps=steps)


# --- what would be submitted ---


def _ask(context: Context, desk: Desk, terms: Terms) -> Ask:
    from ncap_iac.job.submission import LocalFile, choose_sources
    from ncap_iac.money.quote import Ask, config_values
    from ncap_iac.money.step_quote import own_scatter

    scatter = wanted_scatter(context)
    is_whole = context.get("folders") == "whole"
    where = {"bucket": desk.bucket, "group": desk.group}
    sources = choose_sources(context.arguments.data, desk.objects, folder="inputs", **where)
    configs = choose_sources([context.arguments.config], desk.objects, folder="configs", **where)
    if len(configs) != 1:
        raise UsageError("one config is wanted", where="--config", hint="Name exactly one file.")
    config = configs[0]
    if isinstance(config, LocalFile):
        from ncap_iac.project import read_bytes

        values = config_values(str(config.path), read_bytes(config.path))
    else:
        values = config_values(config.key, desk.objects.read(desk.bucket, config.key).body)
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        behind = list(pool.map(lambda source: _datasets(source, desk, is_whole=is_whole), sources))
    datasets = {dataset.key: dataset for found in behind for dataset in found}
    return Ask(
        group=desk.group,
        datasets=tuple(datasets.values()),
        values=values,
        instance_type=context.get("instance_type"),
        spot=context.get("spot"),
        missing=tuple(source.key for source, found in zip(sources, behind, strict=True) if not found),
        scatter=scatter or own_scatter(terms, values),
    )


def _datasets(source: Source, desk: Desk, *, is_whole: bool) -> Sequence[Dataset]:
    """The datasets behind a file, a key or a folder; what is below a folder counts as the job manager counts it."""
    from ncap_iac.job.submission import LocalFile
    from ncap_iac.money.quote import Dataset

    if isinstance(source, LocalFile):
        return (Dataset(source.key, source.path.stat().st_size, is_local=True),)
    if source.key.endswith("/"):
        listed = desk.objects.list(desk.bucket, source.key).objects
        found = [Dataset(it.key, it.size) for it in listed if not it.key.endswith("/")]
        return [Dataset(source.key, sum(it.size for it in found))] if is_whole and found else found
    there = desk.objects.find(desk.bucket, source.key)
    return () if there is None else (Dataset(there.key, there.size),)


# --- what it would meet ---


def _terms(context: Context, gateway: Gateway, desk: Desk) -> tuple[Terms, Terms]:
    """The terms served by default, and those that count: a named version's under today's budget.

    Who may not read versions, as members, gets those of the project. Raises NotFoundError, AccessError.
    """
    from ncap_iac.deploy.versions import known_id
    from ncap_iac.money.terms import NAMED, read_terms

    said = context.get("analysis_version")
    try:
        versions = gateway.analyses.served(desk.bucket)
        if desk.bucket not in versions:
            raise NotFoundError(
                f"no analysis {desk.bucket!r} is deployed",
                where=context.target.name,
                hint=f"Deploy it: `ncap blueprint deploy {desk.bucket}`.",
            )
        served = read_terms(gateway.objects, desk.bucket, versions[desk.bucket])
        if said is None:
            return served, served
        named = read_terms(gateway.objects, desk.bucket, known_id(gateway.objects, desk.bucket, said), source=NAMED)
    except AccessError as error:
        found = _project_terms(context, desk, error)
        return found, found
    return served, named.governed_by(served)


def _next_terms(context: Context, gateway: Gateway, analysis: str) -> Terms | None:
    """The terms of an analysis a step goes to; None where they cannot be read."""
    from ncap_iac.money.terms import project_terms, read_terms

    try:
        served = gateway.analyses.served(analysis)
        return read_terms(gateway.objects, analysis, served[analysis]) if analysis in served else None
    except AccessError:
        try:
            return project_terms(context.project, analysis) if context.has_project() else None
        except NotFoundError:
            return None


def _step_problems(steps: Sequence[StepQuote]) -> list[str]:
    return [
        f"Step {it.analysis} would be refused: {problem}." for it in steps if it.quote for problem in it.quote.problems
    ]


def _project_terms(context: Context, desk: Desk, error: AccessError) -> Terms:
    from ncap_iac.money.terms import project_terms

    if context.get("analysis_version") is None and context.has_project():
        try:
            return project_terms(context.project, desk.bucket)
        except NotFoundError:
            pass
    raise AccessError(
        "what the analysis offers is not known: these keys cannot read its versions, and no project here has it",
        where=error.where,
        hint="Run it in a checkout of the project, or ask an operator for the quote.",
    ) from error


def _prices(context: Context, gateway: Gateway, served: Terms) -> PriceTable:
    """The table of the day beside that of the deployed bundle; where those cannot be read, the project's.

    Raises NcapError.
    """
    from ncap_compiler import names
    from ncap_iac.money.prices import bundle_prices, fetched_prices, project_prices

    try:
        if served.bundle:
            account, _ = gateway.identity()
            bucket = names.artifact_bucket(account, gateway.region)
            shipped = bundle_prices(gateway.objects, bucket, served.bundle)
            return shipped.beside(fetched_prices(gateway.objects, bucket, gateway.region))
    except (AccessError, NotFoundError):
        pass
    if context.has_project():
        return project_prices(context.project)
    raise NcapError(
        "no price table can be read",
        where=f"analysis {served.analysis}",
        hint="Run it in a checkout of the project, or with an operator's keys.",
    )


def _outlook(
    context: Context, gateway: Gateway, quote: Quote, served: Terms, prices: PriceTable
) -> tuple[Outlook, list[str]]:
    """Budgets and earlier usage, as far as these keys may see them, and what could not be seen."""
    from ncap_iac.money.budgets import Known, read_standings
    from ncap_iac.money.quote import Outlook, likely_cost
    from ncap_iac.money.usage import read_usage

    notes = []
    standings, likely = None, None
    group, analysis = quote.ask.group, served.analysis
    try:
        if group in served.groups:
            known = Known({analysis: served}, gateway.parameters.budgets(group))
            standings = read_standings(known, gateway.ledger, group=group, analysis=analysis)
    except NotFoundError as error:
        notes.append(f"Whether the budget covers it is not known: {error}")
    except AccessError:
        notes.append("Whether the budget covers it is not known: only an operator may read budgets.")
    try:
        usage = read_usage(gateway.objects, [analysis], now=context.world.now(), latest=LOOKED_AT)
        likely = likely_cost(quote, usage.records)
    except AccessError:
        notes.append("What it will likely cost is not known: only an operator may read usage records.")
    return Outlook(prices, standings, likely), notes


# --- the answer ---


def _answer(
    context: Context, quote: Quote, outlook: Outlook, unseen: list[str], *, steps: tuple[StepQuote, ...]
) -> Answer:
    from ncap_iac.money.amounts import usd
    from ncap_iac.money.quote import shortfalls
    from ncap_iac.money.quote_report import quote_document, quote_rows, step_rows
    from ncap_iac.money.step_quote import total_micro

    short = shortfalls(quote, outlook.standings or ())
    refused = (*quote.problems, *short)
    admitted = False if refused else None if outlook.standings is None else True
    code = ExitCode.USAGE if quote.problems else ExitCode.LIMIT if short else ExitCode.DONE
    notes = [*unseen, *(f"Would be refused: {reason}." for reason in refused)]
    return Answer(
        kind="JobQuote",
        data={
            **quote_document(quote, outlook),
            "steps": [step.document() for step in steps],
            "reservedInAll": usd(total_micro(quote, steps)),
            "admitted": admitted,
            "problems": list(refused),
        },
        blocks=(
            Table(
                ("what", "how much", "from"),
                (*quote_rows(quote, outlook, admitted=admitted), *step_rows(quote, steps)),
            ),
        ),
        notes=tuple(notes),
        next_commands=() if refused else (_submit_command(context, quote),),
        exit_code=code,
    )


def _submit_command(context: Context, quote: Quote) -> str:
    arguments = context.arguments
    words = ["ncap", "job", "submit", arguments.analysis, "--data", *arguments.data, "--config", arguments.config]
    for option, name in (("--instance-type", "instance_type"), ("--analysis-version", "analysis_version")):
        words += [option, context.get(name)] if context.get(name) else []
    spot = context.get("spot")
    words += [] if spot is None else ["--spot" if spot else "--no-spot"]
    words += [word for text in context.get("grid") or () for word in ("--grid", text)]
    for option, name in (("--copies", "copies"), ("--parameter", "parameter"), ("--folders", "folders")):
        words += [option, str(context.get(name))] if context.get(name) else []
    words += ["--as", context.get("member")] if context.get("member") else []
    return shlex.join([*words, "--group", quote.ask.group, *context.target.options()])
