"""Values shared between stacks: what is exported, by whom, and who imports it.

Reads the records only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ncap_iac.local.cloudformation.book import Records
from ncap_iac.local.cloudformation.records import Output, StackRecord, Status
from ncap_iac.local.cloudformation.values import invalid


@dataclass(frozen=True)
class Export:
    """One exported value."""

    name: str
    value: str
    stack_id: str


def exports(records: Records) -> dict[str, Export]:
    """All exports by name."""
    found = {}
    for stack in records.stacks():
        if stack.status is Status.DELETE_COMPLETE:
            continue
        for output in stack.outputs:
            if output.export_name:
                found[output.export_name] = Export(output.export_name, output.value, stack.stack_id)
    return dict(sorted(found.items()))


def importers(records: Records, name: str) -> list[str]:
    """Names of the stacks that import a value."""
    return sorted(
        stack.name for stack in records.stacks() if stack.status is not Status.DELETE_COMPLETE and name in _used(stack)
    )


def _used(stack: StackRecord) -> set[str]:
    """Exports the stack uses or, while it is being updated, may return to."""
    return {*stack.declaration.imports, *(stack.previous.imports if stack.previous else ())}


def imported_value(records: Records, name: str) -> str:
    """The exported value. Raises ServiceError ValidationError."""
    export = exports(records).get(name)
    if export is None:
        raise invalid(f"No export named {name} found.")
    return export.value


def check_outputs(records: Records, stack: StackRecord, outputs: Sequence[Output]) -> None:
    """Refuse outputs that clash with another stack's exports or change what others import.

    Raises ServiceError ValidationError.
    """
    wanted = {output.export_name: output for output in outputs if output.export_name}
    for name, export in exports(records).items():
        if name in wanted and export.stack_id != stack.stack_id:
            other = records.stack(export.stack_id)
            raise invalid(f"Export with name {name} is already exported by stack {other.name if other else '?'}.")
    for output in stack.outputs:
        name = output.export_name
        users = [user for user in importers(records, name) if user != stack.name] if name else []
        if not users:
            continue
        if name not in wanted:
            raise invalid(f"Export {name} cannot be deleted as it is in use by {', '.join(users)}")
        if wanted[name].value != output.value:
            raise invalid(f"Export {name} cannot be updated as it is in use by {', '.join(users)}")


def check_deletion(records: Records, stack: StackRecord) -> None:
    """Refuse the deletion of a stack whose exports others import. Raises ServiceError ValidationError."""
    for output in stack.outputs:
        users = [user for user in importers(records, output.export_name) if user != stack.name]
        if output.export_name and users:
            raise invalid(
                f"Delete canceled. Cannot delete export {output.export_name} as it is in use by {', '.join(users)}."
            )
