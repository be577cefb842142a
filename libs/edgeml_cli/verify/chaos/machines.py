"""The machines of one run, and their baselines from normal operation before the run."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.baseline import Baseline
from edgeml.model.bundle import Bundle, match_channels
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer
from edgeml.timestamps import SECOND, from_iso
from edgeml_cli.build.package import ROOT
from inference.baseline_files import BaselineFiles
from sensor_ingestion.sources.pump_physics import CHANNELS, PumpSkid

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"
SPEED = 20.0
"""Seconds of event time per second for machines whose source waits for results; one more machine runs in real time without waiting."""
FAST_MACHINES = 4
LIVE = "live"
CLOCKED = "wire"
"""Name of the machine whose rows come from a program and whose clock can be set; see `edgeml_cli.verify.chaos.clocked_machine`."""
CLOCKED_START_AGO_S = 6 * 3600
"""Age of its first row: at `SPEED`, later event times would soon be ahead of the wall clock."""
FAULT_KINDS = ("valve", "imbalance", "cavitation")


@dataclass(frozen=True)
class Machine:
    """A simulated pump skid; `options` configure its source."""

    name: str
    seed: int
    options: dict[str, Any]
    source: str = "simulator"


def machines(seed: int, seconds: float, start_time: str) -> list[Machine]:
    """Machines with faults at different times, so that alarms are raised throughout the run."""
    chance = random.Random(f"machines {seed}")
    made = []
    for number in range(FAST_MACHINES):
        length = seconds * SPEED
        begins = length * (number + chance.uniform(0.15, 0.75)) / (FAST_MACHINES + 1)
        made.append(_machine(f"pump-{number + 1}", chance, SPEED, length, begins, start_time))
    made.append(_machine(LIVE, chance, 1.0, seconds, chance.uniform(0.05, 0.3) * seconds, start_time))
    return made


def _machine(name: str, chance: random.Random, speed: float, length_s: float, begins_s: float, start_time: str) -> Machine:
    return simulated(name, chance.randrange(1, 1000), speed, length_s, begins_s, start_time, chance.choice(FAULT_KINDS))


def simulated(name: str, seed: int, speed: float, length_s: float, begins_s: float, start_time: str, fault: str) -> Machine:
    """A machine of the source `simulator` with a fault from `begins_s` of its `length_s` on, in seconds of event time."""
    return Machine(
        name,
        seed,
        {
            "seed": seed,
            "speed": speed,
            "start_time": start_time,
            "duration_s": round(length_s),
            "fault": fault,
            "fault_start_s": round(begins_s),
            "fault_ramp_s": 20 if speed > 1 else 5,
        },
    )


def clocked(seed: int, start_time: str, control: Path) -> Machine:
    """A machine without a fault, run by a program; creates `control`, which contains the start time."""
    control.write_text(f"{time.clock_gettime_ns(time.CLOCK_BOOTTIME)} began\n")
    first_ns = from_iso(start_time) - CLOCKED_START_AGO_S * SECOND
    program = [sys.executable, str(Path(__file__).with_name("clocked_machine.py")), str(seed), str(first_ns), str(SPEED), str(control)]
    return Machine(CLOCKED, seed, {"program": program}, "jsonl")


def source_config(made: list[Machine]) -> dict[str, Any]:
    """The configuration of SensorIngestion."""
    return {"assets": {each.name: {"source": each.source, "options": each.options} for each in made}}


def learn(made: list[Machine], work: Path) -> dict[str, Baseline]:
    """Learn the baseline of each machine and store it in Inference's work directory."""
    bundle = Bundle.load(BUNDLE, None)
    kept = BaselineFiles(work / "baselines", bundle.manifest)
    learned = {}
    for machine in made:
        scorer = AssetScorer(bundle, open_engine(bundle))
        rows = PumpSkid(machine.seed).step(bundle.manifest.scaling.rows).values
        order = match_channels(bundle, tuple(each.name for each in CHANNELS), tuple(each.unit for each in CHANNELS))
        times = np.arange(len(rows), dtype=np.int64) * SECOND
        scorer.feed(times, rows[:, order].astype(np.float32), np.zeros(rows.shape, np.uint8))
        assert scorer.baseline is not None
        kept.keep(machine.name, scorer.baseline)
        # Use the stored baseline, because Inference reads it with the precision of the file.
        learned[machine.name] = kept.load(machine.name) or scorer.baseline
    return learned
