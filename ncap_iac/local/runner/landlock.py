"""The rung for computers that forbid namespaces: the kernel refuses files outside the machine's own (Landlock).

It takes away rights, it changes no view: the machine still sees the host's processes and names of files. Since the
host's power tools would be reachable by their full path, they are the one exception to "system programs may run".
"""

from __future__ import annotations

import os
from pathlib import Path

from ncap_iac.local.runner import linux
from ncap_iac.local.runner.order import Order
from ncap_iac.local.runner.view import DEVICES, graphics_devices

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_FOLDER = 1 << 3
_FIRST_VERSION = (1 << 13) - 1
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_REFER_SINCE = 2
_TRUNCATE_SINCE = 3
_SCOPES_SINCE = 6
_SCOPES = 0b11
"""No abstract sockets and no signals to processes outside the machine."""

_NETWORK_SINCE = 4
_CONNECT = 1 << 1
"""To a TCP port; other protocols and listening are not Landlock's business."""

_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_POWER_TOOLS = frozenset(
    ("busctl", "dbus-send", "gdbus", "halt", "init", "loginctl", "poweroff", "reboot", "runlevel", "shutdown")
) | {"systemctl", "telinit"}
_PROGRAM_FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_SHARED_WRITABLE = ("/dev/shm",)
"""Semaphores of Python's multiprocessing live there."""


def enter_landlock(order: Order) -> None:
    """From now on the calling process, which can gain no privilege any more, has only what the order names.

    Raises OSError where the kernel has no Landlock.
    """
    version = linux.landlock_version()
    if version == 0:
        raise OSError(38, "this kernel has no Landlock")
    everything = _FIRST_VERSION
    everything |= _REFER if version >= _REFER_SINCE else 0
    everything |= _TRUNCATE if version >= _TRUNCATE_SINCE else 0
    if order.ports is not None and version < _NETWORK_SINCE:
        raise OSError(38, "this kernel's Landlock knows no network")
    network = 0 if order.ports is None else _CONNECT
    ruleset = linux.landlock_ruleset(everything, _SCOPES if version >= _SCOPES_SINCE else 0, network)
    for port in order.ports or ():
        linux.landlock_allow_port(ruleset, port, _CONNECT)
    for path in _outermost({bind.source for bind in order.readable}):
        _allow_reading(ruleset, path)
    _allow(ruleset, "/proc", _READ_FILE | _READ_FOLDER)
    for path in (*DEVICES, *graphics_devices(), order.power):
        if Path(path).exists():
            _allow(ruleset, path, everything & (_READ_FILE | _WRITE_FILE | _TRUNCATE | _READ_FOLDER))
    for path in (order.folder, order.temporary, *_SHARED_WRITABLE):
        _allow(ruleset, path, everything)
    linux.landlock_enforce(ruleset)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    if Path(path).exists():
        linux.landlock_allow(ruleset, path, rights if Path(path).is_dir() else rights & _ON_FILES)


def _outermost(paths: set[str]) -> list[str]:
    """Without those that lie below another of them."""
    return sorted(path for path in paths if not any(path.startswith(f"{other}/") for other in paths))


def _allow_reading(ruleset: int, path: str) -> None:
    """Read and run all below; in folders of programs, run each but the power tools.

    Links need no rule: what counts is the file they lead to.
    """
    rights = _EXECUTE | _READ_FILE | _READ_FOLDER
    if not any(folder == path or folder.startswith(f"{path}/") for folder in _PROGRAM_FOLDERS):
        _allow(ruleset, path, rights)
        return
    _allow(ruleset, path, _READ_FILE | _READ_FOLDER)
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _allow_reading(ruleset, entry.path)
            elif entry.is_file(follow_symlinks=False) and entry.name not in _POWER_TOOLS:
                linux.landlock_allow(ruleset, entry.path, _EXECUTE)
