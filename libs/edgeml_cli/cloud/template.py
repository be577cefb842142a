"""Reads the CloudFormation template as data, so that other commands need not repeat its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).with_name("template.yaml")


class _Loader(yaml.SafeLoader):
    """Loads YAML with CloudFormation's short functions in their long form: `!Ref A` becomes `{"Ref": "A"}`."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The parsed template."""
    return dict(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))  # noqa: S506
