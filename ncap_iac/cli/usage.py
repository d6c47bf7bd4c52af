"""`ncap usage`: what was used and what it cost, from usage records. For operators; writes files only where told."""

from __future__ import annotations

import csv
import io
import shlex
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SUMMARIES, SubParsers, add_verb
from ncap_iac.errors import AccessError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.money.usage import Line, Usage

COLUMNS = ("jobs", "datasets", "instances", "running", "failed", "hours", "cost")
BY = ("group", "analysis", "day", "instance-type")
NAMED_AT_MOST = 10


def add_to(nouns: SubParsers) -> None:
    """Add the command."""
    parser = add_verb(
        nouns,
        "usage",
        SUMMARIES["usage"],
        [
            "ncap usage",
            "ncap usage kalman-lds --since 2026-01-01 --by group",
            "ncap usage --by day --plot usage.png",
            "ncap usage --group demo --csv usage.csv --output json",
        ],
        run=run_usage,
        detail="Reads the usage records in the buckets of analyses, so it needs an operator's rights. A running\n"
        "instance counts until now, without its disk.",
    )
    parser.add_argument("analyses", nargs="*", metavar="ANALYSIS", help="analyses (all that are deployed)")
    parser.add_argument("--group", metavar="NAME", help="only this group")
    parser.add_argument("--since", type=_day, metavar="DATE", help="only what began on or after this day (UTC)")
    parser.add_argument("--by", choices=BY, default="analysis", help="what a line is about (analysis)")
    parser.add_argument("--csv", metavar="FILE", help="write a row a record there")
    parser.add_argument("--plot", metavar="FILE", help="draw hours and cost: FILE.png or FILE.svg")
    parser.add_argument("--as", dest="member", metavar="MEMBER", help="act with this member's own keys")


def _day(text: str) -> datetime:
    import argparse

    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2026-01-31") from error
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def run_usage(context: Context) -> Answer:
    """Read, group, write what was asked for."""
    from ncap_iac.money.pictures import draw_usage, picture_path
    from ncap_iac.money.usage import By, line_of, lines_of, read_usage

    by = By(context.arguments.by)
    folder = context.world.folder
    picture = picture_path(context.get("plot"), folder) if context.get("plot") else None
    table = _csv_path(context.get("csv"), folder) if context.get("csv") else None
    name = context.get("member")
    gateway = context.member(name).gateway if name else context.gateway
    try:
        analyses = _analyses(context, gateway)
        usage = read_usage(
            gateway.objects,
            analyses,
            now=context.world.now(),
            group=context.get("group") or "",
            since=context.get("since"),
        )
    except AccessError as error:
        raise AccessError(
            "usage records are for operators: members may not read them",
            where=error.where,
            hint="Ask an operator for `ncap usage`. When your own jobs ran, dataset by dataset: `ncap job status JOB`.",
        ) from error
    lines, total = lines_of(usage.records, by), line_of("total", usage.records)
    notes = _notes(usage, total)
    if table is not None:
        _write_csv(usage, table)
        notes.append(f"{len(usage.records)} records in {table}.")
    if picture is not None:
        draw_usage(lines, by.value, picture)
        notes.append(f"Drawn: {picture}")
    rows = tuple(_row(line) for line in (*lines, total)) if lines else ()
    return Answer(
        kind="Usage",
        data={
            "analyses": list(analyses),
            "by": by.value,
            "lines": [line.document() for line in lines],
            "total": total.document(),
            "damaged": [{"record": it.where, "reason": it.reason} for it in usage.damaged],
            "csv": str(table) if table else None,
            "picture": str(picture) if picture else None,
        },
        blocks=(Table((by.value, *COLUMNS), rows, empty="Nothing was used."),),
        notes=tuple(notes),
        next_commands=(shlex.join(["ncap", "budget", "show", *context.target.options()]),),
    )


def _analyses(context: Context, gateway: Gateway) -> tuple[str, ...]:
    """Those named, or all that are deployed. Raises NotFoundError with the nearest name, AccessError."""
    from ncap_compiler.document import did_you_mean

    named = tuple(dict.fromkeys(context.arguments.analyses))
    missing = [name for name in named if not gateway.objects.has_bucket(name)]
    if named and not missing:
        return named
    served = tuple(sorted(gateway.analyses.served()))
    if missing:
        hint = did_you_mean(missing[0], served) or f"Deployed: {', '.join(served) or 'none'}."
        raise NotFoundError(f"there is no analysis {missing[0]!r}", where=context.target.name, hint=hint)
    return served


def _notes(usage: Usage, total: Line) -> list[str]:
    from ncap_iac.money.amounts import usd_text

    notes = []
    if total.estimated_micro:
        notes.append(f"{usd_text(total.estimated_micro)} of the cost is not settled: price times hours, without disks.")
    if usage.damaged:
        count = len(usage.damaged)
        notes.append(f"{count} record{'' if count == 1 else 's'} cannot be used, or not wholly:")
        notes += [f"  {it.where}: {it.reason}" for it in usage.damaged[:NAMED_AT_MOST]]
        if count > NAMED_AT_MOST:
            notes.append(f"  … and {count - NAMED_AT_MOST} more, all in --output json.")
    return notes


def _row(line: Line) -> tuple[str, ...]:
    from ncap_iac.money.amounts import usd_text

    counts = (line.jobs, line.datasets, line.instances, line.running, line.failures)
    return (line.name, *map(str, counts), f"{line.hours:.2f}", usd_text(line.cost_micro))


def _csv_path(said: str, folder: Path) -> Path:
    path = folder / said
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            "it cannot be written there", where=f"--csv {said}", hint="Name a file in a folder that exists."
        )
    return path


def _write_csv(usage: Usage, path: Path) -> None:
    from ncap_iac.money.usage import CSV_COLUMNS, csv_rows

    text = io.StringIO()
    csv.writer(text).writerows([CSV_COLUMNS, *csv_rows(usage.records)])
    try:
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(error.strerror or str(error), where=str(path), hint="Name another file.") from error
