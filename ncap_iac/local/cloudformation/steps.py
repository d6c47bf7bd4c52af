"""One step on one resource: make, change, restore, remove; each noted before and after, each read back.

Durable at every point: after a crash the records say what exists or how to find it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ncap_iac.local.cloudformation.book import Records
from ncap_iac.local.cloudformation.drafts import Draft, generated_name
from ncap_iac.local.cloudformation.provider import Provider, ResourceError, reason_of
from ncap_iac.local.cloudformation.readback import differences
from ncap_iac.local.cloudformation.records import Declaration, ResourceRecord, StackRecord, Status
from ncap_iac.local.cloudformation.validation import Providers
from ncap_iac.local.cloudformation.values import Policy, Properties, RandomText

_UNFINISHED = frozenset({Status.CREATE_FAILED, Status.UPDATE_FAILED, Status.UPDATE_IN_PROGRESS})
_MAKING = frozenset({Status.CREATE_IN_PROGRESS, Status.UPDATE_IN_PROGRESS})
_KEEPS = frozenset({Policy.RETAIN, Policy.RETAIN_EXCEPT_ON_CREATE})


@dataclass(frozen=True)
class _Words:
    """States a creation goes through: its own, or an update's when it replaces."""

    begun: Status
    failed: Status
    done: Status


_CREATE = _Words(Status.CREATE_IN_PROGRESS, Status.CREATE_FAILED, Status.CREATE_COMPLETE)
_REPLACE = _Words(Status.UPDATE_IN_PROGRESS, Status.UPDATE_FAILED, Status.UPDATE_COMPLETE)


def may_import(declaration: Declaration, record: ResourceRecord) -> bool:
    """Whether a resource that exists may be taken over: asked for, named by the template, and kept by its policy."""
    return declaration.import_existing and record.deletion_policy in _KEEPS and not record.generated_name


