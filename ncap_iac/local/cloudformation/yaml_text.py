"""YAML templates with CloudFormation's short tags (`!Ref`, `!Sub`, `!GetAtt`, …) to the JSON they stand for.

Only that: no value is resolved, no section is checked.
"""

from __future__ import annotations

from typing import Any

import yaml

_PLAIN = {"Ref", "Condition"}
_FUNCTIONS = {
    "And",
    "Base64",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
}


class _TemplateLoader(yaml.SafeLoader):
    """Safe YAML; dates stay text (`Version: 2012-10-17`), short tags become functions."""


_TemplateLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _construct_short_tag(loader: _TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix in _PLAIN:
        return {suffix: value}
    if suffix in _FUNCTIONS:
        return {f"Fn::{suffix}": value}
    raise yaml.constructor.ConstructorError(None, None, f"unknown tag !{suffix}", node.start_mark)


_TemplateLoader.add_multi_constructor("!", _construct_short_tag)


def parse_yaml(text: str) -> Any:
    """The document as JSON values. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_TemplateLoader)
