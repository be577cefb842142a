"""A pump skid: a motor drives a centrifugal pump, which moves water through a valve in a closed loop.

Pure and seeded: no clock, no I/O. The channels, their units and the levels of their readings and noise are those of
the rig behind the Skoltech Anomaly Benchmark. Each seed is another skid: other operating point, other drift, other
noise. Relative quantities (speed, flow, head, load) are 1 at that skid's operating point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from sensor_ingestion.sources.base import Channel

# Times after which an unchanged value is stuck: on the rig flow is unchanged for up to 44 s and pressure for 28 s (coarse
# converters), fluid temperature for 3 s, the others for 1 s.
CHANNELS: tuple[Channel, ...] = (
    Channel("vibration_1", "g", 0.0, 5.0, 15.0),
    Channel("vibration_2", "g", 0.0, 5.0, 15.0),
    Channel("current", "A", -0.5, 25.0, 15.0),
    Channel("pressure", "bar", -2.0, 10.0, 120.0),
    Channel("motor_temperature", "°C", -20.0, 160.0, 15.0),
    Channel("fluid_temperature", "°C", -5.0, 100.0, 30.0),
    Channel("voltage", "V", 100.0, 300.0, 15.0),
    Channel("flow", "l/min", -1.0, 300.0, 120.0),
)
NAMES = tuple(channel.name for channel in CHANNELS)

# Pump curve: head = SHUTOFF * speed² - SLOPE * flow²; system curve: head = (PIPE + VALVE / opening²) * flow².
SHUTOFF, SLOPE, PIPE, VALVE = 2.2, 1.2, 0.6, 0.4
# Time constants, s: the rotor running up and coasting down, the water column, the valve's actuator, motor, water.
RUN_UP_S, COAST_S, WATER_S, ACTUATOR_S, MOTOR_S, FLUID_S = 1.2, 0.8, 1.5, 2.0, 2400.0, 3000.0
# Slow drift of the operating point: (relative standard deviation, correlation time in s) of the pipe's resistance,
# vibration and load; then ambient temperature (°C) and mains voltage (V).
DRIFTS = ((0.010, 900.0), (0.012, 600.0), (0.010, 900.0), (0.4, 1800.0), (0.8, 300.0))
PRESSURE_STEP = 0.328  # bar: the converter behind the pressure sensor is coarse
FLOW_CUTOFF = 1.0  # l/min: below it a turbine meter does not turn
INRUSH = 4.0  # times the rated current, added to it, while the rotor is at rest
CLOSED = 0.85  # share of the valve's opening that a valve fault of severity 1 closes
GAP_EVERY_S, GAP_S = 180.0, 60.0  # a sensor-gap fault of severity 1 loses GAP_S of every GAP_EVERY_S


class Conditions:
    """Effects of faults on the skid, for one row."""

    __slots__ = ("cavitation", "imbalance", "lost", "stuck", "valve")

    def __init__(self) -> None:
        self.valve, self.imbalance, self.cavitation, self.stuck, self.lost = 1.0, 0.0, 0.0, False, False


def _valve(now: Conditions, level: float, since_s: float) -> None:
    now.valve = 1.0 - CLOSED * level


def _imbalance(now: Conditions, level: float, since_s: float) -> None:
    now.imbalance = level


def _cavitation(now: Conditions, level: float, since_s: float) -> None:
    now.cavitation = level


def _sensor_stuck(now: Conditions, level: float, since_s: float) -> None:
    now.stuck = True


def _sensor_gap(now: Conditions, level: float, since_s: float) -> None:
    now.lost = since_s % GAP_EVERY_S < GAP_S * level


def _none(now: Conditions, level: float, since_s: float) -> None:
    pass


FAULTS: dict[str, Callable[[Conditions, float, float], None]] = {
    "none": _none,
    "valve": _valve,  # closes progressively
    "imbalance": _imbalance,  # of the rotor
    "cavitation": _cavitation,
    "sensor-stuck": _sensor_stuck,  # one channel keeps its last reading
    "sensor-gap": _sensor_gap,  # rows are lost, again and again
}
"""Faults of the skid: name -> effect (conditions to change, level 0 to 1, seconds since its start)."""


@dataclass(frozen=True)
class Fault:
    """A fault of the skid.

    Attributes:
        kind: a name in `FAULTS`.
        start_s: seconds after the skid's first row.
        ramp_s: seconds from nothing to `severity`.
        severity: 0 to 1.
        channel: the sensor, for `sensor-stuck`.
    """

    kind: str
    start_s: float = 900.0
    ramp_s: float = 120.0
    severity: float = 0.8
    channel: str = "vibration_1"

    def level(self, at_s: float) -> float:
        """How far the fault has developed: 0 to `severity`."""
        if at_s < self.start_s:
            return 0.0
        return self.severity * (min(1.0, (at_s - self.start_s) / self.ramp_s) if self.ramp_s > 0 else 1.0)


class Rows(NamedTuple):
    """Consecutive rows of the skid, without those lost to a sensor gap.

    Attributes:
        number: (n,) int64; the row's event time is its number times the interval.
        values: (n, 8) float32, the order of `CHANNELS`.
        level: (n,) float32, how far the worst fault has developed, 0 to 1.
        running: (n,) bool, whether the motor is switched on.
    """

    number: np.ndarray
    values: np.ndarray
    level: np.ndarray
    running: np.ndarray


@dataclass
class _Now:
    """The skid's physical state, plain numbers."""

    row: int = 0
    running: bool = True
    speed: float = 1.0
    flow: float = 1.0
    valve: float = 1.0
    motor_c: float = 0.0
    fluid_c: float = 0.0
    drift: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)


