"""What verbs that edit profiles have in common: reading them together, writing an edit, saying it, deploying it."""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import add_stage_option
from ncap_iac.errors import ApplyError, DocumentProblemsError, NcapError, UsageError
from ncap_iac.progress import Warned
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.people.membership import Outcome, Profiles
    from ncap_iac.people.profile_editing import Edit, ProfileText

LOCK_PATIENCE_S = 30
BY_HAND = ("AccessKeysPerUser", "DeleteConflict", "delete access keys", "must delete")
"""What IAM says when a member has a key that was made by hand."""


STILL_THERE_HINT = (
    "Something made by hand keeps the user: delete its keys with `aws iam delete-access-key`, what else hangs on it, "
    "then `aws iam delete-user`."
)


@dataclass(frozen=True)
class Loaded:
    """The profiles a verb may edit, and those a name must be free in."""

    editable: Profiles
    everywhere: Profiles


def add_edit_options(parser: argparse.ArgumentParser, *, within: bool = True) -> None:
    """Options of every verb that edits a profile."""
    if within:
        parser.add_argument("--in", dest="within", metavar="PROFILE", help="the profile, if a name is in several")
    parser.add_argument("--dry-run", action="store_true", help="show the edit, write nothing")
    parser.add_argument("--deploy", action="store_true", help="deploy the profile afterwards")
    parser.add_argument("--with-account", action="store_true", help="with --deploy: the account stack too, if missing")
    add_stage_option(parser)


def load_profiles(context: Context, within: str | None) -> Loaded:
    """The project's profiles, or the one named and the others beside it. Raises UsageError.

    A profile with problems cannot be edited; another one's are no hindrance, but a name it holds is not seen.
    """
    from ncap_iac.people.membership import Profiles
    from ncap_iac.people.profile_editing import read_profile

    named = read_profile(context.project.document(Kind.PROFILE, within)) if within else None
    found: list[ProfileText] = [named] if named else []
    for path in context.project.documents(Kind.PROFILE):
        if named is not None and path.resolve() == named.path.resolve():
            continue
        try:
            found.append(read_profile(path))
        except DocumentProblemsError as error:
            context.report(Warned(f"{path.parent.name} is left out, it has {len(error.problems)} problem(s): {path}"))
    return Loaded(Profiles((named,) if named else tuple(found)), Profiles(tuple(found)))


@contextmanager
def editing_alone(context: Context) -> Iterator[None]:
    """Nobody else edits profiles of this project with `ncap` meanwhile. Raises UsageError after half a minute."""
    from ncap_iac.local.filelock import LockedError, exclusive
    from ncap_iac.local.paths import places

    digest = hashlib.sha256(str(context.project.root.resolve()).encode()).hexdigest()[:16]
    lock = places(context.world.environment, context.world.home).cache / "locks" / f"profiles-{digest}"
    try:
        with exclusive(lock, timeout_s=LOCK_PATIENCE_S, clock=context.world.clock, sleep=context.world.sleep):
            yield
    except LockedError as error:
        raise UsageError(
            "another `ncap` edits the profiles", where=str(context.project.root), hint="Try again when it has ended."
        ) from error


def run_edit(context: Context, decide: Callable[[Loaded], Outcome], *, data: Mapping[str, object]) -> Answer:
    """Decide, write, say, and with --deploy deploy. Raises what these raise; a refused edit changes nothing."""
    from ncap_iac.people.profile_editing import write_edits

    is_deployed = context.get("deploy", False) and not context.get("dry_run", False)
    with editing_alone(context):
        outcome = decide(load_profiles(context, context.get("within")))
        if is_deployed:
            context.gateway.identity()  # Who cannot deploy learns it before anything is written.
            refuse_keys_made_by_hand(context, outcome.affected)
        if not context.get("dry_run", False):
            write_edits(outcome.edits)
    return edit_answer(context, outcome, data=data)


def edit_answer(context: Context, outcome: Outcome, *, data: Mapping[str, object], kind: str = "ProfileEdit") -> Answer:
    """An edit that was written (or only shown), as an answer; deploys it if that was asked for."""
    is_dry = bool(context.get("dry_run", False))
    paths = [edit.path for edit in outcome.edits]
    deployments = []
    if context.get("deploy", False) and not is_dry:
        deployments = [deploy_profile(context, path) for path in paths]
        require_gone(context, outcome.leaving)
    differences = "".join(_difference(edit, context.world.folder) for edit in outcome.edits)
    head = outcome.said + (" (not written)" if is_dry and paths else "")
    return Answer(
        kind=kind,
        data={
            **data,
            "group": outcome.group or None,
            "said": outcome.said,
            "changed": bool(paths) and not is_dry,
            "files": [str(path) for path in paths],
            "notes": list(outcome.notes),
            "deployments": [dict(answer.data) for answer in deployments],
        },
        blocks=(Text(f"{head}\n{differences}".rstrip()), *(block for answer in deployments for block in answer.blocks)),
        notes=outcome.notes,
        next_commands=tuple(_next(context, outcome, paths, deployed=bool(deployments))) if not is_dry else (),
    )


