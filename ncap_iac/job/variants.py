"""The variants of a scattered job: which dataset and which values a name stands for. Read from what a member may read.

A variant's certificate row and `end.txt` line name it by its label, `<stem>__<name>-<value>_…`; the copy of its config
beside its results has `__scatter__` (docs/contracts.md section 9). One that never ran has no copy: its values are then
told by its label and by the names its neighbours' copies have. Writes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ncap_iac.errors import NcapError, UsageError
from ncap_iac.job.jobs import JobStatus
from ncap_iac.money.quote import MAX_CONFIG_BYTES, config_values

if TYPE_CHECKING:
    from ncap_iac.aws import Objects, StoredObject

SCATTER = "__scatter__"
NEIGHBOURS = 20
"""Other variants looked at for the names and values of one that never ran."""
_SUFFIXES = (".json", ".yaml", ".yml")
_LONGEST_SUFFIX = 20
_ODD = re.compile(r"[^A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class Copy:
    """The config a variant ran with: its point as `__scatter__` says, the file's name, and what it holds."""

    point: Mapping[str, Any]
    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """One variant: the dataset's own key, and its point (`{"k": …, "values": {…}}`)."""

    name: str
    dataset: str
    point: Mapping[str, Any]


def has_variants(job: JobStatus) -> bool:
    """Whether a job was scattered: its STATUS objects are named by variants."""
    return any("__" in status.label and not _is_named_so(status.dataset, status.label) for status in job.datasets)


def _is_named_so(dataset: str, label: str) -> bool:
    return dataset.rstrip("/").rpartition("/")[2] == label


def find_variants(objects: Objects, job: JobStatus, names: Sequence[str]) -> tuple[Variant, ...]:
    """What the variants called `names` were, in order. Raises UsageError for one nothing tells about."""
    copies = {name: copy_of(objects, job, _label(name)) for name in names}
    known = {name: copy for name, copy in copies.items() if copy is not None}
    if len(known) < len(names):
        others = [status.label for status in job.datasets if status.label not in {_label(name) for name in names}]
        for label in others[:NEIGHBOURS]:
            if (copy := copy_of(objects, job, label)) is not None:
                known[label] = copy
    points = [copy.point for copy in known.values()]
    used = {point.get("k") for point in points}
    found = []
    for name in names:
        copy = copies[name]
        values = copy.point["values"] if copy else _values_of(_label(name), points)
        dataset = _dataset_of(job, name)
        if values is None or dataset is None:
            raise UsageError(
                "which dataset and values it was cannot be told: it left no config, and its name does not say it",
                where=name,
                hint="Submit it again with `ncap job submit … --grid`.",
            )
        number = copy.point.get("k") if copy else _number(values, used)
        used.add(number)
        found.append(Variant(name, dataset, {"k": number, "values": dict(values)}))
    return tuple(found)


def copy_of(objects: Objects, job: JobStatus, label: str) -> Copy | None:
    """The copy of a variant's config, None if it left none."""
    prefix = f"{job.ref.prefix}/process_results/{_folder(label)}/"
    for item in objects.list(job.ref.bucket, prefix, delimiter="/").objects:
        if not _may_be_config(item):
            continue
        try:
            values = config_values(item.key, objects.read(job.ref.bucket, item.key).body)
        except (NcapError, ValueError):
            continue
        point = values.get(SCATTER)
        if isinstance(point, Mapping) and isinstance(point.get("values"), Mapping):
            return Copy(point, item.key.removeprefix(prefix), values)
    return None


def _may_be_config(item: StoredObject) -> bool:
    is_summary = item.key.endswith("_summary.json")
    return item.key.endswith(_SUFFIXES) and not is_summary and item.size <= MAX_CONFIG_BYTES


def is_config_of(copy: Copy, values: Mapping[str, Any]) -> bool:
    """Whether a variant's config is this one with its own values in it."""
    varied = {*copy.point["values"], SCATTER}
    return {name: it for name, it in copy.values.items() if name not in varied} == {
        name: it for name, it in values.items() if name not in varied
    }


def _label(name: str) -> str:
    return name.rpartition("/")[2]


def _folder(label: str) -> str:
    suffix = PurePosixPath(label).suffix
    return label if len(suffix) > _LONGEST_SUFFIX else label.removesuffix(suffix)


def _dataset_of(job: JobStatus, name: str) -> str | None:
    """The key of a variant's dataset: as its own STATUS says, else the one whose name it begins with."""
    label = _label(name)
    own = next((status.dataset for status in job.datasets if status.label == label), None)
    if own is not None:
        return own
    near = {status.dataset for status in job.datasets}
    fitting = [key for key in near if label.startswith(f"{_folder(_label(key.rstrip('/')))}__")]
    return max(fitting, key=len) if fitting else None


def _values_of(label: str, points: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The values a label spells, by the names other points have; None if it cannot be read so."""
    names = list(points[0]["values"]) if points else []
    spelled = _folder(label).rpartition("__")[2].split("_")
    if not names or len(spelled) != len(names):
        return None
    found: dict[str, Any] = {}
    for name, text in zip(names, spelled, strict=True):
        before = f"{_plain(name)}-"
        if not text.startswith(before):
            return None
        said = text.removeprefix(before)
        seen = [point["values"].get(name) for point in points]
        known = [value for value in seen if _plain(_text(value)) == said]
        found[name] = known[0] if known else _parsed(said)
    return found


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if _text(value) == text else text


def _number(values: Mapping[str, Any], used: set[Any]) -> int:
    """A number for a point nobody numbered: of copies the count itself, else the next free one."""
    only = next(iter(values.values())) if len(values) == 1 else None
    if isinstance(only, int) and not isinstance(only, bool) and only > 0 and only not in used:
        return only
    return next(number for number in range(1, len(used) + 2) if number not in used)


def _plain(text: str) -> str:
    """A name or value as labels spell it (`protocols/jobmanager/scatter.py`)."""
    return _ODD.sub("-", text) or "none"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
