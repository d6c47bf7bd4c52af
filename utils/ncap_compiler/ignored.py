"""Fields existing documents carry and this platform gives no effect: which, why, and what they say in vain.

They are accepted and kept. A field that says what the platform does anyway, or speaks to people, is `usual`: nobody
needs to be told about it. Nothing here reports or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ncap_compiler.document import Document, Json, canonical_json

CONFIG = "/Lambda/LambdaConfig"
GROUPS = "/UXData/Affiliates"


@dataclass(frozen=True, slots=True)
class Unused:
    """Why a field has no effect, and the values with which it says what happens anyway (`for_people`: any value).

    `instead_of`: only where this field stands beside it, whose value is taken.
    """

    reason: str
    usual: tuple[Json, ...] = ()
    for_people: bool = False
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class IgnoredField:
    """A field without effect that a document holds; `value` is its canonical JSON.

    The line is not part of the field's identity.
    """

    pointer: str
    value: str
    reason: str
    usual: bool
    line: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The field's own name."""
        return self.pointer.rpartition("/")[2]


_TRUE: tuple[Json, ...] = (True, "true", "True")
_STAGE_REASON = "every stack has the same parts; `--stage` makes another set of stacks"

BLUEPRINT_FIELDS: Mapping[str, Mapping[str, Unused]] = {
    "": {
        "PipelineVersion": Unused("versions are computed from the content"),
        "STAGE": Unused(_STAGE_REASON, ("websubstack",)),
        "Legacy": Unused("it is what `migrate` changed, as it was", for_people=True),
    },
    "/Lambda": {
        "Requirements": Unused("the bundle brings what it needs"),
        "Launch": Unused("a job manager always launches", _TRUE),
    },
    CONFIG: {
        "MONITOR": Unused("the platform watches every instance", _TRUE),
        "SHUTDOWN_BEHAVIOR": Unused("instances always end by being terminated", ("terminate",)),
        "SSM_TIMEOUT": Unused("MAX_DURATION says how long a job may take", instead_of="MAX_DURATION"),
        "LAUNCH": Unused("a job manager always launches", _TRUE),
        "IAM_ROLE": Unused("every group has an instance role of its own"),
        "KEY_NAME": Unused("production instances have no key pair"),
        "SECURITY_GROUPS": Unused("instances have the account's security group"),
        "CONFIG": Unused("nothing reads it"),
        "MISSING_CONFIG_ERROR": Unused("the job manager writes its own messages"),
        "LOGFILE": Unused("the job's log is its certificate"),
        "INDIR": Unused("the folder is `inputs`", ("inputs",)),
        "OUTDIR": Unused("the folder is `results`", ("results",)),
        "LOGDIR": Unused("the folder is `logs`", ("logs",)),
    },
    f"{GROUPS}/*": {
        "UserInput": Unused("a group always brings its own data", (True,)),
        "ContactEmail": Unused("no mail is sent", for_people=True),
        "PipelinePath": Unused("nothing reads it"),
        "PipelineDir": Unused("nothing reads it"),
    },
}
"""By the object they stand in; `*` for every entry of a list."""

PROFILE_FIELDS: Mapping[str, Mapping[str, Unused]] = {
    "": {
        "STAGE": Unused(_STAGE_REASON, ("webusercentric",)),
        "Lambda": Unused("a users stack runs no functions, its region is chosen when it is deployed"),
        "Legacy": Unused("it is what `migrate` changed, as it was", for_people=True),
    },
    f"{GROUPS}/*": {
        "ContactEmail": Unused("no mail is sent", for_people=True),
        "PipelineDir": Unused("nothing reads it"),
    },
}
"""As `BLUEPRINT_FIELDS`."""


def ignored_fields(document: Document, tables: Mapping[str, Mapping[str, Unused]]) -> tuple[IgnoredField, ...]:
    """The fields of `document` that have no effect."""
    return tuple(
        IgnoredField(
            pointer=(pointer := f"{parent}/{name}"),
            value=canonical_json(found[name]).decode(),
            reason=unused.reason,
            usual=unused.for_people or found[name] in unused.usual,
            line=document.line(pointer),
        )
        for place, names in tables.items()
        for parent, found in _objects(document, place)
        for name, unused in names.items()
        if name in found and (not unused.instead_of or unused.instead_of in found)
    )


def _objects(document: Document, place: str) -> Iterator[tuple[str, dict[str, Json]]]:
    """The objects at `place`, which may end in `/*`: every object of that list."""
    listed = document.get(place.removesuffix("/*"))
    if not place.endswith("/*"):
        if isinstance(listed, dict):
            yield place, listed
        return
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(entry, dict):
            yield f"{place.removesuffix('*')}{index}", entry
