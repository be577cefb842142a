"""Each violated invariant is detected: a figure that chaos reports as 0 could be another number."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.messages import Alert, Command, CommandAck, ResultBlock, ResultColumns, SensorBatch, encode, topics
from edgeml.timestamps import SECOND, from_iso, to_iso
from edgeml_cli.verify.chaos import reference_results
from edgeml_cli.verify.chaos.fault_schedule import ScheduledFault
from edgeml_cli.verify.chaos.invariants import evaluate, silences
from edgeml_cli.verify.chaos.machines import CLOCKED
from edgeml_cli.verify.chaos.traffic_recorder import ObservedAlerts, TrafficRecorder

OPTIONS = PolicyOptions(hold_s=2, clear_hold_s=2, cooldown_s=0)
ASSET, MODEL, CHANNELS, ROWS = "p", "m", ("current",), 40
START = 1_700_000_000 * SECOND
CONFIDENCES = [1.0 if 10 <= row < 20 else 0.0 for row in range(ROWS)]
TIMES = [START + row * SECOND for row in range(ROWS)]
CURRENT = [0.0 if 15 <= row < 25 else 2.0 for row in range(ROWS)]


def batch(row: int) -> bytes:
    values = np.array([[CURRENT[row]]], np.float32)
    return encode(SensorBatch.of(ASSET, "s", row, CHANNELS, ("A",), np.array([TIMES[row]]), values))


def block(row: int, confidence: float) -> bytes:
    columns = ResultColumns(
        times=np.array([TIMES[row]]),
        starts=np.array([TIMES[row]]),
        score=np.array([confidence], np.float32),
        confidence=np.array([confidence], np.float32),
        reason=np.zeros(1, np.uint8),
        deviations=np.zeros((1, 1), np.float16),
        latency_us=np.zeros((1, 2), np.float32),
    )
    return encode(
        ResultBlock(
            asset=ASSET,
            stream="r",
            seq=row,
            model=MODEL,
            model_version="1",
            digest="d",
            answers_stream="s",
            answers_seq=row,
            complete=True,
            channels=CHANNELS,
            reasons=(),
            **columns.packed(),
        )
    )


def expected_alerts() -> list[Alert]:
    """The alerts that AlertDispatcher must send for these results."""
    changes = reference_results.alerts(ASSET, MODEL, list(zip(TIMES, CONFIDENCES, strict=True)), OPTIONS)
    return [
        Alert(
            id=id,
            asset=ASSET,
            stream="a",
            seq=0,
            model=MODEL,
            model_version="1",
            state=state,
            at=to_iso({"pending": alarm.pending_at, "active": alarm.raised_at, "cleared": alarm.cleared_at}[state]),
            raised_at=None if alarm.raised_at is None else to_iso(alarm.raised_at),
            cleared_at=None,
            confidence=1.0,
            peak_confidence=1.0,
            why="",
            acknowledged_by="",
            note="",
        )
        for (id, state), alarm in changes.items()
    ]


ID = f"{expected_alerts()[0].id}:stop"


class World:
    """A run of 40 s without a flaw, into which flaws can be put."""

    def __init__(self) -> None:
        self.traffic, self.cloud = TrafficRecorder(), ObservedAlerts()
        self.traffic.flow[CLOCKED] = [float(second) for second in range(ROWS)]
        self.relaunches = 0
        self.scheduled: list[ScheduledFault] = []
        self.pause_s = 0.0
        self.lost_row = -1
        self.alerts = expected_alerts()
        self.acks = [CommandAck(id=ID, asset=ASSET, status="executed", at="one")]
        self.executed_at = 1.0

    def take(self, topic: str, payload: bytes, at_s: float) -> None:
        assert self.traffic.take(topic, payload, "x", at_s) is not None

    def evaluation(self):
        for row in range(ROWS):
            at_s = row + (self.pause_s if row >= 30 else 0.0)
            if row != self.lost_row:
                self.take(topics.SENSORS, batch(row), at_s)
                self.take(topics.RESULTS, block(row, CONFIDENCES[row]), at_s)
        for alert in self.alerts:
            at_s = (from_iso(alert.at) - START) / SECOND + 0.5
            self.take(topics.ALERTS, encode(alert), at_s)
            if alert.raised_at is not None:
                self.cloud.take(alert, at_s)
        command = Command(
            id=ID, asset=ASSET, action="stop", alarm=expected_alerts()[0].id, timeout_s=10.0, issued_monotonic_s=0.0, boot="b"
        )
        self.take(topics.COMMANDS, encode(command), 16.0)
        for ack in self.acks:
            self.take(topics.COMMANDS_ACK, encode(ack), 17.0)
        if self.acks:
            self.traffic.observe_log(f"INFO x: command {ID} to p: stop, executed ", self.executed_at)
        offline = {ASSET: list(zip(TIMES, CONFIDENCES, strict=True))}
        starts = {"com.edgeml.AlertDispatcher": 1 + self.relaunches}
        return evaluate(self.traffic, self.cloud, self.scheduled, offline, OPTIONS, starts, {ASSET: ROWS}, 40.0 + self.pause_s)


def test_flawless_run_has_no_violations():
    evaluation = World().evaluation()
    assert evaluation.violations == []
    assert (evaluation.figures["alarms"], evaluation.figures["alerts"], evaluation.figures["commands_executed"]) == (1, 3, 1)
    assert evaluation.figures["longest_silence_s"] == 1.0


def lose_an_alert(world):
    del world.alerts[1]


def invent_an_alert(world):
    world.alerts.append(msgspec.structs.replace(world.alerts[0], id="other"))


def repeat_an_alert(world):
    world.alerts.append(world.alerts[0])


def lose_a_row(world):
    world.lost_row = 35


def execute_twice(world):
    world.acks.append(CommandAck(id=ID, asset=ASSET, status="executed", at="two"))


def execute_late(world):
    world.executed_at = 10.5


def stay_silent(world):
    world.pause_s = 10.5


def say_nothing_of_a_command(world):
    world.acks.clear()


@pytest.mark.parametrize(
    ("flaw", "figure", "value"),
    [
        (lose_an_alert, "alerts_lost", 1),
        (lose_an_alert, "cloud_alerts_lost", 1),
        (invent_an_alert, "alerts_unexpected", 1),
        (repeat_an_alert, "duplicates", 1),
        (lose_a_row, "rows_lost", 1),
        (execute_twice, "commands_executed_twice", 1),
        (execute_late, "commands_late", 1),
        (say_nothing_of_a_command, "commands_unreported", 1),
        (stay_silent, "longest_silence_s", 11.5),
    ],
)
def test_each_violation_is_detected(flaw, figure, value):
    world = World()
    flaw(world)
    evaluation = world.evaluation()
    assert evaluation.figures[figure] == value
    assert evaluation.violations


def test_health_alarms_need_no_result():
    world = World()
    world.alerts.append(msgspec.structs.replace(world.alerts[0], id="other", asset="com.edgeml.Inference", model="health/component-silent"))
    evaluation = world.evaluation()
    assert (evaluation.violations, evaluation.figures["alerts_unexpected"], evaluation.figures["alerts_about_the_suite"]) == ([], 0, 1)


def test_one_duplicate_per_relaunch_is_allowed():
    world = World()
    world.relaunches = 1
    repeat_an_alert(world)
    evaluation = world.evaluation()
    assert (evaluation.violations, evaluation.figures["duplicates"]) == ([], 1)


def test_silence_is_measured_from_the_end_of_a_fault():
    moments = [0.0, 1.0, 30.0]
    faults = [ScheduledFault(2.0, "pause", {}, 5.0), ScheduledFault(6.0, "iot-cut", {}, 14.0), ScheduledFault(25.0, "kill", {}, 0.0)]
    assert silences(moments, faults, 30.0) == [(1.0, 1.0), (1.0, 2.0), (5.0, 25.0), (5.0, 30.0), (0.0, 30.0)]
    assert silences(moments, [], 30.0) == [(1.0, 1.0), (29.0, 30.0), (0.0, 30.0)]


def test_clocked_machine_must_be_scored_again():
    world = World()
    del world.traffic.flow[CLOCKED][20:35]
    evaluation = world.evaluation()
    assert [violation.sentence for violation in evaluation.violations] == [f"{CLOCKED} was silent for 16.0 s with no fault active"]
