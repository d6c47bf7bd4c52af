"""What the functions cost to start, and that they start from their environment alone."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import instance_monitor
import instance_sweeper
import submit_start
from tests.fakes.platform import FUNCTION, TABLE, VERSION_ID, FakePlatform, event_file

PROTOCOLS = Path(__file__).parents[2] / "protocols"


class _Context:
    invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}"
    function_name = FUNCTION


def test_importing_a_function_imports_neither_the_sdk_nor_yaml() -> None:
    code = (
        "import sys, submit_start, instance_monitor, instance_sweeper;"
        "print(sorted({'boto3', 'botocore', 'yaml', 'concurrent.futures', 'difflib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROTOCOLS, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.benchmark
def test_importing_a_function_costs_little_beyond_the_sdk(tmp_path: Path) -> None:
    code = (
        "import time, boto3; start = time.process_time(); import submit_start;"
        "print((time.process_time() - start) * 1000)"
    )
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PATH": os.environ["PATH"]}
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], cwd=PROTOCOLS, env=environment, capture_output=True, check=True
            ).stdout
        )
        for _ in range(6)
    ]
    assert min(runs) < 50


def test_the_handlers_run_from_their_environment(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_TABLE", TABLE)
    monkeypatch.setenv("ANALYSIS_BUCKET", "kalman-lds")
    monkeypatch.setenv("VERSION_ID", VERSION_ID)
    submit_start.handler_develop(platform.submission(dataname=[]), _Context())
    instance_monitor.handler(event_file("ec2_running"), _Context())
    instance_sweeper.handler(event_file("schedule"), _Context())
    assert platform.result("job__kalman-lds_1", "end").startswith("REJECTED")


def test_the_yaml_reader_is_the_pure_one() -> None:
    source = (PROTOCOLS / "jobmanager" / "config.py").read_text()
    loaders = {
        node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and "Loader" in node.attr
    }
    assert loaders == {"SafeLoader"}
    assert yaml.SafeLoader.__module__ == "yaml.loader"
