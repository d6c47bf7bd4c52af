"""Where a template's text comes from: the request, or an object in S3 that the request names by URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from ncap_iac.local.cloudformation.template import MAX_BODY_BYTES, MAX_URL_BYTES
from ncap_iac.local.cloudformation.values import invalid

Client = Any


def has_template(parameters: Mapping[str, Any]) -> bool:
    """Whether a request brings a template."""
    return "TemplateBody" in parameters or "TemplateURL" in parameters


def template_text(parameters: Mapping[str, Any], client: Callable[[str], Client]) -> str:
    """The text of a request's template. Raises ServiceError ValidationError."""
    if ("TemplateBody" in parameters) == ("TemplateURL" in parameters):
        raise invalid("Either Template URL or Template Body must be specified.")
    if "TemplateBody" in parameters:
        body = str(parameters["TemplateBody"])
        if len(body.encode()) > MAX_BODY_BYTES:
            raise invalid(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_BODY_BYTES}"
            )
        return body
    return _fetch(str(parameters["TemplateURL"]), client)


def _fetch(url: str, client: Callable[[str], Client]) -> str:
    bucket, key, version = object_of(url)
    try:
        answer = client("s3").get_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise invalid(f"S3 error: {code} for s3://{bucket}/{key}. The template could not be read.") from error
    if answer["ContentLength"] > MAX_URL_BYTES:
        raise invalid(f"Template may not exceed {MAX_URL_BYTES} bytes in size.")
    try:
        return str(answer["Body"].read().decode())
    except UnicodeDecodeError as error:
        raise invalid(f"Template format error: s3://{bucket}/{key} is not UTF-8 text.") from error


def object_of(url: str) -> tuple[str, str, str]:
    """Bucket, key and version (or empty) of an S3 URL: `s3.<region>…/bucket/key`, `bucket.s3.…/key`, or path style
    at any other host. Raises ServiceError ValidationError.
    """
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
    version = parse_qs(parts.query).get("versionId", [""])[0]
    if parts.scheme not in ("http", "https") or not host:
        raise invalid("TemplateURL must be a supported URL.")
    before, marker, _ = host.partition(".s3")
    if marker and host.endswith(".amazonaws.com"):
        bucket, key = before, path
    else:
        bucket, _, key = path.partition("/")
    if not bucket or not key:
        raise invalid("TemplateURL must reference a valid S3 object to which you have access.")
    return bucket, key, version
