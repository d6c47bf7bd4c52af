"""`ncap member handover | accept | whoami`: a key on its way to a person, and what a key is worth. Shows no secret."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context, open_gateway
from ncap_iac.cli.options import SubParsers, add_stage_option, add_verb
from ncap_iac.cli.profile_edits import load_profiles, target_options
from ncap_iac.errors import AccessError, AwsError, CloudError, NcapError, NotFoundError
from ncap_iac.progress import Note, Warned
from ncap_iac.target import Target

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.people.handover import MemberKey, Record
    from ncap_iac.people.settings_file import HandedKey


def add_key_verbs(verbs: SubParsers) -> None:
    """Add the verbs about keys."""
    parser = add_verb(
        verbs,
        "handover",
        "Give a person their key, once: into a private file for them, or on your terminal.",
        ["ncap member handover ada --file ada.key", "ncap member handover ada --show --aws"],
        run=run_handover,
        detail="Writes down first that the key is handed over; a second time is refused, also to another operator.",
    )
    parser.add_argument("member", metavar="NAME", help="a member whose profile is deployed")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--file", metavar="PATH", help="a file that does not exist; only you can read it")
    how.add_argument("--show", action="store_true", help="on this terminal until Enter is pressed, nowhere else")
    parser.add_argument("--again", action="store_true", help="hand the same key over once more; asks, and is recorded")
    add_stage_option(parser)
    parser = add_verb(
        verbs,
        "accept",
        "On your own computer: put a key you were given into your AWS settings, and check it.",
        ["ncap member accept ada.key", "ncap member accept ada.key --name neurocaas --delete"],
        run=run_accept,
    )
    parser.add_argument("file", metavar="FILE", help="the file your operator gave you")
    parser.add_argument("--name", metavar="PROFILE", help="the name in your AWS settings (your member name)")
    parser.add_argument("--delete", action="store_true", help="delete the file afterwards, without asking")
    parser = add_verb(
        verbs,
        "whoami",
        "Say whose credentials these are, of which group, and which analyses they reach.",
        ["ncap member whoami --profile ada", "ncap member whoami --profile ada --group demo --analysis kalman-lds"],
        run=run_whoami,
        detail="Needs a member's rights only. What those cannot tell comes from your AWS settings or the profiles, "
        "and is checked.",
    )
    parser.add_argument("--group", metavar="GROUP", help="check this group")
    parser.add_argument("--analysis", metavar="NAME", action="append", help="check this analysis; may be repeated")
    add_stage_option(parser)


def run_handover(context: Context) -> Answer:
    """A key leaves the platform, once."""
    from ncap_iac.people.handover import Record, claim, deliver_file, deliver_terminal, read_key, require_working
    from ncap_iac.people.identities import Identities
    from ncap_iac.people.settings_file import render_key

    gateway = context.gateway
    account, caller = gateway.identity()
    key = read_key(gateway, str(context.arguments.member) + context.stage.suffix)
    require_working(Identities(gateway), key)
    again = _allowed_again(context, gateway, account, key)
    at = f"{context.world.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    path = context.world.folder / context.arguments.file if context.get("file") else None
    record = Record(key.member, key.access_key_id, caller, at, "file" if path else "terminal")
    make_claim = partial(claim, gateway.objects, _bucket(gateway, account), record, again=again)
    text = render_key(_handed(context, gateway, key), handed_over=at)
    stored = (
        deliver_file(path, text, make_claim) if path else deliver_terminal(_open_terminal, text, make_claim)
    )  # `text` holds the secret: it goes nowhere else
    return _handover_answer(context, record, path, stored)


def _allowed_again(context: Context, gateway: Gateway, account: str, key: MemberKey) -> bool:
    """Whether a second handing over may be recorded. Raises HandedOverError, UsageError without consent."""
    from ncap_iac.people.handover import HandedOverError, earlier_records

    try:
        earlier = earlier_records(gateway.objects, _bucket(gateway, account), key.member, key.access_key_id)
    except NotFoundError as error:
        raise NotFoundError(
            "there is no artifact bucket, where handing over is recorded",
            where=gateway.target.name,
            hint="Deploy the account stack: `ncap account deploy`.",
        ) from error
    if not earlier:
        return False
    refusal = HandedOverError(earlier[-1])
    if not context.get("again", False):
        raise refusal
    context.require_consent(f"{refusal.what[0].upper()}{refusal.what[1:]}. Hand it over once more?")
    return True


def _bucket(gateway: Gateway, account: str) -> str:
    from ncap_compiler import names

    return names.artifact_bucket(account, gateway.region)


def _handed(context: Context, gateway: Gateway, key: MemberKey) -> HandedKey:
    """The key with what its holder's settings need beside it."""
    from ncap_iac.people.settings_file import HandedKey

    return HandedKey(
        member=key.member,
        group=key.group,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        region=gateway.region,
        endpoint_url=gateway.target.endpoint_url or "",
        analyses=_documented(context, key.member)[1],
    )


