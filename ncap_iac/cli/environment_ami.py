"""`ncap environment build --on aws`: the AMI of a recipe through EC2 Image Builder, tried before it is usable.

May be interrupted and run again: it goes on where it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.errors import NcapError
from ncap_iac.project import Kind, read_text

if TYPE_CHECKING:
    from ncap_iac.deploy.ami_build import AmiBuild, FoundAmi
    from ncap_iac.deploy.ami_trial import Sample

LONGEST_MINUTES = 180
_TRIAL_MINUTES = 60
_LOCAL_PAUSE_S = 0.3
_REMOTE_PAUSE_S = 15.0


def build_ami(context: Context) -> Answer:
    """Plan, deploy, try, tag; or only show."""
    from ncap_iac.deploy.ami_trial import read_sample

    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    ami = _wanted(context, path)
    sample = read_sample(path.parent)
    if context.get("dry_run", False):
        return _shown(context, ami, sample)
    _mean_aws(context)
    context.say_target()
    found = _amis(context, ami)
    if len(_usable_regions(found)) < 1 + len(ami.build.regions):
        if not _is_complete(found, ami):
            _deploy(context, ami)
            found = _amis(context, ami)
        found = _tried(context, ami, found, path, sample)
    return _answer(context, ami, found)


def _mean_aws(context: Context) -> None:
    """AMIs are AWS's: a local cloud builds one only when it is named by an option."""
    choice = context.choice
    if choice.cloud is None and choice.profile is None and choice.endpoint_url is None:
        context.choice = replace(choice, aws=True)


def _wanted(context: Context, path: Path) -> AmiBuild:
    from ncap_compiler import load_blueprint
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.ami_build import make_build
    from ncap_iac.documents import document_problems

    with document_problems():
        blueprint = load_blueprint(read_text(path), file=str(path))
    regions = tuple(name for item in context.get("regions") or () for name in item.split(",") if name)
    return make_build(image_maker(context).source(path.parent), blueprint.hardware, regions=regions)


def _shown(context: Context, ami: AmiBuild, sample: Sample) -> Answer:
    """The plan as it can be told without asking anybody."""
    import json

    build = ami.build
    template = json.loads(ami.wanted.template)
    resources = [(name, str(item["Type"])) for name, item in sorted(template["Resources"].items())]
    archive = ami.wanted.artifacts[0]
    facts = {
        "environment": ami.environment,
        "stack": build.stack,
        "base": build.base,
        "parentImage": f"ssm:{build.parent}",
        "python": build.python,
        "osPackages": list(build.os_packages),
        "architecture": build.architecture,
        "volumeGib": build.volume_gib,
        "otherRegions": list(build.regions),
        "archive": archive.key,
        "archiveBytes": len(archive.body),
        "sample": list(sample.datasets),
    }
    rows = tuple((name, ", ".join(value) if isinstance(value, list) else str(value)) for name, value in facts.items())
    return Answer(
        kind="AmiPlan",
        data={**facts, "resources": [{"name": name, "type": kind} for name, kind in resources]},
        blocks=(Table(("what", "value"), rows), Table(("resource", "type"), tuple(resources), title="Resources")),
        next_commands=(f"ncap environment build {context.arguments.name} --on aws",),
    )


def _amis(context: Context, ami: AmiBuild) -> tuple[FoundAmi, ...]:
    """Of every region of the build: one that is usable, else the latest candidate."""
    from ncap_iac.aws import Gateway
    from ncap_iac.deploy.ami_build import find_amis

    found = []
    for region in (context.gateway.region, *ami.build.regions):
        gateway = context.gateway
        if region != gateway.region:
            gateway = Gateway(replace(context.target, region=region))
        client = gateway.session.client("ec2")
        with gateway.session.translated(f"images in {region}"):
            found += list(find_amis(client, ami.digest_tag, region)[:1])
    return tuple(found)


def _usable_regions(found: tuple[FoundAmi, ...]) -> set[str]:
    return {ami.region for ami in found if ami.is_usable}


def _is_complete(found: tuple[FoundAmi, ...], ami: AmiBuild) -> bool:
    return len({item.region for item in found}) == 1 + len(ami.build.regions)


