"""The whole path on this computer, step by step: cloud, environment, stacks, a submission, its results.

Written against the same parts the other commands use; a second run finds most of it done. Returns what happened as a
value; prints nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ncap_iac import progress
from ncap_iac.documents import checked
from ncap_iac.errors import NotFoundError, ProjectError
from ncap_iac.job.jobs import JobReader, JobRef, JobStatus, Patience, watch
from ncap_iac.job.results import Downloaded, download_results
from ncap_iac.job.submission import LocalFile, Request, submit
from ncap_iac.project import Kind, Project, read_text

if TYPE_CHECKING:
    from datetime import datetime

    from ncap_iac.aws import Gateway
    from ncap_iac.cli.context import Member
    from ncap_iac.deploy.deployment import Deployment, MakeImage

Made = TypeVar("Made")

ANALYSIS = "kalman-lds"
PROFILE = "demo"
CLOUD = "demo"
DATASET_SUFFIX = ".csv"
RECORDS_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Sample:
    """The recordings and the config that are submitted."""

    datasets: tuple[Path, ...]
    config: Path


@dataclass(frozen=True)
class Outside:
    """What the demo is handed: clocks, the console's ear, and the makers of what costs time."""

    report: progress.Reporter
    clock: Callable[[], float]
    began: float
    """When the command began, on that clock."""
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    make_deployment: Callable[[], Deployment]
    """Called once the cloud answers."""
    make_image: MakeImage
    """Called for the environment when it has no image in the cloud yet."""
    open_member: Callable[[Gateway, str], Member]


@dataclass(frozen=True)
class UsageRecord:
    """One instance of the job: what it was and what it cost."""

    instance: str
    instance_type: str
    dataset: str
    start: str
    end: str
    cost_usd: Decimal | None
    outcome: str
    path: Path


@dataclass(frozen=True)
class Shown:
    """All the demo has to show."""

    status: JobStatus
    member: str
    folder: Path
    results: Downloaded
    certificate: Path | None
    records: tuple[UsageRecord, ...]
    seconds: float

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The pictures among the results."""
        return tuple(path for path in self.results.files if path.suffix.lower() in (".png", ".svg"))

    @property
    def cost_usd(self) -> Decimal | None:
        """The sum of the records' costs; None if none is known."""
        costs = [record.cost_usd for record in self.records if record.cost_usd is not None]
        return sum(costs, Decimal(0)) if costs else None


def find_sample(project: Project) -> Sample:
    """The demo's recordings and config. Raises ProjectError."""
    folder = project.document(Kind.BLUEPRINT, ANALYSIS).parent / "sample"
    config = folder / "config.json"
    datasets = tuple(sorted(folder.glob(f"*{DATASET_SUFFIX}")))
    if not datasets or not config.is_file():
        raise ProjectError(
            f"there is no config.json with recordings (*{DATASET_SUFFIX})",
            where=str(folder),
            hint="Restore the folder from the repository.",
        )
    return Sample(datasets, config)


def first_member(project: Project) -> tuple[str, str]:
    """Group and member of the demo's profile who may use the analysis. Raises ProjectError, DocumentProblemsError."""
    from ncap_compiler import load_profile

    path = project.document(Kind.PROFILE, PROFILE)
    checked([path], Kind.PROFILE)
    for group in load_profile(read_text(path), file=str(path)).groups:
        if ANALYSIS in group.analyses and group.members:
            return group.name, group.members[0]
    raise ProjectError(f"no member in it may use {ANALYSIS}", where=str(path), hint="Add one to the profile.")


def in_background(work: Callable[[], Made]) -> Future[Made]:
    """Begin work in a thread that does not keep the process alive."""
    future: Future[Made] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="environment", daemon=True).start()
    return future


