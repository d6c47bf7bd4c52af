"""Measurements that need no cloud: start of the command, bundle, imports, compilation, calls of a submission."""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from typing import Any

from tests.stories.laboratory import ROOT

REPEATS = 15


def _seconds(*words: str) -> float:
    """Median wall time of a process, after one run that fills the caches."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def help_time() -> Mapping[str, Any]:
    """`ncap --help` against an interpreter that does nothing."""
    bare = _seconds(sys.executable, "-c", "pass")
    ours = _seconds(sys.executable, "-m", "ncap_iac", "--help")
    return {
        "ncap --help ms": round(ours * 1000),
        "bare interpreter ms": round(bare * 1000),
        "ratio": round(ours / bare, 1),
    }


def bundle_size() -> Mapping[str, Any]:
    """The zip that runs in Lambda."""
    from ncap_compiler import bundle_files
    from ncap_iac.project import bundle_sources

    bundle = bundle_files(bundle_sources(ROOT / "protocols"))
    return {"bundle KB": round(len(bundle.data) / 1000)}


def import_time() -> Mapping[str, Any]:
    """CPU of importing the submit protocol beyond boto3, from the unpacked bundle: sources without bytecode."""
    from ncap_compiler import bundle_files
    from ncap_iac.project import bundle_sources

    sdk = "import boto3; s = boto3.Session(region_name='us-east-1'); [s.client(n) for n in ('s3', 'ec2', 'dynamodb')]"
    timed = "a = time.process_time(); {}; print(time.process_time() - a)"
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(bundle_files(bundle_sources(ROOT / "protocols")).data)).extractall(folder)

        def cpu(code: str) -> float:
            command = [sys.executable, "-B", "-c", f"import sys, time; sys.path.insert(0, {folder!r}); {code}"]
            runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(7)]
            return statistics.median(float(run) for run in runs)

        own = cpu(f"{sdk}; {timed.format('import submit_start')}")
        boto = cpu(timed.format(sdk))
    return {
        "own import CPU ms": round(own * 1000),
        "boto3 and clients CPU ms": round(boto * 1000),
        "ratio": round(own / boto, 2),
    }


def call_counts() -> Mapping[str, Any]:
    """AWS calls the job manager makes for one submission, and per instance event."""
    # The job manager's sources and moto's settings, as pytest gives them to the tests.
    sys.path[:0] = [str(ROOT / "protocols")]
    os.environ.update(AWS_DEFAULT_REGION="us-east-1", AWS_REGION="us-east-1", MOTO_EC2_LOAD_DEFAULT_AMIS="false")
    os.environ.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    from tests.fakes.platform import deployed_platform

    found: dict[str, Any] = {}
    for count in (1, 10, 100, 1000):
        with deployed_platform() as fake:
            names = [f"d{number}.csv" for number in range(count)]
            keys = fake.upload(names)
            event = fake.submission(dataname=keys)
            fake.services = fake.fresh_services()
            fake.session.calls.clear()
            fake.deliver(event)
            found[f"calls to submit {count}"] = len(fake.session.calls)
    return found
