"""What a run took over time: rows, thinning, the graphics meter, and the cost of sampling."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.workflow.rig import BUCKET, JOB, MANIFEST, STATUS, Rig
from workflow.boot import boot
from workflow.graphics import GraphicsMeter
from workflow.resources import MAX_ROWS, Series
from workflow.status import Usage

RESOURCES = f"{JOB}/logs/DATASET_NAME:x.csv_RESOURCES.json"


def test_a_row_has_the_mean_load_and_the_most_memory_of_its_interval() -> None:
    series = Series(interval_s=2.0)
    series.add(0.0, Usage(memory_mb=100, cpu_percent=10, disk_mb=1))
    series.add(1.0, Usage(memory_mb=50, cpu_percent=30, disk_mb=2, gpu_percent=80))
    series.add(2.0, Usage())
    assert json.loads(series.render()) == {
        "schemaVersion": 1,
        "interval_s": 2.0,
        "columns": ["t_s", "cpu_percent", "memory_bytes", "disk_bytes", "gpu_percent"],
        "rows": [[1.0, 20.0, 100_000_000, 2_000_000, 80.0], [2.0, None, None, None, None]],
    }


def test_a_long_run_keeps_its_peak_in_few_rows() -> None:
    series = Series()
    for second in range(24 * 3600):
        series.add(float(second), Usage(memory_mb=5000 if second == 40_001 else 10, cpu_percent=50.0))
    rows = series.rows()
    assert MAX_ROWS / 2 <= len(rows) <= MAX_ROWS
    assert series.interval_s == 128
    assert max(row.usage.memory_mb or 0 for row in rows) == 5000
    (peak,) = [row.t_s for row in rows if row.usage.memory_mb == 5000]
    assert 40_001 <= peak <= 40_001 + 128
    assert rows[-1].t_s == 24 * 3600 - 1
    assert all(row.usage.cpu_percent == 50 for row in rows)
    assert len(series.render()) < 60_000


def test_graphics_processors_are_read_while_they_print(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, 40'\necho '1, 60'\necho '2, [N/A]'\nexec sleep 60\n")
    program.chmod(0o755)
    meter = GraphicsMeter(path=f"{tmp_path}:{os.environ['PATH']}")
    deadline = time.monotonic() + 10
    while meter.percent() != 50.0 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert meter.percent() == 50.0
    meter.close()


def test_without_graphics_processors_nothing_is_claimed(tmp_path: Path) -> None:
    meter = GraphicsMeter(path=str(tmp_path))
    assert meter.percent() is None
    meter.close()


@pytest.mark.parametrize(("script", "code"), [("sleep 1.5", 0), ("sleep 1.2; exit 4", 4)])
def test_the_series_of_a_run_is_stored_however_it_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, script: str, code: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", rig.s3_url)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", rig.metadata_url)
    rig.analysis(script)
    assert boot(f"s3://{BUCKET}/{MANIFEST}", environ=rig.environ, inbox=SimpleQueue()) == code
    series = rig.store.document(RESOURCES)
    rows = [dict(zip(series["columns"], row, strict=True)) for row in series["rows"]]
    assert len(rows) >= 2
    assert rows[-1]["t_s"] >= 1.0
    assert rows[-1]["memory_bytes"] > 100_000
    written = [key for key, _ in rig.store.writes]
    assert written.index(RESOURCES) < max(k for k, key in enumerate(written) if key == STATUS)
