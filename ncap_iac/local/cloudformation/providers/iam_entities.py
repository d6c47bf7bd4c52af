"""What AWS::IAM::Role, AWS::IAM::User and AWS::IAM::Group have in common: how one is found, read, watched, removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Neighbour,
    Provider,
    changed,
    chosen,
    present,
    tag_change,
    tag_list,
)
from ncap_iac.local.cloudformation.providers.iam_shared import Entity, apply_policies, boundary_of, read_policies
from ncap_iac.local.cloudformation.values import Properties


class EntityProvider(Provider):
    """One kind of principal, or a group of them."""

    kind: ClassVar[str]
    """`role`, `user` or `group`."""
    told: ClassVar[tuple[str, ...]]
    """Properties that IAM's description has under the same name."""

    @property
    def _title(self) -> str:
        return self.kind.title()

    def _entity(self, name: str) -> Entity:
        return Entity(self._client("iam"), self.kind, name)

    def _call(self, operation: str, name: str, **more: Any) -> Any:
        """`get_{}` and the like on one entity."""
        call = getattr(self._client("iam"), operation.format(self.kind))
        return call(**{f"{self._title}Name": name}, **more)

    def _described(self, name: str) -> Properties | None:
        answer = present(lambda: self._call("get_{}", name))
        return None if answer is None else dict(answer[self._title])

    def find(self, properties: Properties) -> str | None:
        """The one of that name."""
        name = str(properties[f"{self._title}Name"])
        return None if self._described(name) is None else name

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Take away what its own properties gave it, then delete it; what others gave makes IAM refuse, as on AWS."""
        if self._described(physical_id) is None:
            return
        self.release(physical_id, properties)
        apply_policies(self._entity(physical_id), properties, {})
        present(lambda: self._call("delete_{}", physical_id))

    def release(self, physical_id: str, properties: Properties) -> None:
        """Undo what else of its own keeps IAM from deleting it."""

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """Its description and its policies."""
        described = self._described(physical_id)
        if described is None:
            return None
        return {
            **chosen(described, *self.told),
            "PermissionsBoundary": boundary_of(described),
            "Tags": described.get("Tags", []),
            **read_policies(self._entity(physical_id), wanted),
        }

    def observe(self, physical_id: str, wanted: Properties, neighbours: Sequence[Neighbour]) -> Properties | None:
        """As `read`, with policies somebody added by hand."""
        found = self.read(physical_id, wanted)
        if found is None:
            return None
        entity = self._entity(physical_id)
        mine = [other for other in neighbours if physical_id in other.properties.get(f"{self._title}s", ())]
        added: dict[str, list[Any]] = {}
        if "Policies" in wanted:
            known = {item["PolicyName"] for item in wanted["Policies"]}
            known |= {other.properties["PolicyName"] for other in mine if other.type == "AWS::IAM::Policy"}
            added["Policies"] = [
                {"PolicyName": name, "PolicyDocument": entity.policy(name)}
                for name in entity.policy_names()
                if name not in known
            ]
        if "ManagedPolicyArns" in wanted:
            known = {*wanted["ManagedPolicyArns"], *(other.physical_id for other in mine)}
            added["ManagedPolicyArns"] = [arn for arn in entity.attached() if arn not in known]
        return {**found, **{name: [*found[name], *more] for name, more in added.items()}}

    def _apply_settings(self, physical_id: str, previous: Properties, wanted: Properties) -> None:
        """Boundary, tags and policies, of those the kind has."""
        if changed(previous, wanted, "PermissionsBoundary"):
            if "PermissionsBoundary" in wanted:
                boundary = wanted["PermissionsBoundary"]
                self._call("put_{}_permissions_boundary", physical_id, PermissionsBoundary=boundary)
            else:
                self._call("delete_{}_permissions_boundary", physical_id)
        change = tag_change(previous, wanted)
        if change.remove:
            self._call("untag_{}", physical_id, TagKeys=list(change.remove))
        if change.put:
            self._call("tag_{}", physical_id, Tags=tag_list(change.put))
        apply_policies(self._entity(physical_id), previous, wanted)

    def _move(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Bring it to its path; its ARN, if that is different now."""
        before, after = previous.get("Path", "/"), wanted.get("Path", "/")
        if before == after:
            return {}
        self._call("update_{}", physical_id, NewPath=after)
        described = self._described(physical_id)
        return {} if described is None else {"Arn": described["Arn"]}
