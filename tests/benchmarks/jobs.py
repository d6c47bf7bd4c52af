"""Measurements in a running local cloud: what the platform adds to the work itself."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jobmanager.sweeping import sweep
from tests.fakes.platform import FakePlatform, memory_platform
from tests.stories.laboratory import ROOT, Laboratory

COUNT = 100
SAMPLE = ROOT / "ncap_blueprints" / "kalman-lds" / "sample"


def _member(laboratory: Laboratory) -> Any:
    return laboratory.client("s3", laboratory.member_key("demo-member"))


def _wait_for_end(s3: Any, bucket: str, job: str, patience_s: float) -> str:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            text: str = (
                s3.get_object(Bucket=bucket, Key=f"demo/results/{job}/process_results/end.txt")["Body"].read().decode()
            )
            return text
        except s3.exceptions.NoSuchKey:
            time.sleep(0.05)
    raise TimeoutError(job)


def overhead_of_one_job(laboratory: Laboratory) -> Mapping[str, Any]:
    """From putting submit.json to the workflow's first line, and from its last line to end.txt; warm, median of 7."""
    s3 = _member(laboratory)
    s3.put_object(Bucket="faulty", Key="demo/inputs/a.txt", Body=b"one")
    s3.put_object(Bucket="faulty", Key="demo/configs/stamp.json", Body=json.dumps({"mode": "stamp"}))
    before, after = [], []
    for number in range(8):
        body = {
            "dataname": "demo/inputs/a.txt",
            "configname": "demo/configs/stamp.json",
            "timestamp": f"overhead-{number}",
        }
        began = time.time()
        s3.put_object(Bucket="faulty", Key=f"demo/submissions/{number}_submit.json", Body=json.dumps(body))
        _wait_for_end(s3, "faulty", f"job__faulty_overhead-{number}", 60)
        ended = time.time()
        key = f"demo/results/job__faulty_overhead-{number}/process_results/a_stamp.json"
        stamp = json.loads(s3.get_object(Bucket="faulty", Key=key)["Body"].read())
        before.append(stamp["began"] - began)
        after.append(ended - stamp["began"])
    return {
        "submit to first line s": round(statistics.median(before[1:]), 2),
        "first line to end.txt s": round(statistics.median(after[1:]), 2),
        "coldest submit to first line s": round(before[0], 2),
    }


def hundred_datasets(laboratory: Laboratory) -> Mapping[str, Any]:
    """100 recordings as one job on all cores, against the same script run by hand in as many processes."""
    s3 = _member(laboratory)
    slots = len(os.sched_getaffinity(0))
    recording, config = SAMPLE / "resting_state_fmri.csv", SAMPLE / "config.json"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda n: _upload(s3, recording, n), range(COUNT)))
    s3.upload_file(str(config), "kalman-lds", "demo/configs/config.json")
    by_hand = _by_hand(laboratory, recording, config, slots)
    body = {"dataname": keys, "configname": "demo/configs/config.json", "timestamp": "hundred"}
    began = time.perf_counter()
    s3.put_object(Bucket="kalman-lds", Key="demo/submissions/hundred_submit.json", Body=json.dumps(body))
    end = _wait_for_end(s3, "kalman-lds", "job__kalman-lds_hundred", 3600)
    as_job = time.perf_counter() - began
    if not end.startswith("SUCCEEDED"):
        raise RuntimeError(end)
    return {
        "datasets": COUNT,
        "processes": slots,
        "by hand s": round(by_hand, 1),
        "as one job s": round(as_job, 1),
        "ratio": round(as_job / by_hand, 2),
    }


def _upload(s3: Any, recording: Path, number: int) -> str:
    key = f"demo/inputs/recording_{number:03}.csv"
    s3.upload_file(str(recording), "kalman-lds", key)
    return key


