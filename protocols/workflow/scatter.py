"""A variant's config: the submitted one with the values of its point, in the form it was written in.

docs/contracts.md section 9. It must not reach S3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCATTER = "__scatter__"
"""Tells the workflow which variant it is: ``{"k": 3, "values": {"seed": 3}}``."""


class ConfigError(Exception):
    """The config cannot be changed; the message names it."""


def write_variant(path: Path, scatter: Mapping[str, Any]) -> None:
    """Put a point into the config at ``path``, JSON or YAML. Doing it twice changes nothing. Raises ConfigError."""
    try:
        config = _read(path)
        values = scatter["values"]
        if not isinstance(config, dict) or not isinstance(values, dict):
            raise ConfigError(f"The config '{path.name}' must be a mapping of parameter names to values.")
        text = _text(path, {**config, **values, SCATTER: dict(scatter)})
    except (ValueError, KeyError, RecursionError) as error:
        raise ConfigError(f"The config '{path.name}' cannot be changed for its variant: {error}.") from error
    path.write_text(text, encoding="utf-8")


def _read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    import yaml  # imported where it is needed: it costs more than the rest of this package

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _text(path: Path, config: dict[str, Any]) -> str:
    if path.suffix == ".json":
        return json.dumps(config, ensure_ascii=False, indent=1) + "\n"
    import yaml

    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
