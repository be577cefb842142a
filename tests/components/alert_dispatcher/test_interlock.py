"""24 to 33: conditions that hold a command back, and their notes."""

from __future__ import annotations

import numpy as np
import pytest

from alert_dispatcher.actions.interlock import MAX_ASSETS, MAX_STREAMS, Interlock, InterlockOptions
from alert_dispatcher.actions.rate_limit import recent
from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.config.schema import read
from edgeml.errors import OptionsError
from edgeml.ipc.bus import Received
from edgeml.messages import BACKWARDS, GAP, GOOD, MISSING, OUT_OF_RANGE, STUCK, Permit, SensorBatch, encode, topics
from edgeml.timestamps import SECOND, Moment
from tests.components.alert_dispatcher.kit import ALARM, Bench, results

EXPRESSION = "pressure > 2.0 and not door_open"


def batch(
    at_s: float,
    seq: int,
    pressure: float = 2.5,
    door: float = 0.0,
    quality: tuple[int, int] = (GOOD, GOOD),
    asset: str = "pump-1",
    stream: str = "sensors-1",
    rows: int = 3,
) -> SensorBatch:
    """Rows up to the event time `at_s`; only the last one has the given readings."""
    times = np.array([int((at_s - back) * SECOND) for back in range(rows - 1, -1, -1)], "i8")
    values, flags = np.full((rows, 2), 9.0), np.zeros((rows, 2), "u1")
    if rows:
        values[-1], flags[-1] = (pressure, door), quality
    return SensorBatch.of(asset, stream, seq, ("pressure", "door_open"), ("bar", ""), times, values, flags)


def bench_with(tmp_path, **options):
    return Bench(tmp_path, actions={"log": {}, "command": options})


def status(bench, number: int = 0) -> str:
    rows = bench.service._store.do("SELECT status FROM commands ORDER BY rowid")
    return rows[number][0]


# -- dry run


def test_24_dry_run_is_noted_and_not_sent(tmp_path, caplog):
    bench = bench_with(tmp_path, dry_run="true")
    bench.results(ALARM[:12])
    bench.wait(60)
    bench.kill()
    bench.restart()
    bench.wait(20)
    assert bench.commands() == [] and status(bench) == "dry-run"
    last = bench.alerts()[-1]
    assert last.state == "active" and last.note == "dry run: the stop command for pump-1 was decided and not sent"
    assert last.note in caplog.text


# -- rate limit


def raise_and_clear(bench, number: int, answer: bool = True) -> str:
    """The note on the alarm that comes at the number-th hundred seconds of event time, which clears again."""
    start = 100 * number
    bench.results(ALARM[:12], start)
    bench.wait(0.5)
    if answer and bench.commands():
        bench.answer(bench.commands()[-1])
    note = bench.alerts()[-1].note
    bench.results(ALARM[12:], start + 12)
    assert bench.alerts()[-1].state == "cleared"
    return note


def test_25_command_beyond_the_limit_is_refused_and_noted(tmp_path):
    bench = bench_with(tmp_path, rate_limit=2, rate_period_s=100)
    refused = "the stop command for pump-1 is refused: 2 were sent in the last 100 s, and `rate_limit` is 2"
    assert [raise_and_clear(bench, number) for number in range(3)] == ["", "", refused]
    assert len(bench.commands()) == 2 and [status(bench, number) for number in range(3)] == ["executed", "executed", "limited"]
    bench.give(topics.RESULTS, results(ALARM[:12], asset="pump-2"))
    assert bench.commands()[-1].asset == "pump-2", "each asset has a limit of its own"
    bench.wait(100)
    assert raise_and_clear(bench, 5) == "" and len({command.id for command in bench.commands()}) == 4


@pytest.mark.parametrize("set_by", [0, -100_000, 100_000])
def test_25_limit_survives_a_restart_and_a_step_of_the_clock(tmp_path, set_by):
    bench = bench_with(tmp_path, rate_limit=1, rate_period_s=100)
    assert raise_and_clear(bench, 0) == ""
    bench.set_by = set_by
    bench.kill()
    bench.restart()
    assert "is refused: 1 were sent" in raise_and_clear(bench, 1)
    bench.wait(100)
    assert raise_and_clear(bench, 2) == ""


