"""`ncap analysis test`: samples of analyses, the users' way, held against what is expected of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.analysis_bench import bench_options, check_places, open_laboratory
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import ExitCode, UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.analysis.trial import Trial


def add_test(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "test",
        "Run the sample of an analysis on a local cloud and hold the results against what is expected.",
        [
            "ncap analysis test spectra",
            "ncap analysis test kalman-lds pmd --output json",
            "ncap analysis test --all --heavy --record docs/samples.md",
        ],
        run=run_test,
        detail="sample/sample.json names datasets and config, sample/check.py and expected.json judge the results.\n"
        "Ends with 0 if every analysis came out as expected, with 1 if one did not.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="analyses of the project, or their folders")
    parser.add_argument("--all", action="store_true", help="every analysis of the project that has a sample")
    parser.add_argument("--heavy", action="store_true", help="with --all: also those that say they are heavy")
    parser.add_argument("--record", metavar="FILE", help="write the table as Markdown, with date and machine")
    parser.add_argument("--results", metavar="DIR", help="keep the results here, a folder an analysis")
    bench_options(parser)


def run_test(context: Context) -> Answer:
    """Try each, tell all."""
    import tempfile
    from dataclasses import replace

    from ncap_iac.analysis.record import machine_text, record_text
    from ncap_iac.analysis.sample import load_sample
    from ncap_iac.analysis.trial import try_samples
    from ncap_iac.progress import silent

    check_places(context)
    paths, left = chosen(context)
    record = context.world.folder / context.arguments.record if context.get("record") else None
    if record is not None and not record.parent.is_dir():
        raise UsageError("there is no such folder", where=f"--record {record}", hint="Make it first.")
    samples = [load_sample(path.parent) for path in paths]
    with (
        tempfile.TemporaryDirectory(prefix="neurocaas-test-") as place,
        open_laboratory(context, paths) as (laboratory, laid, names, maker),
    ):
        keep = Path(place) if context.get("results") is None else context.world.folder / context.arguments.results
        trials = try_samples(
            laboratory,
            list(zip(laid, samples, strict=True)),
            names=names,
            folder=keep,
            timeout_s=context.get("timeout"),
            image_of=lambda it: replace(maker, report=silent).build(it.path.parent).folder,
        )
    if record is not None:
        record.write_text(record_text(trials, context.world.now(), machine_text()), encoding="utf-8")
    return _answer(trials, left, record)


def chosen(context: Context) -> tuple[list[Path], list[str]]:
    """The blueprints that are tested, and the analyses left out as heavy. Raises UsageError, ProjectError."""
    from ncap_iac.analysis.sample import has_sample, load_sample

    arguments = context.arguments
    if bool(arguments.names) == arguments.all:
        raise UsageError("which analysis?", where="ncap analysis test", hint="Name analyses, or say --all.")
    if not arguments.all:
        named = [context.project.document(Kind.BLUEPRINT, name) for name in arguments.names]
        return list(dict.fromkeys(named)), []
    found = [path for path in context.project.documents(Kind.BLUEPRINT) if has_sample(path.parent)]
    heavy = [path for path in found if load_sample(path.parent).is_heavy and not arguments.heavy]
    return [path for path in found if path not in heavy], [path.parent.name for path in heavy]


def _answer(trials: list[Trial], left: list[str], record: Path | None) -> Answer:
    from ncap_iac.analysis.record import COLUMNS, row

    failures = [f"{trial.analysis}: {problem}" for trial in trials for problem in trial.problems]
    notes = [f"Left out, for they are heavy: {', '.join(left)}. Add --heavy."] if left else []
    notes += [f"Recorded in {record}."] if record else []
    failed = [trial for trial in trials if not trial.has_passed]
    return Answer(
        kind="AnalysisTest",
        data={
            "passed": not failed,
            "analyses": [trial.document() for trial in trials],
            "leftOut": left,
        },
        blocks=(
            Table(COLUMNS, tuple(row(trial) for trial in trials), empty="No analysis here has a sample."),
            *([Text("\n".join(failures))] if failures else []),
        ),
        notes=tuple(notes),
        next_commands=tuple(
            [f"ncap analysis report {trials[0].job}"] if len(trials) == 1 and trials[0].job and not failed else []
        )
        + tuple(f"ncap analysis shell {trial.analysis}" for trial in failed[:1]),
        exit_code=ExitCode.FAILED if failed else ExitCode.DONE,
    )
