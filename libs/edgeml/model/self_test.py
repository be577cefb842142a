"""Golden windows: inputs of a model, and the confidences that it gave on the training machine.

`golden.json` is a file of a bundle like its model: the manifest holds its digest, so the signature covers it. Older
bundles have no golden windows.

Kernels round differently on each architecture and in each runtime, so outputs are not compared bit by bit. The self-test
compares the confidence, smoothed and calibrated as `edgeml.model.scorer` does, because components act on it: on its side of the
levels that decide a verdict and an alarm. `docs/decisions/0155-golden-windows-compare-confidences.md` has the
measurements behind the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.errors import BundleError
from edgeml.model.bundle import GOLDEN, Bundle, save
from edgeml.model.manifest import Manifest
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.runtime import Engine

FORMAT = 3
TYPES: dict[int, np.dtype[Any]] = {2: np.dtype("i1"), 3: np.dtype("<i2")}
"""Format of `golden.json` -> type of its inputs. A model of contrasts subtracts nearly equal numbers, for which int8 is too coarse."""
WITHIN = 0.05
"""Maximum difference of a confidence from that of the training machine, unless `STEPS` allow more."""
STEPS = 2
"""Steps of an int8 output by which rounding may change the score; they matter where the calibration is steep."""
MAX_WITHIN = 0.2
WITHIN_MEAN = 0.015
"""Maximum mean difference over all windows: rounding is small on average, the difference of another model is not."""
_OLDER_WITHIN, _OLDER_WITHIN_MEAN = 0.08, 0.02
"""The same for format 1, whose windows are single outputs and not means."""

_Share = Annotated[float, Meta(ge=0, le=1)]
_Bound = Annotated[float, Meta(gt=0, le=MAX_WITHIN)]


class GoldenWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of successive rows, and the confidence that they led to.

    Attributes:
        inputs: one or more, each (steps, features) of the format's type, in units of the file's `scale`.
        score: the mean of the model's scores.
        confidence: that of the score.
        within: maximum difference of the confidence on another machine.
    """

    inputs: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=64)]
    score: float
    confidence: _Share
    within: _Bound


class GoldenSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`golden.json`.

    Attributes:
        format: see `TYPES`.
        scale: value of an input of 1.
        within_mean: maximum mean difference from these confidences.
        levels: confidences that decide a verdict or an alarm; a window farther than its `within` from one stays on its side.
    """

    format: Literal[2, 3] = 2
    scale: Annotated[float, Meta(gt=0)]
    within_mean: _Bound
    levels: tuple[_Share, ...]
    windows: Annotated[tuple[GoldenWindow, ...], Meta(min_length=1, max_length=64)]


class _Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input, (steps, features) float32, little-endian, and its output."""

    input: bytes
    answer: Annotated[tuple[float, ...], Meta(min_length=1)]


