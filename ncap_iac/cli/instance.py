"""`ncap instance`: development instances, found by their tags; nothing about them is kept on this computer."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_noun, add_verb

if TYPE_CHECKING:
    from datetime import datetime

    from ncap_iac.development.instances import DevInstance
    from ncap_iac.development.lifetime import Lives
    from ncap_iac.money.prices import PriceTable

COLUMNS = ("instance", "analysis", "type", "state", "owner", "age", "until", "cost so far")
DEFAULT_HOURS = 4
LOCAL_PAUSE_S = 0.2
REMOTE_PAUSE_S = 3.0


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    from ncap_iac.cli.instance_launch import add_launch
    from ncap_iac.cli.instance_life import add_life
    from ncap_iac.cli.instance_save import add_save
    from ncap_iac.cli.instance_work import add_work

    verbs = add_noun(
        nouns,
        "instance",
        [
            "ncap instance launch spectra --profile lab       four hours in its environment; the price first",
            "ncap instance connect spectra --profile lab      a shell on it, by Session Manager",
            "ncap instance run spectra --data a.csv --config c.json --profile lab",
            "ncap instance end spectra --profile lab",
        ],
    )
    add_launch(verbs)
    add_verb(
        verbs,
        "list",
        "List development instances: whose, until when, what they cost.",
        ["ncap instance list", "ncap instance list --profile lab --output json"],
        run=run_list,
        detail="Everybody's in the region. The cost is that since an instance last came up, its disk included.",
    )
    add_work(verbs)
    add_life(verbs)
    add_save(verbs)


def add_which(parser: argparse.ArgumentParser) -> None:
    """Which instance is meant."""
    parser.add_argument(
        "instance", nargs="?", metavar="INSTANCE", help="its id, or its analysis; not needed if there is one only"
    )


def hours(text: str) -> int:
    """Hours an instance may live."""
    from ncap_iac.development.instances import LONGEST_HOURS

    value = int(text)
    if not 1 <= value <= LONGEST_HOURS:
        raise argparse.ArgumentTypeError(f"1 to {LONGEST_HOURS} hours")
    return value


def chosen(context: Context) -> DevInstance:
    """The instance that is meant. Raises NotFoundError, UsageError."""
    from ncap_iac.development.instances import find_instance

    return find_instance(context.gateway, context.get("instance"))


def pause_s(context: Context) -> float:
    """Between two looks at something that changes."""
    return LOCAL_PAUSE_S if context.target.cloud is not None else REMOTE_PAUSE_S


def lives(context: Context) -> Lives:
    """What changes instances' lives."""
    from ncap_iac.development.lifetime import Lives

    world = context.world
    return Lives(context.gateway, world.clock, world.sleep, world.now, pause_s(context))


def price_table(context: Context) -> PriceTable | None:
    """What types cost in the region: the sweeper's table, and the project's where that is not to be had."""
    from ncap_compiler import names
    from ncap_iac.money.prices import fetched_prices, project_prices

    gateway = context.gateway
    account, _ = gateway.identity()
    fetched = fetched_prices(gateway.objects, names.artifact_bucket(account, gateway.region), gateway.region)
    return project_prices(context.project).beside(fetched) if context.has_project() else fetched


def cost_micro(it: DevInstance, prices: PriceTable | None, now: datetime) -> int | None:
    """Micro-dollars since it came up; None where the price is not known. A stopped one pays for its disk."""
    from ncap_iac.money.amounts import Rate
    from ncap_iac.money.amounts import cost_micro as cost

    price = prices.prices.get(it.instance_type) if prices else None
    if price is None:
        return None
    rate = Rate(price.micro_per_hour if it.is_running else 0, it.volume_gib)
    return cost(rate, int((now - it.launched).total_seconds()))


def run_list(context: Context) -> Answer:
    """A row an instance."""
    from ncap_iac.development.instances import list_instances
    from ncap_iac.money.amounts import usd, usd_text

    now, found = context.world.now(), list_instances(context.gateway)
    prices = price_table(context) if found else None
    rows, documents = [], []
    for it in found:
        cost = cost_micro(it, prices, now)
        documents.append({**it.document(now), "costUsd": None if cost is None else usd(cost)})
        rows.append((*_row(it, now), "not known" if cost is None else usd_text(cost)))
    return Answer(
        kind="Instances",
        data={"instances": documents},
        blocks=(Table(COLUMNS, tuple(rows), empty="There is no development instance."),),
        next_commands=() if found else ("ncap instance launch NAME",),
    )


def _row(it: DevInstance, now: datetime) -> tuple[str, ...]:
    minutes = int((now - it.launched).total_seconds() // 60)
    left = int((it.expires - now).total_seconds() // 60)
    until = f"{it.expires:%H:%M} UTC ({left // 60} h {left % 60:02d} min)" if left > 0 else "its time is over"
    if not it.is_running:
        until = f"kept until {it.ends:%Y-%m-%d}" if it.state == "stopped" else it.state
    return (
        it.instance,
        it.analysis,
        it.instance_type,
        it.state,
        it.owner.rpartition("/")[2] or it.owner.rpartition(":")[2],
        f"{minutes // 60} h {minutes % 60:02d} min",
        until,
    )
