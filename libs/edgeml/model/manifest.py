"""The manifest of a model bundle, `manifest.json`: the input that the model expects and the meaning of its output."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from typing import Any, Literal

import msgspec

from edgeml.errors import BundleError

FORMAT = 1
MANIFEST = "manifest.json"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all parts of a manifest share: an unknown key is a mistake."""


class Channel(_Part, frozen=True, kw_only=True):
    """One measured quantity.

    Attributes:
        floor: the smallest standard deviation that is believed, in `unit`; keeps a nearly constant channel from exploding.
    """

    name: str
    unit: str
    floor: float = 0.0


class View(_Part, frozen=True, kw_only=True):
    """How the model sees the past: `steps` steps, each the mean of `every` rows."""

    every: int
    steps: int

    @property
    def rows(self) -> int:
        return self.every * self.steps


class Scaling(_Part, frozen=True, kw_only=True):
    """`baseline`: fitted for each asset on its first `rows` good rows; `fixed`: the numbers that stand here.

    Attributes:
        mean, std: one a channel, in its unit.
        spread: for each view, one a channel: the standard deviation of the view's steps.
    """

    kind: Literal["baseline", "fixed"]
    rows: int = 400
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    spread: tuple[tuple[float, ...], ...] = ()


class Stopped(_Part, frozen=True, kw_only=True):
    """The machine stands still while `channel` is below `below`; after a start it needs `settle_s` seconds.

    Attributes:
        for_rows: so many rows below in succession are a stop; fewer are skipped.
    """

    channel: str
    below: float
    for_rows: int = 1
    settle_s: float = 0.0


class Calibration(_Part, frozen=True, kw_only=True):
    """Confidence from score: `identity`, or straight lines between the points (scores, confidences).

    Attributes:
        scores: rising.
        confidences: as many, all rising, or all falling for a score of which less is worse, such as remaining life.
    """

    kind: Literal["identity", "table"] = "identity"
    scores: tuple[float, ...] = ()
    confidences: tuple[float, ...] = ()

    def confidence(self, score: float) -> float:
        """The confidence, 0 to 1, that belongs to a score; NaN for a score of NaN."""
        if math.isnan(score):
            return math.nan  # min and max would make a number of it
        if self.kind == "identity":
            return min(1.0, max(0.0, score))
        x, y = self.scores, self.confidences
        i = min(max(bisect_right(x, score), 1), len(x) - 1)
        part = (min(max(score, x[0]), x[-1]) - x[i - 1]) / (x[i] - x[i - 1])
        return y[i - 1] + part * (y[i] - y[i - 1])


class Digest(_Part, frozen=True, kw_only=True):
    """A file as it was when the bundle was made."""

    sha256: str
    bytes: int


class Manifest(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """`manifest.json`. A key with a default may be left out, and is left out when it has its default.

    Attributes:
        interval_s: seconds between rows.
        longest_gap_s: a longer gap between rows interrupts the window.
        min_rows: rows that the window holds before the first decision.
        rows_after_gap: rows that are wanted after a gap before the next decision, when the window held `min_rows` before it and
            the gap is no longer than it is; 0: `min_rows` again.
        smooth_rows: the score is the mean of the model's answers to so many rows up to the latest, fewer after one without a decision.
        clip: scaled values are cut at plus and minus this.
        score: what the score means, for people.
        verdict_level: the confidence from which on the model's verdict is "yes".
        prior: the share of time in which what the model looks for is there, as assumed by the confidence.
        provenance: where the model comes from: data, seed, code, versions.
        horizon: for a score that is a remaining life: confidence is the probability that it is below this, in the score's unit.
        classes: for a model that answers one probability a class: their names; the first says that nothing is wrong, and the
            score is 1 minus its probability.
    """

    format: int
    name: str
    version: str
    channels: tuple[Channel, ...]
    interval_s: float
    longest_gap_s: float
    views: tuple[View, ...]
    min_rows: int
    clip: float
    scaling: Scaling
    stopped: Stopped | None
    score: str
    verdict_level: float
    prior: float
    calibration: Calibration
    provenance: dict[str, Any]
    digests: dict[str, Digest]
    horizon: float | None = None
    classes: tuple[str, ...] = ()
    rows_after_gap: int = 0
    smooth_rows: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(channel.unit for channel in self.channels)

    @property
    def input_shape(self) -> tuple[int, int]:
        """Steps and features of the model's input."""
        return self.views[0].steps, len(self.views) * len(self.channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What the model answers: one score, or one probability a class."""
        return (len(self.classes) or 1,)

    @property
    def scaling_id(self) -> str:
        """A baseline that was learned for one bundle fits every bundle with the same id."""
        wants = [self.channels, self.interval_s, self.views, self.scaling]
        return hashlib.sha256(msgspec.json.encode(wants)).hexdigest()[:16]


class _Header(msgspec.Struct):
    format: int


def decode_manifest(text: bytes, where: str) -> Manifest:
    """The manifest in `text`; `where` names it in errors.

    Raises:
        BundleError: no JSON, another format version, a missing, unknown or wrongly typed key.
    """
    try:
        given = msgspec.json.decode(text, type=_Header).format
        if given != FORMAT:
            remedy = "update this component" if given > FORMAT else "export the model again"
            raise BundleError(f"{where}: {MANIFEST} has format {given} where format {FORMAT} is wanted; {remedy}")
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise BundleError(f"{where}: {MANIFEST}: {fault}; correct it, or export the model again") from None
