"""A group's role beyond the platform's buckets: who may take it, and what the profile lists of data elsewhere.

Like `policies`, functions of names; together they are the security model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ncap_compiler import names
from ncap_compiler.document import Json
from ncap_compiler.profile import Storage
from ncap_compiler.statements import ACCOUNT, Statement, bucket_arn, objects, policy_document, role_arn
from ncap_compiler.template import MAX_TRUST_POLICY, policy_length


def instance_trust(analyses: Sequence[str]) -> dict[str, Json]:
    """Who may take a group's role: its instances, and the job managers of its analyses, to look at what it may see.

    Job managers are told by the condition: a principal must exist when a role is made, and they come later. A role's
    trust takes few names; with more analyses it says "a job manager", whose own policy then says which groups'.
    """
    ec2 = Statement("Trust", ("sts:AssumeRole",), (), principals=("ec2.amazonaws.com",))
    if not analyses:
        return policy_document(ec2)
    exact = policy_document(ec2, _job_managers(role_arn(names.submit_function(name)) for name in analyses))
    if policy_length(exact) <= MAX_TRUST_POLICY:
        return exact
    return policy_document(ec2, _job_managers([role_arn(names.submit_function("*"))]))


def _job_managers(roles: Iterable[str]) -> Statement:
    told = (("ArnLike", "aws:PrincipalArn", tuple(roles)),)
    return Statement("JobManagers", ("sts:AssumeRole",), (), told, principals=(ACCOUNT,))


def storage_policy(places: Sequence[Storage]) -> dict[str, Json]:
    """What the profile lists of data elsewhere, for instances of the group: read it, or read and write it."""
    read = tuple(key for place in places for key in objects(place.bucket, f"{place.folder}*"))
    written = tuple(key for place in places if place.is_writable for key in objects(place.bucket, f"{place.folder}*"))
    upload = ("s3:AbortMultipartUpload", "s3:PutObject")
    return policy_document(
        Statement("ReadStorage", ("s3:GetObject", "s3:GetObjectVersion"), read),
        *((Statement("WriteStorage", upload, written),) if written else ()),
        *(_find(place, number) for number, place in enumerate(places, start=1)),
    )


def _find(place: Storage, number: int) -> Statement:
    """Listing one place: of several in one statement, each bucket would have the prefixes of all."""
    below = (("StringLike", "s3:prefix", (f"{place.folder}*",)),) if place.folder else ()
    return Statement(f"Find{number}", ("s3:ListBucket", "s3:ListBucketVersions"), (bucket_arn(place.bucket),), below)
