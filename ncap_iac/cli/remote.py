"""`ncap remote …`: the command names developers know from `neurocaas-contrib remote`, each telling its present one.

Not in the help. What the earlier tool kept in a file (which instance is the current one) is asked of AWS: the instance
is the only one there is, or named by `-i`.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable

from ncap_iac import progress
from ncap_iac.answer import Answer
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import Parser, SubParsers, add_global_options
from ncap_iac.errors import UsageError

Words = Callable[[argparse.Namespace], list[str]]
_MINUTES = 60
_DEFAULT_MINUTES = 60
_GLOBAL = ("cloud", "aws", "profile", "region", "endpoint_url", "project", "output", "quiet", "verbose", "yes")


def add_to(nouns: SubParsers) -> None:
    """Add the group, unlisted."""
    parser = nouns.add_parser("remote", description="Earlier names of `ncap instance` and `ncap analysis publish`.")
    add_global_options(parser)
    verbs = parser.add_subparsers(
        title="earlier names", metavar="VERB", dest="verb", required=True, parser_class=Parser
    )
    for name, (make, options) in _VERBS.items():
        # `-v` was the size of the disk there.
        verb = verbs.add_parser(name, allow_abbrev=False, conflict_handler="resolve")
        add_global_options(verb)
        for flags, metavar in options:
            verb.add_argument(*flags, metavar=metavar)
        verb.set_defaults(run=run_earlier, present=make)


def run_earlier(context: Context) -> Answer:
    """Say the present name, then do what it does."""
    from ncap_iac.cli import build_parser

    words = context.arguments.present(context.arguments)
    context.report(progress.Warned(f"`ncap remote {context.arguments.verb}` is now `ncap {shlex.join(words)}`."))
    arguments = build_parser(words).parse_args(words)
    for name in _GLOBAL:
        if hasattr(context.arguments, name):
            setattr(arguments, name, getattr(context.arguments, name))
    answer: Answer = arguments.run(Context(arguments, context.console, context.world))
    return answer


def _hours(minutes: str | None) -> str:
    """Whole hours for minutes."""
    try:
        return str(-(-int(minutes or _DEFAULT_MINUTES) // _MINUTES))
    except ValueError as error:
        raise UsageError(f"{minutes!r} is no number of minutes", where="ncap remote", hint="For example 60.") from error


def _given(flag: str, value: str | None) -> list[str]:
    return [] if value is None else [flag, value]


def _which(asked: argparse.Namespace) -> list[str]:
    return [] if asked.instance is None else [asked.instance]


def _launch(asked: argparse.Namespace) -> list[str]:
    if asked.analysis is None:
        raise UsageError("which analysis?", where="launch-devinstance", hint="Now: `ncap instance launch NAME`.")
    image = [] if asked.ami is None else (["--ami", asked.ami] if asked.ami.startswith("ami-") else ["--base"])
    words = ["instance", "launch", asked.analysis, "--hours", _hours(asked.timeout), *image]
    return words + _given("--disk", asked.volume)


def _submit(asked: argparse.Namespace) -> list[str]:
    if asked.data is None or asked.config is None:
        raise UsageError(
            "a test job takes files of this computer",
            where="submit-job",
            hint="Now: `ncap instance run --data FILE --config FILE`; without both it takes the sample.",
        )
    return ["instance", "run", *_which(asked), "--data", asked.data, "--config", asked.config]


def _end(asked: argparse.Namespace) -> list[str]:
    sure = (asked.force or "").lower() in ("true", "1", "yes")
    return ["instance", "end", *_which(asked), *(["--yes"] if sure else [])]


def _blueprint(asked: argparse.Namespace) -> list[str]:
    words = ["instance", "save", *_which(asked), *_given("--image", asked.ami)]
    return words + _given("--message", asked.message)


def _list(asked: argparse.Namespace) -> list[str]:
    return ["instance", "list"]


_ID = (("-i", "--instance"), "INSTANCE")
_NAME = (("-n", "--name"), "NAME")
_SAID = (("-d", "--description"), "TEXT")
_TIME = (("-t", "--timeout"), "MINUTES")
_AMI = (("-a", "--ami"), "AMI")
_LONGER = (("-m", "--minutes"), "MINUTES")
_FORCE = (("-f", "--force"), "BOOL")

_VERBS: dict[str, tuple[Words, list[tuple[tuple[str, ...], str]]]] = {
    "develop-remote": (_list, [(("-i", "--index"), "INDEX")]),
    "start-session": (_list, []),
    "end-session": (_end, [_ID, _FORCE]),
    "launch-devinstance": (
        _launch,
        [(("--analysis",), "ANALYSIS"), _NAME, _SAID, _AMI, (("-v", "--volume"), "GB"), _TIME],
    ),
    "assign-instance": (_list, [_ID, _NAME, _SAID]),
    "select-instance": (_list, [_ID, _NAME]),
    "list-instances": (_list, []),
    "start-devinstance": (
        lambda asked: ["instance", "start", *_which(asked), "--hours", _hours(asked.timeout)],
        [_ID, _TIME],
    ),
    "stop-devinstance": (lambda asked: ["instance", "stop", *_which(asked)], [_ID]),
    "get-ip": (_list, [_ID]),
    "get-lifetime": (_list, [_ID]),
    "get-timeout": (_list, [_ID]),
    "extend-lifetime": (
        lambda asked: ["instance", "extend", *_which(asked), "--hours", _hours(asked.minutes)],
        [_ID, _LONGER],
    ),
    "extend-timeout": (
        lambda asked: ["instance", "extend", *_which(asked), "--hours", _hours(asked.minutes)],
        [_ID, _LONGER],
    ),
    "terminate-devinstance": (_end, [_ID, _FORCE]),
    "submit-job": (
        _submit,
        [_ID, (("-s", "--submit"), "FILE"), (("-d", "--data"), "FILE"), (("-c", "--config"), "FILE")],
    ),
    "job-status": (_list, [(("-j", "--job"), "INDEX")]),
    "job-output": (_list, [(("-j", "--job"), "INDEX")]),
    "create-devami": (lambda asked: ["instance", "save", *_which(asked), "--no-blueprint"], [_ID, _NAME]),
    "update-blueprint": (_blueprint, [_ID, _AMI, (("-m", "--message"), "TEXT")]),
}
"""Earlier names, what they are now, and the options they took."""
