"""`ncap account`: the stack all others need, once an account and region."""

from __future__ import annotations

import shlex

from ncap_iac import progress
from ncap_iac.answer import Answer
from ncap_iac.cli.context import Context
from ncap_iac.cli.document_verbs import add_parameter_option
from ncap_iac.cli.options import SubParsers, add_noun, add_verb
from ncap_iac.cli.plans import applied_result, compiled_result, destroy, make_deployment, plan_result


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(
        nouns,
        "account",
        ["ncap account plan --profile lab", "ncap account deploy --profile lab --parameter MonthlyBudget=500"],
    )
    parser = add_verb(
        verbs,
        "compile",
        "Print the CloudFormation template of the account stack.",
        ["ncap account compile", "ncap account compile -o account.json"],
        run=run_compile,
    )
    parser.add_argument("-o", "--output-file", metavar="FILE", help="write it there instead")
    parser = add_verb(
        verbs,
        "plan",
        "Show what deploying the account stack would change.",
        ["ncap account plan", "ncap account plan --offline"],
        run=run_plan,
    )
    parser.add_argument("--offline", action="store_true", help="against nothing: needs no network and no credentials")
    add_parameter_option(parser)
    parser = add_verb(
        verbs,
        "deploy",
        "Deploy the account stack, or bring it up to date.",
        ["ncap account deploy", "ncap account deploy --profile lab --parameter NotificationEmail=me@example.org"],
        run=run_deploy,
        detail="The first time it goes in two steps: the stack makes the bucket, the code is put there, and then the\n"
        "stack makes the functions that run it.",
    )
    add_parameter_option(parser)
    add_verb(
        verbs,
        "destroy",
        "Delete the account stack; its bucket and ledger are kept.",
        ["ncap account destroy --yes"],
        run=run_destroy,
    )


def run_compile(context: Context) -> Answer:
    """The template."""
    from ncap_iac.documents import Compiled

    return compiled_result(context, Compiled(context.project).account())


def run_plan(context: Context) -> Answer:
    """What would change."""
    if context.get("offline", False):
        from ncap_iac.deployment import offline_plan
        from ncap_iac.documents import Compiled

        return plan_result(offline_plan(Compiled(context.project).account()), next_command="")
    plan = make_deployment(context).plan_account()
    return plan_result(plan, next_command=shlex.join(["ncap", "account", "deploy", *context.target.options()]))


def run_deploy(context: Context) -> Answer:
    """Deploy or update."""
    deployment = make_deployment(context)
    context.say_target()
    plan = deployment.plan_account()
    with progress.step(f"deploy {plan.stack}", context.report, context.world.clock):
        applied = deployment.apply(plan)
    following = shlex.join(["ncap", "blueprint", "deploy", "NAME", *context.target.options()])
    return applied_result(applied, plan, next_commands=[following])


def run_destroy(context: Context) -> Answer:
    """Delete."""
    from ncap_compiler import names

    return destroy(context, make_deployment(context), names.ACCOUNT_STACK)
