"""The environment an instance was started from: where its folders are, how its workflow starts, what a child sees.

Layout: docs/contracts.md section 6. It must not reach S3.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow.usage import count_cores

DEFAULT_IMAGE = "/opt/neurocaas"

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

OUTCOME_VARIABLE = "NEUROCAAS_OUTCOME"
"""Names a file in which ``log-command`` leaves the exit code of a command that failed inside a legacy COMMAND."""

LABEL_VARIABLE = "NEUROCAAS_LABEL"
"""Tells ``put-result`` the name of the dataset within its job."""

FOLDER_VARIABLE = "NEUROCAAS_FOLDER"
"""Names the folder a dataset's results have of their own among those of its job."""

WHOLE_MACHINE = "a machine of its own"
"""What STATUS says of isolation when the machine does not say it itself."""

LINK_ABOVE_BYTES = 2**20
"""Files of the analysis above this (models, atlases) are linked into the working copy instead of copied."""


class ImageError(Exception):
    """The environment lacks what the launch asks for; the message names it."""


@dataclass(frozen=True)
class Folders:
    """The scratch of one attempt."""

    root: Path
    inputs: Path
    configs: Path
    results: Path
    analysis: Path
    temporary: Path
    log: Path


def make_folders(root: Path) -> Folders:
    """Create the scratch tree. Raises OSError."""
    folders = Folders(
        root=root,
        inputs=root / "inputs",
        configs=root / "configs",
        results=root / "results",
        analysis=root / "analysis",
        temporary=root / "temporary",
        log=root / "log.txt",
    )
    for folder in (folders.inputs, folders.configs, folders.results, folders.analysis, folders.temporary):
        folder.mkdir(parents=True, exist_ok=True)
    return folders


@dataclass(frozen=True)
class Image:
    """A built environment, read-only."""

    folder: Path

    def workflow(self) -> tuple[str, ...]:
        """How the recipe starts the analysis. Raises ImageError."""
        path = self.folder / "analysis" / "recipe.json"
        try:
            words = json.loads(path.read_bytes())["workflow"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ImageError(f"The environment has no usable recipe at {path}: {error!r}.") from error
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise ImageError(f"The recipe at {path} must name its 'workflow' as a list of words.")
        return tuple(words)

    def copy_analysis(self, target: Path) -> None:
        """A writable copy of the analysis' files; big ones become links to the read-only originals."""
        source = self.folder / "analysis"
        for root, folders, names in os.walk(source):
            here = target / Path(root).relative_to(source)
            for name in folders:
                (here / name).mkdir(exist_ok=True)
            for name in names:
                original = Path(root, name)
                if original.stat().st_size > LINK_ABOVE_BYTES:
                    (here / name).symlink_to(original)
                else:
                    shutil.copyfile(original, here / name)
                    (here / name).chmod(0o755 if os.access(original, os.X_OK) else 0o644)


def find_image(environ: Mapping[str, str]) -> Image:
    """The environment of this machine."""
    return Image(Path(environ.get("NEUROCAAS_IMAGE") or DEFAULT_IMAGE))


def child_environ(environ: Mapping[str, str], image: Image, folders: Folders) -> dict[str, str]:
    """Environment variables of the analysis: its own interpreter first on PATH, as many threads as cores given."""
    child = dict(environ)
    path = [str(image.folder / "env" / "bin"), environ.get("PATH", os.defpath)]
    child["PATH"] = os.pathsep.join(path)
    child["VIRTUAL_ENV"] = str(image.folder / "env")
    child["TMPDIR"] = str(folders.temporary)
    child["NEUROCAAS_RESULTS"] = str(folders.results)
    # Lines reach the log when they are printed; equal runs hash alike; no window system is there to draw on.
    child.update({"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg", "QT_QPA_PLATFORM": "offscreen"})
    child["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__"):
        child.pop(name, None)
    for name in THREAD_VARIABLES:
        child.setdefault(name, str(count_cores()))
    return child


def file_name(label: str, *, max_bytes: int = 200) -> str:
    """A label as the name of a local file: one path segment, not hidden, not too long, its suffix kept."""
    name = label.replace("/", "_").replace("\0", "_")
    if name in ("", ".", ".."):
        name = "dataset"
    stem, dot, suffix = name.rpartition(".")
    if len(name.encode()) <= max_bytes:
        return name
    if not dot or len(suffix.encode()) > 20:
        stem, dot, suffix = name, "", ""
    room = max_bytes - len((dot + suffix).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + suffix


def words_of(argv: Sequence[str]) -> str:
    """A command as people read it."""
    return " ".join(argv)
