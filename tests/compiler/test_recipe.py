"""Environment recipes and the digest that names an environment."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_compiler.errors import DocumentError
from ncap_compiler.recipe import Recipe, load_recipe, recipe_digest
from tests.compiler.documents import text

FILES = {"requirements.lock": b"numpy==2", "workflow.py": b"print()", "README.md": b"about"}
TOOL = {"workflow/boot.py": b"boot", "requirements.lock": b"boto3"}


def recipe_document(**changes: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 1,
        "name": "spikes",
        "python": ">=3.11,<3.15",
        "requirements": "requirements.lock",
        "workflow": ["python", "workflow.py"],
        "files": ["workflow.py"],
    } | changes


def load(**changes: Any) -> Recipe:
    return load_recipe(text(recipe_document(**changes)), file="recipe.json")


def test_equal_contents_have_one_digest_whatever_their_order_and_company() -> None:
    digest = recipe_digest(load(), FILES, TOOL)
    assert digest == recipe_digest(load(), dict(reversed(FILES.items())), dict(reversed(TOOL.items())))
    assert digest == recipe_digest(load(), FILES | {"notes.txt": b"not listed"}, TOOL)
    assert digest == recipe_digest(load(**{"$schema": "anywhere", "osPackages": [], "network": False}), FILES, TOOL)
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("files", "tool"),
    [
        (FILES | {"workflow.py": b"print(1)"}, TOOL),
        (FILES | {"requirements.lock": b"numpy==3"}, TOOL),
        (FILES, TOOL | {"workflow/boot.py": b"other"}),
        (FILES, TOOL | {"workflow/more.py": b""}),
    ],
)
def test_any_other_byte_is_another_environment(files: dict[str, bytes], tool: dict[str, bytes]) -> None:
    assert recipe_digest(load(), files, tool) != recipe_digest(load(), FILES, TOOL)


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"python": ">=3.12"}, {"network": True}, {"osPackages": ["ffmpeg"]}, {"resources": {"cpu": 2}}],
)
def test_any_other_field_is_another_environment(change: dict[str, Any]) -> None:
    assert recipe_digest(load(**change), FILES, TOOL) != recipe_digest(load(), FILES, TOOL)


def test_a_listed_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DocumentError, match=r"R202 `workflow\.py` is not where the recipe looks for it"):
        recipe_digest(load(), {"requirements.lock": b""}, TOOL)


@pytest.mark.parametrize("path", ["../x.py", "/etc/passwd", "a/../b", "a//b", "a\\b", "C:x", "./a"])
def test_a_path_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load(files=[path])
    assert [problem.id for problem in caught.value.problems] == ["R201"]


def test_mistakes_are_told_by_field() -> None:
    with pytest.raises(DocumentError) as caught:
        load(workflow="python workflow.py", schemaVersion=2, pyton="3")
    assert [(problem.id, problem.pointer) for problem in caught.value.problems] == [
        ("R104", "/schemaVersion"),
        ("R103", "/workflow"),
        ("R102", "/pyton"),
    ]


def test_shared_files_and_the_parameter_schema_count_in_the_digest() -> None:
    recipe = load(shared=["analysis_kit.py"], parameters=True)
    files = FILES | {"analysis_kit.py": b"kit", "parameters.schema.json": b"{}"}

    assert recipe.analysis_files == ("workflow.py", "analysis_kit.py", "parameters.schema.json")
    digest = recipe_digest(recipe, files, TOOL)
    assert recipe_digest(recipe, files | {"analysis_kit.py": b"other"}, TOOL) != digest
    assert recipe_digest(recipe, files | {"parameters.schema.json": b"[]"}, TOOL) != digest
    assert recipe_digest(load(), files, TOOL) == recipe_digest(load(), FILES, TOOL)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ["workflow.py", "analysis_kit.py"], "shared": ["analysis_kit.py"]},
        {"files": ["workflow.py", "parameters.schema.json"], "parameters": True},
    ],
)
def test_two_files_of_one_name_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="R203"):
        load(**changes)


@pytest.mark.parametrize("name", ["../kit.py", "folder/kit.py", "kit.txt", "a b.py"])
def test_a_shared_file_is_a_plain_module_name(name: str) -> None:
    with pytest.raises(DocumentError, match="R105"):
        load(shared=[name])
