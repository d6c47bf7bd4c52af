"""Evaluates CloudFormation's functions: a template's value, with what is known, to a plain JSON value.

Knows nothing of services: physical ids, attributes and imports come from a `Lookup`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ncap_iac.local.cloudformation.references import SUB_VARIABLE, attribute_target, condition_names, function_of
from ncap_iac.local.cloudformation.template import Template, scalar_text
from ncap_iac.local.cloudformation.values import NO_VALUE, UNKNOWN, invalid


class Lookup(Protocol):
    """What only the stacks know. Each may answer UNKNOWN."""

    def physical_id(self, logical_id: str) -> Any:
        """What Ref of a resource gives."""
        ...

    def attribute(self, logical_id: str, name: str) -> Any:
        """What Fn::GetAtt gives."""
        ...

    def imported(self, name: str) -> Any:
        """The value exported under a name. Raises ServiceError ValidationError if there is none."""
        ...

    def zones(self, region: str) -> list[str]:
        """Availability zones of a region."""
        ...


@dataclass(frozen=True)
class Scope:
    """What is known before any resource exists."""

    template: Template
    parameters: Mapping[str, Any]
    """Value by name: text, or a list of texts for list types."""
    pseudo: Mapping[str, Any]
    """`AWS::Region` and so on."""
    conditions: Mapping[str, bool]


def template_error(message: str) -> Exception:
    """A refusal of a function's use, in CloudFormation's words."""
    return invalid(f"Template error: {message}")


class Resolver:
    """Resolves values of one template in one scope."""

    def __init__(self, scope: Scope, lookup: Lookup) -> None:
        self._scope = scope
        self._lookup = lookup
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_attribute,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::If": self._if,
            "Fn::ImportValue": self._import,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": self._zones,
            "Fn::Base64": self._base64,
        }

    def resolve(self, value: Any) -> Any:
        """The value with every function evaluated; NO_VALUE entries are left out of maps and lists."""
        function = function_of(value)
        if function:
            if function not in self._functions:
                raise template_error(f"{function} cannot be used here")
            return self._functions[function](value[function])
        if isinstance(value, dict):
            pairs = ((key, self.resolve(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        return value

    def _text(self, function: str, value: Any) -> Any:
        resolved = self.resolve(value)
        if resolved is UNKNOWN or isinstance(resolved, str):
            return resolved
        if isinstance(resolved, (bool, int, float)):
            return scalar_text(resolved)
        raise template_error(f"every value of {function} must be a string, found {resolved!r}")

    def _ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._scope.pseudo:
            return self._scope.pseudo[name]
        if name in self._scope.parameters:
            return self._scope.parameters[name]
        return self._lookup.physical_id(name)

    def _get_attribute(self, argument: Any) -> Any:
        target = attribute_target(argument)
        if target is None:
            raise template_error("every Fn::GetAtt object requires a resource name and an attribute name")
        return self._lookup.attribute(*target)

    def _sub(self, argument: Any) -> Any:
        text, variables = argument if isinstance(argument, list) else (argument, {})
        known = {name: self._text("Fn::Sub", value) for name, value in variables.items()}
        parts: list[Any] = []
        end = 0
        for match in SUB_VARIABLE.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            literal, name = match.groups()
            if literal:
                parts.append(f"${{{name}}}")
            elif name in known:
                parts.append(known[name])
            elif "." in name:
                parts.append(self._text("Fn::Sub", {"Fn::GetAtt": name}))
            else:
                parts.append(self._text("Fn::Sub", {"Ref": name}))
        parts.append(text[end:])
        return UNKNOWN if UNKNOWN in parts else "".join(parts)

    def _join(self, argument: Any) -> Any:
        if not (isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str)):
            raise template_error("every Fn::Join object requires two parameters, a delimiter and a list")
        values = self.resolve(argument[1])
        if values is UNKNOWN:
            return UNKNOWN
        if not isinstance(values, list):
            raise template_error("the second parameter of Fn::Join must be a list of strings")
        texts = [self._text("Fn::Join", item) for item in values]
        return UNKNOWN if UNKNOWN in texts else argument[0].join(texts)

    def _select(self, argument: Any) -> Any:
        if not (isinstance(argument, list) and len(argument) == 2):
            raise template_error("Fn::Select requires a list argument with two elements: an integer index and a list")
        index, values = self.resolve(argument[0]), self.resolve(argument[1])
        if UNKNOWN in (index, values):
            return UNKNOWN
        try:
            place = int(index)
        except (TypeError, ValueError) as error:
            raise template_error(f"Fn::Select requires an integer index, found {index!r}") from error
        if not isinstance(values, list) or not 0 <= place < len(values):
            raise template_error(f"Fn::Select cannot select nonexistent value at index {index}")
        return values[place]

    def _split(self, argument: Any) -> Any:
        if not (isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str) and argument[0]):
            raise template_error("every Fn::Split object requires two parameters, a delimiter and a string")
        text = self._text("Fn::Split", argument[1])
        return UNKNOWN if text is UNKNOWN else text.split(argument[0])

    def _if(self, argument: Any) -> Any:
        if not (isinstance(argument, list) and len(argument) == 3 and argument[0] in self._scope.conditions):
            raise template_error(f"unresolved condition in Fn::If: {argument!r}")
        return self.resolve(argument[1 if self._scope.conditions[argument[0]] else 2])

    def _import(self, argument: Any) -> Any:
        name = self._text("Fn::ImportValue", argument)
        return UNKNOWN if name is UNKNOWN else self._lookup.imported(name)

    def _find_in_map(self, argument: Any) -> Any:
        if not (isinstance(argument, list) and len(argument) == 3):
            raise template_error("every Fn::FindInMap object requires three parameters, the map name and two keys")
        name, top, second = (self._text("Fn::FindInMap", item) for item in argument)
        try:
            return self._scope.template.mappings[name][top][second]
        except (KeyError, TypeError) as error:
            raise template_error(f"Unable to get mapping for {name}::{top}::{second}") from error

    def _zones(self, argument: Any) -> list[str]:
        region = self._text("Fn::GetAZs", argument)
        return self._lookup.zones(region or self._scope.pseudo["AWS::Region"])

    def _base64(self, argument: Any) -> Any:
        text = self._text("Fn::Base64", argument)
        return UNKNOWN if text is UNKNOWN else base64.b64encode(text.encode()).decode()


class NoResources:
    """The lookup for values that must not depend on a resource: conditions, and templates before a stack exists."""

    def physical_id(self, logical_id: str) -> Any:
        """Always a refusal: nothing is made yet."""
        raise template_error(f"Unresolved dependencies [{logical_id}]. Cannot reference resources here")

    def attribute(self, logical_id: str, name: str) -> Any:
        """Always a refusal: nothing is made yet."""
        return self.physical_id(logical_id)

    def imported(self, name: str) -> Any:
        """Always a refusal: imports are not allowed in conditions."""
        raise template_error("Fn::ImportValue cannot be used in Conditions")

    def zones(self, region: str) -> list[str]:
        """Always a refusal: conditions compare parameters."""
        raise template_error("Fn::GetAZs cannot be used in Conditions")


def evaluate_conditions(
    template: Template, parameters: Mapping[str, Any], pseudo: Mapping[str, Any]
) -> dict[str, bool]:
    """Truth of every condition. Raises ServiceError ValidationError for a cycle, an unknown name or a wrong form."""
    resolver = Resolver(Scope(template, parameters, pseudo, {}), NoResources())
    known: dict[str, bool] = {}

    def truth(name: str, waiting: tuple[str, ...]) -> bool:
        if name in waiting:
            raise template_error(f"Circular dependency between conditions: [{', '.join(waiting)}]")
        if name not in template.conditions:
            raise template_error(f"Unresolved condition dependency {name} in the Conditions block of the template")
        if name not in known:
            known[name] = expression(template.conditions[name], (*waiting, name))
        return known[name]

    def expression(value: Any, waiting: tuple[str, ...]) -> bool:
        if not isinstance(value, dict) or len(value) != 1:
            raise template_error(f"a condition must be one function, found {value!r}")
        ((function, argument),) = value.items()
        if function == "Condition":
            return truth(argument, waiting)
        if function == "Fn::Equals" and isinstance(argument, list) and len(argument) == 2:
            left, right = (_comparable(resolver.resolve(item)) for item in argument)
            return bool(left == right)
        if function == "Fn::Not" and isinstance(argument, list) and len(argument) == 1:
            return not expression(argument[0], waiting)
        if function in ("Fn::And", "Fn::Or") and isinstance(argument, list) and 2 <= len(argument) <= 10:
            truths = [expression(item, waiting) for item in argument]
            return all(truths) if function == "Fn::And" else any(truths)
        raise template_error(f"a condition cannot be {function} of {argument!r}")

    for name, value in template.conditions.items():
        for other in condition_names(value):
            if other not in template.conditions:
                raise template_error(f"Unresolved condition dependency {other} in the Conditions block of the template")
        truth(name, ())
    return known


def _comparable(value: Any) -> Any:
    return scalar_text(value) if isinstance(value, (bool, int, float)) else value
