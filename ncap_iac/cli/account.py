"""`ncap account`: the stack all others need, once an account and region."""

from __future__ import annotations

from ncap_iac.answer import Answer
from ncap_iac.cli.context import Context
from ncap_iac.cli.leftovers import add_verb_leftovers
from ncap_iac.cli.options import SubParsers, add_noun, add_stage_option, add_verb
from ncap_iac.cli.plans import compiled_result
from ncap_iac.cli.stack_verbs import add_stack_verbs
from ncap_iac.cli.subject import subject_of


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
    add_stage_option(parser)
    add_stack_verbs(verbs, None, "")
    add_verb_leftovers(verbs)


def run_compile(context: Context) -> Answer:
    """The template."""
    return compiled_result(context, subject_of(context, None).wanted(context))
