"""What a change of documents means: two trees of files → problems, and per stack what would become different.

Compares; asks no cloud and no git. How it is told to people is in `check_report`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ncap_compiler import Change, Problem, load_blueprint, load_profile
from ncap_compiler.compare import Verb
from ncap_compiler.errors import Notice
from ncap_iac.deploy.careful import DATA
from ncap_iac.deploy.comparison import Outcome, StackPlan, deleted_stack_plan, stack_plan
from ncap_iac.deploy.state import Deployed, Phase
from ncap_iac.deploy.steps import step_changes
from ncap_iac.deploy.wanted import Wanted
from ncap_iac.environments.source import SHARED
from ncap_iac.project import Kind
from ncap_iac.review.collisions import collisions
from ncap_iac.review.side import Side
from ncap_iac.review.sources import Tree

CODE = "protocols/"
"""Changes below it alter every stack that has a function."""


class Severity(Enum):
    """How much a reviewer should look at a change; the first is shown first."""

    LOSES_DATA = "data is lost"
    REPLACES = "replaced"
    REMOVES = "removed"
    CHANGES = "changed"
    ADDS = "added"


@dataclass(frozen=True)
class StackCheck:
    """One stack on both sides; versions are of analyses only."""

    document: str
    """Path of its document below the project's root."""
    plan: StackPlan
    """What would become different if the side before were deployed, with every parameter at its default."""
    version_before: str | None
    version_after: str | None
    steps: tuple[str, ...] = ()
    """What becomes different in what its jobs start elsewhere, in words."""

    @property
    def is_same(self) -> bool:
        """Whether nothing becomes different."""
        return self.plan.outcome is Outcome.AS_WANTED and self.version_before == self.version_after


@dataclass(frozen=True)
class CodeChange:
    """A change of the code all stacks share: said once, not for every stack."""

    files: tuple[str, ...]
    stacks: tuple[str, ...]
    """Stacks that become different only by it."""


@dataclass(frozen=True)
class Checked:
    """The whole finding."""

    base: str
    """The commit compared with."""
    documents: tuple[str, ...]
    """Documents that changed themselves, or with a file beside them."""
    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...]
    stacks: tuple[StackCheck, ...]
    code: CodeChange | None


def severity(change: Change) -> Severity:
    """How much a change matters."""
    goes = change.verb is Verb.REMOVED or change.replaces
    if goes and not change.keeps and change.type in DATA:
        return Severity.LOSES_DATA
    if change.replaces:
        return Severity.REPLACES
    return {Verb.REMOVED: Severity.REMOVES, Verb.CHANGED: Severity.CHANGES, Verb.ADDED: Severity.ADDS}[change.verb]


