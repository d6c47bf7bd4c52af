"""What was used, from usage records: hours, jobs, datasets, cost and failures, grouped. Reads buckets; changes nothing.

A record is one instance's life (docs/contracts.md section 2): `logs/active/<id>.json` while it runs, then
`logs/<group>/<id>.json`. A record that is damaged, or that lost its start, is counted and named; it hides no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from ncap_iac.deploy.versions import VersionReader
from ncap_iac.errors import NotFoundError
from ncap_iac.money.amounts import Rate, cost_micro, micro_of, usd

FOLDER = "logs/"
ACTIVE = "active"
RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
READERS = 16


class By(Enum):
    """What lines of usage are about."""

    GROUP = "group"
    ANALYSIS = "analysis"
    DAY = "day"
    INSTANCE_TYPE = "instance-type"


@dataclass(frozen=True)
class Record:
    """One instance's life. Times are None when their event was lost; `cost_micro` is None until it is known.

    `outcome`: RUNNING, SUCCEEDED, or the class of the failure; empty in records of older platforms.
    """

    key: str
    analysis: str
    group: str
    instance: str
    instance_type: str
    price_micro: int
    job: str
    datasets: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    cost_micro: int | None
    outcome: str
    is_active: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it lived; None when that is not known."""
        if self.start is None or self.end is None or self.end < self.start:
            return None
        return (self.end - self.start).total_seconds()

    @property
    def is_failure(self) -> bool:
        """Whether it ended otherwise than well."""
        return not self.is_active and self.outcome not in ("", SUCCEEDED, RUNNING)

    @property
    def is_estimated(self) -> bool:
        """Whether its cost is worked out from its hours, without its disk: it runs, or its record tells none."""
        return self.cost_micro is None

    def cost(self) -> int:
        """Micro-dollars: as settled, else so far by its hours; 0 where neither is known."""
        if self.cost_micro is not None:
            return self.cost_micro
        return 0 if self.seconds is None else cost_micro(Rate(self.price_micro, 0), int(self.seconds))


@dataclass(frozen=True)
class Damaged:
    """A record that could not be used, or not wholly."""

    where: str
    reason: str


