"""`submit.json`: text to a Submission, collecting what is wrong with it. Looks nothing up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jobmanager.addresses import SCHEME, parse_address, why_no_result_address, why_not_data
from jobmanager.job import MAX_KEY_BYTES, is_usable_timestamp
from jobmanager.nearest import did_you_mean
from jobmanager.scatter import Scatter, ScatterError, parse_scatter
from jobmanager.strictjson import NotJsonError, is_unicode, parse_json

MAX_BYTES = 5 * 1024 * 1024
MAX_DATASETS = 10_000
_LONGEST_NAME = 300
_MOST_PATTERNS = 50
_DATA = ("inputs", "results")
_CONFIGS = ("configs", "inputs", "results")
_FOLDERS = ("each", "whole", "one")
_MOST_RESUMED = 20
_FEW = 100
_LONGEST_LINE = 30_000
_LONGEST_JOB_BYTES = 800
"""A job's name is part of a key of the ledger, which has at most 2 048 bytes."""
FIELDS = (
    *("dataname", "configname", "timestamp", "instance_type", "version", "spot"),
    *("resultpath", "folders", "files", "scatter", "from", "resumes", "replay", "cancel"),
)


@dataclass(frozen=True)
class Origin:
    """The edge a submission says it comes from: `from`, written by the platform. Only the ledger makes it true."""

    bucket: str
    job: str
    edge: int


@dataclass(frozen=True)
class Submission:
    """What a submission asks for, as far as it could be read; problems and notes are sentences for the user.

    Datasets and config are keys of the analysis's bucket or `s3://` addresses of others; `result_address` is
    `s3://bucket/prefix` without a slash at its end. `whole`: a folder is one dataset, not one a file; `files` are
    patterns for the names below folders. `protocol`: another one than today's, see `widefield`. `together`: all folders
    are one dataset. `resumes`: earlier jobs whose results count with this one's when they are gathered.
    """

    datasets: tuple[str, ...] = ()
    config: str | None = None
    result_address: str | None = None
    whole: bool = False
    files: tuple[str, ...] = ()
    protocol: str | None = None
    timestamp: str | None = None
    instance_type: str | None = None
    version: str | None = None
    spot: bool | None = None
    together: bool = False
    scatter: Scatter | None = None
    origin: Origin | None = None
    resumes: tuple[str, ...] = ()
    cancel: str | None = None
    replay: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """A line of the certificate with what the job's rows do not tell, so that whoever resumes it asks the same."""
        together = self.datasets if self.together and len(self.datasets) <= _FEW else ()
        told = {
            "folders": ("one" if self.together else "whole") if self.whole else None,
            "files": list(self.files) or None,
            "spot": self.spot,
            "configname": self.config if (self.config or "").startswith(SCHEME) else None,
            "dataname": list(together) or None,
        }
        told = {name: value for name, value in told.items() if value is not None}
        line = f"[Job Manager] ASKED: {json.dumps(told)}"
        return (line,) if told and self.protocol is None and len(line) <= _LONGEST_LINE else ()

    @property
    def is_heavy(self) -> bool:
        """Whether looking its data up may take long: many datasets, folders, or data elsewhere."""
        return len(self.datasets) > _FEW or any(it.endswith("/") or it.startswith(SCHEME) for it in self.datasets)


def parse_submission(body: bytes, group: str, bucket: str = "") -> Submission:
    """The submission of a group in its analysis's bucket. Never raises: what cannot be read is a problem."""
    if len(body) > MAX_BYTES:
        return Submission(problems=(f"submit.json is larger than {MAX_BYTES // 1024 // 1024} MB; split the job",))
    try:
        found = parse_json(body)
    except NotJsonError as error:
        return Submission(problems=(f"submit.json cannot be read as JSON: {error}",))
    if not isinstance(found, dict):
        return Submission(problems=("submit.json must be a JSON object with dataname, configname and timestamp",))
    for name in ("cancel", "replay"):
        if name in found:
            return _control(name, found[name])
    return _request(found, group, bucket)


def _control(name: str, job: object) -> Submission:
    """A request about a job: to stop it, or to carry out again what was to follow it."""
    if not _is_job(job):
        return Submission(problems=(f"'{name}' must be the name of a job",))
    return Submission(cancel=str(job)) if name == "cancel" else Submission(replay=str(job))


def _is_job(name: object) -> bool:
    if not isinstance(name, str) or "/" in name or not name.isprintable():
        return False
    return len(name) <= _LONGEST_NAME and len(name.encode("utf-8")) <= _LONGEST_JOB_BYTES


