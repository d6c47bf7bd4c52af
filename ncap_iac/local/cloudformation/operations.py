"""What happens to a whole stack: create, update, delete, and the way back when something fails.

Runs in a background thread; leaves the records right at every moment, so that `recover` can take up any stack a
killed process left in progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ncap_iac.local.cloudformation.exports import check_outputs
from ncap_iac.local.cloudformation.graph import Graph, GraphRun, reverse, run_graph, within
from ncap_iac.local.cloudformation.planning import Design, StackLookup, World
from ncap_iac.local.cloudformation.provider import ResourceError, reason_of
from ncap_iac.local.cloudformation.records import OnFailure, ResourceRecord, StackRecord, Status
from ncap_iac.local.cloudformation.steps import ResourceSteps
from ncap_iac.local.cloudformation.values import Policy
from ncap_iac.local.service import ServiceError

Stopped = Callable[[], bool]

INTERRUPTED = "The local cloud stopped while this was under way."
_GONE = frozenset({Status.DELETE_COMPLETE, Status.DELETE_SKIPPED})


class Operations:
    """Whole-stack work on one local cloud."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._records = world.records
        self._steps = ResourceSteps(world.records, world.providers, world.random_text)

    def create(self, stack: StackRecord, stopped: Stopped) -> None:
        """Make every resource; on failure what OnFailure says."""
        design = Design(self._world, stack)
        lookup = StackLookup(self._world, {}, open_ids=False)

        def make(logical_id: str) -> None:
            draft = design.draft(logical_id, lookup)
            lookup.resources[logical_id] = self._steps.create(stack, draft, in_update=False)

        run = run_graph(design.graph, self._noted(stack, make), stopped=stopped)
        if stopped():
            return
        reason = _failure(run, "create") or self._settle_outputs(stack, design, lookup)
        if not reason:
            self._records.set_status(stack, Status.CREATE_COMPLETE)
        elif stack.on_failure is OnFailure.DO_NOTHING:
            self._records.set_status(stack, Status.CREATE_FAILED, reason)
        elif stack.on_failure is OnFailure.DELETE:
            self._records.set_status(stack, Status.DELETE_IN_PROGRESS, f"{reason} Delete requested by user.")
            self.delete(stack, stopped)
        else:
            self._records.set_status(stack, Status.ROLLBACK_IN_PROGRESS, f"{reason} Rollback requested by user.")
            self.roll_back_creation(stack, stopped)

    def roll_back_creation(self, stack: StackRecord, stopped: Stopped) -> None:
        """Remove what a failed creation made."""
        run = self._remove_all(stack, stopped, force=True)
        if stopped():
            return
        reason = _failure(run, "delete")
        self._records.set_status(stack, Status.ROLLBACK_FAILED if reason else Status.ROLLBACK_COMPLETE, reason)

    def delete(self, stack: StackRecord, stopped: Stopped) -> None:
        """Remove every resource that no policy keeps."""
        self._to_leftovers(stack)
        cleanup = self._clean_up(stack, stopped)
        run = self._remove_all(stack, stopped, force=False)
        if stopped():
            return
        reason = _failure(GraphRun(run.done, {**run.failed, **cleanup.failed}), "delete")
        if reason:
            self._records.set_status(stack, Status.DELETE_FAILED, reason)
            return
        for change_set in self._records.change_sets():
            if change_set.stack_id == stack.stack_id:
                self._records.remove_change_set(change_set.change_set_id)
        current = self._records.stack(stack.stack_id) or stack
        gone = self._records.save_stack(replace(current, outputs=(), deleted=self._records.now()))
        self._records.set_status(gone, Status.DELETE_COMPLETE)

    def update(self, stack: StackRecord, stopped: Stopped) -> None:
        """Bring every resource to the declaration; on failure back to the previous one."""
        design = Design(self._world, stack)
        current = self._records.resources(stack.stack_id)
        lookup = StackLookup(self._world, current, open_ids=False)

        def bring(logical_id: str) -> None:
            draft = design.draft(logical_id, lookup)
            record = lookup.resources.get(logical_id)
            if record is None or (record.made_by_update and not record.physical_id):
                lookup.resources[logical_id] = self._steps.create(stack, draft, in_update=True)
            else:
                lookup.resources[logical_id] = self._steps.update(stack, record, draft)

        run = run_graph(design.graph, self._noted(stack, bring), stopped=stopped)
        if stopped():
            return
        reason = _failure(run, "update") or self._settle_outputs(stack, design, lookup)
        if not reason:
            self._accept(stack, design)
            self.finish_update(stack, stopped)
        elif stack.disable_rollback:
            self._records.set_status(stack, Status.UPDATE_FAILED, reason)
        else:
            self._records.set_status(stack, Status.UPDATE_ROLLBACK_IN_PROGRESS, reason)
            self.roll_back_update(stack, stopped)

    def finish_update(self, stack: StackRecord, stopped: Stopped) -> None:
        """Remove what the update left behind; a failure there does not fail the update."""
        self._clean_up(stack, stopped, forget=True)
        if not stopped():
            self._records.set_status(stack, Status.UPDATE_COMPLETE)

    def roll_back_update(self, stack: StackRecord, stopped: Stopped) -> None:
        """Return every resource to what it was, then remove what the update made."""
        resources = self._records.resources(stack.stack_id)
        touched = {name: record.before.depends_on for name, record in resources.items() if record.before is not None}

        def restore(logical_id: str) -> None:
            self._steps.restore(stack, resources[logical_id])

        run = run_graph(within(touched, touched), restore, stopped=stopped, keep_going=True)
        if stopped():
            return
        reason = _failure(run, "update")
        if reason:
            self._records.set_status(stack, Status.UPDATE_ROLLBACK_FAILED, reason)
            return
        with self._records.together():
            self._to_leftovers(stack)
            current = self._records.stack(stack.stack_id) or stack
            declaration = current.previous or current.declaration
            current = self._records.save_stack(replace(current, declaration=declaration, previous=None))
            self._records.set_status(current, Status.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS)
        self.finish_rollback(stack, stopped)

    def finish_rollback(self, stack: StackRecord, stopped: Stopped) -> None:
        """Remove what a rolled back update had made."""
        self._clean_up(stack, stopped, forget=True)
        if not stopped():
            self._records.set_status(stack, Status.UPDATE_ROLLBACK_COMPLETE)

    def recover(self, stack: StackRecord, stopped: Stopped) -> None:
        """Take up a stack that a killed process left in progress: undo what was begun, finish what was decided."""
        if stack.status is Status.CREATE_IN_PROGRESS:
            self._records.set_status(stack, Status.ROLLBACK_IN_PROGRESS, f"{INTERRUPTED} Rolling back.")
            self.roll_back_creation(stack, stopped)
        elif stack.status is Status.ROLLBACK_IN_PROGRESS:
            self.roll_back_creation(stack, stopped)
        elif stack.status is Status.UPDATE_IN_PROGRESS:
            self._records.set_status(stack, Status.UPDATE_ROLLBACK_IN_PROGRESS, f"{INTERRUPTED} Rolling back.")
            self.roll_back_update(stack, stopped)
        elif stack.status is Status.UPDATE_ROLLBACK_IN_PROGRESS:
            self.roll_back_update(stack, stopped)
        elif stack.status is Status.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS:
            self.finish_update(stack, stopped)
        elif stack.status is Status.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS:
            self.finish_rollback(stack, stopped)
        elif stack.status is Status.DELETE_IN_PROGRESS:
            self.delete(stack, stopped)

    def _noted(self, stack: StackRecord, task: Callable[[str], None]) -> Callable[[str], None]:
        """The task; what fails before its step noted anything (a value that cannot be resolved) is noted here."""

        def run(logical_id: str) -> None:
            try:
                task(logical_id)
            except ServiceError as error:
                record = self._records.resources(stack.stack_id).get(logical_id)
                if record is not None:
                    self._records.note_resource(stack, record, Status.UPDATE_FAILED, error.message)
                raise

        return run

    def _settle_outputs(self, stack: StackRecord, design: Design, lookup: StackLookup) -> str:
        """Resolve, check and save outputs; returns why not."""
        try:
            outputs = design.outputs(lookup)
            current = self._records.stack(stack.stack_id) or stack
            with self._records.together():
                check_outputs(self._records, current, outputs)
                self._records.save_stack(replace(current, outputs=outputs, description=design.template.description))
        except ServiceError as error:
            return error.message
        return ""

    def _accept(self, stack: StackRecord, design: Design) -> None:
        """Make the update's result the stack's state; what it displaced becomes leftovers."""
        with self._records.together():
            for name, record in self._records.resources(stack.stack_id).items():
                before = record.before
                if before is not None and before.physical_id and before.physical_id != record.physical_id:
                    policy = record.update_replace_policy
                    self._records.add_leftover(stack, replace(before, deletion_policy=policy))
                if name in design.resources:
                    self._records.save_resource(stack, replace(record, before=None, made_by_update=False))
                else:
                    self._records.add_leftover(stack, record)
                    self._records.remove_resource(stack, name)
            current = self._records.stack(stack.stack_id) or stack
            current = self._records.save_stack(replace(current, previous=None))
            self._records.set_status(current, Status.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS)

    def _to_leftovers(self, stack: StackRecord) -> None:
        """What an unfinished update made, or displaced, is only to be removed."""
        for name, record in self._records.resources(stack.stack_id).items():
            if record.made_by_update:
                made = self._steps.owned(record)
                if made:
                    policy = Policy.RETAIN if record.deletion_policy is Policy.RETAIN else Policy.DELETE
                    self._records.add_leftover(stack, replace(record, physical_id=made, deletion_policy=policy))
                self._records.remove_resource(stack, name)
            elif record.before is not None:
                if record.before.physical_id != record.physical_id:
                    self._records.add_leftover(stack, record.before)
                self._records.save_resource(stack, replace(record, before=None))

    def _clean_up(self, stack: StackRecord, stopped: Stopped, *, forget: bool = False) -> GraphRun:
        """Remove leftovers, users before what they use. `forget`: what cannot be removed is given up, as AWS does."""
        leftovers = self._records.leftovers(stack.stack_id)
        graph = _removal_graph(leftovers)

        def remove(key: str) -> None:
            self._steps.remove_leftover(stack, key, leftovers[key])

        run = run_graph(graph, remove, stopped=stopped, keep_going=True)
        if forget and not stopped():
            for key in run.failed:
                self._records.remove_leftover(stack, key)
        return run

    def _remove_all(self, stack: StackRecord, stopped: Stopped, *, force: bool) -> GraphRun:
        current = self._records.stack(stack.stack_id) or stack
        resources = {
            name: record
            for name, record in self._records.resources(stack.stack_id).items()
            if record.status not in _GONE and name not in current.retained
        }
        graph = reverse(within({name: record.depends_on for name, record in resources.items()}, resources))

        def remove(logical_id: str) -> None:
            self._steps.remove(stack, resources[logical_id], force=force)

        return run_graph(graph, remove, stopped=stopped, keep_going=True)


def _removal_graph(leftovers: Mapping[str, ResourceRecord]) -> Graph:
    keys: dict[str, list[str]] = {}
    for key, record in leftovers.items():
        keys.setdefault(record.logical_id, []).append(key)
    waits: dict[str, Iterable[str]] = {
        key: [other for name in record.depends_on for other in keys.get(name, ())] for key, record in leftovers.items()
    }
    return reverse(within(waits, leftovers))


def _failure(run: GraphRun, verb: str) -> str:
    """The stack's reason when resources failed; empty if none did."""
    if not run.failed:
        return ""
    unnoted = [f" {name}: {reason_of(error)}" for name, error in sorted(run.failed.items()) if _is_unnoted(error)]
    return f"The following resource(s) failed to {verb}: [{', '.join(sorted(run.failed))}].{''.join(unnoted)}"


def _is_unnoted(error: BaseException) -> bool:
    """Steps note what fails in a provider and raise ResourceError; anything else is in no event yet."""
    return not isinstance(error, ResourceError)
