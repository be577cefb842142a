"""The result of an evaluation as JSON."""

from __future__ import annotations

import json
import math
from typing import Any


def to_json(result: Any) -> str:
    """Encode as JSON. Infinity becomes the string "infinity" and NaN null, because JSON has neither number."""
    return json.dumps(_plain(result), indent=1, ensure_ascii=False) + "\n"


def to_line(result: Any) -> str:
    """Encode as JSON on one line, as the last line of output."""
    return json.dumps(_plain(result), ensure_ascii=False)


def from_json(text: str) -> Any:
    """Decode the JSON of `to_json`. Every null in an object becomes NaN."""
    return _restore(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity"
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _restore(value: Any) -> Any:
    if value == "infinity":
        return math.inf
    if isinstance(value, dict):
        return {key: math.nan if each is None else _restore(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_restore(each) for each in value]
    return value
