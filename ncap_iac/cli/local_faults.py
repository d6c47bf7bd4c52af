"""`ncap local fault`: let things go wrong in a local cloud on purpose, to see what becomes of the jobs in it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import CloudError, NcapError, UsageError
from ncap_iac.target import DEFAULT_CLOUD

if TYPE_CHECKING:
    from ncap_iac.cli.context import Context
    from ncap_iac.local.cloud_record import CloudRecord

_KINDS = ("capacity", "throttle", "interrupt", "lose", "list", "clear")
_OF_INSTANCES = ("interrupt", "lose")
_DETAIL = """capacity   the next launches find no capacity (InsufficientInstanceCapacity), of a type, in a zone, on spot
throttle   the next EC2 calls are too many (RequestLimitExceeded)
interrupt  an instance is warned and taken back, as EC2 takes back spot instances
lose       an instance dies without a word, as with its computer
list       what is still to be met
clear      nothing more goes wrong"""


def add_fault(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "fault",
        "Let things go wrong in a local cloud, to test what runs in it.",
        [
            "ncap local fault capacity --type m7i.large --zone us-east-1a --times 2",
            "ncap local fault capacity --market spot --times 10",
            "ncap local fault throttle --operation RunInstances",
            "ncap local fault interrupt i-0123456789abcdef0 --after 5",
            "ncap local fault clear",
        ],
        run=run_fault,
        detail=_DETAIL,
    )
    parser.add_argument("kind", choices=_KINDS, metavar="KIND", help=", ".join(_KINDS))
    parser.add_argument("instance", nargs="?", metavar="INSTANCE", help="for interrupt and lose: which instance")
    parser.add_argument("--type", action="append", metavar="TYPE", help="capacity: of this instance type; repeatable")
    parser.add_argument("--zone", action="append", metavar="ZONE", help="capacity: in this zone; repeatable")
    parser.add_argument("--market", choices=("spot", "on-demand"), help="capacity: in this market only")
    parser.add_argument("--operation", metavar="NAME", help="throttle: this operation only, as RunInstances")
    parser.add_argument("--times", type=_count, metavar="N", help="capacity, throttle: how many calls meet it (1)")
    parser.add_argument("--after", type=_seconds, metavar="SECONDS", help="interrupt: from warning to end (120)")
    parser.add_argument("--name", metavar="NAME", help=f"which local cloud ({DEFAULT_CLOUD!r}; --cloud means the same)")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a number from 1")
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("expected seconds from 0 to 3600")
    return seconds


def run_fault(context: Context) -> Answer:
    """Arm, list or clear."""
    from ncap_iac.local.faultdoor import ask_faults
    from ncap_iac.local.service import ServiceError

    kind, instance = str(context.get("kind")), context.get("instance")
    if (kind in _OF_INSTANCES) != bool(instance):
        wanted = "needs an instance id" if kind in _OF_INSTANCES else "takes no instance id"
        raise UsageError(f"{kind} {wanted}", where="ncap local fault", hint="See `ncap local fault --help`.")
    record = _running(context)
    try:
        if kind == "list":
            found = ask_faults(record, "GET")
        elif kind == "clear":
            found = ask_faults(record, "DELETE")
        else:
            found = ask_faults(record, "POST", _document(context, kind))
    except ServiceError as error:
        raise UsageError(error.message, where=f"local cloud {record.name!r}") from error
    except OSError as error:
        raise NcapError(f"it does not answer: {error}", where=f"local cloud {record.name!r}") from error
    return _answer(found)


def _document(context: Context, kind: str) -> dict[str, Any]:
    options = {
        "capacity": {
            "types": context.get("type"),
            "zones": context.get("zone"),
            "market": context.get("market"),
            "times": context.get("times"),
        },
        "throttle": {"operation": context.get("operation"), "times": context.get("times")},
        "interrupt": {"instance": context.get("instance"), "after": context.get("after")},
        "lose": {"instance": context.get("instance")},
    }[kind]
    return {"kind": kind, **{name: value for name, value in options.items() if value is not None}}


def _running(context: Context) -> CloudRecord:
    from ncap_iac.cli.local import cloud_errors, cloud_name, clouds

    name = cloud_name(context)
    with cloud_errors():
        record = clouds(context).status(name)
    if record is None:
        raise CloudError(
            "it does not run", where=f"local cloud {name!r}", hint="Start it with `ncap local up --background`."
        )
    return record


def _answer(found: Mapping[str, Any]) -> Answer:
    faults = found["faults"]
    rows = tuple(
        (
            str(fault["code"]),
            str(fault["times"]),
            ", ".join(fault.get("types", ())) or str(fault.get("operation", "")) or "any",
            ", ".join(fault.get("zones", ())) or "any",
            str(fault.get("market") or "any"),
        )
        for fault in faults
    )
    return Answer(
        kind="LocalFaults",
        data={"faults": list(faults)},
        blocks=(Table(("error", "times", "type or operation", "zone", "market"), rows, empty="No fault is armed."),),
        next_commands=("ncap local fault clear",) if rows else (),
    )
