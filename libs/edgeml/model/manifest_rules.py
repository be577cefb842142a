"""Rules on a manifest that its types cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from edgeml.errors import OptionsError
from edgeml.model.manifest import FORMAT, Calibration, CycleColumn, HingeColumn, LagColumn, Manifest, Reference, Scaling, newer_keys
from edgeml.model.manifest_policy import effective_policy

MAX_SECONDS = 1e9
"""Maximum of each duration in a manifest; computations with it stay finite."""
MAX_SCORE = 1e30
"""Maximum absolute score in a calibration; computations with it stay finite."""
MAX_ROWS = 1_000_000
"""Maximum rows of a window or a baseline, which a component holds in memory."""

MAX_CONTRAST_CLIP = 100
"""Maximum `clip` of a model with a reference; float32 holds its values exactly in steps of 2⁻¹⁶, hinges included."""
MAX_CELLS = 4_000_000
"""Maximum values that the window of a model with a reference holds for an asset, 4 bytes each."""
MAX_RELATIONS = 3


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
        yield from _fixed_faults(m.scaling, c, 0 if m.reference else len(m.views))
    if m.stopped is not None and m.stopped.channel not in m.names:
        yield f"`stopped.channel` is `{m.stopped.channel}`; expected one of {', '.join(m.names)}"
    if m.stopped is not None and not 0 <= m.stopped.settle_s <= MAX_SECONDS:
        yield f"`stopped.settle_s` is {m.stopped.settle_s}; expected 0 to {MAX_SECONDS:g}"
    yield from _calibration_faults(m.calibration)
    if m.horizon is not None and not m.horizon > 0:
        yield f"`horizon` is {m.horizon}; expected more than 0"
    if m.classes and (len(m.classes) < 2 or len(set(m.classes)) != len(m.classes)):
        yield f"`classes` is {', '.join(m.classes)}; expected at least two different names, the first for the healthy class"
    newer = newer_keys(m)
    if newer and m.format < FORMAT:
        yield f"`format` is {m.format}; expected {FORMAT}, because {', '.join(f'`{key}`' for key in newer)} need it"
    yield from _column_faults(m)
    yield from _imputation_faults(m)
    yield from _output_faults(m)
    if m.reference is not None:
        yield from _reference_faults(m, m.reference)
    try:
        effective_policy(m, "policy")
    except OptionsError as wrong:
        yield from wrong.faults


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
        rule = f"expected {views} rows of {channels} numbers, one row per view" if views else "expected none in a model with a `reference`"
        yield f"`scaling.spread` is invalid; {rule}"
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


def _column_faults(m: Manifest) -> Iterator[str]:
    if m.columns and m.reference is None:
        yield "`columns` are for a model with a `reference`; expected none"
    c = len(m.channels)
    for number, column in enumerate(m.columns):
        at = f"`columns[{number}]"
        if isinstance(column, CycleColumn):
            if not 0 < column.period_s <= MAX_SECONDS or not 1 <= column.harmonic <= MAX_ROWS:
                yield f"{at}` is invalid; expected a `period_s` above 0 and at most {MAX_SECONDS:g}, and a `harmonic` of 1 or more"
            if not abs(column.offset_s) <= MAX_SECONDS:
                yield f"{at}.offset_s` is {column.offset_s}; expected {-MAX_SECONDS:g} to {MAX_SECONDS:g}"
        elif isinstance(column, HingeColumn):
            if not 0 <= column.channel < c:
                yield f"{at}.channel` is {column.channel}; expected 0 to {c - 1}, the number of a channel"
            if not abs(column.at) <= m.clip:
                yield f"{at}.at` is {column.at}; expected a number within plus and minus `clip`, {m.clip:g}"
        elif isinstance(column, LagColumn):
            if not 0 <= column.column < c + number:
                yield f"{at}.column` is {column.column}; expected 0 to {c + number - 1}, the number of a column before this one"
            if not 1 <= column.rows <= MAX_ROWS:
                yield f"{at}.rows` is {column.rows}; expected 1 to {MAX_ROWS}"


def _imputation_faults(m: Manifest) -> Iterator[str]:
    if not m.imputation:
        return
    c, f = len(m.channels), len(m.channels) + len(m.columns)
    if m.reference is None:
        yield "`imputation` is for a model with a `reference`; expected none"
    weights = m.imputation
    if [len(row) for row in weights] != [f] * c:
        yield f"`imputation` is invalid; expected {c} rows of {f} numbers, one row per channel and one number per column"
        return
    if any(not abs(weight) <= MAX_SCORE for row in weights for weight in row) or any(weights[at][at] for at in range(c)):
        yield f"`imputation` is invalid; expected numbers of at most {MAX_SCORE:g}, and 0 for each channel itself"


def _reference_faults(m: Manifest, reference: Reference) -> Iterator[str]:
    for key, least, most in (("rows", 1, MAX_ROWS), ("delay", 1, MAX_ROWS), ("hold_rows", 0, MAX_SECONDS), ("min_rows", 1, reference.rows)):
        if not least <= getattr(reference, key) <= most:
            yield f"`reference.{key}` is {getattr(reference, key)}; expected {least} to {most:g}"
    if not 0.3 <= reference.hold_at <= 1:
        yield f"`reference.hold_at` is {reference.hold_at}; expected 0.3 to 1"
    if m.scaling.kind != "fixed":
        yield f"`scaling.kind` is `{m.scaling.kind}`; expected `fixed` in a model with a `reference`"
    if any(view.steps != 1 for view in m.views):
        yield "`views` have several steps; expected 1 in a model with a `reference`"
    if m.rows_after_gap:
        yield f"`rows_after_gap` is {m.rows_after_gap}; expected none in a model with a `reference`, whose views restart after a gap"
    if m.clip > MAX_CONTRAST_CLIP:
        yield f"`clip` is {m.clip:g}; expected at most {MAX_CONTRAST_CLIP} in a model with a `reference`"
    rows = max([reference.delay, *(view.every for view in m.views)]) + reference.rows
    cells = rows * (len(m.channels) + len(m.columns))
    if cells > MAX_CELLS:
        yield (
            f"`views` and `reference` hold {rows} rows of {len(m.channels) + len(m.columns)} columns, {cells} values; expected at most "
            f"{MAX_CELLS}"
        )


def _output_faults(m: Manifest) -> Iterator[str]:
    c = len(m.channels)
    if m.explains and m.classes:
        yield "`explains` is for a model without `classes`; expected one of both"
    if m.relations and not m.explains:
        yield "`relations` are for a model that `explains`; expected none"
    elif m.relations and len(m.relations) != c:
        yield f"`relations` has {len(m.relations)} entries; expected {c}, one per channel"
    for number, partners in enumerate(m.relations):
        valid = all(0 <= partner < c and partner != number for partner in partners)
        if not valid or len(set(partners)) != len(partners) or len(partners) > MAX_RELATIONS:
            yield (
                f"`relations[{number}]` is {', '.join(map(str, partners))}; expected the numbers of at most {MAX_RELATIONS} different "
                "other channels"
            )
    unknown = [name for name in m.context if name not in m.names]
    if unknown:
        yield f"`context` has `{unknown[0]}`; expected names of channels: {', '.join(m.names)}"
    elif set(m.context) >= set(m.names) and m.names:
        yield "`context` has all channels; expected at least one that is not context"
