"""How busy the graphics processors are, as ``nvidia-smi`` prints it. Without that program nothing is claimed."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading

EVERY_S = 2
"""One long-lived ``nvidia-smi`` that prints every few seconds costs far less than starting it for each sample."""

QUERY = ("--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits", f"--loop={EVERY_S}")


class GraphicsMeter:
    """Reads the utilization of all processors of the machine until it is closed."""

    def __init__(self, *, path: str | None = None) -> None:
        """``path``: where to look for the program (default: PATH)."""
        self._busy: dict[str, float] = {}
        self._process: subprocess.Popen[str] | None = None
        program = shutil.which("nvidia-smi", path=path or os.environ.get("PATH"))
        if program is None:
            return
        try:
            self._process = subprocess.Popen(
                [program, *QUERY],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        except OSError:
            return
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def percent(self) -> float | None:
        """Mean over the processors, 0 to 100; None without any."""
        values = tuple(self._busy.values())
        return sum(values) / len(values) if values else None

    def close(self) -> None:
        """End the program."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            index, _, value = line.partition(",")
            try:
                self._busy[index.strip()] = float(value)
            except ValueError:
                # "[N/A]": this processor does not tell.
                continue
