"""The machines of one run, and what each looked like in normal running before it began."""

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
"""Event seconds a second of the machines whose source waits for answers; one machine more runs at true speed and does not wait."""
FAST_MACHINES = 4
LIVE = "live"
CLOCKED = "wire"
"""A machine whose rows come from a program, and whose clock can be set; see `edgeml_cli.verify.chaos.clocked_machine`."""
CLOCKED_START_AGO_S = 6 * 3600
"""So long ago is the event time of its first row: at `SPEED` it would soon be ahead of the clock."""
FAULT_KINDS = ("valve", "imbalance", "cavitation")


@dataclass(frozen=True)
class Machine:
    """A simulated pump skid; `options` are those of its source."""

    name: str
    seed: int
    options: dict[str, Any]
    source: str = "simulator"


def machines(seed: int, seconds: float, start_time: str) -> list[Machine]:
    """Each with a fault of its own at its own time, so that alarms come all through the run."""
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
    """One of the source `simulator` that develops `fault` after `begins_s` of its `length_s`, event seconds."""
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
    """One without a fault, at the other end of a wire; `control` is made, and says when it began."""
    control.write_text(f"{time.clock_gettime_ns(time.CLOCK_BOOTTIME)} began\n")
    first_ns = from_iso(start_time) - CLOCKED_START_AGO_S * SECOND
    program = [sys.executable, str(Path(__file__).with_name("clocked_machine.py")), str(seed), str(first_ns), str(SPEED), str(control)]
    return Machine(CLOCKED, seed, {"program": program}, "jsonl")


def source_config(made: list[Machine]) -> dict[str, Any]:
    """The configuration of SensorIngestion."""
    return {"assets": {each.name: {"source": each.source, "options": each.options} for each in made}}


def learn(made: list[Machine], work: Path) -> dict[str, Baseline]:
    """What Inference would have learned of each machine before; kept where it looks for it, in its work directory."""
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
        # As Inference will read it: what a file keeps of a number is what counts.
        learned[machine.name] = kept.load(machine.name) or scorer.baseline
    return learned
