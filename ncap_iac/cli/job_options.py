"""Options several verbs about jobs have: whose job, how long to wait, how a dataset is scattered."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncap_iac.cli.context import Context
    from ncap_iac.job.scatter import Scatter


def add_who(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Whose jobs, and with whose keys."""
    parser.add_argument(
        "--group", metavar="NAME", help="your group (or NCAP_GROUP; the bucket's only one if not given)"
    )
    parser.add_argument("--as", dest="member", metavar="MEMBER", help="act with this member's own keys")
    return parser


def add_asked(parser: argparse.ArgumentParser, *, data: str) -> None:
    """What is to be worked on, with what and where; `data` says which datasets may be named."""
    parser.add_argument("analysis", help="the analysis, which is also its bucket")
    parser.add_argument(
        "--data", nargs="+", action="extend", required=True, metavar="FILE_OR_KEY", help=f"datasets: {data}"
    )
    parser.add_argument("--config", required=True, metavar="FILE_OR_KEY", help="the parameters, YAML or JSON")
    parser.add_argument("--instance-type", metavar="TYPE", help="another machine than the analysis's own")


def add_timeout(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """How long to wait."""
    parser.add_argument("--timeout", type=positive, metavar="SECONDS", help="wait at most so long, then end with 6")
    return parser


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value


def positive_int(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number above 0 is wanted")
    return value


def add_scatter(parser: argparse.ArgumentParser) -> None:
    """How often each dataset is run, with which parameters; and what a folder is."""
    parser.add_argument(
        "--grid",
        action="append",
        metavar="NAME=V,V",
        help="run each dataset with every combination of these values, such as seed=1..3 (may be given again)",
    )
    parser.add_argument("--copies", type=positive_int, metavar="N", help="run each dataset N times, with --parameter")
    parser.add_argument("--parameter", metavar="NAME", help="what counts the copies: 1, 2, 3, …")
    parser.add_argument(
        "--folders", choices=("each", "whole"), help="a folder is one dataset a file (each), or one dataset (whole)"
    )


def wanted_scatter(context: Context) -> Scatter | None:
    """The scatter the options ask for. Raises UsageError."""
    from ncap_iac.job.scatter import scatter_of

    return scatter_of(context.get("grid") or (), copies=context.get("copies"), parameter=context.get("parameter"))
