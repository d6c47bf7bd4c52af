"""What planning, deploying and destroying have in common for every kind of stack: inputs, consent, answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.plan_answer import plan_result
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.deploy.apply import Applied
    from ncap_iac.deploy.deployment import Deployment, MakeImage
    from ncap_iac.deploy.plan import Plan
    from ncap_iac.deploy.saved_plan import Site
    from ncap_iac.deploy.wanted import Wanted

TAG_KEY = re.compile(r"(?!aws:|neurocaas:)[\w .:/=+@-]{1,128}", re.IGNORECASE)
LONGEST_TAG_VALUE = 256
"""Rules of AWS's tags; `neurocaas:` is the platform's own."""


def parse_pairs(said: Sequence[str], option: str, example: str) -> tuple[tuple[str, str], ...]:
    """`NAME=VALUE` texts → pairs. Raises UsageError."""
    pairs = []
    for text in said:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{text!r} is not NAME=VALUE", where=option, hint=f"For example {example}.")
        pairs.append((name, value))
    return tuple(pairs)


def parse_tags(said: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`KEY=VALUE` texts → tags. Raises UsageError for what AWS or the platform keeps for itself."""
    pairs = parse_pairs(said, "--tag", "CostCenter=42")
    for name, value in pairs:
        if not TAG_KEY.fullmatch(name) or len(value) > LONGEST_TAG_VALUE:
            raise UsageError(
                f"{name!r} cannot be a tag",
                where="--tag",
                hint="A key has up to 128 letters, digits, spaces and . : / = + - @ _, and begins neither with `aws:` "
                f"nor with `neurocaas:`; a value up to {LONGEST_TAG_VALUE} characters.",
            )
    return pairs


def make_deployment(context: Context) -> Deployment:
    """The target and the project, ready to plan and apply."""
    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.documents import Compiled

    return Deployment(
        gateway=context.gateway,
        compiled=Compiled(context.project, context.stage),
        report=context.report,
        clock=context.world.clock,
        sleep=context.world.sleep,
        parameters=parse_pairs(context.get("parameters") or (), "--parameter", "MonthlyBudget=200"),
        tags=parse_tags(context.get("tags") or ()),
        removed_tags=tuple(context.get("removed_tags") or ()),
    )


def site_of(gateway: Gateway) -> Site:
    """The place a plan is for."""
    from ncap_iac.deploy.saved_plan import Site

    account, _ = gateway.identity()
    return Site(account, gateway.region, gateway.target.cloud)


def require_consent_to(context: Context, plan: Plan) -> None:
    """Ask before something changes on AWS; where nobody can answer, refuse only what would cost data.

    A local cloud is one's own: there nothing is asked. Raises UsageError without consent.
    """
    if plan.is_empty or context.target.cloud is not None or context.get("yes", False):
        return
    if context.world.stdin.isatty():
        context.console.preview(plan_result(plan, next_command=""))
    answer = context.console.confirm(f"Apply this to {context.target.name}?", context.world.stdin)
    if answer is None and plan.destroys:
        said = " ".join(care.text for care in plan.careful if care.destroys)
        raise UsageError(f"it would cost data, and there is nobody to ask. {said}", hint="Say --yes if you mean it.")
    if answer is False:
        raise UsageError("you said no; nothing was changed", hint="Run it again to answer otherwise.")


def applied_result(applied: Applied, plan: Plan, *, next_commands: Sequence[str]) -> Answer:
    """What a deployment did."""
    version = f", version {plan.version_id}" if plan.version_id else ""
    said = "deployed" if applied.changed else "is up to date"
    return Answer(
        kind="Deployment",
        data={
            "stack": applied.stack,
            "changed": applied.changed,
            "stacks": list(applied.stacks),
            "versionId": plan.version_id,
            "uploads": list(applied.uploads),
        },
        blocks=(Text(f"{', '.join(applied.stacks) or applied.stack} {said}{version}"),),
        notes=plan.notes,
        next_commands=tuple(next_commands),
    )


def compiled_result(context: Context, stacks: Sequence[Wanted]) -> Answer:
    """Templates: on stdout, in a file (a folder for several), or inside the JSON answer."""
    import json

    first = stacks[0]
    data: dict[str, object] = {
        "stack": first.stack,
        "stacks": [item.stack for item in stacks],
        "versionId": first.version.version_id if first.version else None,
    }
    path = context.get("output_file")
    if path:
        file = context.world.folder / path
        try:
            if len(stacks) > 1:
                file.mkdir(parents=True, exist_ok=True)
            for item in stacks:
                written = file / f"{item.stack}.json" if len(stacks) > 1 else file
                written.write_text(item.template, encoding="utf-8")
        except OSError as error:
            raise UsageError(error.strerror or str(error), where=str(file), hint="Choose another file.") from error
        return Answer(kind="Template", data={**data, "file": str(file)}, blocks=(Text(str(file)),))
    templates = {item.stack: json.loads(item.template) for item in stacks}
    text = first.template if len(stacks) == 1 else json.dumps(templates, indent=2, ensure_ascii=False)
    return Answer(
        kind="Template", data={**data, "template": templates[first.stack], "templates": templates}, blocks=(Text(text),)
    )


def ensure_account(context: Context, deployment: Deployment, kind: Kind) -> None:
    """Deploy the account stack if it is missing: on a local cloud by itself, elsewhere with --with-account.

    Raises NotFoundError if it is missing, needed, and nobody said to deploy it. Groups can do without: they may be in
    another region than the analyses.
    """
    if deployment.has_account():
        return
    if context.target.cloud is None and not context.get("with_account", False):
        if kind is Kind.BLUEPRINT:
            deployment.require_account()
        return
    plain = replace(deployment, parameters=(), tags=(), removed_tags=())
    plan = plain.plan_account()
    require_consent_to(context, plan)
    with progress.step("deploy neurocaas-account", context.report, context.world.clock):
        plain.apply(plan)


def image_maker(context: Context) -> MakeImage:
    """How a missing image is made at the target."""
    from ncap_iac.deploy.images import ImageMaker

    world = context.world
    maker = ImageMaker(context.project, world.environment, world.home, context.report, world.clock)
    return partial(maker.make, gateway=context.gateway)


def destroy(context: Context, deployment: Deployment, stacks: Sequence[str]) -> Answer:
    """Ask, delete stacks, and say what they leave. Raises UsageError without consent."""
    kept = [item for stack in stacks for item in deployment.kept_by(stack)]
    context.say_target()
    context.require_consent(f"Delete stack {', '.join(stacks)} of {context.target.name}?")
    gone = []
    for stack in reversed(stacks):
        with progress.step(f"delete {stack}", context.report, context.world.clock):
            if deployment.destroy(stack):
                gone.append(stack)
    said = f"{', '.join(gone)} deleted" if gone else f"{', '.join(stacks)} was not deployed"
    return Answer(
        kind="Destruction",
        data={"stack": stacks[0], "stacks": list(gone), "existed": bool(gone), "kept": kept},
        blocks=(Text(said),),
        notes=tuple(f"Kept, with everything in it: {item}" for item in kept),
    )
