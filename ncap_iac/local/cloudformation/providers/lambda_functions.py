"""AWS::Lambda::Function: code from S3 or inline, every setting, code compared by its hash.

Lambda accepts the name of a code object that is not there in the base behind the local cloud; it is fetched here first.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    ResourceError,
    TagRule,
    changed,
    present,
    tag_change,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_DEFAULTS: Mapping[str, Any] = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "Environment": {},
    "DeadLetterConfig": {"TargetArn": ""},
    "TracingConfig": {"Mode": "PassThrough"},
    "EphemeralStorage": {"Size": 512},
}
"""What a setting returns to when a template no longer names it (Lambda's own defaults)."""
_SETTINGS = (*_DEFAULTS, "Handler", "Runtime", "Role", "LoggingConfig")
_POLLS = 300
_POLL_S = 0.1


def code_archive(code: Properties, runtime: str) -> dict[str, Any]:
    """`Code` as CreateFunction takes it; inline code becomes `index.py` or `index.js` in a zip."""
    if "ZipFile" not in code:
        return {name: code[name] for name in ("S3Bucket", "S3Key", "S3ObjectVersion") if name in code}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("index.js" if runtime.startswith("node") else "index.py", (1980, 1, 1, 0, 0, 0))
        member.external_attr = 0o644 << 16
        archive.writestr(member, code["ZipFile"])
    return {"ZipFile": buffer.getvalue()}


def _api_key(properties: Properties) -> dict[str, Any]:
    """The key under Lambda's own name for it."""
    return {"KMSKeyArn": properties["KmsKeyArn"]} if "KmsKeyArn" in properties else {}


class FunctionProvider(Provider):
    """AWS::Lambda::Function, packaged as zip."""

    type = "AWS::Lambda::Function"
    properties = frozenset(
        {"FunctionName", "Code", "Architectures", "KmsKeyArn", "ReservedConcurrentExecutions", "PackageType", "Tags"}
        | {*_SETTINGS}
    )
    required = frozenset({"Code", "Role", "Handler", "Runtime"})
    create_only = frozenset({"FunctionName", "PackageType"})
    attributes = frozenset({"Arn"})
    name = NameRule("FunctionName", 64)
    defaults: ClassVar[Properties] = {**_DEFAULTS, "Architectures": ["x86_64"]}
    tags = TagRule()
    exact = frozenset({"Variables"})
    write_only = frozenset({"Code"})

    def find(self, properties: Properties) -> str | None:
        """The function of that name."""
        name = str(properties["FunctionName"])
        found = present(lambda: self._client("lambda").get_function_configuration(FunctionName=name))
        return None if found is None else name

    def create(self, properties: Properties) -> Created:
        """CreateFunction with everything but the reserved concurrency."""
        self._code_bytes(properties)
        name = properties["FunctionName"]
        settings = {key: properties[key] for key in (*_SETTINGS, "Architectures", "PackageType") if key in properties}
        answer = self._client("lambda").create_function(
            FunctionName=name,
            Code=code_archive(properties["Code"], str(properties["Runtime"])),
            Tags=tag_map(properties.get("Tags")),
            **_numeric(settings),
            **_api_key(properties),
        )
        applied = {key: value for key, value in properties.items() if key != "ReservedConcurrentExecutions"}
        return Created(name, {"Arn": answer["FunctionArn"]}, applied)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """UpdateFunctionConfiguration, UpdateFunctionCode, concurrency, tags: only what differs."""
        client = self._client("lambda")
        self._settle(physical_id)
        settings = {
            name: wanted.get(name, _DEFAULTS.get(name))
            for name in _SETTINGS
            if changed(previous, wanted, name) and (name in wanted or name in _DEFAULTS)
        }
        if changed(previous, wanted, "LoggingConfig") and "LoggingConfig" not in wanted:
            settings["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{physical_id}"}
        if changed(previous, wanted, "KmsKeyArn"):
            settings |= _api_key(wanted) or {"KMSKeyArn": ""}
        if settings:
            client.update_function_configuration(FunctionName=physical_id, **_numeric(settings))
            self._settle(physical_id)
        if changed(previous, wanted, "Code", "Architectures"):
            self._code_bytes(wanted)
            client.update_function_code(
                FunctionName=physical_id,
                Architectures=wanted.get("Architectures", ["x86_64"]),
                **code_archive(wanted["Code"], str(wanted["Runtime"])),
            )
            self._settle(physical_id)
        if changed(previous, wanted, "ReservedConcurrentExecutions"):
            self._reserve(physical_id, wanted.get("ReservedConcurrentExecutions"))
        self._tag(physical_id, previous, wanted)
        return {}

    def _reserve(self, name: str, amount: Any) -> None:
        client = self._client("lambda")
        if amount is None:
            client.delete_function_concurrency(FunctionName=name)
        else:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(amount))

    def _tag(self, name: str, previous: Properties, wanted: Properties) -> None:
        change = tag_change(previous, wanted)
        client, arn = self._client("lambda"), self._arn(name)
        if change.remove:
            client.untag_resource(Resource=arn, TagKeys=list(change.remove))
        if change.put:
            client.tag_resource(Resource=arn, Tags=dict(change.put))

    def _arn(self, name: str) -> str:
        place = self._place
        return f"arn:{place.partition}:lambda:{place.region}:{place.account_id}:function:{name}"

    def _settle(self, name: str) -> None:
        """Wait until the function is active and its last update done. Raises ResourceError."""
        for _ in range(_POLLS):
            found = self._client("lambda").get_function_configuration(FunctionName=name)
            if "Failed" in (found.get("State"), found.get("LastUpdateStatus")):
                raise ResourceError(found.get("StateReason") or found.get("LastUpdateStatusReason") or "failed")
            if found.get("State", "Active") == "Active" and found.get("LastUpdateStatus") != "InProgress":
                return
            self._surface.sleep(_POLL_S)
        raise ResourceError(f"function {name} did not become active within {_POLLS * _POLL_S:.0f} s")

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteFunction; its permissions and event settings go with it."""
        present(lambda: self._client("lambda").delete_function(FunctionName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetFunction; `Code` is the wanted one if its bytes have the deployed hash."""
        answer = present(lambda: self._client("lambda").get_function(FunctionName=physical_id))
        if answer is None:
            return None
        configuration = answer["Configuration"]
        found = {
            name: configuration[name] for name in (*_SETTINGS, "Architectures", "PackageType") if name in configuration
        }
        found["KmsKeyArn"] = configuration.get("KMSKeyArn")
        found["FunctionName"] = configuration["FunctionName"]
        found["Tags"] = tag_list(answer.get("Tags", {}))
        found["ReservedConcurrentExecutions"] = answer.get("Concurrency", {}).get("ReservedConcurrentExecutions")
        if "Code" in wanted:
            digest = base64.b64encode(hashlib.sha256(self._code_bytes(wanted)).digest()).decode()
            same = digest == configuration["CodeSha256"]
            found["Code"] = wanted["Code"] if same else {"CodeSha256": configuration["CodeSha256"]}
        return found

    def _code_bytes(self, properties: Properties) -> bytes:
        """The archive's bytes. Raises ResourceError if there is no such object."""
        code = code_archive(properties["Code"], str(properties["Runtime"]))
        if "ZipFile" in code:
            return bytes(code["ZipFile"])
        version = {"VersionId": code["S3ObjectVersion"]} if "S3ObjectVersion" in code else {}
        answer = present(lambda: self._client("s3").get_object(Bucket=code["S3Bucket"], Key=code["S3Key"], **version))
        if answer is None:
            raise ResourceError(
                f"Error occurred while GetObject. S3 Error Code: NoSuchKey. There is no s3://{code['S3Bucket']}/"
                f"{code['S3Key']}. Upload the bundle first."
            )
        return bytes(answer["Body"].read())


def _numeric(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers where Lambda wants numbers; CloudFormation also takes them as text."""
    made = dict(settings)
    for name in ("Timeout", "MemorySize"):
        if name in made:
            made[name] = int(made[name])
    if "EphemeralStorage" in made:
        made["EphemeralStorage"] = {"Size": int(made["EphemeralStorage"]["Size"])}
    if "Variables" in made.get("Environment", {}):
        variables = made["Environment"]["Variables"]
        made["Environment"] = {"Variables": {key: str(value) for key, value in variables.items()}}
    elif "Environment" in made:
        made["Environment"] = {"Variables": {}}
    return made
