"""The command `ncap`: parses the command line, runs one verb, shows its answer, returns the exit code.

Nothing heavy is imported here: a noun's module only if it is named, the console only if there is something to say.
`--help` needs argparse and this package, no more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ncap_iac import __version__
from ncap_iac.cli.options import HIDDEN, SUMMARIES, Parser, examples_text, exit_code_table, make_parser
from ncap_iac.errors import ExitCode, NcapError

if TYPE_CHECKING:
    import argparse

    from ncap_iac.cli.context import World
    from ncap_iac.console import Console

EXAMPLES = (
    "ncap demo                                       the whole path, on this computer",
    "ncap local up --background                      start the local cloud",
    "ncap blueprint deploy kalman-lds                deploy an analysis",
    "ncap job submit kalman-lds --data a.csv --config config.yaml --watch",
)
DESCRIPTION = "Neural data analyses as code: deploy them, use them, on AWS or on this computer."


def build_parser(words: Sequence[str] | None = None) -> Parser:
    """The command line; with `words`, only as much of it as these words can need."""
    parser = make_parser("ncap", DESCRIPTION, examples_text(EXAMPLES) + "\n\n" + exit_code_table())
    parser.add_argument("--version", action="version", version=f"ncap {__version__}")
    nouns = parser.add_subparsers(title="commands", metavar="COMMAND", dest="noun", required=True, parser_class=Parser)
    for noun, summary in SUMMARIES.items():
        if words is None or noun in words:
            import_module(f"ncap_iac.cli.{noun}").add_to(nouns)
        else:
            nouns.add_parser(noun, help=summary)
    for noun in HIDDEN:
        if words is not None and noun in words:
            import_module(f"ncap_iac.cli.{noun}").add_to(nouns)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see `errors.MEANINGS`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = build_parser(words).parse_args(words)
    except SystemExit as ended:  # --help and --version print and leave this way
        return int(ended.code or 0)
    except BrokenPipeError:
        return int(ExitCode.DONE)
    except NcapError as error:
        _console(words).fail(error)
        return int(error.exit_code)
    return _run(arguments, _console(words))


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from ncap_iac.cli.context import Context
    from ncap_iac.console import silence

    try:
        answer = arguments.run(Context(arguments, console, _world()))
        console.show(answer)
        return int(answer.exit_code)
    except NcapError as error:
        console.fail(error, trace=_trace())
        return int(error.exit_code)
    except KeyboardInterrupt:
        console.fail(NcapError("interrupted", hint="What was begun may go on; nothing was undone."))
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        silence(sys.stdout)
        return int(ExitCode.DONE)
    except Exception as error:
        hint = "This is a defect of ncap. Run it again with --verbose and report what it says."
        console.fail(NcapError(f"{type(error).__name__}: {error}", where="internal error", hint=hint), trace=_trace())
        return int(ExitCode.FAILED)
    finally:
        console.close()


def _world() -> World:
    import os
    import time
    from datetime import UTC, datetime
    from pathlib import Path

    from ncap_iac.cli.context import World

    return World(
        environment=os.environ,
        home=Path.home(),
        folder=Path.cwd(),
        stdin=sys.stdin,
        clock=time.monotonic,
        sleep=time.sleep,
        now=lambda: datetime.now(UTC),
    )


def _console(words: Sequence[str]) -> Console:
    """The console, in the manner the words ask for, whether or not they can be parsed."""
    import os
    import time

    from ncap_iac.answer import Output
    from ncap_iac.console import Console, Manner

    output = next((word.partition("=")[2] for word in words if word.startswith("--output=")), "")
    if "--output" in words[:-1]:
        output = words[words.index("--output") + 1]
    manner = Manner(
        output=Output.JSON if (output or os.environ.get("NCAP_OUTPUT")) == "json" else Output.TABLE,
        quiet=bool({"-q", "--quiet"}.intersection(words)),
        verbose=bool({"-v", "--verbose", "--debug"}.intersection(words)),
        color=not os.environ.get("NO_COLOR") and "--no-color" not in words,
        program=_program(sys.argv[0]),
    )
    return Console(sys.stdout, sys.stderr, manner=manner, clock=time.monotonic)


def _program(started_as: str) -> str:
    """`ncap`, or the path it was started by where the shell would not find it by that name."""
    import shlex
    import shutil
    from pathlib import Path

    if Path(started_as).name != "ncap" or shutil.which("ncap") is not None:
        return "ncap"
    return shlex.quote(started_as)


def _trace() -> str:
    import traceback

    return traceback.format_exc()
