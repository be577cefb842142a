"""Learn a model from the rows of a history: fit it, set its level, and describe it in a manifest."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import msgspec
import numpy as np

from edgeml.model import bundle as bundles
from edgeml.model.manifest import FORMAT, Digest, Manifest, Reference, View
from model_training.evaluation import metrics
from model_training.history import History
from model_training.machine import candidates, confidence, fitting, missing_values, relations
from model_training.machine import series as rows_of
from model_training.machine.budget import PROMISE, Budget, describe
from model_training.machine.candidates import Candidates
from model_training.machine.fitting import Fit
from model_training.machine.layout import FEW_CHANNELS, MIN_ROWS, MIN_ROWS_OF_MANY, Layout
from model_training.machine.series import Series
from model_training.source_digest import digest
from model_training.training_request import TrainingError

VERSION = "1.0.0"
CLIP = 20.0
HOLD_REFERENCES = 4
"""References of a fault's duration after which the new state is accepted as normal."""
CLEAR_ROWS, COOLDOWN_ROWS = 4, 16


@dataclass(frozen=True)
class Promise:
    """The budget that the model keeps.

    Attributes:
        rows: rows from one false alarm to the next, on average.
        level: scaled score at which an alarm is raised.
        kept: whether it is the budget that was asked for.
        sentence: for people.
    """

    rows: float
    level: float
    kept: bool
    sentence: str


@dataclass(frozen=True)
class Machine:
    """A trained model, and what it was trained on."""

    history: History
    series: Series
    manifest: Manifest
    fit: Fit
    promise: Promise


def learn(history: History, series: Series, name: str, budget: Budget, seed: int, log: Callable[[str], None]) -> Machine:
    """Fit the model on rows of a history, and set its level.

    Args:
        series: the rows, all or the first ones of the history.
        log: receives a line for each step.

    Raises:
        TrainingError: the history is too short, or has no normal rows.
    """
    context = [place for place, channel in enumerate(history.channels) if channel.role == "context"]
    measured = [place for place in range(len(history.channels)) if place not in context]
    _check(history, series, measured)
    layout = Layout.of(max(int(series.normal[first:end].sum()) for first, end in series.parts()))
    channels, scaling = rows_of.scaling(history, series)
    deviations = np.clip((series.values - scaling.mean) / scaling.std, -CLIP, CLIP)
    proposed = candidates.propose(deviations, context, series.span_s, history.interval_s)
    manifest = Manifest(
        format=FORMAT,
        name=name,
        version=VERSION,
        channels=channels,
        interval_s=history.interval_s,
        longest_gap_s=rows_of.GAP_INTERVALS * history.interval_s,
        views=tuple(View(every=scale, steps=1) for scale in layout.scales),
        min_rows=1,
        clip=CLIP,
        scaling=scaling,
        stopped=None,
        score="",
        verdict_level=confidence.ACT_AT,
        prior=0.5,
        calibration=confidence.calibration(1.0),
        provenance={},
        digests={bundles.MODEL: Digest(sha256="", bytes=0)},
        columns=tuple(proposed.columns),
        reference=Reference(
            rows=layout.reference,
            delay=layout.delay,
            hold_at=confidence.ACT_AT,
            hold_rows=HOLD_REFERENCES * layout.reference,
            min_rows=layout.min_reference,
        ),
        explains=True,
        context=tuple(history.channels[place].name for place in context),
    )
    log(f"{_rows(len(series))}; scales of {', '.join(map(str, layout.scales))} rows")
    columns = rows_of.evaluate_columns(manifest, series)
    weights = missing_values.weights(series.rows(columns), measured, proposed, layout)
    manifest = msgspec.structs.replace(manifest, imputation=_tuples(weights))
    complete = missing_values.fill(series, manifest)
    if complete is not series:
        columns = rows_of.evaluate_columns(manifest, complete)
    fit = fitting.fit(series.rows(columns), len(channels), measured, proposed.groups, proposed.shapes, layout)
    for sentence in fit.sentences:
        log(sentence)
    for sentence in aside(series, fit):
        log(sentence)
    promise = promised(budget, fit, history.interval_s)
    log(promise.sentence)
    manifest, fit = _without_unused(manifest, fit, proposed)
    manifest = msgspec.structs.replace(
        manifest,
        score="How unlikely the row is in normal running, on the scale of a Gumbel distribution: one more divides the rate of normal rows "
        f"by e. {promise.level:.2f} is the level of the false-alarm budget.",
        calibration=confidence.calibration(promise.level, confidence.steepness(_normal_scores(fit), promise.level)),
        relations=relations.partners(fit, manifest.columns, measured, len(channels)),
        policy=policy(history.interval_s),
        provenance=_provenance(history, series, fit, promise, seed),
    )
    return Machine(history, series, manifest, fit, promise)


