"""Durable state of the edge: small JSON documents in one SQLite file, safe against a kill at any moment.

No meaning here: services decide what they keep. One connection, one lock; writes are on disk when they return.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Store:
    """Documents by (table, key)."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, readable by nobody else: attributes of resources, keys among them, are in it."""
        self._lock = threading.RLock()
        path.touch(mode=0o600)
        path.chmod(0o600)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS documents (name TEXT, key TEXT, body TEXT, PRIMARY KEY (name, key))"
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside happen together or not at all; other threads wait."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def get(self, table: str, key: str) -> Document | None:
        """The document, or None."""
        with self._lock:
            row = self._connection.execute(
                "SELECT body FROM documents WHERE name = ? AND key = ?", (table, key)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, table: str, key: str, document: Document) -> None:
        """Write or replace."""
        body = json.dumps(document, separators=(",", ":"))
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (table, key, body))

    def delete(self, table: str, key: str) -> None:
        """Remove; nothing happens if it is not there."""
        with self._lock:
            self._connection.execute("DELETE FROM documents WHERE name = ? AND key = ?", (table, key))

    def items(self, table: str) -> list[tuple[str, Document]]:
        """All documents of a table, by key."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT key, body FROM documents WHERE name = ? ORDER BY key", (table,)
            ).fetchall()
        return [(key, json.loads(body)) for key, body in rows]

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with self._lock:
            self._connection.close()
