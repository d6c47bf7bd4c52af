"""Moves the registered files of a job: fetches data and config, stores results, ends the dataset.

The effects behind ``neurocaas-contrib workflow``; what is registered is ``workflow.registration``'s.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from workflow.environment import FOLDER_VARIABLE, LABEL_VARIABLE
from workflow.parallel import each
from workflow.registration import Entry, JobFolder, RegistrationError, current_job, fetched_path
from workflow.results import Target, result_files, store_result
from workflow.storage import Storage, StorageError, Trouble, open_storage, split_url
from workflow.transfer import THREADS, Progress

PROCESS_RESULTS = "process_results"
UPLOADS = ".uploads"
"""Folder in the job's folder with what is known of unfinished uploads."""


def register_entry(
    home: Path, kind: str, *, name: str | None, bucket: str | None, key: str | None, local: str | None
) -> None:
    """Register a place in a bucket or on this machine. Raises RegistrationError."""
    job = current_job(home)
    if local is not None and (bucket or key):
        raise RegistrationError("Give either -b and -k, or -l, not both.")
    if local is not None:
        entry = Entry(localsource=str(Path(local).absolute()))
    elif not bucket or not key:
        raise RegistrationError("Give -b BUCKET and -k KEY, or -l PATH.")
    elif kind == "resultpath":
        group = _place(job.load().named("data"))[1]
        entry = Entry(s3=key if key.startswith("s3://") else f"s3://{bucket}/{group}/{key}")
    else:
        entry = Entry(s3=key if key.startswith("s3://") else f"s3://{bucket}/{key}")
    job.note(kind, entry, name)


def fetch_entry(home: Path, kind: str, *, name: str | None, folder: Path | None, force: bool, one_line: bool) -> None:
    """Bring what is registered to this machine and remember where it is. Raises RegistrationError, StorageError.

    A key that ends in ``/`` is a folder, one with ``*``, ``?`` or ``[`` the matching objects of the folder it is in;
    both are fetched as a folder. A file that is already there is kept unless ``force``; it is then not taken for the
    registered one, because it may be another job's.
    """
    job = current_job(home)
    entry = job.load().named(kind, name)
    default = job.configs if kind == "config" else job.inputs
    if folder is None:
        default.mkdir(exist_ok=True)
    pattern = _pattern(entry.s3) if entry.s3 else ""
    source = (entry.s3 or entry.localsource or "").removesuffix(pattern).rstrip("/")
    path = ((folder or default) / PurePosixPath(source).name).absolute()
    if path.exists() and not force:
        print(f"{path} exists and is kept; -f fetches it again.")
        return
    if entry.s3:
        bucket, key = split_url(entry.s3)
        progress = _progress(key, one_line=one_line)
        if pattern or key.endswith("/"):
            fetch_folder(_open(bucket), key, path, pattern=pattern, progress=progress)
        else:
            _open(bucket).fetch(key, path, progress=progress)
        print(flush=True)
    elif Path(source).is_dir():
        shutil.copytree(source, path, dirs_exist_ok=True)
    elif Path(source).resolve() != path.resolve():
        shutil.copyfile(source, path)
    job.note(kind, replace(entry, local=str(path)), name)


