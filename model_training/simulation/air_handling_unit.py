"""An air handling unit that heats and ventilates an office: energy, moisture and CO2 balances of one room, and a controlled coil.

Times are in hours, temperatures in °C, air flows as shares of the design flow. One row a minute. The unit runs by a schedule (off, low,
high); its fan follows the mode and the CO2 of the return air, its heat recovery and its heating valve keep the supply air at a setpoint
that depends on the weather. The filter collects dust, which is normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import numpy as np

from model_training.simulation.records import Course, Fault, Sensor, Simulation
from model_training.simulation.signals import lagged, wander

OFF, LOW, HIGH = 0.0, 1.0, 2.0
FAN_LOW, FAN_HIGH = 45.0, 75.0
"""Fan speeds of the modes, in percent."""
OUTDOOR_CO2 = 420.0

RECOVERY = 0.72
"""Share of the difference between return and outdoor air that the heat recovery returns."""
COIL_K = 20.0
"""Rise of the supply temperature at the fully open valve and the design flow, in K."""
COIL_H, DUCT_H, SENSOR_H = 3 / 60, 40 / 60, 2 / 60
"""Time constants of the coil, of the standing air in the duct, and of the supply sensor."""
GAIN, INTEGRAL_H = 1.2, 0.15
"""Proportional gain of the valve, in percent per K, and its integral time."""

ROOM_H = 30.0
"""Time constant of the room against the outdoor air."""
CHANGES = 2.5
"""Air changes an hour at the design flow."""
LEAK = 0.08
"""Air changes an hour without the unit."""

FILTER_PA = 120.0
"""Pressure drop of the clean filter at the design flow."""
DUST_PER_WEEK = 0.01
"""Further resistance of the filter in a week of 60 hours at the design flow, as a share of the clean one's: a fresh filter."""
CLOGGING = 0.9
"""Further resistance of the filter at the fault's full size, as a share of the clean one's."""
SLIP = 0.22
"""Share of the flow that a slipping belt loses."""
DRIFT_K = 3.0
"""Error of the supply sensor at the fault's full size."""


def schedule(hours: np.ndarray) -> np.ndarray:
    """The mode of each hour since a Monday, without overtime."""
    day, hour = np.floor(hours / 24) % 7, hours % 24
    work = np.where((hour >= 7) & (hour < 18), HIGH, np.where((hour >= 6) & (hour < 20), LOW, OFF))
    saturday = np.where((hour >= 9) & (hour < 13), LOW, OFF)
    return np.where(day < 5, work, np.where(day == 5, saturday, OFF))


def run(course: Course) -> Mapping[str, np.ndarray]:
    """The true values of all sensors."""
    hours, step = course.hours, course.step_s / 3600
    outdoor, outdoor_humidity = _weather(course, step)
    people = _occupancy(course, step)
    mode = _mode(course)
    setpoint = _setpoint(outdoor, hours, step)
    air = _balances(course, step, outdoor, outdoor_humidity, people, mode, setpoint)
    flow, fan = air["flow"], air["fan"] / 100
    dust = 1 + DUST_PER_WEEK * course.wear * np.cumsum(flow) * step / 60 + CLOGGING * course.faults["filter_clogs"]
    drop = FILTER_PA * flow**2 * dust
    load = fan**3 * (0.35 + 0.65 * flow / np.maximum(fan, 1e-6))
    power = 45 + 2_300 * load * (1 + 0.01 * wander(course.random("power"), len(course), step, 0.3)) + 0.9 * air["valve"]
    return {
        "outdoor_temperature": outdoor,
        "mode": mode,
        "supply_setpoint": setpoint,
        "fan_speed": air["fan"],
        "supply_temperature": air["supply"],
        "return_temperature": air["room"],
        "return_humidity": air["humidity"],
        "filter_pressure_drop": drop * (1 + 0.008 * course.random("pressure").standard_normal(len(course))),
        "co2": air["co2"],
        "heating_valve": air["valve"],
        "power": power,
    }


