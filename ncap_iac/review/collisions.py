"""Names that two documents of a project both claim: one stack would take the other over, or fail beside it.

Reads documents without problems of their own; compiles nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ncap_compiler import DocumentError, Problem, load_blueprint, load_profile
from ncap_compiler.document import read_document
from ncap_iac.project import Kind


def collisions(
    texts: Mapping[str, str], kinds: Mapping[str, Kind], *, changed: Container[str] = ()
) -> Iterator[Problem]:
    """A problem at the second of two documents that claim one name; those that did not change come first.

    `texts` and `kinds` are by path.
    """
    owners: dict[tuple[str, str], str] = {}
    for path in sorted(texts, key=lambda path: (path in changed, path)):
        for problem_id, what, name, pointer in _claims(path, texts[path], kinds[path]):
            # IAM and S3 compare names without regard to case.
            first = owners.setdefault((what, name.casefold()), path)
            if first != path:
                line = read_document(texts[path], path).line(pointer)
                message = f"the {what} `{name}` is also in {first}"
                yield Problem(problem_id, path, pointer, line, message, "Give one of them another name.")
    analyses = frozenset(name for what, name in owners if what == "analysis")
    for path in sorted(texts):
        if kinds[path] is Kind.PROFILE:
            yield from _platform_storage(path, texts[path], analyses)


def _platform_storage(path: str, text: str, analyses: frozenset[str]) -> Iterator[Problem]:
    """Places of data of a profile that are buckets of the project's analyses, other than the profile's own."""
    try:
        groups = load_profile(text, file=path).groups
    except DocumentError:
        return
    document = read_document(text, path)
    for index, group in enumerate(groups):
        for number, place in enumerate(group.storage):
            if place.bucket in analyses:
                pointer = f"/UXData/Affiliates/{index}/Storage/{number}/Bucket"
                message = f"`{place.bucket}` is the bucket of an analysis, where a group reaches its own folder only"
                yield Problem("P211", path, pointer, document.line(pointer), message, "Leave it out.")


def _claims(path: str, text: str, kind: Kind) -> Iterator[tuple[str, str, str, str]]:
    """What a document claims: problem id, kind of name, name, place; nothing if it has problems."""
    try:
        if kind is Kind.BLUEPRINT:
            yield "B212", "analysis", load_blueprint(text, file=path).analysis, "/PipelineName"
            return
        for index, group in enumerate(load_profile(text, file=path).groups):
            place = f"/UXData/Affiliates/{index}"
            yield "P209", "group", group.name, f"{place}/AffiliateName"
            for member in group.members:
                yield "P209", "member", member, f"{place}/UserNames"
    except DocumentError:
        return
