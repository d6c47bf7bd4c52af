"""A test job on a development instance: the same program, manifest and reports as a user's job, one dataset, no ledger.

Its objects are in the artifact bucket below `development/<instance>/`; the instance goes on when the job has ended.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_iac import progress
from ncap_iac.development.commands import Commands, Finished
from ncap_iac.errors import NcapError, UsageError, WaitTimeoutError
from ncap_iac.job.jobs import JobReader, JobRef, JobStatus
from ncap_iac.job.results import LogFollower

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.development.instances import DevInstance

_NO_TOOL = 127
_LEAST_MINUTES = 2
_SHOWN_LINES = 10


@dataclass(frozen=True)
class Workflow:
    """What the blueprint says of the run."""

    command: str | None
    working_directory: str | None
    max_minutes: int


@dataclass(frozen=True)
class TestJob:
    """One test job."""

    __test__ = False  # its name is the field's, not pytest's

    gateway: Gateway
    bucket: str
    it: DevInstance
    workflow: Workflow
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: datetime
    pause_s: float
    report: progress.Reporter

    @property
    def ref(self) -> JobRef:
        """Where its objects are."""
        group = names.development_prefix(self.it.instance).rstrip("/")
        return JobRef(self.bucket, group, f"test_{self.now:%Y-%m-%dT%H-%M-%SZ}")

    def perform(self, data: Path, config: Path, *, timeout_s: float | None) -> JobStatus:
        """Bring the files, run, print lines as they come. Raises NcapError if nothing was run to an end."""
        minutes = self._minutes()
        manifest = self._bring(data, config, minutes)
        commands = Commands(self.gateway, self.clock, self.sleep, self.pause_s)
        commands.wait_online(self.it.instance)
        sent = commands.send(self.it.instance, script(f"s3://{self.bucket}/{manifest}"), longest_s=60 * minutes)
        deadline = None if timeout_s is None else self.clock() + timeout_s
        reader, follower = JobReader(self.gateway.objects, self.ref), LogFollower(self.report)
        while (ended := commands.look(self.it.instance, sent)) is None:
            follower.see(reader.status())
            if deadline is not None and self.clock() >= deadline:
                commands.cancel(self.it.instance, sent)
                raise WaitTimeoutError(
                    f"the job did not end within {timeout_s:.0f} s; it was stopped",
                    where=f"instance {self.it.instance}",
                    hint="Give it longer with --timeout.",
                )
            self.sleep(self.pause_s)
        status = reader.status()
        follower.see(status)
        if not any(dataset.status in ("SUCCESS", "FAILED") for dataset in status.datasets):
            raise self._not_run(ended)
        return status

    def _minutes(self) -> int:
        """How long it may run: to the blueprint's limit, and not beyond the instance's life. Raises UsageError."""
        left = int((self.it.expires - self.now).total_seconds() // 60)
        if left < _LEAST_MINUTES:
            raise UsageError(
                "its time is over in a moment",
                where=f"instance {self.it.instance}",
                hint=f"Give it more: `ncap instance extend {self.it.instance} --hours 1`.",
            )
        return min(left, self.workflow.max_minutes)

    def _bring(self, data: Path, config: Path, minutes: int) -> str:
        """Upload data, config and the launch manifest; the manifest's key."""
        objects, prefix = self.gateway.objects, f"{self.ref.group}/inputs/{self.ref.job}"
        etags = {}
        for kind, path in (("data", data), ("config", config)):
            key = f"{prefix}/{kind}/{path.name}"
            objects.upload(path, self.bucket, key, moved=lambda _: None)
            found = objects.find(self.bucket, key)
            etags[kind] = {"key": key, "etag": "" if found is None else found.etag}
        document = {
            "schemaVersion": 1,
            "bucket": self.bucket,
            "group": self.ref.group,
            "job": self.ref.job,
            "resultPrefix": self.ref.prefix,
            "versionId": "v-" + "0" * 16,
            "environment": self.it.environment,
            "command": self.workflow.command,
            "workingDirectory": self.workflow.working_directory,
            "config": etags["config"],
            "durationMinutes": minutes,
            "attempts": [
                {
                    "index": 0,
                    "attempt": 1,
                    "dataset": etags["data"]["key"],
                    "etag": etags["data"]["etag"],
                    "label": data.name,
                }
            ],
        }
        key = f"{prefix}/launch-1.json"
        objects.put(self.bucket, key, json.dumps(document, indent=1).encode(), content_type="application/json")
        return key

    def _not_run(self, ended: Finished) -> NcapError:
        where = f"instance {self.it.instance}"
        if ended.status == _NO_TOOL:
            return NcapError(
                "it has no in-instance tool, so it cannot run jobs",
                where=where,
                hint="Build the environment's AMI (`ncap environment build NAME --on aws`) and launch from that.",
            )
        said = "\n".join((ended.errors or ended.output).strip().splitlines()[-_SHOWN_LINES:])
        return NcapError(
            f"nothing was run ({ended.said}, exit status {ended.status})" + (f"\n{said}" if said else ""),
            where=where,
            hint=f"Look around: `ncap instance connect {self.it.instance}`.",
        )


def script(manifest: str) -> str:
    """The shell lines of a test job: as user data of a job, but nothing of it may switch the instance off.

    A blueprint's COMMAND may end in `shutdown`: the name stands for nothing here.
    """
    return "\n".join(
        (
            "quiet=$(mktemp -d)",
            "for name in shutdown poweroff halt reboot; do",
            "  printf '#!/bin/sh\\n' > \"$quiet/$name\"",
            '  chmod 755 "$quiet/$name"',
            "done",
            f'PATH="$quiet:$PATH:/usr/local/bin" neurocaas-boot {shlex.quote(manifest)}',
            "status=$?",
            'rm -rf "$quiet" "${HOME:-/}"/attempt-1-*',
            "exit $status",
        )
    )
