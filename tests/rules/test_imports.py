"""Who may import whom: the architecture as a table."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = frozenset(sys.stdlib_module_names) | {"__future__"}

MAY_IMPORT = {
    "ncap_iac": {
        *("ncap_iac", "ncap_compiler", "boto3", "botocore", "s3transfer"),
        *("yaml", "rich", "uv", "jsonschema", "matplotlib"),
    },
    "utils/ncap_compiler": {"ncap_compiler", "troposphere", "jsonschema", "referencing"},
    "protocols": {"boto3", "botocore", "s3transfer", "yaml", "jobmanager", "workflow"},
    "experiments": {"numpy", "matplotlib", "yaml", "jsonschema", "experiments"},
}
"""Beside the standard library."""

IMPURE = {"os", "time", "random", "secrets", "uuid", "socket", "subprocess", "urllib.request", "http", "requests"}
"""What the compiler may not touch: environment, clock, randomness, network, processes."""


def modules(folder: str) -> Iterator[Path]:
    yield from sorted((ROOT / folder).rglob("*.py"))


def imported_names(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_part_imports_only_what_the_table_allows(folder: str) -> None:
    allowed = STDLIB | MAY_IMPORT[folder]
    siblings = {path.stem for path in (ROOT / folder).glob("*.py")} if folder == "protocols" else set()
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(folder)
        # The emulator's launcher runs inside the emulator's own virtual environment, never in ours.
        if path.name != "base_launcher.py"
        for name, line in imported_names(path)
        if name.split(".")[0] not in allowed | siblings
    ]
    assert found == []


def test_the_compiler_touches_no_environment_clock_randomness_or_network() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("utils/ncap_compiler")
        for name, line in imported_names(path)
        if name in IMPURE or name.split(".")[0] in IMPURE
    ]
    assert found == []


def test_the_job_manager_and_the_in_instance_tool_do_not_know_each_other() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for folder, other in (("protocols/jobmanager", "workflow"), ("protocols/workflow", "jobmanager"))
        for path in modules(folder)
        for name, line in imported_names(path)
        if name.split(".")[0] == other
    ]
    assert found == []


def test_only_the_gateway_of_the_job_manager_imports_boto3() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in [*modules("protocols/jobmanager"), *sorted((ROOT / "protocols").glob("*.py"))]
        for name, _ in imported_names(path)
        if name.split(".")[0] in {"boto3", "botocore"} and path.name != "aws.py"
    ]
    assert found == []


def test_nothing_that_ships_to_aws_says_local() -> None:
    """The protocols run unmodified on AWS: no branch, name or variable of theirs knows the local cloud."""
    words = ("local_cloud", "localcloud", "local cloud", "ministack", "localstack", "LOCAL_", "is_local", "NCAP_LOCAL")
    found = [
        f"{path.relative_to(ROOT)}:{number} {word}"
        for path in modules("protocols")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for word in words
        if word in line
    ]
    assert found == []
