"""`ncap local`: start, stop and look at local clouds."""

from __future__ import annotations

import argparse
import shlex
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context, open_member
from ncap_iac.cli.local_faults import add_fault
from ncap_iac.cli.options import SubParsers, add_noun, add_verb
from ncap_iac.errors import CloudError, ExitCode, UsageError
from ncap_iac.target import DEFAULT_CLOUD, local_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ncap_iac.local.cloud import LocalCloud
    from ncap_iac.local.cloud_record import CloudRecord


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(
        nouns,
        "local",
        ["ncap local up --background", 'eval "$(ncap local env)" && aws s3 ls'],
    )
    parser = add_verb(
        verbs,
        "up",
        "Start a local cloud; in the foreground until Ctrl-C, or in the background.",
        ["ncap local up", "ncap local up --background", "ncap local up --name second --port 0 --background"],
        run=run_up,
        detail="What was uploaded or made in it is there again when it is started again.",
    )
    parser.add_argument("--background", action="store_true", help="return when it answers, and let it run")
    parser.add_argument("--port", type=_port, metavar="PORT", help="on 127.0.0.1 (4566); 0 takes any free one")
    _add_name(parser)
    parser = add_verb(
        verbs,
        "down",
        "Stop a local cloud and everything it runs; what is stored in it stays.",
        ["ncap local down", "ncap local down --name second"],
        run=run_down,
    )
    _add_name(parser)
    parser = add_verb(
        verbs,
        "status",
        "Show which local clouds there are, and where they answer.",
        ["ncap local status", "ncap local status --name second --output json"],
        run=run_status,
        detail="With --name it ends with 7 if that one does not run.",
    )
    _add_name(parser)
    _add_env(verbs)
    add_fault(verbs)


def _add_env(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "env",
        "Print the variables that point any AWS tool at a local cloud.",
        ['eval "$(ncap local env)" && aws s3 ls', "ncap local env --as demo-member", "ncap local env --output json"],
        run=run_env,
        detail="These are the root credentials of the local cloud: who has them may do everything in it. They are\n"
        "worth nothing elsewhere. With --as you get a member's own keys.",
    )
    parser.add_argument("--as", dest="member", metavar="MEMBER", help="this member's own keys instead of root's")
    _add_name(parser)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help=f"which local cloud ({DEFAULT_CLOUD!r}; --cloud means the same)")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def cloud_name(context: Context) -> str:
    """The local cloud that the options name. Raises UsageError for a target that is none."""
    if context.choice.aws or context.choice.profile or context.choice.endpoint_url:
        raise UsageError("local clouds are on this computer", where="options", hint="Leave out --aws and the like.")
    return str(
        context.get("name") or context.choice.cloud or context.world.environment.get("NCAP_CLOUD") or DEFAULT_CLOUD
    )


@contextmanager
def cloud_errors() -> Iterator[None]:
    """A name no cloud can have is the user's to mend."""
    from ncap_iac.local.paths import CloudNameError

    try:
        yield
    except CloudNameError as error:
        raise UsageError(str(error), where="--name") from error


def clouds(context: Context) -> LocalCloud:
    """The local clouds of this user."""
    from ncap_iac.local.cloud import LocalCloud
    from ncap_iac.local.paths import places

    world = context.world
    return LocalCloud(
        places(world.environment, world.home), world.environment, lambda text: context.report(progress.Note(text))
    )


def run_up(context: Context) -> Answer:
    """Start a cloud."""
    from ncap_iac.local.cloud import DEFAULT_PORT, DEFAULT_REGION, CloudRunningError

    name, known = cloud_name(context), clouds(context)
    port = context.get("port")
    port = DEFAULT_PORT if port is None else port
    region = context.choice.region or DEFAULT_REGION
    with cloud_errors():
        if not context.get("background", False):
            return _up_in_foreground(context, known, name, port=port, region=region)
        try:
            with progress.step(f"start local cloud {name!r}", context.report, context.world.clock):
                record = known.start(name, port=port, region=region)
        except CloudRunningError:
            running = known.status(name)
            if running is None:
                raise
            context.report(progress.Note("It runs already."))
            record = running
    return _record_result(context, [record], kind="LocalCloud")


