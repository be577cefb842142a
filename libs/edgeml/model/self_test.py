"""Golden windows: inputs of a model, and the confidences that it led to where it was made.

`golden.json` is a file of a bundle like its model: the manifest holds its digest, so the signature covers it. A bundle made before
there were any has none.

Kernels round differently on each architecture and in each runtime, so answers are not compared bit by bit. What is compared is what a
component acts on: the confidence, smoothed and calibrated as `edgeml.model.scorer` does, and on which side of the
levels it is that decide a
verdict and an alarm. `docs/decisions/0155-golden-windows-compare-confidences.md` has the measurements behind the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.errors import BundleError
from edgeml.model.bundle import GOLDEN, Bundle, save
from edgeml.model.manifest import Manifest
from edgeml.model.runtime import Engine

FORMAT = 2
WITHIN = 0.05
"""A confidence may be so far from the one that was given where the bundle was made, or farther where `STEPS` make more of it."""
STEPS = 2
"""So many steps of an int8 output may the score be off by rounding, wherever the calibration is steep."""
MOST_WITHIN = 0.2
WITHIN_MEAN = 0.015
"""The mean over all windows of how far the confidences are apart may be so much: rounding is small on average, another model is not."""
_OLDER_WITHIN, _OLDER_WITHIN_MEAN = 0.08, 0.02
"""The same for format 1, whose windows are single answers and not means."""

_Share = Annotated[float, Meta(ge=0, le=1)]
_Bound = Annotated[float, Meta(gt=0, le=MOST_WITHIN)]


class GoldenWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of successive rows, and what came of them.

    Attributes:
        inputs: one or more, each (steps, features) int8 in units of the file's `scale`.
        score: the mean of the model's scores.
        confidence: that of the score.
        within: how far the confidence may be from it elsewhere.
    """

    inputs: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=64)]
    score: float
    confidence: _Share
    within: _Bound


class GoldenSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`golden.json`.

    Attributes:
        scale: what an input of 1 stands for.
        within_mean: how far the confidences may be on average from those given here.
        levels: confidences that decide something; a window that is more than its `within` away from one stays on its side.
    """

    format: Literal[2] = 2
    scale: Annotated[float, Meta(gt=0)]
    within_mean: _Bound
    levels: tuple[_Share, ...]
    windows: Annotated[tuple[GoldenWindow, ...], Meta(min_length=1, max_length=64)]


class _Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input, (steps, features) float32, little-endian, and the answer to it."""

    input: bytes
    answer: Annotated[tuple[float, ...], Meta(min_length=1)]


