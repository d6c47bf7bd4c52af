"""The members there are: what the profiles say beside what is deployed, and whether each key was handed over.

Works from the profiles alone when nothing can be asked. Reads only; never a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_iac.errors import NotFoundError
from ncap_iac.people.identities import Identity
from ncap_iac.people.membership import Profiles

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway


class State(Enum):
    """Where a member stands; the words are for people."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    NOT_DEPLOYED = "not deployed"
    TO_SUSPEND = "to be suspended: deploy"
    TO_RESUME = "to be resumed: deploy"
    TO_MOVE = "to be moved: deploy"
    TO_REMOVE = "removed, still deployed: deploy"
    UNKNOWN_HERE = "deployed, in no profile here"


@dataclass(frozen=True)
class Listed:
    """One member. Group and profile are the profiles' word, or where those say nothing the deployment's.

    `access_key_id` is empty and `created` None where nothing was asked or nothing is there; `further_keys` counts keys
    the users stack did not make.
    """

    member: str
    group: str
    profile: str
    state: State
    known: bool
    """Whether the deployment was asked."""
    access_key_id: str = ""
    created: datetime | None = None
    handed_over: datetime | None = None
    further_keys: int = 0

    def age_days(self, now: datetime) -> int | None:
        """Whole days since the key was made."""
        return None if self.created is None else (now - self.created).days


@dataclass(frozen=True)
class Deployed:
    """What a target knows about members: users by name, and when which key was handed over last."""

    identities: Mapping[str, Identity]
    handed_over: Mapping[str, datetime]


@dataclass(frozen=True)
class Selection:
    """Which members are asked for: of one group, and of the stage whose names end in `suffix`."""

    group: str | None = None
    suffix: str = ""


def read_deployed(gateway: Gateway, wanted: Iterable[str], *, all_users: bool) -> Deployed:
    """Ask a target about these members, or with `all_users` about every user under our path too. Raises AccessError."""
    from ncap_iac.people.identities import Identities

    asked = Identities(gateway)
    everyone = asked.members()
    chosen = everyone if all_users else tuple(set(everyone) & set(wanted))
    account, _ = gateway.identity()
    return Deployed(asked.describe_all(chosen), _handed_over(gateway, account))


def _handed_over(gateway: Gateway, account: str) -> dict[str, datetime]:
    """When each key was handed over last, by its id; nothing without an artifact bucket."""
    try:
        listed = gateway.objects.list(names.artifact_bucket(account, gateway.region), names.HANDOVERS).objects
    except NotFoundError:
        return {}
    found: dict[str, datetime] = {}
    for item in listed:
        key_id = item.key.rpartition("/")[2].removesuffix(".json").partition("-")[0]
        found[key_id] = max(item.modified, found.get(key_id, item.modified))
    return found


def list_members(profiles: Profiles, deployed: Deployed | None, selection: Selection) -> tuple[Listed, ...]:
    """Every member of the profiles in their order, then those only the deployment knows."""
    rows = []
    documented = set()
    for place in profiles.places():
        for member in place.group.members:
            name = member + selection.suffix
            documented.add(name)
            is_suspended = member in place.group.suspended
            identity = None if deployed is None else deployed.identities.get(name)
            state = State.SUSPENDED if is_suspended else State.ACTIVE
            if deployed is not None:
                state = _state(identity, suspended=is_suspended, group=place.group.name + selection.suffix)
            rows.append(_listed(name, (place.group.name, place.file.name), state, identity, deployed))
    stacks = {names.users_stack(file.name + selection.suffix): file.name for file in profiles.files}
    for identity in deployed.identities.values() if deployed is not None else ():
        if identity.member not in documented and identity.member.endswith(selection.suffix):
            profile = stacks.get(identity.stack.partition("--")[0], "")
            state = State.TO_REMOVE if profile else State.UNKNOWN_HERE
            group = identity.group.removesuffix(selection.suffix)
            rows.append(_listed(identity.member, (group, profile), state, identity, deployed))
    return tuple(row for row in rows if selection.group is None or row.group == selection.group)


def _state(identity: Identity | None, *, suspended: bool, group: str) -> State:
    if identity is None:
        return State.NOT_DEPLOYED
    works = any(key.active for key in identity.keys)
    if suspended:
        return State.TO_SUSPEND if works else State.SUSPENDED
    if identity.group != group:
        return State.TO_MOVE
    return State.ACTIVE if works else State.TO_RESUME


def _listed(
    member: str, place: tuple[str, str], state: State, identity: Identity | None, deployed: Deployed | None
) -> Listed:
    if identity is None or deployed is None or not identity.keys:
        return Listed(member, *place, state, deployed is not None)
    # Of several keys the handed one is the person's; the secret, which would tell for sure, is not read for a list.
    handed = [key for key in identity.keys if key.access_key_id in deployed.handed_over]
    key = (handed or list(identity.keys))[0]
    return Listed(
        member,
        *place,
        state,
        known=True,
        access_key_id=key.access_key_id,
        created=key.created,
        handed_over=deployed.handed_over.get(key.access_key_id),
        further_keys=len(identity.keys) - 1,
    )
