"""An environment's archive, as uploaded: the contents of its image, and the modules that make an image of them.

Pure but for reading this package's own files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.environments.contents import Contents, pack

_PACKAGE = Path(__file__).resolve().parents[1]
_MODULES = (
    "__init__.py",
    *(
        f"environments/{name}.py"
        for name in ("__init__", "assemble", "contents", "install", "manifest", "offline", "seal")
    ),
)
_UV = "environments/uv-requirements.txt"


@dataclass(frozen=True)
class Archive:
    """What is uploaded, and its digest (hex)."""

    body: bytes
    sha256: str


def make_archive(contents: Contents) -> Archive:
    """The archive of an environment: equal contents and an equal version of ncap give equal bytes."""
    builder = {f"builder/ncap_iac/{name}": (_PACKAGE / name).read_bytes() for name in _MODULES}
    builder["builder/uv-requirements.txt"] = (_PACKAGE / _UV).read_bytes()
    body = pack(contents, builder)
    return Archive(body, hashlib.sha256(body).hexdigest())