def _by_hand(laboratory: Laboratory, recording: Path, config: Path, slots: int) -> float:
    """The workflow script in the image's own Python, one thread each, `slots` at a time."""
    (image,) = [path for path in (laboratory.home / "cache" / "images").iterdir() if _is_image_of(path, laboratory)]
    with tempfile.TemporaryDirectory() as folder:
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

        def run(number: int) -> None:
            work = Path(folder) / str(number)
            (work / "results").mkdir(parents=True)
            data = shutil.copy(recording, work / f"recording_{number:03}.csv")
            subprocess.run(
                [
                    str(image / "env/bin/python"),
                    "-B",  # an image that gained a file would be refused at boot
                    str(image / "analysis/workflow.py"),
                    data,
                    str(config),
                    str(work / "results"),
                ],
                cwd=work,
                env={"PATH": os.environ["PATH"], "HOME": str(work), **threads},
                check=True,
                capture_output=True,
            )

        began = time.perf_counter()
        with ThreadPoolExecutor(slots) as pool:
            list(pool.map(run, range(COUNT)))
        return time.perf_counter() - began


def _is_image_of(path: Path, laboratory: Laboratory) -> bool:
    blueprint = json.loads((laboratory.project / "ncap_blueprints/kalman-lds/stack_config_template.json").read_text())
    digest = blueprint["Lambda"]["LambdaConfig"]["AMI"].rsplit(":", 1)[1]
    return path.name.startswith(digest)


def data_path(laboratory: Laboratory) -> Mapping[str, Any]:
    """512 MB up and down, and 300 small objects, through the edge by one client."""
    s3 = _member(laboratory)
    with tempfile.TemporaryDirectory() as folder:
        big = Path(folder) / "big.bin"
        big.write_bytes(os.urandom(1 << 20) * 512)
        began = time.perf_counter()
        s3.upload_file(str(big), "faulty", "demo/configs/big.bin")
        up = time.perf_counter() - began
        began = time.perf_counter()
        with (Path(folder) / "back.bin").open("wb") as file:
            shutil.copyfileobj(s3.get_object(Bucket="faulty", Key="demo/configs/big.bin")["Body"], file, 1 << 20)
        down = time.perf_counter() - began
        s3.delete_object(Bucket="faulty", Key="demo/configs/big.bin")
    began = time.perf_counter()
    for number in range(300):
        s3.put_object(Bucket="faulty", Key=f"demo/configs/small-{number}", Body=b"x" * 1000)
    small = time.perf_counter() - began
    return {
        "upload 512 MB, MB/s": round(512 / up),
        "download 512 MB, MB/s": round(512 / down),
        "small objects put per s, one client": round(300 / small),
        "measured": datetime.now().isoformat(timespec="minutes"),
    }


LATENCY_S = {
    "run_instances": 1.5,
    "describe_instances": 0.15,
    "terminate_instances": 0.3,
    "transact_write_items": 0.025,
    "query": 0.015,
    "get_item": 0.006,
    "update_item": 0.008,
    "put_item": 0.008,
    "list_objects_v2": 0.05,
    "put_object": 0.04,
}
"""Seconds of one call, from experience within one region and not measured here; any other call: 0.03."""
INVOCATION_S = 0.03
READERS = 8
"""Objects the gateway reads at a time (`jobmanager.aws`)."""
LAMBDA_GB, LAMBDA_USD_PER_GB_S, LAMBDA_USD_PER_REQUEST = 0.5, 0.0000166667, 0.20e-6
CALL_USD = {
    "put_object": 5e-6,
    "list_objects_v2": 5e-6,
    "get_object": 0.4e-6,
    "head_object": 0.4e-6,
    "transact_write_items": 0,
    "get_item": 0.125e-6,
    "query": 2 * 0.125e-6,
    "update_item": 2 * 0.625e-6,
    "put_item": 0.625e-6,
    "publish": 0.5e-6,
}
"""List prices, us-east-1, from general knowledge; DynamoDB on demand, rows of up to 2 KB."""
ITEM_USD = 2 * 0.625e-6
"""One row of up to 1 KB in a transaction."""


