"""A plan as a file: written once, looked at by people, applied exactly or refused with the reason.

The file carries everything applying needs, templates and bundle included, so that neither the project nor the compiler
has a say any more: what was reviewed is what happens. It holds no secret: a template with a parameter that hides its
value is refused. Its digest tells an altered or cut file; it is no signature. Text in, text out; reads no file.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ncap_iac.deploy.plan import Action, DeleteStack, Plan, PutVersion, StackAction, Upload
from ncap_iac.deploy.plan_document import parse_stack, stack_document
from ncap_iac.errors import NcapError, UsageError

SCHEMA_VERSION = 1
KIND = "SavedPlan"


@dataclass(frozen=True)
class Site:
    """Where a plan is for: an account and region of AWS, or a local cloud by name."""

    account: str
    region: str
    cloud: str | None

    def __str__(self) -> str:
        if self.cloud is not None:
            return f"local cloud {self.cloud!r}"
        return f"account {self.account}, region {self.region}"


@dataclass(frozen=True)
class SavedPlan:
    """A plan with what it is for: the noun (`blueprint`) and name of its document, its stage, its site."""

    noun: str
    name: str
    stage: str
    site: Site
    made: str
    """UTC, ISO."""
    plan: Plan


def save_plan(plan: Plan, site: Site, *, noun: str, name: str, stage: str, now: datetime) -> str:
    """The text of a saved plan. Raises UsageError for a template that would have it hold a secret."""
    for action in plan.actions:
        if isinstance(action, StackAction):
            _require_no_secret(action)
    document: dict[str, object] = {
        "schemaVersion": SCHEMA_VERSION,
        "kind": KIND,
        "document": {"noun": noun, "name": name, "stage": stage},
        "site": {"account": site.account, "region": site.region, "cloud": site.cloud},
        "made": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "versionId": plan.version_id,
        "notes": list(plan.notes),
        "stacks": [stack_document(stack) for stack in plan.stacks],
        "actions": [_action_document(action) for action in plan.actions],
    }
    return json.dumps({**document, "digest": _digest(document)}, indent=2, ensure_ascii=False) + "\n"


def load_plan(text: str, *, where: str) -> SavedPlan:
    """A saved plan. Raises UsageError for what is none, is of another release, or has been altered."""
    hint = "Save it again: `ncap … plan --save FILE`."
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"it is not JSON: {error}", where=where, hint=hint) from error
    if not isinstance(document, Mapping) or document.get("kind") != KIND:
        raise UsageError("it is not a saved plan", where=where, hint=hint)
    if document.get("schemaVersion") != SCHEMA_VERSION:
        found = document.get("schemaVersion")
        raise UsageError(f"it has format {found}; this release reads {SCHEMA_VERSION}", where=where, hint=hint)
    rest = {name: value for name, value in document.items() if name != "digest"}
    if document.get("digest") != _digest(rest):
        raise UsageError("it has been altered since it was saved: its digest does not fit", where=where, hint=hint)
    try:
        return _saved(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"it is not complete: {error}", where=where, hint=hint) from error


def require_site(saved: SavedPlan, site: Site, *, where: str) -> None:
    """Raises NcapError if a plan is for another place than this one."""
    if saved.site != site:
        raise NcapError(
            f"it was made for {saved.site}, and this is {site}",
            where=where,
            hint="Choose the same target (--profile, --region, --cloud), or plan again here.",
        )


def _require_no_secret(action: StackAction) -> None:
    declared: Mapping[str, Mapping[str, Any]] = json.loads(action.template or "{}").get("Parameters", {})
    hidden = [name for name, about in declared.items() if about.get("NoEcho") in (True, "true")]
    if hidden:
        raise UsageError(
            f"parameter {hidden[0]} hides its value, and a file would show it",
            where=f"stack {action.stack}",
            hint="Deploy without a saved plan.",
        )


def _digest(document: Mapping[str, object]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _saved(document: Mapping[str, Any]) -> SavedPlan:
    about, site = document["document"], document["site"]
    plan = Plan(
        stacks=tuple(parse_stack(stack) for stack in document["stacks"]),
        actions=tuple(_parse_action(action) for action in document["actions"]),
        version_id=document["versionId"],
        notes=tuple(document["notes"]),
    )
    return SavedPlan(
        noun=about["noun"],
        name=about["name"],
        stage=about["stage"],
        site=Site(site["account"], site["region"], site["cloud"]),
        made=document["made"],
        plan=plan,
    )


def _action_document(action: Action) -> dict[str, object]:
    match action:
        case Upload(bucket, key, body):
            return {"action": "upload", "bucket": bucket, "key": key, **_body_document(body)}
        case DeleteStack(stack):
            return {"action": "delete", "stack": stack}
        case PutVersion(bucket, key, body, image, replaces_lost_image):
            return {
                "action": "version",
                "bucket": bucket,
                "key": key,
                "image": image,
                "replacesLostImage": replaces_lost_image,
                **_body_document(body),
            }
        case StackAction():
            return {
                "action": "deploy",
                "stack": action.stack,
                "template": action.template,
                "parameters": dict(action.parameters),
                "templateUrl": action.template_url,
                "keptBuckets": list(action.kept_buckets),
                "tags": None if action.tags is None else dict(action.tags),
            }


def _parse_action(document: Mapping[str, Any]) -> Action:
    kind = document["action"]
    if kind == "upload":
        return Upload(document["bucket"], document["key"], _parse_body(document))
    if kind == "delete":
        return DeleteStack(document["stack"])
    if kind == "version":
        lost = bool(document["replacesLostImage"])
        body = _parse_body(document)
        return PutVersion(document["bucket"], document["key"], body, document["image"], replaces_lost_image=lost)
    if kind != "deploy":
        raise ValueError(f"action {kind!r}")
    tags = document["tags"]
    return StackAction(
        stack=document["stack"],
        template=document["template"],
        parameters=tuple(sorted(document["parameters"].items())),
        template_url=document["templateUrl"],
        kept_buckets=tuple(document["keptBuckets"]),
        tags=None if tags is None else tuple(sorted(tags.items())),
    )


def _body_document(body: bytes) -> dict[str, object]:
    """Bytes as text where they are text, so that a person can read them."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _parse_body(document: Mapping[str, Any]) -> bytes:
    return document["text"].encode() if "text" in document else base64.b64decode(document["base64"], validate=True)
