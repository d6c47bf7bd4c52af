"""`submit.json`: text to a Submission, collecting what is wrong with it. Looks nothing up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobmanager.job import MAX_KEY_BYTES, is_usable_timestamp
from jobmanager.nearest import did_you_mean
from jobmanager.strictjson import NotJsonError, parse_json

MAX_BYTES = 5 * 1024 * 1024
MAX_DATASETS = 10_000
_LONGEST_NAME = 300
FIELDS = ("dataname", "configname", "timestamp", "instance_type", "version", "resultpath", "cancel")


@dataclass(frozen=True)
class Submission:
    """What a submission asks for, as far as it could be read; problems and notes are sentences for the user."""

    datasets: tuple[str, ...] = ()
    config: str | None = None
    timestamp: str | None = None
    instance_type: str | None = None
    version: str | None = None
    cancel: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_submission(body: bytes, group: str) -> Submission:
    """The submission of a group. Never raises: what cannot be read is a problem."""
    if len(body) > MAX_BYTES:
        return Submission(problems=(f"submit.json is larger than {MAX_BYTES // 1024 // 1024} MB; split the job",))
    try:
        found = parse_json(body)
    except NotJsonError as error:
        return Submission(problems=(f"submit.json cannot be read as JSON: {error}",))
    if not isinstance(found, dict):
        return Submission(problems=("submit.json must be a JSON object with dataname, configname and timestamp",))
    if "cancel" in found:
        return _cancel(found)
    return _request(found, group)


def _cancel(found: dict[str, Any]) -> Submission:
    job = found["cancel"]
    if not isinstance(job, str) or "/" in job or not job.isprintable() or len(job) > _LONGEST_NAME:
        return Submission(problems=("'cancel' must be the name of a job",))
    return Submission(cancel=job)


def _request(found: dict[str, Any], group: str) -> Submission:
    problems: list[str] = []
    timestamp = found.get("timestamp")
    if "timestamp" not in found:
        problems.append("'timestamp' is missing; give a text or a whole number that names this job")
    elif not is_usable_timestamp(timestamp):
        problems.append(
            "'timestamp' must be a whole number or a text of 1 to 128 letters, digits, blanks and . _ : + = @ -"
        )
    datasets, notes = _datasets(found, group, problems)
    config = _config(found, group, problems)
    if "resultpath" in found:
        problems.append("'resultpath' is not offered in this release; leave it out, results stay in this bucket")
    unknown = [name for name in found if name not in FIELDS]
    notes += [f"the field '{name}' is not known and was ignored{did_you_mean(name, FIELDS)}" for name in unknown[:10]]
    if len(unknown) > 10:
        notes.append(f"… and {len(unknown) - 10} more such fields")
    return Submission(
        datasets=datasets,
        config=config,
        timestamp=str(timestamp) if is_usable_timestamp(timestamp) else None,
        instance_type=_optional_text(found, "instance_type", problems),
        version=_optional_text(found, "version", problems),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _datasets(found: dict[str, Any], group: str, problems: list[str]) -> tuple[tuple[str, ...], list[str]]:
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
    wrong = [(key, why) for key in keys if (why := why_not_a_key(key, group, folders=("inputs",)))]
    problems += [f"dataset {_quoted(key)}: {why}" for key, why in wrong[:10]]
    if len(wrong) > 10:
        problems.append(f"… and {len(wrong) - 10} more datasets have such a problem")
    if wrong:
        return (), []
    unique = tuple(dict.fromkeys(keys))
    repeated = len(keys) - len(unique)
    notes = [f"{repeated} repeated dataset{'s' if repeated > 1 else ''} left out: each is analysed once"]
    return unique, notes if repeated else []


def _config(found: dict[str, Any], group: str, problems: list[str]) -> str | None:
    if "configname" not in found:
        problems.append("'configname' is missing; give the key of the config file")
        return None
    key = found["configname"]
    why = why_not_a_key(key, group, folders=("configs", "inputs"))
    if why is None and str(key).endswith("/"):
        why = "it must be one file, not a folder"
    if why:
        problems.append(f"config {_quoted(key)}: {why}")
        return None
    return str(key)


def _optional_text(found: dict[str, Any], name: str, problems: list[str]) -> str | None:
    value = found.get(name)
    if value is None or (isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME):
        return value
    problems.append(f"'{name}' must be a text of at most {_LONGEST_NAME} characters; it is {value!r:.80}")
    return None


def why_not_a_key(key: object, group: str, *, folders: tuple[str, ...]) -> str | None:
    """Why a submitter of this group may not name this key, or None: it must lie in a folder of the own group."""
    own = " or ".join(f"{group}/{folder}/" for folder in folders)
    if not isinstance(key, str) or not key:
        return f"a key must be a text, such as {group}/{folders[0]}/recording.csv"
    if key.startswith("s3://"):
        return f"s3:// addresses are not offered in this release; upload it to {own} and give its key"
    if any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in key):
        return "it holds a control character"
    if any(0xD800 <= ord(sign) < 0xE000 for sign in key) or len(key.encode("utf-8")) > MAX_KEY_BYTES:
        return f"it is no valid key of at most {MAX_KEY_BYTES} bytes"
    segments = key.removesuffix("/").split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return "it has an empty part, '.' or '..' between its slashes"
    if segments[0] != group and len(segments) > 1 and segments[1] in ("inputs", "configs", "results"):
        return f"it belongs to another group; you may only use {own}"
    if segments[0] != group or len(segments) < 2 or segments[1] not in folders:
        return f"it does not lie in {own}"
    if len(segments) == 2 and not key.endswith("/"):
        return f"it does not lie in {own}"
    return None


def _quoted(key: object) -> str:
    is_plain = isinstance(key, str) and len(key) <= MAX_KEY_BYTES and key.isprintable()
    return f"'{key}'" if is_plain else f"{key!r:.200}"
