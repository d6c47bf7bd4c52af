"""Which of the named datasets exist, and what lies in the named folders, with few calls. Judges no permission.

Many keys are looked up by listing, starting just before the first one still unknown: one call resolves up to 1 000
neighbours, however many objects the folder holds before and after them. Folders beside each other are read together.
What the finder may not see is told apart from what is not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from jobmanager.addresses import Address
from jobmanager.errors import AwsError
from jobmanager.observed import Listing, ObjectFacts

DENIED = frozenset({"403", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "AccountProblem"})
"""Codes with which S3 says no; others are trouble that may pass."""
NO_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName", "400", "IllegalLocationConstraintException"})
_ASKED_ALONE = 50
"""Keys of a folder that may not be listed are asked for one by one, up to so many."""
MARKERS = ("update.txt", "end.txt", ".neurocaas")
"""What the platform puts beside the results of a job."""
RESULTS = "process_results"
MOST_CALLS = 4_000
"""Of all look-ups of one submission: a function that runs out of time answers nobody."""
MOST_OBJECTS = 120_000
"""In the folders of one bucket: more do not fit into the function's memory."""


class LookTooLongError(Exception):
    """Looking everything up would take longer than a function may; the message is for the user."""


class ObjectFinder(Protocol):
    """What the look-up needs of S3."""

    def head_object(self, bucket: str, key: str) -> ObjectFacts | None:
        """The object's facts, or None."""

    def list_objects(self, bucket: str, prefix: str, *, start_after: str) -> Listing:
        """One page of a listing."""


@dataclass(frozen=True)
class Dataset:
    """One dataset: an object, or with `parts` a whole folder. `bucket` is None for the analysis's own."""

    key: str
    etag: str
    size: int
    bucket: str | None = None
    parts: tuple[ObjectFacts, ...] = ()

    @property
    def text(self) -> str:
        """As a submission names it."""
        return Address(self.key, self.bucket).text


@dataclass(frozen=True)
class Wanted:
    """What to look for in one bucket. `is_data` says of a key below a folder whether it counts as data."""

    keys: tuple[str, ...]
    limit: int
    whole: bool = False
    patterns: tuple[str, ...] = ()
    is_data: Callable[[str], bool] = lambda key: True

    def takes(self, folder: str, key: str) -> bool:
        """Whether a key below a folder is wanted."""
        name = key.removeprefix(folder)
        if key.endswith("/") or not self.is_data(key):
            return False
        names = (name, name.rpartition("/")[2])
        return not self.patterns or any(fnmatchcase(it, pattern) for pattern in self.patterns for it in names)


