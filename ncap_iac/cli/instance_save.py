"""`ncap instance save`: an AMI of a development instance, and the two commits that say what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.instance import add_which, chosen, lives, pause_s
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import NcapError, UsageError

if TYPE_CHECKING:
    from ncap_iac.development.instances import DevInstance
    from ncap_iac.development.saving import Blueprint, Pair

NO_COMMIT = "0" * 40
"""Where no commit tells what an AMI was tested with."""
_LITERAL = (
    "A literal AMI has no recipe digest: nobody can build it again from the project or tell what is in it. When the "
    "environment settles, write a recipe and `ncap environment build` it."
)


def add_save(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "save",
        "Save a development instance as an AMI and write it into the blueprint, between two commits.",
        [
            "ncap instance save spectra --message 'with ffmpeg 7'",
            "ncap instance save i-0123456789abcdef0 --profile lab",
            "ncap instance save spectra --image ami-0123456789abcdef0",
        ],
        run=run_save,
        detail="First the blueprint's folder is committed as it was tested, then the AMI is made (the instance\n"
        "reboots), then the blueprint with its id is committed. Refused while other files are\n"
        "not committed. Nothing is pushed.",
    )
    add_which(parser)
    parser.add_argument("-m", "--message", default="", metavar="TEXT", help="why, for both commits")
    parser.add_argument("--image", metavar="AMI", help="make none: write this AMI, made before")
    parser.add_argument("--no-blueprint", action="store_true", help="make the AMI and leave the project alone")


def run_save(context: Context) -> Answer:
    """Check, commit, make, write, commit."""
    from ncap_iac.development.saving import Pair

    if context.get("image") and context.get("no_blueprint", False):
        raise UsageError("there is nothing to do", where="--image and --no-blueprint", hint="Give one of them.")
    if context.get("no_blueprint", False):
        it = chosen(context)
        return _answer(it.analysis, _make(context, it, NO_COMMIT), None, None)
    analysis = _analysis(context)
    blueprint = _blueprint(context, analysis)
    blueprint.check_tree()
    said = context.get("message", "") or "Saved with `ncap instance save`."
    before = blueprint.commit_before(said)
    image_id = context.get("image") or _make(context, chosen(context), before)
    try:
        after = blueprint.commit_after(image_id, said)
    except NcapError as error:
        hint = f"The AMI is {image_id}. Then: `ncap instance save {analysis} --image {image_id}`."
        raise UsageError(error.what, where=error.where, hint=hint) from error
    return _answer(analysis, image_id, Pair(before, after), blueprint.path)


def _analysis(context: Context) -> str:
    """The analysis: of the instance, or, for an AMI that is there already, as named."""
    from ncap_iac.money.terms import blueprint_of

    named = context.get("instance")
    if context.get("image") and named and blueprint_of(context.project, named) is not None:
        return str(named)
    return chosen(context).analysis


def _blueprint(context: Context, analysis: str) -> Blueprint:
    """The blueprint, sound, in its checkout. Raises NotFoundError, UsageError, DocumentProblemsError."""
    from ncap_iac.development.repository import Checkout
    from ncap_iac.development.saving import Blueprint
    from ncap_iac.documents import checked
    from ncap_iac.errors import NotFoundError
    from ncap_iac.money.terms import blueprint_of
    from ncap_iac.project import Kind

    path = blueprint_of(context.project, analysis)
    if path is None:
        raise NotFoundError(
            f"no blueprint here describes {analysis!r}",
            where=str(context.project.root),
            hint="Run this in the project the analysis is in.",
        )
    checked([path], Kind.BLUEPRINT)
    return Blueprint(path, analysis, Checkout(context.project.root, context.world.environment))


def _make(context: Context, it: DevInstance, commit: str) -> str:
    """The AMI. The timer does not survive the reboot AWS does for it, so it is set again."""
    from ncap_iac.development.commands import Commands
    from ncap_iac.development.launching import TIMER
    from ncap_iac.development.saving import BEFORE_SAVING, Saving

    world, gateway, pause = context.world, context.gateway, pause_s(context)
    if it.is_running:
        commands = Commands(gateway, world.clock, world.sleep, pause)
        commands.wait_online(it.instance)
        commands.run(it.instance, BEFORE_SAVING.format(timer=TIMER))
    with progress.step(f"save {it.instance}", context.report, world.clock) as step:
        image_id = Saving(gateway, world.clock, world.sleep, pause).make(it, commit, world.now())
        step.text = image_id
    if it.is_running and not lives(context).arm(it):
        context.report(progress.Warned("Its own timer could not be set again: only the sweeper will end it in time."))
    return image_id


def _answer(analysis: str, image_id: str, pair: Pair | None, path: Path | None) -> Answer:
    commits = () if pair is None else (("commit before", pair.before), ("commit after", pair.after))
    return Answer(
        kind="InstanceSave",
        data={
            "analysis": analysis,
            "imageId": image_id,
            "blueprint": None if path is None else str(path),
            "commitBefore": None if pair is None else pair.before,
            "commitAfter": None if pair is None else pair.after,
        },
        blocks=(Table(("what", "value"), (("analysis", analysis), ("image", image_id), *commits)),),
        notes=(_LITERAL,),
        next_commands=(f"ncap analysis publish {path.parent.name}",) if path is not None else (),
    )
