"""Images: built once from a recipe, sealed, checked, found, collected; with real virtual environments, no network."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ncap_compiler.errors import DocumentError
from ncap_iac.environments.build import BuildError, Workshop, build_image, image_folder_name
from ncap_iac.environments.manifest import ImageError
from ncap_iac.environments.source import Source, read_source
from ncap_iac.environments.store import (
    BootCheck,
    Image,
    check_for_boot,
    collect_garbage,
    find_image,
    list_images,
    load_image,
    remove_image,
    verify_image,
)
from ncap_iac.local.runner.firmware import remove_tree

WORKFLOW = "import sys\nprint('analysed', sys.argv[1])\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Recipe, tool, and images built by the tests of this module."""
    folder = tmp_path_factory.mktemp("workshop")
    write_project(folder)
    yield folder
    remove_tree(folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A workshop of one test's own."""
    write_project(tmp_path)
    yield tmp_path
    remove_tree(tmp_path / "images")


@pytest.fixture
def image(shared: Path, tmp_path: Path) -> Iterator[Image]:
    """A sound image to spoil."""
    built = build_image(source_in(shared), workshop_in(shared))
    folder = tmp_path / built.folder.name
    shutil.copytree(built.folder, folder, symlinks=True)
    yield load_image(folder)
    remove_tree(folder)


def write_project(folder: Path) -> None:
    recipe = {
        "schemaVersion": 1,
        "name": "tiny",
        "python": ">=3.11,<4",
        "requirements": "requirements.lock",
        "workflow": ["python", "workflow.py"],
        "files": ["workflow.py", "models/weights.bin"],
    }
    environment, tool = folder / "environment", folder / "protocols" / "workflow"
    (environment / "models").mkdir(parents=True)
    (environment / "recipe.json").write_text(json.dumps(recipe))
    (environment / "requirements.lock").write_text("# nothing\n")
    (environment / "workflow.py").write_text(WORKFLOW)
    (environment / "models" / "weights.bin").write_bytes(b"\0\1")
    (environment / "notes.txt").write_text("not part of it")
    tool.mkdir(parents=True)
    (tool / "requirements.lock").write_text("")
    (tool / "__init__.py").write_text("")
    for name in ("boot", "cli"):
        (tool / f"{name}.py").write_text(f"import sys\ndef main():\n    print('{name}', *sys.argv[1:])\n    return 3\n")


def source_in(folder: Path) -> Source:
    return read_source(folder / "environment", folder / "protocols")


def workshop_in(folder: Path, said: list[str] | None = None) -> Workshop:
    return Workshop(
        images=folder / "images",
        uv_cache=folder / "uv",
        environ={**os.environ, "UV_OFFLINE": "1"},
        home=folder,
        clock=time.time,
        say=(said if said is not None else []).append,
    )


def test_an_image_has_the_layout_of_the_contract(shared: Path) -> None:
    source = source_in(shared)
    image = build_image(source, workshop_in(shared))
    assert image.folder == shared / "images" / image_folder_name(source.digest)
    assert image.folder.name.startswith(f"{source.digest}-cp3")
    assert image.environment == f"iae:tiny@sha256:{source.digest}"
    names = {path.name for path in image.folder.iterdir()}
    assert names == {"env", "tool", "analysis", "manifest.json", "seal.json"}
    assert (image.folder / "analysis" / "workflow.py").read_text() == WORKFLOW
    assert not (image.folder / "analysis" / "notes.txt").exists()
    manifest = json.loads((image.folder / "manifest.json").read_text())
    assert manifest["recipe_digest"] == source.digest
    assert len(manifest["files"]["analysis/models/weights.bin"]) == 64


def test_the_interpreters_and_programs_of_an_image_run(shared: Path) -> None:
    image = build_image(source_in(shared), workshop_in(shared))
    python = image.folder / "env" / "bin" / "python"
    script = str(image.folder / "analysis" / "workflow.py")
    assert subprocess.run([python, script, "x"], capture_output=True, text=True, check=True).stdout == "analysed x\n"
    for name, said in (("neurocaas-boot", "boot"), ("neurocaas-contrib", "cli")):
        program = [str(image.folder / "tool" / "bin" / name), "a b", "c"]
        done = subprocess.run(program, capture_output=True, text=True, check=False, env={"PYTHONPATH": "/nonsense"})
        assert (done.stdout, done.returncode) == (f"{said} a b c\n", 3)


def test_the_tool_is_compiled_since_an_image_cannot_be_written_to(shared: Path) -> None:
    image = build_image(source_in(shared), workshop_in(shared))
    assert list(image.folder.glob("tool/lib/python3*/site-packages/workflow/__pycache__/boot.*.pyc"))


def test_nothing_in_an_image_may_be_written(shared: Path) -> None:
    image = build_image(source_in(shared), workshop_in(shared))
    writable = [
        path
        for path in (image.folder, *image.folder.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    ]
    assert writable == []


def test_the_second_build_does_nothing(shared: Path) -> None:
    first = build_image(source_in(shared), workshop_in(shared))
    said: list[str] = []
    again = build_image(source_in(shared), workshop_in(shared, said))
    assert again == first
    assert said == []


def test_another_file_is_another_environment(place: Path) -> None:
    before = source_in(place)
    (place / "environment" / "models" / "weights.bin").write_bytes(b"\0\2")
    assert source_in(place).digest != before.digest
    before = source_in(place)
    (place / "protocols" / "workflow" / "boot.py").write_text("# other\n")
    assert source_in(place).digest != before.digest
    before = source_in(place)
    (place / "environment" / "notes.txt").write_text("still not part of it")
    assert source_in(place).digest == before.digest


def test_a_file_the_recipe_names_must_be_there(place: Path) -> None:
    (place / "environment" / "workflow.py").unlink()
    with pytest.raises(DocumentError, match=r"workflow\.py"):
        source_in(place)


def test_an_image_is_found_by_its_digest_with_size_and_date(shared: Path) -> None:
    image = build_image(source_in(shared), workshop_in(shared))
    images = shared / "images"
    assert find_image(images, f"sha256:{image.seal.recipe_digest}") == image
    assert find_image(images, "0" * 64) is None
    (listed,) = list_images(images)
    assert listed.seal.size_bytes > 0
    assert listed.seal.built.endswith("+00:00")
    assert list_images(shared / "no such folder") == []


def change(path: Path, text: str) -> None:
    """As an owner who insists."""
    path.chmod(0o644)
    path.write_text(text)


def test_a_changed_file_is_found_by_boot_check_and_verification(image: Image) -> None:
    verify_image(image.folder)
    change(image.folder / "analysis" / "workflow.py", WORKFLOW.replace("analysed", "forged!!"))
    for check in (check_for_boot, verify_image):
        with pytest.raises(ImageError, match=r"analysis/workflow\.py was changed"):
            check(image.folder)


def test_a_forged_time_deceives_the_boot_check_but_not_verification(image: Image) -> None:
    path = image.folder / "analysis" / "workflow.py"
    times = path.stat()
    change(path, WORKFLOW.replace("analysed", "forged!!"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    check_for_boot(image.folder)
    with pytest.raises(ImageError, match="was changed"):
        verify_image(image.folder)


def test_an_added_and_a_missing_file_are_found(image: Image) -> None:
    folder = image.folder / "analysis"
    folder.chmod(0o755)
    (folder / "extra.py").write_text("")
    (folder / "workflow.py").unlink()
    with pytest.raises(ImageError, match=r"analysis/extra\.py was added; analysis/workflow\.py is missing"):
        check_for_boot(image.folder)


def test_a_link_that_points_elsewhere_is_found(image: Image) -> None:
    link = image.folder / "env" / "bin" / "python"
    link.parent.chmod(0o755)
    link.unlink()
    link.symlink_to("/bin/sh")
    with pytest.raises(ImageError, match="env/bin/python was changed"):
        verify_image(image.folder)


def test_a_sound_image_is_not_looked_at_again_for_some_seconds(image: Image) -> None:
    now = [0.0]
    check = BootCheck(clock=lambda: now[0])
    check(image.folder)
    change(image.folder / "analysis" / "workflow.py", "other")
    now[0] = 9.0
    check(image.folder)
    now[0] = 11.0
    with pytest.raises(ImageError):
        check(image.folder)


def test_a_broken_image_is_built_again(place: Path) -> None:
    image = build_image(source_in(place), workshop_in(place))
    change(image.folder / "analysis" / "workflow.py", "forged")
    said: list[str] = []
    again = build_image(source_in(place), workshop_in(place, said))
    assert verify_image(again.folder).folder == image.folder
    assert any("not as it was sealed" in text for text in said)


def test_a_python_outside_the_recipes_range_is_refused_in_words(place: Path) -> None:
    source = source_in(place)
    old = replace(source, recipe=replace(source.recipe, python=">=3.7,<3.9"))
    with pytest.raises(BuildError, match=r"asks for Python >=3\.7,<3\.9, and ncap runs on 3\."):
        build_image(old, workshop_in(place))


def test_a_package_that_cannot_be_had_is_told_and_nothing_is_left(place: Path) -> None:
    lock = f"no-such-package-of-neurocaas==1.0 --hash=sha256:{'0' * 64}\n"
    (place / "environment" / "requirements.lock").write_text(lock)
    with pytest.raises(BuildError, match="no-such-package-of-neurocaas"):
        build_image(source_in(place), workshop_in(place))
    assert list_images(place / "images") == []
    assert [path.name for path in (place / "images").iterdir() if path.is_dir()] == []


def test_a_requirement_without_a_hash_is_refused(place: Path) -> None:
    (place / "environment" / "requirements.lock").write_text("numpy==2.4.6\n")
    with pytest.raises(BuildError, match="must have a hash"):
        build_image(source_in(place), workshop_in(place))


def test_two_builds_at_a_time_make_one_image(place: Path) -> None:
    found: list[Path] = []
    said: list[str] = []

    def build() -> None:
        found.append(build_image(source_in(place), workshop_in(place, said)).folder)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert said.count("sealing the image") == 1


def test_what_killed_builds_left_is_collected_after_a_day(place: Path) -> None:
    image = build_image(source_in(place), workshop_in(place))
    left = place / "images" / ".building-abc"
    (left / "image").mkdir(parents=True)
    (left / "image").chmod(0o500)
    assert collect_garbage(place / "images") == []
    assert collect_garbage(place / "images", clock=lambda: time.time() + 25 * 3600) == [left]
    assert check_for_boot(image.folder)


def test_a_removed_image_is_gone(place: Path) -> None:
    image = build_image(source_in(place), workshop_in(place))
    remove_image(image.folder)
    assert not image.folder.exists()
    assert list_images(place / "images") == []


def test_a_folder_without_a_seal_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no sealed image is here"):
        check_for_boot(tmp_path)
    (tmp_path / "seal.json").write_text("{}")
    with pytest.raises(ImageError, match="not readable"):
        check_for_boot(tmp_path)


def test_an_image_names_the_python_it_needs(shared: Path) -> None:
    image = build_image(source_in(shared), workshop_in(shared))
    prefixes = [Path(prefix) for prefix in image.seal.interpreter.prefixes]
    python = (image.folder / "env" / "bin" / "python").resolve()
    assert any(python.is_relative_to(prefix.resolve()) for prefix in prefixes)
    assert image.seal.interpreter.version == ".".join(map(str, sys.version_info[:3]))
