"""A model bundle: a folder with `model.tflite` and the `manifest.json` that says what the model wants and what it answers.

`golden.json`, where the manifest names it, holds inputs and what the model answered to them (`edgeml.model.self_test`).

A bundle is verified before anything is made of it. `Bundle.load` checks the signature of the manifest where it is given a check
(`edgeml.model.signature`), the manifest and the digest, each file read once;
`edgeml.model.runtime.open_engine` checks that the model has the input and output which the manifest promises; `match_channels`
checks the data.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from edgeml.errors import BundleError
from edgeml.storage.regular_files import plain_bytes

FORMAT = 1
MODEL = "model.tflite"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
GOLDEN = "golden.json"
MOST_BYTES = 64 * 2**20
"""No file of a bundle is larger."""
MOST_SECONDS = 1e9
"""No span of time in a manifest is longer: what is computed with it stays a number."""
MOST_SCORE = 1e30
"""No score in a calibration is larger: what is computed with it stays a finite number."""
MOST_ROWS = 1_000_000
"""No window or baseline is made of more: a component holds them in memory."""

Check = Callable[[bytes, bytes | None, str], None]
"""Raises BundleError unless a manifest's bytes may be believed by those of its signature, None where it has none; the text says where."""


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


class Bundle:
    """A verified bundle.

    Attributes:
        manifest: what the model wants and answers.
        model: the bytes of `model.tflite`.
        digest: their SHA-256, hex.
        golden: the bytes of `golden.json`; None: the manifest names none.
    """

    def __init__(self, manifest: Manifest, model: bytes, where: str = "bundle", golden: bytes | None = None) -> None:
        """Verify a manifest and its files against each other.

        Raises:
            BundleError: what is wanted, what was given.
        """
        faults = list(_faults(manifest))
        if faults:
            raise BundleError(f"{where}: {MANIFEST}: {'; '.join(faults)}")
        self.manifest, self.model, self.where, self.golden = manifest, model, where, golden
        self.digest = _verified(MODEL, model, manifest, where)
        if golden is not None:
            _verified(GOLDEN, golden, manifest, where)

    @classmethod
    def load(cls, folder: Path, check: Check | None = None) -> Bundle:
        """The bundle in `folder`.

        Each file is read once, and what was read is what is verified and kept: a file that is replaced meanwhile changes nothing.

        Args:
            check: asked before anything is made of the manifest; None: nobody asks who made the bundle.

        Raises:
            BundleError: a file is missing, or is not what the manifest says, or the manifest is wrong, or `check` refuses it.
        """
        folder = Path(folder)
        text = read_file(folder / MANIFEST)
        if check is not None:
            signature = folder / SIGNATURE
            check(text, read_file(signature) if os.path.lexists(signature) else None, str(folder))
        manifest = decode_manifest(text, str(folder))
        golden = read_file(folder / GOLDEN) if GOLDEN in manifest.digests else None
        return cls(manifest, read_file(folder / MODEL), str(folder), golden)


def _verified(name: str, content: bytes, manifest: Manifest, where: str) -> str:
    """The SHA-256 digest of a file that is what the manifest says."""
    digest, wanted = hashlib.sha256(content).hexdigest(), manifest.digests[name]
    if len(content) != wanted.bytes:
        change = "truncated" if len(content) < wanted.bytes else "another file"
        raise BundleError(
            f"{where}: {name} has {len(content)} bytes where the manifest wants {wanted.bytes}: it is {change}; copy the bundle again"
        )
    if digest != wanted.sha256.lower():
        raise BundleError(
            f"{where}: {name} has the SHA-256 digest {digest} where the manifest wants {wanted.sha256}; copy the bundle again"
        )
    return digest


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


def save(folder: Path, manifest: Manifest, model: bytes, golden: bytes | None = None) -> Bundle:
    """Write a bundle whose digests are those of `model` and `golden`; the same arguments give the same bytes.

    Raises:
        BundleError: the manifest is wrong.
    """
    bundle = seal(manifest, model, str(folder), golden)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIGNATURE).unlink(missing_ok=True)  # it is of what was there before
    (folder / MODEL).write_bytes(model)
    (folder / GOLDEN).unlink(missing_ok=True)
    if golden is not None:
        (folder / GOLDEN).write_bytes(golden)
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(bundle.manifest), indent=2) + b"\n")
    return bundle


def seal(manifest: Manifest, model: bytes, where: str = "bundle", golden: bytes | None = None) -> Bundle:
    """A bundle whose digests are those of `model` and `golden`, written nowhere; `where` names it in errors.

    Raises:
        BundleError: the manifest is wrong.
    """
    files = {MODEL: model} if golden is None else {MODEL: model, GOLDEN: golden}
    digests = {name: Digest(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)) for name, content in files.items()}
    return Bundle(msgspec.structs.replace(manifest, digests=digests), model, where, golden)


def match_channels(bundle: Bundle, names: tuple[str, ...], units: tuple[str, ...]) -> np.ndarray:
    """Where the model's channels stand among those of the data: (c,) indices; further channels of the data are left out.

    Raises:
        BundleError: a channel is missing, or comes in another unit.
    """
    given = dict(zip(names, units, strict=True))
    faults = []
    for channel in bundle.manifest.channels:
        if channel.name not in given:
            faults.append(f"no `{channel.name}` in {channel.unit}")
        elif given[channel.name] != channel.unit:
            faults.append(f"`{channel.name}` in {given[channel.name]} where {channel.unit} is wanted")
    if faults:
        wanted = ", ".join(f"{channel.name} ({channel.unit})" for channel in bundle.manifest.channels)
        have = ", ".join(f"{name} ({unit})" for name, unit in given.items()) or "no channels"
        raise BundleError(f"the data do not fit model {bundle.manifest.name}: {'; '.join(faults)}; wanted {wanted}; given {have}")
    return np.array([names.index(name) for name in bundle.manifest.names], np.intp)