def _documented(context: Context, member: str) -> tuple[str, tuple[str, ...]]:
    """Group and analyses of a member as the project's profiles say, with the stage's names; empty if they do not."""
    if not context.has_project():
        return "", ()
    suffix = context.stage.suffix
    place = load_profiles(context, None).everywhere.find_member(member.removesuffix(suffix))
    if place is None:
        return "", ()
    return place.group.name + suffix, tuple(analysis + suffix for analysis in place.group.analyses)


def _open_terminal() -> int:
    return os.open("/dev/tty", os.O_RDWR)


def _handover_answer(context: Context, record: Record, path: Path | None, stored: str) -> Answer:
    where = str(path) if path else "this terminal"
    data: dict[str, object] = {**record.document(), "file": str(path) if path else None, "record": stored}
    notes = ["Written down as handed over; it will not be handed over again unless you say --again."]
    if path:
        notes.append("Bring the file to its owner on a safe way (not by mail), then delete it here.")
    return Answer(
        kind="Handover",
        data=data,
        blocks=(Text(f"Key {record.access_key_id} of {record.member}: {where}"),),
        notes=tuple(notes),
        next_commands=(shlex.join(["ncap", "member", "accept", path.name]),) if path else (),
    )


def run_accept(context: Context) -> Answer:
    """A key enters its owner's AWS settings."""
    from ncap_iac.people.acceptance import SettingsPaths, enter_key, read_handed_key

    path = context.world.folder / context.arguments.file
    handed = read_handed_key(path, warn=lambda text: context.report(Warned(text)))
    if region := context.get("region"):
        handed = replace(handed, region=region)
    name = str(context.get("name") or handed.member)
    checked = _check_key(context, handed)
    entered = enter_key(
        handed,
        name,
        SettingsPaths.find(context.world.environment, context.world.home),
        consent=lambda: context.require_consent(
            f"Profile {name} is in your AWS settings with another key. Replace it?"
        ),
    )
    deleted = _delete_handed(context, path)
    analysis = handed.analyses[0] if handed.analyses else "ANALYSIS"
    group = ["--group", handed.group] if handed.group else []
    return Answer(
        kind="AcceptedKey",
        data={
            "member": handed.member,
            "group": handed.group or None,
            "accessKeyId": handed.access_key_id,
            "profile": name,
            "files": [str(file) for file in entered],
            "checked": checked,
            "deleted": deleted,
        },
        blocks=(Text(f"Profile {name} in {' and '.join(str(file) for file in entered)}"),),
        notes=() if deleted else (f"Delete the file that was handed to you: rm {shlex.quote(str(path))}",),
        next_commands=(
            shlex.join(["ncap", "job", "list", analysis, *group, "--profile", name]),
            shlex.join(["ncap", "member", "whoami", "--profile", name]),
        ),
    )


