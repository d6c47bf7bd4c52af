"""The project around a folder, its documents, and what of it runs in Lambda."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncap_iac.errors import ProjectError, UsageError
from ncap_iac.project import Kind, bundle_sources, find_project, read_text


def make_project(root: Path) -> Path:
    for name in ("one", "two"):
        folder = root / "ncap_blueprints" / name
        folder.mkdir(parents=True)
        (folder / Kind.BLUEPRINT.file).write_text("{}")
    (root / "ncap_blueprints" / "empty").mkdir()
    (root / "protocols").mkdir()
    return root


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_project_is_found_from_any_folder_in_it(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    assert find_project(root).root == root
    assert find_project(root / "ncap_blueprints" / "one").root == root


def test_outside_a_project_the_error_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="ncap_blueprints") as caught:
        find_project(tmp_path)
    assert "--project" in caught.value.hint


def test_documents_are_named_by_folder_or_path(tmp_path: Path) -> None:
    project = find_project(make_project(tmp_path))
    path = tmp_path / "ncap_blueprints" / "one" / Kind.BLUEPRINT.file
    assert [document.parent.name for document in project.documents(Kind.BLUEPRINT)] == ["one", "two"]
    for name in ("one", str(path), str(path.parent)):
        assert project.document(Kind.BLUEPRINT, name) == path


def test_a_misspelt_name_gets_the_nearest_known_one(tmp_path: Path) -> None:
    project = find_project(make_project(tmp_path))
    with pytest.raises(ProjectError) as caught:
        project.document(Kind.BLUEPRINT, "twoo")
    assert "'two'" in caught.value.hint


@pytest.mark.parametrize("name", ["..", "../one", ".", ""])
def test_a_name_is_no_way_to_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    project = find_project(make_project(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ProjectError):
        project.document(Kind.BLUEPRINT, name)


def test_text_that_is_no_utf_8_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ok \xff")
    with pytest.raises(UsageError, match="byte 3"):
        read_text(tmp_path / "a")


def test_the_bundle_is_the_protocols_without_tool_tests_and_caches_and_with_pure_yaml(tmp_path: Path) -> None:
    for name in ("submit_start.py", "jobmanager/aws.py", "jobmanager/prices.json"):
        write(tmp_path / name)
    for name in ("workflow/boot.py", "tests/test_a.py", "jobmanager/__pycache__/aws.cpython-311.pyc", "README.md"):
        write(tmp_path / name)
    write(tmp_path / ".hidden" / "a.py")
    names = list(bundle_sources(tmp_path))
    own = [name for name in names if not name.startswith("yaml/")]
    assert own == ["jobmanager/aws.py", "jobmanager/prices.json", "submit_start.py"]
    assert "yaml/__init__.py" in names
    assert not [name for name in names if name.startswith("yaml/") and not name.endswith(".py")]
    assert names == sorted(names)


def test_the_real_bundle_is_small_and_the_same_every_time(project_root: Path) -> None:
    from ncap_compiler import bundle_files

    first, second = (bundle_files(bundle_sources(project_root / "protocols")) for _ in range(2))
    assert first.data == second.data
    assert len(first.data) < 300_000


def test_the_commit_is_known_in_a_repository_and_unknown_elsewhere(project_root: Path, tmp_path: Path) -> None:
    commit = find_project(project_root).commit()
    assert commit is None or len(commit) == 40
    assert find_project(make_project(tmp_path)).commit() is None
