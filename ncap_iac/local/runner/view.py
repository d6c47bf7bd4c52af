"""What of the host's files a machine sees, the same list for every rung. Looks at the disk, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ncap_iac.local.runner.order import Bind

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/sys")
"""Programs and libraries of the host. `/sys` tells numerical libraries about cores and caches."""

SYSTEM_SETTINGS = (
    *("alternatives", "ca-certificates", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "pki", "ssl"),
    *("group", "host.conf", "hosts", "nsswitch.conf", "passwd", "resolv.conf", "protocols", "services"),
    *("localtime", "timezone", "locale.alias", "mime.types", "os-release", "bash.bashrc", "profile"),
    *(f"python3.{minor}" for minor in range(11, 20)),
)
"""What of `/etc` programs need; the rest (keys, other services' settings) is not the machine's business."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
GRAPHICS_DEVICES = ("nvidia*", "dri", "kfd")
"""Patterns below `/dev`: GPUs are the machine's if the host has any."""


def system_view() -> Iterator[Bind]:
    """The host's system, read-only. A symbolic link is shown as what it points to."""
    for path in (*SYSTEM_FOLDERS, *(f"/etc/{name}" for name in SYSTEM_SETTINGS)):
        if Path(path).exists():
            yield Bind(os.path.realpath(path), path)


def interpreter_view(prefixes: Iterable[str]) -> Iterator[Bind]:
    """The Python installations a virtual environment points at, under the name it uses and under the real one."""
    shown = {bind.target for bind in system_view()}
    for prefix in prefixes:
        for target in dict.fromkeys((prefix, os.path.realpath(prefix))):
            inside = any(target == folder or target.startswith(f"{folder}/") for folder in shown)
            if Path(target).is_dir() and target != "/" and not inside:
                shown.add(target)
                yield Bind(os.path.realpath(target), target)


def graphics_devices(root: str = "") -> list[str]:
    """GPU device files and folders of the host whose file tree is at `root`, as the host names them."""
    found = (path for pattern in GRAPHICS_DEVICES for path in Path(f"{root}/dev").glob(pattern))
    return sorted(f"/dev/{path.name}" for path in found)
