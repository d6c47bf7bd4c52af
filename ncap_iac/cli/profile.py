"""`ncap profile`: the verbs of user groups."""

from __future__ import annotations

from ncap_iac.cli.document_verbs import add_document_noun
from ncap_iac.cli.migrate_verbs import add_migrate_verbs
from ncap_iac.cli.options import SubParsers
from ncap_iac.cli.people import add_people_verbs
from ncap_iac.project import Kind


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_document_noun(nouns, Kind.PROFILE, example="demo")
    add_migrate_verbs(verbs, Kind.PROFILE, example="demo")
    add_people_verbs(verbs)
