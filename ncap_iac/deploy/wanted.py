"""What a document wants deployed: a stack's template, parameters and tags, and what has to be put beside it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ncap_compiler import names
from ncap_iac.deploy.state import Deployed, Phase
from ncap_iac.errors import UsageError

Pairs = tuple[tuple[str, str], ...]
"""Names with values: parameters or tags."""


@dataclass(frozen=True)
class Artifact:
    """Bytes a stack needs in the artifact bucket."""

    key: str
    body: bytes


@dataclass(frozen=True)
class Version:
    """A version of an analysis; its document lacks only the image its environment is in one region."""

    version_id: str
    bucket: str
    key: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """One stack a document compiles to."""

    stack: str
    template: str
    parameters: Pairs = ()
    artifacts: tuple[Artifact, ...] = ()
    kept_buckets: tuple[str, ...] = ()
    version: Version | None = None
    environment: str | None = None
    """What the blueprint names: `ami-…` or `iae:…`; None for other stacks."""
    tags: Pairs = ()

    @property
    def version_id(self) -> str:
        """The version it compiles to; empty for other stacks."""
        return "" if self.version is None else self.version.version_id


def with_parameters(
    wanted: Wanted,
    deployed: Deployed,
    *,
    known: Mapping[str, str],
    given: Pairs,
    staged: Pairs = (),
) -> Wanted:
    """The stack with its parameters: what is given, else of the stage, else known here, else as deployed.

    A parameter left out of an update would fall back to its default. Raises UsageError for a given one the template
    lacks; those of a stage are for several stacks and count where they are declared.
    """
    declared = json.loads(wanted.template).get("Parameters", {})
    unknown = [name for name, _ in given if name not in declared]
    if unknown:
        raise UsageError(
            f"{unknown[0]} is not a parameter of this stack",
            where=f"stack {wanted.stack}",
            hint=f"Its parameters: {', '.join(sorted(declared)) or 'none'}.",
        )
    values = {name: value for name, value in deployed.parameters if name in declared}
    values |= {name: value for name, value in known.items() if name in declared}
    values |= {name: value for name, value in staged if name in declared}
    values |= dict(given)
    return replace(wanted, parameters=tuple(sorted(values.items())))


def with_tags(wanted: Wanted, deployed: Deployed, *, given: Pairs, removed: Sequence[str] = ()) -> Wanted:
    """The stack with its tags: those given, and those it has that are not taken away; the platform's own aside."""
    kept = {name: value for name, value in own_tags(deployed).items() if name not in removed}
    return replace(wanted, tags=tuple(sorted((kept | dict(given)).items())))


def is_as_wanted(wanted: Wanted, deployed: Deployed) -> bool:
    """Whether a stack is complete, and has the wanted template, parameters and tags."""
    if deployed.phase is not Phase.READY or deployed.template is None:
        return False
    same = json.dumps(deployed.template, sort_keys=True) == json.dumps(json.loads(wanted.template), sort_keys=True)
    given = all(deployed.parameter(name) == value for name, value in wanted.parameters)
    return same and given and own_tags(deployed) == dict(wanted.tags)


def own_tags(deployed: Deployed) -> dict[str, str]:
    """A stack's tags without the platform's."""
    return {name: value for name, value in deployed.tags if name != names.STACK_TAG}
