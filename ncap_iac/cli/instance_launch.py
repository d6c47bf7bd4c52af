"""`ncap instance launch`: the price, then a machine in the analysis's environment that ends by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.instance import DEFAULT_HOURS, hours, lives, price_table
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import NotFoundError, UsageError
from ncap_iac.project import Kind, read_bytes, read_text

if TYPE_CHECKING:
    from ncap_compiler.blueprint import Blueprint
    from ncap_iac.development.instances import DevInstance
    from ncap_iac.development.launching import DevImage

CONSENT_MICRO = 10_000_000
"""A machine that can cost more is asked about."""


@dataclass(frozen=True)
class Price:
    """What a machine costs: an hour, and to its end. None: nobody knows."""

    micro_per_hour: int | None
    total_micro: int | None

    def sentence(self, instance_type: str, gib: int, hours_given: int) -> str:
        """For people."""
        from ncap_iac.money.amounts import usd_text

        if self.micro_per_hour is None or self.total_micro is None:
            return f"The price of {instance_type} is not known here."
        hour, total = usd_text(self.micro_per_hour), usd_text(self.total_micro)
        return f"{instance_type}: {hour} an hour; at most {total} in {hours_given} h, with {gib} GiB of disk."


def add_launch(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "launch",
        "Launch a development instance in an analysis's environment.",
        [
            "ncap instance launch spectra",
            "ncap instance launch spectra --type g5.xlarge --hours 8 --profile lab",
            "ncap instance launch spectra --ami ami-0123456789abcdef0 --profile lab",
        ],
        run=run_launch,
        detail="The environment the blueprint names, or, while there is no AMI of it, the system it is built on.\n"
        "Nothing can connect to it but Systems Manager; its disk is encrypted; it reaches the folder of its test jobs\n"
        "and nothing else. It ends by itself when its hours are over. The first launch deploys a small stack for all.",
    )
    parser.add_argument("name", metavar="NAME", help="an analysis of the project, or its folder")
    parser.add_argument("--type", metavar="TYPE", help="instance type (the blueprint's first)")
    parser.add_argument(
        "--hours",
        type=hours,
        default=DEFAULT_HOURS,
        metavar="H",
        help=f"how long it lives ({DEFAULT_HOURS}, at most 24)",
    )
    parser.add_argument("--disk", type=int, metavar="GIB", help="size of its disk (the blueprint's VOLUME_SIZE)")
    parser.add_argument(
        "--at-expiry",
        choices=("terminate", "stop"),
        default="terminate",
        help="what happens when its hours are over; a stopped one keeps its disk for 14 days",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--ami", metavar="AMI", help="start from this AMI")
    which.add_argument("--environment", action="store_true", help="the blueprint's environment, or not at all")
    which.add_argument("--base", action="store_true", help="the bare system the recipe is built on")


def run_launch(context: Context) -> Answer:
    """Price, consent, stack, image, launch, wait."""
    from ncap_compiler import load_blueprint
    from ncap_iac.development.instances import find_instance
    from ncap_iac.development.launching import DevLaunch, launch_instance
    from ncap_iac.development.stack import ensure_stack
    from ncap_iac.documents import checked

    arguments, world = context.arguments, context.world
    path = context.project.document(Kind.BLUEPRINT, arguments.name)
    checked([path], Kind.BLUEPRINT)
    blueprint = load_blueprint(read_text(path), file=str(path))
    instance_type = arguments.type or blueprint.hardware.instance_types[0]
    gib = arguments.disk or blueprint.hardware.volume_size_gib
    context.say_target()
    price = _price(context, instance_type, gib)
    context.report(progress.Note(price.sentence(instance_type, gib, arguments.hours)))
    if price.total_micro is None or price.total_micro > CONSENT_MICRO:
        context.require_consent(f"Launch {instance_type} for {arguments.hours} h?")
    _ensure_account(context)
    gateway = context.gateway
    image = _image(context, blueprint, path)
    place = ensure_stack(gateway, report=context.report, clock=world.clock, sleep=world.sleep)
    _, owner = gateway.identity()
    now = world.now()
    launch = DevLaunch(
        analysis=blueprint.analysis,
        image=image,
        instance_type=instance_type,
        volume_gib=gib,
        hours=arguments.hours,
        owner=owner,
        now=now,
        expires=now + timedelta(hours=arguments.hours),
        at_expiry=arguments.at_expiry,
    )
    instance = launch_instance(gateway, launch, place)
    with progress.step(f"start {instance}", context.report, world.clock) as step:
        it = lives(context).wait(find_instance(gateway, instance), "running")
        step.text = "running"
    return _answer(context, it, price)


def _ensure_account(context: Context) -> None:
    """On a local cloud what all stacks need is made by itself; on AWS an operator has made it."""
    from ncap_iac.cli.plans import ensure_account
    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.documents import Compiled

    world = context.world
    deployment = Deployment(context.gateway, Compiled(context.project), context.report, world.clock, world.sleep)
    ensure_account(context, deployment, Kind.PROFILE)


def _price(context: Context, instance_type: str, gib: int) -> Price:
    from ncap_iac.money.amounts import Rate, cost_micro

    table = price_table(context)
    found = table.prices.get(instance_type) if table else None
    if found is None:
        return Price(None, None)
    total = cost_micro(Rate(found.micro_per_hour, gib), context.arguments.hours * 3600)
    return Price(found.micro_per_hour, total)


def _image(context: Context, blueprint: Blueprint, path: Path) -> DevImage:
    """The image asked for. Raises NotFoundError, UsageError."""
    from ncap_iac.deploy.images import named_environment
    from ncap_iac.development.launching import image_of

    arguments, gateway = context.arguments, context.gateway
    if arguments.ami:
        return image_of(gateway, arguments.ami, arguments.ami)
    named = named_environment(read_bytes(path), where=str(path))
    if arguments.base:
        return _base(context, blueprint, path)
    if not named.startswith("iae:"):
        return image_of(gateway, named, named)
    known = gateway.images(named.partition("@")[2])
    if known:
        return image_of(gateway, known[0], named)
    if gateway.target.cloud is not None:
        from ncap_iac.cli.plans import image_maker

        return image_of(gateway, image_maker(context)(named, path.parent), named)
    if arguments.environment:
        raise NotFoundError(
            f"{named} has no AMI there",
            where=gateway.target.name,
            hint=f"Make one: `ncap environment build {arguments.name} --on aws`.",
        )
    context.report(progress.Warned("There is no AMI of its environment yet: it starts from the bare system."))
    return _base(context, blueprint, path)


def _base(context: Context, blueprint: Blueprint, path: Path) -> DevImage:
    from ncap_compiler.image_component import BASE_SYSTEMS
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.ami_build import architecture_of
    from ncap_iac.development.launching import base_image

    if context.target.cloud is not None:
        raise UsageError(
            "a local cloud has images of environments only",
            where="--base",
            hint="Leave it out, or name AWS with --profile or --aws.",
        )
    recipe = image_maker(context).source(path.parent).recipe
    system = BASE_SYSTEMS[recipe.base]
    architecture = architecture_of(context.arguments.type or blueprint.hardware.instance_types[0])
    parents = system.gpu_parents if recipe.resources.gpu > 0 else system.parents
    if architecture not in parents:
        raise UsageError(f"there is no {recipe.base} for {architecture}", where="--base", hint="Choose another --type.")
    return base_image(context.gateway, parents, architecture)


def _answer(context: Context, it: DevInstance, price: Price) -> Answer:
    from ncap_iac.money.amounts import usd

    facts = {
        **it.document(context.world.now()),
        "usdPerHour": None if price.micro_per_hour is None else usd(price.micro_per_hour),
        "usdAtMost": None if price.total_micro is None else usd(price.total_micro),
    }
    rows = (
        ("instance", it.instance),
        ("analysis", it.analysis),
        ("image", f"{it.image_id} ({it.environment})"),
        (
            "until",
            f"{it.expires:%Y-%m-%d %H:%M} UTC, then {'it is stopped' if it.at_expiry == 'stop' else 'it is gone'}",
        ),
    )
    place = " ".join(("", *context.target.options()))
    return Answer(
        kind="InstanceLaunch",
        data=facts,
        blocks=(Table(("what", "value"), rows),),
        next_commands=tuple(f"ncap instance {verb} {it.instance}{place}" for verb in ("connect", "run", "end")),
    )