def _deploy(context: Context, ami: AmiBuild) -> None:
    """Upload the archive, deploy the stack, follow it to its end. Raises ApplyError."""
    from ncap_iac.deploy.ami_build import plan_build
    from ncap_iac.deploy.apply import apply, settle
    from ncap_iac.deploy.deployment import target_place, workshop_at

    gateway, world = context.gateway, context.world
    longest_s = 60.0 * (context.get("wait") or LONGEST_MINUTES)
    workshop = replace(workshop_at(gateway, context.report, world.clock, world.sleep), timeout_s=longest_s)
    settle(ami.wanted.stack, workshop)
    plan = plan_build(ami, gateway, place=target_place(gateway))
    with progress.step(f"build the AMI of {ami.build.environment}", context.report, world.clock) as step:
        applied = apply(plan, workshop)
        step.text = "built" if applied.changed else "was built before"


def _tried(
    context: Context, ami: AmiBuild, found: tuple[FoundAmi, ...], path: Path, sample: Sample
) -> tuple[FoundAmi, ...]:
    """Try the AMI of this region, unless one region's has passed already; then all of them are usable."""
    from ncap_iac.aws import Gateway
    from ncap_iac.deploy.ami_build import mark_usable

    here = next((item for item in found if item.region == context.gateway.region), None)
    if here is None or not _is_complete(found, ami):
        raise NcapError(
            f"the stack is complete, and there is no AMI tagged {ami.digest_tag} in every region",
            where=f"stack {ami.wanted.stack}",
            hint="It was deregistered since. Delete the stack with CloudFormation, then build again.",
        )
    if not here.is_usable:
        _try(context, ami, here, path, sample)
    for item in found:
        if not item.is_usable:
            gateway = context.gateway
            if item.region != gateway.region:
                gateway = Gateway(replace(context.target, region=item.region))
            with gateway.session.translated(f"image {item.image_id}"):
                mark_usable(gateway.session.client("ec2"), item, ami.digest_tag)
    return tuple(replace(item, is_usable=True) for item in found)


def _try(context: Context, ami: AmiBuild, here: FoundAmi, path: Path, sample: Sample) -> None:
    from ncap_compiler import load_blueprint
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.ami_trial import Machine, Patience, Trial
    from ncap_iac.deploy.deployment import target_place
    from ncap_iac.deploy.state import read_status

    gateway, world, build = context.gateway, context.world, ami.build
    hardware = load_blueprint(read_text(path), file=str(path)).hardware
    stack = read_status(gateway.stacks, build.stack)
    outputs = dict(stack.outputs)
    pause_s = _LOCAL_PAUSE_S if gateway.target.cloud is not None else _REMOTE_PAUSE_S
    trial = Trial(
        gateway=gateway,
        bucket=target_place(gateway).artifact_bucket,
        environment=ami.environment,
        name=build.environment,
        run=f"{here.image_id}-{world.now():%Y%m%dT%H%M%SZ}",
        sample=sample,
        python=image_maker(context).build(path.parent).folder / "env" / "bin" / "python",
        patience=Patience(world.clock, world.sleep, pause_s, min(_TRIAL_MINUTES, hardware.max_duration_minutes)),
        report=context.report,
    )
    machine = Machine(
        image_id=here.image_id,
        root_device=here.root_device,
        instance_type=hardware.instance_types[0],
        volume_gib=hardware.volume_size_gib,
        profile=outputs["VerifierProfile"],
        security_group=outputs["SecurityGroup"],
        subnet=stack.parameter("SubnetId") or "",
    )
    with progress.step(f"try {here.image_id} with the sample", context.report, world.clock) as step:
        trial.perform(machine)
        step.text = "passed"


def _answer(context: Context, ami: AmiBuild, found: tuple[FoundAmi, ...]) -> Answer:
    listed = [{"region": item.region, "imageId": item.image_id} for item in found]
    return Answer(
        kind="Ami",
        data={"environment": ami.environment, "stack": ami.build.stack, "images": listed},
        blocks=(
            Text(ami.environment),
            Table(("region", "image"), tuple((item.region, item.image_id) for item in found)),
        ),
        notes=("The AMI has passed the analysis's sample; a blueprint that names this environment runs on it.",),
        next_commands=(f"ncap environment pin {context.arguments.name}",),
    )
