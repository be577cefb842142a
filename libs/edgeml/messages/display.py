"""Messages for a command line: blocks of rows as readable values, and reasons why a message does not belong on a topic.

The local nucleus finds this module by the entry point group `gglocal.messages`; it knows nothing else of the suite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgeml.errors import MessageError
from edgeml.messages import QUALITY_NAMES, ResultBlock, SensorBatch, decode, topics
from edgeml.parsing.sanitize import printable
from edgeml.timestamps import to_iso

CARRIES = {topic.name: topic.messages for topic in topics.TOPICS if topic.messages and not topic.cloud}
"""Local topic -> types of message that components act upon; they drop all others."""
SHOWN_DEVIATIONS = 3


def fault(topic: str, payload: bytes) -> str:
    """Why the components would drop this message on this topic; empty: they accept it."""
    expected = CARRIES.get(topic)
    if expected is None:
        return f"{topic!r} is not a topic of the suite; those are {', '.join(CARRIES)}"
    try:
        message = decode(payload)
        if isinstance(message, SensorBatch | ResultBlock):
            message.arrays()
    except MessageError as error:
        return str(error)
    if not isinstance(message, expected):
        names = " or ".join(str(kind.__struct_config__.tag) for kind in expected)
        return f"a {message.__struct_config__.tag} message does not belong on {topic}, which carries {names}"
    return ""


def value(topic: str, payload: bytes) -> Any:
    """A block as plain data, with `rows` of values by name; None for another message. NaN becomes None."""
    block = _block(payload)
    if isinstance(block, SensorBatch):
        head: dict[str, Any] = {"units": dict(zip(block.channels, block.units, strict=True)), "rows": list(_readings(block))}
    elif isinstance(block, ResultBlock):
        answers = {"answers_stream": block.answers_stream, "answers_seq": block.answers_seq, "complete": block.complete}
        head = {"model": block.model, "model_version": block.model_version, "digest": block.digest, **answers}
        head["rows"] = list(_results(block))
    else:
        return None
    return {"type": block.__struct_config__.tag, "asset": block.asset, "stream": block.stream, "seq": block.seq, **head}


def lines(topic: str, payload: bytes) -> list[str] | None:
    """A block as one line per row; None for another message."""
    block = _block(payload)
    if block is None:
        return None
    if isinstance(block, SensorBatch):
        units = dict(zip(block.channels, block.units, strict=True))
        rows = [f"{row['time']} {', '.join(_reading(name, row, units[name]) for name in block.channels)}" for row in _readings(block)]
    else:
        rows = [f"{row['time']} {_outcome(row)}" for row in _results(block)]
    return [printable(f"{block.asset} {row}") for row in rows] or [printable(f"{block.asset} no rows")]


def _block(payload: bytes) -> SensorBatch | ResultBlock | None:
    try:
        message = decode(payload)
        if isinstance(message, SensorBatch | ResultBlock):
            message.arrays()
            return message
    except MessageError:
        pass
    return None


def _readings(batch: SensorBatch) -> Iterator[dict[str, Any]]:
    times, values, quality = batch.arrays()
    for at, row, flags in zip(times.tolist(), values, quality, strict=True):
        entry: dict[str, Any] = {"time": _time(at), "values": dict(zip(batch.channels, map(_number, row), strict=True))}
        bad = {name: _quality(int(flag)) for name, flag in zip(batch.channels, flags, strict=True) if flag}
        yield {**entry, "quality": bad} if bad else entry


def _results(block: ResultBlock) -> Iterator[dict[str, Any]]:
    columns = block.arrays()
    for at in range(len(block)):
        code = int(columns.reason[at])
        entry: dict[str, Any] = {"time": _time(int(columns.times[at])), "confidence": _number(columns.confidence[at])}
        entry |= {"score": _number(columns.score[at]), "reason": block.reasons[code - 1] if code else None}
        if block.explains:
            entry["why"] = block.explanation(at)
        yield entry | {"deviations": dict(zip(block.channels, map(_number, columns.deviations[at]), strict=True))}


def _reading(name: str, row: dict[str, Any], unit: str) -> str:
    found = row["values"][name]
    flag = row.get("quality", {}).get(name)
    text = f"{name} {'-' if found is None else f'{found:g}'}" + (f" {unit}" if unit and found is not None else "")
    return f"{text} ({flag})" if flag else text


def _outcome(row: dict[str, Any]) -> str:
    if row["reason"]:
        return f"no decision: {row['reason']}"
    confidence = "unknown" if row["confidence"] is None else f"{row['confidence']:.3f}"
    far = sorted(((abs(by), name, by) for name, by in row["deviations"].items() if by is not None), reverse=True)[:SHOWN_DEVIATIONS]
    if "why" in row:  # the model explains its results, in its own unit
        channels = row["why"] or (", ".join(f"{name} {by:+.1f}" for _, name, by in far) + " of the alarm level" if far else "")
    else:
        channels = ", ".join(f"{name} {by:+.1f} σ" for _, name, by in far)
    return f"confidence {confidence}" + (f" ({channels})" if channels else "")


def _number(number: np.floating[Any]) -> float | None:
    """As short as the column's own precision; None for what is not finite."""
    return float(str(number)) if math.isfinite(number) else None


def _time(ns: int) -> str:
    try:
        return to_iso(ns)
    except (ValueError, OverflowError):
        return str(ns)


def _quality(code: int) -> str:
    return QUALITY_NAMES[code] if code < len(QUALITY_NAMES) else f"quality {code}"
