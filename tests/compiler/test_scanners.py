"""cfn-lint with all its rules and checkov find nothing in any template that is not explained, with a reason, in a list.

checkov reads templates as they are written, where a condition hides a value from it; so the main ones are scanned a
second time as CloudFormation makes them when nobody gives a parameter (`*.defaults.json`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.compiler import compiled
from tests.compiler.iam import made
from tests.compiler.scanner import Finding, scan

EXCEPTIONS: list[dict[str, str]] = json.loads(Path(__file__).with_name("scanner_exceptions.json").read_text())
MADE = ("account", "post", "users")


def lint(paths: Iterable[Path]) -> tuple[Finding, ...]:
    """What cfn-lint says with every rule, the experimental and the informational too, for two regions."""
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [str(linter), "-e", "-c", "I", "-r", "us-east-1", "eu-central-1", "--format", "json", "--"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False)
    return tuple(
        Finding(
            found["Rule"]["Id"],
            Path(found["Filename"]).name,
            "/".join(map(str, found["Location"]["Path"] or ())),
            found["Message"],
        )
        for found in json.loads(done.stdout)
    )


def with_defaults(template: str) -> str:
    """A template without parameters and conditions: what is made when every parameter has its default."""
    document = json.loads(template)
    resources = {
        name: {part: value for part, value in resource.items() if part != "Condition"}
        for name, resource in made(template).items()
    }
    return json.dumps({"AWSTemplateFormatVersion": document["AWSTemplateFormatVersion"], "Resources": resources})


def is_explained(finding: Finding, exception: dict[str, str]) -> bool:
    return (
        finding.check == exception["check"]
        and fnmatch(finding.resource, exception["resources"])
        and fnmatch(finding.file, exception["where"])
    )


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, ...]:
    folder = tmp_path_factory.mktemp("templates")
    for name, template in compiled.every().items():
        (folder / f"{name}.json").write_text(template)
    for name in MADE:
        (folder / f"{name}.defaults.json").write_text(with_defaults(compiled.every()[name]))
    bad = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    (folder / "bad.json").write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Bad": bad}}))
    linted = [path for path in folder.glob("*.json") if ".defaults." not in path.name]
    with ThreadPoolExecutor(2) as both:
        scanned, said = both.submit(scan, folder), both.submit(lint, linted)
        return (*scanned.result(), *said.result())


def test_the_scanners_find_nothing_that_is_not_explained(findings: tuple[Finding, ...]) -> None:
    unexplained = [
        finding
        for finding in findings
        if finding.file != "bad.json" and not any(is_explained(finding, exception) for exception in EXCEPTIONS)
    ]
    assert unexplained == []


def test_the_scanners_do_find_what_is_wrong(findings: tuple[Finding, ...]) -> None:
    wrong = {finding.check for finding in findings if finding.file == "bad.json"}
    assert {"CKV_AWS_20", "CKV_AWS_53", "W3045"} <= wrong


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda exception: exception["check"])
def test_every_explanation_is_needed_and_has_a_reason(exception: dict[str, str], findings: tuple[Finding, ...]) -> None:
    assert re.fullmatch(r"[A-Z].{40,}\.", exception["reason"])
    assert any(is_explained(finding, exception) for finding in findings if finding.file != "bad.json")
