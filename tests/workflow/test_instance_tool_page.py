"""The page on the in-instance tool: its commands run and print what it says, and it leaves none out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.workflow.rig import PROTOCOLS
from tests.workflow.test_contrib_conformance import commands
from workflow.cli import build_parser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "instance-tool.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_commands_of_the_page_work_and_print_what_it_says(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    tool = tools / "neurocaas-contrib"
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={PROTOCOLS} exec {sys.executable} -m workflow.cli "$@"\n')
    tool.chmod(0o755)
    environ = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path / "home")}
    environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1"
    (tmp_path / "home").mkdir()
    (tmp_path / "desk").mkdir()
    first, second = (
        subprocess.run(
            ["sh", "-e", "-c", script], cwd=tmp_path / "desk", env=environ, capture_output=True, text=True, check=False
        )
        for script in blocks("sh")
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith(blocks("text")[0])
    assert second.returncode == 0, second.stderr
    assert {"config.yaml", "result.csv", "update.txt"} <= set(second.stdout.split())
    assert {"DATASET_NAME:mice.csv_STATUS.txt", "DATASET_NAME:mice.csv_RESOURCES.json"} <= set(second.stdout.split())


def test_the_page_names_every_command() -> None:
    text = PAGE.read_text()
    missing = [words[-1] for words in commands(build_parser()) if words and f"`{words[-1]}" not in text]
    assert [name for name in missing if name not in ("workflow", "scripting")] == []
