"""`ncap preflight`: what stands in the way of a first deployment, before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SUMMARIES, SubParsers, add_stage_option, add_verb
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from ncap_iac.documents import Compiled
    from ncap_iac.preflight.checks import Finding
    from ncap_iac.preflight.facts import Analysis, Needs

COLUMNS = ("check", "subject", "", "found", "what it means", "what to do")


def add_to(nouns: SubParsers) -> None:
    """Add the command."""
    parser = add_verb(
        nouns,
        "preflight",
        SUMMARIES["preflight"],
        [
            "ncap preflight --profile lab",
            "ncap preflight kalman-lds --profile lab --region eu-central-1",
            "ncap preflight --aws --parameter VpcId=vpc-0abc --output json",
        ],
        run=run_preflight,
        detail="Only reads. Exit code 0 without a problem, 3 if a permission is missing, 5 if only quotas are in the\n"
        "way, else 1; warnings and what could not be learnt do not count.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="blueprints and profiles to be deployed (all)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="how long one check may take (30)")
    parser.add_argument("--all", dest="show_all", action="store_true", help="show also what is in order")
    parser.add_argument(
        "--parameter",
        dest="parameters",
        action="append",
        metavar="NAME=VALUE",
        help="what will be given to deploy: VpcId, SubnetIds, PermissionsBoundary, KmsKeyArn",
    )
    add_stage_option(parser)


def run_preflight(context: Context) -> Answer:
    """Ask everything, judge, say."""
    from ncap_iac.preflight.run import TIMEOUT_S, Outside, exit_code, preflight

    needs = _needs(context)
    outside = Outside(context.gateway, context.world.clock, context.world.now, context.get("timeout") or TIMEOUT_S)
    context.say_target()
    findings = preflight(needs, outside)
    return _answer(context, findings, int(exit_code(findings)))


def _needs(context: Context) -> Needs:
    """What the documents named ask for. Raises DocumentProblemsError, ProjectError."""
    from ncap_iac.cli.plans import parse_pairs
    from ncap_iac.documents import Compiled
    from ncap_iac.preflight.run import needs_of

    compiled = Compiled(context.project, context.stage)
    chosen = list(_documents(context))
    wanted = [compiled.account(), *(stack for kind, path in chosen for stack in compiled.stacks(kind, path))]
    analyses = [_analysis(path, compiled) for kind, path in chosen if kind is Kind.BLUEPRINT]
    given = parse_pairs(context.get("parameters") or (), "--parameter", "VpcId=vpc-0abc")
    return needs_of(wanted, analyses, (*context.stage.parameters, *given))


def _documents(context: Context) -> Iterator[tuple[Kind, Path]]:
    from ncap_iac.errors import ProjectError

    names = context.get("names") or ()
    for kind in Kind if not names else ():
        yield from ((kind, path) for path in context.project.documents(kind))
    for name in names:
        try:
            yield Kind.BLUEPRINT, context.project.document(Kind.BLUEPRINT, name)
        except ProjectError:
            yield Kind.PROFILE, context.project.document(Kind.PROFILE, name)


def _analysis(path: Path, compiled: Compiled) -> Analysis:
    from ncap_compiler import load_blueprint
    from ncap_iac.preflight.facts import Analysis
    from ncap_iac.project import read_text

    blueprint = load_blueprint(read_text(path), file=str(path))
    hardware = blueprint.hardware
    return Analysis(
        name=compiled.stack_name(Kind.BLUEPRINT, path),
        environment=hardware.ami,
        instance_types=hardware.instance_types,
        allowed_types=hardware.allowed_instance_types,
        deploy_limit=hardware.deploy_limit,
        volume_gib=hardware.volume_size_gib,
        region=blueprint.region,
        uses_spot=hardware.spot != "never",
    )


def _answer(context: Context, findings: tuple[Finding, ...], code: int) -> Answer:
    from ncap_iac.errors import ExitCode
    from ncap_iac.preflight.checks import Verdict

    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    order = [Verdict.PROBLEM, Verdict.WARNING, Verdict.UNKNOWN, Verdict.OK]
    shown = [
        finding
        for verdict in order
        for finding in findings
        if finding.verdict is verdict and (context.get("show_all", False) or verdict is not Verdict.OK)
    ]
    rows = tuple((f.check, f.subject, f.verdict.value, f.found, f.meaning, f.advice) for f in shown)
    said = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in reversed(order))
    return Answer(
        kind="Preflight",
        data={
            "target": context.target.name,
            "region": context.gateway.region,
            "counts": {verdict.value: counts[verdict] for verdict in Verdict},
            "findings": [
                {
                    "check": finding.check,
                    "subject": finding.subject,
                    "verdict": finding.verdict.value,
                    "cause": finding.cause.value,
                    "found": finding.found,
                    "meaning": finding.meaning,
                    "advice": finding.advice,
                }
                for finding in findings
            ],
        },
        blocks=(Table(COLUMNS, rows, empty="Everything looked at is in order."),),
        notes=(f"{said}.",),
        exit_code=ExitCode(code),
    )
