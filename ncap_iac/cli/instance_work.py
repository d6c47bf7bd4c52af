"""`ncap instance connect|run`: what people do on a development instance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.instance import add_which, chosen, pause_s
from ncap_iac.cli.job_options import add_timeout
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ncap_iac.development.instances import DevInstance
    from ncap_iac.development.testjob import Workflow

RESULTS = "neurocaas-results"
_UNLIMITED_MINUTES = 24 * 60


def add_work(verbs: SubParsers) -> None:
    """Add the verbs."""
    connect = add_verb(
        verbs,
        "connect",
        "Open a shell on a development instance, through Session Manager: no open port, no key.",
        ["ncap instance connect spectra", "ncap instance connect i-0123456789abcdef0 --profile lab"],
        run=run_connect,
        detail="On AWS it needs the AWS command line and its Session Manager plugin. In a local cloud the shell\n"
        "is in the running instance's sandbox. What it is given on its input, if that is no terminal, it runs.",
    )
    add_which(connect)
    run = add_verb(
        verbs,
        "run",
        "Run a test job on a development instance: lines as they come, then the results.",
        [
            "ncap instance run spectra --data a.csv --config config.json",
            "ncap instance run i-0123456789abcdef0 --data a.csv --config config.json --results out --profile lab",
        ],
        run=run_run,
        detail="The program, the checks and the reports of a user's job; no group, no budget, no ledger. The instance\n"
        "goes on afterwards. Without --data the sample of the analysis is taken.",
    )
    add_which(run)
    run.add_argument("--data", metavar="FILE", help="one dataset")
    run.add_argument("--config", metavar="FILE", help="the parameters, YAML or JSON")
    run.add_argument("--results", metavar="DIR", help=f"where results go (./{RESULTS}/<job>)")
    add_timeout(run)


def run_connect(context: Context) -> Answer:
    """A session; ends as it ends."""
    import sys

    from ncap_iac.development.connecting import connect

    it = chosen(context)
    _require_running(it)
    is_terminal = context.world.stdin.isatty() and sys.stdout.isatty()
    if is_terminal:
        context.report(progress.Note(f"You are on {it.instance}. Leave with `exit`; it goes on."))
    context.console.close()
    code = connect(context.gateway, it.instance, environment=context.world.environment, is_terminal=is_terminal)
    return Answer(
        kind="InstanceSession",
        data={"instanceId": it.instance, "exitStatus": code},
        notes=(f"The session ended with exit status {code}.",) if code else (),
        exit_code=ExitCode.FAILED if code else ExitCode.DONE,
    )


def run_run(context: Context) -> Answer:
    """Bring, run, follow, fetch."""
    from ncap_compiler import names
    from ncap_iac.development.testjob import TestJob
    from ncap_iac.job.results import download_results, relative_names

    it = chosen(context)
    _require_running(it)
    data, config = _inputs(context, it)
    gateway, world = context.gateway, context.world
    account, _ = gateway.identity()
    job = TestJob(
        gateway=gateway,
        bucket=names.artifact_bucket(account, gateway.region),
        it=it,
        workflow=_workflow(context, it),
        clock=world.clock,
        sleep=world.sleep,
        now=world.now(),
        pause_s=pause_s(context),
        report=context.report,
    )
    status = job.perform(data, config, timeout_s=context.get("timeout"))
    chosen_folder = context.get("results") or str(Path(RESULTS) / job.ref.job)
    fetched = download_results(job.ref, gateway.objects, world.folder / chosen_folder, report=context.report)
    (dataset,) = status.datasets
    has_succeeded = dataset.status == "SUCCESS"
    rows = (
        ("status", dataset.status + (f": {dataset.message}" if dataset.message else "")),
        ("memory", dataset.memory_usage),
        ("results", f"{chosen_folder} ({len(fetched.files)} files)"),
    )
    return Answer(
        kind="InstanceRun",
        data={
            "instanceId": it.instance,
            "job": job.ref.job,
            "passed": has_succeeded,
            "dataset": dataset.document(),
            "folder": str(fetched.folder),
            "files": relative_names(fetched),
        },
        blocks=(Table(("what", "value"), rows),),
        next_commands=(f"ncap instance save {it.instance}",) if has_succeeded else (),
        exit_code=ExitCode.DONE if has_succeeded else ExitCode.FAILED,
    )


def _require_running(it: DevInstance) -> None:
    if not it.is_running:
        raise UsageError(
            f"it is {it.state}", where=f"instance {it.instance}", hint=f"Start it: `ncap instance start {it.instance}`."
        )


def _inputs(context: Context, it: DevInstance) -> tuple[Path, Path]:
    """Dataset and config, checked as a submission's would be. Raises UsageError."""
    from ncap_iac.analysis.sample import load_sample
    from ncap_iac.documents import check_config

    said = (context.get("data"), context.get("config"))
    path = _blueprint(context, it)
    if said == (None, None) and path is not None:
        sample = load_sample(path.parent)
        return sample.datasets[0], sample.config
    if None in said:
        raise UsageError("a run needs --data and --config", where="ncap instance run", hint="Give both, or neither.")
    data, config = (context.world.folder / str(name) for name in said)
    for file in (data, config):
        if not file.is_file():
            raise UsageError("there is no such file", where=str(file), hint="Check the path.")
    if path is not None:
        check_config(config, it.analysis, context.project)
    return data, config


def _workflow(context: Context, it: DevInstance) -> Workflow:
    from ncap_compiler import load_blueprint
    from ncap_iac.development.testjob import Workflow
    from ncap_iac.documents import document_problems
    from ncap_iac.project import read_text

    path = _blueprint(context, it)
    if path is None:
        return Workflow(None, None, _UNLIMITED_MINUTES)
    with document_problems():
        hardware = load_blueprint(read_text(path), file=str(path)).hardware
    return Workflow(hardware.command, hardware.working_directory, hardware.max_duration_minutes)


def _blueprint(context: Context, it: DevInstance) -> Path | None:
    """The blueprint of the instance's analysis, if the command runs in a project that has it."""
    from ncap_iac.money.terms import blueprint_of

    return blueprint_of(context.project, it.analysis) if context.has_project() else None
