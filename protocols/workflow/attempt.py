"""One attempt at one dataset, from the manifest to the last object: fetch, run, report, store.

Every way it can end is an Outcome with a class and a sentence; nothing a user or S3 does raises out of ``perform``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from queue import Empty

from workflow.command import command_values, shell_program
from workflow.environment import (
    FOLDER_VARIABLE,
    LABEL_VARIABLE,
    OUTCOME_VARIABLE,
    WHOLE_MACHINE,
    Folders,
    Image,
    ImageError,
    child_environ,
    file_name,
    make_folders,
    words_of,
)
from workflow.failure import Ending, Failure, Outcome, judge
from workflow.folder import fetch_parts_of, read_parts
from workflow.manifest import Attempt, Manifest, Source
from workflow.metadata import Identity
from workflow.parallel import each, in_background
from workflow.process import Child
from workflow.reporter import Clocks, Reporter
from workflow.results import Target, store_results
from workflow.scatter import ConfigError, write_variant
from workflow.status import About
from workflow.storage import Storage, StorageError, Trouble
from workflow.supervise import Inbox, NoticeWatch, supervise
from workflow.usage import UsageMeter, count_cores


@dataclass(frozen=True)
class Machine:
    """What an attempt needs of the instance it runs on."""

    identity: Identity
    image: Image
    home: Path
    environ: Mapping[str, str]
    clocks: Clocks
    has_spot_notice: Callable[[], bool]
    say: Callable[[str], None]
    inbox: Inbox
    started_s: float


@dataclass(frozen=True)
class _Command:
    """A child about to be started."""

    argv: tuple[str, ...]
    folder: Path
    environ: dict[str, str]


@dataclass
class _Fetched:
    """How much of the dataset has arrived, in bytes."""

    seen: int = 0
    total: int = 0

    def set(self, seen: int, total: int) -> None:
        self.seen, self.total = seen, total


class AttemptRun:
    """Performs one attempt."""

    def __init__(self, manifest: Manifest, attempt: Attempt, storage: Storage, machine: Machine) -> None:
        self._manifest = manifest
        self._attempt = attempt
        self._storage = storage
        self._machine = machine
        place = manifest.result_place
        self._results = storage.of(place.bucket) if place else storage
        self._results_prefix = place.prefix if place else f"{manifest.result_prefix}/process_results"
        # The client of that protocol deletes its folder as soon as it has what it waits for: marks stay out of it.
        own = manifest.protocol is not None
        self._marks = storage if own else self._results
        self._marks_prefix = f"{manifest.result_prefix}/process_results" if own else self._results_prefix
        self._logs_prefix = f"{manifest.result_prefix}/logs"

    def perform(self) -> Outcome:
        """Do it all. The returned outcome is what STATUS says."""
        try:
            scratch = tempfile.mkdtemp(prefix=f"attempt-{self._attempt.number}-", dir=self._machine.home)
            folders = make_folders(Path(scratch))
        except OSError as error:
            self._machine.say(f"No scratch folder can be made in {self._machine.home}: {error}")
            return Outcome(1, Failure.BOOT, "The instance has no room for a scratch folder.")
        reporter = self._reporter(folders)
        child_cpu_s = -_children_cpu_s()
        prepared = self._prepared(folders, reporter)
        outcome = prepared if isinstance(prepared, Outcome) else self._run(prepared, folders, reporter)
        child_cpu_s += _children_cpu_s()
        outcome = self._store(outcome, folders)
        reporter.finish(outcome, child_cpu_s=child_cpu_s)
        self._try("the end marker", lambda: self._marks.put(f"{self._marks_prefix}/update.txt", b""))
        return outcome

    def _reporter(self, folders: Folders) -> Reporter:
        manifest, machine = self._manifest, self._machine
        about = About(
            instance=machine.identity.instance_id,
            command=manifest.command or self._recipe_words(),
            input=self._attempt.dataset.key,
            attempt=self._attempt.number,
            environment=manifest.environment,
            isolation=machine.environ.get("NEUROCAAS_ISOLATION") or WHOLE_MACHINE,
            spot=machine.identity.is_spot,
        )
        key = f"{self._logs_prefix}/DATASET_NAME:{self._attempt.label}"

        def put(body: bytes) -> None:
            self._storage.put(f"{key}_STATUS.txt", body, content_type="application/json")

        def put_resources(body: bytes) -> None:
            self._storage.put(f"{key}_RESOURCES.json", body, content_type="application/json")

        return Reporter(
            about, folders.log, put=put, put_resources=put_resources, clocks=machine.clocks, say=machine.say
        )

    def _recipe_words(self) -> str:
        try:
            return words_of(self._machine.image.workflow())
        except ImageError:
            return ""

    def _prepared(self, folders: Folders, reporter: Reporter) -> _Command | Outcome:
        """The command with its inputs in place; an Outcome when that failed or a stop came first."""
        inbox = self._machine.inbox
        fetched = _Fetched()
        in_background(lambda: self._prepare(folders, fetched), inbox.put)
        watch = NoticeWatch(self._machine.has_spot_notice, self._machine.clocks.monotonic)
        message: object = None
        while message is None:
            reporter.tick(f"Fetching the dataset: {fetched.seen / 1e6:.0f} of {fetched.total / 1e6:.0f} MB.")
            with suppress(Empty):
                message = inbox.get(timeout=1.0)
            if message is None and watch.has_notice():
                message = Ending.SPOT
        if isinstance(message, _Command):
            return message
        if isinstance(message, Ending):
            ending = Ending.SPOT if self._machine.has_spot_notice() else message
            return judge(ending, 143, [], limit_minutes=self._manifest.duration_minutes)
        if isinstance(message, StorageError):
            return self._not_moved(message, str(message))
        return Outcome(1, Failure.BOOT, f"The environment could not be started: {message}")

    def _not_moved(self, error: StorageError, message: str) -> Outcome:
        """The outcome of an attempt whose data or results could not be moved."""
        denied = Failure.INPUT if self._manifest.reaches_out else Failure.BOOT
        failure = {
            Trouble.MISSING: Failure.INPUT,
            Trouble.CHANGED: Failure.INPUT,
            Trouble.UNUSABLE: Failure.INPUT,
            Trouble.DENIED: denied,
            Trouble.DISK: Failure.DISK_FULL,
        }.get(error.trouble, Failure.BOOT)
        if error.trouble is Trouble.DENIED and denied is Failure.INPUT:
            message += " The group had this right when the job was accepted; ask an operator for it, then submit again."
        return Outcome(1, failure, message)

    def _prepare(self, folders: Folders, fetched: _Fetched) -> _Command:
        """Raises StorageError, ImageError, CommandError, OSError."""
        manifest, machine = self._manifest, self._machine
        environ = child_environ(machine.environ, machine.image, folders)
        environ[OUTCOME_VARIABLE] = str(folders.root / "outcome")
        environ[LABEL_VARIABLE] = self._attempt.label
        environ[FOLDER_VARIABLE] = self._attempt.folder
        if manifest.command is not None:
            folder = Path(manifest.working_directory) if manifest.working_directory else folders.root
            if not folder.is_dir():
                raise ImageError(f"WORKING_DIRECTORY '{folder}' does not exist in it.")
            program = shell_program(manifest.command)
            if self._attempt.scatter:
                manifest = replace(manifest, config=self._place_config(folders))
            values = command_values(manifest, self._attempt)
            return _Command(("sh", "-c", program, "neurocaas", *values), folder, environ)
        argv = machine.image.workflow()
        machine.image.copy_analysis(folders.analysis)
        data = folders.inputs / file_name(self._attempt.label)
        config = folders.configs / file_name(PurePosixPath(manifest.config.key).name)

        def fetch(wanted: tuple[Source, Path]) -> None:
            source, path = wanted
            storage = self._storage.of(source.bucket)
            if path == data and self._attempt.parts:
                parts = read_parts(self._storage.read(self._attempt.parts), source.key)
                fetch_parts_of(storage, source.key, parts, path, fetched.set)
                return
            progress = fetched.set if path == data else None
            storage.fetch(source.key, path, etag=source.etag, progress=progress)

            if path == config:
                self._vary(path)

        each(fetch, [(self._attempt.dataset, data), (manifest.config, config)], threads=2)
        environ |= {"NEUROCAAS_DATA": str(data), "NEUROCAAS_CONFIG": str(config)}
        return _Command((*argv, str(data), str(config), str(folders.results)), folders.analysis, environ)

    def _run(self, command: _Command, folders: Folders, reporter: Reporter) -> Outcome:
        machine = self._machine
        try:
            child = Child(
                command.argv,
                folder=command.folder,
                environ=command.environ,
                log=folders.log,
                exited=lambda: machine.inbox.put(Ending.EXITED),
            )
        except (OSError, ValueError) as error:
            return Outcome(1, Failure.BOOT, f"'{command.argv[0]}' could not be started in the environment: {error}.")
        clock = machine.clocks.monotonic
        reporter.watch(UsageMeter(child.session, folder=folders.root, cores=count_cores(), clock=clock))
        ending = supervise(
            child,
            reporter,
            machine.inbox,
            clock=clock,
            deadline_s=machine.started_s + 60 * self._manifest.duration_minutes,
            has_spot_notice=machine.has_spot_notice,
        )
        code = child.exit_code() or _inner_exit_code(folders.root / "outcome")
        return judge(ending, code, reporter.last_lines(), limit_minutes=self._manifest.duration_minutes)

    def _store(self, outcome: Outcome, folders: Folders) -> Outcome:
        """Store results, config and log; results that cannot be stored make a success a failure."""
        target = Target(self._attempt.below(self._results_prefix), self._attempt.label)
        stored = store_results(self._results, folders.results, target, takes=lambda name: not self._is_last(name))
        self._try("the copy of the config", lambda: self._store_config(folders))
        if folders.log.is_file():
            log_key = f"{self._logs_prefix}/{self._attempt.label}_log.txt"
            self._try("the log", lambda: self._storage.put_file(log_key, folders.log, replace=True))
        stored += store_results(self._results, folders.results, target, takes=self._is_last)
        for problem in stored.problems:
            self._machine.say(str(problem))
        if stored.problems and outcome.failure is None:
            first, count = stored.problems[0], len(stored.problems)
            return self._not_moved(first, f"{count} result files could not be stored: {first}")
        if stored.count == 0 and outcome.failure is None and self._manifest.command is None:
            return Outcome(outcome.exit_code, None, "The analysis ended well but wrote no result files.")
        return outcome

    def _is_last(self, name: str) -> bool:
        """Whether a result is one that tells a client that all others are there."""
        return any(fnmatchcase(PurePosixPath(name).name, pattern) for pattern in self._manifest.last)

    def _store_config(self, folders: Folders) -> None:
        name = PurePosixPath(self._manifest.config.key).name
        path = folders.configs / file_name(name)
        if not path.is_file():
            storage = self._storage.of(self._manifest.config.bucket)
            storage.fetch(self._manifest.config.key, path, etag=self._manifest.config.etag)
            self._vary(path)
        # Every dataset that has no folder of its own stores the same bytes: whoever comes first.
        self._marks.put_file(f"{self._attempt.below(self._marks_prefix)}/{name}", path)

    def _vary(self, config: Path) -> None:
        """Put the point of a variant into the config that was fetched. Raises StorageError."""
        if self._attempt.scatter is None:
            return
        try:
            write_variant(config, self._attempt.scatter)
        except (ConfigError, OSError) as error:
            raise StorageError(Trouble.UNUSABLE, str(error)) from error

    def _place_config(self, folders: Folders) -> Source:
        """Where a COMMAND, which fetches its config itself, finds that of its variant. Raises StorageError."""
        self._store_config(folders)
        bucket = self._manifest.result_place.bucket if self._manifest.result_place else ""
        name = PurePosixPath(self._manifest.config.key).name
        return Source(f"{self._attempt.below(self._marks_prefix)}/{name}", "", bucket=bucket)

    def _try(self, what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except StorageError as error:
            self._machine.say(f"Could not store {what}: {error}")


def _inner_exit_code(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