def read_file(path: Path) -> bytes:
    """A plain file of a bundle, read once.

    Raises:
        BundleError: it is not there or cannot be read, is a link or no file, or has more than `MOST_BYTES`.
    """
    try:
        return plain_bytes(path, MOST_BYTES, follow=False)  # a link could lead out of the bundle
    except OSError as fault:
        remedy = {
            errno.ELOOP: "is a symbolic link, where a plain file is wanted; copy the bundle again",
            errno.EINVAL: "is no plain file; copy the bundle again",
            errno.EFBIG: f"has more than the {MOST_BYTES} bytes that a bundle's file may have; copy or export it again",
        }
        otherwise = f"cannot be read ({fault.strerror}); a bundle is a folder with {MODEL} and {MANIFEST}"
        raise BundleError(f"{path}: {remedy.get(fault.errno or 0, otherwise)}") from None


def _faults(m: Manifest) -> Any:
    """Sentences on what the types alone do not catch."""
    c = len(m.channels)
    if not c:
        yield "`channels` is empty, at least one is wanted"
    if len(set(m.names)) != c:
        yield f"`channels` names one twice: {', '.join(m.names)}"
    for key in ("interval_s", "longest_gap_s", "clip"):
        if not 0 < getattr(m, key) <= MOST_SECONDS:
            yield f"`{key}` is {getattr(m, key)}, more than 0 and at most {MOST_SECONDS:g} is wanted"
    for key in ("verdict_level", "prior"):
        if not 0 <= getattr(m, key) <= 1:
            yield f"`{key}` is {getattr(m, key)}, 0 to 1 is wanted"
    if not m.views or any(view.every < 1 or view.steps < 1 for view in m.views):
        yield "`views` wants at least one view, with `every` and `steps` of 1 or more"
    else:
        yield from _view_faults(m)
    if m.scaling.kind == "baseline" and not 2 <= m.scaling.rows <= MOST_ROWS:
        yield f"`scaling.rows` is {m.scaling.rows}, 2 to {MOST_ROWS} are wanted"
    if m.scaling.kind == "fixed":
        yield from _fixed_faults(m.scaling, c, len(m.views))
    if m.stopped is not None and m.stopped.channel not in m.names:
        yield f"`stopped.channel` is `{m.stopped.channel}`, one of {', '.join(m.names)} is wanted"
    if m.stopped is not None and not 0 <= m.stopped.settle_s <= MOST_SECONDS:
        yield f"`stopped.settle_s` is {m.stopped.settle_s}, 0 to {MOST_SECONDS:g} is wanted"
    yield from _calibration_faults(m.calibration)
    if m.horizon is not None and not m.horizon > 0:
        yield f"`horizon` is {m.horizon}, more than 0 is wanted"
    if m.classes and (len(m.classes) < 2 or len(set(m.classes)) != len(m.classes)):
        yield f"`classes` wants at least two different names, the first for nothing wrong; given are {', '.join(m.classes)}"
    if MODEL not in m.digests:
        yield f"`digests` has no {MODEL}"


def _view_faults(m: Manifest) -> Any:
    steps = sorted({view.steps for view in m.views})
    if len(steps) > 1:
        yield f"`views` have {' and '.join(map(str, steps))} steps, the same number in all is wanted"
    rows = sum(view.rows for view in m.views)
    if rows > MOST_ROWS:
        yield f"`views` span {rows} rows together, at most {MOST_ROWS} are wanted"
    shortest, longest = min(view.rows for view in m.views), max(view.rows for view in m.views)
    if not shortest <= m.min_rows <= longest:
        yield f"`min_rows` is {m.min_rows}, {shortest} to {longest} is wanted by the views"
    if not 0 <= m.rows_after_gap <= m.min_rows:
        yield f"`rows_after_gap` is {m.rows_after_gap}, 0 to {m.min_rows} (`min_rows`) is wanted"
    if not 1 <= m.smooth_rows <= longest:
        yield f"`smooth_rows` is {m.smooth_rows}, 1 to {longest} is wanted by the views"


def _fixed_faults(scaling: Scaling, channels: int, views: int) -> Any:
    for key in ("mean", "std"):
        if len(getattr(scaling, key)) != channels:
            yield f"`scaling.{key}` has {len(getattr(scaling, key))} numbers, {channels} are wanted, one a channel"
    if [len(row) for row in scaling.spread] != [channels] * views:
        yield f"`scaling.spread` wants {views} rows of {channels} numbers, one row a view"
    if any(not value > 0 for row in (scaling.std, *scaling.spread) for value in row):
        yield "`scaling.std` and `scaling.spread` want numbers above 0"


def _calibration_faults(calibration: Calibration) -> Any:
    if calibration.kind == "identity":
        return
    x, y = calibration.scores, calibration.confidences
    rising = all(a < b for a, b in zip(x, x[1:], strict=False))
    one_way = list(y) in (sorted(y), sorted(y, reverse=True))
    if any(abs(score) > MOST_SCORE for score in x):
        yield f"`calibration` has scores up to {max(map(abs, x)):g}, at most {MOST_SCORE:g} is wanted"
    if len(x) != len(y) or len(x) < 2 or not rising or not one_way or not 0 <= min(y) <= max(y) <= 1:
        yield "`calibration` wants as many `confidences` (0 to 1, all rising or all falling) as `scores` (rising), at least 2"
