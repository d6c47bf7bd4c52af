"""Options every verb accepts, before or after it, and how a verb is added. Imports argparse and nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ncap_iac.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ncap_iac.answer import Answer
    from ncap_iac.cli.context import Context

SUMMARIES = {
    "demo": "Run the whole path on this computer: deploy an analysis, submit two recordings, fetch the results.",
    "local": "Start, stop and look at the local cloud: AWS's interfaces on this computer.",
    "blueprint": "Check, compile, plan and deploy analyses.",
    "profile": "Check, compile, plan and deploy groups and their members.",
    "member": "Add, move, suspend and remove people, and give them their keys.",
    "account": "Compile, plan and deploy what all analyses of an account share.",
    "job": "Submit jobs, follow them, fetch their results.",
    "budget": "Show and set what groups may spend.",
    "usage": "Show what was used and what it cost: hours, jobs, money, failures.",
    "check": "Show what changed documents would change, offline: for pull requests.",
    "preflight": "Look before a first deployment: identity, permissions, quotas, hardware, images, network.",
    "analysis": "Write an analysis: a folder to begin with, runs, tests and a shell on this computer, a report.",
    "instance": "Work on machines for a while: launch, connect, run a test job, save an AMI, end them in time.",
    "environment": "Lock, build, list, verify, pin and collect the immutable environments analyses run in.",
}
"""The commands, each a module of this package, in the order of the help text."""

HIDDEN = ("remote",)
"""Further modules of this package with a command of their own that the help does not list: earlier names."""

Run = Callable[["Context"], "Answer"]
SubParsers = Any
"""What `add_subparsers` returns; argparse keeps its type private."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are our errors."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the help that fits."""
        raise UsageError(message, where=self.prog, hint=f"See `{self.prog} --help`.")


def exit_code_table() -> str:
    """The exit codes as help text."""
    return "exit codes:\n" + "\n".join(f"  {int(code):<4} {code.meaning}" for code in ExitCode)


def examples_text(examples: Sequence[str]) -> str:
    """Examples as a help text's end."""
    return "examples:\n" + "\n".join(f"  {example}" for example in examples)


def make_parser(prog: str, description: str, epilog: str) -> Parser:
    """A parser in our manner."""
    parser = Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_global_options(parser)
    return parser


def add_global_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb. They have no default, so that one given before the verb is not lost after it."""
    suppress = argparse.SUPPRESS
    place = parser.add_argument_group("where (the local cloud 'default' unless told otherwise)")
    place.add_argument("--cloud", metavar="NAME", default=suppress, help="a local cloud by name (or NCAP_CLOUD)")
    place.add_argument("--aws", action="store_true", default=suppress, help="AWS, with your usual credentials")
    place.add_argument("--profile", metavar="NAME", default=suppress, help="AWS, with a profile of your AWS settings")
    place.add_argument("--region", metavar="REGION", default=suppress, help="the region")
    place.add_argument("--endpoint-url", metavar="URL", default=suppress, help="any endpoint that speaks AWS's API")
    place.add_argument("--project", metavar="FOLDER", default=suppress, help="the project, if you are not in it")
    manner = parser.add_argument_group("manner")
    manner.add_argument(
        "--output", choices=("table", "json"), default=suppress, help="for people, or one JSON document on stdout"
    )
    manner.add_argument("-q", "--quiet", action="store_true", default=suppress, help="data and errors only")
    manner.add_argument(
        "-v", "--verbose", "--debug", action="store_true", default=suppress, help="more talk, and tracebacks"
    )
    manner.add_argument("--no-color", action="store_true", default=suppress, help="no colours (or set NO_COLOR)")
    manner.add_argument("-y", "--yes", action="store_true", default=suppress, help="do not ask before changing things")


def add_noun(nouns: SubParsers, name: str, examples: Sequence[str]) -> SubParsers:
    """A noun (`job`); add verbs to what is returned."""
    summary = SUMMARIES[name]
    parser = nouns.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_global_options(parser)
    return parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True, parser_class=Parser)


def add_verb(
    verbs: SubParsers, name: str, summary: str, examples: Sequence[str], *, run: Run, detail: str = ""
) -> argparse.ArgumentParser:
    """A verb and what it runs; add its own arguments to what is returned."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary}\n\n{detail}".rstrip(),
        epilog=examples_text(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_global_options(parser)
    parser.set_defaults(run=run)
    return parser


def add_stage_option(parser: argparse.ArgumentParser) -> None:
    """`--stage`, for verbs about stacks."""
    parser.add_argument(
        "--stage",
        metavar="STAGE",
        help="dev, prod or another stage of stages.json (or NCAP_STAGE); none: prod without its settings",
    )
