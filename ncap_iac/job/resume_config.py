"""Which config an ended job ran with: told by the copy among its results, compared with what is in the bucket now.

Reads what a member may read; writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_iac.errors import UsageError
from ncap_iac.job.jobs import JobRef, JobStatus
from ncap_iac.job.variants import copy_of, has_variants, is_config_of
from ncap_iac.money.quote import config_values

if TYPE_CHECKING:
    from ncap_iac.aws import Objects, StoredObject

MARKERS = frozenset({"end.txt", "update.txt"})


@dataclass(frozen=True)
class UsedConfig:
    """The config a job ran with: its key, the copy kept beside the results, and whether both are still the same."""

    key: str
    copy: str
    is_as_it_was: bool


def find_config(objects: Objects, job: JobStatus) -> UsedConfig:
    """The config a job ran with, by the copy it kept. Raises UsageError if it cannot be told."""
    ref = job.ref
    configs = objects.list(ref.bucket, f"{ref.group}/configs/").objects
    found = _config_of(objects, ref, configs) or _config_of_variants(objects, job, configs)
    if found:
        return found
    raise UsageError(
        f"which config it ran with cannot be told: {ref.group}/configs/ has none of the name of a copy it kept",
        where=ref.job,
        hint=f"Name it with --config. What was kept is among the results: `ncap job results {ref.job}`.",
    )


def _config_of(objects: Objects, ref: JobRef, configs: Sequence[StoredObject]) -> UsedConfig | None:
    prefix = f"{ref.prefix}/process_results/"
    kept = {
        name: item
        for item in objects.list(ref.bucket, prefix, delimiter="/").objects
        if (name := item.key.removeprefix(prefix)) not in MARKERS
    }
    pairs = [(item, kept[name]) for item in configs if (name := item.key.rpartition("/")[2]) in kept]
    found = [UsedConfig(item.key, copy.key, _is_same(objects, ref.bucket, item, copy)) for item, copy in pairs]
    same = [config for config in found if config.is_as_it_was]
    # A result may have the name of some config: only its bytes tell them apart, and a choice would be a guess.
    if len({config.copy for config in same or found}) > 1 or (not same and len(found) > 1):
        keys = ", ".join(config.key for config in same or found)
        raise UsageError(f"its config may be one of {keys}", where=ref.job, hint="Name it with --config.")
    return min(same or found, key=lambda config: (config.key.count("/"), config.key), default=None)


def _config_of_variants(objects: Objects, job: JobStatus, configs: Sequence[StoredObject]) -> UsedConfig | None:
    """The config of a scattered job: one of the name of its variants' copies, without what each of them set."""
    ref = job.ref
    copies = (copy_of(objects, job, status.label) for status in job.datasets) if has_variants(job) else iter(())
    copy = next((found for found in copies if found is not None), None)
    if copy is None:
        return None
    named = [item.key for item in configs if item.key.rpartition("/")[2] == copy.name]
    same = [key for key in named if is_config_of(copy, config_values(key, objects.read(ref.bucket, key).body))]
    if len(same or named) > 1:
        keys = ", ".join(same or named)
        raise UsageError(f"its config may be one of {keys}", where=ref.job, hint="Name it with --config.")
    return UsedConfig((same or named)[0], copy.name, bool(same)) if named else None


def _is_same(objects: Objects, bucket: str, one: StoredObject, other: StoredObject) -> bool:
    """Whether two objects hold the same; with some encryption their ETags differ all the same."""
    if one.size != other.size or one.etag == other.etag:
        return one.size == other.size
    return objects.read(bucket, one.key).body == objects.read(bucket, other.key).body
