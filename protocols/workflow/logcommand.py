"""``neurocaas-contrib workflow log-command``: run a script and report on it.

Inside ``neurocaas-boot``, which already reports, the command only runs and its failure is passed on. Elsewhere (a
machine a developer logged in to) this writes the STATUS object itself, to the bucket or, for ``log-command-local``,
beside the results. The output goes to ``logs/log.txt`` of the job's folder and to stdout; the exit code is the
command's.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

from workflow.environment import OUTCOME_VARIABLE, WHOLE_MACHINE
from workflow.failure import Ending, judge
from workflow.jobfiles import label_of, region_of
from workflow.metadata import MetadataError, MetadataService, metadata_endpoint
from workflow.process import Child
from workflow.registration import JobFolder, RegistrationError, current_job, write_whole
from workflow.reporter import Clocks, Reporter
from workflow.status import NOT_YET, About
from workflow.storage import StorageError, Trouble, open_storage
from workflow.supervise import Inbox, listen_for_stop, supervise
from workflow.usage import UsageMeter, count_cores

ECHO_BYTES = 2**20
ECHO_EVERY_S = 0.1

Put = Callable[[str, bytes], None]
"""Stores a JSON object under a name in the job's ``logs``."""


def run_logged(line: str, *, home: Path, bucket: str, result_path: str) -> int:
    """Run ``line`` and return its exit code. Raises RegistrationError, OSError."""
    argv = command_words(line)
    job = current_job(home)
    outcome = os.environ.get(OUTCOME_VARIABLE)
    if outcome:
        code = run_inside(argv, _fresh_log(job))
        if code:
            Path(outcome).write_text(str(code))
        return code
    key = job.load().named("data").s3 or ""
    group = key.removeprefix("s3://").split("/")[1] if key else ""
    if result_path.startswith("s3://"):
        bucket, _, prefix = result_path.removeprefix("s3://").partition("/")
    else:
        prefix = result_path if not group or result_path.startswith(f"{group}/") else f"{group}/{result_path}"
    storage = open_storage(bucket, region=region_of(os.environ))

    def put(name: str, body: bytes) -> None:
        storage.put(f"{prefix.rstrip('/')}/logs/{name}", body, content_type="application/json")

    return run_reported(argv, job, shown=key.removeprefix(f"s3://{bucket}/"), put=put)


def run_logged_here(line: str, *, home: Path) -> int:
    """The same without a bucket: reports go to ``logs`` beside ``process_results`` of the registered result path.

    Raises RegistrationError, OSError.
    """
    argv = command_words(line)
    job = current_job(home)
    results = job.load().named("resultpath")
    if results.localsource is None:
        raise RegistrationError("Results go to a bucket; register a local path with 'workflow register-resultpath -l'.")
    logs = Path(results.localsource) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    data = job.load().named("data")

    def put(name: str, body: bytes) -> None:
        try:
            write_whole(logs / name, body.decode())
        except OSError as error:
            raise StorageError(Trouble.DISK, f"Could not write '{logs / name}': {error.strerror}.") from error

    return run_reported(argv, job, shown=data.localsource or data.s3 or "", put=put)


def command_words(line: str) -> list[str]:
    """A path, which may hold blanks, or a command with arguments. A script without ``#!`` is run by ``sh``."""
    argv = [line] if Path(line).is_file() else shlex.split(line)
    if not argv:
        raise RegistrationError("The command of -c is empty.")
    return argv


def run_inside(argv: list[str], log: Path) -> int:
    """Run it in this process's session, which the platform watches and ends; 128 + n for signal n.

    Its output goes through ``log``. Raises OSError.
    """
    with log.open("ab") as output, _outliving_the_child():
        try:
            child = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            child = subprocess.Popen(["sh", *argv], stdout=output, stderr=subprocess.STDOUT)
        with log.open("rb") as written:
            while True:
                try:
                    code = child.wait(ECHO_EVERY_S)
                except subprocess.TimeoutExpired:
                    code = None
                while chunk := written.read(ECHO_BYTES):
                    _echo(chunk)
                if code is not None:
                    return 128 - code if code < 0 else code


def run_reported(argv: list[str], job: JobFolder, *, shown: str, put: Put) -> int:
    """Run it, show its output and keep the STATUS object of the registered dataset current.

    ``shown`` is what STATUS says of the dataset. Raises RegistrationError, OSError.
    """
    name = f"DATASET_NAME:{label_of(job.load().named('data'))}"
    log = _fresh_log(job)
    clocks = Clocks(time.monotonic, lambda: datetime.now(UTC), time.sleep)
    service = MetadataService(metadata_endpoint(os.environ), sleep=time.sleep, attempts=1)
    reporter = Reporter(
        About(_instance_id(service), shlex.join(argv), shown, 1, "", WHOLE_MACHINE),
        log,
        put=lambda body: put(f"{name}_STATUS.txt", body),
        put_resources=lambda body: put(f"{name}_RESOURCES.json", body),
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


@contextmanager
def _outliving_the_child() -> Iterator[None]:
    """A stop signal goes to the whole group: the child ends by it, and its last lines must still be passed on."""

    def wait_for_the_child(*_: object) -> None:
        pass

    before = {number: signal.signal(number, wait_for_the_child) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fresh_log(job: JobFolder) -> Path:
    job.logs.mkdir(exist_ok=True)
    log = job.logs / "log.txt"
    log.write_bytes(b"")
    return log


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
