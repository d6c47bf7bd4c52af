"""Disks that images were saved with: copies of the folder an instance writes to. Files only; no rule of EC2."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.local.runner.firmware import remove_tree


@dataclass(frozen=True)
class Disks:
    """The saved disks of one cloud."""

    folder: Path

    def save(self, name: str, scratch: Path) -> None:
        """Keep a copy of what is on an instance's disk. Raises OSError, and leaves nothing half done."""
        target = self.folder / name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copytree(scratch, target, symlinks=True, ignore=_without_channels)
        except (OSError, shutil.Error) as error:
            remove_tree(target)
            raise OSError(f"the disk could not be copied: {error}") from error

    def path(self, name: str) -> Path | None:
        """Where a disk is; None for the empty name, which stands for an empty disk."""
        return self.folder / name if name else None

    def remove(self, name: str) -> None:
        """Forget a disk."""
        if name:
            remove_tree(self.folder / name)


def _without_channels(folder: str, names: Sequence[str]) -> set[str]:
    """Sockets, pipes and devices are no contents of a disk."""
    kinds = {name: os.lstat(Path(folder, name)).st_mode for name in names}
    return {
        name for name, mode in kinds.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    }
