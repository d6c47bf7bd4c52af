"""Moves the registered files of a job: fetches data and config, stores results, ends the dataset.

The effects behind ``neurocaas-contrib workflow``; what is registered is ``workflow.registration``'s.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from workflow.environment import LABEL_VARIABLE
from workflow.registration import Entry, RegistrationError, current_job
from workflow.results import Target, store_result
from workflow.storage import Progress, Storage, open_storage, split_url

PROCESS_RESULTS = "process_results"


def register_entry(
    home: Path, kind: str, *, name: str | None, bucket: str | None, key: str | None, local: str | None
) -> None:
    """Register a place in a bucket or on this machine. Raises RegistrationError."""
    job = current_job(home)
    registration = job.load()
    if local is not None and (bucket or key):
        raise RegistrationError("Give either -b and -k, or -l, not both.")
    if local is not None:
        entry = Entry(localsource=str(Path(local).absolute()))
    elif not bucket or not key:
        raise RegistrationError("Give -b BUCKET and -k KEY, or -l PATH.")
    elif kind == "resultpath":
        group = _place(registration.named("data"))[1]
        entry = Entry(s3=key if key.startswith("s3://") else f"s3://{bucket}/{group}/{key}")
    else:
        entry = Entry(s3=f"s3://{bucket}/{key}")
    job.save(registration.with_entry(kind, entry, name))


def fetch_entry(home: Path, kind: str, *, name: str | None, folder: Path | None, force: bool, one_line: bool) -> None:
    """Bring a registered file to this machine and remember where it is. Raises RegistrationError, StorageError.

    A file that is already there is kept unless ``force``; it is then not taken for the registered one, because it may
    be another job's.
    """
    job = current_job(home)
    registration = job.load()
    entry = registration.named(kind, name)
    default = job.configs if kind == "config" else job.inputs
    if folder is None:
        default.mkdir(exist_ok=True)
    source = entry.s3 or entry.localsource or ""
    path = ((folder or default) / PurePosixPath(source).name).absolute()
    if path.exists() and not force:
        print(f"{path} exists and is kept; -f fetches it again.")
        return
    if entry.s3:
        bucket, key = split_url(entry.s3)
        _open(bucket).fetch(key, path, progress=_progress(key, one_line=one_line))
        print(flush=True)
    elif Path(source).resolve() != path.resolve():
        shutil.copyfile(source, path)
    job.save(registration.with_entry(kind, replace(entry, local=str(path)), name))


def fetched_path(home: Path, kind: str, name: str | None) -> Path:
    """Where a registered file was fetched to. Raises RegistrationError when it was not."""
    entry = current_job(home).load().named(kind, name)
    if entry.local is None:
        raise RegistrationError(f"It is not on this machine; call 'workflow get-{kind}' (with -f if the file exists).")
    return Path(entry.local)


def dataset_place(home: Path) -> tuple[str, str]:
    """Bucket and group of the registered dataset. Raises RegistrationError."""
    return _place(current_job(home).load().named("data"))


def result_address(home: Path, path: Path) -> str:
    """Where a file or folder belongs among the results: an S3 address, or a path for a result path on this machine."""
    entry = current_job(home).load().named("resultpath")
    return f"{(entry.s3 or entry.localsource or '').rstrip('/')}/{PROCESS_RESULTS}/{path.resolve().name}"


def make_result_folder(home: Path) -> Path:
    """The folder ``results`` beside the folder the dataset was fetched to. Raises RegistrationError, OSError."""
    folder = fetched_path(home, "data", None).parent.parent / "results"
    folder.mkdir(exist_ok=True)
    return folder


def store_file(home: Path, path: Path) -> str:
    """Store one file among the results; returns where. Raises RegistrationError, StorageError."""
    if path.is_dir():
        raise RegistrationError(f"{path} is a folder; store it with 'aws s3 sync' to 'get-resultpath', or zip it.")
    registration = current_job(home).load()
    entry = registration.named("resultpath")
    if entry.s3 is None:
        target = Path(result_address(home, path))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return str(target)
    bucket, prefix = split_url(entry.s3.rstrip("/"))
    data = registration.named("data")
    label = os.environ.get(LABEL_VARIABLE) or PurePosixPath(data.s3 or data.localsource or "").name
    key = store_result(_open(bucket), path, path.resolve().name, Target(f"{prefix}/{PROCESS_RESULTS}", label))
    return f"s3://{bucket}/{key}"


def finish_job(home: Path) -> None:
    """Store a copy of the config and the empty ``update.txt`` that says: this dataset is done. May be repeated."""
    job = current_job(home)
    registration = job.load()
    config = registration.named("config")
    results = registration.named("resultpath")
    name = PurePosixPath(config.s3 or config.localsource or "").name
    logs = job.path / "logs"
    logs.mkdir(exist_ok=True)
    copy = logs / name
    if config.s3:
        bucket, key = split_url(config.s3)
        _open(bucket).fetch(key, copy)
    else:
        shutil.copyfile(config.localsource or "", copy)
    if results.s3:
        bucket, prefix = split_url(results.s3.rstrip("/"))
        storage = _open(bucket)
        storage.put_file(f"{prefix}/{PROCESS_RESULTS}/{name}", copy, replace=True)
        storage.put(f"{prefix}/{PROCESS_RESULTS}/update.txt", b"")
    else:
        folder = Path(results.localsource or "") / PROCESS_RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, folder / name)
        (folder / "update.txt").write_bytes(b"")


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


def _progress(key: str, *, one_line: bool) -> Progress:
    end = "" if one_line else "\n"

    def show(seen: int, total: int) -> None:
        print(f"\r{key}  {seen} / {total}  ({100 * seen / max(total, 1):.2f}%)", end=end, flush=True)

    return show
