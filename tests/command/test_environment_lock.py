"""Locks: what they say of themselves, when they are in date, and what may not be in them. A real uv, no network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from ncap_compiler.errors import DocumentError
from ncap_iac.deploy.image_upkeep import check_lock, lock
from ncap_iac.deploy.images import ImageMaker
from ncap_iac.environments.source import read_source
from ncap_iac.errors import DocumentProblemsError, NcapError, UsageError
from ncap_iac.progress import Event
from ncap_iac.project import Project


def make_wheel(folder: Path, name: str, version: str) -> None:
    """A package of one module, as an index would have it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},{_record_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)


def _record_digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


@pytest.fixture
def maker(tmp_path: Path) -> ImageMaker:
    folder = tmp_path / "ncap_blueprints" / "tiny" / "environment"
    folder.mkdir(parents=True)
    recipe = {"schemaVersion": 1, "name": "tiny", "python": ">=3.11,<3.15", "requirements": "requirements.lock"}
    (folder / "recipe.json").write_text(json.dumps(recipe | {"workflow": ["python", "w.py"], "files": ["w.py"]}))
    (folder / "w.py").write_text("print(1)\n")
    (folder / "requirements.in").write_text("# what the analysis imports\nncaptoy\n")
    (tmp_path / "protocols" / "workflow").mkdir(parents=True)
    (tmp_path / "protocols" / "workflow" / "requirements.lock").write_text("")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "ncaptoy", "1.0")
    environ = {"PATH": os.environ["PATH"], "UV_FIND_LINKS": str(wheels), "UV_OFFLINE": "1"}
    environ |= {"NEUROCAAS_HOME": str(tmp_path / "home"), "PIP_CONFIG_FILE": "/dev/null"}
    said: list[Event] = []
    return ImageMaker(Project(tmp_path), environ, tmp_path, said.append, lambda: 0.0)


def folder_of(maker: ImageMaker) -> Path:
    return maker.project.root / "ncap_blueprints" / "tiny"


def lock_of(maker: ImageMaker) -> str:
    return (folder_of(maker) / "environment" / "requirements.lock").read_text()


def test_a_lock_has_hashes_and_names_neither_paths_nor_indexes(maker: ImageMaker, tmp_path: Path) -> None:
    assert lock(maker, folder_of(maker), upgrade=False).changed
    text = lock_of(maker)
    assert text.startswith("# Locked by ncap from requirements.in (sha256 ")
    assert "ncaptoy==1.0" in text
    assert "--hash=sha256:" in text
    assert str(tmp_path) not in text
    assert "index" not in text
    assert "find-links" not in text


def test_locking_again_changes_nothing_although_there_is_a_later_version(maker: ImageMaker, tmp_path: Path) -> None:
    lock(maker, folder_of(maker), upgrade=False)
    before = lock_of(maker)
    make_wheel(tmp_path / "wheels", "ncaptoy", "2.0")
    assert not lock(maker, folder_of(maker), upgrade=False).changed
    assert lock_of(maker) == before
    assert lock(maker, folder_of(maker), upgrade=True).changed
    assert "ncaptoy==2.0" in lock_of(maker)


def test_a_lock_is_in_date_until_its_requirements_change(maker: ImageMaker) -> None:
    lock(maker, folder_of(maker), upgrade=False)
    check_lock(maker, folder_of(maker))
    path = folder_of(maker) / "environment" / "requirements.in"
    path.write_text(path.read_text() + "another\n")
    with pytest.raises(NcapError, match="not that of the requirements"):
        check_lock(maker, folder_of(maker))


def test_a_lock_is_out_of_date_when_the_range_of_pythons_changes(maker: ImageMaker) -> None:
    lock(maker, folder_of(maker), upgrade=False)
    recipe = folder_of(maker) / "environment" / "recipe.json"
    recipe.write_text(recipe.read_text().replace(">=3.11,<3.15", ">=3.12,<3.15"))
    with pytest.raises(NcapError, match="not that of the requirements"):
        check_lock(maker, folder_of(maker))


def test_a_lock_without_our_head_is_held_against_what_would_be_locked(maker: ImageMaker) -> None:
    lock(maker, folder_of(maker), upgrade=False)
    path = folder_of(maker) / "environment" / "requirements.lock"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    check_lock(maker, folder_of(maker))
    path.write_text("# nothing\n")
    with pytest.raises(NcapError, match="not that of the requirements"):
        check_lock(maker, folder_of(maker))


def test_requirements_that_are_missing_are_asked_for(maker: ImageMaker) -> None:
    (folder_of(maker) / "environment" / "requirements.in").unlink()
    with pytest.raises(UsageError, match="no such file"):
        lock(maker, folder_of(maker), upgrade=False)


@pytest.mark.parametrize("name", ["caiman", "YASS", "yass==0.9", "Caiman >= 1"])
def test_names_of_other_projects_are_refused_before_they_are_locked(maker: ImageMaker, name: str) -> None:
    (folder_of(maker) / "environment" / "requirements.in").write_text(f"{name}\n")
    with pytest.raises(DocumentProblemsError, match="R204"):
        lock(maker, folder_of(maker), upgrade=False)


def test_a_lock_that_names_another_project_is_no_recipe(maker: ImageMaker, tmp_path: Path) -> None:
    path = folder_of(maker) / "environment" / "requirements.lock"
    path.write_text(f"numpy==2 \\\n    --hash=sha256:{'0' * 64}\ncaiman==0.1 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(DocumentError, match=r"caiman.*MicroPython"):
        read_source(folder_of(maker) / "environment", tmp_path / "protocols")


def test_a_project_named_by_url_may_have_any_name(maker: ImageMaker, tmp_path: Path) -> None:
    path = folder_of(maker) / "environment" / "requirements.lock"
    path.write_text("caiman @ https://example.org/caiman-1.12.tar.gz\nyass-algorithm==0.9\n")
    assert read_source(folder_of(maker) / "environment", tmp_path / "protocols").recipe.name == "tiny"


def test_two_builds_in_two_places_install_the_same_files(maker: ImageMaker, tmp_path: Path) -> None:
    lock(maker, folder_of(maker), upgrade=False)
    hashes = []
    for place in ("here", "quite/somewhere/else"):
        environ = {**maker.environment, "NEUROCAAS_HOME": str(tmp_path / place)}
        other = ImageMaker(maker.project, environ, tmp_path, maker.report, maker.clock)
        write_tool(tmp_path)
        image = other.build(folder_of(maker))
        hashes.append(json.loads((image.folder / "manifest.json").read_text())["files"])
    assert hashes[0] == hashes[1]
    version = f"python3.{sys.version_info.minor}"
    assert any(name.startswith(f"env/lib/{version}/site-packages/__pycache__/ncaptoy") for name in hashes[0])


def write_tool(root: Path) -> None:
    for name in ("__init__", "boot", "cli"):
        (root / "protocols" / "workflow" / f"{name}.py").write_text("def main():\n    return 0\n")
