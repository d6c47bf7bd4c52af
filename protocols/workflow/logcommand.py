"""``neurocaas-contrib workflow log-command``: run a script and report on it.

Inside ``neurocaas-boot``, which already reports, the command only runs and its failure is passed on. Elsewhere (a
machine a developer logged in to) this writes the STATUS object itself. The exit code is the command's.
"""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from queue import SimpleQueue

from workflow.environment import OUTCOME_VARIABLE, WHOLE_MACHINE
from workflow.failure import Ending, judge
from workflow.jobfiles import region_of
from workflow.metadata import MetadataError, MetadataService, metadata_endpoint
from workflow.process import Child
from workflow.registration import RegistrationError, current_job
from workflow.reporter import Clocks, Reporter
from workflow.status import NOT_YET, About
from workflow.storage import open_storage
from workflow.supervise import Inbox, listen_for_stop, supervise
from workflow.usage import UsageMeter, count_cores


def run_logged(line: str, *, home: Path, bucket: str, result_path: str) -> int:
    """Run ``line`` and return its exit code. Raises RegistrationError, OSError."""
    argv = command_words(line)
    outcome = os.environ.get(OUTCOME_VARIABLE)
    if outcome:
        code = run_inside(argv)
        if code:
            Path(outcome).write_text(str(code))
        return code
    return run_reported(argv, home=home, bucket=bucket, result_path=result_path)


def command_words(line: str) -> list[str]:
    """A path, which may hold blanks, or a command with arguments. A script without ``#!`` is run by ``sh``."""
    argv = [line] if Path(line).is_file() else shlex.split(line)
    if not argv:
        raise RegistrationError("The command of -c is empty.")
    return argv


def run_inside(argv: list[str]) -> int:
    """Run it with this process's own output; 128 + n for signal n."""
    sys.stdout.flush()
    try:
        code = subprocess.call(argv)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        code = subprocess.call(["sh", *argv])
    return 128 - code if code < 0 else code


def run_reported(argv: list[str], *, home: Path, bucket: str, result_path: str) -> int:
    """Run it, show its output and keep the STATUS object of the registered dataset current."""
    job = current_job(home)
    data = job.load().named("data")
    key = (data.s3 or data.localsource or "").removeprefix(f"s3://{bucket}/")
    prefix = result_path.removeprefix(f"s3://{bucket}/")
    if data.s3 and not prefix.startswith(f"{key.split('/', 1)[0]}/"):
        prefix = f"{key.split('/', 1)[0]}/{prefix}"
    logs = job.path / "logs"
    logs.mkdir(exist_ok=True)
    log = logs / "log.txt"
    log.write_bytes(b"")
    storage = open_storage(bucket, region=region_of(os.environ))
    status_key = f"{prefix}/logs/DATASET_NAME:{PurePosixPath(key).name}_STATUS.txt"
    clocks = Clocks(time.monotonic, lambda: datetime.now(UTC), time.sleep)
    service = MetadataService(metadata_endpoint(os.environ), sleep=time.sleep, attempts=1)
    reporter = Reporter(
        About(_instance_id(service), shlex.join(argv), key, 1, "", WHOLE_MACHINE),
        log,
        put=lambda body: storage.put(status_key, body, content_type="application/json"),
        clocks=clocks,
        say=lambda text: print(text, file=sys.stderr),
        echo=_echo,
    )
    inbox: Inbox = SimpleQueue()
    listen_for_stop(inbox)
    child = _start(argv, log, inbox)
    reporter.watch(UsageMeter(child.session, folder=job.path, cores=count_cores(), clock=clocks.monotonic))
    never_s = float("inf")
    ending = supervise(
        child, reporter, inbox, clock=clocks.monotonic, deadline_s=never_s, has_spot_notice=service.has_spot_notice
    )
    result = judge(ending, child.exit_code(), reporter.last_lines(), limit_minutes=never_s)
    reporter.finish(result, child_cpu_s=sum(os.times()[2:4]))
    return result.exit_code


def _start(argv: list[str], log: Path, inbox: Inbox) -> Child:
    def exited() -> None:
        inbox.put(Ending.EXITED)

    try:
        return Child(argv, folder=Path.cwd(), environ=os.environ, log=log, exited=exited)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return Child(["sh", *argv], folder=Path.cwd(), environ=os.environ, log=log, exited=exited)


def _instance_id(service: MetadataService) -> str:
    try:
        return service.identity().instance_id
    except MetadataError:
        return NOT_YET


def _echo(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