@dataclass(frozen=True)
class Line:
    """The usage of one group, analysis, day or instance type."""

    name: str
    jobs: int
    datasets: int
    instances: int
    running: int
    failures: int
    hours: float
    cost_micro: int
    estimated_micro: int
    """Part of the cost that is not settled."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "name": self.name,
            "jobs": self.jobs,
            "datasets": self.datasets,
            "instances": self.instances,
            "running": self.running,
            "failures": self.failures,
            "hours": round(self.hours, 4),
            "cost": usd(self.cost_micro),
            "estimated": usd(self.estimated_micro),
        }


@dataclass(frozen=True)
class Usage:
    """Everything that was read."""

    records: tuple[Record, ...]
    damaged: tuple[Damaged, ...]


# --- reading ---


def read_usage(
    objects: VersionReader,
    analyses: Sequence[str],
    *,
    now: datetime,
    group: str = "",
    since: datetime | None = None,
    latest: int | None = None,
) -> Usage:
    """The records of analyses, of a group or of all; those that began at or after `since`; by their start.

    One listing an analysis, and a read a record, several at a time; `latest` reads only so many of each analysis, those
    written last. Raises AccessError, NotFoundError.
    """
    found: list[Record] = []
    damaged: list[Damaged] = []
    for analysis in analyses:
        listed = [(it.modified, it.key) for it in objects.list(analysis, FOLDER).objects if _is_wanted(it.key, group)]
        # A record is written after its instance began, so what was last written before `since` began before it.
        keys = [key for modified, key in sorted(listed, reverse=True) if since is None or modified >= since]
        read = _reader(objects, analysis, now)
        with ThreadPoolExecutor(max_workers=READERS) as pool:
            for item in pool.map(read, keys if latest is None else keys[:latest]):
                if isinstance(item, Damaged):
                    damaged.append(item)
                elif item is not None:
                    found.append(item)
    records = [it for it in _once(found) if group in ("", it.group) and _is_since(it, since)]
    damaged += [Damaged(f"s3://{it.analysis}/{it.key}", _lost(it)) for it in records if it.seconds is None]
    records.sort(key=lambda it: (it.start or datetime.min.replace(tzinfo=UTC), it.instance))
    return Usage(tuple(records), tuple(damaged))


def _is_wanted(key: str, group: str) -> bool:
    of, slash, name = key.removeprefix(FOLDER).partition("/")
    return bool(slash) and name.endswith(".json") and "/" not in name and (not group or of in (group, ACTIVE))


def _reader(objects: VersionReader, analysis: str, now: datetime) -> Callable[[str], Record | Damaged | None]:
    def read(key: str) -> Record | Damaged | None:
        try:
            return parse_record(objects.read(analysis, key).body, key, analysis=analysis, now=now)
        except NotFoundError:
            return None  # an instance that ended since the listing: its other record is read, or will be next time
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            return Damaged(f"s3://{analysis}/{key}", f"no usage record: {type(error).__name__}: {error}")

    return read


def parse_record(body: bytes, key: str, *, analysis: str, now: datetime) -> Record:
    """A usage record → value; a running instance is looked at `now`. Raises ValueError, KeyError, TypeError."""
    found: Mapping[str, Any] = json.loads(body)
    folder = key.removeprefix(FOLDER).partition("/")[0]
    is_active = folder == ACTIVE
    job = str(found["jobpath"]).rstrip("/")
    paths = found["datapath"]
    cost = found.get("cost")
    return Record(
        key=key,
        analysis=analysis,
        group=str(found.get("group") or (job.partition("/")[0] if is_active else folder)),
        instance=str(found["instance-id"]),
        instance_type=str(found["instance-type"]),
        price_micro=micro_of(Decimal(str(found.get("price") or 0))),
        job=job,
        datasets=tuple(map(str, paths)) if isinstance(paths, list) else (str(paths),),
        start=_moment(found.get("start")),
        end=now if is_active else _moment(found.get("end")),
        cost_micro=None if cost is None else micro_of(Decimal(str(cost))),
        outcome=str(found.get("outcome") or ""),
        is_active=is_active,
    )


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _once(records: Iterable[Record]) -> list[Record]:
    """Each instance once: between its end and the next look it may have both records, and the final one tells more."""
    found: dict[tuple[str, str], Record] = {}
    for record in records:
        known = found.get((record.analysis, record.instance))
        if known is None or known.is_active:
            found[record.analysis, record.instance] = record
    return list(found.values())


def _is_since(record: Record, since: datetime | None) -> bool:
    moment = record.start or record.end
    return since is None or moment is None or moment >= since


def _lost(record: Record) -> str:
    if record.start is None:
        return "its start was lost; its hours count as 0"
    return "its end was lost; its hours count as 0" if record.end is None else "it ends before it starts; 0 hours count"


# --- grouping ---


def lines_of(records: Sequence[Record], by: By) -> tuple[Line, ...]:
    """The records grouped; by day in order of time, else the dearest first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_name(record, by), []).append(record)
    lines = [line_of(name, found) for name, found in groups.items()]
    if by is By.DAY:
        return tuple(sorted(lines, key=lambda line: line.name))
    return tuple(sorted(lines, key=lambda line: (-line.cost_micro, line.name)))


def _name(record: Record, by: By) -> str:
    if by is By.DAY:
        moment = record.start or record.end
        return moment.astimezone(UTC).date().isoformat() if moment else "unknown"
    return {By.GROUP: record.group, By.ANALYSIS: record.analysis, By.INSTANCE_TYPE: record.instance_type}[by]


def line_of(name: str, records: Sequence[Record]) -> Line:
    """The sum of records. A dataset that was tried twice counts once, its instances twice."""
    return Line(
        name=name,
        jobs=len({(it.analysis, it.job) for it in records}),
        datasets=len({(it.analysis, it.job, dataset) for it in records for dataset in it.datasets}),
        instances=len(records),
        running=sum(it.is_active for it in records),
        failures=sum(it.is_failure for it in records),
        hours=sum(it.seconds or 0.0 for it in records) / 3600,
        cost_micro=sum(it.cost() for it in records),
        estimated_micro=sum(it.cost() for it in records if it.is_estimated),
    )


# --- for spreadsheets ---

CSV_COLUMNS = (
    "analysis", "group", "job", "instance", "instance_type", "dataset", "start", "end", "hours",
    "price_usd_per_hour", "cost_usd", "cost_is_estimated", "outcome",
)  # fmt: skip


def csv_rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """A row a record, under CSV_COLUMNS. A text a spreadsheet would take for a formula begins with an apostrophe."""
    return [tuple(_plain_cell(cell) for cell in _csv_row(record)) for record in records]


def _csv_row(record: Record) -> tuple[str, ...]:
    seconds = record.seconds
    return (
        record.analysis,
        record.group,
        record.job,
        record.instance,
        record.instance_type,
        " ".join(record.datasets),
        record.start.isoformat() if record.start else "",
        "" if record.is_active or record.end is None else record.end.isoformat(),
        "" if seconds is None else f"{seconds / 3600:.4f}",
        usd(record.price_micro),
        usd(record.cost()),
        "yes" if record.is_estimated else "no",
        record.outcome,
    )


def _plain_cell(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
