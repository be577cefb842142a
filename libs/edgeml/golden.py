"""Golden windows: a few inputs of a model, and what it answered where it was made.

`golden.json` is a file of a bundle like its model: the manifest holds its digest, so the signature covers it. A bundle made before
there were any has none. The built-in kernels give the same bits on every device, so an answer that is elsewhere tells of a runtime
or a model that is not what was judged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.bundle import GOLDEN, Bundle, save
from edgeml.engines import Engine
from edgeml.errors import BundleError

STEPS_APART = 2
"""An int8 model's answer may be so many steps of its output's scale away: rounding is all that may differ."""
FLOAT_APART = 1e-4
"""A float32 model's answer may be this share of the largest answer away."""


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input, (steps, features) float32, little-endian, and the answer to it."""

    input: bytes
    answer: tuple[float, ...]


class Golden(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`golden.json`.

    Attributes:
        within: how far an answer may be from the one that stands here.
    """

    format: Literal[1] = 1
    within: Annotated[float, Meta(gt=0)]
    windows: Annotated[tuple[Pair, ...], Meta(min_length=1, max_length=64)]


def add(folder: Path, inputs: np.ndarray, engine: Engine) -> Bundle:
    """Write golden windows into a bundle; its signature, if it had one, is gone: sign it again.

    Args:
        inputs: (n, steps, features) float32.
        engine: the bundle's, which answers them.

    Raises:
        BundleError: the bundle is not sound, or an answer is not finite.
    """
    bundle = Bundle.load(folder)
    answers = [engine.answer(each) for each in np.asarray(inputs, np.float32)]
    if not np.isfinite(answers).all():
        raise BundleError(f"{folder}: the model answers what is no number, so that nothing can be compared with it; train it again")
    within = max(STEPS_APART * engine.step, FLOAT_APART * max(1.0, float(np.abs(answers).max())))
    pairs = tuple(
        Pair(np.asarray(each, "<f4").tobytes(), tuple(map(float, answer))) for each, answer in zip(inputs, answers, strict=True)
    )
    return save(folder, bundle.manifest, bundle.model, msgspec.json.encode(Golden(within=within, windows=pairs)))


def verify(bundle: Bundle, engine: Engine) -> int:
    """Let the engine answer the bundle's golden windows; gives how many there are, 0 for a bundle without.

    Raises:
        BundleError: an answer is not the one that was given where the bundle was made, or the file is wrong.
    """
    if bundle.golden is None:
        return 0
    try:
        golden = msgspec.json.decode(bundle.golden, type=Golden)
        inputs = [np.frombuffer(pair.input, "<f4").reshape(bundle.manifest.input_shape) for pair in golden.windows]
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as fault:
        raise BundleError(f"{bundle.where}: {GOLDEN}: {fault}; export the model again") from None
    for number, (pair, features) in enumerate(zip(golden.windows, inputs, strict=True), 1):
        answer, wanted = engine.answer(features), np.array(pair.answer)
        if answer.shape != wanted.shape or not np.all(np.abs(answer - wanted) <= golden.within):
            raise BundleError(
                f"{bundle.where}: golden window {number} of {len(inputs)} is answered with {_text(answer)} where {_text(wanted)} within "
                f"{golden.within:g} is wanted; the model does not run here as it was judged: use another runtime, or export it again"
            )
    return len(inputs)


def _text(answer: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in answer)
