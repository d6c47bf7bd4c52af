"""`ncap analysis`: the developer's loop, from a template to a tested analysis. Runs and tests go the users' way."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.analysis_bench import bench_options, check_places, open_laboratory, place_words
from ncap_iac.cli.analysis_new import add_new
from ncap_iac.cli.analysis_publish import add_publish
from ncap_iac.cli.analysis_report import add_report
from ncap_iac.cli.analysis_shell import add_shell
from ncap_iac.cli.analysis_test import add_test
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_noun, add_verb
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.analysis.facts import Facts
    from ncap_iac.analysis.laboratory import Ended

RESULTS = "neurocaas-results"


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(
        nouns,
        "analysis",
        [
            "ncap analysis new spectra                       a folder to begin with, complete and valid",
            "ncap analysis test spectra                      its sample, the users' way, on this computer",
            "ncap analysis run spectra --data my.csv --config my.json",
        ],
    )
    add_new(verbs)
    _add_run(verbs)
    add_test(verbs)
    add_shell(verbs)
    add_report(verbs)
    add_publish(verbs)


def _add_run(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "run",
        "Run an analysis of the working tree on your data, on a local cloud.",
        [
            "ncap analysis run spectra --data recordings/*.csv --config config.json",
            "ncap analysis run spectra --data a.csv --config c.json --results out",
        ],
        run=run_run,
        detail="The way a user's job goes: local cloud, account, a group 'developer' of your own, the blueprint, a\n"
        "submission, results. What is there is used; a second run takes seconds. Files that changed make another\n"
        "environment, which is built; your blueprint is not touched. Uses a local cloud named 'developer' and starts\n"
        "it if need be.",
    )
    parser.add_argument("name", metavar="NAME", help="an analysis of the project, or its folder")
    parser.add_argument("--data", nargs="+", action="extend", required=True, metavar="FILE", help="datasets or globs")
    parser.add_argument("--config", required=True, metavar="FILE", help="the parameters, YAML or JSON")
    parser.add_argument("--results", metavar="DIR", help=f"where results go (./{RESULTS}/<job>)")
    bench_options(parser)


def run_run(context: Context) -> Answer:
    """Deploy what is needed, submit, print lines as they come, fetch."""
    from ncap_iac.analysis.facts import facts_of
    from ncap_iac.documents import analysis_name, check_config
    from ncap_iac.job.results import LogFollower

    began = context.world.clock()
    check_places(context)
    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    config = context.world.folder / context.arguments.config
    check_config(config, analysis_name(path), context.project)
    for said in context.arguments.data:
        if not any(sign in said for sign in "*?[") and not (context.world.folder / said).is_file():
            raise UsageError("there is no such file", where=f"--data {said}", hint="Check the path.")
    with open_laboratory(context, [path]) as (laboratory, (laid,), names, _):
        if not laid.is_pinned:
            context.report(
                progress.Note(
                    f"The files of {laid.name} have changed since its blueprint was pinned: this run is of the files. "
                    f"When you are content: `ncap environment pin {path.parent.name}`."
                )
            )
        laboratory.furnish(names)
        laboratory.deploy(laid)
        ref = laboratory.submit(laid, context.arguments.data, str(config))
        follower = LogFollower(context.report)
        status = laboratory.follow(ref, context.get("timeout"), follower.see)
        chosen = context.get("results") or str(Path(RESULTS) / ref.job.replace(":", "-"))
        ended = laboratory.fetch(status, context.world.folder / chosen)
    return _answer(context, ended, facts_of(status, laid.environment), context.world.clock() - began)


def _answer(context: Context, ended: Ended, facts: Facts, seconds: float) -> Answer:
    from ncap_iac.analysis.bench import GROUP
    from ncap_iac.job.results import relative_names

    status, folder = ended.status, ended.results.folder
    shown = folder.relative_to(context.world.folder) if folder.is_relative_to(context.world.folder) else folder
    pictures = [path for path in ended.results.files if path.suffix.lower() in (".png", ".svg")]
    rows = (
        ("version", facts.version_id),
        ("environment", facts.environment),
        ("run", "not known" if facts.seconds is None else f"{facts.seconds:.0f} s"),
        ("peak memory", "not known" if facts.peak_memory_bytes is None else f"{facts.peak_memory_bytes / 1e6:.0f} MB"),
        ("certificate", facts.cost or "it has no cost line"),
        ("results", f"{shown} ({len(ended.results.files)} files)"),
        *(("picture", str(shown / path.relative_to(folder))) for path in pictures),
    )
    said = f"\n{status.end_text}" if status.end_text else ""
    report = ["ncap", "analysis", "report", status.ref.job, *place_words(context)]
    return Answer(
        kind="AnalysisRun",
        data={
            **status.document(),
            "environment": facts.environment,
            "runSeconds": facts.seconds,
            "peakMemoryBytes": facts.peak_memory_bytes,
            "cost": facts.cost,
            "folder": str(folder),
            "files": relative_names(ended.results),
            "logs": str(ended.logs),
            "seconds": round(seconds, 2),
            "group": GROUP,
        },
        blocks=(
            Text(f"{status.ref.job}: {status.outcome.value} in {seconds:.1f} s{said}"),
            Table(("fact", "value"), rows),
        ),
        next_commands=(shlex.join(report),),
        exit_code=status.outcome.exit_code,
    )
