"""`python -m experiments`: one command a figure or question. Parses, calls, says what it wrote; computes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.errors import InputError

EXAMPLES = """examples:
  python -m experiments all                              every figure of the paper and its numbers, today's too
  python -m experiments figure10 --reading complete      with everything charged that the paper left out
  python -m experiments custom experiments/cost_files/workstation.yaml
  python -m experiments figure6 --records logs/          the same picture of your own platform's usage records
  python -m experiments lab --datasets-a-week 40 --local-hours 3 --machine-usd 5000
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description="The paper's numbers, today's numbers, your lab's numbers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="WHAT", required=True)

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=summary, description=summary)
        verb.add_argument("--output-dir", type=Path, default=Path("experiments-output"), help="where files go")
        return verb

    for name, machine in (("figure10", "a workstation"), ("figure15", "a cluster")):
        verb = add(name, f"NeuroCAAS against {machine}: time, cost, crossover, utilisation.")
        verb.add_argument("--reading", choices=("published", "complete"), default="published", help="what is charged")
    verb = add("figure6", "Jobs and hours by parallelism, from usage records.")
    verb.add_argument("--records", type=Path, help="a folder of usage records (default: the paper's sample)")
    verb.add_argument("--count", choices=("instances", "datasets"), default="instances", help="what parallelism counts")
    verb.add_argument("--with-runaway", action="store_true", help="keep the job the original figure leaves out")
    verb = add("custom", "Your own machine against the benchmark, from a cost file.")
    verb.add_argument("file", type=Path, nargs="+", help="cost files (YAML); see experiments/cost_files/")
    verb = add("spot", "Spot prices, and what policies cost when instances are lost.")
    verb.add_argument(
        "--history", type=Path, help="output of `aws ec2 describe-spot-price-history` (default: an example)"
    )
    verb.add_argument("--hours", type=float, default=4, help="length of the job")
    verb.add_argument("--on-demand", type=float, default=3.072, help="USD an hour on demand")
    verb.add_argument("--instance-type", default="m5.16xlarge", help="whose prices to draw from")
    add("today", "The panels with today's instance types and prices.")
    _add_lab(add("lab", "What your lab would pay: cloud or machine."))
    verb = add("scaling", "What limits 10 to 1 000 000 datasets, by simulation.")
    verb.add_argument("--minutes", type=float, default=20, help="of a dataset on its instance")
    add("all", "Everything above with its defaults.")
    return parser


def _add_lab(verb: argparse.ArgumentParser) -> None:
    from dataclasses import fields

    from experiments.lab import Answers

    for field in fields(Answers):
        verb.add_argument(f"--{field.name.replace('_', '-')}", type=float, help=f"default {field.default}")
    verb.add_argument(
        "--records", type=Path, help="usage records of your platform: rate, hours and price are taken from them"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 for an input that cannot be used."""
    arguments = build_parser().parse_args(argv)
    from experiments import commands

    try:
        for line in commands.run(arguments):
            print(line)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
