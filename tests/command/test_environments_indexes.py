"""Where packages come from: the user's uv settings as they are, pip's in uv's words; and Python ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncap_iac.environments.indexes import installer_environment
from ncap_iac.environments.python_range import satisfies

NO_FILES = {"PIP_CONFIG_FILE": "/dev/null"}


def made(environ: dict[str, str], home: Path = Path("/none")) -> dict[str, str]:
    return installer_environment(environ, home=home, prefix=Path("/none"))


def test_pips_index_becomes_uvs() -> None:
    environ = {"PIP_INDEX_URL": "https://mirror/simple", "PIP_EXTRA_INDEX_URL": "https://a/s https://b/s"}
    found = made({**environ, **NO_FILES})
    assert found["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert found["UV_INDEX"] == "https://a/s https://b/s"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"


@pytest.mark.parametrize("own", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_uvs_own_setting_wins(own: str) -> None:
    found = made({own: "https://uv/simple", "PIP_INDEX_URL": "https://pip/simple", **NO_FILES})
    assert found[own] == "https://uv/simple"
    assert "https://pip/simple" not in found.values()


def test_proxies_and_certificates_are_passed_on_and_credentials_are_not() -> None:
    passed = {
        "SSL_CERT_FILE": "/c.pem",
        "https_proxy": "http://p:1",
        "NO_PROXY": "x",
        "UV_HTTP_TIMEOUT": "9",
        "PATH": "/bin",
    }
    secret = {"AWS_SECRET_ACCESS_KEY": "s", "GITHUB_TOKEN": "t", "VIRTUAL_ENV": "/v", "PYTHONPATH": "/p"}
    assert made({**passed, **secret, **NO_FILES}) == passed


CHANGING = ["UV_OVERRIDE", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_PYTHON", "UV_LINK_MODE", "UV_PROJECT"]


@pytest.mark.parametrize("name", CHANGING)
def test_settings_that_would_change_the_image_are_not_passed_on(name: str) -> None:
    assert name not in made({name: "x", **NO_FILES})


def test_pips_configuration_files_count_below_its_variables(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "pip"
    folder.mkdir(parents=True)
    (folder / "pip.conf").write_text(
        "[global]\nindex-url = https://file/simple\ncert = /no/such.pem\n"
        "[install]\nfind-links =\n    /tmp\n    /no/such/folder\n"
    )
    found = made({}, home=tmp_path)
    assert found["UV_DEFAULT_INDEX"] == "https://file/simple"
    assert found["UV_FIND_LINKS"] == "/tmp"
    assert "SSL_CERT_FILE" not in found, "a certificate file that is not there would break every download"
    assert made({"PIP_INDEX_URL": "https://variable/simple"}, home=tmp_path)["UV_DEFAULT_INDEX"] == (
        "https://variable/simple"
    )


def test_a_broken_pip_configuration_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url = outside any section\n")
    assert "UV_DEFAULT_INDEX" not in made({"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}, home=tmp_path)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (">=3.11,<3.15", True),
        (">=3.12", False),
        ("<3.11.5", False),
        ("==3.11.*", True),
        ("!=3.11.*", False),
        ("==3.11", False),
        ("==3.11.7", True),
        ("~=3.11", True),
        ("~=3.11.9", False),
        ("~=3.9", True),
        (">3.11", True),
        ("<=3.11", False),
        ("", True),
    ],
)
def test_a_python_range_is_read_as_packaging_says(wanted: str, holds: bool) -> None:
    assert satisfies((3, 11, 7), wanted) is holds


def test_an_unreadable_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a version range"):
        satisfies((3, 11, 7), ">=three")
