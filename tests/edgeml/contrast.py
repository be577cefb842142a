"""A small model of contrasts without a network, and a slow computation of its input from the definitions in the manifest's docstrings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from edgeml.model.bundle import Bundle, assemble
from edgeml.model.manifest import (
    FORMAT,
    Calibration,
    Channel,
    CycleColumn,
    HingeColumn,
    LagColumn,
    Manifest,
    Reference,
    Scaling,
    View,
)

SECOND = 1_000_000_000
MONDAY = 4 * 86_400 * SECOND
MANIFEST = Manifest(
    format=FORMAT,
    name="contrast",
    version="1.0.0",
    channels=tuple(Channel(name=name, unit="1") for name in ("current", "flow", "pressure", "setpoint")),
    interval_s=1.0,
    longest_gap_s=5.0,
    views=(View(every=1, steps=1), View(every=4, steps=1), View(every=16, steps=1)),
    min_rows=4,
    clip=20.0,
    scaling=Scaling(kind="fixed", mean=(5.0, 30.0, 2.0, 50.0), std=(0.5, 2.0, 0.25, 10.0)),
    stopped=None,
    score="the largest contrast of the shortest view",
    verdict_level=0.5,
    prior=0.5,
    calibration=Calibration(kind="table", scores=(0.0, 3.0, 6.0), confidences=(0.0, 0.5, 1.0)),
    provenance={},
    digests={},
    columns=(
        CycleColumn(period_s=60.0, harmonic=2, phase="cos", offset_s=7.0),
        HingeColumn(channel=0, at=0.5),
        LagColumn(column=1, rows=5.0),
        LagColumn(column=6, rows=3.0),
    ),
    reference=Reference(rows=30, delay=20, hold_at=0.6, hold_rows=25, min_rows=10),
    explains=True,
    relations=((1,), (0, 2), (1,), ()),
    context=("setpoint",),
)


def contrast(**changes: Any) -> Bundle:
    """The small bundle with some keys of its manifest changed; its model is no network."""
    return assemble(msgspec.structs.replace(MANIFEST, **changes), b"no network")


class Contrasts:
    """Scores the contrast of the view number `view`: its level is that, the relation of a channel its difference from the next one's.

    Attributes:
        inputs: every input.
    """

    def __init__(self, manifest: Manifest = MANIFEST, view: int = 0) -> None:
        self._c, self._f, self._view = len(manifest.channels), len(manifest.channels) + len(manifest.columns), view
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        return float(self.explain(features)[0])

    def explain(self, features: np.ndarray) -> np.ndarray:
        self.inputs.append(features.copy())
        stretches = features.reshape(-1, self._f)
        level = (stretches[self._view] - stretches[-1])[: self._c]
        relation = level - np.roll(level, -1)
        return np.concatenate([[np.abs(level).max()], level, relation])


def normal(n: int, seed: int = 0, start: int = MONDAY) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n good rows, a second apart: times, values, quality."""
    noise = np.random.default_rng(seed).normal(0, 1, (n, 4)).clip(-2, 2)
    values = np.array(MANIFEST.scaling.mean) + noise * np.array(MANIFEST.scaling.std)
    return start + np.arange(n, dtype=np.int64) * SECOND, values.astype(np.float32), np.zeros((n, 4), np.uint8)


def slow_columns(
    manifest: Manifest,
    times: Sequence[int],
    values: np.ndarray,
    good: np.ndarray,
    impute: Callable[[list[float]], list[float]] | None = None,
) -> Iterator[np.ndarray]:
    """Yield rows of F columns by the definitions, one value at a time; NaN where faulty. All rows are of one epoch.

    Args:
        impute: returns the channels of a row with faulty ones, all known.
    """
    clip, states, last = manifest.clip, dict[int, float](), dict[int, float]()
    for time, row, sound in zip(times, values.tolist(), good, strict=True):
        z = [
            _rounded(min(clip, max(-clip, (x - mean) / std))) if ok else math.nan
            for x, mean, std, ok in zip(row, manifest.scaling.mean, manifest.scaling.std, sound, strict=True)
        ]
        if impute is not None:
            for number, name in enumerate(manifest.names):
                if name in manifest.context:
                    last[number] = last.get(number, math.nan) if math.isnan(z[number]) else z[number]
                    z[number] = last[number]
            if not all(map(math.isfinite, z)):
                z = impute(_columns(manifest, time, z, dict(states)))
        yield np.array(_columns(manifest, time, z, states))


