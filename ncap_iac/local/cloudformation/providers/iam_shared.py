"""What roles, users and groups have in common: inline policies and attached managed policies.

An entity's own property lists only what it declares; other resources (AWS::IAM::Policy, AWS::IAM::ManagedPolicy) may
add to the same entity, and those are left alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.cloudformation.provider import Client, present
from ncap_iac.local.cloudformation.values import Properties


@dataclass(frozen=True)
class Entity:
    """One role, user or group and the API's words for it."""

    iam: Client
    kind: str
    """`role`, `user` or `group`."""
    name: str

    def _call(self, operation: str, **more: Any) -> Any:
        return getattr(self.iam, operation)(**{f"{self.kind.title()}Name": self.name}, **more)

    def put_policy(self, name: str, document: Any) -> None:
        """Write an inline policy."""
        self._call(f"put_{self.kind}_policy", PolicyName=name, PolicyDocument=json.dumps(document))

    def delete_policy(self, name: str) -> None:
        """Remove an inline policy; nothing happens if it is not there."""
        present(lambda: self._call(f"delete_{self.kind}_policy", PolicyName=name))

    def policy(self, name: str) -> Any:
        """An inline policy's document, or None."""
        answer = present(lambda: self._call(f"get_{self.kind}_policy", PolicyName=name))
        return None if answer is None else answer["PolicyDocument"]

    def policy_names(self) -> list[str]:
        """Names of all inline policies."""
        return list(self._call(f"list_{self.kind}_policies")["PolicyNames"])

    def attach(self, arn: str) -> None:
        """Attach a managed policy."""
        self._call(f"attach_{self.kind}_policy", PolicyArn=arn)

    def detach(self, arn: str) -> None:
        """Detach a managed policy; nothing happens if it is not attached."""
        present(lambda: self._call(f"detach_{self.kind}_policy", PolicyArn=arn))

    def attached(self) -> list[str]:
        """ARNs of attached managed policies."""
        answer = self._call(f"list_attached_{self.kind}_policies")
        return [item["PolicyArn"] for item in answer["AttachedPolicies"]]


def apply_policies(entity: Entity, previous: Properties, wanted: Properties) -> None:
    """Bring `Policies` and `ManagedPolicyArns` of an entity from one list to the other."""
    before = {item["PolicyName"]: item["PolicyDocument"] for item in previous.get("Policies", ())}
    after = {item["PolicyName"]: item["PolicyDocument"] for item in wanted.get("Policies", ())}
    for name, document in after.items():
        if before.get(name) != document:
            entity.put_policy(name, document)
    for name in before.keys() - after.keys():
        entity.delete_policy(name)
    had, wants = set(previous.get("ManagedPolicyArns", ())), set(wanted.get("ManagedPolicyArns", ()))
    for arn in sorted(wants - had):
        entity.attach(arn)
    for arn in sorted(had - wants):
        entity.detach(arn)


def read_policies(entity: Entity, wanted: Properties) -> dict[str, Any]:
    """`Policies` and `ManagedPolicyArns` as IAM has them, of those that the entity's own properties name."""
    policies = []
    for item in wanted.get("Policies", ()):
        document = entity.policy(item["PolicyName"])
        if document is not None:
            policies.append({"PolicyName": item["PolicyName"], "PolicyDocument": document})
    named = set(wanted.get("ManagedPolicyArns", ()))
    attached = [arn for arn in entity.attached() if arn in named] if named else []
    return {"Policies": policies, "ManagedPolicyArns": attached}


def entities(iam: Client, properties: Properties) -> list[Entity]:
    """The entities that a policy resource's `Roles`, `Users` and `Groups` name."""
    return [
        Entity(iam, kind, name)
        for kind, member in (("role", "Roles"), ("user", "Users"), ("group", "Groups"))
        for name in properties.get(member, ())
    ]


def boundary_of(answer: Properties) -> str | None:
    """The permissions boundary in a description of a role or user."""
    found = answer.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return None if found is None else str(found)
