"""The submit function's steps for the widefield client: both its uploads become one job, its results go where it looks.

Everything after the reading is the ordinary job manager's; submissions of today's form are taken as well.
"""

from __future__ import annotations

from dataclasses import replace

from jobmanager.events import SubmissionEvent
from jobmanager.manager import Manager
from jobmanager.observed import ObjectFacts
from jobmanager.submission import Submission
from jobmanager.widefield import PROTOCOL, widefield_folder, widefield_group, widefield_request

_MOST_OBJECTS = 10_000


class WidefieldManager(Manager):
    """The steps for one analysis of that protocol."""

    protocol = PROTOCOL

    def _group(self, event: SubmissionEvent) -> str | None:
        return widefield_group(event.key) or super()._group(event)

    def _read(self, event: SubmissionEvent, group: str) -> tuple[SubmissionEvent, Submission] | None:
        if widefield_group(event.key) is None:
            return super()._read(event, group)
        body = self._body(event)
        if body is None:
            return None
        folder = widefield_folder(body, group)
        data = self._objects_below(event.bucket, folder) if folder else []
        if not data and self._services.gateway.head_object(event.bucket, event.key) is None:
            return None  # an event told again, after the client deleted all it had sent
        found = widefield_request(body, event.key, group, event.bucket, data)
        # From here on both uploads are one: the claim in the ledger is on this key and identity.
        return replace(event, key=found.key, version_id=found.identity), found.submission

    def _objects_below(self, bucket: str, folder: str) -> list[ObjectFacts]:
        found: list[ObjectFacts] = []
        start = folder
        while len(found) < _MOST_OBJECTS:
            page = self._services.gateway.list_objects(bucket, folder, start_after=start)
            found += [facts for facts in page.objects if not facts.key.endswith("/")]
            if page.is_last or not page.objects:
                break
            start = page.objects[-1].key
        return found
