"""Where a command acts: a local cloud by default, AWS or any endpoint when asked.

Turns options and the environment into a value; makes no client and calls nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ncap_iac.errors import CloudError, UsageError

DEFAULT_CLOUD = "default"


@dataclass(frozen=True)
class Choice:
    """What the options say about the target; None where they say nothing."""

    cloud: str | None = None
    aws: bool = False
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


@dataclass(frozen=True)
class Target:
    """One place to act in, and the credentials for it; secrets are kept out of its text."""

    name: str
    """For people: `local cloud 'default'`, `AWS (profile lab)`."""
    cloud: str | None = None
    """The local cloud's name, None elsewhere."""
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)

    @property
    def is_plain_http(self) -> bool:
        """Whether requests travel without TLS."""
        return (self.endpoint_url or "").startswith("http://")

    def options(self) -> tuple[str, ...]:
        """The command line options that choose this target again."""
        if self.cloud is not None:
            return () if self.cloud == DEFAULT_CLOUD else ("--cloud", self.cloud)
        chosen: list[str] = ["--profile", self.profile] if self.profile else []
        chosen += ["--endpoint-url", self.endpoint_url] if self.endpoint_url else []
        region = ["--region", self.region] if self.region else []
        return (*(chosen or ["--aws"]), *region)


def resolve_target(choice: Choice, environment: Mapping[str, str], home: Path) -> Target:
    """The target: options first, then `NCAP_CLOUD`, then the local cloud `default`.

    Raises CloudError when a local cloud is meant and none of that name runs, UsageError for a contradiction.
    """
    elsewhere = choice.aws or choice.profile is not None or choice.endpoint_url is not None
    if elsewhere and choice.cloud is not None:
        raise UsageError(
            "--cloud means a local cloud; --aws, --profile and --endpoint-url mean another place",
            where="options",
            hint="Give one of them.",
        )
    if not elsewhere:
        cloud = local_target(choice.cloud or environment.get("NCAP_CLOUD") or DEFAULT_CLOUD, environment, home)
        return replace(cloud, region=choice.region) if choice.region else cloud
    endpoint = choice.endpoint_url or environment.get("AWS_ENDPOINT_URL")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise UsageError(
            f"{endpoint!r} is not a URL", where="--endpoint-url", hint="It begins with http:// or https://."
        )
    profile = choice.profile or environment.get("AWS_PROFILE")
    place = f"endpoint {endpoint}" if endpoint else "AWS"
    return Target(
        name=f"{place} (profile {profile})" if profile else place,
        profile=choice.profile,
        region=choice.region,
        endpoint_url=endpoint,
    )


def local_target(name: str, environment: Mapping[str, str], home: Path) -> Target:
    """The running local cloud `name`, from its record (docs/contracts.md section 7). Raises CloudError."""
    from ncap_iac.local.cloud import LocalCloud
    from ncap_iac.local.paths import CloudNameError, places

    try:
        record = LocalCloud(places(environment, home), environment, lambda _: None).status(name)
    except CloudNameError as error:
        raise UsageError(str(error), where="--cloud") from error
    if record is None:
        start = "ncap local up --background" + ("" if name == DEFAULT_CLOUD else f" --name {name}")
        raise CloudError(
            f"the local cloud {name!r} is not running",
            hint=f"Start it with `{start}`, or choose AWS with --aws or --profile NAME.",
        )
    return Target(
        name=f"local cloud {name!r}",
        cloud=name,
        region=record.region,
        endpoint_url=record.endpoint,
        access_key_id=record.access_key_id,
        secret_access_key=record.secret_access_key,
    )
