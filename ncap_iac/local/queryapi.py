"""One service's language: requests into parameters, answers and errors into bytes, by its botocore model.

Protocols `ec2`, `query`, `json` and `rest-json`. Models are read when a service is first spoken to, and kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ncap_iac.local.querydecode import (
    DecodeError,
    Ec2Names,
    FormDecoder,
    QueryNames,
    Tree,
    UnknownParameterError,
    form_tree,
    json_structure,
)
from ncap_iac.local.queryencode import element, json_value, xml_members, xml_text
from ncap_iac.local.restjson import Line, find_operation, read_parameters
from ncap_iac.local.service import ServiceError

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel, Shape

_loading = threading.Lock()


@lru_cache(maxsize=32)
def _model(service: str) -> ServiceModel:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@dataclass(frozen=True)
class Reply:
    """An answer as it goes on the wire."""

    status: int
    content_type: str
    body: bytes


class Codec:
    """Speaks one service."""

    def __init__(self, service: str) -> None:
        self._service = service

    @property
    def model(self) -> ServiceModel:
        """The service's botocore model."""
        with _loading:
            return _model(self._service)

    @property
    def protocol(self) -> str:
        """`ec2`, `query`, `json` or `rest-json`; of several that a service speaks, the one boto3 takes."""
        metadata = self.model.metadata
        return "json" if "json" in metadata.get("protocols", ()) else str(metadata["protocol"])

    @property
    def _speaks_json(self) -> bool:
        return self.protocol in ("json", "rest-json")

    def decode(self, body: bytes, line: Line | None = None) -> tuple[str, dict[str, Any]]:
        """Operation and parameters in boto3's shape, checked against the model.

        `line` names the operation in the JSON protocols. Raises ServiceError with the code AWS would use.
        """
        line = line or Line()
        try:
            if self.protocol == "rest-json":
                return self._decode_rest(body, line)
            if self.protocol == "json":
                return self._decode_json(body, line.target)
            return self._decode_form(body)
        except UnknownParameterError as error:
            code = "UnknownParameter" if self.protocol == "ec2" else self._validation_code
            raise ServiceError(code, f"The parameter {error.parameter} is not recognized") from error
        except DecodeError as error:
            code = "InvalidParameterValue" if self.protocol == "ec2" else self._validation_code
            raise ServiceError(code, str(error)) from error

    @property
    def _validation_code(self) -> str:
        return "SerializationException" if self._speaks_json else "ValidationError"

    def _decode_form(self, body: bytes) -> tuple[str, dict[str, Any]]:
        tree = form_tree(body)
        name = (tree.branches.pop("Action", None) or Tree()).text or ""
        tree.branches.pop("Version", None)
        operation = self._operation(name)
        names = Ec2Names() if self.protocol == "ec2" else QueryNames()
        shape = operation.input_shape
        if shape is None:
            for stray in tree.branches:
                raise UnknownParameterError(stray)
            return name, {}
        return name, self._checked(shape, FormDecoder(names).structure(shape, tree))

    def _decode_json(self, body: bytes, target: str) -> tuple[str, dict[str, Any]]:
        prefix, _, name = target.rpartition(".")
        operation = self._operation(name if prefix == self.model.metadata.get("targetPrefix") else "")
        shape = operation.input_shape
        return name, self._checked(shape, json_structure(shape, body)) if shape is not None else {}

    def _decode_rest(self, body: bytes, line: Line) -> tuple[str, dict[str, Any]]:
        name, labels = find_operation(self.model, line)
        operation = self._operation(name)
        shape = operation.input_shape
        parameters = read_parameters(operation, line, labels, body)
        return name, self._checked(shape, parameters) if shape is not None else {}

    def _operation(self, name: str) -> OperationModel:
        if name not in self.model.operation_names:
            code = "UnknownOperationException" if self._speaks_json else "InvalidAction"
            raise ServiceError(code, f"The action {name or '(none)'} is not valid for this web service.")
        return self.model.operation_model(name)

    def _checked(self, shape: Shape, parameters: dict[str, Any]) -> dict[str, Any]:
        from botocore.validate import ParamValidator

        missing = [name for name in shape.required_members if name not in parameters]
        if missing and self.protocol == "ec2":
            raise ServiceError("MissingParameter", f"The request must contain the parameter {missing[0]}")
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            code = "InvalidParameterValue" if self.protocol == "ec2" else "ValidationError"
            if self._speaks_json:
                code = "ValidationException"
            raise ServiceError(code, report.generate_report())
        return parameters

    def encode(self, operation: str, answer: Mapping[str, Any], request_id: str) -> Reply:
        """An answer in boto3's output shape as bytes. Raises EncodeError if the model has no place for it."""
        shape = self.model.operation_model(operation).output_shape
        if self._speaks_json:
            document = json_value(shape, answer) if shape is not None else {}
            return Reply(200, self._json_type, json.dumps(document).encode())
        inner = xml_members(shape, answer) if shape is not None else ""
        if self.protocol == "ec2":
            inner = element("requestId", request_id) + inner
        else:
            wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
            inner = (element(wrapper, inner) if wrapper else inner) + element(
                "ResponseMetadata", element("RequestId", request_id)
            )
        return self._xml(200, element(f"{operation}Response", inner, self._namespace))

    def encode_error(self, error: ServiceError, request_id: str) -> Reply:
        """An error as bytes."""
        code, message = xml_text(error.code), xml_text(error.message)
        if self._speaks_json:
            document = {"__type": error.code, "message": error.message, "Message": error.message}
            body = json.dumps(document).encode()
            return Reply(error.status, self._json_type, body)
        inner = element("Code", code) + element("Message", message)
        if self.protocol == "ec2":
            text = element("Response", element("Errors", element("Error", inner)) + element("RequestID", request_id))
            return self._xml(error.status, text)
        kind = element("Type", "Sender" if error.status < 500 else "Receiver")
        text = element("Error", kind + inner) + element("RequestId", request_id)
        return self._xml(error.status, element("ErrorResponse", text, self._namespace))

    @property
    def _json_type(self) -> str:
        if self.protocol == "rest-json":
            return "application/json"
        return f"application/x-amz-json-{self.model.metadata.get('jsonVersion', '1.1')}"

    @property
    def _namespace(self) -> str:
        return f' xmlns="{self.model.metadata["xmlNamespace"]}"'

    @staticmethod
    def _xml(status: int, text: str) -> Reply:
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
        return Reply(status, "text/xml;charset=UTF-8", document.encode())
