"""What a verb about stacks is about: the account stack, or a document of the project."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.cli.context import Context
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.deploy.deployment import Deployment, MakeImage
    from ncap_iac.deploy.plan import Plan
    from ncap_iac.deploy.wanted import Wanted

ACCOUNT = "account"


@dataclass(frozen=True)
class Subject:
    """What a verb is about: the account stack, or a document (`kind`, and as it was named)."""

    kind: Kind | None = None
    name: str = ACCOUNT
    path: Path = Path()

    @property
    def noun(self) -> str:
        """The noun of the command line."""
        return ACCOUNT if self.kind is None else self.kind.noun

    def command(self, verb: str, *options: str) -> str:
        """A command about the same subject."""
        return shlex.join(["ncap", self.noun, verb, *([] if self.kind is None else [self.name]), *options])

    def wanted(self, context: Context) -> tuple[Wanted, ...]:
        """What it compiles to where nothing is deployed."""
        from ncap_iac.documents import Compiled

        compiled = Compiled(context.project, context.stage)
        return (compiled.account(),) if self.kind is None else compiled.stacks(self.kind, self.path)

    def stack_names(self, deployment: Deployment) -> tuple[str, ...]:
        """Its deployed stacks."""
        from ncap_compiler import names

        return (names.ACCOUNT_STACK,) if self.kind is None else deployment.stack_names(self.kind, self.path)

    def plan(self, deployment: Deployment, make_image: MakeImage | None = None) -> Plan:
        """What deploying it would do."""
        if self.kind is None:
            return deployment.plan_account()
        return deployment.plan_document(self.kind, self.path, make_image=make_image)


def subject_of(context: Context, kind: Kind | None) -> Subject:
    """What the command line names. Raises ProjectError."""
    if kind is None:
        return Subject()
    name = str(context.arguments.name)
    return Subject(kind, name, context.project.document(kind, name))
