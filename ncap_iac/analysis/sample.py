"""An analysis's sample: `sample/sample.json` and the files it names. Reads; runs nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.errors import UsageError

ABOUT = "sample.json"
CHECK = "check.py"


@dataclass(frozen=True)
class Sample:
    """What a test submits, and the script that judges the results."""

    folder: Path
    datasets: tuple[Path, ...]
    config: Path
    check: Path
    is_heavy: bool = False
    """It takes more than a minute or half a gigabyte."""
    figure: str | None = None
    """The figure of merit a table shows, where there are several."""


def has_sample(analysis: Path) -> bool:
    """Whether the analysis in a folder brings a sample with its check."""
    return (analysis / "sample" / CHECK).is_file() and (analysis / "sample" / ABOUT).is_file()


def load_sample(analysis: Path) -> Sample:
    """The sample of the analysis in a folder. Raises UsageError."""
    folder = analysis / "sample"
    path = folder / ABOUT
    if not path.is_file():
        raise UsageError(
            "it has no sample",
            where=str(analysis),
            hint='Add sample/sample.json: {"datasets": ["x.csv"], "config": "config.json"}, the files and a check.py.',
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        datasets = tuple(folder / str(name) for name in about["datasets"])
        sample = Sample(
            folder,
            datasets,
            folder / str(about["config"]),
            folder / CHECK,
            is_heavy=about.get("heavy") is True,
            figure=str(about["figure"]) if "figure" in about else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"it cannot be used: {error!r}",
            where=str(path),
            hint='It looks like {"datasets": ["x.csv"], "config": "config.json", "heavy": false}.',
        ) from error
    for file in (*datasets, sample.config, sample.check):
        if not file.exists():
            raise UsageError("there is no such file", where=str(file), hint=f"Add it, or change {path}.")
    if not datasets:
        raise UsageError(
            "it names no dataset", where=str(path), hint="Put a small dataset beside it and name it there."
        )
    return sample
