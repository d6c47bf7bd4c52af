"""What planning, deploying and destroying have in common for every kind of stack: inputs, and how answers look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.errors import UsageError

if TYPE_CHECKING:
    from ncap_compiler import Change
    from ncap_iac.apply import Applied
    from ncap_iac.deployment import Deployment, MakeImage
    from ncap_iac.plan import Plan, Wanted


def parse_parameters(said: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`NAME=VALUE` texts → stack parameters. Raises UsageError."""
    pairs = []
    for text in said:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{text!r} is not NAME=VALUE", where="--parameter", hint="For example MonthlyBudget=200.")
        pairs.append((name, value))
    return tuple(pairs)


def make_deployment(context: Context) -> Deployment:
    """The target and the project, ready to plan and apply."""
    from ncap_iac.deployment import Deployment
    from ncap_iac.documents import Compiled

    return Deployment(
        gateway=context.gateway,
        compiled=Compiled(context.project),
        report=context.report,
        clock=context.world.clock,
        sleep=context.world.sleep,
        parameters=parse_parameters(context.get("parameters") or ()),
    )


def plan_result(plan: Plan, *, next_command: str) -> Answer:
    """A plan, as resources and words."""
    rows = tuple(_change_row(change) for change in plan.changes)
    head = f"Stack {plan.stack}: " + ("to be created" if plan.creates else "to be changed" if rows else "as wanted")
    if plan.version_id:
        head += f"; version {plan.version_id}"
    parameters = ", ".join(f"{name}={value}" for name, value in plan.parameters)
    blocks: list[Table | Text] = [Text(head + (f"\nParameters: {parameters}" if parameters else ""))]
    if rows:
        blocks.append(Table(("what", "type", "resource", "details"), rows, title="Resources"))
    permissions = _permission_rows(plan)
    if permissions:
        blocks.append(Table(("resource", "", "permission"), permissions, title="Permissions"))
    return Answer(
        kind="Plan",
        data=plan.document(),
        blocks=tuple(blocks),
        notes=plan.notes,
        next_commands=(next_command,) if next_command else (),
    )


def _change_row(change: Change) -> tuple[str, str, str, str]:
    details = ", ".join(change.properties)
    if change.replaces:
        details += " (another one is made in its place)"
    if change.keeps:
        details += " (stays, outside the stack)"
    return (change.verb.value, change.type.removeprefix("AWS::"), change.resource, details.strip())


def _permission_rows(plan: Plan) -> tuple[tuple[str, str, str], ...]:
    granted = [(change.resource, "+", words) for change in plan.changes for words in change.granted]
    revoked = [(change.resource, "-", words) for change in plan.changes for words in change.revoked]
    return tuple(sorted([*granted, *revoked]))


def applied_result(applied: Applied, plan: Plan, *, next_commands: Sequence[str]) -> Answer:
    """What a deployment did."""
    version = f", version {plan.version_id}" if plan.version_id else ""
    said = "deployed" if applied.changed else "is up to date"
    return Answer(
        kind="Deployment",
        data={
            "stack": applied.stack,
            "changed": applied.changed,
            "versionId": plan.version_id,
            "uploads": list(applied.uploads),
        },
        blocks=(Text(f"{applied.stack} {said}{version}"),),
        next_commands=tuple(next_commands),
    )


def compiled_result(context: Context, wanted: Wanted) -> Answer:
    """A template: on stdout, in a file, or inside the JSON answer."""
    import json

    path = context.get("output_file")
    data: dict[str, object] = {
        "stack": wanted.stack,
        "versionId": wanted.version.version_id if wanted.version else None,
    }
    if path:
        file = context.world.folder / path
        try:
            file.write_text(wanted.template, encoding="utf-8")
        except OSError as error:
            raise UsageError(error.strerror or str(error), where=str(file), hint="Choose another file.") from error
        return Answer(kind="Template", data={**data, "file": str(file)}, blocks=(Text(str(file)),))
    return Answer(
        kind="Template", data={**data, "template": json.loads(wanted.template)}, blocks=(Text(wanted.template),)
    )


def ensure_account(context: Context, deployment: Deployment) -> None:
    """Deploy the account stack if it is missing: on a local cloud by itself, elsewhere with --with-account.

    Raises NotFoundError if it is missing and nobody said to deploy it.
    """
    if deployment.has_account():
        return
    if context.target.cloud is None and not context.get("with_account", False):
        deployment.require_account()
    plain = replace(deployment, parameters=())
    with progress.step("deploy neurocaas-account", context.report, context.world.clock):
        plain.apply(plain.plan_account())


def image_maker(context: Context) -> MakeImage:
    """How a missing image is made at the target."""
    from ncap_iac.images import ImageMaker

    world = context.world
    maker = ImageMaker(context.project, world.environment, world.home, context.report, world.clock)
    return partial(maker.make, gateway=context.gateway)


def destroy(context: Context, deployment: Deployment, stack: str) -> Answer:
    """Ask, delete a stack, and say what it leaves. Raises UsageError without consent."""
    kept = deployment.kept_by(stack)
    context.say_target()
    context.require_consent(f"Delete stack {stack} of {context.target.name}?")
    with progress.step(f"delete {stack}", context.report, context.world.clock):
        existed = deployment.destroy(stack)
    said = f"{stack} deleted" if existed else f"{stack} was not deployed"
    return Answer(
        kind="Destruction",
        data={"stack": stack, "existed": existed, "kept": list(kept)},
        blocks=(Text(said),),
        notes=tuple(f"Kept, with everything in it: {item}" for item in kept),
    )