class ResourceSteps:
    """Steps on the resources of stacks."""

    def __init__(self, records: Records, providers: Providers, random_text: RandomText) -> None:
        self._records = records
        self._providers = providers
        self._random_text = random_text

    def create(self, stack: StackRecord, draft: Draft, *, in_update: bool) -> ResourceRecord:
        """Make a resource that is not there. Raises ResourceError."""
        record = replace(self._blank(draft), made_by_update=in_update)
        return self._make(stack, record, _CREATE, "")

    def update(self, stack: StackRecord, current: ResourceRecord, draft: Draft) -> ResourceRecord:
        """Bring a resource to its draft: nothing, in place, or by replacement. Raises ResourceError."""
        provider = self._providers[current.type]
        if not current.physical_id and current.before is not None:
            current = current.before
        unfinished = current.status in _UNFINISHED
        goal = replace(
            self._blank(draft),
            status=current.status,
            physical_id=current.physical_id,
            attributes=current.attributes,
            before=None if current.made_by_update else current.before or replace(current, before=None),
            made_by_update=current.made_by_update,
        )
        if draft.properties == current.properties and not unfinished:
            return self._records.save_resource(stack, replace(goal, updated=current.updated))
        moved = sorted(
            name for name in provider.create_only if draft.properties.get(name) != current.properties.get(name)
        )
        if not moved:
            return self._change(stack, goal, {} if _is_half_made(current) else current.properties)
        return self._replace(stack, goal, current, moved)

    def restore(self, stack: StackRecord, current: ResourceRecord) -> ResourceRecord:
        """Return a resource to what it was before the update. Raises ResourceError."""
        before = current.before
        if before is None:
            return current
        if current.physical_id != before.physical_id:
            made = self.owned(current)
            if made:
                self._records.add_leftover(stack, replace(current, physical_id=made, deletion_policy=Policy.DELETE))
            return self._records.save_resource(stack, before)
        if current.properties == before.properties and current.status not in _UNFINISHED:
            return self._records.save_resource(stack, before)
        current = self._records.note_resource(stack, current, Status.UPDATE_IN_PROGRESS)
        try:
            later = self._providers[current.type].apply(current.physical_id, current.properties, before.properties)
            restored = replace(before, attributes={**current.attributes, **later})
            self._verify(self._providers[current.type], restored, current.properties)
        except Exception as error:
            self._records.note_resource(stack, current, Status.UPDATE_FAILED, reason_of(error))
            raise ResourceError(reason_of(error)) from error
        return self._records.note_resource(stack, restored, Status.UPDATE_COMPLETE)

    def remove(self, stack: StackRecord, record: ResourceRecord, *, force: bool = False) -> ResourceRecord:
        """Remove a resource unless its policy keeps it. Raises ResourceError.

        `force`: it was made by the operation being undone, and then RetainExceptOnCreate does not keep it.
        """
        record = replace(record, physical_id=self.owned(record))
        undone = force and not record.imported
        kept = record.deletion_policy is Policy.RETAIN or (record.deletion_policy in _KEEPS and not undone)
        if kept and record.physical_id:
            return self._records.note_resource(stack, record, Status.DELETE_SKIPPED)
        record = self._records.note_resource(stack, record, Status.DELETE_IN_PROGRESS)
        try:
            self._delete(record)
        except Exception as error:
            self._records.note_resource(stack, record, Status.DELETE_FAILED, reason_of(error))
            raise ResourceError(reason_of(error)) from error
        gone = replace(record, properties={}, attributes={}, before=None)
        return self._records.note_resource(stack, gone, Status.DELETE_COMPLETE)

    def remove_leftover(self, stack: StackRecord, key: str, record: ResourceRecord) -> None:
        """Remove what is no longer part of the stack; a failure is noted and raised as ResourceError."""
        if record.deletion_policy in _KEEPS:
            self._records.note_leftover(stack, record, Status.DELETE_SKIPPED)
            self._records.remove_leftover(stack, key)
            return
        self._records.note_leftover(stack, record, Status.DELETE_IN_PROGRESS)
        try:
            self._delete(record)
        except Exception as error:
            self._records.note_leftover(stack, record, Status.DELETE_FAILED, reason_of(error))
            raise ResourceError(reason_of(error)) from error
        self._records.note_leftover(stack, record, Status.DELETE_COMPLETE)
        self._records.remove_leftover(stack, key)

    def owned(self, record: ResourceRecord) -> str:
        """Physical id of what the record stands for, also when the process died while making it; else empty.

        A creation is only noted as begun after nothing of that name was found, or what was found was taken over; so
        what is there now is ours.
        """
        if record.physical_id or record.status not in _MAKING:
            return record.physical_id
        return self._providers[record.type].find(record.properties) or ""

    def _blank(self, draft: Draft) -> ResourceRecord:
        provider = self._providers[draft.definition.type]
        return ResourceRecord(
            logical_id=draft.logical_id,
            type=draft.definition.type,
            status=Status.CREATE_IN_PROGRESS,
            updated=self._records.now(),
            properties=draft.properties,
            depends_on=draft.depends_on,
            generated_name=draft.generated_name,
            deletion_policy=draft.definition.deletion_policy,
            update_replace_policy=draft.definition.update_replace_policy,
            metadata=draft.definition.metadata,
            held=tuple(sorted(set(provider.held) & set(draft.properties))),
        )

    def _make(self, stack: StackRecord, record: ResourceRecord, words: _Words, reason: str) -> ResourceRecord:
        provider = self._providers[record.type]
        begun = False
        try:
            existing = provider.find(record.properties)
            wanted = existing is not None and may_import(stack.declaration, record)
            adopted = provider.adopt(record.properties) if wanted else None
            if existing is not None and adopted is None:
                raise ResourceError(f"{existing} already exists")
            record = replace(record, imported=adopted is not None)
            record = self._records.note_resource(stack, record, words.begun, reason)
            begun = True
            created = adopted or provider.create(record.properties)
            record = self._records.save_resource(
                stack, replace(record, physical_id=created.physical_id, attributes=created.attributes)
            )
            self._records.note_resource(stack, record, words.begun, "Resource creation Initiated")
            later = provider.apply(created.physical_id, created.applied, record.properties)
            record = replace(record, attributes={**created.attributes, **later})
            self._verify(provider, record, None)
        except Exception as error:
            if begun and not record.physical_id:
                record = replace(record, physical_id=self._found(provider, record.properties))
            self._records.note_resource(stack, record, words.failed, reason_of(error))
            raise ResourceError(reason_of(error)) from error
        return self._records.note_resource(stack, record, words.done, _held_note(record))

    def _found(self, provider: Provider, properties: Properties) -> str:
        """What a failed creation left; a second failure here leaves the first as the reason."""
        try:
            return provider.find(properties) or ""
        except Exception:
            return ""

    def _change(self, stack: StackRecord, goal: ResourceRecord, previous: Properties) -> ResourceRecord:
        provider = self._providers[goal.type]
        record = self._records.note_resource(stack, goal, Status.UPDATE_IN_PROGRESS)
        try:
            later = provider.apply(record.physical_id, previous, record.properties)
            record = replace(record, attributes={**record.attributes, **later})
            self._verify(provider, record, previous)
        except Exception as error:
            self._records.note_resource(stack, record, Status.UPDATE_FAILED, reason_of(error))
            raise ResourceError(reason_of(error)) from error
        return self._records.note_resource(stack, record, Status.UPDATE_COMPLETE, _held_note(record))

    def _replace(
        self, stack: StackRecord, goal: ResourceRecord, current: ResourceRecord, moved: list[str]
    ) -> ResourceRecord:
        provider = self._providers[goal.type]
        rule = provider.name
        if rule is not None and goal.properties.get(rule.property) == current.properties.get(rule.property):
            if not goal.generated_name:
                reason = (
                    "CloudFormation cannot update a stack when a custom-named resource requires replacing "
                    f"(changed: {', '.join(moved)}). Rename {goal.physical_id} and update the stack again."
                )
                # Nothing was touched: the record goes on telling what is there.
                untouched = replace(current, before=goal.before, made_by_update=goal.made_by_update)
                self._records.note_resource(stack, untouched, Status.UPDATE_FAILED, reason)
                raise ResourceError(reason)
            name = generated_name(rule, stack.name, goal.logical_id, self._random_text)
            goal = replace(goal, generated_name=name, properties={**goal.properties, rule.property: name})
        reason = "Requested update requires the creation of a new physical resource; hence creating one."
        if goal.before is not None and current.physical_id != goal.before.physical_id:
            self._records.add_leftover(stack, replace(current, deletion_policy=Policy.DELETE))
        return self._make(stack, replace(goal, physical_id="", attributes={}), _REPLACE, reason)

    def _verify(self, provider: Provider, record: ResourceRecord, previous: Properties | None) -> None:
        wanted = {name: value for name, value in record.properties.items() if name not in provider.held}
        found = provider.read(record.physical_id, wanted)
        if found is None:
            raise ResourceError(f"{record.physical_id} does not exist right after it was made")
        said = differences(
            wanted,
            found,
            previous=previous,
            defaults=provider.defaults,
            exact=provider.exact,
            ordered=provider.ordered,
            secret=provider.secret,
        )
        if said:
            raise ResourceError("; ".join(said))

    def _delete(self, record: ResourceRecord) -> None:
        if record.physical_id:
            self._providers[record.type].delete(record.physical_id, record.properties)


def _is_half_made(record: ResourceRecord) -> bool:
    """Whether its creation failed after the creating call: any of its properties may not be applied."""
    replaced = record.before is not None and record.before.physical_id != record.physical_id
    return record.status is Status.CREATE_FAILED or (record.status is Status.UPDATE_FAILED and replaced)


def _held_note(record: ResourceRecord) -> str:
    if not record.held:
        return ""
    return f"{', '.join(record.held)}: held by the local cloud, not enforced"
