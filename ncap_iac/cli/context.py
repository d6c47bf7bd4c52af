"""What a verb gets: its arguments, the console's ear, and the outside world as values and functions.

Everything expensive (project, target, clients) is made on first use.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ncap_iac import progress
from ncap_iac.console import Console
from ncap_iac.errors import NotFoundError, UsageError
from ncap_iac.project import Project, find_project
from ncap_iac.target import Choice, Target, resolve_target

if TYPE_CHECKING:
    from ncap_compiler.stages import Stage
    from ncap_iac.aws import Gateway


@dataclass(frozen=True)
class World:
    """The outside: everything a command may depend on that is not an argument."""

    environment: Mapping[str, str]
    home: Path
    folder: Path
    stdin: TextIO
    clock: Callable[[], float]
    """Seconds, only ever forward."""
    sleep: Callable[[float], None]
    now: Callable[[], datetime]


@dataclass(frozen=True)
class Member:
    """A member's own keys in use."""

    name: str
    group: str
    gateway: Gateway


class Context:
    """One run of one verb."""

    def __init__(self, arguments: argparse.Namespace, console: Console, world: World) -> None:
        self.arguments = arguments
        self.console = console
        self.world = world

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default if it was not given."""
        return getattr(self.arguments, name, default)

    def report(self, event: progress.Event) -> None:
        """Tell the console."""
        self.console.report(event)

    @cached_property
    def choice(self) -> Choice:
        """What the options say about the target, and the stage where they say nothing."""
        said = Choice(
            cloud=self.get("cloud"),
            aws=self.get("aws", False),
            profile=self.get("profile"),
            region=self.get("region"),
            endpoint_url=self.get("endpoint_url"),
        )
        if self.stage_name is None or said.cloud is not None or self.world.environment.get("NCAP_CLOUD"):
            return said
        stage = self.stage
        return replace(said, profile=said.profile or stage.profile, region=said.region or stage.region)

    @cached_property
    def stage(self) -> Stage:
        """The stage named; where none is, production with nothing of `stages.json`. Raises UsageError."""
        from ncap_compiler.stages import PRODUCTION
        from ncap_iac.deploy.stages import find_stage

        if self.stage_name is None:
            return PRODUCTION
        return find_stage(self.stage_name, self.project.root if self.has_project() else None)

    @property
    def stage_name(self) -> str | None:
        """The stage named by --stage or NCAP_STAGE, for verbs that have stages."""
        if not hasattr(self.arguments, "stage"):
            return None
        return self.arguments.stage or self.world.environment.get("NCAP_STAGE") or None

    def place_options(self) -> tuple[str, ...]:
        """The options that choose this stage and target again."""
        stage = ("--stage", self.stage_name) if self.stage_name else ()
        return (*stage, *self.target.options())

    @cached_property
    def target(self) -> Target:
        """Where the command acts. Raises CloudError if that is a local cloud that does not run."""
        return resolve_target(self.choice, self.world.environment, self.world.home)

    @cached_property
    def gateway(self) -> Gateway:
        """AWS or the local cloud, with the target's credentials."""
        return open_gateway(self.target)

    @cached_property
    def project(self) -> Project:
        """The project around the working folder, or the one named. Raises ProjectError."""
        named = self.get("project") or self.world.environment.get("NCAP_PROJECT")
        return find_project((self.world.folder / named if named else self.world.folder).absolute())

    def has_project(self) -> bool:
        """Whether the command runs in a project."""
        try:
            return bool(self.project)
        except UsageError:
            return False

    def say_target(self) -> None:
        """Say where something is about to change."""
        self.report(progress.Note(f"On {self.target.name}, region {self.gateway.region}."))

    def require_consent(self, question: str) -> None:
        """Ask before something is destroyed. Raises UsageError without a yes."""
        if self.get("yes", False):
            return
        answer = self.console.confirm(question, self.world.stdin)
        if answer is None:
            raise UsageError(f"{question} There is nobody to ask.", hint="Say --yes if you mean it.")
        if not answer:
            raise UsageError("you said no; nothing was changed", hint="Run it again to answer otherwise.")

    def member(self, name: str) -> Member:
        """A member's own keys, from the target's secrets. Raises NotFoundError, AccessError."""
        return open_member(self.gateway, name)


def open_gateway(target: Target) -> Gateway:
    """The gateway of a target; boto3 is imported here."""
    from ncap_iac.aws import Gateway

    return Gateway(target)


def open_member(gateway: Gateway, name: str) -> Member:
    """A member's keys (docs/contracts.md section 1: credentials) and a gateway that uses them."""
    import json

    from ncap_compiler import names

    try:
        secret = json.loads(gateway.secret(names.member_secret(name)))
    except NotFoundError as error:
        raise NotFoundError(
            f"no member {name!r} has keys there",
            where=gateway.target.name,
            hint="Deploy the profile that names them: `ncap profile deploy NAME`.",
        ) from error
    target = replace(
        gateway.target,
        name=f"{gateway.target.name} as {name}",
        profile=None,
        region=gateway.region,
        access_key_id=str(secret["AccessKeyId"]),
        secret_access_key=str(secret["SecretAccessKey"]),
    )
    return Member(name=name, group=str(secret["group"]), gateway=open_gateway(target))
