"""The events EC2 sends of an instance: another state, an end that is near. Pure but for the events' random ids."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from ncap_iac.local.ec2.model import Instance
from ncap_iac.local.ec2.network import Network


def state_change_event(instance: Instance, network: Network, now: float) -> dict[str, Any]:
    """`EC2 Instance State-change Notification` as EventBridge delivers it (EC2 user guide, instance state changes)."""
    return _event(instance, network, now, "EC2 Instance State-change Notification", {"state": instance.state.value})


def spot_warning_event(instance: Instance, network: Network, now: float) -> dict[str, Any]:
    """`EC2 Spot Instance Interruption Warning` (EC2 user guide, Spot Instance interruption notices)."""
    detail = {"instance-action": "terminate"}
    return _event(instance, network, now, "EC2 Spot Instance Interruption Warning", detail)


def _event(instance: Instance, network: Network, now: float, kind: str, detail: dict[str, str]) -> dict[str, Any]:
    time = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": "aws.ec2",
        "account": network.account_id,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": network.region,
        "resources": [network.arn("instance", instance.instance_id)],
        "detail": {"instance-id": instance.instance_id, **detail},
    }
