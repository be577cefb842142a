"""A derived column from a spec, such as `torque * speed` or `strain - (11000 + 1000 * quality)`. Pure.

Python's parser reads it; nothing is ever evaluated as Python. The same formula is evaluated on arrays of numbers and built as layers of
a network: an `Algebra` gives the operations.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

MAX_LENGTH = 500
MAX_DEPTH = 30
MAX_NUMBER = 1e30
ALLOWED = "columns (in quotes if they are no plain words), numbers, + - * /, abs(…), min(…, …), max(…, …), and round brackets"
FUNCTIONS = {"abs": (1, 1), "min": (2, 16), "max": (2, 16)}
OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

T = TypeVar("T")


class FormulaError(ValueError):
    """The formula is invalid; the text names the part and the reason."""


class Algebra(Protocol[T]):
    """The operations of a formula on values of one type."""

    def column(self, name: str) -> T: ...
    def number(self, value: float) -> T: ...
    def binary(self, operator: str, a: T, b: T) -> T:
        """`+`, `-`, `*`, `/`, `min` or `max` of two values."""
        ...

    def absolute(self, a: T) -> T: ...


class Formula:
    """A formula over columns.

    Attributes:
        text: the formula in one line.
        columns: the columns in it, in the order of first use; never empty.
        divides: it divides by a column, for which int8 has no kernel.

    Raises:
        FormulaError: it is invalid.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(line.strip() for line in text.strip().splitlines())
        self._root = _parse(self.text)
        probe = _Probe()
        self.evaluate(probe)
        self.columns, self.divides = tuple(probe.columns), probe.divides
        if not self.columns:
            raise FormulaError(f"`{self.text}` names no column; a formula has {ALLOWED}")

    def evaluate(self, algebra: Algebra[T]) -> T:
        """The value of the formula.

        Raises:
            FormulaError: a part of it is not allowed.
        """
        return _Walk(self.text, algebra).value(self._root, 0)


class _Walk(Generic[T]):
    def __init__(self, text: str, algebra: Algebra[T]) -> None:
        self._text, self._algebra = text, algebra

    def value(self, node: ast.expr, depth: int) -> T:
        algebra = self._algebra
        if depth > MAX_DEPTH:
            raise FormulaError(f"`{self._text[:40]}` is nested more than {MAX_DEPTH} deep; derive a part of it first")
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return algebra.binary(OPERATORS[type(node.op)], self.value(node.left, depth + 1), self.value(node.right, depth + 1))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return algebra.binary("-", algebra.number(0.0), self.value(node.operand, depth + 1))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords:
            least, most = FUNCTIONS[node.func.id]
            if not least <= len(node.args) <= most:
                raise self._refused(node, f"has {len(node.args)} arguments, expected {least} to {most}")
            first, *rest = (self.value(part, depth + 1) for part in node.args)
            if node.func.id == "abs":
                return algebra.absolute(first)
            for other in rest:
                first = algebra.binary(node.func.id, first, other)
            return first
        if isinstance(node, ast.Name):
            return algebra.column(node.id)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            return algebra.column(node.value)
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
            return algebra.number(float(value))
        raise self._refused(node, "is not allowed")

    def _refused(self, node: ast.expr, why: str) -> FormulaError:
        part = ast.get_source_segment(self._text, node) or type(node).__name__
        return FormulaError(f"`{part[:40]}` in `{self._text[:80]}` {why}; a formula has {ALLOWED}")


class _Probe:
    """Collects the columns of a formula; a value is whether it has one."""

    def __init__(self) -> None:
        self.columns: dict[str, None] = {}
        self.divides = False

    def column(self, name: str) -> bool:
        self.columns[name] = None
        return True

    def number(self, value: float) -> bool:
        return False

    def binary(self, operator: str, a: bool, b: bool) -> bool:
        self.divides = self.divides or (operator == "/" and b)
        return a or b

    def absolute(self, a: bool) -> bool:
        return a


class Arrays:
    """Formulas on arrays of numbers by column name. A division by 0 gives a value that is not finite."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns

    def column(self, name: str) -> np.ndarray:
        return np.asarray(self._columns[name])

    def number(self, value: float) -> np.ndarray:
        return np.asarray(value)

    def binary(self, operator: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "min": np.minimum, "max": np.maximum}[operator](a, b)

    def absolute(self, a: np.ndarray) -> np.ndarray:
        return np.abs(a)


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"a formula has {len(text)} characters, and {MAX_LENGTH} are allowed; derive a part of it first")
    if not text.isprintable():
        raise FormulaError("a formula has characters that are not printable; remove them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise FormulaError(f"`{text[:80]}` cannot be parsed; a formula has {ALLOWED}") from None
