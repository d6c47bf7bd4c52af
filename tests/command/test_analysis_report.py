"""A job's resources: read from its objects, added up, drawn, and turned into a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ncap_iac.analysis.machine_choice import Need, recommend
from ncap_iac.analysis.resource_picture import draw_resources
from ncap_iac.analysis.resources import Moment, Series, parse_series
from ncap_iac.cli.analysis_report import need_of, read_series
from ncap_iac.job.jobs import JobReader
from ncap_iac.local.ec2.catalog import INSTANCE_TYPES
from ncap_iac.money.prices import Price, PriceTable
from tests.command.bucket import REF, Bucket

COLUMNS = ["t_s", "cpu_percent", "memory_bytes", "disk_bytes", "gpu_percent"]
ROWS = [[0.0, 0.0, 1e6, 5e5, None], [1.0, 80.0, 2e8, 6e5, None], [4.0, 20.0, 3e8, 6e5, None]]


def body(rows: list[list[float | None]] = ROWS, **more: object) -> bytes:
    return json.dumps({"schemaVersion": 1, "interval_s": 1.0, "columns": COLUMNS, "rows": rows, **more}).encode()


def test_a_series_adds_up_weighted_by_time() -> None:
    series = parse_series("a.csv", body())
    assert series is not None
    assert (series.seconds, series.peak_memory_bytes, series.peak_disk_bytes) == (4.0, 3e8, 6e5)
    assert series.mean_cpu_percent == pytest.approx((1 * 80 + 3 * 20) / 4)
    assert series.peak_gpu_percent is None
    assert series.document()["rows"] == ROWS


@pytest.mark.parametrize(
    "damaged",
    [b"", b"[]", b'{"schemaVersion": 2}', body([[0.0]]), body([["x", 0, 0, 0, 0]]), b'{"schemaVersion": 1}'],  # type: ignore[list-item]
)
def test_a_damaged_series_is_none(damaged: bytes) -> None:
    assert parse_series("a", damaged) is None


def test_a_series_without_rows_has_no_figures() -> None:
    series = parse_series("a", body([]))
    assert series is not None
    assert (series.seconds, series.mean_cpu_percent, series.peak_memory_bytes, series.high_cpu_percent) == (
        0.0,
        None,
        None,
        None,
    )


def prices(**usd: float) -> PriceTable:
    return PriceTable({name: Price(round(value * 1e6), "") for name, value in usd.items()}, "test")


TABLE = prices(**{"m7i.large": 0.1008, "m7i.xlarge": 0.2016, "c7i.large": 0.08925, "t3.micro": 0.01, "g5.xlarge": 1.0})


@pytest.mark.parametrize(
    ("need", "wanted"),
    [
        (Need(0.1e9, 1.0), "c7i.large"),
        (Need(3.2e9, 1.0), "m7i.large"),  # 1.25 x 3.2 GB and the system do not fit into 4 GiB
        (Need(7e9, 1.0), "m7i.xlarge"),
        (Need(0.1e9, 2.1), "c7i.large"),  # a fraction of a core more is no reason for twice the machine
        (Need(0.1e9, 3.0), "m7i.xlarge"),
        (Need(0.1e9, 1.0, has_gpu=True), "g5.xlarge"),
        (Need(1e12, 1.0), None),
    ],
)
def test_the_cheapest_type_that_fits_is_recommended(need: Need, wanted: str | None) -> None:
    found = recommend(need, INSTANCE_TYPES, TABLE)
    assert (found.instance_type if found else None) == wanted


def series(label: str, gpu: float | None = None) -> Series:
    return Series(label, 1.0, tuple(Moment(t, 50.0 + t, 1e8 * (1 + t), 1e6, gpu) for t in range(5)))


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_has_a_panel_a_resource_and_names_datasets(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r{suffix}"
    draw_resources([series("one$two.csv", 30.0), series("b.csv")], "job__x: resources", path)
    if suffix == ".svg":
        text = path.read_text()
        assert all(word in text for word in ("CPU (%)", "memory (MB)", "disk (MB)", "GPU (%)", "b.csv", "$two.csv"))
    else:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_job_s_series_are_found_beside_its_status(bucket: Bucket) -> None:
    prefix = f"{REF.prefix}/logs/DATASET_NAME:"
    status = {"input": "a.csv", "status": "SUCCESS", "memory_usage": "500 MB"}
    bucket.objects.put(REF.bucket, f"{prefix}a.csv_STATUS.txt", json.dumps(status).encode())
    bucket.objects.put(REF.bucket, f"{prefix}a.csv_RESOURCES.json", body())
    bucket.objects.put(REF.bucket, f"{prefix}b.csv_RESOURCES.json", b"damaged")

    (found,) = read_series(bucket.objects, REF)
    need = need_of(JobReader(bucket.objects, REF).status(), [found])

    assert found.label == "a.csv"
    assert need == Need(500e6, 0.8)
