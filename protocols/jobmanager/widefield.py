"""The widefield client's submission: a folder, no timestamp, uploaded twice, one job. Text and listing to values.

What that client writes and looks for is in its own documentation and in `docs/users.md`. Reads no storage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobmanager.addresses import SCHEME, why_not_data
from jobmanager.job import is_usable_timestamp
from jobmanager.observed import ObjectFacts
from jobmanager.strictjson import NotJsonError, parse_json
from jobmanager.submission import MAX_BYTES, Submission

PROTOCOL = "widefield"
FILE = "submit.json"
LAST_RESULTS = ("*reduced_spatial.npy", "*reduced_temporal.npy", "*SummaryComponents.png", "*LocaNMF_Components.mat")
"""Names by which the client sees that all results are there: it then takes them away and deletes them."""
_FOLDERS = ("inputs", "configs")
_CONFIG = "config.yaml"
_LONGEST_NAME = 90


@dataclass(frozen=True)
class WidefieldRequest:
    """A submission of that client; `key` and `identity` are the same for both of its uploads."""

    submission: Submission
    key: str
    identity: str


def widefield_group(key: str) -> str | None:
    """The submitting group of `G/inputs/F/submit.json` and `G/configs/F/submit.json`; None for any other key."""
    parts = key.split("/")
    is_one = len(parts) >= 4 and bool(parts[0]) and parts[1] in _FOLDERS and parts[-1] == FILE
    return parts[0] if is_one else None


def widefield_folder(body: bytes, group: str) -> str | None:
    """The folder a submission names, with its slash; None when it names none that may be used."""
    folder = _read(body).get("dataname")
    return str(folder) if _why_no_folder(folder, group) is None else None


def widefield_request(body: bytes, key: str, group: str, bucket: str, data: Sequence[ObjectFacts]) -> WidefieldRequest:
    """The request in a submission; `data` is what lies in the folder it names. Never raises.

    Who submits is known from the key. Two uploads over the same objects are one request; data sent again are another.
    """
    found = _read(body)
    folder = found.get("dataname")
    why = _why_no_folder(folder, group)
    if why:
        submission = Submission(
            problems=(f"'dataname' must be the folder of the data, with a slash at its end: {why}",)
        )
        folder = f"{key.rpartition('/')[0]}/"
    else:
        submission = _submission(found, str(folder), bucket, data)
    facts = sorted((it.key, it.etag, it.modified) for it in data if not it.key.endswith(f"/{FILE}"))
    content = json.dumps([group, folder, found, facts], sort_keys=True, ensure_ascii=True)
    identity = hashlib.sha256(content.encode()).hexdigest()[:32]
    name = _name(str(folder), identity)
    return WidefieldRequest(_named(submission, name), f"{folder}{FILE}", identity)


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = parse_json(body) if len(body) <= MAX_BYTES else None
    except NotJsonError:
        return {}
    return found if isinstance(found, dict) else {}


def _why_no_folder(folder: object, group: str) -> str | None:
    if isinstance(folder, str) and folder.startswith(SCHEME):
        return "it must lie in this bucket"
    why = why_not_data(folder, group, own_bucket="", folders=_FOLDERS)
    if why is None and (not str(folder).endswith("/") or str(folder).count("/") < 3):
        why = f"write {group}/inputs/<folder>/"
    return why


def _submission(found: dict[str, Any], folder: str, bucket: str, data: Sequence[ObjectFacts]) -> Submission:
    zips = tuple(it.key for it in data if it.key.lower().endswith(".zip"))
    config = found.get("params_filename") or _CONFIG
    problems = []
    if not isinstance(config, str) or "/" in config:
        problems.append("'params_filename' must be the name of a file in the folder of the data")
        config = _CONFIG
    kind = found.get("instance_type")
    return Submission(
        datasets=zips or (folder,),
        config=f"{folder}{config}",
        result_address=f"{SCHEME}{bucket}/{_place(folder)}",
        whole=not zips,
        protocol=PROTOCOL,
        instance_type=kind if isinstance(kind, str) and kind else None,
        problems=tuple(problems),
    )


def _named(submission: Submission, name: str) -> Submission:
    return replace(submission, timestamp=name)


def _place(folder: str) -> str:
    """Where the client looks for results: `G/results/F`, or `G/configs/F/results`."""
    parts = folder.removesuffix("/").split("/")
    if parts[1] == "inputs":
        parts[1] = "results"
    elif parts[-1] == "inputs":
        parts[-1] = "results"
    else:
        parts.append("results")
    return "/".join(parts)


def _name(folder: str, identity: str) -> str:
    """What names the job: the folder as far as it can be used, and a digest."""
    parts = [part for part in folder.removesuffix("/").split("/")[2:] if part != "inputs"]
    plain = "".join(sign if is_usable_timestamp(sign) else "-" for sign in ".".join(parts)[:_LONGEST_NAME])
    return f"{plain}-{identity[:8]}".strip()
