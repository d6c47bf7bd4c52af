"""`ncap instance stop|start|extend|end`: how long a development instance lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.instance import DEFAULT_HOURS, add_which, chosen, hours, lives
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import UsageError

if TYPE_CHECKING:
    from ncap_iac.development.instances import DevInstance

_UNTIMED = "Its own timer could not be set: until then only the sweeper ends it, within minutes of its time."


def add_life(verbs: SubParsers) -> None:
    """Add the verbs."""
    stop = add_verb(
        verbs,
        "stop",
        "Switch a development instance off; its disk stays and is paid for.",
        ["ncap instance stop spectra", "ncap instance stop i-0123456789abcdef0 --profile lab"],
        run=run_stop,
        detail="It is gone for good 14 days after the end of its hours.",
    )
    start = add_verb(
        verbs,
        "start",
        "Switch a stopped development instance on again, for some hours.",
        ["ncap instance start spectra", "ncap instance start spectra --hours 2 --profile lab"],
        run=run_start,
    )
    extend = add_verb(
        verbs,
        "extend",
        "Give a development instance more hours.",
        ["ncap instance extend spectra --hours 2", "ncap instance extend i-0123456789abcdef0 --hours 1 --profile lab"],
        run=run_extend,
        detail="Never to more than 24 hours from now.",
    )
    end = add_verb(
        verbs,
        "end",
        "Terminate a development instance; what is on its disk is gone.",
        ["ncap instance end spectra", "ncap instance end i-0123456789abcdef0 --yes --profile lab"],
        run=run_end,
        detail="Save it first if you want to keep it: `ncap instance save`.",
    )
    for parser in (stop, start, extend, end):
        add_which(parser)
    start.add_argument(
        "--hours",
        type=hours,
        default=DEFAULT_HOURS,
        metavar="H",
        help=f"how long from now ({DEFAULT_HOURS}, at most 24)",
    )
    extend.add_argument("--hours", type=hours, required=True, metavar="H", help="how much longer")


def run_stop(context: Context) -> Answer:
    """Off."""
    it = chosen(context)
    if not it.is_running:
        raise UsageError(
            f"it is {it.state}", where=f"instance {it.instance}", hint="Only a running one can be stopped."
        )
    it = lives(context).stop(it)
    said = f"{it.instance} is stopped. Its disk is kept until {it.ends:%Y-%m-%d}."
    return _answer(context, it, said, next_verb="start")


def run_start(context: Context) -> Answer:
    """On."""
    it = chosen(context)
    if it.state != "stopped":
        raise UsageError(
            f"it is {it.state}", where=f"instance {it.instance}", hint="Only a stopped one can be started."
        )
    it, is_timed = lives(context).start(it, context.arguments.hours)
    said = f"{it.instance} runs until {it.expires:%Y-%m-%d %H:%M} UTC."
    return _answer(context, it, said, is_timed=is_timed, next_verb="connect")


def run_extend(context: Context) -> Answer:
    """Longer."""
    it, is_timed = lives(context).extend(chosen(context), context.arguments.hours)
    said = f"{it.instance} may run until {it.expires:%Y-%m-%d %H:%M} UTC."
    return _answer(context, it, said, is_timed=is_timed)


def run_end(context: Context) -> Answer:
    """Gone."""
    it = chosen(context)
    context.require_consent(f"Terminate {it.instance} ({it.analysis}) with all that is on its disk?")
    lives(context).end(it)
    return Answer(
        kind="InstanceEnd",
        data={"instanceId": it.instance, "analysis": it.analysis},
        blocks=(Text(f"{it.instance} is ended."),),
    )


def _answer(context: Context, it: DevInstance, said: str, *, is_timed: bool = True, next_verb: str = "") -> Answer:
    place = " ".join(("", *context.target.options()))
    return Answer(
        kind="Instance",
        data={**it.document(context.world.now()), "timerSet": is_timed},
        blocks=(Text(said),),
        notes=() if is_timed else (_UNTIMED,),
        next_commands=(f"ncap instance {next_verb} {it.instance}{place}",) if next_verb else (),
    )
