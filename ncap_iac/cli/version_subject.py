"""The analysis the verbs about versions are told of: its documents, its stack, its kept versions, each read on use."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ncap_iac.cli.context import Context
from ncap_iac.errors import DocumentProblemsError, NotFoundError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.deploy.state import Deployed
    from ncap_iac.deploy.versions import KeptVersion
    from ncap_iac.deploy.wanted import Wanted

DOCUMENTS = "documents"
"""Said instead of an id: what the documents of the project compile to."""
DEFAULT = "default"
"""Said instead of an id: the version served by default."""


class Subject:
    """The analysis a verb is about. Problems in its documents hinder neither looking nor rolling back."""

    def __init__(self, context: Context) -> None:
        from ncap_iac.cli.plans import make_deployment

        self.context = context
        self.deployment: Deployment = make_deployment(context)
        self.name = str(context.arguments.name)
        self.path: Path = context.project.document(Kind.BLUEPRINT, self.name)

    @cached_property
    def wanted(self) -> Wanted | None:
        """What its documents compile to; None if they have problems."""
        try:
            return self.deployment.compiled.analysis(self.path)
        except DocumentProblemsError:
            return None

    @cached_property
    def stack(self) -> str:
        """Its stack, which is its bucket."""
        return self.deployment.compiled.named(self.path) if self.wanted is None else self.wanted.stack

    @cached_property
    def deployed(self) -> Deployed:
        """Its stack as it is."""
        from ncap_iac.deploy.state import read_stack

        return read_stack(self.context.gateway.stacks, self.stack)

    @cached_property
    def served(self) -> str:
        """The id of the version served by default; empty if none is."""
        from ncap_iac.deploy.rollback import served_version

        return served_version(self.deployed) or ""

    @cached_property
    def kept(self) -> tuple[KeptVersion, ...]:
        """Its kept versions, the latest first."""
        from ncap_iac.deploy.versions import read_versions

        return read_versions(self.context.gateway.objects, self.stack)

    @property
    def compiled_id(self) -> str:
        """The id of the version its documents compile to; empty if they have problems."""
        return "" if self.wanted is None else self.wanted.version_id

    def document(self, said: str) -> tuple[str, Mapping[str, Any]]:
        """The id and document of what is meant. Raises NotFoundError, UsageError, NcapError."""
        from ncap_iac.deploy.versions import require_untouched

        if said == DOCUMENTS and self.wanted is not None and self.wanted.version is not None:
            return self.wanted.version_id, self.wanted.version.document
        if said == DOCUMENTS:
            # Says what is wrong with them.
            self.deployment.compiled.analysis(self.path)
        found = self.find(self.served if said == DEFAULT and self.served else said)
        require_untouched(found)
        return found.version_id, found.document

    def find(self, said: str) -> KeptVersion:
        """The kept version meant. Raises NotFoundError with the nearest, UsageError."""
        from ncap_iac.deploy.versions import find_version

        if said == DEFAULT or not self.kept:
            raise NotFoundError(
                "no version of it is deployed",
                where=f"analysis {self.stack} at {self.context.target.name}",
                hint=f"Deploy it: `ncap blueprint deploy {self.name}`.",
            )
        return find_version(self.kept, said, analysis=self.name)

    def command(self, verb: str, *words: str) -> str:
        """Another command about the same analysis, as a person would type it."""
        return shlex.join(["ncap", "blueprint", verb, self.name, *words, *self.context.place_options()])

    def notes(self) -> list[str]:
        """What the reader should know of the documents."""
        if self.wanted is None:
            return [f"The documents have problems: see `ncap blueprint validate {self.name}`."]
        if self.compiled_id not in {version.version_id for version in self.kept}:
            return [f"The documents compile to {self.compiled_id}, which is not deployed."]
        return []
