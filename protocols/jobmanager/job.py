"""A job's name, its datasets' labels, and every key and path of it. Touches no storage."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_TIMESTAMP = 128
MAX_KEY_BYTES = 1024
WRITE_TEST = "process_results/.neurocaas"
"""The empty object, in a job's folder, that shows at admission whether results can be written elsewhere."""
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+=@ -")


def is_usable_timestamp(value: object) -> bool:
    """Whether a submission's timestamp can be part of a key, a tag and a ledger row (contract section 2)."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    if not text.strip() or len(text) > MAX_TIMESTAMP:
        return False
    return all(sign in _PLAIN or (ord(sign) > 127 and unicodedata.category(sign)[0] in "LM") for sign in text)


def own_timestamp(event_time: str, key: str, version: str) -> str:
    """The timestamp given to a submission that has no usable one, so that its refusal has a place."""
    seconds = re.sub(r"\.\d+", "", event_time).replace(":", "-")
    return f"{seconds}-{hashlib.sha256(f'{key}{version}'.encode()).hexdigest()[:8]}"


def job_name(bucket: str, timestamp: str, ordinal: int = 1) -> str:
    """`job__<bucket>_<timestamp>`; the second submission with one timestamp gets `-2`, and so on."""
    return f"job__{bucket}_{timestamp}" + (f"-{ordinal}" if ordinal > 1 else "")


def dataset_labels(keys: Sequence[str]) -> tuple[str, ...]:
    """The basename of each dataset; where two share one, the later gets `<stem>-2<suffix>`, …"""
    names = [PurePosixPath(key) for key in keys]
    reserved = {name.name for name in names}
    used: set[str] = set()
    last: dict[str, int] = {}  # where the search for a free number goes on: ten thousand may share one name
    labels = []
    for name in names:
        label, ordinal = name.name, last.get(name.name, 1)
        while label in used or (ordinal > 1 and label in reserved):
            ordinal += 1
            label = f"{name.stem}-{ordinal}{name.suffix}"
        last[name.name] = ordinal
        used.add(label)
        labels.append(label)
    return tuple(labels)


@dataclass(frozen=True)
class JobPaths:
    """Where a job's objects are (contract section 2). All keys are within `bucket`."""

    bucket: str
    group: str
    job: str

    @property
    def ledger_key(self) -> str:
        """The partition of the ledger that holds the job, its attempts and its launches."""
        return f"JOB#{self.bucket}/{self.group}/{self.job}"

    @property
    def result_prefix(self) -> str:
        """The job's folder, without a slash at its end."""
        return f"{self.group}/results/{self.job}"

    @property
    def certificate(self) -> str:
        """The readable log."""
        return f"{self.result_prefix}/logs/certificate.txt"

    @property
    def end_marker(self) -> str:
        """The object that tells clients the job is over."""
        return f"{self.result_prefix}/process_results/end.txt"

    def status(self, label: str) -> str:
        """The object in which the instance reports on one dataset."""
        return f"{self.result_prefix}/logs/DATASET_NAME:{label}_STATUS.txt"

    def manifest(self, number: int) -> str:
        """The launch manifest."""
        return f"{self.group}/jobs/{self.job}/launch-{number}.json"

    def plan(self, digest: str = "") -> str:
        """The list of attempts of a job with more datasets than one transaction takes, named by its content."""
        return f"{self.group}/jobs/{self.job}/attempts{f'-{digest}' if digest else ''}.json"

    def parts(self, index: int, digest: str) -> str:
        """The list of files of a whole folder, and of its neighbours."""
        return f"{self.group}/jobs/{self.job}/parts-{index}-{digest}.json"

    def active_record(self, instance: str) -> str:
        """The usage record while the instance runs."""
        return f"logs/active/{instance}.json"

    def final_record(self, instance: str) -> str:
        """The usage record once the instance has ended."""
        return f"logs/{self.group}/{instance}.json"
