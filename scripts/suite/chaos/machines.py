"""The machines of one run, and what each looked like in normal running before it began."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.bundle import Bundle, match_channels
from edgeml.engines import open_engine
from edgeml.scaling import Baseline
from edgeml.scoring import AssetScorer
from edgeml.times import SECOND
from inference.baselines import Baselines
from sensor_ingestion.sources.pump import CHANNELS, PumpSkid
from suite.build import ROOT

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"
SPEED = 20.0
"""Event seconds a second of the machines whose source waits for answers; one machine more runs at true speed and does not wait."""
FAST = 4
LIVE = "live"
KINDS = ("valve", "imbalance", "cavitation")


@dataclass(frozen=True)
class Machine:
    """A simulated pump skid; `options` are those of the source `simulator`."""

    name: str
    options: dict[str, Any]


def machines(seed: int, seconds: float, start_time: str) -> list[Machine]:
    """Each with a fault of its own at its own time, so that alarms come all through the run."""
    chance = random.Random(f"machines {seed}")
    made = []
    for number in range(FAST):
        length = seconds * SPEED
        begins = length * (number + chance.uniform(0.15, 0.75)) / (FAST + 1)
        made.append(_machine(f"pump-{number + 1}", chance, SPEED, length, begins, start_time))
    made.append(_machine(LIVE, chance, 1.0, seconds, chance.uniform(0.05, 0.3) * seconds, start_time))
    return made


def _machine(name: str, chance: random.Random, speed: float, length_s: float, begins_s: float, start_time: str) -> Machine:
    return Machine(name, {
        "seed": chance.randrange(1, 1000), "speed": speed, "start_time": start_time, "duration_s": round(length_s),
        "fault": chance.choice(KINDS), "fault_start_s": round(begins_s), "fault_ramp_s": 20 if speed > 1 else 5,
    })


def source_config(made: list[Machine]) -> dict[str, Any]:
    """The configuration of SensorIngestion."""
    return {"assets": {each.name: {"source": "simulator", "options": each.options} for each in made}}


def learn(made: list[Machine], work: Path) -> dict[str, Baseline]:
    """What Inference would have learned of each machine before; kept where it looks for it, in its work directory."""
    bundle = Bundle.load(BUNDLE, None)
    kept = Baselines(work / "baselines", bundle.manifest)
    learned = {}
    for machine in made:
        scorer = AssetScorer(bundle, open_engine(bundle))
        rows = PumpSkid(machine.options["seed"]).step(bundle.manifest.scaling.rows).values
        order = match_channels(bundle, tuple(each.name for each in CHANNELS), tuple(each.unit for each in CHANNELS))
        times = np.arange(len(rows), dtype=np.int64) * SECOND
        scorer.feed(times, rows[:, order].astype(np.float32), np.zeros(rows.shape, np.uint8))
        assert scorer.baseline is not None
        kept.keep(machine.name, scorer.baseline)
        # As Inference will read it: what a file keeps of a number is what counts.
        learned[machine.name] = kept.load(machine.name) or scorer.baseline
    return learned
