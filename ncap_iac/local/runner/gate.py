"""The one way out of a machine without a network: from its own loopback to the cloud, and nowhere else.

The machine makes listening sockets in its network namespace, on the ports the cloud has outside, and hands them to its
warden; a socket stays in the namespace it was made in, whoever accepts on it. Runs in threads of the warden and copies
in the kernel (splice(2)): what passes costs no copy of ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Sequence

_FLAGS_OF_INTERFACE = 0x8914
"""SIOCSIFFLAGS, netdevice(7)."""
_UP_AND_RUNNING = 0x41
_AT_ONCE = 1 << 20
_BACKLOG = 128
_MOST_PORTS = 8
_LOOPBACK = "127.0.0.1"


def open_gate(ports: Sequence[int], warden: socket.socket) -> None:
    """In the machine's new network namespace: bring up its loopback, listen on `ports`, give the sockets away.

    Raises OSError where the system forbids one of it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, _FLAGS_OF_INTERFACE, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
    listeners = []
    for port in ports[:_MOST_PORTS]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((_LOOPBACK, port))
        listener.listen(_BACKLOG)
        listeners.append(listener)
    socket.send_fds(warden, [b"g"], [listener.fileno() for listener in listeners])
    for listener in listeners:
        listener.close()


def keep_gate(machine: socket.socket) -> None:
    """In the warden: wait for the machine's sockets, then pass on what comes, each port to the same one outside."""
    threading.Thread(target=_keep, args=(machine,), name="gate", daemon=True).start()


def _keep(machine: socket.socket) -> None:
    with machine, contextlib.suppress(OSError):
        _, sockets, _, _ = socket.recv_fds(machine, 1, _MOST_PORTS)
        for number in sockets:
            listener = socket.socket(fileno=number)
            threading.Thread(target=_accept, args=(listener,), name="gate", daemon=True).start()


def _accept(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    while True:
        try:
            inside, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_pass_on, args=(inside, port), name="gate", daemon=True).start()


def _pass_on(inside: socket.socket, port: int) -> None:
    with inside:
        try:
            outside = socket.create_connection((_LOOPBACK, port))
        except OSError:
            return
        with outside:
            for end in (inside, outside):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_copy, args=(outside, inside), name="gate", daemon=True)
            back.start()
            _copy(inside, outside)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until the source says no more; then the target is told so."""
    reading, writing = os.pipe()
    try:
        while count := os.splice(source.fileno(), writing, _AT_ONCE):
            while count:
                count -= os.splice(reading, target.fileno(), count)
    except OSError:
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
    finally:
        os.close(reading)
        os.close(writing)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
