"""Mutations of valid inputs as plain data, shared by hypothesis and the long run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

OPERATIONS = ("put", "insert", "cut", "end", "repeat", "splice")
TREE_OPERATIONS = ("replace", "remove", "rename", "wrap", "graft", "add")
MAX_BYTES = 100_000

RAW: tuple[bytes, ...] = (
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b"\r\n",
    b"{",
    b"}",
    b'"',
    b",",
    b";",
    b"null",
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e999",
    b"\xff\xff\xff\xff",
    b"\x80\0\0\0\0\0\0\0",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"9" * 30,
    b"9" * 5000,
    b"\xed\xa0\x80",
    b"\\ud800",
    b"../",
    b"/",
    b"#",
    b"+",
    b"%00",
    b"0001-01-01",
    b"9999-12-31T23:59:59.999999+23:59",
    b"[" * 2000,
    b'{"a":' * 600,
    b"(" * 100,
    b" " * 3000,
    b"a" * 3000,
    "¹".encode(),
    "٣".encode(),
    "\u2028".encode(),
    b"true",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\t",
    b"'",
    b"1_0",
    b"inf",
    b"-",
    b"*",
)
"""Values that often break decoders."""


def _nest(levels: int, as_map: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if as_map else [value]
    return value


VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    5.0,
    0.5,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
    10**400,
    -(10**30),
    2**63,
    2**31,
    "",
    "null",
    "5",
    "5.0",
    "nan",
    "inf",
    "1e999",
    "true",
    "\0",
    "\n",
    "\ud800",
    "a\udfffb",
    "x" * 20_000,
    "9" * 5000,
    "²",
    "٣",
    "../..",
    "%s%d{0}{a!r}",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"a": None},
    [1] * 2000,
    {str(number): number for number in range(500)},
    _nest(60),
    _nest(60, True),
    _nest(500),
    _nest(500, True),
    "(" * 400,
    "not " * 100 + "a",
    ["x"] * 50,
    "a>" * 200 + "a",
    "-" * 400 + "a",
)
"""Values that are unexpected in a configuration."""


class Edit(NamedTuple):
    """One mutation.

    Attributes:
        operation: of OPERATIONS, or of TREE_OPERATIONS for trees.
        at, size: where and how much, taken modulo what there is.
        raw, value: what is put there, into bytes and into trees.
    """

    operation: str
    at: int
    size: int
    raw: bytes = b""
    value: Any = None


def edited(data: bytes, edits: Sequence[Edit], others: Sequence[bytes]) -> bytes:
    """Apply mutations to bytes; parts of `others` may be spliced in."""
    for edit in edits:
        at = edit.at % (len(data) + 1)
        if edit.operation == "put":
            data = data[:at] + edit.raw + data[at + len(edit.raw) :]
        elif edit.operation == "insert":
            data = data[:at] + edit.raw + data[at:]
        elif edit.operation == "cut":
            data = data[:at] + data[at + 1 + edit.size % 64 :]
        elif edit.operation == "end":
            data = data[:at]
        elif edit.operation == "repeat":
            part = data[at : at + 1 + edit.size % 64]
            data = data[:at] + part * (2 + edit.size % 200) + data[at:]
        elif others:
            other = others[edit.size % len(others)]
            data = data[:at] + other[edit.size % (len(other) + 1) :]
        data = data[:MAX_BYTES]
    return data


def tree_edited(tree: Any, edits: Sequence[Edit]) -> Any:
    """Apply mutations to a copy of a tree."""
    holder = [_copy(tree)]
    for edit in edits:
        places = list(_places(holder))
        parent, key = places[edit.at % len(places)]
        if edit.operation == "remove" and parent is not holder:
            del parent[key]
        elif edit.operation == "rename" and isinstance(parent, dict):
            parent[edit.value if isinstance(edit.value, str) else str(key) + "x"] = parent.pop(key)
        elif edit.operation == "wrap":
            parent[key] = [parent[key]] if edit.size % 2 else {"a": parent[key]}
        elif edit.operation == "graft":
            other, name = places[edit.size % len(places)]
            parent[key] = _copy(other[name])
        elif edit.operation == "add" and isinstance(parent, dict):
            parent[str(edit.value)[:40]] = _copy(parent[key])
        else:
            parent[key] = _copy(edit.value)
    return holder[0]


def _copy(tree: Any) -> Any:
    return json.loads(json.dumps(tree))


def _places(holder: list[Any]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    open_values: list[Any] = [holder]
    while open_values and len(found) < 2000:
        one = open_values.pop()
        for key, value in one.items() if isinstance(one, dict) else enumerate(one):
            found.append((one, key))
            if isinstance(value, (dict, list)):
                open_values.append(value)
    return found


def random_edits(random: Random, tree: bool) -> list[Edit]:
    """Draw a few mutations."""
    created = []
    for _ in range(1 + min(random.getrandbits(3), random.getrandbits(3))):
        raw = random.choice(RAW) if random.getrandbits(1) else random.randbytes(1 + random.getrandbits(2))
        operation = random.choice(TREE_OPERATIONS if tree else OPERATIONS)
        created.append(Edit(operation, random.getrandbits(16), random.getrandbits(12), raw, random.choice(VALUES)))
    return created


def as_tree(data: bytes) -> Any:
    """Decode the JSON in `data`; Ellipsis if it is invalid."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return ...
