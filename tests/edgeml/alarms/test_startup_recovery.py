"""Alarms after a start: one waits for channels that approach normal, not for those that stay away. One row a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeml.alarms.alarm_policy import WARMING_NOTE, AlarmPolicy, PolicyOptions, PolicyState
from edgeml.alarms.startup_recovery import STEPS, Step, approaches_normal, is_stopped, record
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import SETTLING, STOPPED, AssetScorer
from edgeml.timestamps import SECOND
from sensor_ingestion.sources.pump_physics import NAMES, PumpSkid

OPTIONS = PolicyOptions(votes=3, of=5, hold_s=4, clear_hold_s=3, cooldown_s=20, settle_s=1800)
T0 = 1_583_748_000 * SECOND
RNG_SEED = 7
Course = Callable[[int], tuple[float, ...]]
"""Second after the start -> deviations of temperature, flow and vibration."""


def cold(second: int) -> tuple[float, ...]:
    """A temperature far below normal that approaches it with the time constant of the simulated skid's motor."""
    return -300 * float(np.exp(-second / 2400)), 0.0, 0.0


def blocked(second: int) -> tuple[float, ...]:
    return 0.0, -30.0, 0.0


def cold_and_blocked(second: int) -> tuple[float, ...]:
    return cold(second)[0], -30.0, 0.0


def worse(second: int) -> tuple[float, ...]:
    return 0.0, -5.0 - second / 60, 0.0


def drifting(second: int) -> tuple[float, ...]:
    """Cold, and the vibration goes to and fro as ever."""
    return cold(second)[0], 0.0, 4.0 * float(np.sin(second / 100))


def near(second: int) -> tuple[float, ...]:
    """Nothing alone is far from normal, and yet the model is sure."""
    return 0.0, -7.0 * float(np.exp(-second / 100)), 0.0


def unknown(second: int) -> tuple[float, ...]:
    return cold(second)[0], float("nan"), 0.0


def stalls(second: int) -> tuple[float, ...]:
    """A temperature that approaches normal for ten minutes and then stays away."""
    return cold(min(second, 600))


def play(
    course: Course,
    seconds: int = 3000,
    standing: int = 60,
    policy: AlarmPolicy | None = None,
    confident_from: int = 150,
) -> list[tuple[str, int, str]]:
    """(state, second after the start, note) of each change. The machine is stopped, starts, and is scored as
    anomalous from a given second."""
    policy = policy or AlarmPolicy(OPTIONS, "pump-1", "skab")
    noise, changes = np.random.default_rng(RNG_SEED), []
    for second in range(-standing, seconds):
        seen = np.array(course(max(0, second))) + noise.normal(size=3)
        decided = None if second < 80 else 1.0 if second >= confident_from else 0.0
        time, stopped = T0 + second * SECOND, second < 20
        deviations = [float("nan")] * 3 if stopped else seen.astype(np.float16).tolist()
        changes += [(change.alarm.state, second, change.alarm.note) for change in policy.evaluate(time, decided, deviations, stopped)]
    return changes


@pytest.mark.parametrize("course", [cold, drifting])
def test_alarm_waits_while_the_machine_warms_up_and_notes_it_once(course):
    assert play(course, seconds=1800) == [("pending", 152, ""), ("pending", 156, WARMING_NOTE)]


def test_alarm_is_raised_at_the_latest_when_the_time_to_settle_is_over():
    active = 19 + 1800
    assert play(cold)[2:] == [("active", active, WARMING_NOTE)]


@pytest.mark.parametrize("course", [blocked, worse, cold_and_blocked, near, unknown])
def test_alarm_is_raised_at_once_where_something_stays_away_or_is_not_known(course):
    assert play(course) == [("pending", 152, ""), ("active", 156, "")]


@pytest.mark.parametrize("course", [blocked, near, unknown])
def test_alarm_waits_for_two_minutes_after_the_start_in_any_case(course):
    assert play(course, confident_from=80) == [("pending", 82, ""), ("active", 19 + 120, "")]
    assert play(cold, confident_from=80)[:2] == [("pending", 82, ""), ("pending", 130, WARMING_NOTE)]


def test_standstill_of_less_than_a_minute_withholds_no_alarm():
    assert play(cold, standing=39) == play(blocked), "20 s after the start count with it"
    policy = AlarmPolicy(OPTIONS, "pump-1", "skab")
    changes = [c for s in range(600) for c in policy.evaluate(T0 + s * SECOND, None if s % 5 == 0 else 1.0, cold(s), s % 5 == 0)]
    assert [c.alarm.state for c in changes] == ["pending", "active"], "a current that flickers below its level"