def test_25_clock_set_back_over_a_reboot_costs_at_most_one_more_period():
    before = [Moment(1000 * SECOND, 50.0, "one")]
    now = Moment(400 * SECOND, 3.0, "two")
    assert recent(before, now, 100) == [now]
    assert recent([now], Moment(501 * SECOND, 104.0, "two"), 100) == []
    assert recent(before, Moment(1050 * SECOND, 3.0, "two"), 100) == before
    assert recent(before, Moment(9999 * SECOND, 60.0, "one"), 100) == before, "within one start the monotonic clock counts"


def test_25_repeated_command_counts_once(tmp_path):
    bench = bench_with(tmp_path, rate_limit=1)
    bench.raise_alarm()
    bench.wait(8)
    assert len(bench.commands()) > 1 and bench.alerts()[-1].note == ""


# -- interlock: readings


def test_26_interlock_subscribes_only_if_configured(tmp_path):
    def heard(name, **interlock):
        work = tmp_path / name
        work.mkdir()
        return {topics.SENSORS, topics.INTERLOCK} & set(bench_with(work, interlock=interlock).service.topics)

    assert heard("a") == set()
    assert heard("b", allow_when=EXPRESSION) == {topics.SENSORS}
    assert heard("c", permit=True) == {topics.INTERLOCK}
    assert heard("d", assets={"pump-2": "flow > 1"}, permit="true") == {topics.SENSORS, topics.INTERLOCK}
    assert heard("e", assets={"pump-2": ""}) == set()


def interlocked(tmp_path, **interlock):
    return bench_with(tmp_path, timeout_s=10, interlock={"allow_when": EXPRESSION, "max_age_s": 5, **interlock})


def test_26_allowed_command_is_sent_at_once(tmp_path):
    bench = interlocked(tmp_path)
    bench.give(topics.SENSORS, batch(bench.now, 1))
    bench.raise_alarm()
    assert len(bench.commands()) == 1 and bench.alerts()[-1].note == ""


def test_27_held_command_is_noted_at_once_and_ends_at_its_deadline(tmp_path, caplog):
    bench = interlocked(tmp_path)
    for second in range(12):
        bench.give(topics.SENSORS, batch(bench.now, second, door=1))
        if second == 0:
            bench.results(ALARM[:12])
            bench.service.tick(bench.now)
            held = "the stop command for pump-1 is held back by the interlock: `pressure > 2.0 and not door_open` does not hold: "
            assert bench.alerts()[-1].note == held + "pressure is 2.5, door_open is 1"
        bench.wait(1)
    assert bench.commands() == [] and status(bench) == "forbidden"
    last = bench.alerts()[-1].note
    assert last.count("held back") == 1 and "was not sent within 10 s of the alarm, at last because `pressure > 2.0" in last
    assert "held back by the interlock" in caplog.text


def test_27_command_is_sent_once_the_condition_holds(tmp_path):
    bench = interlocked(tmp_path)
    bench.give(topics.SENSORS, batch(bench.now, 1, door=1))
    bench.results(ALARM[:12])
    bench.wait(3)
    assert bench.commands() == []
    bench.give(topics.SENSORS, batch(bench.now, 2))
    bench.wait(0.5)
    assert len(bench.commands()) == 1
    bench.answer(bench.commands()[0])
    assert status(bench) == "executed"


def test_27_interlock_stops_a_repetition_too(tmp_path):
    bench = interlocked(tmp_path)
    bench.give(topics.SENSORS, batch(bench.now, 1))
    bench.raise_alarm()
    bench.give(topics.SENSORS, batch(bench.now, 2, pressure=1.0))
    bench.wait(30)
    assert len(bench.commands()) == 1 and status(bench) == "unacknowledged"
    assert bench.alerts()[-1].note.endswith("pump-1 did not acknowledge the stop command within 10 s")


def test_27_cleared_alarm_withdraws_a_held_command(tmp_path):
    bench = interlocked(tmp_path)
    bench.results(ALARM[:12])
    bench.results(ALARM[12:], 12)
    bench.give(topics.SENSORS, batch(bench.now, 1))
    bench.wait(20)
    assert bench.commands() == [] and status(bench) == "withdrawn"


def test_27_interlock_forbids_after_a_restart(tmp_path):
    bench = interlocked(tmp_path)
    bench.bus.failing_topics.add(topics.COMMANDS)
    bench.give(topics.SENSORS, batch(bench.now, 1))
    bench.raise_alarm()
    bench.kill()
    bench.restart()
    bench.bus.failing_topics.clear()
    bench.wait(3)
    assert bench.commands() == [] and "no readings of pump-1 have arrived yet" in bench.alerts()[-1].note
    bench.give(topics.SENSORS, batch(bench.now, 2))
    bench.wait(0.5)
    assert len(bench.commands()) == 1