def _weather(course: Course, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Outdoor temperature and the water in the outdoor air, in g/kg."""
    n = len(course)
    fronts = 3.5 * wander(course.random("fronts"), n, step, 60.0)
    clear = np.clip(0.5 + 0.45 * wander(course.random("clouds"), n, step, 30.0), 0.05, 1.0)
    daily = 4.0 * lagged(clear, step, 2.0) * np.sin(2 * np.pi * (course.hours - 9.0) / 24)
    temperature = 5.0 + fronts + daily + 0.3 * wander(course.random("gusts"), n, step, 0.7)
    share = np.clip(0.8 - 0.15 * clear + 0.08 * wander(course.random("humidity"), n, step, 20.0), 0.35, 1.0)
    return temperature, share * saturation(temperature)


def saturation(temperature: np.ndarray | float) -> np.ndarray:
    """Water in saturated air in g/kg (Magnus' formula)."""
    return np.asarray(3.8 * np.exp(17.62 * np.asarray(temperature) / (243.12 + np.asarray(temperature))))


def _occupancy(course: Course, step: float) -> np.ndarray:
    """People in the room as a share of its design occupancy, (n,)."""
    day = np.floor(course.hours / 24).astype(int)
    hour, last = course.hours % 24, int(day.max()) + 1
    size, comes, leaves = course.random("people").standard_normal((last, 3)).T
    size = np.clip(0.75 + 0.12 * size, 0.35, 1.0)
    size[np.arange(last) % 7 == 5] *= 0.15
    size[np.arange(last) % 7 == 6] = 0.0
    comes, leaves = 8.3 + 0.25 * comes, 17.0 + 0.4 * leaves
    leaves[np.arange(last) % 7 == 5] -= 4
    present = _rise((hour - comes[day]) / 0.5) - _rise((hour - leaves[day]) / 0.6)
    lunch = 0.45 * (_rise((hour - 12.2) / 0.15) - _rise((hour - 13.1) / 0.15))
    meetings = 1 + 0.12 * wander(course.random("meetings"), len(course), step, 0.8)
    return np.asarray(np.clip(size[day] * present * (1 - lunch) * meetings, 0, 1.2))


def _rise(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def _mode(course: Course) -> np.ndarray:
    """The schedule, with an evening of overtime now and then."""
    mode = schedule(course.hours)
    random = course.random("overtime")
    for day in range(int(course.hours[-1] // 24) + 1):
        late, length = random.random(), random.uniform(1, 2.5)
        if day % 7 < 5 and late < 0.12:
            since = course.hours - (24 * day + 20)
            mode[(since >= 0) & (since < length)] = LOW
    return mode


def _setpoint(outdoor: np.ndarray, hours: np.ndarray, step: float) -> np.ndarray:
    """Setpoint of the supply air by the weather, in steps of half a kelvin that are decided once an hour."""
    wanted = np.clip(np.round(2 * (20.5 - 0.15 * lagged(outdoor, step, 6.0))) / 2, 18.5, 21.0)
    first_of_hour = np.searchsorted(hours, np.floor(hours + 1e-9) - 1e-9)
    return np.asarray(wanted[first_of_hour])


def _balances(
    course: Course, step: float, outdoor: np.ndarray, water_outside: np.ndarray, people: np.ndarray, mode: np.ndarray, setpoint: np.ndarray
) -> dict[str, np.ndarray]:
    """Step through the balances of room, duct, coil and control."""
    slip = SLIP * course.faults["fan_belt"] * np.clip(1 + 0.25 * wander(course.random("belt"), len(course), step, 0.2), 0.3, 1.7)
    drift = DRIFT_K * course.faults["sensor_drift"]
    gains = people * 0.9 + 0.1 * wander(course.random("gains"), len(course), step, 3.0)
    fan, room, supply, felt, co2, water, valve, wound, coil, flow = 0.0, 21.0, 20.0, 20.0, OUTDOOR_CO2, 5.0, 0.0, 30.0, 0.0, 0.0
    to_coil, to_duct, to_sensor = (1 - math.exp(-step / hours) for hours in (COIL_H, DUCT_H, SENSOR_H))
    stuck_at, rows = -1.0, []
    inputs = (outdoor, water_outside, people, mode, setpoint, slip, drift, gains, course.faults["valve_stuck"])
    for outside, moisture, crowd, state, target, slips, drifted, heat, stuck in zip(*(each.tolist() for each in inputs), strict=True):
        demand = min(max((co2 - 650) * 0.04, 0.0), 20.0)
        wanted = 0.0 if state == OFF else (FAN_LOW if state == LOW else FAN_HIGH) + demand
        fan += min(max(wanted - fan, -60 * step * 25), 60 * step * 25)
        flow = fan / 100 * (1 - slips)
        if state == OFF:
            command, wound = 0.0, 30.0
        else:
            error = target - felt
            wound = min(max(wound + GAIN * error * step / INTEGRAL_H, 0.0), 100.0)
            command = min(max(wound + GAIN * error, 0.0), 100.0)
        if stuck and stuck_at < 0:
            stuck_at = valve
        valve = command + min(stuck, 1.0) * (stuck_at - command)
        coil += to_coil * (valve - coil)
        recovered = outside + RECOVERY * (room - outside)
        recovered = min(recovered, max(target - 1.0, outside)) if flow > 0.05 else recovered
        blown = recovered + COIL_K * coil / 100 / max(flow + 0.25, 0.3)
        supply += to_coil * (blown - supply) if flow > 0.05 else to_duct * (room - 1.5 - supply)
        felt += to_sensor * (supply + drifted - felt)
        radiator = min(max(0.8 * (21.2 - room), 0.0), 1.6)
        room += step * ((outside - room) / ROOM_H + 0.25 * CHANGES * flow * (supply - room) + radiator + heat)
        exchange = CHANGES * flow + LEAK
        co2 += step * (exchange * (OUTDOOR_CO2 - co2) + 900 * crowd)
        water += step * (exchange * (moisture - water) + 2.2 * crowd + 0.02)
        rows.append((fan, flow, felt, room, co2, water, command))
    names = ("fan", "flow", "supply", "room", "co2", "water", "valve")
    out = dict(zip(names, np.array(rows).T, strict=True))
    out["humidity"] = 100 * out["water"] / saturation(out["room"])
    return out


SIMULATION = Simulation(
    summary="an air handling unit of an office, with a row a minute",
    start=datetime(2026, 1, 5, tzinfo=timezone(timedelta(hours=1))),
    step_s=60.0,
    onset_hour=10.0,
    sensors=(
        Sensor("outdoor_temperature", "°C", 0.1, 0.08),
        Sensor("mode", "", 1.0),
        Sensor("supply_setpoint", "°C", 0.5),
        Sensor("fan_speed", "%", 1.0, 0.3),
        Sensor("supply_temperature", "°C", 0.1, 0.08),
        Sensor("return_temperature", "°C", 0.1, 0.05),
        Sensor("return_humidity", "%", 1.0, 0.4),
        Sensor("filter_pressure_drop", "Pa", 1.0, 0.5),
        Sensor("co2", "ppm", 10.0, 6.0),
        Sensor("heating_valve", "%", 1.0),
        Sensor("power", "W", 10.0, 6.0),
    ),
    faults={
        "filter_clogs": Fault("the filter clogs within a day, to almost twice its resistance", hours=24.0),
        "valve_stuck": Fault("the heating valve stays where it is, whatever its command"),
        "fan_belt": Fault("the belt of the fan slips, a fifth of the flow is lost"),
        "sensor_drift": Fault("the sensor of the supply air drifts by 3 K within two days", hours=48.0),
    },
    running=lambda hours: schedule(hours) == HIGH,
    run=run,
)
"""For the table of simulations."""