@dataclass(frozen=True)
class Found:
    """What was found, by the keys asked for; the keys that do not exist; the folders that hold nothing.

    `denied` may not be seen; `crowded` are whole folders of more files than the limit.
    """

    by_key: Mapping[str, tuple[ObjectFacts, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    crowded: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[ObjectFacts, ...]:
        """Every object once, in the order asked for."""
        return tuple({facts.key: facts for found in self.by_key.values() for facts in found}.values())


def find_datasets(
    finder: ObjectFinder, bucket: str, keys: Sequence[str], *, limit: int, wanted: Wanted | None = None
) -> Found:
    """The objects behind keys and folders (keys that end in a slash); folders are read up to `limit` objects.

    Raises LookTooLongError, AwsError.
    """
    wanted = wanted or Wanted(tuple(keys), limit)
    files = [key for key in keys if not key.endswith("/")]
    folders = [key for key in keys if key.endswith("/")]
    look = _Look(finder, bucket)
    known = look.keys(files)
    inside = look.folders(folders, wanted)
    by_key = {
        key: tuple(inside[key]) if key in inside else (known[key],) for key in keys if key in known or key in inside
    }
    crowded = {key for key in folders if wanted.whole and len(inside.get(key, ())) > wanted.limit}
    return Found(
        by_key={key: found for key, found in by_key.items() if found and key not in crowded},
        missing=tuple(key for key in files if key not in known and key not in look.denied),
        empty=tuple(key for key in folders if not inside.get(key) and key not in look.denied),
        denied=tuple(key for key in keys if key in look.denied),
        crowded=tuple(key for key in folders if key in crowded),
    )


def whole_folder(key: str, parts: Sequence[ObjectFacts], bucket: str | None) -> Dataset:
    """A folder as one dataset; its ETag is made of those of its files, so it changes when one of them does."""
    digest = hashlib.sha256("\n".join(f"{part.key}\0{part.etag}" for part in parts).encode()).hexdigest()[:32]
    return Dataset(key, digest, sum(part.size for part in parts), bucket, tuple(parts))


def is_beside_results(key: str, copies: Sequence[str] = ()) -> bool:
    """Whether the platform put this object beside a job's results: a marker, or a copy of a config named so."""
    folder, _, name = key.rpartition("/")
    if name == MARKERS[-1]:
        return RESULTS in folder.split("/")
    above = folder.split("/")[-2:]  # a dataset may have a folder of its own, with a copy of its config
    return (above[-1] == RESULTS and name in MARKERS) or (RESULTS in above and name in copies)


@dataclass
class Patience:
    """How many more calls the look-ups of one submission may take."""

    left: int = MOST_CALLS

    def spend(self) -> None:
        """Before a call. Raises LookTooLongError."""
        self.left -= 1
        if self.left < 0:
            raise LookTooLongError(
                "the data lies in too many places to be looked up in time; split the job, or name folders of fewer "
                "objects"
            )


@dataclass(frozen=True)
class PatientFinder:
    """A finder that gives up in time."""

    finder: ObjectFinder
    patience: Patience

    def head_object(self, bucket: str, key: str) -> ObjectFacts | None:
        """The object's facts, or None."""
        self.patience.spend()
        return self.finder.head_object(bucket, key)

    def list_objects(self, bucket: str, prefix: str, *, start_after: str) -> Listing:
        """One page of a listing."""
        self.patience.spend()
        return self.finder.list_objects(bucket, prefix, start_after=start_after)


@dataclass
class _Look:
    """Looking into one bucket; `denied` gathers what may not be seen, `kept` counts what was found in folders."""

    finder: ObjectFinder
    bucket: str
    denied: set[str] = field(default_factory=set)
    kept: int = 0

    def keys(self, keys: Sequence[str]) -> dict[str, ObjectFacts]:
        """Those of the keys that exist."""
        if len(keys) < 2:
            return self._alone(keys)
        try:
            return self._listed(keys, shared_folder(keys))
        except AwsError as error:
            if error.code not in DENIED:
                raise
        by_folder: dict[str, list[str]] = {}
        for key in keys:
            by_folder.setdefault(key.rpartition("/")[0], []).append(key)
        if len(by_folder) > 1:  # each folder may be seen though what holds them all may not
            return {key: facts for some in by_folder.values() for key, facts in self.keys(some).items()}
        return self._alone(keys)

    def _alone(self, keys: Sequence[str]) -> dict[str, ObjectFacts]:
        found: dict[str, ObjectFacts] = {}
        for number, key in enumerate(keys):
            if number >= _ASKED_ALONE:
                self.denied.add(key)
                continue
            try:
                facts = self.finder.head_object(self.bucket, key)
            except AwsError as error:
                if error.code not in DENIED:
                    raise
                facts = None
                self._tell_apart(key)
            if facts:
                found[key] = facts
        return found

    def _tell_apart(self, key: str) -> None:
        """S3 answers 403 for a missing key, too, but lists nothing to who may list: only then is it missing."""
        try:
            page = self.finder.list_objects(self.bucket, key, start_after=key[:-1])
        except AwsError as error:
            if error.code not in DENIED:
                raise
            self.denied.add(key)
            return
        if any(facts.key == key for facts in page.objects):
            self.denied.add(key)

    def _listed(self, keys: Sequence[str], prefix: str) -> dict[str, ObjectFacts]:
        open_keys = sorted(keys, key=_order)
        known: dict[str, ObjectFacts] = {}
        while open_keys:
            first = open_keys[0]
            page = self.finder.list_objects(self.bucket, prefix, start_after=first[:-1])
            known |= _by_key(page.objects)
            if page.is_last or not page.objects:
                break
            end = _order(page.objects[-1].key)
            rest = [key for key in open_keys if _order(key) > end]
            if len(rest) == len(open_keys):  # a crowd of other objects lies before this key: ask for it alone
                known |= _by_key(facts for facts in [self.finder.head_object(self.bucket, first)] if facts)
                rest = open_keys[1:]
            open_keys = rest
        return {key: known[key] for key in keys if key in known}

    def folders(self, folders: Sequence[str], wanted: Wanted) -> dict[str, list[ObjectFacts]]:
        """What lies below each folder; those beside each other are read together."""
        beside: dict[str, list[str]] = {}
        for folder in folders:
            beside.setdefault(_parent(folder), []).append(folder)
        found: dict[str, list[ObjectFacts]] = {}
        for parent, names in beside.items():
            found |= self._below(parent, names, wanted)
        return found

    def _below(self, parent: str, names: Sequence[str], wanted: Wanted) -> dict[str, list[ObjectFacts]]:
        found: dict[str, list[ObjectFacts]] = {name: [] for name in names}
        try:
            for page in self._pages(parent, names, found, wanted.limit):
                for facts in page.objects:
                    folder = f"{parent}{facts.key.removeprefix(parent).partition('/')[0]}/"
                    if folder in found and wanted.takes(folder, facts.key):
                        found[folder].append(facts)
                        self.kept += 1
                if self.kept > MOST_OBJECTS:
                    raise LookTooLongError(f"the folders hold more than {MOST_OBJECTS} objects; split the job")
        except AwsError as error:
            if error.code not in DENIED:
                raise
            if len(names) > 1:  # each may be seen though what holds them all may not
                return {name: facts for one in names for name, facts in self._below(parent, [one], wanted).items()}
            self.denied.update(names)
            return {}
        return found

    def _pages(
        self, parent: str, names: Sequence[str], found: Mapping[str, list[ObjectFacts]], limit: int
    ) -> Iterator[Listing]:
        """The pages that hold something below these folders, without those in between."""
        prefix = parent if len(names) > 1 else names[0]
        todo = sorted(names, key=_order)
        start = todo[0]
        while todo:
            page = self.finder.list_objects(self.bucket, prefix, start_after=start)
            yield page
            if page.is_last or not page.objects:
                return
            last = page.objects[-1].key
            todo = [name for name in todo if _order(_end(name)) > _order(last) and len(found[name]) <= limit]
            start = max(last, todo[0], key=_order) if todo else last


def _parent(folder: str) -> str:
    """What holds a folder, with its slash; empty for one at the top."""
    head, slash, _ = folder.removesuffix("/").rpartition("/")
    return head + slash


def _end(folder: str) -> str:
    """A text just behind every key below a folder: `0` is the sign after the slash."""
    return f"{folder[:-1]}0"


def shared_folder(keys: Sequence[str]) -> str:
    """The deepest folder that holds all keys, with its slash; by text, for `//` and `.` are ordinary in S3."""
    first, last = min(keys), max(keys)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def _by_key(objects: Iterable[ObjectFacts]) -> dict[str, ObjectFacts]:
    return {facts.key: facts for facts in objects}


def _order(key: str) -> bytes:
    """S3 lists keys in the order of their UTF-8 bytes."""
    return key.encode("utf-8")
