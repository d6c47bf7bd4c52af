"""A user's request: files go up, the submission is written once, a job can be cancelled.

Writes only below `<group>/inputs`, `configs` and `submissions`. Whether a request is accepted is the job manager's to
decide; here only what can be known before is refused.
"""

from __future__ import annotations

import glob
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.errors import AlreadyExistsError, NotFoundError, UsageError
from ncap_iac.job.jobs import JobRef, submission_key

if TYPE_CHECKING:
    from ncap_iac.aws import Objects
    from ncap_iac.job.scatter import Scatter

LONGEST_NAME_BYTES = 255
LONGEST_TIMESTAMP = 128
TIMESTAMP_SIGNS = frozenset("._:+=@ -")
COMPARED_UP_TO_BYTES = 8_000_000
"""Below S3's multipart threshold an object's ETag is the MD5 of its bytes, so an equal file need not go up again."""
TRIES = 9
"""How many submissions of one second get a name of their own."""


@dataclass(frozen=True)
class LocalFile:
    """A file of this computer and the key it goes to."""

    path: Path
    key: str


@dataclass(frozen=True)
class StoredInput:
    """Something that is in the bucket already."""

    key: str


Source = LocalFile | StoredInput


@dataclass(frozen=True)
class Request:
    """What a user asks for."""

    bucket: str
    group: str
    datasets: tuple[Source, ...]
    config: Source
    timestamp: str | None = None
    instance_type: str | None = None
    spot: bool | None = None
    version: str | None = None
    scatter: Scatter | None = None
    results_to: str | None = None
    """`s3://bucket/prefix` for results; None: the job's own folder."""
    folders: str | None = None
    """What a folder is: `each` of its files a dataset, or the `whole` one; None: as the job manager has it (each)."""
    files: tuple[str, ...] = ()
    """Patterns for the names below folders; none: all."""
    resumes: tuple[str, ...] = ()
    """Earlier jobs whose results count with this one's in what follows."""


@dataclass(frozen=True)
class Submitted:
    """What was asked for, and the job it becomes."""

    ref: JobRef
    key: str
    datasets: tuple[str, ...]
    config: str
    uploaded_bytes: int


def choose_sources(
    said: Sequence[str], objects: Objects, *, bucket: str, group: str, folder: str
) -> tuple[Source, ...]:
    """Files, globs and keys as typed → what to upload and what is there. Raises UsageError, NotFoundError.

    `folder` is where uploaded files go: `inputs` or `configs`.
    """
    sources: list[Source] = []
    for text in said:
        paths = _local_files(text)
        if paths:
            sources += [LocalFile(path, f"{group}/{folder}/{checked_name(path.name)}") for path in paths]
        else:
            sources.append(_stored(text, objects, bucket=bucket, group=group))
    keys = [source.key for source in sources]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise UsageError(
            f"two of the files would both become {twice[0]}",
            where="--data",
            hint="Rename one of them, or name it once.",
        )
    return tuple(sources)


