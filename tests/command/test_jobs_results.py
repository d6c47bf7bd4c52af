"""Downloading results and following logs; above all: no key names a path outside the chosen folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncap_iac import progress
from ncap_iac.errors import UsageError
from ncap_iac.job.jobs import JobReader
from ncap_iac.job.results import LogFollower, download_results, log_text, relative_names, safe_path
from tests.command.bucket import REF, Bucket

ESCAPES = [
    "../escaped",
    "a/../../escaped",
    "/absolute",
    "a//b",
    "./a",
    "a/.",
    "..",
    "..\\escaped",
    "\\\\server\\share",
    "nul\0byte",
    "",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_leads_out_has_no_path(tmp_path: Path, name: str) -> None:
    assert safe_path(tmp_path / "results", name) is None


@pytest.mark.parametrize("name", ["a.npy", "folder/a.npy", "..a", "a..b/c", "with blank", "größe", "-rf", "a:b"])
def test_an_honest_name_has_a_path_below_the_folder(tmp_path: Path, name: str) -> None:
    assert safe_path(tmp_path, name) == tmp_path / name


def test_a_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    folder, outside = tmp_path / "results", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "target")
    assert safe_path(folder, "link/a") is None
    assert safe_path(folder, "file") is None


def test_results_keep_their_tree(bucket: Bucket, tmp_path: Path) -> None:
    for name in ("a.npy", "plots/a.png", "update.txt", "end.txt", "empty/"):
        bucket.job(f"process_results/{name}", name)
    bucket.job("logs/certificate.txt", "not a result")
    fetched = download_results(REF, bucket.objects, tmp_path / "to", report=progress.silent)
    assert relative_names(fetched) == ["a.npy", "end.txt", "plots/a.png", "update.txt"]
    assert (tmp_path / "to" / "plots" / "a.png").read_text() == "plots/a.png"
    assert fetched.refused == ()


def test_whatever_the_keys_say_nothing_is_written_outside(bucket: Bucket, tmp_path: Path) -> None:
    keys = [f"process_results/{name}" for name in ("../escaped", "a/../../escaped", "/absolute", "a\\b")]
    for key in keys:
        bucket.job(key, "evil")
    bucket.job("process_results/good", "good")
    folder = tmp_path / "deep" / "results"
    fetched = download_results(REF, bucket.objects, folder, report=progress.silent)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "good"]
    assert sorted(fetched.refused) == sorted(f"{REF.prefix}/{key}" for key in keys)


def test_a_file_and_a_folder_of_one_name_are_told_not_crashed_on(bucket: Bucket, tmp_path: Path) -> None:
    bucket.job("process_results/a/b", "in the folder")
    bucket.job("process_results/a", "the file")
    fetched = download_results(REF, bucket.objects, tmp_path, report=progress.silent)
    assert len(fetched.files) + len(fetched.refused) == 2
    assert len(fetched.refused) == 1


def test_a_folder_that_cannot_be_written_is_a_usage_error(bucket: Bucket, tmp_path: Path) -> None:
    bucket.job("process_results/a", "x")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError):
        download_results(REF, bucket.objects, tmp_path / "taken", report=progress.silent)


def test_logs_are_the_certificate_and_each_datasets_lines(bucket: Bucket) -> None:
    bucket.job("logs/certificate.txt", "CERTIFICATE\n")
    bucket.dataset("a.csv", lines=2)
    bucket.dataset("b.csv", "FAILED", lines=1)
    text = log_text(JobReader(bucket.objects, REF).status())
    assert text == "CERTIFICATE\n\n--- a.csv: IN PROGRESS ---\nline 1\nline 2\n\n--- b.csv: FAILED ---\nline 1"


def test_followed_lines_come_once_and_a_second_attempt_begins_again(bucket: Bucket) -> None:
    lines: list[str] = []
    follower = LogFollower(lambda event: lines.append(event.text) if isinstance(event, progress.Line) else None)
    reader = JobReader(bucket.objects, REF)
    for kept, attempt in ((2, 1), (3, 1), (3, 1), (1, 2)):
        bucket.dataset("a.csv", lines=kept, attempt=attempt)
        follower.see(reader.status())
    assert lines == ["line 1", "line 2", "line 3", "line 1"]


def test_followed_lines_of_several_datasets_tell_whose_they_are(bucket: Bucket) -> None:
    lines: list[str] = []
    follower = LogFollower(lambda event: lines.append(event.text) if isinstance(event, progress.Line) else None)
    bucket.dataset("a.csv", lines=1)
    bucket.dataset("b.csv", lines=1)
    follower.see(JobReader(bucket.objects, REF).status())
    assert lines == ["a.csv: line 1", "b.csv: line 1"]
