"""What the tests of machines share: a tiny sealed image, and a room whose reports can be waited for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ncap_iac.environments.manifest import Interpreter
from ncap_iac.environments.seal import seal_image
from ncap_iac.local.runner.isolation import Isolation
from ncap_iac.local.runner.machines import Machine, MachineRoom, free_bytes
from ncap_iac.local.runner.order import Report

GIB = 1024**3
DIGEST = "ab" * 32


def host_interpreter() -> Interpreter:
    return Interpreter(
        version=".".join(map(str, sys.version_info[:3])),
        executable=sys.executable,
        prefixes=(sys.base_prefix, sys.base_exec_prefix),
    )


def make_image(images: Path, name: str = "tiny", files: dict[str, str] | None = None) -> Path:
    """A sealed image: Python of the host, and whatever files are asked for."""
    folder = images / f"{DIGEST}-{name}"
    for place in ("env/bin", "tool/bin", "analysis"):
        (folder / place).mkdir(parents=True)
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    for place in ("env", "tool"):
        (folder / place / "bin" / "python").symlink_to(python)
    for path, text in (files or {}).items():
        (folder / path).write_text(text)
    seal_image(
        folder,
        name=name,
        recipe_digest=DIGEST,
        interpreter=host_interpreter(),
        platform="test",
        built="2026-01-01T00:00:00Z",
    )
    return folder


def wait_for(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class Room:
    """A machine room and everything it reported."""

    def __init__(
        self, folder: Path, image: Path, isolation: Isolation, *, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self.folder = folder
        self.image = image
        self.reports: list[tuple[str, Report]] = []
        self._arrived = threading.Condition()
        self.room = MachineRoom(folder, self._hear, isolation=lambda: isolation, free=free)

    def _hear(self, instance: str, report: Report) -> None:
        with self._arrived:
            self.reports.append((instance, report))
            self._arrived.notify_all()

    def boot(self, script: str, instance: str = "i-1", *, memory_bytes: int = GIB, core: int | None = None) -> None:
        self.room.boot(
            Machine(
                instance=instance,
                image=self.image,
                user_data=script.encode(),
                memory_bytes=memory_bytes,
                hostname="ip-172-31-0-1",
                environment={"AWS_REGION": "us-east-1"},
                core=core,
            )
        )

    def happened(self, instance: str = "i-1") -> list[str]:
        return [report.happened for name, report in self.reports if name == instance]

    def ended(self, instance: str = "i-1", timeout_s: float = 15.0) -> Report:
        """The machine's last report, once it has come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: "ended" in self.happened(instance), timeout_s), (
                "the machine did not end"
            )
        return next(report for name, report in self.reports if name == instance and report.happened == "ended")

    def console(self, instance: str = "i-1") -> str:
        return self.room.console(instance).decode(errors="replace")

    def run(self, script: str, *, memory_bytes: int = GIB) -> tuple[Report, str]:
        """Boot a machine, wait for its end: how it ended and what it printed."""
        self.boot(script, memory_bytes=memory_bytes)
        return self.ended(), self.console()
