"""`ncap blueprint`: the verbs of analyses."""

from __future__ import annotations

from ncap_iac.cli.document_verbs import add_document_noun
from ncap_iac.cli.migrate_verbs import add_migrate_verbs
from ncap_iac.cli.options import SubParsers
from ncap_iac.cli.version_verbs import add_version_verbs
from ncap_iac.project import Kind


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_document_noun(nouns, Kind.BLUEPRINT, example="kalman-lds")
    add_migrate_verbs(verbs, Kind.BLUEPRINT, example="kalman-lds")
    add_version_verbs(verbs)
