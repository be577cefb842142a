"""Messages on the page about troubleshooting are messages of the product."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.config.schema import read
from edgeml.errors import OptionsError

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "how-to" / "troubleshoot.md"
PRODUCT = ("components", "libs/edgeml", "libs/edgeml_cli", "libs/gglocal")
VARIES = "\0"
"""In place of a part of a message that is known at run time."""
_CODE = re.compile(r"(`+) ?(.+?) ?\1(?!`)")


def text(node: ast.AST) -> str:
    """The text of a string expression; empty: it is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) or VARIES for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[sdrg]|%\.\d[fg]|\{\}", VARIES, node.value)
    return ""


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """Strings that are statements: nobody reads them in a log."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


@functools.cache
def messages() -> str:
    """Every string of the product, one a line."""
    found = []
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            left_out = docstrings(tree)
            found += [text(node).replace("\n", " ") for node in ast.walk(tree) if node not in left_out and text(node)]
    return "\n".join(found)


def is_message(quoted: str) -> bool:
    """Whether a string of the product has the words of `quoted`, with any text in place of …"""
    return bool(re.search(".*".join(re.escape(part) for part in quoted.split("…")), messages()))


def cells() -> Iterator[str]:
    """First cells of the tables about messages and reasons."""
    about_messages = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        first = line.split(" | ")[0].removeprefix("| ")
        if not line.startswith("|"):
            about_messages = False
        elif first in ("message", "reason"):
            about_messages = True
        elif about_messages and not line.startswith("|--"):
            yield first


CELLS = list(cells())


def test_page_has_messages() -> None:
    assert len(CELLS) > 35


@pytest.mark.parametrize("cell", CELLS)
def test_quoted_message_is_in_the_source(cell: str) -> None:
    quoted = [match[1] for match in _CODE.findall(cell)]
    assert quoted and _CODE.sub("", cell).replace(", ", "") == "", f"quote the message in backticks: {cell}"
    assert [each for each in quoted if not is_message(each)] == []


@pytest.mark.parametrize(
    "invented", ["the disk is full, the reserve is used", "IoT Core … messages of today", "an unsigned bundle is refused"]
)
def test_invented_message_is_found(invented: str) -> None:
    assert not is_message(invented)


def test_example_of_a_refused_value_is_what_a_component_reports() -> None:
    with pytest.raises(OptionsError) as refused:
        read(AlertDispatcherOptions, {"policy": {"hold_s": "soon"}})
    (example,) = re.findall(r"`` (`policy\.hold_s` .+?) ``", PAGE.read_text(encoding="utf-8"))
    assert refused.value.faults[0].startswith(example)
