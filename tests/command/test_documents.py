"""Documents are held against the code they name before anything is deployed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ncap_iac.documents import Compiled
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, Project


@pytest.fixture
def project(project_root: Path, tmp_path: Path) -> Project:
    for name in ("protocols", "ncap_blueprints"):
        shutil.copytree(project_root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "user_profiles").mkdir()
    return Project(tmp_path)


def test_a_handler_that_the_code_has_not_is_refused_with_its_place(project: Project) -> None:
    path = project.document(Kind.BLUEPRINT, "kalman-lds")
    document = json.loads(path.read_text())
    document["Lambda"] |= {"PostCodeUri": "../../protocols", "PostHandler": "postprocess.consensus"}
    path.write_text(json.dumps(document))

    with pytest.raises(UsageError) as refused:
        Compiled(project).analysis(path)

    assert "no function consensus" in refused.value.what
    assert str(path) in refused.value.where


def test_a_blueprint_whose_handlers_exist_compiles(project: Project) -> None:
    wanted = Compiled(project).analysis(project.document(Kind.BLUEPRINT, "kalman-lds"))

    assert wanted.version is not None
