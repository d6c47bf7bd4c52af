"""What an ended job was asked to do beside its datasets: where results go, what a folder is, on which market it runs.

Told by its certificate: members may not read submissions. Text to values; the job manager checks all of it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncap_iac.job.jobs import JobStatus

ASKED_LINE = re.compile(r"^\[Job Manager\] ASKED: (\{[^\t\n]*\})(?:\t|$)", re.MULTILINE)
SCHEME = "s3://"


@dataclass(frozen=True)
class Asked:
    """Fields of a submission (docs/contracts.md sections 2, 8 and 10); `config` only where it lies elsewhere.

    `together`: the folders that were one dataset.
    """

    results_to: str | None = None
    folders: str | None = None
    files: tuple[str, ...] = ()
    spot: bool | None = None
    config: str | None = None
    together: tuple[str, ...] = ()


def read_asked(job: JobStatus, datasets: Sequence[str]) -> Asked:
    """What a further job for these datasets of an ended one has to be asked."""
    found = _said(job.certificate)
    folders = found.get("folders")
    kind = folders if folders in ("whole", "one") else "whole"
    has_folders = any(key.endswith("/") for key in datasets)
    config, spot = found.get("configname"), found.get("spot")
    return Asked(
        results_to=_results_to(job),
        folders=str(kind) if has_folders else None,
        files=_texts(found.get("files")) if has_folders else (),
        spot=spot if isinstance(spot, bool) else None,
        config=config if isinstance(config, str) and config.startswith(SCHEME) else None,
        together=_texts(found.get("dataname")) if has_folders and kind == "one" else (),
    )


def _said(certificate: str) -> Mapping[str, object]:
    match = ASKED_LINE.search(certificate)
    try:
        found = json.loads(match[1]) if match else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _results_to(job: JobStatus) -> str | None:
    """Where results were to go, as a submission names it: each job has its own folder there."""
    place = job.results_url
    ending = f"/{job.ref.job}/process_results"
    return place.removesuffix(ending) if place and place.endswith(ending) else None


def _texts(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    return tuple(text for text in texts if isinstance(text, str))