class Lock:
    """An interlock of its own, at second 1000 of both clocks."""

    def __init__(self, **options) -> None:
        self.lock = Interlock(read(InterlockOptions, {"allow_when": EXPRESSION, "max_age_s": 5, **options}))

    def take(self, message, at_s: float = 1000.0) -> None:
        """Sent at that second of both clocks."""
        self.lock.take(topics.INTERLOCK if isinstance(message, Permit) else topics.SENSORS, message, at_s, int(at_s * SECOND))

    def reason(self, at_s: float = 1000.0, set_by: float = 0.0, asset: str = "pump-1") -> str:
        return self.lock.forbids(asset, at_s, int((at_s + set_by) * SECOND))


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (batch(1000, 1, asset="pump-2"), "no readings of pump-1 have arrived yet"),
        (batch(1000, 1, rows=0), "no readings of pump-1 have arrived yet"),
        (batch(1000, 1, pressure=float("nan")), "the reading of pressure is missing"),
        (batch(1000, 1, quality=(MISSING, GOOD)), "the reading of pressure is missing"),
        (batch(1000, 1, quality=(GOOD, STUCK)), "the reading of door_open is stuck"),
        (batch(1000, 1, quality=(OUT_OF_RANGE, GOOD)), "the reading of pressure is out of range"),
        (batch(1000, 1, quality=(99, GOOD)), "the reading of pressure is invalid"),
        (batch(1000, 1, quality=(BACKWARDS, GOOD)), "the reading of pressure is time running backwards"),
        (batch(1000, 1, pressure=float("inf")), "the reading of pressure is not finite"),
        (batch(1000, 1, pressure=float("-inf")), "the reading of pressure is not finite"),
        (batch(1000, 1, door=float("inf")), "the reading of door_open is not finite"),
        (batch(1000, 1, quality=(GAP, GAP)), ""),
    ],
)
def test_28_unknown_reading_forbids(heard, said):
    lock = Lock()
    lock.take(heard)
    assert lock.reason() == said


def test_28_unknown_channel_forbids():
    lock = Lock(allow_when="pressure > 0 or flow > 1")
    lock.take(batch(1000, 1))
    assert lock.reason() == "pump-1 has no channel 'flow', only pressure, door_open"


def test_28_a_stale_reading_forbids():
    lock = Lock()
    lock.take(batch(1000, 1))
    assert lock.reason(1005) == "" and lock.reason(1005.5) == "the latest readings of pump-1 are 5.5 s old"


def test_28_repeated_reading_is_no_newer():
    lock = Lock(event_time=False)
    lock.take(batch(1000, 7))
    lock.take(batch(1000, 7), 1004)
    lock.take(batch(994, 6), 1004)
    assert lock.reason(1006) == "the latest readings of pump-1 are 6.0 s old"


def test_28_replay_of_old_rows_forbids_by_their_event_time():
    lock = Lock()
    lock.take(batch(900, 1))
    assert lock.reason() == "the latest readings of pump-1 are 100.0 s old"
    elsewhen = Lock(event_time="false")
    elsewhen.take(batch(900, 1))
    assert elsewhen.reason() == ""


def test_28_a_sensor_whose_clock_is_ahead_makes_its_readings_no_younger():
    lock = Lock()
    lock.take(batch(1004, 1))
    assert lock.reason(1005) == "" and lock.reason(1008) == "the latest readings of pump-1 are 8.0 s old"


def test_28_step_of_the_clock_forbids():
    lock = Lock()
    lock.take(batch(1000, 1))
    assert lock.reason(set_by=-60) == "the latest readings of pump-1 are dated 60.0 s ahead of this device's clock"
    assert lock.reason(set_by=60) == "the latest readings of pump-1 are 60.0 s old"


def test_28_duplicate_channel_is_unknown():
    lock = Lock(allow_when="not door_open")
    times, values = np.array([1000 * SECOND]), np.array([[1.0, 0.0]])
    lock.take(SensorBatch.of("pump-1", "sensors-1", 1, ("door_open", "door_open"), ("", ""), times, values))
    assert lock.reason() == "the reading of door_open is missing"


OPEN_DOOR = "`pressure > 2.0 and not door_open` does not hold: pressure is 2.5, door_open is 1"