def by_severity(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Changes in the order a reviewer wants: what is lost first."""
    order = list(Severity)
    return tuple(sorted(changes, key=lambda change: (order.index(severity(change)), change.resource)))


def changed_paths(before: Tree, after: Tree) -> frozenset[str]:
    """The paths whose files differ."""
    paths = {*before.files, *after.files, *before.links, *after.links}
    return frozenset(
        path
        for path in paths
        if before.files.get(path) != after.files.get(path) or (path in before.links) != (path in after.links)
    )


def check_trees(before: Tree, after: Tree, *, base: str, scratch: Path, only: frozenset[str] | None = None) -> Checked:
    """Compare two trees, written below the empty folder `scratch`. `only` names the documents to look at (all)."""
    return _Check(before, after, base=base, scratch=scratch, only=only).finding()


class _Check:
    """One comparison."""

    def __init__(self, before: Tree, after: Tree, *, base: str, scratch: Path, only: frozenset[str] | None) -> None:
        self._base = base
        self._before = Side(before, scratch / "before")
        self._after = Side(after, scratch / "after", earlier=self._before)
        self._changed = changed_paths(before, after)
        self._code = tuple(sorted(path for path in self._changed if path.startswith(CODE)))
        every = {**self._before.documents(), **self._after.documents()}
        self._documents = {path: every[path] for path in sorted(every) if only is None or path in only}
        self._direct = {path for path in self._documents if self._is_direct(path)}
        self._whole = only is None

    def finding(self) -> Checked:
        """Problems first, then stacks: those of changed documents whole, others only if more than code differs."""
        problems = [*self._link_problems(), *self._document_problems(), *self._shared_names()]
        shown: list[StackCheck] = []
        by_code: list[str] = []
        for path, kind in self._documents.items():
            if not self._may_differ(path, kind):
                continue
            for found in self._compared(path, kind):
                if found.is_same:
                    continue
                if path in self._direct or not self._code or kind is Kind.PROFILE:
                    shown.append(found)
                else:
                    by_code.append(found.plan.stack)
        if self._code and self._whole:
            pair = self._before.compiled.account(), self._after.compiled.account()
            by_code += [pair[1].stack] if pair[0].template != pair[1].template else []
        return Checked(
            base=self._base,
            documents=tuple(sorted(self._direct)),
            problems=tuple(dict.fromkeys(problems)),
            notices=tuple(self._notices()),
            stacks=tuple(shown),
            code=CodeChange(self._code, tuple(sorted(by_code))) if self._code and self._whole else None,
        )

    def _is_direct(self, path: str) -> bool:
        folder = path.rpartition("/")[0] + "/"
        return any(changed.startswith(folder) for changed in self._changed)

    def _may_differ(self, path: str, kind: Kind) -> bool:
        """Whether anything a document depends on changed: itself, the code, what analyses or profiles share."""
        around = f"{kind.folder}/" if kind is Kind.PROFILE else f"{kind.folder}/{SHARED}/"
        shared = any(changed.startswith(around) for changed in self._changed)
        return path in self._direct or bool(self._code) or shared or self._hands_over(path, kind)

    def _hands_over(self, path: str, kind: Kind) -> bool:
        """Whether a blueprint's steps go to an analysis that changed, or did until it was removed."""
        text = self._after.tree.files.get(path, b"")
        if kind is not Kind.BLUEPRINT or not any(other.startswith(f"{kind.folder}/") for other in self._direct):
            return False
        return b'"Steps"' in text

    def _compared(self, path: str, kind: Kind) -> Iterator[StackCheck]:
        """The stacks of one document on both sides."""
        had = {wanted.stack: wanted for wanted in self._before.stacks(path, kind)}
        has = {wanted.stack: wanted for wanted in self._after.stacks(path, kind)}
        if self._after.problems(path, kind) and not has:
            return
        for stack in sorted({*had, *has}):
            yield _compare(path, had.get(stack), has.get(stack))

    def _document_problems(self) -> Iterator[Problem]:
        """Of changed documents all problems, of others those they did not have before."""
        for path, kind in self._documents.items():
            if not self._may_differ(path, kind):
                continue
            known = () if path in self._direct else self._before.problems(path, kind)
            ids = {(problem.id, problem.pointer) for problem in known}
            yield from (
                problem for problem in self._after.problems(path, kind) if (problem.id, problem.pointer) not in ids
            )

    def _link_problems(self) -> Iterator[Problem]:
        for path in sorted(self._after.tree.links - self._before.tree.links):
            yield Problem("D108", path, "", None, "it is a symbolic link, which is not followed", "Put the file there.")

    def _shared_names(self) -> Iterator[Problem]:
        """Names two documents claim, if one of the two changed."""
        kinds = self._after.documents()
        texts = {path: self._after.tree.files[path].decode("utf-8", "replace") for path in kinds}
        found = collisions(texts, kinds, changed=self._direct)
        yield from (problem for problem in found if problem.file in self._direct)

    def _notices(self) -> Iterator[Notice]:
        """What is worth knowing of changed documents without problems."""
        for path in sorted(self._direct):
            kind = self._documents[path]
            if path not in self._after.tree.files or self._after.problems(path, kind):
                continue
            text = self._after.tree.files[path].decode()
            load = load_blueprint if kind is Kind.BLUEPRINT else load_profile
            yield from load(text, file=path).notices


def _compare(path: str, had: Wanted | None, has: Wanted | None) -> StackCheck:
    versions = [side.version.version_id if side and side.version else None for side in (had, has)]
    plan = stack_plan(has, _as_deployed(had, has.stack)) if has else deleted_stack_plan(_as_deployed(had, ""))
    documents = [side.version.document if side and side.version else {} for side in (had, has)]
    return StackCheck(path, plan, versions[0], versions[1], tuple(step_changes(*documents)))


def _as_deployed(wanted: Wanted | None, stack: str) -> Deployed:
    """The side before, as if it were deployed."""
    if wanted is None:
        return Deployed(stack, Phase.ABSENT)
    return Deployed(wanted.stack, Phase.READY, template=json.loads(wanted.template), parameters=wanted.parameters)
