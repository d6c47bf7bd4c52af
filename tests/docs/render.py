"""The reference pages, rendered from the code they document. `pytest tests/docs --update-golden` writes them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from ncap_compiler.errors import PROBLEM_IDS
from ncap_iac.cli import build_parser
from ncap_iac.errors import ExitCode
from ncap_iac.local.cloudformation.differences import DIFFERENCES, ENGINE_DIFFERENCES
from ncap_iac.local.ec2.catalog import INSTANCE_TYPES
from tests.compiler import isolation as isolation_table

HEAD = "<!-- Rendered from the code by tests/docs; remake with `pytest tests/docs --update-golden`. -->\n\n"


def exit_codes() -> str:
    """How every command may end."""
    rows = "".join(f"| {int(code)} | {code.meaning} |\n" for code in ExitCode)
    return f"{HEAD}# Exit codes of `ncap`\n\n| code | means |\n|---|---|\n{rows}"


def problems() -> str:
    """Every id a document's problem can have."""
    rows = "".join(f"| {name} | {meaning} |\n" for name, meaning in sorted(PROBLEM_IDS.items()))
    return (
        f"{HEAD}# Problems and notices of documents\n\nThe letter tells the kind of document; N is a notice, which "
        f"stops nothing.\n\n| id | means |\n|---|---|\n{rows}"
    )


def isolation() -> str:
    """Who may do what, as the compiled templates answer."""
    return f"{HEAD}# Isolation: who may do what\n\n{isolation_table.page()}".rstrip() + "\n"


def commands() -> str:
    """The help of every verb."""
    lines = [HEAD, "# Commands\n\n"]
    for words, parser in verbs(build_parser()):
        lines.append(f"## `{' '.join(words)}`\n\n{parser.description}\n\n")
        usage = [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
        own = [action for action in usage if action.help and action.default is not argparse.SUPPRESS]
        for action in own:
            name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            lines.append(f"- `{name}`: {action.help}\n")
        examples = [line.strip() for line in (parser.epilog or "").splitlines()[1:]]
        lines.append("\n```sh\n" + "\n".join(examples) + "\n```\n\n")
    return "".join(lines).rstrip() + "\n"


def verbs(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ("ncap",)
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every parser that runs something, with its words."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield words, parser
    for action in nested:
        for name, child in action.choices.items():
            yield from verbs(child, (*words, name))


def differences() -> str:
    """What is less in the local cloud than on AWS."""
    lines = [HEAD, "# Differences between the local cloud and AWS\n\n"]
    lines.append("What is in none of these tables is applied by a service and read back, or refused by name.\n\n")
    lines.append("## Properties of resources\n\n| type | property | in the local cloud | why |\n|---|---|---|---|\n")
    lines += [f"| {it.type} | {it.property or 'all'} | {it.extent.value} | {it.reason} |\n" for it in DIFFERENCES]
    lines.append("\n## CloudFormation itself\n\n")
    lines += [f"- {sentence}\n" for sentence in ENGINE_DIFFERENCES]
    lines.append("\n## Machines\n\n")
    lines += [f"- {sentence}\n" for sentence in MACHINES]
    lines.append("\n## Identities\n\n")
    lines += [f"- {sentence}\n" for sentence in IDENTITIES]
    lines.append("\n## Functions and events\n\n")
    lines += [f"- {sentence}\n" for sentence in FUNCTIONS]
    lines.append("\n## Instance types\n\nKnown: " + ", ".join(sorted(INSTANCE_TYPES)) + ".\n")
    return "".join(lines)


MACHINES = (
    "An instance is a process tree in the strongest sandbox that works on the computer: bubblewrap, a user namespace, "
    "Landlock, or a plain process. Which one is in every dataset's STATUS object. The last is not a sandbox.",
    "At most as many instances run at once as there are cores; the others stay `pending`, first come, first served.",
    "An instance whose recipe asks for no network reaches the cloud and nothing else, where the sandbox can shut it "
    "off; others share the computer's network. On AWS HTTPS goes out whatever the recipe says. Security groups are "
    "recorded, not enforced.",
    "Image Builder builds on this computer, from the environment's archive and with the code of "
    "`ncap environment build`; the component's commands are not run.",
    "An instance has the memory of its type, or the computer's if that is smaller; a watchdog kills its largest "
    "process.",
    "Volumes are folders; their sizes are recorded, not enforced.",
    "Stopping keeps an instance's scratch; `ncap local down` ends what runs, and what is stopped stays.",
    "CreateImage copies an instance's scratch beside its image, which no instance can change; it does not reboot.",
    "Systems Manager: AWS-RunShellScript on one instance, sessions as a shell in its sandbox, for a role that may "
    "register. Forwarding, other documents and the session plugin are refused by name.",
    "Fleets, persistent spot requests and rebooting are refused by name. "
    "`ncap local fault interrupt` takes any instance back the way EC2 takes spot ones; prices never change.",
    "The network has one route out, shown as a NAT gateway: the computer's own.",
    "Service Quotas tells the quotas a preflight asks; others are refused by name. No type is refused for its vCPUs.",
    "Stopping the local cloud ends its running instances, which the job manager then sees as lost.",
)
IDENTITIES = (
    "Searches by tag tell no IAM resource.",
    "The policy simulator weighs no resource policies.",
    "Users and groups move to another path; they are not renamed.",
    "The access keys of a user who does not exist are an empty list, not `NoSuchEntity`.",
)
FUNCTIONS = (
    "Functions run on the emulator's Python whatever `Runtime` says, without a memory limit.",
    "The emulator saves what is not an object within five seconds; what is younger can be lost when every process is "
    "killed at once.",
    "EventBridge patterns: exact values, prefix, suffix, anything-but, exists, numeric. Others are logged and never "
    "match.",
    "Certificates and TLS: there are none; requests are signed and stay on the loopback interface.",
)
PAGES: dict[str, Callable[[], str]] = {
    "exit-codes.md": exit_codes,
    "problems.md": problems,
    "commands.md": commands,
    "differences.md": differences,
    "isolation.md": isolation,
}
