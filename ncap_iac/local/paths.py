"""Where the local cloud keeps what it keeps. Names only: no folder is made here."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CLOUD_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_LONGEST_SOCKET_PATH = 100
"""Unix socket addresses hold 108 bytes on Linux and 104 on macOS, terminator included."""


class CloudNameError(ValueError):
    """A cloud's name that cannot be a folder and a host label everywhere."""


@dataclass(frozen=True)
class Places:
    """The two roots of docs/contracts.md section 7: what is kept, and what can be made again."""

    data: Path
    cache: Path

    @property
    def images(self) -> Path:
        """Built environments, one folder each, shared by all clouds."""
        return self.cache / "images"

    @property
    def base(self) -> Path:
        """The emulator's virtual environments, one folder a lock file."""
        return self.cache / "base"

    @property
    def uv(self) -> Path:
        """The package cache."""
        return self.cache / "uv"

    @property
    def clouds(self) -> Path:
        """All local clouds."""
        return self.data / "clouds"

    def cloud(self, name: str) -> CloudPlaces:
        """One cloud's places. Raises CloudNameError."""
        if not _CLOUD_NAME.fullmatch(name):
            raise CloudNameError(
                f"cloud name {name!r}: use 1 to 31 of a-z, 0-9 and '-', beginning with a letter or digit"
            )
        return CloudPlaces(self.clouds / name)


@dataclass(frozen=True)
class CloudPlaces:
    """What is in one cloud's folder."""

    folder: Path

    @property
    def record(self) -> Path:
        """Who runs it and how to reach it; only while it runs."""
        return self.folder / "cloud.json"

    @property
    def keys(self) -> Path:
        """The root credentials; they live as long as the cloud's data."""
        return self.folder / "root.json"

    @property
    def store(self) -> Path:
        """The edge's own state."""
        return self.folder / "edge.db"

    @property
    def log(self) -> Path:
        """What the edge says."""
        return self.folder / "edge.log"

    @property
    def lock(self) -> Path:
        """Held by the running cloud."""
        return self.folder / "lock"

    @property
    def base(self) -> Path:
        """The emulator's state and log."""
        return self.folder / "base"

    @property
    def instances(self) -> Path:
        """One folder an instance."""
        return self.folder / "instances"

    @property
    def socket(self) -> Path:
        """Where the emulator listens: in the cloud's folder, or, where that path is too long, in a private folder."""
        near = self.base / "base.sock"
        if len(bytes(near)) <= _LONGEST_SOCKET_PATH:
            return near
        short = hashlib.sha256(bytes(near)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"neurocaas-{short}" / "base.sock"


def places(environment: Mapping[str, str], home: Path) -> Places:
    """The roots: `NEUROCAAS_HOME` above all, else the XDG folders, else their defaults below `home`.

    XDG Base Directory Specification 0.8: relative paths in the variables are ignored.
    """
    own = environment.get("NEUROCAAS_HOME", "")
    if own:
        root = Path(own).expanduser().absolute()
        return Places(data=root, cache=root / "cache")
    data = Path(environment.get("XDG_DATA_HOME", ""))
    cache = Path(environment.get("XDG_CACHE_HOME", ""))
    return Places(
        data=(data if data.is_absolute() else home / ".local" / "share") / "neurocaas",
        cache=(cache if cache.is_absolute() else home / ".cache") / "neurocaas",
    )