def _up_in_foreground(context: Context, known: LocalCloud, name: str, *, port: int, region: str) -> Answer:
    import threading

    from ncap_iac.local.cloud import end_on_signals, serve

    ended = threading.Event()
    end_on_signals(ended)
    with progress.step(f"start local cloud {name!r}", context.report, context.world.clock):
        running = known.up(name, port=port, region=region)
    context.report(progress.Note(f"It answers at {running.endpoint}. Ctrl-C stops it; what is stored in it stays."))
    if not serve(running, ended):
        raise CloudError(
            "its emulator ended by itself",
            where=f"local cloud {name!r}",
            hint=f"Its log is in {known.places.cloud(name).base}. Start it again with `ncap local up`.",
        )
    return Answer(kind="LocalCloud", data={"clouds": [], "stopped": name}, notes=("Stopped.",))


def run_down(context: Context) -> Answer:
    """Stop a cloud."""
    name = cloud_name(context)
    with cloud_errors():
        stopped = clouds(context).down(name)
    said = f"Local cloud {name!r} is stopped." if stopped else f"Local cloud {name!r} was not running."
    return Answer(kind="LocalCloudStopped", data={"name": name, "stopped": stopped}, notes=(said,))


def run_status(context: Context) -> Answer:
    """The clouds of this computer."""
    known = clouds(context)
    named = context.get("name") or context.choice.cloud
    names = [cloud_name(context)] if named else known.names()
    with cloud_errors():
        records = {name: known.status(name) for name in names}
    running = [record for record in records.values() if record is not None]
    idle = [name for name, record in records.items() if record is None]
    result = _record_result(context, running, kind="LocalClouds", idle=idle)
    return replace(result, exit_code=ExitCode.NO_CLOUD) if named and not running else result


def _record_result(context: Context, records: list[CloudRecord], *, kind: str, idle: list[str] | None = None) -> Answer:
    from datetime import UTC, datetime

    running = [
        {
            "name": record.name,
            "running": True,
            "endpoint": record.endpoint,
            "region": record.region,
            "account": record.account_id,
            "pid": record.pid,
            "started": datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for record in records
    ]
    stopped = [{"name": name, "running": False} for name in idle or []]
    rows = [(str(row["name"]), "running", str(row["endpoint"]), str(row["region"]), str(row["pid"])) for row in running]
    rows += [(name, "stopped", "", "", "") for name in idle or []]
    other = f" --name {records[0].name}" if records and records[0].name != DEFAULT_CLOUD else ""
    return Answer(
        kind=kind,
        data={"clouds": [*running, *stopped]},
        blocks=(
            Table(
                ("name", "state", "endpoint", "region", "process"),
                tuple(rows),
                empty="No local cloud yet: start one with `ncap local up --background`.",
            ),
        ),
        next_commands=(f'eval "$(ncap local env{other})" && aws s3 ls',) if records and not idle else (),
    )


def run_env(context: Context) -> Answer:
    """Variables for a shell."""
    name = cloud_name(context)
    target = local_target(name, context.world.environment, context.world.home)
    member = context.get("member")
    if member:
        from ncap_iac.cli.context import open_gateway

        target = open_member(open_gateway(target), member).gateway.target
    variables = {
        "AWS_ENDPOINT_URL": str(target.endpoint_url),
        "AWS_ACCESS_KEY_ID": str(target.access_key_id),
        "AWS_SECRET_ACCESS_KEY": str(target.secret_access_key),
        "AWS_REGION": str(target.region),
        "AWS_DEFAULT_REGION": str(target.region),
    }
    lines = [f"export {key}={shlex.quote(value)}" for key, value in variables.items()]
    # A session token or profile left in the shell would go before, or with, these keys.
    lines.append("unset AWS_SESSION_TOKEN AWS_PROFILE")
    return Answer(kind="LocalEnvironment", data={"variables": variables}, blocks=(Text("\n".join(lines)),))
