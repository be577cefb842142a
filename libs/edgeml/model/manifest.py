"""The manifest of a model bundle, `manifest.json`: the input that the model expects and the meaning of its output."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from typing import Any, Literal

import msgspec

from edgeml.errors import BundleError

FORMAT = 2
OLDER_FORMAT = 1
"""The format of manifests without the keys of `NEWER_KEYS`; components of earlier versions read it."""
NEWER_KEYS = ("columns", "reference", "explains", "relations", "context", "policy", "imputation")
MANIFEST = "manifest.json"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a manifest: unknown keys are refused."""


class Channel(_Part, frozen=True, kw_only=True):
    """One measured quantity.

    Attributes:
        floor: lower bound of the standard deviation, in `unit`; keeps the deviations of a nearly constant channel finite.
    """

    name: str
    unit: str
    floor: float = 0.0


class View(_Part, frozen=True, kw_only=True):
    """A resolution of the model's input: `steps` steps, each the mean of `every` rows."""

    every: int
    steps: int

    @property
    def rows(self) -> int:
        return self.every * self.steps


class Scaling(_Part, frozen=True, kw_only=True):
    """`baseline`: fitted for each asset on its first `rows` good rows; `fixed`: the numbers of this manifest.

    Attributes:
        mean, std: one per channel, in its unit.
        spread: for each view, one per channel: the standard deviation of the view's steps.
    """

    kind: Literal["baseline", "fixed"]
    rows: int = 400
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    spread: tuple[tuple[float, ...], ...] = ()


class Stopped(_Part, frozen=True, kw_only=True):
    """The machine stands still while `channel` is below `below`; after a start it needs `settle_s` seconds.

    Attributes:
        for_rows: number of successive rows below that count as a stop; fewer are skipped.
    """

    channel: str
    below: float
    for_rows: int = 1
    settle_s: float = 0.0


class Calibration(_Part, frozen=True, kw_only=True):
    """The mapping from score to confidence: `identity`, or linear interpolation between the points (scores, confidences).

    Attributes:
        scores: increasing.
        confidences: as many; increasing, or decreasing for a score of which less is worse, such as remaining life.
    """

    kind: Literal["identity", "table"] = "identity"
    scores: tuple[float, ...] = ()
    confidences: tuple[float, ...] = ()

    def confidence(self, score: float) -> float:
        """The confidence of a score, 0 to 1; NaN for a score of NaN."""
        if math.isnan(score):
            return math.nan  # min and max would turn it into a number
        if self.kind == "identity":
            return min(1.0, max(0.0, score))
        x, y = self.scores, self.confidences
        i = min(max(bisect_right(x, score), 1), len(x) - 1)
        part = (min(max(score, x[0]), x[-1]) - x[i - 1]) / (x[i] - x[i - 1])
        return y[i - 1] + part * (y[i] - y[i - 1])


class CycleColumn(_Part, frozen=True, kw_only=True, tag_field="kind", tag="cycle"):
    """sin or cos(2π · `harmonic` · t / `period_s`), t: event time plus `offset_s` in seconds since 1970-01-05T00:00Z, a Monday.

    Attributes:
        offset_s: the time zone: seconds to add to UTC.
    """

    period_s: float
    harmonic: int = 1
    phase: Literal["sin", "cos"]
    offset_s: float = 0.0


class HingeColumn(_Part, frozen=True, kw_only=True, tag_field="kind", tag="hinge"):
    """max(0, z − `at`), z: the scaled value of channel number `channel`."""

    channel: int
    at: float


class LagColumn(_Part, frozen=True, kw_only=True, tag_field="kind", tag="lag"):
    """The exponential mean s of an earlier column: it starts at the first value x, then s += (x − s) / `rows` in each row.

    It keeps its state in a row in which the column is faulty, and over gaps and stops; it starts again with an epoch.

    Attributes:
        column: number of the column: a channel, or a derived column before this one.
    """

    column: int
    rows: float


DerivedColumn = CycleColumn | HingeColumn | LagColumn


class Reference(_Part, frozen=True, kw_only=True):
    """The recent normal running with which the views are compared: the mean of the last `rows` accepted rows.

    A row is due when `delay` further rows have entered the window. It is then accepted, unless its own confidence, or that of the latest
    decision, is `hold_at` or more: a fault must not become the reference. The reference survives gaps and stops, and starts over with an
    epoch. A column is unknown while the accepted rows hold fewer than `min_rows` / 2 good values of it; the reference is then 0.

    Attributes:
        hold_rows: after this many successive decisions with a confidence of `hold_at` or more, the reference is replaced by the latest
            `delay` rows, and the new state is normal; 0: never.
        min_rows: accepted rows before the first decision.
    """

    rows: int
    delay: int
    hold_at: float
    hold_rows: int = 0
    min_rows: int


class Digest(_Part, frozen=True, kw_only=True):
    """Digest and size of a file of the bundle."""

    sha256: str
    bytes: int


