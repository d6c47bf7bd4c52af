"""`ncap analysis publish`: checked, tested, and on a branch of its own, ready to be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table
from ncap_iac.cli.analysis_bench import bench_options, check_places, open_laboratory
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import NcapError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.analysis.trial import Trial
    from ncap_iac.deploy.wanted import Wanted


def add_publish(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "publish",
        "Put an analysis on a branch that is ready for a pull request.",
        ["ncap analysis publish spectra", "ncap analysis publish spectra --skip-test --output json"],
        run=run_publish,
        detail="Validates the folder, runs its sample test, commits the folder, and nothing else, on the branch\n"
        "publish/<name>-<version id>. Your branch, index and files stay as they are. Never pushes: says how to.",
    )
    parser.add_argument("name", metavar="NAME", help="an analysis of the project, or its folder")
    parser.add_argument("--skip-test", action="store_true", help="do not run the sample; the commit says so")
    bench_options(parser)


def run_publish(context: Context) -> Answer:
    """Check, test, commit aside, say how to push."""
    from ncap_iac.analysis.publishing import SKIPPED, branch_name, message_of, publish, tests_of
    from ncap_iac.development.repository import Checkout
    from ncap_iac.documents import analysis_name

    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    analysis = analysis_name(path)
    _require_pinned(context, path)
    wanted = _wanted(context, path)
    checkout = Checkout(context.project.root, context.world.environment)
    checkout.head()
    tests = [SKIPPED]
    if not context.get("skip_test", False):
        tests = tests_of(_passed(context, path))
    environment = str(wanted.environment)
    message = message_of(analysis, wanted.version_id, environment, tests)
    done = publish(checkout, path.parent, branch_name(analysis, wanted.version_id), message)
    if not environment.startswith("iae:"):
        context.report(progress.Warned(f"It runs on {environment}, which has no recipe: reviewers cannot see into it."))
    facts = {
        "analysis": analysis,
        "versionId": wanted.version_id,
        "environment": environment,
        "branch": done.branch,
        "commit": done.commit,
        "tests": tests,
        "push": done.push,
    }
    rows = tuple((name, "; ".join(tests) if name == "tests" else str(value)) for name, value in facts.items())
    return Answer(
        kind="AnalysisPublish",
        data=facts,
        blocks=(Table(("what", "value"), rows[:-1]),),
        notes=("Push the branch, then open a pull request: the check of the project comments on it.",),
        next_commands=(done.push,),
    )


def _require_pinned(context: Context, path: Path) -> None:
    """What is published names the environment its files make. Raises UsageError."""
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.images import named_environment
    from ncap_iac.errors import UsageError
    from ncap_iac.project import read_bytes

    named = named_environment(read_bytes(path), where=str(path))
    if not named.startswith("iae:"):
        return
    is_now = image_maker(context).source(path.parent).environment
    if named != is_now:
        raise UsageError(
            f"its files make {is_now}, and it names {named}",
            where=str(path),
            hint=f"Run `ncap environment pin {path.parent.name}`.",
        )


def _wanted(context: Context, path: Path) -> Wanted:
    """The stack it compiles to, with its version. Raises DocumentProblemsError."""
    from ncap_iac.documents import Compiled

    return Compiled(context.project).analysis(path)


def _passed(context: Context, path: Path) -> Trial:
    """Its sample, the users' way. Raises NcapError if it does not come out as expected."""
    import tempfile
    from dataclasses import replace

    from ncap_iac.analysis.sample import load_sample
    from ncap_iac.analysis.trial import try_samples
    from ncap_iac.progress import silent

    check_places(context)
    sample = load_sample(path.parent)
    with (
        tempfile.TemporaryDirectory(prefix="neurocaas-test-") as place,
        open_laboratory(context, [path]) as (laboratory, laid, names, maker),
    ):
        (trial,) = try_samples(
            laboratory,
            list(zip(laid, [sample], strict=True)),
            names=names,
            folder=Path(place),
            timeout_s=context.get("timeout"),
            image_of=lambda it: replace(maker, report=silent).build(it.path.parent).folder,
        )
    if not trial.has_passed:
        raise NcapError(
            "its sample does not come out as expected: " + " ".join(trial.problems),
            where=f"analysis {trial.analysis}",
            hint=f"See `ncap analysis test {path.parent.name}`; --skip-test publishes it all the same and says so.",
        )
    return trial
