"""Values -> CSV and JSON files. Writes files where told; computes nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from experiments.panels import Value


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a header line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_json(path: Path, value: object) -> None:
    """A JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_values(folder: Path, name: str, values: Sequence[Value]) -> None:
    """The numbers behind one panel, as `<name>.csv` and `<name>.json`."""
    rows = [asdict(value) for value in values]
    write_csv(folder / f"{name}.csv", list(rows[0]), [list(row.values()) for row in rows])
    write_json(folder / f"{name}.json", rows)