def promised(budget: Budget, fit: Fit, interval_s: float) -> Promise:
    """The budget, or the tightest one that the history can promise."""
    known = int(fit.accepted.sum())
    wanted, most = budget.in_rows(interval_s), float(PROMISE * known)
    if wanted < fit.tail.block:
        raise TrainingError(
            f"--budget {budget.text!r} is one alarm in {wanted:.3g} rows; write one in at least {fit.tail.block} rows, "
            f"{describe(fit.tail.block * interval_s)}"
        )
    rows = min(wanted, most)
    level = fit.tail.level(rows)
    if wanted <= most:
        return Promise(rows, level, True, f"false-alarm budget: {budget.text} and asset, one in {rows:.0f} rows")
    return Promise(
        rows,
        level,
        False,
        f"{known} rows of history cannot promise {budget.text}, only {describe(rows * interval_s)} (one in {rows:.0f} rows), "
        f"to which the model is set; train again with {describe_rows(wanted / PROMISE, interval_s)} of history",
    )


def describe_rows(rows: float, interval_s: float) -> str:
    """A number of rows as a time, for people."""
    return describe(rows * interval_s).removeprefix("1 per ")


def policy(interval_s: float) -> dict[str, int | float]:
    """The alarm policy with which the budget holds: the level itself, and no second alarm for what follows one."""
    return {
        "votes": 1,
        "of": 1,
        "hold_s": 0,
        "clear_hold_s": round((CLEAR_ROWS - 1) * interval_s, 6),
        "cooldown_s": round(COOLDOWN_ROWS * interval_s, 6),
        "settle_s": 0,
    }


def aside(series: Series, fit: Fit) -> list[str]:
    """A sentence for each stretch of the history that was set aside."""
    out = series.normal & ~fit.accepted
    sentences = []
    for rows in metrics.episodes(out):
        begin, last = series.times[rows][[0, -1]].astype("datetime64[ns]").astype("datetime64[s]")
        sentences.append(f"set aside as not normal: {begin} to {last}, {_rows(rows.stop - rows.start)}")
    return sentences


def _normal_scores(fit: Fit) -> np.ndarray:
    """Scaled scores of the accepted rows with a decision, (n,)."""
    return fit.held_out[fit.accepted & np.isfinite(fit.held_out)]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _check(history: History, series: Series, measured: list[int]) -> None:
    where = history.files[0].file
    if not measured:
        raise TrainingError(f"{where}: all channels are context, and none can be a fault; give one the role `measured` in the spec")
    normal = int(series.normal.sum())
    if not normal:
        raise TrainingError(f"{where}: all {len(series)} rows are marked as faults; a model needs rows of normal running")
    longest = max(int(series.normal[first:end].sum()) for first, end in series.parts())
    least = MIN_ROWS if len(history.channels) <= FEW_CHANNELS else MIN_ROWS_OF_MANY
    if longest < least:
        count = len(history.channels)
        raise TrainingError(
            f"{where}: {longest} rows of normal running in one stretch are too few for {count} channels; at least {least} are needed"
        )


def _without_unused(manifest: Manifest, fit: Fit, proposed: Candidates) -> tuple[Manifest, Fit]:
    """Leave out derived columns that explain nothing, except those that others are derived from."""
    c = proposed.channels
    weights = np.array(manifest.imputation)
    used = {place for place in range(c, len(fit.matrix)) if fit.matrix[place].any() or weights[:, place].any()}
    for place in sorted(used, reverse=True):
        source = getattr(manifest.columns[place - c], "column", None) if place >= c else None
        if source is not None and source >= c:
            used.add(source)
    kept = [*range(c), *sorted(place for place in used if place >= c)]
    number = {place: at for at, place in enumerate(kept)}
    columns = tuple(
        msgspec.structs.replace(column, column=number[column.column]) if hasattr(column, "column") else column
        for column in (manifest.columns[place - c] for place in kept[c:])
    )
    pruned = msgspec.structs.replace(manifest, columns=columns, imputation=_tuples(weights[:, kept]))
    return pruned, dataclasses.replace(fit, matrix=fit.matrix[kept])


def _tuples(weights: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, weights.tolist()))


def _provenance(history: History, series: Series, fit: Fit, promise: Promise, seed: int) -> dict[str, object]:
    data = hashlib.sha256()
    for part in (series.times, series.values, series.normal):
        data.update(np.ascontiguousarray(part).tobytes())
    return {
        "files": [PurePath(each.file).name for each in history.files],
        "data": data.hexdigest(),
        "rows": len(series),
        "set_aside": int((series.normal & ~fit.accepted).sum()),
        "budget_rows": round(promise.rows),
        "explained_by": [group.name for group in fit.groups],
        "seed": seed,
        "code": digest(__package__),
        "weights": "float32",
    }
