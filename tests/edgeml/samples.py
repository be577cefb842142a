"""One message of each type, the same on every machine."""

from __future__ import annotations

import msgspec
import numpy as np

from edgeml import messages as m
from edgeml.timestamps import SECOND

T0 = 1_583_748_873 * SECOND
TIMES = T0 + np.arange(3) * SECOND

BATCH = m.SensorBatch.of(
    "pump-1",
    "0123456789abcdef",
    7,
    ("pressure", "flow"),
    ("bar", "l/min"),
    TIMES,
    np.array([[1.5, 32.0], [np.nan, 31.5], [1.25, 1e6]]),
    np.array([[0, 0], [m.MISSING, 0], [0, m.OUT_OF_RANGE]]),
)
COLUMNS = m.ResultColumns(
    times=TIMES,
    starts=TIMES - 60 * SECOND,
    score=np.array([0.5, np.nan, 0.875]),
    confidence=np.array([0.5, np.nan, 0.75]),
    reason=np.array([0, 1, 0]),
    deviations=np.array([[0.5, -1.0], [np.nan, np.nan], [6.5, -4.0]]),
    latency_us=np.full((3, 2), 12.5),
)
RESULTS = m.ResultBlock(
    asset="pump-1",
    stream="fedcba9876543210",
    seq=8,
    model="pump_anomaly",
    model_version="1.0.0",
    digest="ab" * 32,
    answers_stream="0123456789abcdef",
    answers_seq=7,
    complete=True,
    channels=("pressure", "flow"),
    reasons=("learning 12/400",),
    **COLUMNS.packed(),
)
EXPLAINED = msgspec.structs.replace(RESULTS, **m.packed_explanations(["", "", "flow is low for pressure; pressure is high"]))
ALERT = m.Alert(
    id="a1",
    asset="pump-1",
    stream="s",
    seq=0,
    model="pump_anomaly",
    model_version="1.0.0",
    state="active",
    at="2020-03-09T10:14:33.000Z",
    raised_at="2020-03-09T10:14:33.000Z",
    confidence=0.97,
    peak_confidence=0.98,
    why="flow 6.2σ below normal",
)

SAMPLES: dict[str, m.Message] = {
    "sensor-batch": BATCH,
    "results": RESULTS,
    "results-why": EXPLAINED,
    "alert": ALERT,
    "acknowledge": m.Acknowledge(alarm="a1", by="operator", note="on my way"),
    "command": m.Command(id="a1:stop", asset="pump-1", action="stop", alarm="a1", issued_at="2020-03-09T10:14:33.000Z", timeout_s=10.0),
    "command-ack": m.CommandAck(id="a1:stop", asset="pump-1", status="executed", at="2020-03-09T10:14:34.000Z"),
    "release": m.Release(asset="pump-1", by="Ada", note="the valve is open again"),
    "permit": m.Permit(asset="pump-1", allowed=False, reason="the guard door is open"),
    "replay-request": m.ReplayRequest(topic="edgeml/sensors", asset="pump-1", since=T0),
    "replay-start": m.ReplayStart(asset="pump-1", stream="s", first=3),
    "keep-alive": m.KeepAlive(asset="pump-1", stream="s", seq=41),
    "reset-baseline": m.ResetBaseline(asset="pump-1"),
    "status": m.Status(component="com.edgeml.Inference", state="faulty", faults=("`threads` is 0: expected int >= 1",)),
    "health": m.Health(
        component="com.edgeml.Inference",
        at="2020-03-09T10:14:33.000Z",
        state="running",
        lag_s=1.5,
        queues={"inbox": (3, 2000)},
        message_age_s={"edgeml/sensors": 0.5, "edgeml/control": None},
        row_age_s={"pump-1": 0.25},
        drops={"inbox full: edgeml/sensors": 2},
    ),
}
