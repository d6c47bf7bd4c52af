"""Bundles: equal files give equal bytes; nothing leaves the root."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncap_compiler.bundle import bundle_files
from ncap_compiler.errors import DocumentError

PATHS = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}){0,2}\.py", fullmatch=True)


@given(st.dictionaries(PATHS, st.binary(max_size=200), max_size=5))
def test_equal_files_give_equal_bytes_and_come_out_as_they_went_in(files: dict[str, bytes]) -> None:
    bundle = bundle_files(files)
    assert bundle == bundle_files(dict(reversed(files.items())))
    assert bundle.sha256 == hashlib.sha256(bundle.data).hexdigest()
    with zipfile.ZipFile(io.BytesIO(bundle.data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.namelist() == sorted(files)


def test_dates_and_modes_do_not_depend_on_the_machine() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle_files({"a.py": b"x" * 1000}).data)) as archive:
        (entry,) = archive.infolist()
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert entry.external_attr >> 16 == 0o100644
    assert entry.compress_size < entry.file_size


@pytest.mark.parametrize("path", ["../a.py", "/a.py", "a/../../b", "", "a//b", "a\\b", "c:a", "a/.", "a\n", "x" * 513])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(DocumentError) as caught:
        bundle_files({path: b""})
    assert [problem.id for problem in caught.value.problems] == ["Z101"]


def test_names_that_differ_only_in_case_are_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        bundle_files({"A.py": b"", "a.py": b""})
    assert [problem.id for problem in caught.value.problems] == ["Z102"]
