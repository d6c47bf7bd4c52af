"""Measurements in a running local cloud: what the platform adds to the work itself."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

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
