"""Sizes in bytes of the messages that devices send, measured on samples encoded by the components' own code."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from alert_dispatcher.result_reporter import NORMAL, ResultReport, entry
from edgeml.cloud.outbox import OutboxMessage
from edgeml.config.schema import read
from edgeml.messages import Acknowledge, Alert, Health, ResultBlock, ResultColumns, SensorBatch, encode_json, topics
from sensor_ingestion.capture import segment_format
from sensor_ingestion.capture.chunks import Segment
from sensor_ingestion.sources import SOURCES
from sensor_ingestion.sources.base import Clocks


class CaptureSize(NamedTuple):
    """A full message of captured rows."""

    rows: int
    bytes: int


def capture_message() -> CaptureSize:
    """Size of a full message with captured rows of the simulated pump."""
    clocks = Clocks(lambda: 0.0, lambda: 1_790_000_000_000_000_000)
    source = SOURCES["simulator"].make(read(SOURCES["simulator"].options, {"speed": 0, "duration_s": 1000.0}), clocks, None)
    block = source.read(0.0, 1000)
    assert block is not None
    names, units = (tuple(each) for each in zip(*((channel.name, channel.unit) for channel in source.channels), strict=True))
    batch = SensorBatch.of("pump-1", "7c9e6679", 0, names, units, block.times, block.values)
    text = segment_format.header(batch, 0) + b"".join(row.line for row in segment_format.rows(batch))
    name = segment_format.segment_name(int(block.times[0]), batch.stream, batch.seq)
    payload, rows = Segment.read(text).chunk("gateway-0001", name, 0, len(block.times))
    return CaptureSize(rows, _sent_bytes(payload))


def alert_message() -> int:
    return _sent_bytes(encode_json(_alert()))


def health_message() -> int:
    return _sent_bytes(encode_json(_health()))


def acknowledgement() -> int:
    """Size of an acknowledgement that a person sends to a device."""
    return len(encode_json(_acknowledge()))


def _alert() -> Alert:
    return Alert(
        id="0f8fad5bd9cb469fa16570867728950e",
        asset="pump-1",
        stream="7c9e6679",
        seq=12345,
        model="pump-anomaly",
        model_version="1.0.0",
        state="active",
        at="2026-11-25T12:00:00.000Z",
        raised_at="2026-11-25T12:00:00.000Z",
        confidence=0.9731,
        peak_confidence=0.9876,
        why="the confidence was at or over 0.9 for 10 s; most unusual are flow and pressure",
    )


def _acknowledge() -> Acknowledge:
    return Acknowledge(alarm=_alert().id, by="Ada", note="the valve was closed")


def _health() -> Health:
    return Health(
        component="com.edgeml.SensorIngestion",
        at="2026-11-25T12:00:00.000Z",
        state="running",
        lag_s=0.123,
        queues={"results": (0, 256), "replay": (0, 256)},
        message_age_s={topics.RESULTS: 0.5, topics.COMMANDS: None},
        row_age_s={"pump-1": 0.25},
    )


def report_message(results: int) -> int:
    """Size of a report with this many results."""
    columns = ResultColumns(
        times=np.array([1_790_000_000_123_000_000]),
        starts=np.array([1_789_999_940_123_000_000]),
        score=np.array([1.2345]),
        confidence=np.array([0.0123]),
        reason=np.array([0]),
        deviations=np.zeros((1, 0)),
        latency_us=np.array([[412.5123, 87.2512]]),
    )
    block = ResultBlock(
        stream="7c9e6679",
        seq=12345,
        asset="pump-1",
        model="pump-anomaly",
        model_version="1.0.0",
        digest="0" * 64,
        answers_stream="",
        answers_seq=0,
        complete=True,
        channels=(),
        reasons=(),
        times=b"",
        starts=b"",
        score=b"",
        confidence=b"",
        reason=b"",
        deviations=b"",
        latency_us=b"",
    )
    result = msgspec.Raw(msgspec.json.encode(entry(block, columns, 0, NORMAL, "")))
    report = ResultReport(
        thing="gateway-0001",
        asset=block.asset,
        model=block.model,
        model_version=block.model_version,
        digest=block.digest,
        results=[result] * results,
    )
    return _sent_bytes(msgspec.json.encode(report))


def _sent_bytes(payload: bytes) -> int:
    """Size of a message as the outbox sends it."""
    return len(OutboxMessage(0, "", 0, 0.0, "", payload).message("0123456789abcdef-12345", late=False))