def _difference(edit: Edit, folder: Path) -> str:
    import difflib

    shown = _shown(edit.path, folder)
    lines = difflib.unified_diff(edit.before.splitlines(), edit.after.splitlines(), shown, shown, n=1, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _shown(path: Path, folder: Path) -> str:
    """A path as short as it can be from the working folder."""
    found = path.resolve()
    return str(found.relative_to(folder)) if found.is_relative_to(folder) else str(found)


def _next(context: Context, outcome: Outcome, paths: list[Path], *, deployed: bool) -> Iterator[str]:
    where = target_options(context)
    if not deployed:
        if paths and (context.project.root / ".git").exists():
            yield shlex.join(
                ["git", "commit", "-m", outcome.said, "--", *(_shown(path, context.world.folder) for path in paths)]
            )
        for path in paths:
            yield shlex.join(["ncap", "profile", "deploy", _short_name(context, path), *where])
    for member in outcome.handed:
        yield shlex.join(["ncap", "member", "handover", member, "--file", f"{member}.key", *where])


def _short_name(context: Context, path: Path) -> str:
    """The profile's name, or its path where the project would not find it by name."""
    name = path.resolve().parent.name
    known = {known.resolve() for known in context.project.documents(Kind.PROFILE)}
    return name if path.resolve() in known else str(path)


def target_options(context: Context) -> tuple[str, ...]:
    """The options that choose stage and target again; none if that is a local cloud that does not run."""
    try:
        return context.place_options()
    except NcapError:
        return ()


def deploy_profile(context: Context, path: Path) -> Answer:
    """Deploy one profile as `ncap profile deploy` does. Raises what that raises, saying that the edit is written."""
    from ncap_iac.cli.document_verbs import run_deploy

    words = argparse.Namespace(**{**vars(context.arguments), "name": _short_name(context, path)})
    try:
        return run_deploy(Context(words, context.console, context.world), Kind.PROFILE)
    except NcapError as error:
        by_hand = any(word in error.what for word in BY_HAND)
        hint = key_made_by_hand_hint("MEMBER") if by_hand else error.hint
        error.hint = f"{hint} The profile is edited; once that is mended: `ncap profile deploy {words.name}`.".lstrip()
        raise


def key_made_by_hand_hint(member: str) -> str:
    """What to do about a key that the stack did not make."""
    return (
        f"A member has a key that was made by hand, and IAM refuses: see it with `aws iam list-access-keys --user-name "
        f"{member}`, delete it with `aws iam delete-access-key`, and deploy again."
    )


def refuse_keys_made_by_hand(context: Context, members: tuple[str, ...]) -> None:
    """Refuse before anything is written what IAM would refuse in the middle of a deployment. Raises UsageError."""
    from ncap_iac.people.identities import Identities

    if not members:
        return
    asked = Identities(context.gateway)
    for member in members:
        keys = asked.keys(member + context.stage.suffix)
        if len(keys) > 1:
            raise UsageError(
                f"there are {len(keys)} keys ({', '.join(key.access_key_id for key in keys)}); the profile made one",
                where=f"member {member}",
                hint=key_made_by_hand_hint(member),
            )


def require_gone(context: Context, members: tuple[str, ...]) -> None:
    """Make sure that members who left have no user any more. Raises ApplyError.

    CloudFormation counts an update as done when deleting what it no longer needs fails.
    """
    from ncap_iac.people.identities import Identities

    for member in members:
        left = Identities(context.gateway).describe(member + context.stage.suffix)
        if left is not None:
            found = ", ".join(f"{key.access_key_id} ({'works' if key.active else 'inactive'})" for key in left.keys)
            raise ApplyError(
                f"the profile is deployed, but IAM user {member} is still there, with keys: {found or 'none'}",
                where=f"member {member}",
                hint=STILL_THERE_HINT,
            )


def blueprints_of(context: Context) -> Callable[[str], tuple[str, ...]]:
    """Which analyses' blueprints name a group; those with problems are passed over."""

    def find(group: str) -> tuple[str, ...]:
        from ncap_compiler import DocumentError, load_blueprint
        from ncap_iac.project import read_text

        found = []
        for path in context.project.documents(Kind.BLUEPRINT):
            try:
                blueprint = load_blueprint(read_text(path), file=str(path))
            except (DocumentError, UsageError):
                continue
            if group in blueprint.group_names:
                found.append(blueprint.analysis)
        return tuple(found)

    return find
