"""Hand-written messages of a small run, as the nucleus would receive them."""

from __future__ import annotations

import numpy as np

from edgeml.messages import Alert, Command, CommandAck, Message, ResultBlock, SensorBatch, Status
from edgeml.timestamps import SECOND, to_iso

START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
ASSET, MODEL = "pump-1", "pump-anomaly"
DISPATCHER, SENSORS = "com.edgeml.AlertDispatcher", "com.edgeml.SensorIngestion"
CHANNELS, UNITS = ("pressure", "flow"), ("bar", "l/min")


def at(row: int) -> int:
    return START + row * SECOND


def batch(seq: int, rows: list[int], stream: str = "s1", **changes: object) -> SensorBatch:
    values = np.array([[0.5 + 0.01 * np.sin(row), 120 + np.cos(row / 9)] for row in rows], "f4").reshape(-1, 2)
    quality = np.array([[0, 2 if row % 50 == 49 else 0] for row in rows], "u1").reshape(-1, 2)
    times = np.array([at(row) for row in rows], "i8")
    return SensorBatch.of(ASSET, stream, seq, CHANNELS, UNITS, times, values, quality)


def results(
    seq: int,
    rows: list[int],
    confidence: float | list[float | None] | None = 0.1,
    stream: str = "r1",
    reason: str = "learning 3/400",
) -> ResultBlock:
    """One result for each row; a confidence of None is "no decision" with `reason`."""
    n = len(rows)
    confidences = confidence if isinstance(confidence, list) else [confidence] * n
    known = np.array([np.nan if value is None else value for value in confidences], "f4")
    times = np.array([at(row) for row in rows], "<i8").tobytes()
    return ResultBlock(
        asset=ASSET,
        stream=stream,
        seq=seq,
        model=MODEL,
        model_version="1.0.0",
        digest="ab" * 32,
        answers_stream="s1",
        answers_seq=seq,
        complete=True,
        channels=CHANNELS,
        times=times,
        starts=times,
        score=known.tobytes(),
        confidence=known.tobytes(),
        reason=np.isnan(known).astype("u1").tobytes(),
        reasons=(reason,) if None in confidences else (),
        deviations=np.zeros((n, 2), "<f2").tobytes(),
        latency_us=np.full((n, 2), 40, "<f4").tobytes(),
    )


def alert(seq: int, state: str, row: int, id: str = "a1", peak: float = 0.97, raised: int | None = None, stream: str = "d1") -> Alert:
    raised_at = to_iso(at(raised)) if raised is not None else None
    return Alert(
        id=id,
        asset=ASSET,
        stream=stream,
        seq=seq,
        model=MODEL,
        model_version="1.0.0",
        state=state,
        at=to_iso(at(row)),
        raised_at=raised_at,
        cleared_at=to_iso(at(row)) if state == "cleared" else None,
        confidence=peak,
        peak_confidence=peak,
        why="flow is 8 standard deviations low" if state == "active" else "",
    )


def command(action: str = "stop", id: str = "c1", alarm: str = "a1") -> Command:
    return Command(id=id, asset=ASSET, action=action, alarm=alarm, issued_at=to_iso(START), timeout_s=5.0)


def ack(id: str = "c1", status: str = "executed", row: int = 0) -> CommandAck:
    return CommandAck(id=id, asset=ASSET, status=status, at=to_iso(at(row)))


def episode() -> list[tuple[Message, str | None]]:
    """(message, sender) of 300 rows with one alarm: raised, stop command executed, cleared; every row has its result."""
    messages: list[tuple[Message, str | None]] = []
    for seq in range(30):
        rows = list(range(seq * 10, seq * 10 + 10))
        if seq < 10:
            confidences: list[float | None] = [None] * 10
        elif 15 <= seq < 20:
            confidences = [0.96 - 0.01 * (row % 3) for row in rows]
        else:
            confidences = [0.05 + 0.02 * (row % 5) for row in rows]
        messages += [
            (batch(seq, rows), SENSORS),
            (results(seq, rows, confidences, reason=f"learning {rows[-1]}/100"), "com.edgeml.Inference"),
        ]
        if seq == 15:
            messages += [(alert(0, "pending", 152), DISPATCHER), (alert(1, "active", 157, raised=157), DISPATCHER), (command(), DISPATCHER)]
            messages += [(ack(row=160), SENSORS)]
        if seq == 17:
            messages += [(command("restore", "m1"), None), (ack("m1", row=180), SENSORS)]
            messages += [(command("start", "m2"), None), (ack("m2", row=181), SENSORS)]
        if seq == 21:
            messages.append((alert(2, "cleared", 212, raised=157), DISPATCHER))
    messages.append((Status(component=SENSORS, state="finished"), SENSORS))
    return messages
