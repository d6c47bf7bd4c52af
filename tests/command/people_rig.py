"""A project with people in two profiles, written the way people write JSON: odd spacing, one text for a list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.cli import main

LAB = """{
    "UXData": {
        "Affiliates": [
            {
                "AffiliateName": "lab",
                "UserNames": [
                    "ada",
                    "grace"
                ],
                "Pipelines":   ["kalman-lds", "pmd"],
                "KeySerialNumber": "3",
                "ContactEmail": {"ada": "ada@example.org", "grace": "grace@example.org"},
                "Budget": 100
            },
            {
                "AffiliateName": "lab2", "UserNames": "edsger", "Pipelines": "pmd"
            }
        ]
    }
}
"""


def make_project(root: Path, folder: Path) -> Path:
    """A project with the repository's documents and one more profile, `lab`."""
    for name in ("ncap_blueprints", "user_profiles"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "protocols").mkdir()
    (folder / "user_profiles" / "lab").mkdir()
    (folder / "user_profiles" / "lab" / "user_config_template.json").write_text(LAB)
    return folder


class People:
    """The command line in such a project."""

    def __init__(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.project = project
        self.capsys = capsys

    def path(self, profile: str = "lab") -> Path:
        return self.project / "user_profiles" / profile / "user_config_template.json"

    def text(self, profile: str = "lab") -> str:
        return self.path(profile).read_bytes().decode()

    def group(self, name: str, profile: str = "lab") -> dict[str, Any]:
        groups: list[dict[str, Any]] = json.loads(self.text(profile))["UXData"]["Affiliates"]
        return next(group for group in groups if group["AffiliateName"] == name)

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The answer, or the error, as JSON."""
        assert main([*words[:2], "--output", "json", *words[2:]]) == code
        shown = self.capsys.readouterr()
        document: dict[str, Any] = json.loads(shown.out) if shown.out else json.loads(shown.err.splitlines()[-1])
        return document

    def refused(self, *words: str, code: int = 2) -> dict[str, str]:
        """The error of a command that must not change any profile."""
        before = {path: path.read_bytes() for path in self.project.rglob("*.json")}
        error: dict[str, str] = self.run(*words, code=code)["error"]
        assert {path: path.read_bytes() for path in self.project.rglob("*.json")} == before
        return error
