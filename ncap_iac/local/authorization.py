"""Stands between a signed request and a service of the edge: who is it, and may they? As the base does for its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ncap_iac.local.identity import Credential, Vault
from ncap_iac.local.policy import Access, Decision, PolicyError, decide
from ncap_iac.local.principals import Principal, Principals, UnknownPrincipalError
from ncap_iac.local.request import Request
from ncap_iac.local.service import Call, Caller, Permission, ServiceError
from ncap_iac.local.signature import SignatureError, verify


class Guard:
    """Authentication and authorization for the edge's own services."""

    def __init__(self, vault: Vault, principals: Principals, clock: Callable[[], float]) -> None:
        self._vault = vault
        self._principals = principals
        self._clock = clock

    def authenticate(self, request: Request, body: bytes) -> Credential:
        """Whose request this is. Raises ServiceError with the code of the request's service."""
        scope = request.scope
        service = scope.service if scope else ""
        credential = self._vault.resolve(scope.access_key_id) if scope else None
        if scope is not None and credential is None:
            message = "The security token included in the request is invalid."
            raise _refusal(service, "InvalidClientTokenId", message)
        now = self._clock()
        try:
            verify(
                request,
                body,
                secret=credential.secret if credential else "",
                token=credential.token if credential else None,
                now=datetime.fromtimestamp(now, UTC),
            )
        except SignatureError as error:
            raise _refusal(service, error.code, str(error)) from error
        if credential is None:
            raise _refusal(service, "MissingAuthenticationToken", "Request is missing Authentication Token")
        if credential.expires is not None and now >= credential.expires:
            raise _refusal(service, "ExpiredToken", "The security token included in the request is expired")
        return credential

    def caller(self, credential: Credential) -> Caller:
        """The principal with the ARN IAM has for it. Raises ServiceError if it was deleted."""
        if credential.caller.kind != "user":
            return credential.caller
        try:
            return replace(credential.caller, arn=self._principals.describe("user", credential.caller.name).arn)
        except UnknownPrincipalError as error:
            raise ServiceError("InvalidClientTokenId", f"The {error} was deleted.", status=403) from error

    def authorize(self, credential: Credential, call: Call, permissions: Sequence[Permission], service: str) -> None:
        """Raise ServiceError unless IAM allows every one of the permissions."""
        if credential.caller.kind == "root":
            return
        try:
            authority = self._principals.authority(credential)
            facts = self._facts(credential, call)
        except (UnknownPrincipalError, PolicyError) as error:
            message = f"The policies of {call.caller.arn} cannot be read: {error}"
            raise ServiceError("AccessDenied", message, status=403) from error
        for permission in permissions:
            context = facts | _lowered(permission)
            decision = decide(authority, Access(permission.action, permission.resource, context))
            if decision is not Decision.ALLOW:
                raise _denial(service, call.caller, permission, decision)

    def _facts(self, credential: Credential, call: Call) -> dict[str, Sequence[str]]:
        caller = call.caller
        principal = self._principals.describe(caller.kind, caller.name)
        facts = principal_facts(principal, caller.kind, caller.name, now=self._clock())
        facts["aws:requestedregion"] = [call.region]
        facts["aws:securetransport"] = ["true"]
        facts["aws:sourceip"] = ["127.0.0.1"]
        for key, value in credential.session_tags:
            facts[f"aws:principaltag/{key.lower()}"] = [value]
        return facts


def principal_facts(principal: Principal, kind: str, name: str, *, now: float) -> dict[str, Sequence[str]]:
    """The condition keys that follow from a `user` or `role` and the time.

    Source: "AWS global condition context keys", IAM user guide.
    """
    facts: dict[str, Sequence[str]] = {
        "aws:currenttime": [datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")],
        "aws:epochtime": [str(int(now))],
        "aws:principalaccount": [principal.arn.split(":")[4]],
        "aws:principalarn": [principal.arn],
        "aws:principaltype": ["User" if kind == "user" else "AssumedRole"],
    }
    if kind == "user":
        facts["aws:username"] = [name]
    return facts | {f"aws:principaltag/{key.lower()}": [value] for key, value in principal.tags}


def _lowered(permission: Permission) -> dict[str, Sequence[str]]:
    return {
        key.lower(): [value] if isinstance(value, str) else list(value) for key, value in permission.context.items()
    }


def _refusal(service: str, code: str, message: str) -> ServiceError:
    """EC2 has one code for all that is wrong with credentials."""
    if service == "ec2" and code in ("InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature"):
        return ServiceError(
            "AuthFailure", f"AWS was not able to validate the provided access credentials: {message}", status=401
        )
    status = 400 if code == "IncompleteSignature" else 403
    return ServiceError(code, message, status=status)


def _denial(service: str, caller: Caller, permission: Permission, decision: Decision) -> ServiceError:
    because = (
        "with an explicit deny in a policy"
        if decision is Decision.EXPLICIT_DENY
        else f"because no policy allows the {permission.action} action"
    )
    who = f"User: {caller.arn} is not authorized to perform: {permission.action} on resource: {permission.resource}"
    if service == "ec2":
        message = f"You are not authorized to perform this operation. {who} {because}"
        return ServiceError("UnauthorizedOperation", message, status=403)
    return ServiceError("AccessDenied", f"{who} {because}", status=403)