class Manifest(_Part, frozen=True, kw_only=True, omit_defaults=True):
    """`manifest.json`. A key with a default may be left out, and is left out when it has its default.

    Attributes:
        interval_s: seconds between rows.
        longest_gap_s: a longer gap between rows interrupts the window.
        min_rows: rows that the window holds before the first decision.
        rows_after_gap: rows required after a gap before the next decision, if the window held `min_rows` before it and is longer than
            the gap; 0: `min_rows` again.
        smooth_rows: the score is the mean of the model's outputs for this many rows up to the latest, fewer after one without a decision.
        clip: scaled values are limited to plus and minus this.
        score: the meaning of the score, for people.
        verdict_level: the confidence from which on the model's verdict is "yes".
        prior: the share of time with the condition that the model detects, as assumed by the confidence.
        provenance: origin of the model: data, seed, code, versions.
        horizon: for a score that is a remaining life: confidence is the probability that it is below this, in the score's unit.
        classes: for a model that outputs one probability per class: their names. The first one means that nothing is wrong, and the
            score is 1 minus its probability.
        columns: columns derived from the channels and the time; they follow the channels, so a row has F = C + `len(columns)` columns.
        reference: makes the model one of contrasts, see below.
        explains: the model's output is the score, then for each channel a level and then for each a relation: how far the channel is from
            its expected value, and from the value that the other channels imply. Both are signed; from 1 on they are at the alarm level.
        relations: for each channel the numbers of the channels that predict it in its relation, strongest first, at most 3.
        context: channels that explain others; no alarm is about them.
        policy: options of the alarm policy (`edgeml.alarms.alarm_policy.PolicyOptions`) with which the model was evaluated.
        imputation: for each channel the weights of the F columns in its expected value, see below; 0 for the channel itself.

    With a `reference`, the input is the mean of each column over the last rows of each view (`steps` is 1), and then the reference: (1,
    (views + 1) · F), view by view. The channels' values are scaled and limited to plus and minus `clip` first; all columns are rounded to
    multiples of 2⁻¹⁶. Derived columns are not scaled.

    With an `imputation`, a faulty value of a `context` channel is replaced by its last good value, before there was one by the reference.
    Any other is replaced by the reference of its channel, plus the sum of the weights times the difference of each column from that
    column's reference, 0 for its lags. The reference is that of the row before. Several such values of a row fulfil these equations
    together, and with their own hinges in three rounds. The result is limited to plus and minus `clip`, and rounded; then the hinges and
    lags of the value are computed. The means see no faulty value.

    Without an `imputation`, a derived column of a faulty value is faulty, and a mean leaves faulty values out. A step of a view is
    unknown, and takes the value of the reference, if less than half of its values are good, if fewer rows than the view's have come since
    the start, the last gap or stop, or if the reference does not know its column.

    A row has a decision unless more than half of its channels are faulty; `context` channels do not count.
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
    columns: tuple[DerivedColumn, ...] = ()
    reference: Reference | None = None
    explains: bool = False
    relations: tuple[tuple[int, ...], ...] = ()
    context: tuple[str, ...] = ()
    policy: dict[str, int | float] = {}
    imputation: tuple[tuple[float, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(channel.unit for channel in self.channels)

    @property
    def input_shape(self) -> tuple[int, int]:
        """Steps and features of the model's input."""
        stretches = len(self.views) + (self.reference is not None)
        return self.views[0].steps, stretches * (len(self.channels) + len(self.columns))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the model's output: one score, one probability per class, or the score, levels and relations."""
        return (1 + 2 * len(self.channels),) if self.explains else (len(self.classes) or 1,)

    @property
    def rows_kept(self) -> int:
        """The number of rows from which an asset's windows and reference are filled."""
        # The oldest step of a view averages rows from before it.
        reference = 0 if self.reference is None else self.reference.rows + self.reference.delay
        return max(view.rows + view.every for view in self.views) + reference

    @property
    def scaling_id(self) -> str:
        """Identifies the scaling: a baseline learned for one bundle fits every bundle with the same id."""
        inputs: list[Any] = [self.channels, self.interval_s, self.views, self.scaling]
        if self.columns or self.reference is not None:
            inputs += [self.columns, self.reference]
        return hashlib.sha256(msgspec.json.encode(inputs)).hexdigest()[:16]


class _Header(msgspec.Struct):
    format: int


_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Manifest)} | {"policy": {}}


def newer_keys(manifest: Manifest) -> list[str]:
    """The keys of `NEWER_KEYS` that do not have their default."""
    return [key for key in NEWER_KEYS if getattr(manifest, key) != _DEFAULTS[key]]


def least_format(manifest: Manifest) -> int:
    """The format to write: `OLDER_FORMAT` for a manifest that earlier versions can read."""
    return FORMAT if newer_keys(manifest) else OLDER_FORMAT


def decode_manifest(text: bytes, where: str) -> Manifest:
    """Decode a manifest; `where` names it in errors.

    Raises:
        BundleError: not JSON, another format version, a missing, unknown or wrongly typed key.
    """
    try:
        format_ = msgspec.json.decode(text, type=_Header).format
        if not OLDER_FORMAT <= format_ <= FORMAT:
            remedy = "update this component" if format_ > FORMAT else "export the model again"
            raise BundleError(f"{where}: {MANIFEST} has format {format_}, expected format {OLDER_FORMAT} or {FORMAT}; {remedy}")
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise BundleError(f"{where}: {MANIFEST}: {fault}; correct it, or export the model again") from None