def run_demo(project: Project, output: Path, outside: Outside) -> Shown:
    """Everything after the cloud answers: deploy, submit, wait, fetch. Raises NcapError at the first failure."""
    sample = find_sample(project)
    group, name = first_member(project)
    deployment = outside.make_deployment()
    deploy_all(project, deployment, outside)
    member = outside.open_member(deployment.gateway, name)
    with progress.step(f"submit {len(sample.datasets)} recordings as {name}", outside.report, outside.clock) as step:
        request = Request(
            bucket=ANALYSIS,
            group=group,
            datasets=tuple(LocalFile(path, f"{group}/inputs/{path.name}") for path in sample.datasets),
            config=LocalFile(sample.config, f"{group}/configs/{sample.config.name}"),
        )
        submitted = submit(request, member.gateway.objects, now=outside.now, report=outside.report)
        step.text = submitted.ref.job
    status = follow(submitted.ref, member, outside)
    folder = output / submitted.ref.job.replace(":", "-")
    with progress.step("download results", outside.report, outside.clock) as step:
        results = download_results(submitted.ref, member.gateway.objects, folder, report=outside.report)
        certificate = _keep_certificate(status, folder)
        records = usage_records(deployment.gateway, submitted.ref, folder, status, outside)
        step.text = f"{len(results.files)} files"
    return Shown(status, name, folder, results, certificate, records, outside.clock() - outside.began)


def deploy_all(project: Project, deployment: Deployment, outside: Outside) -> None:
    """Account, users and analysis, one step each."""
    with progress.step("deploy account", outside.report, outside.clock) as step:
        step.text = _changed(deployment.apply(deployment.plan_account()).changed)
    with progress.step(f"deploy users {PROFILE}", outside.report, outside.clock) as step:
        plan = deployment.plan_document(Kind.PROFILE, project.document(Kind.PROFILE, PROFILE))
        step.text = _changed(deployment.apply(plan).changed)
    with progress.step(f"deploy analysis {ANALYSIS}", outside.report, outside.clock) as step:
        path = project.document(Kind.BLUEPRINT, ANALYSIS)
        plan = deployment.plan_document(Kind.BLUEPRINT, path, make_image=outside.make_image)
        step.text = f"{_changed(deployment.apply(plan).changed)}, version {plan.version_id}"


def _changed(changed: bool) -> str:
    return "deployed" if changed else "up to date"


def follow(ref: JobRef, member: Member, outside: Outside) -> JobStatus:
    """The job, watched to its end."""
    reader = JobReader(member.gateway.objects, ref)
    patience = Patience(outside.clock, outside.sleep, timeout_s=900, shortest_s=0.2, longest_s=1.0)
    with progress.step("run the job", outside.report, outside.clock) as step:
        status = watch(reader, patience, outside.report)
        step.text = status.outcome.value
    return status


def _keep_certificate(status: JobStatus, folder: Path) -> Path | None:
    if not status.certificate:
        return None
    path = folder / "logs" / "certificate.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(status.certificate, encoding="utf-8")
    return path


def usage_records(
    gateway: Gateway, ref: JobRef, folder: Path, status: JobStatus, outside: Outside
) -> tuple[UsageRecord, ...]:
    """The usage records of the job's instances, kept beside the results.

    They are settled when the instances have ended, which may be a moment after the job's end.
    """
    deadline = outside.clock() + RECORDS_TIMEOUT_S
    instances = {dataset.instance for dataset in status.datasets if dataset.instance}
    while True:
        found = {name: _record(gateway, ref, name) for name in sorted(instances)}
        if all(found.values()) or outside.clock() > deadline:
            break
        outside.sleep(0.25)
    kept = []
    for name, record in found.items():
        if record is not None:
            path = folder / "logs" / f"usage_{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            kept.append(parse_record(record, path))
    return tuple(kept)


def _record(gateway: Gateway, ref: JobRef, instance: str) -> Mapping[str, Any] | None:
    key = f"logs/{ref.group}/{instance}.json"
    try:
        record: Mapping[str, Any] = json.loads(gateway.objects.read(ref.bucket, key).body)
    except NotFoundError:
        return None
    return record


def parse_record(record: Mapping[str, Any], path: Path) -> UsageRecord:
    """A usage record's fields (docs/contracts.md section 2)."""
    cost = record.get("cost")
    return UsageRecord(
        instance=str(record.get("instance-id", "")),
        instance_type=str(record.get("instance-type", "")),
        dataset=str(record.get("datapath", "")),
        start=str(record.get("start") or ""),
        end=str(record.get("end") or ""),
        cost_usd=None if cost is None else Decimal(str(cost)),
        outcome=str(record.get("outcome") or ""),
        path=path,
    )
