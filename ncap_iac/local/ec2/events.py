"""The event EC2 sends when an instance changes its state. Pure but for the event's random id."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from ncap_iac.local.ec2.model import Instance
from ncap_iac.local.ec2.network import Network


def state_change_event(instance: Instance, network: Network, now: float) -> dict[str, Any]:
    """`EC2 Instance State-change Notification` as EventBridge delivers it (EC2 user guide, instance state changes)."""
    time = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": network.account_id,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": network.region,
        "resources": [network.arn("instance", instance.instance_id)],
        "detail": {"instance-id": instance.instance_id, "state": instance.state.value},
    }
