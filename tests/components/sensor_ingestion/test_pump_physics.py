"""The simulated skid: README 16 to 18."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sensor_ingestion.sources.pump_physics import CHANNELS, FAULTS, NAMES, Fault, PumpSkid

FLOW, CURRENT, PRESSURE = NAMES.index("flow"), NAMES.index("current"), NAMES.index("pressure")
VIBRATION, MOTOR = [0, 1], NAMES.index("motor_temperature")


def test_rows_depend_on_the_seed_and_not_on_the_size_of_batches() -> None:  # 16
    whole = PumpSkid(5, faults=[Fault("valve", 50.0)]).step(400)
    skid = PumpSkid(5, faults=[Fault("valve", 50.0)])
    parts = [skid.step(n) for n in (1, 7, 0, 92, 300)]
    assert np.array_equal(np.concatenate([part.values for part in parts]), whole.values)
    assert np.array_equal(np.concatenate([part.number for part in parts]), np.arange(400))


def test_another_seed_simulates_another_skid() -> None:  # 16
    assert abs(PumpSkid(1).step(100).values.mean(0) - PumpSkid(2).step(100).values.mean(0))[FLOW] > 0.5


@pytest.mark.parametrize("fault", FAULTS)
def test_restored_state_continues_exactly(fault: str) -> None:  # 16
    first = PumpSkid(3, faults=[Fault(fault, 20.0, 30.0)])
    first.step(60)
    first.stop()
    first.step(5)
    second = PumpSkid(3)
    second.resume(json.loads(json.dumps(first.state())))
    for skid in (first, second):
        skid.start()
    ours, theirs = first.step(300), second.step(300)
    assert np.array_equal(ours.values, theirs.values) and np.array_equal(ours.number, theirs.number)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_readings_stay_plausible(seed: int) -> None:
    values = PumpSkid(seed).step(20_000).values
    for i, channel in enumerate(CHANNELS):
        assert channel.low < values[:, i].min() and values[:, i].max() < channel.high, channel.name
    means = values.mean(0)
    assert 0.18 < means[0] < 0.25 and 2.2 < means[CURRENT] < 2.7 and 105 < means[FLOW] < 135 and 80 < means[MOTOR] < 95


def change(kind: str, severity: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Mean readings without and with a developed fault, the same noise in both."""
    good = PumpSkid(7).step(1200).values[900:].mean(0)
    bad = PumpSkid(7, faults=[Fault(kind, 600.0, 120.0, severity)]).step(1200).values[900:].mean(0)
    return good, bad


def test_closing_valve_reduces_the_flow() -> None:  # 17
    good, bad = change("valve")
    assert bad[FLOW] < 0.75 * good[FLOW] and bad[CURRENT] < 0.95 * good[CURRENT] and bad[PRESSURE] > good[PRESSURE] + 0.02
    assert (bad[VIBRATION] > 1.02 * good[VIBRATION]).all() and (bad[VIBRATION] < 1.3 * good[VIBRATION]).all()


def test_valve_closes_progressively() -> None:  # 17
    flow = PumpSkid(7, faults=[Fault("valve", 600.0, 120.0)]).step(800).values[:, FLOW]
    means = [flow[start : start + 20].mean() for start in (580, 640, 680, 720)]
    assert all(later < earlier - 2 for earlier, later in zip(means, means[1:], strict=False))


def test_imbalance_raises_the_vibration() -> None:  # 17
    good, bad = change("imbalance")
    assert (bad[VIBRATION] > 1.8 * good[VIBRATION]).all() and abs(bad[FLOW] / good[FLOW] - 1) < 0.01


def test_cavitation_raises_the_vibration_and_the_scatter() -> None:  # 17
    good, bad = change("cavitation")
    assert (bad[VIBRATION] > 1.5 * good[VIBRATION]).all() and bad[FLOW] < 0.97 * good[FLOW]
    scatter = PumpSkid(7, faults=[Fault("cavitation", 0.0, 0.0)]).step(300).values[100:, 0].std()
    assert scatter > 5 * PumpSkid(7).step(300).values[100:, 0].std()


def test_stuck_sensor_keeps_its_last_reading() -> None:  # 17
    good = PumpSkid(7).step(200).values
    bad = PumpSkid(7, faults=[Fault("sensor-stuck", 100.0, channel="flow")]).step(200).values
    assert (bad[99:, FLOW] == good[99, FLOW]).all() and len(np.unique(good[99:, FLOW])) > 50
    others = [i for i in range(8) if i != FLOW]
    assert np.array_equal(bad[:, others], good[:, others])


def test_sensor_gap_loses_rows() -> None:  # 17
    rows = PumpSkid(7, faults=[Fault("sensor-gap", 100.0, 0.0, 1.0)]).step(400)
    assert np.array_equal(rows.number, np.r_[0:100, 160:280, 340:400])


def test_machine_stops_and_starts() -> None:  # 18
    skid = PumpSkid(7)
    before = skid.step(60).values.mean(0)
    skid.stop()
    standing = skid.step(120).values[15:]
    assert (standing[:, CURRENT] < 0.1).all() and (standing[:, FLOW] == 0).all() and (standing[:, VIBRATION] < 0.01).all()
    assert standing[-20:, MOTOR].mean() < before[MOTOR] - 1.0
    skid.start()
    run_up = skid.step(60).values
    assert run_up[0, FLOW] < 0.6 * before[FLOW]
    assert abs(run_up[12:, FLOW].mean() / before[FLOW] - 1) < 0.03 and abs(run_up[12:, CURRENT].mean() / before[CURRENT] - 1) < 0.1


def test_start_has_an_inrush_current() -> None:  # 18
    skid = PumpSkid(7, interval_s=0.1)
    rated = skid.step(100).values[:, CURRENT].mean()
    skid.stop()
    skid.step(100)
    skid.start()
    assert skid.step(5).values[:, CURRENT].max() > 2.5 * rated


def test_restore_repairs_present_faults_only() -> None:  # 18
    skid = PumpSkid(7, faults=[Fault("valve", 50.0, 10.0), Fault("imbalance", 500.0, 10.0)])
    good = skid.step(50).values.mean(0)
    skid.step(100)
    skid.restore()
    repaired = skid.step(100).values[30:]
    assert abs(repaired.mean(0)[FLOW] / good[FLOW] - 1) < 0.03
    assert skid.step(400).values[-50:, 0].mean() > 1.8 * good[0]


def test_level_and_running_match_the_fault() -> None:
    skid = PumpSkid(7, faults=[Fault("valve", 50.0, 100.0, 0.8)])
    rows = skid.step(200)
    assert rows.level[49] == 0 and rows.level[100] == pytest.approx(0.4) and rows.level[-1] == pytest.approx(0.8)
    skid.stop()
    assert rows.running.all() and not skid.step(3).running.any()
