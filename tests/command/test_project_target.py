"""Where a command acts: options, environment, running local clouds; and that secrets stay out of texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ncap_iac.errors import CloudError, UsageError
from ncap_iac.local.cloud_record import CloudRecord, write_record
from ncap_iac.local.filelock import exclusive
from ncap_iac.local.paths import places
from ncap_iac.target import Choice, Target, resolve_target


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"NEUROCAAS_HOME": str(tmp_path)}


@pytest.fixture
def running(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A cloud as other processes see it: its record, and its lock held."""
    place = places(environment, tmp_path).cloud("default")
    place.folder.mkdir(parents=True)
    record = CloudRecord("default", 1, "http://127.0.0.1:4566", "eu-central-1", "000000000000", "AKIA", "hush", 0.0)
    write_record(place.record, record)
    with exclusive(place.lock, timeout_s=1.0):
        yield "default"


def test_the_local_cloud_is_the_default(environment: dict[str, str], tmp_path: Path, running: str) -> None:
    target = resolve_target(Choice(), environment, tmp_path)
    assert (target.cloud, target.endpoint_url, target.region) == (running, "http://127.0.0.1:4566", "eu-central-1")
    assert target.is_plain_http
    assert target.options() == ()


def test_a_secret_is_in_no_text_of_a_target(environment: dict[str, str], tmp_path: Path, running: str) -> None:
    assert "hush" not in repr(resolve_target(Choice(), environment, tmp_path))


def test_a_record_without_a_process_behind_it_is_no_running_cloud(environment: dict[str, str], tmp_path: Path) -> None:
    place = places(environment, tmp_path).cloud("default")
    place.folder.mkdir(parents=True)
    write_record(place.record, CloudRecord("default", 1, "http://x", "us-east-1", "0", "a", "b", 0.0))
    with pytest.raises(CloudError, match="not running"):
        resolve_target(Choice(), environment, tmp_path)


def test_the_environment_may_name_the_cloud_and_an_option_wins(environment: dict[str, str], tmp_path: Path) -> None:
    environment["NCAP_CLOUD"] = "second"
    with pytest.raises(CloudError, match="'second'"):
        resolve_target(Choice(), environment, tmp_path)
    with pytest.raises(CloudError, match="'third'"):
        resolve_target(Choice(cloud="third"), environment, tmp_path)
    assert resolve_target(Choice(aws=True), environment, tmp_path).cloud is None


@pytest.mark.parametrize(
    ("choice", "name", "options"),
    [
        (Choice(aws=True), "AWS", ("--aws",)),
        (Choice(profile="lab"), "AWS (profile lab)", ("--profile", "lab")),
        (Choice(endpoint_url="https://s3.lab"), "endpoint https://s3.lab", ("--endpoint-url", "https://s3.lab")),
    ],
)
def test_elsewhere_is_chosen_by_any_of_its_options(
    choice: Choice, name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    target = resolve_target(choice, {}, tmp_path)
    assert (target.name, target.options(), target.cloud) == (name, options, None)


def test_contradictions_and_nonsense_are_refused(tmp_path: Path) -> None:
    for choice in (Choice(cloud="a", aws=True), Choice(endpoint_url="localhost:4566"), Choice(cloud="../a")):
        with pytest.raises(UsageError):
            resolve_target(choice, {"NEUROCAAS_HOME": str(tmp_path)}, tmp_path)


def test_tls_is_known_from_the_endpoint() -> None:
    assert not Target("x", endpoint_url="https://x").is_plain_http
    assert not Target("x").is_plain_http
