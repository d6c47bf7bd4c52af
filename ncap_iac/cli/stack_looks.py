"""The verbs that look at deployed stacks: diff, outputs, drift. They change nothing."""

from __future__ import annotations

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.plans import make_deployment
from ncap_iac.cli.subject import subject_of
from ncap_iac.errors import ExitCode
from ncap_iac.project import Kind

UNTOUCHED = "Take it back by hand, or change the document: CloudFormation compares templates and would not touch it."


def run_diff(context: Context, kind: Kind | None) -> Answer:
    """Deployed against wanted, line by line."""
    deployment = make_deployment(context)
    subject = subject_of(context, kind)
    found = deployment.differences(subject.plan(deployment))
    text = "\n".join(difference for difference in found.values() if difference)
    return Answer(
        kind="Diff",
        data={"changed": bool(text), "stacks": [{"stack": stack, "diff": diff} for stack, diff in found.items()]},
        blocks=(Text(text),) if text else (),
        notes=() if text else (f"No difference: {', '.join(found)} {'is' if len(found) == 1 else 'are'} as wanted.",),
        next_commands=(subject.command("deploy", *context.place_options()),) if text else (),
    )


def run_outputs(context: Context, kind: Kind | None) -> Answer:
    """The outputs of what is deployed."""
    deployment = make_deployment(context)
    stacks = deployment.deployed(subject_of(context, kind).stack_names(deployment))
    rows = tuple((found.stack, name, value) for found in stacks for name, value in sorted(found.outputs))
    return Answer(
        kind="Outputs",
        data={
            "stacks": [
                {"stack": found.stack, "status": found.status, "outputs": dict(sorted(found.outputs))}
                for found in stacks
            ]
        },
        blocks=(Table(("stack", "output", "value"), rows, empty="It has no outputs."),),
    )


def run_drift(context: Context, kind: Kind | None) -> Answer:
    """What was changed by other hands."""
    deployment = make_deployment(context)
    subject = subject_of(context, kind)
    stacks = [found.stack for found in deployment.deployed(subject.stack_names(deployment))]
    with progress.step(f"drift detection {subject.name}", context.report, context.world.clock):
        found = [deployment.drifts(stack) for stack in stacks]
    drifts = [drift for item in found for drift in item.drifts]
    rows = tuple(
        (it.stack, it.kind.removeprefix("AWS::"), it.resource, it.property or "(resource)", it.expected, it.found)
        for it in drifts
    )
    checked = sum(item.checked for item in found)
    failed = [f"{item.stack}: not everything could be looked at: {item.failed}" for item in found if item.failed]
    return Answer(
        kind="Drift",
        data={
            "drifted": bool(drifts),
            "checked": checked,
            "failed": failed,
            "drifts": [
                {
                    "stack": it.stack,
                    "resource": it.resource,
                    "type": it.kind,
                    "name": it.name,
                    "property": it.property,
                    "expected": it.expected,
                    "found": it.found,
                }
                for it in drifts
            ],
        },
        blocks=(Table(("stack", "type", "resource", "property", "expected", "found"), rows, empty="No drift."),),
        notes=(f"{checked} resources were compared with their template.", *failed, *([UNTOUCHED] if drifts else [])),
        exit_code=ExitCode.FAILED if drifts or failed else ExitCode.DONE,
    )