class _Older(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`golden.json` of format 1. Its bound, of raw answers, refuses good models on other architectures and is not used."""

    format: Literal[1] = 1
    within: Annotated[float, Meta(gt=0)]
    windows: Annotated[tuple[_Pair, ...], Meta(min_length=1, max_length=64)]


class _Header(msgspec.Struct):
    format: int = 1


@dataclass(frozen=True)
class _Case:
    """A window of either format: inputs (n, steps, features) float32, and the confidence that is wanted."""

    inputs: np.ndarray
    confidence: float
    within: float


@dataclass(frozen=True)
class Compared:
    """How a model judges its golden windows here.

    Attributes:
        windows: how many there are.
        largest, mean: how far the confidences are from those of the bundle.
    """

    windows: int = 0
    largest: float = 0.0
    mean: float = 0.0

    def __str__(self) -> str:
        if not self.windows:
            return "no golden windows"
        return f"{self.windows} golden windows, confidences {self.largest:.3f} apart at most and {self.mean:.3f} on average"


def levels(manifest: Manifest) -> tuple[float, ...]:
    """The confidences that decide something: the model's verdict, and an alarm by the policy's defaults."""
    policy = PolicyOptions()
    return tuple(sorted({policy.clear_at, manifest.verdict_level, policy.raise_at}))


def confidence(manifest: Manifest, engine: Engine, inputs: np.ndarray) -> tuple[float, float]:
    """The score and the confidence of the last of successive rows, (n, steps, features); NaN where an answer is not finite."""
    scores = [engine.run(each) for each in inputs]
    score = sum(scores) / len(scores)
    return (score, manifest.calibration.confidence(score)) if math.isfinite(score) else (math.nan, math.nan)


def allowed(manifest: Manifest, engine: Engine, score: float) -> float:
    """How far the confidence of a score may be off elsewhere."""
    known = manifest.calibration.confidence(score)
    steep = (abs(manifest.calibration.confidence(score + sign * STEPS * engine.step) - known) for sign in (-1, 1))
    return min(MOST_WITHIN, max(WITHIN, *steep))


def add(folder: Path, windows: Sequence[np.ndarray], scale: float, engine: Engine) -> Bundle:
    """Write golden windows into a bundle; its signature, if it had one, is gone: sign it again.

    Args:
        windows: each (n, steps, features) int8: inputs of as many successive rows as the manifest smooths over.
        scale: what an input of 1 stands for.
        engine: the bundle's, which answers them.

    Raises:
        BundleError: the bundle is not sound, or an answer is not finite.
    """
    bundle = Bundle.load(folder)
    kept = []
    for inputs in windows:
        score, known = confidence(bundle.manifest, engine, inputs * np.float32(scale))
        if not math.isfinite(known):
            raise BundleError(f"{folder}: the model's answer is not a finite number, so nothing can be compared with it; train it again")
        kept.append(GoldenWindow(tuple(each.tobytes() for each in inputs), score, known, allowed(bundle.manifest, engine, score)))
    golden = GoldenSet(scale=scale, within_mean=WITHIN_MEAN, levels=levels(bundle.manifest), windows=tuple(kept))
    return save(folder, bundle.manifest, bundle.model, msgspec.json.encode(golden))


def verify(bundle: Bundle, engine: Engine) -> Compared:
    """Let the engine judge the bundle's golden windows, forwards and then backwards; no windows for a bundle without.

    Raises:
        BundleError: a confidence is not the one that was given where the bundle was made, or depends on what was answered before, or the
            file is wrong.
    """
    if bundle.golden is None:
        return Compared()
    cases, within_mean, decide = _read(bundle, bundle.golden, engine)
    given = [confidence(bundle.manifest, engine, case.inputs)[1] for case in cases]
    again = [confidence(bundle.manifest, engine, case.inputs)[1] for case in reversed(cases)][::-1]
    remedy = "the model does not run here as it was judged: use another runtime, or export it again"
    for number, (case, here, later) in enumerate(zip(cases, given, again, strict=True), 1):
        which = f"{bundle.where}: golden window {number} of {len(cases)} has the confidence"
        if not abs(here - case.confidence) <= case.within:
            crossed = [f"{level:g}" for level in decide if (here >= level) != (case.confidence >= level)]
            beyond = f" (across the level {' and '.join(crossed)})" if crossed else ""
            raise BundleError(f"{which} {here:.4g} where {case.confidence:.4g} within {case.within:.4g} is wanted{beyond}; {remedy}")
        if here != later:
            raise BundleError(
                f"{which} {here:.6g} and then {later:.6g}: the model keeps a state or draws random numbers, so a verdict would depend on "
                "other assets; export it without"
            )
    apart = [abs(here - case.confidence) for case, here in zip(cases, given, strict=True)]
    compared = Compared(len(cases), max(apart), sum(apart) / len(apart))
    if compared.mean > within_mean:
        raise BundleError(
            f"{bundle.where}: {len(cases)} golden windows have confidences that are {compared.mean:.4g} off on average where "
            f"{within_mean:g} is allowed; {remedy}"
        )
    return compared


def _read(bundle: Bundle, text: bytes, engine: Engine) -> tuple[list[_Case], float, tuple[float, ...]]:
    """The windows of either format, the bound of their mean, and the levels."""
    manifest = bundle.manifest
    try:
        given = msgspec.json.decode(text, type=_Header).format
        if given > FORMAT:
            raise BundleError(f"{bundle.where}: {GOLDEN} has format {given} where up to {FORMAT} is known; update this component")
        if given == FORMAT:
            golden = msgspec.json.decode(text, type=GoldenSet)
            scale = np.float32(golden.scale)
            cases = []
            for window in golden.windows:
                inputs = np.stack([np.frombuffer(each, np.int8).reshape(manifest.input_shape) for each in window.inputs])
                cases.append(_Case(inputs * scale, window.confidence, window.within))
            return cases, golden.within_mean, golden.levels
        older = msgspec.json.decode(text, type=_Older)
        cases = []
        for pair in older.windows:
            inputs = np.frombuffer(pair.input, "<f4").reshape(1, *manifest.input_shape)
            if len(pair.answer) != manifest.output_shape[0]:
                raise ValueError(f"an answer has {len(pair.answer)} numbers where {manifest.output_shape[0]} are wanted")
            score = engine.score(np.array(pair.answer))
            within = max(_OLDER_WITHIN, allowed(manifest, engine, score))
            cases.append(_Case(inputs, manifest.calibration.confidence(score), within))
        return cases, _OLDER_WITHIN_MEAN, levels(manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        raise BundleError(f"{bundle.where}: {GOLDEN}: {fault}; export the model again") from None
