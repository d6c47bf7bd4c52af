"""The lists of files of whole folders, several datasets to one, for the instances to fetch. Renders; writes nothing.

Each list is named by its content: a submission that loses the race for a job's name must not change the winner's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobmanager.datasets import Dataset
from jobmanager.job import JobPaths

FILES_A_LIST = 2_000
"""Every instance reads the whole list its dataset is in, so lists are short; a larger dataset has one of its own."""


@dataclass(frozen=True)
class PartLists:
    """The key of the list of each dataset that is a whole folder, by its place; and the lists' bytes by key."""

    keys: Mapping[int, str]
    bodies: Mapping[str, bytes]


def part_lists(paths: JobPaths, datasets: Sequence[Dataset]) -> PartLists:
    """The lists of a job. An instance takes from its list what lies below its dataset's key."""
    keys: dict[int, str] = {}
    bodies: dict[str, bytes] = {}
    for bundle in _bundles(datasets):
        parts = {part.key: part for index in bundle for part in datasets[index].parts}
        listed = [{"key": part.key, "etag": part.etag, "size": part.size} for part in parts.values()]
        body = json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
        key = paths.parts(bundle[0], hashlib.sha256(body).hexdigest()[:16])
        bodies[key] = body
        keys |= dict.fromkeys(bundle, key)
    return PartLists(keys, bodies)


def _bundles(datasets: Sequence[Dataset]) -> list[list[int]]:
    """Places of datasets that share a list: neighbours of one bucket, none of which lies below another."""
    bundles: list[list[int]] = []
    count = 0
    for index, dataset in enumerate(datasets):
        if not dataset.parts:
            continue
        fits = bundles and count + len(dataset.parts) <= FILES_A_LIST and _apart(dataset, datasets[bundles[-1][-1]])
        if fits:
            bundles[-1].append(index)
        else:
            bundles.append([index])
            count = 0
        count += len(dataset.parts)
    return bundles


def _apart(one: Dataset, other: Dataset) -> bool:
    return one.bucket == other.bucket and one.key.count("/") == other.key.count("/")