def control_plane_of_one_job(datasets: int = 10, minutes: int = 60) -> Mapping[str, Any]:
    """What the functions of one job cost at list prices: each call in memory has an assumed latency and price."""
    platform = memory_platform()
    keys = platform.upload([f"{k:05d}.csv" for k in range(datasets)])
    event = platform.submission(dataname=keys)
    bill = _Bill(platform)
    bill.invoke("submit", lambda: platform.deliver(event))
    for instance in platform.instances:
        for state in ("pending", "running"):
            bill.invoke("monitor", partial(platform.change, instance, state))
    for _ in range(minutes):
        platform.clock.advance(minutes=1)
        bill.invoke("sweeper", lambda: sweep(platform.services))
    for instance, key in zip(platform.instances, keys, strict=True):
        platform.report(instance, job="job__kalman-lds_1", label=key.rpartition("/")[2])
        platform.vanish(instance)
        for state in ("shutting-down", "terminated"):
            bill.invoke("monitor", partial(platform.change, instance, state))
    if not platform.result("job__kalman-lds_1", "end").startswith("SUCCEEDED"):
        raise RuntimeError(platform.result("job__kalman-lds_1", "end"))
    return {
        "datasets": datasets,
        "minutes": minutes,
        "Lambda seconds": {name: round(seconds, 2) for name, seconds in bill.seconds.items()},
        "Lambda GB-seconds": round(LAMBDA_GB * sum(bill.seconds.values()), 2),
        "calls": dict(bill.calls),
        "USD": round(bill.usd, 6),
    }


class _Bill:
    """Adds up seconds, calls and dollars by function."""

    def __init__(self, platform: FakePlatform) -> None:
        self.platform, self.usd = platform, 0.0
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.rows = 0
        backend = platform.session.backend
        tables = backend("dynamodb")
        counted = _Counted(tables, self)
        platform.session.backend = lambda service: counted if service == "dynamodb" else backend(service)

    def invoke(self, function: str, act: Callable[[], object]) -> None:
        before, rows = len(self.platform.session.calls), self.rows
        act()
        made = [operation for _, operation in self.platform.session.calls[before:]]
        seconds = INVOCATION_S + sum(map(_latency_s, _side_by_side(made)))
        self.seconds[function] += seconds
        self.calls[function] += len(made)
        self.usd += LAMBDA_USD_PER_REQUEST + seconds * LAMBDA_GB * LAMBDA_USD_PER_GB_S
        self.usd += sum(CALL_USD.get(operation, 0) for operation in made) + (self.rows - rows) * ITEM_USD


def _latency_s(operation: str) -> float:
    return LATENCY_S.get(operation, 0.03)


def _side_by_side(made: Sequence[str]) -> Iterator[str]:
    """The calls that wait for each other: reports are read several at a time."""
    for operation, run in groupby(made):
        count = sum(1 for _ in run)
        yield from [operation] * (-(-count // READERS) if operation == "get_object" and count > 2 else count)


class _Counted:
    """A DynamoDB client that counts the rows of transactions."""

    def __init__(self, tables: Any, bill: _Bill) -> None:
        self._tables, self._bill = tables, bill

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._tables, operation)

        def counted(**arguments: Any) -> Any:
            self._bill.rows += len(arguments.get("TransactItems", ()))
            return call(**arguments)

        return counted


def calls_of_large_jobs() -> Mapping[str, Any]:
    """AWS calls and wall seconds of the submit function on AWS in memory, by number of datasets."""
    found = {}
    for count in (1, 10, 100, 1000, 10_000):
        platform = memory_platform()
        platform.deploy(deployLimit=count, maxCostUsd="1000000")
        event = platform.submission(dataname=platform.upload([f"{k:05d}.csv" for k in range(count)]))
        platform.services = platform.fresh_services()
        platform.session.calls.clear()
        began = time.perf_counter()
        platform.deliver(event)
        seconds = time.perf_counter() - began
        found[str(count)] = {"calls": len(platform.session.calls), "seconds": round(seconds, 2)}
    return found
