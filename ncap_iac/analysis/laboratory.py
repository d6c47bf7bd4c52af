"""An analysis of the working tree on a cloud, as its users will have it: deployed, submitted, followed, fetched.

The way is the users' own: stacks, a member's keys, objects in the analysis bucket. Decides nothing about results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.analysis.bench import GROUP, MEMBER, Bench, Laid, write_profile
from ncap_iac.errors import NcapError
from ncap_iac.job.jobs import JobReader, JobRef, JobStatus, Outcome, Patience, watch
from ncap_iac.job.results import Downloaded, download_results, safe_path
from ncap_iac.job.submission import Request, choose_sources, submit
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway, Objects
    from ncap_iac.cli.context import Member
    from ncap_iac.deploy.deployment import Deployment, MakeImage

LOGS = "logs"
_STATUS_PREFIX = "DATASET_NAME:"
SHORTEST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 0.5
TAKEN_UP_WITHIN_S = 45.0
"""A cold start of the submit function included."""


@dataclass(frozen=True)
class Outside:
    """What a laboratory is handed: clocks, an ear, and the way to a member's keys."""

    report: progress.Reporter
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    open_member: Callable[[Gateway, str], Member]


@dataclass(frozen=True)
class Ended:
    """A job that ended, and what came back."""

    status: JobStatus
    results: Downloaded
    logs: Path


class Laboratory:
    """One cloud with the developer's group in it."""

    def __init__(self, bench: Bench, deployment: Deployment, make_image: MakeImage, outside: Outside) -> None:
        self._bench = bench
        self._deployment = deployment
        self._make_image = make_image
        self._outside = outside
        self._member: Member | None = None

    def furnish(self, names: Iterable[str]) -> None:
        """Deploy the account and the developer's group, with the right to these analyses. Raises NcapError."""
        write_profile(self._bench, names)
        deployment, outside = self._deployment, self._outside
        with progress.step("deploy account", outside.report, outside.clock) as step:
            step.text = _changed(deployment.apply(deployment.plan_account()).changed)
        with progress.step(f"deploy group {GROUP}", outside.report, outside.clock) as step:
            plan = deployment.plan_document(Kind.PROFILE, self._bench.profile)
            step.text = _changed(deployment.apply(plan).changed)

    def deploy(self, laid: Laid) -> str:
        """Deploy an analysis; the id of its version. Raises NcapError."""
        outside = self._outside
        with progress.step(f"deploy analysis {laid.name}", outside.report, outside.clock) as step:
            plan = self._deployment.plan_document(Kind.BLUEPRINT, laid.path, make_image=self._make_image)
            step.text = f"{_changed(self._deployment.apply(plan).changed)}, version {plan.version_id}"
        return str(plan.version_id)

    def submit(self, laid: Laid, data: Sequence[str], config: str) -> JobRef:
        """Upload, and ask for a job as the developer. Raises NcapError."""
        where = {"bucket": laid.name, "group": GROUP}
        datasets = choose_sources(data, self._objects, folder="inputs", **where)
        (chosen,) = choose_sources([config], self._objects, folder="configs", **where)
        request = Request(laid.name, GROUP, datasets, chosen)
        submitted = submit(request, self._objects, now=self._outside.now, report=self._outside.report)
        self._outside.report(progress.Note(f"Submitted {submitted.ref.job}."))
        return submitted.ref

    def follow(
        self, ref: JobRef, timeout_s: float | None, seen: Callable[[JobStatus], None] | None = None
    ) -> JobStatus:
        """The job at its end. With `seen` the caller shows what happens, else its rows are reported.

        Raises WaitTimeoutError, and NcapError if nobody takes the job up.
        """
        report = self._outside.report if seen is None else progress.silent
        reader = JobReader(self._objects, ref)
        began = self._outside.clock()
        while reader.status().outcome is Outcome.SUBMITTED:
            if self._outside.clock() - began > TAKEN_UP_WITHIN_S:
                raise NcapError(
                    f"nobody has taken the job up within {TAKEN_UP_WITHIN_S:.0f} s: the submit function fails",
                    where=ref.job,
                    hint="Look at base/base.log in the cloud's folder; is everything below protocols/ sound?",
                )
            self._outside.sleep(SHORTEST_PAUSE_S)
        patience = Patience(
            self._outside.clock, self._outside.sleep, timeout_s, shortest_s=SHORTEST_PAUSE_S, longest_s=LONGEST_PAUSE_S
        )
        return watch(reader, patience, report, seen=seen)

    def fetch(self, status: JobStatus, folder: Path) -> Ended:
        """Results into the folder, certificate and logs below it in `logs/`. Raises NcapError."""
        results = download_results(status.ref, self._objects, folder, report=self._outside.report)
        return Ended(status, results, fetch_logs(status.ref, self._objects, folder / LOGS))

    @property
    def _objects(self) -> Objects:
        """With the developer's own keys, which exist once the laboratory is furnished."""
        if self._member is None:
            self._member = self._outside.open_member(self._deployment.gateway, MEMBER)
        return self._member.gateway.objects


def fetch_logs(ref: JobRef, objects: Objects, folder: Path) -> Path:
    """A job's certificate, STATUS and resource objects and logs, by name without the prefix they share."""
    prefix = f"{ref.prefix}/logs/"
    folder.mkdir(parents=True, exist_ok=True)
    for item in objects.list(ref.bucket, prefix).objects:
        path = safe_path(folder, item.key.removeprefix(prefix).removeprefix(_STATUS_PREFIX).replace(":", "-"))
        if path is not None and path.parent == folder:
            path.write_bytes(objects.read(ref.bucket, item.key).body)
    return folder


def _changed(changed: bool) -> str:
    return "deployed" if changed else "up to date"