def fetch_folder(storage: Storage, key: str, path: Path, *, pattern: str, progress: Progress) -> None:
    """All objects of the folder ``key``, or those matching ``pattern``, below ``path``. Raises StorageError.

    ``progress`` is told files, not bytes.
    """
    prefix = key.removesuffix(pattern)
    names = [found.removeprefix(prefix) for found in storage.below(prefix) if not found.endswith("/")]
    wanted = [name for name in names if not pattern or fnmatch.fnmatchcase(name, pattern)]
    if not wanted:
        raise StorageError(Trouble.MISSING, f"There is nothing at 's3://{storage.bucket}/{key}'.")
    done: list[str] = []

    def fetch(name: str) -> None:
        target = path / name
        if ".." in PurePosixPath(name).parts:
            raise StorageError(Trouble.OTHER, f"'{prefix}{name}' cannot be a file below {path}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        storage.fetch(prefix + name, target)
        done.append(name)
        progress(len(done), len(wanted))

    each(fetch, wanted, threads=THREADS)


def dataset_place(home: Path) -> tuple[str, str]:
    """Bucket and group of the registered dataset. Raises RegistrationError."""
    return _place(current_job(home).load().named("data"))


def result_address(home: Path, path: Path) -> str:
    """Where a file or folder belongs among the results: an S3 address, or a path for a result path on this machine."""
    entry = current_job(home).load().named("resultpath")
    return f"{(entry.s3 or entry.localsource or '').rstrip('/')}/{result_folder()}/{path.resolve().name}"


def make_result_folder(home: Path) -> Path:
    """The folder ``results`` beside the folder the dataset was fetched to. Raises RegistrationError, OSError."""
    folder = fetched_path(home, "data", None).parent.parent / "results"
    folder.mkdir(exist_ok=True)
    return folder


def store_files(home: Path, wanted: str, *, one_line: bool) -> list[str]:
    """Store a file, or all files a pattern matches, among the results; returns where.

    Raises RegistrationError, StorageError.
    """
    found = [wanted] if Path(wanted).exists() else sorted(glob.glob(wanted))  # noqa: PTH207 - it may be absolute
    paths = [Path(name) for name in found]
    if not paths:
        raise RegistrationError(f"{wanted} does not exist, and no file matches it as a pattern.")
    for path in paths:
        if path.is_dir():
            raise RegistrationError(
                f"{path} is a folder; store it with 'workflow put-folder -r', with 'aws s3 sync' to 'get-resultpath',"
                " or zip it."
            )
    shelf = _Shelf(current_job(home))
    return [shelf.store(path, path.resolve().name, _progress(path.name, one_line=one_line)) for path in paths]


def store_folder(home: Path, folder: Path) -> str:
    """Store all files of a tree among the results, the folder's own name first; returns where.

    Raises RegistrationError, StorageError.
    """
    shelf = _Shelf(current_job(home))
    if not folder.is_dir():
        raise RegistrationError(f"{folder} is not a folder; 'workflow put-result -r' stores a file.")
    top = folder.resolve().name
    names = sorted(result_files(folder))
    each(lambda name: shelf.store(folder / name, f"{top}/{name}", None), names, threads=THREADS)
    return result_address(home, folder)


class _Shelf:
    """Where the results of a job go; one client for all files."""

    def __init__(self, job: JobFolder) -> None:
        """Raises RegistrationError."""
        registration = job.load()
        self._results = registration.named("resultpath")
        self._journals = job.path / UPLOADS
        if self._results.s3:
            bucket, prefix = split_url(self._results.s3.rstrip("/"))
            self._storage = _open(bucket)
            self._target = Target(f"{prefix}/{result_folder()}", label_of(registration.named("data")))

    def store(self, path: Path, name: str, progress: Progress | None) -> str:
        """Store one file; returns where. Raises StorageError, OSError."""
        if self._results.s3 is None:
            copy = Path(self._results.localsource or "") / result_folder() / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            return str(copy)
        key = store_result(self._storage, path, name, self._target, progress=progress, journals=self._journals)
        return f"s3://{self._storage.bucket}/{key}"


def result_folder() -> str:
    """Where results go, below the result path: a dataset may have a folder of its own."""
    own = os.environ.get(FOLDER_VARIABLE)
    return f"{PROCESS_RESULTS}/{own}" if own else PROCESS_RESULTS


def label_of(data: Entry) -> str:
    """The dataset's name within its job."""
    return os.environ.get(LABEL_VARIABLE) or PurePosixPath(data.s3 or data.localsource or "").name


def finish_job(home: Path) -> None:
    """Store a copy of the config and the empty ``update.txt`` that says: this dataset is done. May be repeated."""
    job = current_job(home)
    registration = job.load()
    config = registration.named("config")
    results = registration.named("resultpath")
    name = PurePosixPath(config.s3 or config.localsource or "").name
    job.logs.mkdir(exist_ok=True)
    copy = job.logs / name
    if config.s3:
        bucket, key = split_url(config.s3)
        _open(bucket).fetch(key, copy)
    else:
        shutil.copyfile(config.localsource or "", copy)
    if results.s3:
        bucket, prefix = split_url(results.s3.rstrip("/"))
        storage = _open(bucket)
        storage.put_file(f"{prefix}/{result_folder()}/{name}", copy, replace=True)
        storage.put(f"{prefix}/{PROCESS_RESULTS}/update.txt", b"")
    else:
        folder = Path(results.localsource or "")
        (folder / result_folder()).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, folder / result_folder() / name)
        (folder / PROCESS_RESULTS / "update.txt").write_bytes(b"")


def region_of(environ: Mapping[str, str]) -> str:
    """The region clients are made for; the SDK itself does not read ``AWS_REGION``."""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _open(bucket: str) -> Storage:
    return open_storage(bucket, region=region_of(os.environ))


def _place(entry: Entry) -> tuple[str, str]:
    if entry.s3 is None:
        raise RegistrationError("The dataset is registered from this machine; it has neither bucket nor group.")
    bucket, key = split_url(entry.s3)
    return bucket, key.split("/", 1)[0]


def _pattern(url: str) -> str:
    """The end of an address from the segment with the first wildcard on; empty without one, or if an object has it."""
    segments = url.split("/")
    if any(sign in url for sign in "*?["):
        bucket, key = split_url(url)
        if key in _open(bucket).below(key):
            return ""
    for number, segment in enumerate(segments):
        if any(sign in segment for sign in "*?["):
            return "/".join(segments[number:])
    return ""


def _progress(key: str, *, one_line: bool) -> Progress:
    end = "" if one_line else "\n"

    def show(seen: int, total: int) -> None:
        print(f"\r{key}  {seen} / {total}  ({100 * seen / max(total, 1):.2f}%)", end=end, flush=True)

    return show
