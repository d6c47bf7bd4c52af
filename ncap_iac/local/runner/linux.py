"""The Linux calls Python 3.11 lacks, one thin function each. Decides nothing; safe to import on any system.

Numbers are from the kernel's user headers (`linux/prctl.h`, `linux/sched.h`, `linux/mount.h`, `linux/landlock.h`).
System calls made by number here (400 and above) have one number on all architectures.
"""

from __future__ import annotations

import ctypes
import functools
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

CAP_SYS_BOOT = 22
LAST_CAPABILITY = 63
"""The highest number a capability set can hold; a kernel refuses those it does not know."""

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446
_RULE_OF_PORT = 2
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_MNT_DETACH = 2


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _LandlockRuleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _LandlockPort(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _LandlockPathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    """A C library function that answers -1 on failure. Raises OSError."""
    function = getattr(_library(), name, None)
    if function is None:
        raise OSError(38, f"this system has no {name}")
    answer = int(function(*arguments))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return answer


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this signal to the calling process when its parent ends."""
    _call("prctl", _PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent ends become children of the calling process, not of the system's init."""
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def forbid_gaining_privileges() -> None:
    """No later exec gains a privilege (set-uid files, file capabilities)."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capability(number: int) -> None:
    """No later exec holds this capability; a caller that may not drop it has none to lose."""
    try:
        _call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)
    except OSError:
        return


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`. Raises OSError where the system forbids it."""
    _call("unshare", flags)


def set_host_name(name: str) -> None:
    """The name of the machine inside its namespace. Raises OSError."""
    _call("sethostname", name.encode(), ctypes.c_size_t(len(name.encode())))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    try:
        _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({source} on {target})") from None


def make_read_only(target: str, *, below: bool = True) -> None:
    """A mount, and those below it, refuse writes; their other flags stay (mount_setattr(2), Linux 5.12)."""
    wanted = _MountAttributes(attr_set=_MOUNT_ATTR_RDONLY)
    _call(
        "syscall",
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        target.encode(),
        ctypes.c_uint(_AT_RECURSIVE if below else 0),
        ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
    )


def change_root(folder: str, former: str) -> None:
    """`folder`, a mount point, becomes the root; the former root is seen below it at `former`, a path in `folder`."""
    os.chdir(folder)
    _call("pivot_root", b".", former.encode())
    os.chdir("/")


def forget_mount(target: str) -> None:
    """A mount and all below it are out of sight at once."""
    _call("umount2", target.encode(), _MNT_DETACH)


def landlock_version() -> int:
    """The Landlock version of this kernel; 0 without it."""
    try:
        return _call("syscall", ctypes.c_long(_SYS_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0


def landlock_ruleset(rights: int, scopes: int, network: int = 0) -> int:
    """A file descriptor of an empty rule set that governs these rights. Raises OSError."""
    attributes = _LandlockRuleset(handled_access_fs=rights, handled_access_net=network, scoped=scopes)
    # A kernel refuses fields it does not know unless they are zero, so the size may always be the whole structure.
    return _call(
        "syscall",
        ctypes.c_long(_SYS_LANDLOCK_CREATE_RULESET),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
        ctypes.c_uint(0),
    )


def landlock_allow(ruleset: int, path: str, rights: int) -> None:
    """Allow rights on a file, or on a folder and all below it. Raises OSError."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _LandlockPathBeneath(allowed_access=rights, parent_fd=place)
        _call(
            "syscall",
            ctypes.c_long(_SYS_LANDLOCK_ADD_RULE),
            ctypes.c_int(ruleset),
            ctypes.c_int(1),
            ctypes.byref(rule),
            ctypes.c_uint(0),
        )
    finally:
        os.close(place)


def landlock_allow_port(ruleset: int, port: int, rights: int) -> None:
    """Allow rights on a TCP port, whatever the address. Raises OSError."""
    rule = _LandlockPort(allowed_access=rights, port=port)
    _call(
        "syscall",
        ctypes.c_long(_SYS_LANDLOCK_ADD_RULE),
        ctypes.c_int(ruleset),
        ctypes.c_int(_RULE_OF_PORT),
        ctypes.byref(rule),
        ctypes.c_uint(0),
    )


def landlock_enforce(ruleset: int) -> None:
    """From now on the calling thread and its children have only what the rule set allows. Raises OSError."""
    _call("syscall", ctypes.c_long(_SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0))
