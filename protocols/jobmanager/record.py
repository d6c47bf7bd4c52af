"""The usage record of one instance (contract section 2), before and after its end. Renders; writes nothing."""

from __future__ import annotations

import json

from jobmanager.budget import MICRO
from jobmanager.rows import InstanceRow


def render_record(row: InstanceRow, *, end: str | None = None, cost_micro: int | None = None, outcome: str) -> bytes:
    """The record as JSON; without `end` that of a running instance. The start is when EC2 launched it."""
    record = {
        "instance-id": row.instance,
        "instance-type": row.instance_type,
        "spot": row.spot,
        "price": row.price_micro / MICRO,
        "databucket": row.data_bucket or row.bucket,
        "datapath": row.dataset,
        "configpath": row.config_key,
        "jobpath": row.paths.result_prefix,
        "start": row.launched_at,
        "end": end,
        "group": row.group,
        "attempt": row.attempt,
        "version": row.version_id,
        "cost": None if cost_micro is None else cost_micro / MICRO,
        "outcome": outcome,
    }
    return json.dumps(record, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"
