"""`ncap analysis shell`: inside an analysis's environment, as its workflow finds it."""

from __future__ import annotations

import argparse
from typing import Any

from ncap_iac import progress
from ncap_iac.answer import Answer
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import Parser, SubParsers, add_global_options, add_verb
from ncap_iac.errors import ExitCode
from ncap_iac.project import Kind


def add_shell(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "shell",
        "Open a shell, or run a command, inside an analysis's environment.",
        [
            "ncap analysis shell spectra",
            "ncap analysis shell spectra -- python -c 'import numpy; print(numpy.__version__)'",
            'ncap analysis shell spectra -- sh -c \'python workflow.py "$NEUROCAAS_DATA" "$NEUROCAAS_CONFIG" '
            '"$NEUROCAAS_RESULTS"\'',
        ],
        run=run_shell,
        detail="The image read-only, a private scratch with a copy of the analysis's files, the first dataset of the\n"
        "sample at $NEUROCAAS_DATA, its config at $NEUROCAAS_CONFIG; the sandbox of an instance, without a cloud's\n"
        "credentials. What you write is gone afterwards, unless --results names a folder to copy results to.",
    )
    parser.add_argument("name", metavar="NAME", help="an analysis of the project, or its folder")
    parser.add_argument("--results", metavar="DIR", help="copy what is in $NEUROCAAS_RESULTS here at the end")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, action=_AfterDashes, metavar="-- COMMAND", help="instead of a shell"
    )


class _AfterDashes(argparse.Action):
    """The words behind `--`, or from the first that is no option, are the command; options may stand before them.

    argparse gives the `--` that follows a positional argument to that argument.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        words = list(values)
        if not words or not words[0].startswith("-"):
            setattr(namespace, self.dest, words)
            return
        end = words.index("--") if "--" in words else len(words)
        options = Parser(prog=parser.prog, add_help=False, allow_abbrev=False)
        add_global_options(options)
        options.add_argument("--results")
        options.parse_args(words[:end], namespace)
        setattr(namespace, self.dest, words[end + 1 :])


def run_shell(context: Context) -> Answer:
    """Build, enter, come back with the command's exit code."""
    import sys

    from ncap_iac.analysis.sample import has_sample, load_sample
    from ncap_iac.analysis.shell import Errand, run_inside
    from ncap_iac.cli.environment import image_maker

    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    sample = load_sample(path.parent) if has_sample(path.parent) else None
    image = image_maker(context).build(path.parent)
    words = tuple(context.arguments.command)
    is_terminal = context.world.stdin.isatty() and sys.stdout.isatty()
    errand = Errand(
        image=image,
        words=words or (("bash", "--norc", "-i") if is_terminal else ("sh",)),
        data=sample.datasets[0] if sample else None,
        config=sample.config if sample else None,
        results=context.world.folder / context.arguments.results if context.get("results") else None,
    )
    if is_terminal and not words:
        context.report(progress.Note("You are in the environment. Leave with `exit`."))
    context.console.close()
    code = run_inside(errand, say=lambda text: context.report(progress.Note(text)), is_terminal=is_terminal)
    return Answer(
        kind="AnalysisShell",
        data={"exitStatus": code},
        notes=(f"It ended with exit status {code}.",) if code else (),
        exit_code=ExitCode.FAILED if code else ExitCode.DONE,
    )