@pytest.mark.parametrize("event_time", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_28_older_reading_of_another_stream_does_not_count(event_time, first):
    lock = Lock(event_time=event_time)
    heard = [(batch(1000, 9, door=1, stream="new"), 1000.0), (batch(997, 70, stream="old"), 1000.5)]
    for message, at_s in heard[first:] + heard[:first]:
        lock.take(message, at_s)
    assert lock.reason(1001) == OPEN_DOOR
    lock.take(batch(1002, 10, stream="new"), 1002)
    assert lock.reason(1003) == "", "once it is later by both clocks, the door is closed"


def test_28_both_streams_must_allow_if_clocks_disagree():
    lock = Lock()
    lock.take(batch(1004, 1, stream="ahead"), 999)
    lock.take(batch(1000, 1, door=1, stream="right"), 1000)
    assert lock.reason(1000) == OPEN_DOOR, "a reading dated ahead hides no later one"
    lock.take(batch(1001, 2, stream="right"), 1001)
    lock.take(batch(1005, 2, door=1, stream="ahead"), 1001)
    assert lock.reason(1001) == OPEN_DOOR
    assert lock.reason(1007) == "the latest readings of pump-1 are 6.0 s old"


def test_28_a_new_stream_after_a_restart_of_the_source_counts_at_once():
    lock = Lock()
    lock.take(batch(1000, 500, door=1), 1000)
    lock.take(batch(1001, 0, stream="sensors-2"), 1001)
    assert lock.reason(1001) == ""


def test_28_invented_streams_do_not_fill_the_memory():
    lock = Lock()
    for number in range(100):
        lock.take(batch(1000 - number / 100, 1, stream=f"s{number}"), 1000 + number / 100)
    assert len(lock.lock._readings["pump-1"]) == MAX_STREAMS


def test_28_readings_are_outdated_after_a_suspend():
    lock = Lock(event_time=False, permit=True)
    lock.take(batch(1000, 1))
    assert lock.lock.forbids("pump-1", 1001, 1600 * SECOND) == "the latest readings of pump-1 are 600.0 s old"
    lock.take(Permit(asset="pump-3", allowed=True))
    slept = Lock(allow_when="", permit=True)
    slept.take(Permit(asset="pump-1", allowed=True))
    assert slept.lock.forbids("pump-1", 1001, 1600 * SECOND) == "the latest permit for pump-1 is 600.0 s old"
    assert slept.lock.forbids("pump-1", 1006, 400 * SECOND) == "the latest permit for pump-1 is 6.0 s old", "set back, it is no younger"


@pytest.mark.parametrize("value", ["nan", "inf", float("nan"), float("inf"), "-inf", 0])
def test_28_an_age_without_bound_is_refused(value):
    with pytest.raises(OptionsError):
        read(InterlockOptions, {"max_age_s": value})


def test_29_asset_may_have_its_own_condition_or_none():
    lock = Lock(assets={"pump-2": "pressure < 1", "pump-3": ""})
    for asset in ("pump-1", "pump-2"):
        lock.take(batch(1000, 1, asset=asset))
    assert lock.reason() == "" and lock.reason(asset="pump-3") == ""
    assert lock.reason(asset="pump-2") == "`pressure < 1` does not hold: pressure is 2.5"


def test_31_permit_must_be_renewed():
    lock = Lock(allow_when="", permit=True)
    assert lock.reason() == "no permit for pump-1 has arrived on edgeml/interlock yet"
    lock.take(Permit(asset="pump-1", allowed=True))
    assert lock.reason(1005) == "" and lock.reason(1005.5) == "the latest permit for pump-1 is 5.5 s old"
    lock.take(Permit(asset="pump-1", allowed=False, reason="guard door\nopen"), 1006)
    assert lock.reason(1006) == "the permit for pump-1 is denied: guard door open"
    lock.take(Permit(asset="pump-2", allowed=True), 1006)
    assert lock.reason(1006) == "the permit for pump-1 is denied: guard door open"


@pytest.mark.parametrize(("allowed_at", "denied_at"), [(1000, 1001), (1000, 1000)])
@pytest.mark.parametrize("denied_first", [False, True])
def test_31_later_permit_counts_and_at_the_same_instant_the_denial(allowed_at, denied_at, denied_first):
    lock = Lock(allow_when="", permit=True)
    heard = [(Permit(asset="pump-1", allowed=True), allowed_at), (Permit(asset="pump-1", allowed=False), denied_at)]
    for message, at_s in heard[::-1] if denied_first else heard:
        lock.take(message, at_s)
    assert lock.reason(1001) == "the permit for pump-1 is denied"


def test_31_permit_ages_from_its_sending(tmp_path):
    bench = bench_with(tmp_path, interlock={"permit": True, "max_age_s": 10})
    bench.service.on_message(topics.INTERLOCK, Permit(asset="pump-1", allowed=True), bench.now - 28)
    bench.results(ALARM[:12])
    assert bench.commands() == [] and "the latest permit for pump-1 is 28.0 s old" in bench.alerts()[-1].note


def waiting(bench, topic: str, message, age_s: float = 0.0) -> None:
    """It has come, and its turn has not."""
    bench.bus.queued.append(Received("local", topic, message if isinstance(message, bytes) else encode(message), bench.now - age_s))


def test_31_queued_denial_forbids(tmp_path):
    bench = bench_with(tmp_path, interlock={"permit": True, "max_age_s": 10})
    bench.give(topics.INTERLOCK, Permit(asset="pump-1", allowed=True))
    waiting(bench, topics.INTERLOCK, Permit(asset="pump-1", allowed=True), 5)
    waiting(bench, topics.INTERLOCK, Permit(asset="pump-1", allowed=False, reason="guard door open"), 4)
    bench.service.on_message(topics.INTERLOCK, Permit(asset="pump-1", allowed=True), bench.now - 6)
    bench.now += 0.001
    bench.results(ALARM[:12])
    assert len(bench.commands()) == 1, "the permit given just now is the latest"
    waiting(bench, topics.INTERLOCK, Permit(asset="pump-1", allowed=False, reason="guard door open"))
    bench.wait(8)
    assert len(bench.commands()) == 1 and bench.bus.queued == []
    assert "the permit for pump-1 is denied: guard door open" in bench.alerts()[-1].note


def test_28_queued_reading_counts_and_an_invalid_one_hides_no_other(tmp_path, caplog):
    bench = interlocked(tmp_path)
    bench.give(topics.SENSORS, batch(bench.now, 1))
    for rubbish in (b"rubbish", encode(batch(bench.now, 2)).replace(b"values", b"valuez"), b"{}"):
        waiting(bench, topics.SENSORS, rubbish)
    waiting(bench, topics.SENSORS, batch(bench.now, 3, door=1))
    bench.results(ALARM[:12])
    assert bench.commands() == [] and "does not hold" in bench.alerts()[-1].note
    assert bench.service.metrics().drops["not understood: edgeml/sensors"] == 3
    assert len([record for record in caplog.records if record.message.startswith("edgeml/sensors: ")]) == 1


def test_31_both_must_allow():
    lock = Lock(permit=True)
    lock.take(Permit(asset="pump-1", allowed=True))
    assert "no readings" in lock.reason()
    lock.take(batch(1000, 1))
    assert lock.reason() == ""
    lock.take(Permit(asset="pump-1", allowed=False))
    assert lock.reason() == "the permit for pump-1 is denied"


def test_31_a_permit_counts_on_its_own_topic_only(tmp_path):
    bench = bench_with(tmp_path, interlock={"permit": True})
    for topic in (topics.COMMANDS_ACK, topics.RESULTS):
        bench.give(topic, Permit(asset="pump-1", allowed=True))
    bench.results(ALARM[:12])
    bench.wait(2)
    assert bench.commands() == []
    bench.give(topics.INTERLOCK, Permit(asset="pump-1", allowed=True))
    bench.wait(0.5)
    assert len(bench.commands()) == 1


def test_32_invented_assets_do_not_fill_the_memory():
    lock = Lock(permit=True)
    for number in range(MAX_ASSETS + 10):
        lock.take(batch(1000, 1, asset=f"a{number}"))
        lock.take(Permit(asset=f"a{number}", allowed=True))
    assert len(lock.lock._readings) == len(lock.lock._permits) == MAX_ASSETS
    assert lock.reason(asset="a0") == "no readings of a0 have arrived yet" and lock.reason(asset=f"a{MAX_ASSETS}") == ""


def test_33_wrong_options_are_reported_together():
    wrong = {"retry_s": 20, "interlock": {"allow_when": "open()", "max_age_s": 0}}
    with pytest.raises(OptionsError) as refused:
        read(AlertDispatcherOptions, {"actions": {"command": wrong}})
    text = str(refused.value)
    assert "`actions.command.interlock.max_age_s` is 0" in text
    with pytest.raises(OptionsError, match=r"`actions\.command\.retry_s` is 20, which is more than .*retry_max_s`, 15"):
        read(AlertDispatcherOptions, {"actions": {"command": {"retry_s": 20}}})