def _columns(manifest: Manifest, time: int, z: list[float], states: dict[int, float]) -> list[float]:
    """The columns of a row; `states` of the lags are updated."""
    columns = list(z)
    for number, column in enumerate(manifest.columns, len(z)):
        if isinstance(column, CycleColumn):
            turns = ((time - MONDAY) / SECOND + column.offset_s) / column.period_s * column.harmonic
            wave = math.sin if column.phase == "sin" else math.cos
            columns.append(_rounded(wave(2 * math.pi * turns)))
        elif isinstance(column, HingeColumn):
            x = columns[column.channel]
            columns.append(x if math.isnan(x) else _rounded(max(0.0, x - column.at)))
        else:
            x = columns[column.column]
            if math.isnan(x):
                columns.append(x)
                continue
            before = states.get(number, x)
            states[number] = before + (x - before) / column.rows
            columns.append(_rounded(states[number]))
    return columns


def slow_imputed(manifest: Manifest, row: list[float], reference: Sequence[float]) -> list[float]:
    """The channels of a row of columns with unknown ones, by the definition of `imputation`."""
    c = len(manifest.channels)
    for number, name in enumerate(manifest.names):
        if name in manifest.context and math.isnan(row[number]):
            row[number] = _rounded(reference[number])
    unknown = [number for number in range(c) if math.isnan(row[number])]
    hinges = {number: column for number, column in enumerate(manifest.columns, c) if isinstance(column, HingeColumn)}
    away = [0.0 if math.isnan(x) else x - base for x, base in zip(row, reference, strict=True)]
    found = list(row[:c])
    for _ in range(3):
        right = [sum(weight * away[at] for at, weight in enumerate(manifest.imputation[number]) if at not in unknown) for number in unknown]
        among = [[float(one == other) - manifest.imputation[one][other] for other in unknown] for one in unknown]
        for number, value in zip(unknown, np.linalg.solve(among, right).tolist(), strict=True):
            found[number] = _rounded(min(manifest.clip, max(-manifest.clip, reference[number] + value)))
        for number, column in hinges.items():
            if column.channel in unknown:
                away[number] = _rounded(max(0.0, found[column.channel] - column.at)) - reference[number]
    return found


def _rounded(x: float) -> float:
    return round(x * 65536) / 65536


class SlowContrast:
    """The rows of one epoch, and the definitions of `Manifest` and `Reference` applied to all of them for each input."""

    def __init__(self, manifest: Manifest) -> None:
        assert manifest.reference is not None
        self._manifest, self._options = manifest, manifest.reference
        self._rows: list[np.ndarray] = []
        self._confidences: list[float] = []
        self._accepted: list[np.ndarray] = []
        self._begin = self._due_from = self._held = 0
        self._latest = math.nan

    def interrupt(self) -> None:
        self._begin = len(self._rows)

    def push(self, row: np.ndarray) -> None:
        due = len(self._rows) - self._options.delay
        if due >= self._due_from and not (self._confidences[due] >= self._options.hold_at or self._latest >= self._options.hold_at):
            self._accepted.append(self._rows[due])
        self._rows.append(row)
        self._confidences.append(math.nan)

    def decided(self, confidence: float) -> None:
        self._confidences[-1] = self._latest = confidence
        self._held = self._held + 1 if confidence >= self._options.hold_at else 0
        if self._options.hold_rows and self._held >= self._options.hold_rows:
            self._accepted = self._rows[-self._options.delay :]
            self._due_from, self._held, self._latest = len(self._rows), 0, math.nan

    @property
    def ready(self) -> bool:
        return len(self._accepted) >= self._options.min_rows and len(self._rows) - self._begin >= self._manifest.min_rows

    def reference(self) -> list[float]:
        """The mean of each column, NaN if it is not known."""
        reference = []
        for number in range(len(self._manifest.channels) + len(self._manifest.columns)):
            known = [row[number] for row in self._accepted[-self._options.rows :] if not math.isnan(row[number])]
            reference.append(math.fsum(known) / len(known) if 2 * len(known) >= self._options.min_rows else math.nan)
        return reference

    def features(self) -> np.ndarray:
        reference = self.reference()
        parts = []
        for view in self._manifest.views:
            span = self._rows[self._begin :][-view.every :]
            for number, base in enumerate(reference):
                known = [row[number] for row in span if not math.isnan(row[number])]
                whole = len(span) == view.every and 2 * len(known) >= view.every and not math.isnan(base)
                parts.append(math.fsum(known) / len(known) if whole else base)
        return np.nan_to_num(np.array([*parts, *reference]))[None].astype(np.float32)
