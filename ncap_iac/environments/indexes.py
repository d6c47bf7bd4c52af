"""Where packages come from: the user's uv and pip settings, as environment variables that uv reads.

uv does not read pip's settings, and a laboratory's mirror is mostly named there. Reads pip's configuration files,
writes nothing, talks to nobody. Whatever an index serves, the lock's hashes decide what is installed.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "APPDATA", "LOCALAPPDATA"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CC", "CXX", "CFLAGS", "LDFLAGS"),
)
_PASSED_PREFIXES = ("UV_", "LC_", "XDG_")
"""Building a package runs its code: it gets what it needs, and no credentials of other services."""

_NOT_PASSED = ("UV_PYTHON", "UV_PROJECT", "UV_CACHE_DIR", "UV_LINK_MODE", "UV_VENV_", "UV_SYSTEM_PYTHON", "UV_TARGET")
_CHANGES_THE_RESULT = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_NO_DEPS", "UV_REQUIRE_HASHES", "UV_NO_VERIFY")

_PIP_CONFIG_SECTIONS = ("global", "install")
_FROM_PIP = {
    "index-url": ("UV_DEFAULT_INDEX", ("UV_INDEX_URL",)),
    "extra-index-url": ("UV_INDEX", ("UV_EXTRA_INDEX_URL",)),
    "find-links": ("UV_FIND_LINKS", ()),
    "no-index": ("UV_NO_INDEX", ()),
    "cert": ("SSL_CERT_FILE", ()),
    "trusted-host": ("UV_INSECURE_HOST", ()),
}
"""pip's setting; uv's variable for it; other variables that say the same."""

_SEPARATORS = {"UV_FIND_LINKS": ","}


def installer_environment(environ: Mapping[str, str], *, home: Path, prefix: Path) -> dict[str, str]:
    """The environment variables for uv. `home`: the user's; `prefix`: of the running Python (its `pip.conf` counts)."""
    passed = {name: value for name, value in environ.items() if _is_passed(name)}
    settings = {**_pip_files(environ, home, prefix), **_pip_variables(environ)}
    for name, (variable, others) in _FROM_PIP.items():
        values = [value for value in settings.get(name, "").split() if not _is_missing_folder(value)]
        if values and not any(passed.get(known) for known in (variable, *others)):
            passed[variable] = _SEPARATORS.get(variable, " ").join(values)
            if variable == "UV_INDEX":
                # pip takes the best of all indexes, uv the first that has the name; hashes make the former safe.
                passed.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return passed


def _is_passed(name: str) -> bool:
    if name.startswith((*_NOT_PASSED, *_CHANGES_THE_RESULT)):
        return False
    return name.upper() in _PASSED or name.startswith(_PASSED_PREFIXES)


def _pip_variables(environ: Mapping[str, str]) -> dict[str, str]:
    found = {name: environ.get(f"PIP_{name.upper().replace('-', '_')}", "") for name in _FROM_PIP}
    return {name: value for name, value in found.items() if value}


def _pip_files(environ: Mapping[str, str], home: Path, prefix: Path) -> dict[str, str]:
    """Settings of pip's configuration files; later files win (pip's documentation, "Configuration")."""
    found: dict[str, str] = {}
    for path in _pip_file_names(environ, home, prefix):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in _PIP_CONFIG_SECTIONS:
            if parser.has_section(section):
                found.update({name: value for name, value in parser.items(section) if name in _FROM_PIP})
    return found


def _pip_file_names(environ: Mapping[str, str], home: Path, prefix: Path) -> Iterator[Path]:
    chosen = environ.get("PIP_CONFIG_FILE", "")
    if chosen == "/dev/null":
        return
    settings = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield settings / "pip" / "pip.conf"
    yield prefix / "pip.conf"
    if chosen:
        yield Path(chosen)


def _is_missing_folder(value: str) -> bool:
    """A local folder that is not there: pip passes over it, uv would stop."""
    parts = urlsplit(value)
    if parts.scheme == "file":
        return not Path(unquote(parts.path)).exists()
    return value.startswith("/") and not Path(value).exists()
