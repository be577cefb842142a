"""A condition over channels from a configuration, such as `pressure > 2.0 and not door_open`. Pure.

Python's parser reads it, and a closure is built for each kind of node in the tables below. Nothing is ever evaluated as Python; any
other node is refused with its position.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping

Values = Mapping[str, float]
Condition = Callable[[Values], bool]
Number = Callable[[Values], float]

MAX_LENGTH = 500
"""Characters of an expression."""
MAX_DEPTH = 30
"""Levels of brackets and `not`s."""
ALLOWED = (
    'channel names (in quotes if they are no plain words: "motor temp" > 80), numbers, True, False, < <= > >= == !=, and, or, not, '
    "and round brackets"
)
COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class ExpressionError(ValueError):
    """The expression is invalid; the text names the position and the reason."""


class Expression:
    """A condition.

    Attributes:
        text: the expression, stripped.
        channels: the channels in it, in the order of first use; never empty.

    Raises:
        ExpressionError: it is invalid.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self._channels: dict[str, None] = {}
        self._holds = self._condition(_parse(self.text), 0)
        self.channels = tuple(self._channels)
        if not self.channels:
            raise ExpressionError("it names no channel")

    def holds(self, values: Values) -> bool:
        """Whether the condition is true.

        Args:
            values: by channel, finite; a channel alone is true if it is not 0.

        Raises:
            KeyError: one of `channels` is missing.
        """
        return self._holds(values)

    def _condition(self, node: ast.expr, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(part, depth + 1) for part in node.values]
            if isinstance(node.op, ast.And):
                return lambda values: all(part(values) for part in parts)
            return lambda values: any(part(values) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._condition(node.operand, depth + 1)
            return lambda values: not inner(values)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            known = node.value
            return lambda values: known
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            raise self._refused(node, "is no condition")
        number = self._number(node)
        return lambda values: number(values) != 0

    def _comparison(self, node: ast.Compare) -> Condition:
        numbers = [self._number(part) for part in (node.left, *node.comparators)]
        for sign in node.ops:
            if type(sign) not in COMPARISONS:
                raise self._refused(node, "has an operator that is not allowed")
        compare = [COMPARISONS[type(sign)] for sign in node.ops]
        steps = list(zip(compare, numbers[:-1], numbers[1:], strict=True))
        return lambda values: all(holds(left(values), right(values)) for holds, left, right in steps)

    def _number(self, node: ast.expr) -> Number:
        name = node.id if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else None
        if isinstance(name, str) and name:
            channel = name
            self._channels[channel] = None
            return lambda values: values[channel]
        value = _constant(node)
        if value is None:
            raise self._refused(node, "is not allowed")
        constant = value
        return lambda values: constant

    def _refused(self, node: ast.expr, why: str) -> ExpressionError:
        part = ast.get_source_segment(self.text, node) or type(node).__name__
        before = self.text.encode()[: node.col_offset].decode(errors="ignore")
        return ExpressionError(f"`{part[:40]}` at character {len(before) + 1} {why}")


def _constant(node: ast.expr) -> float | None:
    """The value of a finite number with an optional sign; None for any other node."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd) and isinstance(node.operand, ast.Constant):
        value = _constant(node.operand)
        return value if value is None or isinstance(node.op, ast.UAdd) else -value
    if not isinstance(node, ast.Constant) or not isinstance(node.value, int | float):
        return None
    try:
        value = float(node.value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"it has {len(text)} characters, and {MAX_LENGTH} are allowed")
    if not text.isprintable():
        raise ExpressionError("it has line breaks or other characters that are not printable")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as fault:
        where = f"at character {fault.offset}" if fault.offset else "at its end"
        raise ExpressionError(f"{where} it cannot be parsed ({fault.msg})") from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionError("it cannot be parsed") from None
