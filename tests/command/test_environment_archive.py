"""The archive an AMI is built from: the same bytes for the same contents, and it really builds, out of itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from ncap_iac.environments.archive import make_archive
from ncap_iac.environments.contents import ArchiveError, Contents, pack, unpack
from ncap_iac.environments.install import program_text
from ncap_iac.environments.store import verify_image
from ncap_iac.local.runner.firmware import remove_tree

CONTENTS = Contents(
    name="tiny",
    digest="ab" * 32,
    python=">=3.11",
    os_packages=("ffmpeg",),
    network=False,
    lock=b"# nothing\n",
    analysis={"recipe.json": b'{"name": "tiny"}', "run.sh": b"#!/bin/sh\n", "models/weights.bin": bytes(range(256))},
    executables=frozenset({"run.sh"}),
    tool={
        "workflow/requirements.lock": b"",
        "workflow/__init__.py": b"",
        "workflow/boot.py": b"import os\ndef main():\n    print(os.environ['NEUROCAAS_IMAGE'])\n    return 3\n",
        "workflow/cli.py": b"def main():\n    return 0\n",
    },
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_tree(tmp_path / "opt")


def test_what_is_packed_is_unpacked() -> None:
    assert unpack(make_archive(CONTENTS).body) == CONTENTS


def test_equal_contents_give_equal_bytes_whatever_their_order() -> None:
    turned = replace(CONTENTS, analysis=dict(reversed(list(CONTENTS.analysis.items()))))
    assert make_archive(turned) == make_archive(CONTENTS)
    other = replace(CONTENTS, analysis={**CONTENTS.analysis, "run.sh": b"#!/bin/bash\n"})
    assert make_archive(other).sha256 != make_archive(CONTENTS).sha256


def test_an_archive_names_nobody_and_no_time() -> None:
    with tarfile.open(fileobj=BytesIO(make_archive(CONTENTS).body)) as archive:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in archive} == {(0, 0, 0, "")}


@pytest.mark.parametrize("body", [b"", b"not a tar", pack(CONTENTS, {})[:700]])
def test_what_is_no_archive_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(ArchiveError, match="not the archive of an environment"):
        unpack(body)


def test_paths_that_leave_the_archive_are_not_unpacked() -> None:
    body = pack(CONTENTS, {"analysis/../../etc/passwd": b"x", "/etc/shadow": b"x"})
    assert set(unpack(body).analysis) == set(CONTENTS.analysis)


def test_the_archive_builds_an_image_with_nothing_but_itself_and_uv(place: Path) -> None:
    archive = make_archive(CONTENTS)
    (place / "environment.tar").write_bytes(archive.body)
    with tarfile.open(place / "environment.tar") as opened:
        opened.extractall(place, filter="data")
    programs = place / "programs"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom ncap_iac.environments.install import main\n"
        f"sys.exit(main(['../environment.tar', {str(place / 'opt')!r}], os.environ, programs=Path({str(programs)!r})))"
    )
    # -P and the working folder: nothing of ncap's but what is in the archive.
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, '')\n{code}"],
        cwd=place / "builder",
        env={"PATH": os.environ["PATH"], "HOME": str(place), "UV_OFFLINE": "1", "PYTHONPATH": str(place / "builder")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    image = verify_image(place / "opt")
    assert image.environment == CONTENTS.environment
    assert (place / "opt" / "analysis" / "run.sh").stat().st_mode & 0o111
    ran = subprocess.run([str(programs / "neurocaas-boot")], env={"AWS_REGION": "x"}, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout.decode().strip()) == (3, str(place / "opt"))


def test_programs_of_an_ami_say_that_there_is_no_network_unless_the_recipe_asks() -> None:
    assert "HF_HUB_OFFLINE=1" in program_text("neurocaas-boot", Path("/opt/neurocaas"), network=False)
    assert "HF_HUB_OFFLINE" not in program_text("neurocaas-boot", Path("/opt/neurocaas"), network=True)
