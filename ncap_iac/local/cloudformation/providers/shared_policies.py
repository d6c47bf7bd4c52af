"""What AWS::SNS::TopicPolicy and AWS::SQS::QueuePolicy have in common: one policy set on each of several owners.

Knows no service; a subclass puts and gets the policy of one owner.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import Created, Provider
from ncap_iac.local.cloudformation.readback import same_value
from ncap_iac.local.cloudformation.values import Properties


class SharedPolicyProvider(Provider):
    """One policy for one or more owners."""

    owners: ClassVar[str]
    """The property that lists them: `Topics`, `Queues`."""
    id_prefix: ClassVar[str]
    attributes = frozenset({"Id"})
    exact = frozenset({"PolicyDocument"})

    @abstractmethod
    def put_policy(self, owner: str, policy: str) -> None:
        """Set an owner's policy; returns if there is no such owner."""

    @abstractmethod
    def get_policy(self, owner: str) -> str | None:
        """An owner's policy; None if it has none or is not there."""

    @abstractmethod
    def default_policy(self, owner: str) -> str:
        """What an owner has when no template sets a policy."""

    def create(self, properties: Properties) -> Created:
        """No call yet: `apply` sets the policy of each owner."""
        digest = hashlib.sha256("\n".join(properties[self.owners]).encode()).hexdigest()
        name = f"{self.id_prefix}-{digest[:12]}"
        return Created(name, {"Id": name})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Set it on each owner, give the default back to those that left."""
        for owner in wanted.get(self.owners, ()):
            self.put_policy(owner, json.dumps(wanted["PolicyDocument"]))
        for owner in previous.get(self.owners, ()):
            if owner not in wanted.get(self.owners, ()):
                self.put_policy(owner, self.default_policy(owner))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Give every owner the default back."""
        self.apply(physical_id, properties, {})

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """The policy that differs, if one does; the owners that have one."""
        document: Any = None
        having = []
        for owner in wanted[self.owners]:
            text = self.get_policy(owner)
            if not text:
                continue
            having.append(owner)
            if document is None or same_value(document, wanted["PolicyDocument"]):
                document = json.loads(text)
        return {"PolicyDocument": document, self.owners: having} if having else None