class _Older(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`golden.json` of format 1. Its bound, of raw outputs, refuses good models on other architectures and is not used."""

    format: Literal[1] = 1
    within: Annotated[float, Meta(gt=0)]
    windows: Annotated[tuple[_Pair, ...], Meta(min_length=1, max_length=64)]


class _Header(msgspec.Struct):
    format: int = 1


@dataclass(frozen=True)
class _Case:
    """A window of any format: inputs (n, steps, features) float32, and the expected confidence."""

    inputs: np.ndarray
    confidence: float
    within: float


@dataclass(frozen=True)
class SelfTestResult:
    """Result of the self-test on this machine.

    Attributes:
        windows: number of golden windows.
        largest, mean: differences of the confidences from those of the bundle.
    """

    windows: int = 0
    largest: float = 0.0
    mean: float = 0.0

    def __str__(self) -> str:
        if not self.windows:
            return "no golden windows"
        return f"{self.windows} golden windows, confidences differ by at most {self.largest:.3f} and {self.mean:.3f} on average"


def levels(manifest: Manifest) -> tuple[float, ...]:
    """The confidences that decide the model's verdict, and an alarm with the model's policy."""
    policy = effective_policy(manifest)
    return tuple(sorted({policy.clear_at, manifest.verdict_level, policy.raise_at}))


def confidence(manifest: Manifest, engine: Engine, inputs: np.ndarray) -> tuple[float, float]:
    """The score and the confidence of the last of successive rows, (n, steps, features); NaN if an output is not finite."""
    scores = [engine.run(each) for each in inputs]
    score = sum(scores) / len(scores)
    return (score, manifest.calibration.confidence(score)) if math.isfinite(score) else (math.nan, math.nan)


def allowed(manifest: Manifest, engine: Engine, score: float) -> float:
    """Maximum difference of the confidence of a score on another machine."""
    known = manifest.calibration.confidence(score)
    steep = (abs(manifest.calibration.confidence(score + sign * STEPS * engine.step) - known) for sign in (-1, 1))
    return min(MAX_WITHIN, max(WITHIN, *steep))


def add(folder: Path, windows: Sequence[np.ndarray], scale: float, engine: Engine) -> Bundle:
    """Write golden windows into a bundle. This removes its signature: sign it again.

    Args:
        windows: each (n, steps, features) int8, or all int16: inputs of as many successive rows as the manifest smooths over.
        scale: value of an input of 1.
        engine: the engine of the bundle's model.

    Raises:
        BundleError: the bundle is invalid, or an output is not finite.
    """
    bundle = Bundle.load(folder)
    format_: Literal[2, 3] = 3 if any(each.dtype == np.int16 for each in windows) else 2
    golden_windows = []
    for inputs in windows:
        score, known = confidence(bundle.manifest, engine, inputs * np.float32(scale))
        if not math.isfinite(known):
            raise BundleError(f"{folder}: the model's output is not a finite number and cannot be compared; train it again")
        golden_windows.append(
            GoldenWindow(
                tuple(each.astype(TYPES[format_]).tobytes() for each in inputs), score, known, allowed(bundle.manifest, engine, score)
            )
        )
    deciding = levels(bundle.manifest)
    golden = GoldenSet(format=format_, scale=scale, within_mean=WITHIN_MEAN, levels=deciding, windows=tuple(golden_windows))
    return save(folder, bundle.manifest, bundle.model, msgspec.json.encode(golden))


def verify(bundle: Bundle, engine: Engine) -> SelfTestResult:
    """Score the bundle's golden windows, forwards and then backwards. A bundle without any has a result of 0 windows.

    Raises:
        BundleError: a confidence differs from that of the training machine, or depends on earlier inputs, or the file is invalid.
    """
    if bundle.golden is None:
        return SelfTestResult()
    cases, within_mean, deciding = _read(bundle, bundle.golden, engine)
    first = [confidence(bundle.manifest, engine, case.inputs)[1] for case in cases]
    again = [confidence(bundle.manifest, engine, case.inputs)[1] for case in reversed(cases)][::-1]
    remedy = "the model does not run here as it was evaluated: use another runtime, or export it again"
    for number, (case, here, later) in enumerate(zip(cases, first, again, strict=True), 1):
        which = f"{bundle.where}: golden window {number} of {len(cases)} has the confidence"
        if not abs(here - case.confidence) <= case.within:
            crossed = [f"{level:g}" for level in deciding if (here >= level) != (case.confidence >= level)]
            beyond = f" (across the level {' and '.join(crossed)})" if crossed else ""
            raise BundleError(f"{which} {here:.4g}, expected {case.confidence:.4g} within {case.within:.4g}{beyond}; {remedy}")
        if here != later:
            raise BundleError(
                f"{which} {here:.6g} and then {later:.6g}: the model keeps a state or draws random numbers, so a verdict would depend on "
                "other assets; export it without them"
            )
    differences = [abs(here - case.confidence) for case, here in zip(cases, first, strict=True)]
    result = SelfTestResult(len(cases), max(differences), sum(differences) / len(differences))
    if result.mean > within_mean:
        raise BundleError(
            f"{bundle.where}: {len(cases)} golden windows have confidences that differ by {result.mean:.4g} on average, expected "
            f"at most {within_mean:g}; {remedy}"
        )
    return result


def _read(bundle: Bundle, text: bytes, engine: Engine) -> tuple[list[_Case], float, tuple[float, ...]]:
    """The windows of any format, the bound of their mean, and the levels."""
    manifest = bundle.manifest
    try:
        found = msgspec.json.decode(text, type=_Header).format
        if found > FORMAT:
            raise BundleError(f"{bundle.where}: {GOLDEN} has format {found}; this component supports up to {FORMAT}; update it")
        if found in TYPES:
            golden = msgspec.json.decode(text, type=GoldenSet)
            scale = np.float32(golden.scale)
            cases = []
            for window in golden.windows:
                inputs = np.stack([np.frombuffer(each, TYPES[found]).reshape(manifest.input_shape) for each in window.inputs])
                cases.append(_Case(inputs * scale, window.confidence, window.within))
            return cases, golden.within_mean, golden.levels
        older = msgspec.json.decode(text, type=_Older)
        cases = []
        for pair in older.windows:
            inputs = np.frombuffer(pair.input, "<f4").reshape(1, *manifest.input_shape)
            if len(pair.answer) != manifest.output_shape[0]:
                raise ValueError(f"an output has {len(pair.answer)} numbers, expected {manifest.output_shape[0]}")
            score = engine.score(np.array(pair.answer))
            within = max(_OLDER_WITHIN, allowed(manifest, engine, score))
            cases.append(_Case(inputs, manifest.calibration.confidence(score), within))
        return cases, _OLDER_WITHIN_MEAN, levels(manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        raise BundleError(f"{bundle.where}: {GOLDEN}: {fault}; export the model again") from None
