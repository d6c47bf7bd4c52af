"""The user's config, JSON or YAML: its parameters and the two reserved keys. Reads text; fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobmanager.parameters import DATASET_SIZE, DURATION
from jobmanager.strictjson import NotJsonError, is_too_deep, is_unicode, parse_json

MAX_CONFIG_BYTES = 1024 * 1024
EXTENSIONS = (".json", ".yaml", ".yml")
_MAX_VALUES = 200_000
"""Names and values."""
_MAX_LETTERS = 4 * MAX_CONFIG_BYTES
_MAX_BITS = 2_000
"""Of a whole number: a longer one cannot even be shown."""


class ConfigError(ValueError):
    """The config cannot be read; the message is for the user."""


@dataclass(frozen=True)
class Limits:
    """What the reserved keys come to: minutes an attempt may run, and GiB added to its volume."""

    minutes: int
    extra_gib: int


def parse_config(key: str, body: bytes) -> Mapping[str, Any]:
    """The parameters in a config. Raises ConfigError with a sentence that names the key."""
    if not key.endswith(EXTENSIONS):
        raise ConfigError(f"the config '{key}' must end in {', '.join(EXTENSIONS)}")
    if len(body) > MAX_CONFIG_BYTES:
        raise ConfigError(f"the config '{key}' is larger than {MAX_CONFIG_BYTES // 1024} KB")
    try:
        found = parse_json(body) if key.endswith(".json") else _parse_yaml(body)
    except ValueError as error:
        form = "JSON" if key.endswith(".json") else "YAML"
        raise ConfigError(f"the config '{key}' is not {form} we can read: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"the config '{key}' must be a mapping of parameter names to values")
    _check_names(key, found)
    return found


def _parse_yaml(body: bytes) -> Any:
    import yaml  # imported on demand: it costs more than the rest of the package, and JSON configs need none of it

    try:
        found = yaml.load(body.decode("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise NotJsonError(f"byte {error.start + 1} is not UTF-8") from error
    except RecursionError as error:
        raise NotJsonError("it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise NotJsonError(" ".join(str(error).split())[:300]) from error
    return {} if found is None else found


def _check_names(key: str, found: dict[Any, Any]) -> None:
    # YAML aliases can describe exponentially more values and letters than bytes; counting stops at the first too many.
    stack: list[Any] = [found]
    seen = letters = 0
    while stack:
        value = stack.pop()
        seen += 1
        letters += len(value) if isinstance(value, str) else 0
        if seen > _MAX_VALUES or letters > _MAX_LETTERS:
            raise ConfigError(f"the config '{key}' describes more than {_MAX_VALUES} values, or too much text")
        if not _can_be_shown(value):
            raise ConfigError(f"the config '{key}' holds a number with too many digits")
        if isinstance(value, dict):
            unnamed = next((name for name in value if not isinstance(name, str)), None)
            if unnamed is not None:
                shown = f"{unnamed!r:.80}" if _can_be_shown(unnamed) else "of a number"
                raise ConfigError(f"the config '{key}': the name {shown} must be text; write it in quotes")
            stack += [*value, *value.values()]
        elif isinstance(value, list):
            stack += value
        elif isinstance(value, str) and not is_unicode(value):
            raise ConfigError(f"the config '{key}' holds half of a sign (a lone surrogate), which no file can hold")
    if is_too_deep(found):
        raise ConfigError(f"the config '{key}' is nested too deeply")


def _can_be_shown(value: Any) -> bool:
    return not isinstance(value, int) or value.bit_length() <= _MAX_BITS


def check_limits(values: Mapping[str, Any], *, max_minutes: int, max_gib: int) -> tuple[Limits, tuple[str, ...]]:
    """The limits a config asks for, and what is wrong with them. A key that is absent or null means: the default."""
    problems = []
    minutes, extra = values.get(DURATION), values.get(DATASET_SIZE)
    if minutes is None:
        minutes = max_minutes
    elif not _is_whole(minutes) or not 1 <= minutes <= max_minutes:
        problems.append(
            f"parameter '{DURATION}' is {minutes!r}; accepted is a whole number of minutes from 1 to {max_minutes}"
        )
        minutes = max_minutes
    if extra is None:
        extra = 0
    elif not _is_whole(extra) or not 0 <= extra <= max_gib:
        problems.append(
            f"parameter '{DATASET_SIZE}' is {extra!r}; accepted is a whole number of gigabytes from 0 to {max_gib}"
        )
        extra = 0
    return Limits(minutes, extra), tuple(problems)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
