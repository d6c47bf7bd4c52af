"""A template with its parameters filled in: conditions decided, `Ref` and `Fn::Sub` of parameters replaced. Pure.

So that two templates can be compared as what they make, also where only a parameter differs. What CloudFormation alone
knows (attributes, imports, pseudo parameters) stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NO_VALUE: dict[str, str] = {"Ref": "AWS::NoValue"}


class Resolver:
    """One template and the values of its parameters; defaults count where no value is given."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._template = template
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self.values = effective_parameters(template, parameters)

    def template(self) -> dict[str, Any]:
        """The template with only those resources that its conditions let be made."""
        resources: Mapping[str, Mapping[str, Any]] = self._template.get("Resources", {})
        kept = {
            name: {key: self._value(part) for key, part in resource.items() if key != "Condition"}
            for name, resource in resources.items()
            if "Condition" not in resource or self.holds({"Condition": resource["Condition"]})
        }
        return {**self._template, "Resources": kept}

    def holds(self, condition: Any) -> bool:
        """Whether a condition holds; one of unknown shape counts as holding, so that nothing is hidden."""
        if isinstance(condition, Mapping) and len(condition) == 1:
            ((name, said),) = condition.items()
            match name:
                case "Condition":
                    return self.holds(self._conditions.get(said))
                case "Fn::Equals":
                    first, second = (self._value(item) for item in said)
                    return str(first) == str(second)
                case "Fn::Not":
                    return not self.holds(said[0])
                case "Fn::And":
                    return all(self.holds(item) for item in said)
                case "Fn::Or":
                    return any(self.holds(item) for item in said)
        return True

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [made for item in value if (made := self._value(item)) != NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, said),) = value.items()
            if name == "Ref" and said in self.values:
                return self.values[said]
            if name == "Fn::If":
                return self._value(said[1] if self.holds({"Condition": said[0]}) else said[2])
            if name == "Fn::Sub":
                return self._substituted(said)
        return {key: made for key, item in value.items() if (made := self._value(item)) != NO_VALUE}

    def _substituted(self, said: Any) -> Any:
        """`Fn::Sub` with the parameters in it filled in; plain text when nothing else is left to fill in."""
        text, *others = said if isinstance(said, list) else [said]
        filled = re.sub(r"\$\{([A-Za-z0-9]+)\}", lambda found: self.values.get(found[1], found[0]), str(text))
        if others:
            return {"Fn::Sub": [filled, *(self._value(item) for item in others)]}
        return filled if "${" not in filled else {"Fn::Sub": filled}


def resolve_template(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template as it is made with these parameters."""
    return Resolver(template, parameters).template()


def effective_parameters(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, str]:
    """Every parameter that has a value: as given, else its default."""
    declared: Mapping[str, Mapping[str, Any]] = template.get("Parameters", {})
    values = {name: str(about["Default"]) for name, about in declared.items() if "Default" in about}
    return values | {name: value for name, value in parameters.items() if name in declared}


def name_of(logical_id: str, resource: Mapping[str, Any]) -> str:
    """The name a resource has for people: what it is called where the template says it, else its logical id."""
    properties: Mapping[str, Any] = resource.get("Properties", {})
    said = (
        properties.get(key)
        for key in ("BucketName", "TableName", "Name", "LogGroupName", "QueueName", "UserName", "RoleName", "GroupName")
    )
    return next((name for name in said if isinstance(name, str)), logical_id)
