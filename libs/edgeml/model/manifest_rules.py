"""Rules on a manifest that its types cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from edgeml.model.manifest import Calibration, Manifest, Scaling

MAX_SECONDS = 1e9
"""Maximum of each duration in a manifest; computations with it stay finite."""
MAX_SCORE = 1e30
"""Maximum absolute score in a calibration; computations with it stay finite."""
MAX_ROWS = 1_000_000
"""Maximum rows of a window or a baseline, which a component holds in memory."""


def manifest_faults(m: Manifest) -> Iterator[str]:
    """Yield a sentence for each fault that the types alone do not catch."""
    c = len(m.channels)
    if not c:
        yield "`channels` is empty; expected at least one"
    if len(set(m.names)) != c:
        yield f"`channels` has a duplicate name: {', '.join(m.names)}"
    for key in ("interval_s", "longest_gap_s", "clip"):
        if not 0 < getattr(m, key) <= MAX_SECONDS:
            yield f"`{key}` is {getattr(m, key)}; expected more than 0 and at most {MAX_SECONDS:g}"
    for key in ("verdict_level", "prior"):
        if not 0 <= getattr(m, key) <= 1:
            yield f"`{key}` is {getattr(m, key)}; expected 0 to 1"
    if not m.views or any(view.every < 1 or view.steps < 1 for view in m.views):
        yield "`views` is invalid; expected at least one view, with `every` and `steps` of 1 or more"
    else:
        yield from _view_faults(m)
    if m.scaling.kind == "baseline" and not 2 <= m.scaling.rows <= MAX_ROWS:
        yield f"`scaling.rows` is {m.scaling.rows}; expected 2 to {MAX_ROWS}"
    if m.scaling.kind == "fixed":
        yield from _fixed_faults(m.scaling, c, len(m.views))
    if m.stopped is not None and m.stopped.channel not in m.names:
        yield f"`stopped.channel` is `{m.stopped.channel}`; expected one of {', '.join(m.names)}"
    if m.stopped is not None and not 0 <= m.stopped.settle_s <= MAX_SECONDS:
        yield f"`stopped.settle_s` is {m.stopped.settle_s}; expected 0 to {MAX_SECONDS:g}"
    yield from _calibration_faults(m.calibration)
    if m.horizon is not None and not m.horizon > 0:
        yield f"`horizon` is {m.horizon}; expected more than 0"
    if m.classes and (len(m.classes) < 2 or len(set(m.classes)) != len(m.classes)):
        yield f"`classes` is {', '.join(m.classes)}; expected at least two different names, the first for the healthy class"


def _view_faults(m: Manifest) -> Iterator[str]:
    steps = sorted({view.steps for view in m.views})
    if len(steps) > 1:
        yield f"`views` have {' and '.join(map(str, steps))} steps; expected the same number in all"
    rows = sum(view.rows for view in m.views)
    if rows > MAX_ROWS:
        yield f"`views` span {rows} rows together; expected at most {MAX_ROWS}"
    shortest, longest = min(view.rows for view in m.views), max(view.rows for view in m.views)
    if not shortest <= m.min_rows <= longest:
        yield f"`min_rows` is {m.min_rows}; expected {shortest} to {longest}, the rows of the views"
    if not 0 <= m.rows_after_gap <= m.min_rows:
        yield f"`rows_after_gap` is {m.rows_after_gap}; expected 0 to {m.min_rows} (`min_rows`)"
    if not 1 <= m.smooth_rows <= longest:
        yield f"`smooth_rows` is {m.smooth_rows}; expected 1 to {longest}, the rows of the longest view"


def _fixed_faults(scaling: Scaling, channels: int, views: int) -> Iterator[str]:
    for key in ("mean", "std"):
        if len(getattr(scaling, key)) != channels:
            yield f"`scaling.{key}` has {len(getattr(scaling, key))} numbers; expected {channels}, one per channel"
    if [len(row) for row in scaling.spread] != [channels] * views:
        yield f"`scaling.spread` is invalid; expected {views} rows of {channels} numbers, one row per view"
    if any(not value > 0 for row in (scaling.std, *scaling.spread) for value in row):
        yield "`scaling.std` or `scaling.spread` has a number that is not above 0; expected only numbers above 0"


def _calibration_faults(calibration: Calibration) -> Iterator[str]:
    if calibration.kind == "identity":
        return
    x, y = calibration.scores, calibration.confidences
    rising = all(a < b for a, b in zip(x, x[1:], strict=False))
    one_way = list(y) in (sorted(y), sorted(y, reverse=True))
    if any(abs(score) > MAX_SCORE for score in x):
        yield f"`calibration` has scores up to {max(map(abs, x)):g}; expected at most {MAX_SCORE:g}"
    if len(x) != len(y) or len(x) < 2 or not rising or not one_way or not 0 <= min(y) <= max(y) <= 1:
        yield (
            "`calibration` is invalid; expected as many `confidences` (0 to 1, all rising or all falling) as `scores` (rising), at least 2"
        )
