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
    """Sentences on what the types alone do not catch."""
    c = len(m.channels)
    if not c:
        yield "`channels` is empty, at least one is wanted"
    if len(set(m.names)) != c:
        yield f"`channels` names one twice: {', '.join(m.names)}"
    for key in ("interval_s", "longest_gap_s", "clip"):
        if not 0 < getattr(m, key) <= MAX_SECONDS:
            yield f"`{key}` is {getattr(m, key)}, more than 0 and at most {MAX_SECONDS:g} is wanted"
    for key in ("verdict_level", "prior"):
        if not 0 <= getattr(m, key) <= 1:
            yield f"`{key}` is {getattr(m, key)}, 0 to 1 is wanted"
    if not m.views or any(view.every < 1 or view.steps < 1 for view in m.views):
        yield "`views` wants at least one view, with `every` and `steps` of 1 or more"
    else:
        yield from _view_faults(m)
    if m.scaling.kind == "baseline" and not 2 <= m.scaling.rows <= MAX_ROWS:
        yield f"`scaling.rows` is {m.scaling.rows}, 2 to {MAX_ROWS} are wanted"
    if m.scaling.kind == "fixed":
        yield from _fixed_faults(m.scaling, c, len(m.views))
    if m.stopped is not None and m.stopped.channel not in m.names:
        yield f"`stopped.channel` is `{m.stopped.channel}`, one of {', '.join(m.names)} is wanted"
    if m.stopped is not None and not 0 <= m.stopped.settle_s <= MAX_SECONDS:
        yield f"`stopped.settle_s` is {m.stopped.settle_s}, 0 to {MAX_SECONDS:g} is wanted"
    yield from _calibration_faults(m.calibration)
    if m.horizon is not None and not m.horizon > 0:
        yield f"`horizon` is {m.horizon}, more than 0 is wanted"
    if m.classes and (len(m.classes) < 2 or len(set(m.classes)) != len(m.classes)):
        yield f"`classes` wants at least two different names, the first for nothing wrong; given are {', '.join(m.classes)}"


def _view_faults(m: Manifest) -> Iterator[str]:
    steps = sorted({view.steps for view in m.views})
    if len(steps) > 1:
        yield f"`views` have {' and '.join(map(str, steps))} steps, the same number in all is wanted"
    rows = sum(view.rows for view in m.views)
    if rows > MAX_ROWS:
        yield f"`views` span {rows} rows together, at most {MAX_ROWS} are wanted"
    shortest, longest = min(view.rows for view in m.views), max(view.rows for view in m.views)
    if not shortest <= m.min_rows <= longest:
        yield f"`min_rows` is {m.min_rows}, {shortest} to {longest} is wanted by the views"
    if not 0 <= m.rows_after_gap <= m.min_rows:
        yield f"`rows_after_gap` is {m.rows_after_gap}, 0 to {m.min_rows} (`min_rows`) is wanted"
    if not 1 <= m.smooth_rows <= longest:
        yield f"`smooth_rows` is {m.smooth_rows}, 1 to {longest} is wanted by the views"


def _fixed_faults(scaling: Scaling, channels: int, views: int) -> Iterator[str]:
    for key in ("mean", "std"):
        if len(getattr(scaling, key)) != channels:
            yield f"`scaling.{key}` has {len(getattr(scaling, key))} numbers, {channels} are wanted, one a channel"
    if [len(row) for row in scaling.spread] != [channels] * views:
        yield f"`scaling.spread` wants {views} rows of {channels} numbers, one row a view"
    if any(not value > 0 for row in (scaling.std, *scaling.spread) for value in row):
        yield "`scaling.std` and `scaling.spread` want numbers above 0"


def _calibration_faults(calibration: Calibration) -> Iterator[str]:
    if calibration.kind == "identity":
        return
    x, y = calibration.scores, calibration.confidences
    rising = all(a < b for a, b in zip(x, x[1:], strict=False))
    one_way = list(y) in (sorted(y), sorted(y, reverse=True))
    if any(abs(score) > MAX_SCORE for score in x):
        yield f"`calibration` has scores up to {max(map(abs, x)):g}, at most {MAX_SCORE:g} is wanted"
    if len(x) != len(y) or len(x) < 2 or not rising or not one_way or not 0 <= min(y) <= max(y) <= 1:
        yield "`calibration` wants as many `confidences` (0 to 1, all rising or all falling) as `scores` (rising), at least 2"
