"""Which packages of the operating system a recipe names are missing on this computer. Asks, installs nothing.

Names are those of Debian and Ubuntu, the systems AMIs are built on by default. A system without dpkg cannot be asked:
nothing counts as missing there, and the analysis's own sample shows what is.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence


def missing_packages(packages: Sequence[str], *, search_path: str | None = None) -> tuple[str, ...]:
    """Those that dpkg does not have as installed. `search_path`: where to look for it, PATH if not given."""
    tool = shutil.which("dpkg-query", path=search_path) if packages else None
    if tool is None:
        return ()
    done = subprocess.run(
        [tool, "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.removesuffix(" installed") for line in done.stdout.splitlines() if line.endswith(" installed")}
    return tuple(name for name in packages if name not in installed)
