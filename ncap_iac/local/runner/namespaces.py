"""The rung between bubblewrap and Landlock: an own file tree and process table in a user namespace, without any tool.

Called in a freshly forked child of the warden; on return the calling process is the machine's first. What the machine
sees: system and image read-only, its scratch and a private /tmp, few devices, its own processes; of the network the
host's, or a loopback of its own on which there is nothing but the cloud (`gate`).
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from ncap_iac.local.runner import linux
from ncap_iac.local.runner.gate import open_gate
from ncap_iac.local.runner.order import Order
from ncap_iac.local.runner.view import DEVICES, graphics_devices

_NAMESPACES = linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
_PRIVATE = linux.MS_NOSUID | linux.MS_NODEV
_HALF = 2
_HOST = "/.host"
"""Where the host's files are while the machine's root is built."""


def enter_network(order: Order, warden: socket.socket) -> None:
    """For a rung whose other namespaces a tool makes: a user and network namespace around it. Raises OSError."""
    user, group = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    _keep_identity(user, group)
    open_gate(order.ports or (), warden)


def enter_namespaces(order: Order, warden: socket.socket | None = None) -> None:
    """Returns once in the machine's first process; the processes that hold the namespaces never return.

    `warden`: where to send the sockets of the machine's own network, if it has one. Raises OSError where the system
    forbids one of the steps.
    """
    user, group = os.getuid(), os.getgid()
    linux.unshare(_NAMESPACES | (linux.CLONE_NEWNET if warden is not None else 0))
    _keep_identity(user, group)
    if warden is not None:
        open_gate(order.ports or (), warden)
    _fork_and_hold()  # only a child is inside the process namespace
    _build_root(order)
    linux.set_host_name(order.hostname)
    for capability in range(linux.LAST_CAPABILITY + 1):
        linux.drop_capability(capability)
    _fork_and_hold()  # the namespace's first process stays to reap; the machine's init is an ordinary process
    os.chdir(order.folder)


def _keep_identity(user: int, group: int) -> None:
    """In a new user namespace: be who one was."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _fork_and_hold() -> None:
    """Go on in a child; the parent waits for it, reaps whatever else ends, and exits as the child did."""
    child = os.fork()
    if child == 0:
        linux.die_with_parent(signal.SIGKILL)
        return
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _build_root(order: Order) -> None:
    """A root of what the order names, and nothing else of the host."""
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    # The host's /tmp serves as the place to mount on; once the root has changed it is uncovered again below _HOST.
    linux.mount("tmpfs", "/tmp", "tmpfs", _PRIVATE, "mode=755")
    Path(f"/tmp{_HOST}").mkdir()
    linux.change_root("/tmp", _HOST.lstrip("/"))
    os.umask(0o022)
    _make_devices(order.memory_bytes // _HALF)
    Path("/run").mkdir()
    Path("/proc").mkdir()
    linux.mount("proc", "/proc", "proc", _PRIVATE | linux.MS_NOEXEC)
    # What may be written comes first: an image or a scratch folder may itself lie below the host's /tmp.
    _bind(order.temporary, "/tmp")
    for bind in order.readable:
        _bind(bind.source, bind.target)
        linux.make_read_only(bind.target)
    _bind(os.path.realpath(order.folder), order.folder)
    linux.forget_mount(_HOST)
    Path(_HOST).rmdir()
    linux.make_read_only("/", below=False)


def _make_devices(shared_memory_bytes: int) -> None:
    Path("/dev/shm").mkdir(parents=True)
    for device in (*DEVICES, *graphics_devices(_HOST)):
        if Path(_HOST + device).exists():
            _bind(device, device)
    linux.mount("tmpfs", "/dev/shm", "tmpfs", _PRIVATE, f"mode=1777,size={shared_memory_bytes}")
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        Path(f"/dev/{name}").symlink_to(f"/proc/self/fd/{number}")
    Path("/dev/fd").symlink_to("/proc/self/fd")


def _bind(source: str, target: str) -> None:
    """Show a host path, free of symbolic links, at `target`."""
    place = Path(target)
    if Path(_HOST + source).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    linux.mount(_HOST + source, target, "", linux.MS_BIND | linux.MS_REC)
