"""Measurements of the in-instance tool: its start, what following a chatty job costs, its transfers."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.stories.laboratory import ROOT, Laboratory

PROTOCOLS = ROOT / "protocols"
REPEATS = 15
HOUR_S = 3600
TICK_S = 0.5
LINE = b"x" * 99 + b"\n"
LINES_PER_S = 100
SMALL_FILES = 1000


def tool_start() -> Mapping[str, Any]:
    """`neurocaas-contrib workflow get-datapath` against an interpreter that does nothing, wall and CPU."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.csv").write_text("1\n")
        environ = {**os.environ, "HOME": folder, "PYTHONPATH": str(PROTOCOLS)}
        tool = [sys.executable, "-m", "workflow.cli", "workflow"]
        for words in (["initialize-job", "-p", folder], ["register-dataset", "-l", f"{folder}/x.csv"], ["get-data"]):
            subprocess.run([*tool, *words], env=environ, check=True, capture_output=True)
        ours, ours_cpu = _start([*tool, "get-datapath"], environ)
        bare, bare_cpu = _start([sys.executable, "-c", "pass"], environ)
    return {
        "get-datapath ms": round(1000 * ours),
        "bare interpreter ms": round(1000 * bare),
        "own overhead ms": {"wall": round(1000 * (ours - bare)), "CPU": round(1000 * (ours_cpu - bare_cpu))},
    }


def _start(words: list[str], environ: Mapping[str, str]) -> tuple[float, float]:
    """Median wall and CPU seconds of a process, after one run that fills the caches."""
    walls, cpus = [], []
    for _ in range(REPEATS + 1):
        began, before = time.perf_counter(), os.times()
        subprocess.run(words, env=environ, check=True, capture_output=True)
        after = os.times()
        walls.append(time.perf_counter() - began)
        cpus.append(after[2] + after[3] - before[2] - before[3])
    return statistics.median(walls[1:]), statistics.median(cpus[1:])


def log_streaming() -> Mapping[str, Any]:
    """Requests and bytes of one hour of status, by what a job prints; and the CPU that sampling usage takes."""
    return {
        "10 kB/s in lines of 100 bytes": _hour(lambda second: LINE * LINES_PER_S),
        "one line a minute": _hour(lambda second: LINE if second % 60 == 0 else b""),
        "a progress bar, 10 states a second": _hour(lambda second: b"\r" + b"\r".join([LINE[:-1]] * 10)),
        "silence": _hour(lambda second: b""),
        "sampling usage once a second, % of a core": _sampling_percent(),
    }


def _hour(printed: Callable[[int], bytes]) -> str:
    """One hour on a clock of its own: the reporter as it is, a bucket that counts."""
    sys.path[:0] = [str(PROTOCOLS)] if str(PROTOCOLS) not in sys.path else []
    from workflow.failure import Outcome
    from workflow.reporter import Clocks, Reporter
    from workflow.status import About
    from workflow.usage import UsageMeter

    sizes: list[int] = []
    began = datetime.now(UTC)
    now_s = 0.0
    clocks = Clocks(lambda: now_s, lambda: began + timedelta(seconds=now_s), time.sleep)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.txt")
        log.touch()
        about = About("i-0", "command", "input", 1, "environment", "isolation")

        def put(body: bytes) -> None:
            sizes.append(len(body))

        def say(text: str) -> None:
            sys.stderr.write(text + "\n")

        reporter = Reporter(about, log, put=put, put_resources=put, clocks=clocks, say=say)
        meter = UsageMeter(0, folder=Path(folder), cores=1, clock=clocks.monotonic, proc=Path(folder))
        reporter.watch(meter)
        with log.open("ab", buffering=0) as output:
            for tick in range(int(HOUR_S / TICK_S)):
                now_s = tick * TICK_S
                if now_s == int(now_s):
                    output.write(printed(int(now_s)))
                reporter.tick()
                time.sleep(0.001)  # the thread that writes is on real time
        reporter.finish(Outcome(0))
    return f"{len(sizes)} PUT, {sum(sizes) / 1e6:.1f} MB"


def _sampling_percent(samples: int = 100) -> float:
    from workflow.usage import UsageMeter

    with tempfile.TemporaryDirectory() as folder:
        meter = UsageMeter(os.getsid(0), folder=Path(folder), cores=1, clock=time.monotonic)
        meter.sample()
        began = time.process_time()
        for _ in range(samples):
            meter.sample()
        return round(100 * (time.process_time() - began) / samples, 2)


def transfers(laboratory: Laboratory) -> Mapping[str, Any]:
    """1 x 1 GB and 1,000 x 100 kB by the tool and by `aws s3 cp`, each way, through the local cloud."""
    record = laboratory.record()
    laboratory.client("s3").create_bucket(Bucket="transfers")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _make_files(place)
        environ = {
            **os.environ,
            "HOME": folder,
            "PYTHONPATH": str(PROTOCOLS),
            "AWS_ENDPOINT_URL": record["endpoint"],
            "AWS_REGION": record["region"],
            "AWS_DEFAULT_REGION": record["region"],
            "AWS_ACCESS_KEY_ID": record["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": record["secret_access_key"],
        }

        def seconds(*words: str) -> float:
            began = time.perf_counter()
            subprocess.run(words, env=environ, cwd=place, check=True, capture_output=True)
            return time.perf_counter() - began

        def tool(*words: str) -> float:
            return seconds(sys.executable, "-m", "workflow.cli", "workflow", *words)

        aws = [str(Path(sys.executable).with_name("aws")), "s3", "cp"]
        tool("initialize-job", "-p", folder)
        tool("register-dataset", "-b", "transfers", "-k", "g/results/job/process_results/big.bin")
        tool("register-resultpath", "-b", "transfers", "-k", "results/job")
        found = {"1 GB up": (tool("put-result", "-r", "big.bin", "-d"), seconds(*aws, "big.bin", "s3://transfers/a"))}
        found["1 GB down"] = (tool("get-data", "-d"), seconds(*aws, "s3://transfers/a", "back"))
        found["1000 x 100 kB up"] = (
            tool("put-folder", "-r", "many"),
            seconds(*aws, "--recursive", "many", "s3://transfers/m/"),
        )
        tool("register-dataset", "-b", "transfers", "-k", "g/results/job/process_results/many/")
        found["1000 x 100 kB down"] = (
            tool("get-data", "-d"),
            seconds(*aws, "--recursive", "s3://transfers/m/", "back-many"),
        )
    return {
        name: f"{ours:.1f} s, aws s3 cp {theirs:.1f} s, ratio {ours / theirs:.2f}"
        for name, (ours, theirs) in found.items()
    }


def _make_files(place: Path) -> None:
    block = os.urandom(1 << 20)
    with (place / "big.bin").open("wb") as file:
        for _ in range(1000):
            file.write(block)
    (place / "many").mkdir()
    for number in range(SMALL_FILES):
        (place / "many" / f"{number:04}.bin").write_bytes(block[:100_000])