def _request(found: dict[str, Any], group: str, bucket: str) -> Submission:
    problems: list[str] = []
    timestamp = found.get("timestamp")
    if "timestamp" not in found:
        problems.append("'timestamp' is missing; give a text or a whole number that names this job")
    elif not is_usable_timestamp(timestamp):
        problems.append(
            "'timestamp' must be a whole number or a text of 1 to 128 letters, digits, blanks and . _ : + = @ -"
        )
    datasets, notes = _datasets(found, group, bucket, problems)
    unknown = [name for name in found if name not in FIELDS]
    notes += [f"the field '{name}' is not known and was ignored{did_you_mean(name, FIELDS)}" for name in unknown[:10]]
    if len(unknown) > 10:
        notes.append(f"… and {len(unknown) - 10} more such fields")
    return Submission(
        datasets=datasets,
        config=_config(found, group, bucket, problems),
        result_address=_result_address(found, group, bucket, problems),
        whole=_whole(found, problems),
        files=_files(found, problems),
        timestamp=str(timestamp) if is_usable_timestamp(timestamp) else None,
        instance_type=_optional_text(found, "instance_type", problems),
        version=_optional_text(found, "version", problems),
        spot=_spot(found, problems),
        together=found.get("folders") == "one",
        scatter=_scatter(found, problems),
        origin=_origin(found, problems),
        resumes=_resumes(found, problems),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _scatter(found: dict[str, Any], problems: list[str]) -> Scatter | None:
    if found.get("scatter") is None:
        return None
    if not is_unicode(found["scatter"]):
        problems.append("'scatter' holds half of a sign (a lone surrogate), which no file can hold")
        return None
    try:
        scatter = parse_scatter(found["scatter"])
    except ScatterError as error:
        problems.append(str(error))
        return None
    if isinstance(scatter.copies, str):
        problems.append("'copies' of 'scatter' must be a whole number")
    return scatter


def _origin(found: dict[str, Any], problems: list[str]) -> Origin | None:
    named = found.get("from")
    if named is None:
        return None
    bucket, job, edge = (named.get(it) for it in ("bucket", "job", "edge")) if isinstance(named, dict) else (None,) * 3
    if _is_job(bucket) and _is_job(job) and isinstance(edge, int) and not isinstance(edge, bool) and 0 < edge < 100:
        return Origin(str(bucket), str(job), edge)
    problems.append("'from' is written by the platform where one job follows another; leave it out")
    return None


def _resumes(found: dict[str, Any], problems: list[str]) -> tuple[str, ...]:
    named = found.get("resumes")
    jobs = [named] if isinstance(named, str) else [] if named is None else named
    if isinstance(jobs, list) and len(jobs) <= _MOST_RESUMED and all(_is_job(it) for it in jobs):
        return tuple(dict.fromkeys(str(it) for it in jobs))
    problems.append(f"'resumes' must be a list of at most {_MOST_RESUMED} names of jobs")
    return ()


def _datasets(found: dict[str, Any], group: str, bucket: str, problems: list[str]) -> tuple[tuple[str, ...], list[str]]:
    if "dataname" not in found:
        problems.append("'dataname' is missing; give the key of a dataset, or a list of keys")
        return (), []
    named = found["dataname"]
    keys = named if isinstance(named, list) else [named]
    if not keys:
        problems.append("'dataname' is an empty list; name at least one dataset")
    if len(keys) > MAX_DATASETS:
        problems.append(f"'dataname' lists {len(keys)} datasets; at most {MAX_DATASETS} are accepted in one job")
        return (), []
    wrong = [(key, why) for key in keys if (why := why_not_data(key, group, own_bucket=bucket, folders=_DATA))]
    problems += [f"dataset {_quoted(key)}: {why}" for key, why in wrong[:10]]
    if len(wrong) > 10:
        problems.append(f"… and {len(wrong) - 10} more datasets have such a problem")
    if wrong:
        return (), []
    unique = tuple(dict.fromkeys(parse_address(key, bucket).text for key in keys))
    repeated = len(keys) - len(unique)
    notes = [f"{repeated} repeated dataset{'s' if repeated > 1 else ''} left out: each is analysed once"]
    return unique, notes if repeated else []


def _config(found: dict[str, Any], group: str, bucket: str, problems: list[str]) -> str | None:
    if "configname" not in found:
        problems.append("'configname' is missing; give the key of the config file")
        return None
    key = found["configname"]
    why = why_not_data(key, group, own_bucket=bucket, folders=_CONFIGS)
    if why is None and str(key).endswith("/"):
        why = "it must be one file, not a folder"
    if why:
        problems.append(f"config {_quoted(key)}: {why}")
        return None
    return parse_address(str(key), bucket).text


def _result_address(found: dict[str, Any], group: str, bucket: str, problems: list[str]) -> str | None:
    address = found.get("resultpath")
    if address is None:
        return None
    if why := why_no_result_address(address, group, own_bucket=bucket):
        problems.append(f"'resultpath' {_quoted(address)}: {why}")
        return None
    return str(address).rstrip("/")


def _whole(found: dict[str, Any], problems: list[str]) -> bool:
    value = found.get("folders")
    if value not in (None, *_FOLDERS):
        problems.append(
            f"'folders' is {_quoted(value)}; accepted is \"each\" (every file of a folder is a dataset), "
            '"whole" (the folder is one dataset) or "one" (all folders together are one dataset)'
        )
    return value in ("whole", "one")


def _files(found: dict[str, Any], problems: list[str]) -> tuple[str, ...]:
    value = found.get("files")
    if value is None:
        return ()
    texts = value if isinstance(value, list) else [value]
    if (
        not texts
        or len(texts) > _MOST_PATTERNS
        or not all(isinstance(text, str) and 0 < len(text) <= _LONGEST_NAME for text in texts)
    ):
        problems.append(f"'files' must be a list of 1 to {_MOST_PATTERNS} patterns of names, such as [\"*.npy\"]")
        return ()
    return tuple(texts)


def _spot(found: dict[str, Any], problems: list[str]) -> bool | None:
    value = found.get("spot")
    if value is None or isinstance(value, bool):
        return value
    problems.append(f"'spot' must be true or false; it is {value!r:.80}")
    return None


def _optional_text(found: dict[str, Any], name: str, problems: list[str]) -> str | None:
    value = found.get(name)
    if value is None or (isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME):
        return value
    problems.append(f"'{name}' must be a text of at most {_LONGEST_NAME} characters; it is {value!r:.80}")
    return None


def _quoted(key: object) -> str:
    is_plain = isinstance(key, str) and len(key) <= MAX_KEY_BYTES and key.isprintable()
    return f"'{key}'" if is_plain else f"{key!r:.200}"
