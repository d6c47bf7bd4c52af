"""`ncap analysis report`: what a job took of its machines over time, and which instance type it asks for."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.analysis_bench import place_words, with_developers_cloud
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import NotFoundError

if TYPE_CHECKING:
    from ncap_iac.analysis.machine_choice import Need, Recommended
    from ncap_iac.analysis.resources import Series
    from ncap_iac.aws import Objects
    from ncap_iac.job.jobs import JobRef, JobStatus


def add_report(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "report",
        "Show CPU, memory, disk and GPU of a job over time, and recommend an instance type.",
        [
            "ncap analysis report spectra",
            "ncap analysis report spectra --plot resources.png",
            "ncap analysis report job__spectra_2026-11-22T10-13-05Z --numbers resources.json",
        ],
        run=run_report,
        detail="An analysis's name means its last job in the developer's cloud. The type recommended is the cheapest\n"
        "known one with 1.25 times the peak memory and the cores that were busy.",
    )
    parser.add_argument("name", metavar="NAME_OR_JOB", help="an analysis, or a job")
    parser.add_argument("--plot", metavar="FILE", help="draw it: a .png or .svg")
    parser.add_argument("--numbers", metavar="FILE", help="write every sample as JSON")
    parser.add_argument("--group", metavar="NAME", help="whose job it is (the developer's)")
    parser.add_argument("--as", dest="member", metavar="MEMBER", help="look with this member's own keys")


def run_report(context: Context) -> Answer:
    """Read the job's objects, add them up, draw."""
    from ncap_iac.analysis.machine_choice import recommend
    from ncap_iac.job.jobs import JobReader
    from ncap_iac.local.ec2.catalog import INSTANCE_TYPES
    from ncap_iac.money.pictures import picture_path
    from ncap_iac.money.prices import project_prices

    here = context.world.folder
    plot = picture_path(context.arguments.plot, here) if context.get("plot") else None
    with_developers_cloud(context)
    objects, ref = _job(context)
    status = JobReader(objects, ref).status()
    series = read_series(objects, ref)
    need = need_of(status, series)
    kind = None if need is None else recommend(need, INSTANCE_TYPES, project_prices(context.project))
    numbers = {"job": ref.job, "datasets": [it.document() for it in series]}
    if context.get("numbers"):
        from ncap_iac.errors import UsageError

        try:
            (here / context.arguments.numbers).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(str(error), where="--numbers", hint="Name a file that can be written.") from error
    if plot is not None and series:
        from ncap_iac.analysis.resource_picture import draw_resources

        draw_resources(series, f"{ref.job}: resources", plot)
    return _answer(context, status, series, need=need, kind=kind, plot=plot)


def _job(context: Context) -> tuple[Objects, JobRef]:
    """The job named, or the last one of the analysis named. Raises NotFoundError."""
    from ncap_iac.analysis.bench import GROUP
    from ncap_iac.job.jobs import bucket_of, find_job, job_names

    name = str(context.arguments.name).rstrip("/")
    bucket = bucket_of(name) or Path(name).name
    member = context.get("member")
    objects = context.member(member).gateway.objects if member else context.gateway.objects
    group = context.get("group") or context.world.environment.get("NCAP_GROUP") or GROUP
    if bucket_of(name):
        return objects, find_job(objects, bucket, group, name)
    try:
        names = job_names(objects, bucket, group, f"job__{bucket}_")
    except NotFoundError:
        names = []
    if not names:
        raise NotFoundError(
            f"group {group} has no jobs of {bucket!r}",
            where=context.target.name,
            hint=f"Run one first: `ncap analysis test {bucket}`.",
        )
    return objects, find_job(objects, bucket, group, names[-1])


def read_series(objects: Objects, ref: JobRef) -> list[Series]:
    """The resources of a job's datasets, by label."""
    from ncap_iac.analysis.resources import SUFFIX, parse_series

    prefix = f"{ref.prefix}/logs/DATASET_NAME:"
    keys = [it.key for it in objects.list(ref.bucket, prefix).objects if it.key.endswith(SUFFIX)]
    found = [
        parse_series(key.removeprefix(prefix).removesuffix(SUFFIX), objects.read(ref.bucket, key).body) for key in keys
    ]
    return [it for it in found if it is not None]


def need_of(status: JobStatus, series: list[Series]) -> Need | None:
    """What one dataset's machine must have; None if nothing of its memory is known."""
    from ncap_iac.analysis.facts import memory_of
    from ncap_iac.analysis.machine_choice import Need
    from ncap_iac.analysis.resources import largest

    peak = largest([*map(memory_of, status.datasets), *(it.peak_memory_bytes for it in series)])
    if peak is None:
        return None
    busy = largest([_cores_busy(it) for it in series])
    gpu = largest([it.peak_gpu_percent for it in series])
    return Need(peak, busy or 1.0, has_gpu=bool(gpu))


def _cores_busy(series: Series) -> float | None:
    """Cores a run kept busy for a tenth of its time at least. Without a count of cores: one."""
    percent = series.high_cpu_percent
    return None if percent is None else percent / 100 * (series.cores or 1)


def _answer(
    context: Context,
    status: JobStatus,
    series: list[Series],
    *,
    need: Need | None,
    kind: Recommended | None,
    plot: Path | None,
) -> Answer:
    job = status.ref.job
    notes = [f"Picture: {plot}"] if plot is not None and series else []
    if not series:
        notes.append("The job left no samples over time; it is from an earlier environment, or was not started.")
    words = "Nothing of its memory is known, so no type is recommended."
    if need is not None:
        words = f"No known type has {need.memory_bytes / 2**30:.1f} GiB and {need.cores:.1f} cores."
    if need is not None and kind is not None:
        words = (
            f"Recommended: {kind.instance_type} ({kind.vcpu} vCPUs, {kind.memory_gib:g} GiB), "
            f"{kind.usd_per_hour:g} USD an hour; for 1.25 x "
            f"{need.peak_memory_bytes / 1e6:.0f} MB and {need.cores:.1f} cores."
        )
    drawn = () if plot is not None else ("--plot", "resources.png")
    again = ["ncap", "analysis", "report", job, *drawn, *place_words(context)]
    return Answer(
        kind="AnalysisReport",
        data={
            "job": job,
            "outcome": status.outcome.value,
            "datasets": [it.document() for it in series],
            "peakMemoryBytes": None if need is None else need.peak_memory_bytes,
            "coresBusy": None if need is None else need.cores,
            "recommended": None if kind is None else kind.document(),
            "picture": None if plot is None or not series else str(plot),
        },
        blocks=(
            Text(f"{job}: {status.outcome.value}"),
            Table(
                ("dataset", "time", "mean CPU", "peak memory", "peak disk", "GPU"),
                tuple(map(_row, series)),
                empty="No samples over time.",
            ),
            Text(words),
        ),
        notes=tuple(notes),
        next_commands=(shlex.join(again),) if drawn and series else (),
    )


def _row(it: Series) -> tuple[str, ...]:
    return (
        it.label,
        f"{it.seconds:.0f} s",
        _said(it.mean_cpu_percent, "{:.0f} %"),
        _said(it.peak_memory_bytes, "{:.0f} MB", 1e6),
        _said(it.peak_disk_bytes, "{:.0f} MB", 1e6),
        _said(it.peak_gpu_percent, "{:.0f} %"),
    )


def _said(value: float | None, form: str, unit: float = 1.0) -> str:
    return "" if value is None else form.format(value / unit)