def _check_key(context: Context, handed: HandedKey) -> bool:
    """Whether the key works; False if nobody could be asked. Raises AccessError if it is refused."""
    target = Target(
        name=f"the key of {handed.member}",
        region=handed.region or "us-east-1",
        endpoint_url=handed.endpoint_url or None,
        access_key_id=handed.access_key_id,
        secret_access_key=handed.secret_access_key,
    )
    try:
        _, arn = open_gateway(target).identity()
    except AccessError as error:
        raise AccessError(
            f"key {handed.access_key_id} is refused; nothing was written",
            where=target.name,
            hint="It may have been replaced or suspended since: ask your operator for another.",
        ) from error
    except (AwsError, CloudError) as error:
        context.report(Warned(f"the key could not be checked: {error}"))
        return False
    context.report(Note(f"The key works: {arn}"))
    return True


def _delete_handed(context: Context, path: Path) -> bool:
    wanted = bool(context.get("delete", False))
    if not wanted and not context.get("yes", False):
        wanted = bool(context.console.confirm(f"Delete {path}, which is not needed any more?", context.world.stdin))
    if wanted:
        try:
            path.unlink()
        except OSError as error:
            context.report(Warned(f"{path} could not be deleted: {error.strerror}"))
            return False
    return wanted


def run_whoami(context: Context) -> Answer:
    """Whose credentials these are."""
    from ncap_iac.people.acceptance import SettingsPaths, member_of_arn, remembered

    gateway = context.gateway
    try:
        _, arn = gateway.identity()
    except AccessError as error:
        error.hint += " A key that worked may have been suspended or replaced: ask your operator."
        raise
    member = member_of_arn(arn)
    settings: Mapping[str, str] = {}
    if context.target.profile:
        paths = SettingsPaths.find(context.world.environment, context.world.home)
        settings = remembered(paths, context.target.profile)
    group, source, analyses = _memberships(context, member, settings)
    reach = [(analysis, _reach(gateway, analysis, group)) for analysis in analyses] if group else []
    notes = list(_unknown(member, group, analyses))
    return Answer(
        kind="Identity",
        data={
            "arn": arn,
            "member": member or None,
            "group": group or None,
            "source": source or None,
            "analyses": [{"analysis": analysis, "reach": answer} for analysis, answer in reach],
        },
        blocks=(
            Text(
                f"{arn}\nmember: {member or 'none'}\ngroup: {group or 'not known'}" + (f" ({source})" if source else "")
            ),
            *((Table(("analysis", "reach"), tuple(reach)),) if reach else ()),
        ),
        notes=tuple(notes),
        next_commands=tuple(
            shlex.join(["ncap", "job", "list", analysis, "--group", group, *target_options(context)])
            for analysis, answer in reach[:1]
            if answer == "yes"
        ),
    )


def _memberships(context: Context, member: str, settings: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    """Group, where that is from, and analyses: said by options, the AWS settings or the profiles, in this order."""
    from ncap_iac.people.settings_file import ANALYSES_SETTING, GROUP_SETTING, listed

    group, source = "", ""
    analyses: tuple[str, ...] = ()
    if settings.get(GROUP_SETTING):
        group, source = settings[GROUP_SETTING], "as your AWS settings say"
        analyses = listed(settings.get(ANALYSES_SETTING, ""))
    elif member:
        group, analyses = _documented(context, member)
        source = "as the profiles here say" if group else ""
    if context.get("group"):
        group, source = str(context.arguments.group), "as you say"
    return group, source, tuple(context.get("analysis") or analyses)


def _reach(gateway: Gateway, analysis: str, group: str) -> str:
    """Whether these credentials may look into the group's folder of an analysis: `yes`, or why not."""
    try:
        gateway.objects.find(analysis, f"{group}/results/")
    except AccessError:
        return "no: denied"
    except NotFoundError:
        return "no: there is no such analysis"
    except NcapError as error:
        return f"not known: {error.what}"
    return "yes"


def _unknown(member: str, group: str, analyses: tuple[str, ...]) -> tuple[str, ...]:
    if not member:
        return ("These are not a member's credentials (a member is an IAM user).",)
    if not group:
        return (
            "A member's rights do not tell the group, and neither your AWS settings nor a profile here does: "
            "ask your operator, and check with --group GROUP --analysis NAME.",
        )
    return () if analyses else ("Which analyses the group has is not known here: check with --analysis NAME.",)
