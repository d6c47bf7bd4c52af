"""The command line that gives a machine bubblewrap's sandbox (bwrap(1)). Pure but for looking at what exists."""

from __future__ import annotations

import os

from ncap_iac.local.runner.order import Order
from ncap_iac.local.runner.view import graphics_devices


def bubblewrap_arguments(order: Order, program: list[str]) -> list[str]:
    """`bwrap … -- program`: the same view as the other rungs give, the caller's network, no capability."""
    tool = order.bubblewrap or "bwrap"
    separate = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", order.hostname]
    held = ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    view = ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--bind", order.temporary, "/tmp"]
    for device in graphics_devices():
        view += ["--dev-bind", device, device]
    for bind in order.readable:
        view += ["--ro-bind", bind.source, bind.target]
    view += ["--bind", os.path.realpath(order.folder), order.folder, "--chdir", order.folder]
    return [tool, *separate, *held, *view, "--", *program]
