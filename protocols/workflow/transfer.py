"""Large objects in parts, several at once, going on where a killed transfer stopped. The client is given.

It must not decide what is stored where, nor turn the SDK's errors into words: that is ``workflow.storage``'s.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.parallel import each
from workflow.partfile import PartFile

THREADS = 8
TRIES = 4
"""The SDK repeats requests, but not the reading of an answer's body that breaks off."""

Progress = Callable[[int, int], None]
"""Told bytes so far and bytes in all."""


class Counter:
    """Bytes moved so far, counted from several threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.seen = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """``count`` more bytes have been moved."""
        with self._lock:
            self.seen += count
            if self._progress and count:
                self._progress(self.seen, self.total)


@dataclass(frozen=True)
class Place:
    """An object as the client's calls name it."""

    client: Any
    bucket: str
    key: str

    @property
    def names(self) -> dict[str, str]:
        """``Bucket`` and ``Key``."""
        return {"Bucket": self.bucket, "Key": self.key}


def fetch_parts(
    place: Place, path: Path, *, which: Mapping[str, Any], etag: str, part_bytes: int, counter: Counter
) -> None:
    """Download into ``path``; ``which`` pins the version. Raises the client's errors and OSError."""
    with PartFile(path, etag=etag, size=counter.total, part_bytes=part_bytes) as partial:

        def part(start: int) -> None:
            end = min(start + part_bytes, counter.total) - 1
            counter.add(partial.write(start, read_whole(place, Range=f"bytes={start}-{end}", **which)))

        counter.add(partial.held_bytes())
        each(part, partial.missing(), threads=THREADS)
        partial.finish()


def read_whole(place: Place, *, begun: Mapping[str, Any] | None = None, **arguments: Any) -> bytes:
    """The body of one GetObject, ``begun`` or made; one that breaks off is asked for again. Raises the client's errors.

    ``arguments`` are the call's own.
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    for left in range(TRIES - 1, -1, -1):
        try:
            answer = begun or place.client.get_object(**place.names, **arguments)
            body: bytes = answer["Body"].read()
            return body
        except (HTTPClientError, IncompleteReadError):
            begun = None
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


class UploadJournal:
    """What of a multipart upload S3 already holds, in a file of its own; without a path it remembers nothing."""

    def __init__(self, folder: Path | None, place: Place, source: Path, part_bytes: int) -> None:
        found = source.stat()
        self._identity = [place.bucket, place.key, found.st_size, found.st_mtime_ns, part_bytes]
        name = hashlib.sha256(f"{place.bucket}/{place.key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._path = folder / name if folder else None
        self._lock = threading.Lock()
        self.upload_id = ""
        self.parts: dict[int, dict[str, Any]] = {}
        self._load()

    @property
    def is_kept(self) -> bool:
        """Whether a failed upload can be gone on with later."""
        return self._path is not None

    def start(self, upload_id: str) -> None:
        """An upload has begun."""
        self.upload_id = upload_id
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"identity": self._identity, "uploadId": upload_id}) + "\n")

    def add(self, part: dict[str, Any]) -> None:
        """S3 holds this part."""
        with self._lock:
            self.parts[int(part["PartNumber"])] = part
            if self._path:
                with self._path.open("a") as file:
                    file.write(json.dumps(part) + "\n")

    def forget(self) -> None:
        """The upload is over, one way or the other."""
        self.upload_id, self.parts = "", {}
        if self._path:
            self._path.unlink(missing_ok=True)

    def _load(self) -> None:
        if not self._path:
            return
        try:
            first, *lines = self._path.read_text().splitlines()
            head = json.loads(first)
            if head["identity"] == self._identity:
                self.parts = {int(part["PartNumber"]): part for part in map(json.loads, lines)}
                self.upload_id = str(head["uploadId"])
        except (OSError, ValueError, KeyError, TypeError):
            self.parts = {}


@dataclass(frozen=True)
class Sending:
    """How a file is to be stored: its metadata, the condition on the key, and what is told and remembered."""

    metadata: Mapping[str, str]
    condition: Mapping[str, str]
    part_bytes: int
    counter: Counter
    journal: UploadJournal


def send_parts(place: Place, path: Path, sending: Sending) -> None:
    """Multipart upload; the condition is checked by S3 at its completion. Raises the client's errors and OSError.

    With a journal a failed upload stays open, to be gone on with; without one its parts are removed.
    """
    journal = sending.journal
    goes_on = bool(journal.upload_id)
    if not goes_on:
        begun = place.client.create_multipart_upload(**place.names, Metadata=dict(sending.metadata))
        journal.start(begun["UploadId"])
    try:
        _send_missing(place, path, sending)
        parts = [journal.parts[number] for number in sorted(journal.parts)]
        place.client.complete_multipart_upload(
            **place.names, UploadId=journal.upload_id, MultipartUpload={"Parts": parts}, **sending.condition
        )
    except place.client.exceptions.ClientError as error:
        # S3 answered, so trying the same again would not help: the key is taken, or the upload is gone.
        _abort(place, journal)
        if not goes_on or error.response.get("Error", {}).get("Code") != "NoSuchUpload":
            raise
        sending.counter.seen = 0
        send_parts(place, path, sending)
    except BaseException:
        if not journal.is_kept:
            _abort(place, journal)
        raise
    journal.forget()


def _send_missing(place: Place, path: Path, sending: Sending) -> None:
    size, part_bytes, journal = sending.counter.total, sending.part_bytes, sending.journal
    with path.open("rb") as file:

        def part(start: int) -> None:
            number = start // part_bytes + 1
            body = os.pread(file.fileno(), min(part_bytes, size - start), start)
            sent = place.client.upload_part(**place.names, UploadId=journal.upload_id, PartNumber=number, Body=body)
            checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
            checksums.pop("ChecksumType", None)
            journal.add({"PartNumber": number, "ETag": sent["ETag"], **checksums})
            sending.counter.add(len(body))

        starts = range(0, size, part_bytes)
        missing = [start for start in starts if start // part_bytes + 1 not in journal.parts]
        held = [start for start in starts if start // part_bytes + 1 in journal.parts]
        sending.counter.add(sum(min(part_bytes, size - start) for start in held))
        each(part, missing, threads=THREADS)


def _abort(place: Place, journal: UploadJournal) -> None:
    upload_id = journal.upload_id
    journal.forget()
    try:
        place.client.abort_multipart_upload(**place.names, UploadId=upload_id)
    except place.client.exceptions.ClientError:
        # Gone already, or the bucket's lifecycle removes it.
        return
