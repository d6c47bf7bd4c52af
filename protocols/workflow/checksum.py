"""Whether a file has the content an S3 object's ETag stands for. It must not talk to S3.

Source: Amazon S3 User Guide, "Checking object integrity": without SSE-KMS the ETag of a whole upload is the MD5 of its
content, that of a multipart upload the MD5 of its parts' MD5s with ``-<number of parts>`` behind it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from workflow.parallel import each

BLOCK_BYTES = 2**22
THREADS = 4

_WHOLE = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"([0-9a-f]{32})-([1-9]\d*)")


def part_count(etag: str) -> int:
    """Parts of the upload an ETag tells of; 0 for a whole upload or an ETag of another kind."""
    found = _PARTS.fullmatch(etag.strip('"'))
    return int(found[2]) if found else 0


def agrees(path: Path, etag: str, *, part_bytes: int) -> bool | None:
    """Whether the file is the object; None when the ETag cannot tell. ``part_bytes``: of the object's own parts.

    Raises OSError.
    """
    etag = etag.strip('"')
    size = path.stat().st_size
    if _WHOLE.fullmatch(etag):
        return _digest(path, 0, size).hex() == etag
    count = part_count(etag)
    if not count or part_bytes <= 0 or -(-size // part_bytes) != count:
        return None
    starts = range(0, size, part_bytes)
    digests = each(lambda start: _digest(path, start, part_bytes), starts, threads=THREADS)
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{count}" == etag


def _digest(path: Path, start: int, count: int) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        file.seek(start)
        while count > 0 and (block := file.read(min(count, BLOCK_BYTES))):
            digest.update(block)
            count -= len(block)
    return digest.digest()