def test_gaps_after_the_start_keep_no_alarm_waiting():
    policy = AlarmPolicy(OPTIONS, "pump-1", "skab")
    for second in (-60, 0):
        policy.evaluate(T0 + second * SECOND, None, (), True)
    changes = [c for second in range(100, 400, 11) for c in policy.evaluate(T0 + second * SECOND, 1.0, cold(second))]
    assert [(c.alarm.state, (c.at - T0) // SECOND) for c in changes] == [("pending", 122), ("active", 133)]


def test_alarm_is_raised_once_it_comes_no_nearer():
    changes = play(stalls)
    assert [state for state, *_ in changes] == ["pending", "pending", "active"]
    assert 600 < changes[-1][1] < 720


def test_machine_that_runs_for_long_is_not_waited_for():
    assert play(cold, standing=0, policy=AlarmPolicy(OPTIONS, "pump-1", "skab"), confident_from=1900)[-1][1] == 1906
    untouched = AlarmPolicy(OPTIONS, "pump-1", "skab")
    changes = [c for second in range(600) for c in untouched.evaluate(T0 + second * SECOND, 1.0, cold(second))]
    assert [c.alarm.state for c in changes] == ["pending", "active"], "nothing says that it was ever stopped"
    assert untouched.state.trail == []


def test_with_0_no_alarm_waits():
    policy = AlarmPolicy(PolicyOptions(votes=3, of=5, hold_s=4, settle_s=0), "pump-1", "skab")
    assert [state for state, *_ in play(cold, policy=policy)] == ["pending", "active"]


def test_decisions_are_the_same_from_any_saved_state():
    class Restarted(AlarmPolicy):
        """Forgets all but its state before each result."""

        def evaluate(self, *arguments):
            saved = msgspec.json.decode(msgspec.json.encode(self.state), type=PolicyState)
            again = AlarmPolicy(self.options, self.asset, self.model, saved)
            changes = again.evaluate(*arguments)
            self._state = again._state
            return changes

    assert play(stalls, policy=Restarted(OPTIONS, "pump-1", "skab")) == play(stalls)


def trail(course: Course, seconds: range) -> list[Step]:
    steps: list[Step] = []
    for second in seconds:
        record(steps, second * SECOND, course(second))
    return steps


def test_two_minutes_of_rows_are_required_and_a_gap_restarts_them():
    assert not approaches_normal(trail(cold, range(109))) and approaches_normal(trail(cold, range(120)))
    steps = trail(cold, range(120))
    record(steps, 131 * SECOND, cold(131))
    assert len(steps) == 1 and not approaches_normal(steps)
    steps = trail(cold, range(1000))
    assert len(steps) == STEPS
    record(steps, 1000 * SECOND, (1.0, 2.0))
    assert len(steps) == 1, "the channels are others"


@pytest.mark.parametrize("sign", [-1, 1])
def test_from_either_side_it_approaches_normal(sign):
    assert approaches_normal(trail(lambda second: (sign * 50.0 * float(np.exp(-second / 600)),), range(120)))
    assert not approaches_normal(trail(lambda second: (sign * 50.0 * float(np.exp(second / 600)),), range(120)))


def test_noise_is_no_approach():
    noise = np.random.default_rng(RNG_SEED)
    hits = sum(approaches_normal(trail(lambda second: (-12.0 + noise.normal(),), range(120))) for _ in range(300))
    assert hits < 30


def test_reasons_of_a_standstill_are_those_of_the_scorer():
    assert is_stopped(STOPPED) and is_stopped(SETTLING)
    assert not is_stopped("learning: 3 of 400") and not is_stopped("window filling")


def test_simulated_skid_that_starts_cold_is_seen_to_warm_up_and_one_with_a_closed_valve_is_not():
    """The physics and the scaling that ship; the model is taken to be sure from the first decision on."""
    bundle = Bundle.load(Path("model_training/bundles/pump_anomaly"))
    for broken in (False, True):
        skid, scorer = PumpSkid(3), AssetScorer(bundle, open_engine(bundle))
        policy = AlarmPolicy(PolicyOptions(), "pump-1", bundle.manifest.name)
        states = []
        for part, (seconds, running) in enumerate(((500, True), (3 * 3600, False), (900, True))):
            (skid.start if running else skid.stop)()
            if part == 2 and broken:
                skid._now.valve = 0.3
                skid.faults = [type_of_valve()]
            rows = skid.step(seconds)
            order = [NAMES.index(channel.name) for channel in bundle.manifest.channels]
            result, texts = scorer.feed(rows.number * SECOND, rows.values[:, order], np.zeros(rows.values.shape, np.uint8))
            sure = np.where(result.reason == 0, 1.0 if part == 2 else 0.0, np.nan)
            stopped = [code > 0 and is_stopped(texts[code - 1]) for code in result.reason.tolist()]
            changes = policy.evaluate_block("s", (rows.number * SECOND).tolist(), sure.tolist(), result.deviations, stopped).changes
            states += [change.alarm.state for change in changes]
        assert states == (["pending", "active"] if broken else ["pending", "pending"])


def type_of_valve():
    from sensor_ingestion.sources.pump_physics import Fault

    return Fault("valve", start_s=0, ramp_s=0, severity=0.8)