class PumpSkid:
    """The skid, row by row.

    Args:
        seed: which skid; the same seed and calls give the same rows, however they are cut into steps.
        interval_s: event seconds from row to row.
        faults: its faults.
    """

    def __init__(self, seed: int = 1, *, interval_s: float = 1.0, faults: Sequence[Fault] = ()) -> None:
        self.interval_s = interval_s
        self.faults = [fault for fault in faults if fault.kind != "none"]
        self._rng = np.random.default_rng(seed)
        draw = self._rng.uniform
        self._flow_lpm, self._vibration = draw(112.0, 130.0), np.array([draw(0.19, 0.24), draw(0.25, 0.29)])
        self._current_a, self._voltage_v, self._pressure_bar = draw(2.3, 2.5), draw(226.0, 231.0), draw(0.10, 0.14)
        self._ambient_c, self._motor_rise_c, self._fluid_rise_c = draw(21.0, 25.0), draw(60.0, 68.0), draw(3.0, 5.0)
        self._now = _Now(
            motor_c=self._ambient_c + self._motor_rise_c,
            fluid_c=self._ambient_c + self._fluid_rise_c,
            drift=[size * float(x) for (size, _), x in zip(DRIFTS, self._rng.standard_normal(len(DRIFTS)), strict=True)],
        )

    @property
    def running(self) -> bool:
        """Whether the motor is switched on."""
        return self._now.running

    def stop(self) -> None:
        """Switch the motor off."""
        self._now.running = False

    def start(self) -> None:
        """Switch the motor on."""
        self._now.running = True

    def restore(self) -> None:
        """Repair all faults so far; later faults still occur."""
        now_s = self._now.row * self.interval_s
        self.faults = [fault for fault in self.faults if fault.start_s > now_s]

    def state(self) -> dict[str, Any]:
        """The state that the next rows depend on, JSON-able."""
        faults = [asdict(fault) for fault in self.faults]
        return {"now": asdict(self._now), "faults": faults, "random": self._rng.bit_generator.state}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a `state()` of a skid with the same seed and interval.

        Raises:
            ValueError, TypeError, LookupError, OverflowError, msgspec.ValidationError: it is invalid.
        """
        now = msgspec.convert(state["now"], _Now)
        faults = msgspec.convert(state["faults"], list[Fault])
        if len(now.drift) != len(DRIFTS) or len(now.last) not in (0, len(CHANNELS)) or not 0 < now.valve <= 1 or not 0 <= now.row < 2**53:
            raise ValueError("the state of another skid")
        for fault in faults:
            FAULTS[fault.kind], NAMES.index(fault.channel)  # noqa: B018
        if not np.isfinite([now.speed, now.flow, now.motor_c, now.fluid_c, *now.drift]).all() or max(now.speed, now.flow) > 1e6:
            raise ValueError("the state of no skid")
        self._rng.bit_generator.state = state["random"]
        self._now, self.faults = now, faults

    def step(self, n: int) -> Rows:
        """The next n intervals: at most n rows."""
        first = self._now.row
        noise = self._rng.standard_normal((n, len(DRIFTS) + 1 + len(CHANNELS)))
        truth, lost, stuck = self._physics(noise[:, : len(DRIFTS) + 1].tolist())
        values = self._sensors(truth, noise[:, len(DRIFTS) + 1 :])
        for i, channel in stuck:
            before = values[i - 1] if i else self._now.last
            if len(before):
                values[i, channel] = before[channel]
        if n:
            self._now.last = [float(x) for x in values[-1]]
        kept = ~np.array(lost, bool)
        number = np.arange(first, first + n, dtype=np.int64)
        return Rows(number[kept], values[kept], truth[kept, _LEVEL].astype("f4"), truth[kept, _ON] > 0)

    def _physics(self, noise: list[list[float]]) -> tuple[np.ndarray, list[bool], list[tuple[int, int]]]:
        """The true quantities of each row, (n, 11); which rows are lost; (row, channel) of stuck readings."""
        now, dt = self._now, self.interval_s
        keep = [math.exp(-dt / tau) for _, tau in DRIFTS]
        kick = [size * math.sqrt(1 - k * k) for (size, _), k in zip(DRIFTS, keep, strict=True)]
        up, coast, water, actuator, motor, fluid = (
            1 - math.exp(-dt / tau) for tau in (RUN_UP_S, COAST_S, WATER_S, ACTUATOR_S, MOTOR_S, FLUID_S)
        )
        truth, lost, stuck = [], [], []
        drift, indices = now.drift, range(len(DRIFTS))
        for i, shock in enumerate(noise):
            at_s = now.row * dt
            conditions, worst = Conditions(), 0.0
            for fault in self.faults:
                if at_s >= fault.start_s:
                    level = fault.level(at_s)
                    worst = max(worst, level)
                    FAULTS[fault.kind](conditions, level, at_s - fault.start_s)
                    if conditions.stuck and fault.kind == "sensor-stuck":
                        stuck.append((i, NAMES.index(fault.channel)))
            for j in indices:
                drift[j] = drift[j] * keep[j] + kick[j] * shock[j]
            speed = now.speed = now.speed + (up * (1.0 - now.speed) if now.running else -coast * now.speed)
            now.valve += actuator * (conditions.valve - now.valve)
            collapse = 1.0 - 0.25 * conditions.cavitation * (1.0 + 0.4 * shock[-1])
            resistance = PIPE * (1.0 + drift[0]) + VALVE / now.valve**2
            settled = speed * math.sqrt(max(0.0, SHUTOFF * collapse) / (SLOPE + resistance))
            now.flow += water * (settled - now.flow)
            head = SHUTOFF * collapse * speed * speed - SLOPE * now.flow * now.flow
            load = speed * speed * (0.4 * speed + 0.6 * now.flow) * (1.0 + drift[2])
            ambient = self._ambient_c + drift[3]
            now.motor_c += motor * (ambient + self._motor_rise_c * load - now.motor_c)
            now.fluid_c += fluid * (ambient + self._fluid_rise_c * load - now.fluid_c)
            truth.append(
                (
                    speed,
                    now.flow,
                    head,
                    load,
                    now.motor_c,
                    now.fluid_c,
                    1.0 + drift[1],
                    drift[4],
                    conditions.imbalance,
                    conditions.cavitation,
                    worst,
                    1.0 if now.running else 0.0,
                )
            )
            lost.append(conditions.lost)
            now.row += 1
        return np.array(truth).reshape(-1, 12), lost, stuck

    def _sensors(self, truth: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Readings of the eight sensors for the true quantities: (n, 8) float32."""
        speed, flow, head, load, motor_c, fluid_c, shake, mains, imbalance, cavitation, _, on = truth.T
        values = np.empty(noise.shape)
        low_flow = np.maximum(0.0, speed - flow)  # recirculation in the impeller
        for i, (unbalanced, sigma) in enumerate(((1.5, 0.006), (1.2, 0.005))):
            rough = 1.0 + unbalanced * imbalance + 1.2 * cavitation + 0.5 * low_flow**2
            grain = sigma + 0.12 * cavitation
            level = self._vibration[i] * speed**2 * shake * rough * (1 + grain * noise[:, i])
            values[:, i] = np.abs(level + 0.0004 * noise[:, i] + 0.001)
        drawn = self._current_a * on * (0.35 + 0.65 * load + INRUSH * (1 - speed) ** 2)
        mains_noise = np.clip(noise, -2.5, 2.5)  # current and voltage are sampled within the mains' period: bounded
        values[:, 2] = drawn * (1 + 0.15 * mains_noise[:, 2]) + 0.01 * np.abs(noise[:, 2])
        values[:, 3] = np.round((self._pressure_bar * head + 0.24 * noise[:, 3]) / PRESSURE_STEP) * PRESSURE_STEP + 0.0
        values[:, 4] = motor_c + 0.15 * noise[:, 4]
        values[:, 5] = fluid_c + 0.006 * noise[:, 5]
        values[:, 6] = self._voltage_v + mains - 1.5 * drawn / self._current_a + 10.5 * mains_noise[:, 6]
        values[:, 7] = self._flow_lpm * flow + 0.4 * noise[:, 7] * (flow > 0.01)
        values[values[:, 7] < FLOW_CUTOFF, 7] = 0.0
        return values.astype("f4")


_LEVEL, _ON = 10, 11
