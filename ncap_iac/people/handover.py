"""Giving a person their key once: read it, claim the handing over in the artifact bucket, only then let it out.

The claim is a conditional write, so of two operators one hands over. The record holds no secret; the secret goes into
one private file or onto one terminal, and into no message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_iac.errors import AlreadyExistsError, ApplyError, NotFoundError, UsageError
from ncap_iac.people.private_files import reserve_private, write_all

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway, Objects
    from ncap_iac.people.identities import Identities

TRIES = 10
"""Claims of further handings over that may collide before we give up."""


@dataclass(frozen=True)
class MemberKey:
    """A member's key as the users stack keeps it; the secret is kept out of its text."""

    member: str
    group: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Record:
    """One handing over: of which key, by whom (ARN), when (UTC, ISO 8601), and how (`file` or `terminal`)."""

    member: str
    access_key_id: str
    by: str
    at: str
    how: str

    def document(self) -> dict[str, str]:
        """The record as it is kept."""
        return {
            "member": self.member,
            "accessKeyId": self.access_key_id,
            "by": self.by,
            "at": self.at,
            "how": self.how,
        }


class HandedOverError(UsageError):
    """The key was handed over before; `record` says when and by whom."""

    def __init__(self, record: Record) -> None:
        super().__init__(
            f"key {record.access_key_id} of {record.member} was handed over on {record.at} by {record.by}",
            where=f"member {record.member}",
            hint=(
                "If it is lost or somebody else has it, give the group other keys: `ncap member rotate "
                f"{record.member}`, deploy, and hand over again. --again hands the same key over once more."
            ),
        )
        self.record = record


def read_key(gateway: Gateway, member: str) -> MemberKey:
    """A member's key from its secret. Raises NotFoundError, AccessError."""
    try:
        secret = json.loads(gateway.secret(names.member_secret(member)))
    except NotFoundError as error:
        raise NotFoundError(
            f"no member {member!r} has a key there",
            where=gateway.target.name,
            hint="Deploy the profile that names the member: `ncap profile deploy PROFILE`. See `ncap member list`.",
        ) from error
    return MemberKey(member, str(secret["group"]), str(secret["AccessKeyId"]), str(secret["SecretAccessKey"]))


def require_working(identities: Identities, key: MemberKey) -> None:
    """Refuse to hand over a key that does not work. Raises UsageError, AccessError."""
    found = {item.access_key_id: item for item in identities.keys(key.member)}
    where = f"member {key.member}"
    if key.access_key_id not in found:
        raise UsageError(
            f"key {key.access_key_id} is in the secret but not in IAM",
            where=where,
            hint="Somebody deleted it by hand: `ncap member rotate` and deploy make another.",
        )
    if not found[key.access_key_id].active:
        raise UsageError(
            f"key {key.access_key_id} is suspended and would not work",
            where=where,
            hint=f"Resume the member first: `ncap member resume {key.member}`, deploy, and hand over.",
        )


def earlier_records(objects: Objects, bucket: str, member: str, access_key_id: str) -> tuple[Record, ...]:
    """The handings over of a key there were. Raises NotFoundError without the artifact bucket."""
    prefix = names.handover_key(member, access_key_id).removesuffix(".json")
    listed = objects.list(bucket, prefix).objects
    return tuple(
        _record(objects.read(bucket, item.key).body) for item in sorted(listed, key=lambda item: item.modified)
    )


def _record(body: bytes) -> Record:
    found = json.loads(body)
    return Record(*(str(found[name]) for name in ("member", "accessKeyId", "by", "at", "how")))


def claim(objects: Objects, bucket: str, record: Record, *, again: bool) -> str:
    """Write down that a key is handed over, before it is; returns the record's key.

    Raises HandedOverError if it was before and nobody said `again`. Of two claims at a time one succeeds.
    """
    body = json.dumps(record.document(), indent=2).encode() + b"\n"
    number = 1
    for _ in range(TRIES):
        key = names.handover_key(record.member, record.access_key_id, number)
        try:
            objects.put(bucket, key, body, content_type="application/json", only_if_absent=True)
            return key
        except AlreadyExistsError:
            earlier = earlier_records(objects, bucket, record.member, record.access_key_id)
            if not again:
                raise HandedOverError(earlier[0]) from None
            number = max(number, len(earlier)) + 1
    raise ApplyError("others hand the same key over at this moment", where=f"s3://{bucket}", hint="Try it later.")


def deliver_file(path: Path, text: str, make_claim: Callable[[], str]) -> str:
    """Reserve a private file, claim, write the text. Returns the record's key; raises UsageError, ApplyError.

    The file is made before the claim, so that a claim is not lost to a folder that cannot be written.
    """
    descriptor = reserve_private(path)
    try:
        key = make_claim()
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    try:
        write_all(descriptor, text.encode())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ApplyError(
            f"the key is recorded as handed over, but the file could not be written: {error.strerror}",
            where=str(path),
            hint="Nobody has seen the key. Make room, and run the same command with --again and another file.",
        ) from None
    return key


def deliver_terminal(open_terminal: Callable[[], int], text: str, make_claim: Callable[[], str]) -> str:
    """Claim, show the text on the terminal's other screen until Enter is pressed, and leave no trace of it there.

    `open_terminal` gives a descriptor to read and write. Raises UsageError if it cannot: then nothing is claimed.
    """
    try:
        terminal = open_terminal()
    except OSError as error:
        raise UsageError(
            "there is no terminal to show it on", where="--show", hint="Use --file PATH: a private file."
        ) from error
    try:
        key = make_claim()
        ending = "Press Enter when you have copied it; it is not shown again. "
        os.write(terminal, f"\x1b[?1049h\x1b[H{text}\n{ending}".encode())
        try:
            os.read(terminal, 1024)
        finally:
            os.write(terminal, b"\x1b[2J\x1b[?1049l")
    finally:
        os.close(terminal)
    return key