def _local_files(text: str) -> list[Path]:
    if text.startswith("s3://"):
        return []
    path = Path(text)
    if path.is_dir():
        raise UsageError("is a folder", where=text, hint=f"Name its files, for example '{text.rstrip('/')}/*'.")
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        return []
    found = sorted(Path(name) for name in glob.glob(text) if Path(name).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise UsageError("no file matches", where=text, hint="Check the folder and the pattern.")
    return found


def _stored(text: str, objects: Objects, *, bucket: str, group: str) -> StoredInput:
    key = text
    if text.startswith("s3://"):
        other, _, key = text.removeprefix("s3://").partition("/")
        if not other or not key:
            raise UsageError("it names no object", where=text, hint="Write s3://bucket/key, or s3://bucket/folder/.")
        if other != bucket:
            return StoredInput(text)  # whether the group may read it, the job manager finds out with the group's role
    elif text.startswith(("inputs/", "configs/", "results/")):
        key = f"{group}/{text}"
    if not key.startswith(f"{group}/"):
        raise UsageError(
            f"there is no such file, and it is no key of group {group}", where=text, hint=f"Keys begin with {group}/."
        )
    if not key.endswith("/") and objects.find(bucket, key) is None:
        raise NotFoundError("there is no such object", where=f"s3://{bucket}/{key}", hint="Upload it, or name a file.")
    return StoredInput(key)


def checked_name(name: str) -> str:
    """The name, if it can be an object's name everywhere. Raises UsageError."""
    if not name or name in (".", "..") or any(not sign.isprintable() or sign in "\\/" for sign in name):
        raise UsageError(f"the name {name!r} cannot be used", hint="Rename the file: no control signs, no backslash.")
    if len(name.encode(errors="surrogateescape")) > LONGEST_NAME_BYTES:
        raise UsageError(f"the name {name[:40]}… is too long", hint=f"Use at most {LONGEST_NAME_BYTES} bytes.")
    return name


def checked_results_to(address: str) -> str:
    """The address, if it is one. Raises UsageError."""
    bucket, _, _ = address.removeprefix("s3://").partition("/")
    if not address.startswith("s3://") or not bucket:
        raise UsageError("it is no address of a bucket", where="--results-to", hint="Write s3://bucket/folder.")
    return address.rstrip("/")


def checked_timestamp(timestamp: str) -> str:
    """A timestamp the job manager accepts (docs/contracts.md section 2). Raises UsageError."""
    bad = sorted({sign for sign in timestamp if not sign.isalnum() and sign not in TIMESTAMP_SIGNS})
    if bad or not timestamp.strip():
        said = f"{bad[0]!r} cannot be used in it" if bad else "it is empty"
        raise UsageError(said, where="--timestamp", hint="Use letters, digits and . _ : + = @ - only.")
    if len(timestamp) > LONGEST_TIMESTAMP:
        raise UsageError(
            f"it has {len(timestamp)} characters", where="--timestamp", hint=f"At most {LONGEST_TIMESTAMP}."
        )
    return timestamp


def timestamp_of(moment: datetime) -> str:
    """The job suffix of a moment, UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def submit(request: Request, objects: Objects, *, now: Callable[[], datetime], report: progress.Reporter) -> Submitted:
    """Upload what is local, then write the submission exactly once.

    Raises UsageError when a timestamp given by the user is taken.
    """
    sources = (*request.datasets, request.config)
    local = [source for source in sources if isinstance(source, LocalFile)]
    uploaded = _upload(local, objects, request.bucket, report)
    keys = tuple(source.key for source in request.datasets)
    body: dict[str, object] = {"dataname": keys[0] if len(keys) == 1 else list(keys), "configname": request.config.key}
    if request.instance_type:
        body["instance_type"] = request.instance_type
    if request.spot is not None:
        body["spot"] = request.spot
    if request.version:
        body["version"] = request.version
    if request.scatter is not None:
        body["scatter"] = request.scatter.document()
    if request.results_to:
        body["resultpath"] = checked_results_to(request.results_to)
    if request.folders:
        body["folders"] = request.folders
    if request.files:
        body["files"] = list(request.files)
    if request.resumes:
        body["resumes"] = list(request.resumes)
    timestamp = _write_submission(request, body, objects, now)
    ref = JobRef(request.bucket, request.group, f"job__{request.bucket}_{timestamp}")
    return Submitted(ref, submission_key(request.group, timestamp), keys, request.config.key, uploaded)


def _write_submission(request: Request, body: dict[str, object], objects: Objects, now: Callable[[], datetime]) -> str:
    first = checked_timestamp(request.timestamp) if request.timestamp else timestamp_of(now())
    names = [first] if request.timestamp else [first, *(f"{first}-{number}" for number in range(2, TRIES + 1))]
    for timestamp in names:
        text = json.dumps({**body, "timestamp": timestamp}, indent=2)
        try:
            objects.put(
                request.bucket,
                submission_key(request.group, timestamp),
                text.encode(),
                content_type="application/json",
                only_if_absent=True,
            )
        except AlreadyExistsError:
            continue
        return timestamp
    raise UsageError(
        f"there is a submission {first!r} already",
        where=f"s3://{request.bucket}/{request.group}/submissions",
        hint="Give another --timestamp, or none.",
    )


def _upload(files: Sequence[LocalFile], objects: Objects, bucket: str, report: progress.Reporter) -> int:
    for file in files:
        if not file.path.is_file():
            raise UsageError("cannot be read as a file", where=str(file.path), hint="Check the path.")
    with ThreadPoolExecutor(max_workers=8) as pool:
        return sum(pool.map(lambda file: _upload_one(file, objects, bucket, report), files))


def _upload_one(file: LocalFile, objects: Objects, bucket: str, report: progress.Reporter) -> int:
    size = file.path.stat().st_size
    if size < COMPARED_UP_TO_BYTES and _is_there(file, objects, bucket):
        report(progress.Detail(f"{file.path.name}: the same file is there already"))
        return 0
    lock, done = threading.Lock(), 0

    def moved(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            report(progress.Transferred(file.path.name, min(done, size), size))

    try:
        objects.upload(file.path, bucket, file.key, moved=moved)
    except OSError as error:
        raise UsageError(error.strerror or str(error), where=str(file.path), hint="Check the file.") from error
    report(progress.Transferred(file.path.name, size, size))
    return size


def _is_there(file: LocalFile, objects: Objects, bucket: str) -> bool:
    found = objects.find(bucket, file.key)
    return found is not None and found.etag == hashlib.md5(file.path.read_bytes(), usedforsecurity=False).hexdigest()


def cancel(ref: JobRef, objects: Objects) -> str:
    """Ask the job manager to cancel a job; asking again asks again. The key of the request."""
    key = f"{ref.group}/submissions/{ref.job}_cancel_submit.json"
    objects.put(ref.bucket, key, json.dumps({"cancel": ref.job}).encode(), content_type="application/json")
    return key


def replay(ref: JobRef, objects: Objects) -> str:
    """Ask the job manager to try again what should have followed an ended job. The key of the request."""
    key = f"{ref.group}/submissions/{ref.job}_replay_submit.json"
    objects.put(ref.bucket, key, json.dumps({"replay": ref.job}).encode(), content_type="application/json")
    return key
