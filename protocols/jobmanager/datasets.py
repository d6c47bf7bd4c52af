"""Which of the named datasets exist, and what lies in the named folders, with few calls. Judges no permission.

Many keys are looked up by listing, starting just before the first one still unknown: one call resolves up to 1 000
neighbours, however many objects the folder holds before and after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobmanager.observed import Listing, ObjectFacts


class ObjectFinder(Protocol):
    """What the look-up needs of S3."""

    def head_object(self, bucket: str, key: str) -> ObjectFacts | None:
        """The object's facts, or None."""

    def list_objects(self, bucket: str, prefix: str, *, start_after: str) -> Listing:
        """One page of a listing."""


@dataclass(frozen=True)
class Found:
    """The objects found, in the order asked for; the keys that do not exist; the folders that hold nothing."""

    objects: tuple[ObjectFacts, ...]
    missing: tuple[str, ...]
    empty: tuple[str, ...]


def find_datasets(finder: ObjectFinder, bucket: str, keys: Sequence[str], *, limit: int) -> Found:
    """The objects behind keys and folders (keys that end in a slash); folders are read up to `limit` objects."""
    files = [key for key in keys if not key.endswith("/")]
    known = _look_up(finder, bucket, files)
    objects: dict[str, ObjectFacts] = {}
    missing, empty = [], []
    for key in keys:
        if key.endswith("/"):
            inside = _below(finder, bucket, key, limit=limit)
            objects.update((facts.key, facts) for facts in inside)
            if not inside:
                empty.append(key)
        elif key in known:
            objects[key] = known[key]
        else:
            missing.append(key)
    return Found(tuple(objects.values()), tuple(missing), tuple(empty))


def _look_up(finder: ObjectFinder, bucket: str, keys: Sequence[str]) -> dict[str, ObjectFacts]:
    if len(keys) < 2:
        return _by_key(facts for key in keys if (facts := finder.head_object(bucket, key)))
    prefix = _shared_folder(keys)
    open_keys = sorted(keys, key=_order)
    known: dict[str, ObjectFacts] = {}
    while open_keys:
        first = open_keys[0]
        page = finder.list_objects(bucket, prefix, start_after=first[:-1])
        known |= _by_key(page.objects)
        if page.is_last or not page.objects:
            break
        end = _order(page.objects[-1].key)
        rest = [key for key in open_keys if _order(key) > end]
        if len(rest) == len(open_keys):  # a crowd of other objects lies before this key: ask for it alone
            known |= _by_key(facts for facts in [finder.head_object(bucket, first)] if facts)
            rest = open_keys[1:]
        open_keys = rest
    return {key: known[key] for key in keys if key in known}


def _shared_folder(keys: Sequence[str]) -> str:
    """The deepest folder that holds all keys, with its slash; by text, for `//` and `.` are ordinary in S3."""
    first, last = min(keys), max(keys)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def _below(finder: ObjectFinder, bucket: str, folder: str, *, limit: int) -> list[ObjectFacts]:
    found: list[ObjectFacts] = []
    for page in _pages(finder, bucket, folder):
        found += [facts for facts in page.objects if not facts.key.endswith("/")]
        if len(found) > limit:
            break
    return found


def _pages(finder: ObjectFinder, bucket: str, folder: str) -> Iterator[Listing]:
    start = folder
    while True:
        page = finder.list_objects(bucket, folder, start_after=start)
        yield page
        if page.is_last or not page.objects:
            return
        start = page.objects[-1].key


def _by_key(objects: Iterable[ObjectFacts]) -> dict[str, ObjectFacts]:
    return {facts.key: facts for facts in objects}


def _order(key: str) -> bytes:
    """S3 lists keys in the order of their UTF-8 bytes."""
    return key.encode("utf-8")
