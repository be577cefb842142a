"""A table that is ready to train on: channels, target and units, and notes on dropped columns and rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_training.tables.formula import Arrays, Formula, FormulaError
from model_training.tables.read import Columns
from model_training.tables.spec import ChannelSpec, Spec
from model_training.training_request import TrainingError

MIN_ROWS = 50
MAX_CHANNELS = 128
BLOCKS = 10
"""Parts of a series without a group; whole parts are held out."""
_UNIT = re.compile(r"(.*\S)\s*(?:\(([^()]{1,40})\)|\[([^\[\]]{1,40})\])")


@dataclass(frozen=True)
class ChannelColumn:
    """A channel: its name, its unit, the heading of its column, and its range if the spec states one."""

    name: str
    unit: str
    column: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Table:
    """n rows, ordered by unit and within a unit by the order column.

    Attributes:
        values: (n, c) float32, NaN for missing.
        target: (n,) float64: a number, or the index of a class.
        unit: (n,) int32, index of the unit; without a group, each row is a separate unit.
        unit_names: name of each unit.
        order: (n,) float64, the value of the order column; the number of the row without one.
        order_column: heading of the order column; empty: the rows are independent.
        classes: names of the classes, the normal one first; empty for numbers.
        interval_s: seconds from row to row, if the order column has times.
        derived: formulas by name.
        notes: sentences for people.
    """

    channels: tuple[ChannelColumn, ...]
    values: np.ndarray
    target: np.ndarray
    unit: np.ndarray
    unit_names: tuple[str, ...]
    order: np.ndarray
    order_column: str
    interval_s: float | None
    classes: tuple[str, ...]
    derived: dict[str, Formula]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.target)

    @property
    def ordered(self) -> bool:
        """Whether the rows of a unit are a series."""
        return bool(self.order_column)

    @property
    def units(self) -> int:
        return len(self.unit_names)

    def rows(self, chosen: np.ndarray) -> Table:
        """The rows of a mask or of indices; unit indices stay."""
        return replace(self, values=self.values[chosen], target=self.target[chosen], unit=self.unit[chosen], order=self.order[chosen])


def build(columns: Columns, spec: Spec, classify: bool, like: Table | None = None) -> Table:
    """Build the table of a target from columns.

    Args:
        classify: the target is a class.
        like: take channels and classes of this table, for test rows.

    Raises:
        TrainingError: a column is missing or unusable, or the rows are too few.
    """
    notes: list[str] = []
    _known(columns, spec.group, "group")
    _known(columns, spec.order or (like.order_column if like else ""), "order")
    order_column = spec.order or (like.order_column if like else _found_order(columns, spec, notes) if spec.group else "")
    unit, unit_names = _units(columns, spec.group)
    order = _order(columns, order_column)
    if order_column and not spec.group:
        unit, unit_names = _blocks(order)
        notes.append(f"the rows are one series, which is divided into {len(unit_names)} parts that are not split (or name a --group)")
    target, dropped = _target(columns, spec, unit, order, like is not None)
    if like is not None:
        channels = like.channels
    else:
        channels = _channels(columns, spec, order_column, notes)
    values = np.column_stack([_numbers(columns, channel, spec) for channel in channels]).astype(np.float32)
    if dropped.any():
        notes.append(f"{int(dropped.sum())} rows without a target were dropped, the first at {columns.places[int(dropped.argmax())]}")
    keep = ~dropped
    incomplete = np.zeros(len(keep), bool)
    if not order_column:
        incomplete = keep & ~np.isfinite(values).all(1)
        if incomplete.any():
            notes.append(
                f"{int(incomplete.sum())} rows with a missing value were dropped, the first at {columns.places[int(incomplete.argmax())]}"
            )
        keep &= ~incomplete
    if keep.sum() < (MIN_ROWS if like is None else 1):
        raise TrainingError(
            f"{int(keep.sum())} of {len(keep)} rows have a target and all channels, but at least {MIN_ROWS} are needed; add rows, or "
            "`ignore` columns with missing values"
        )
    at = np.flatnonzero(keep)
    at = at[np.lexsort((order[at], unit[at]))]
    classes: tuple[str, ...] = ()
    if classify:
        known = like.classes if like is not None else ()
        numbers, classes = _classes(target[at], spec, known)
    else:
        numbers = _target_numbers(columns, spec.target, target, at)
    found = np.unique(unit[at])
    return Table(
        channels,
        values[at],
        numbers,
        np.searchsorted(found, unit[at]).astype(np.int32),
        tuple(unit_names[each] for each in found) if unit_names else tuple(map(str, found)),
        order[at],
        order_column,
        _interval(order[at], unit[at]) if order_column and columns.is_text(order_column) else None,
        classes,
        _formulas(spec, [channel.name for channel in channels]),
        tuple(notes),
    )


def name_and_unit(heading: str) -> tuple[str, str]:
    """Split a heading such as `Torque [Nm]` or `flow (l/min)`; the unit is `1` if there is none."""
    found = _UNIT.fullmatch(heading.strip())
    return (heading.strip(), "1") if found is None else (found[1], found[2] or found[3])


def _known(columns: Columns, heading: str, what: str) -> None:
    if heading and heading not in columns.cells:
        raise TrainingError(f"there is no column `{heading}` for the {what}; the columns are {', '.join(columns.cells)}")


def _units(columns: Columns, group: str) -> tuple[np.ndarray, list[str]]:
    if not group:
        return np.arange(len(columns)), []
    cells = columns.cells[group]
    texts = [("" if cell is None else cell) for cell in cells] if columns.is_text(group) else [f"{cell:g}" for cell in cells]
    if any(text in ("", "nan") for text in texts):
        first = next(at for at, text in enumerate(texts) if text in ("", "nan"))
        raise TrainingError(f"{columns.places[first]}: the column `{group}` names no unit; fill the cell or remove the row")
    names: dict[str, int] = {}
    return np.array([names.setdefault(text, len(names)) for text in texts]), list(names)


def _blocks(order: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Contiguous parts of one series, as units."""
    rank = np.empty(len(order), int)
    rank[np.argsort(order, kind="stable")] = np.arange(len(order))
    return rank * BLOCKS // len(order), [f"part {number}" for number in range(1, BLOCKS + 1)]


def _interval(order: np.ndarray, unit: np.ndarray) -> float | None:
    steps = np.diff(order)[unit[1:] == unit[:-1]]
    median = float(np.median(steps)) if len(steps) else 0.0
    return median if median > 0 else None


def _order(columns: Columns, heading: str) -> np.ndarray:
    if not heading:
        return np.arange(len(columns), dtype=np.float64)
    cells = columns.cells[heading]
    if columns.is_text(heading):
        try:
            moments = np.array([np.datetime64(str(cell).strip().replace(" ", "T").rstrip("Z")) for cell in cells])
            return (moments - moments.min()).astype("timedelta64[ms]").astype(np.float64) / 1000
        except ValueError:
            raise TrainingError(
                f"the column `{heading}` is neither a number nor a time such as 2026-11-03T08:00:00, so it cannot order rows; name "
                "another with --order"
            ) from None
    if np.isnan(cells).any():
        raise TrainingError(
            f"{columns.places[int(np.isnan(cells).argmax())]}: the column `{heading}` is empty, so the row has no place; fill or remove it"
        )
    return cells


def _found_order(columns: Columns, spec: Spec, notes: list[str]) -> str:
    """The only column that increases from row to row within each of several units."""
    unit, _ = _units(columns, spec.group)
    same = unit[1:] == unit[:-1]
    if same.sum() < len(unit) / 2:
        return ""
    found = [
        heading
        for heading in columns.cells
        if heading not in (spec.group, spec.target, *spec.ignore)
        and not columns.is_text(heading)
        and (np.diff(columns.cells[heading])[same] > 0).all()
    ]
    if len(found) != 1:
        return ""
    notes.append(f"`{found[0]}` increases within each unit of `{spec.group}`, so it orders the rows (--order)")
    return found[0]


def _target(columns: Columns, spec: Spec, unit: np.ndarray, order: np.ndarray, test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the target, and a mask of the rows without one."""
    if spec.run_to_failure and spec.target not in columns.cells:
        if test:
            raise TrainingError(f"the test rows have no column `{spec.target}`, and their units may end before the failure; add the column")
        left = np.empty(len(unit))
        for each in np.unique(unit):
            at = np.flatnonzero(unit == each)
            at = at[np.argsort(order[at], kind="stable")]
            left[at] = np.arange(len(at))[::-1]
        return left, np.zeros(len(unit), bool)
    if not spec.target:
        raise TrainingError(f"name the column that the model estimates with --target; the columns are {', '.join(columns.cells)}")
    _known(columns, spec.target, "target")
    cells = columns.cells[spec.target]
    return cells, np.array([cell is None for cell in cells]) if columns.is_text(spec.target) else np.isnan(cells)


def _target_numbers(columns: Columns, heading: str, target: np.ndarray, at: np.ndarray) -> np.ndarray:
    numbers = np.empty(len(at))
    for i, row in enumerate(at):
        try:
            numbers[i] = float(target[row])
        except ValueError:
            raise TrainingError(
                f"{columns.places[row]}: the target `{heading}` is {str(target[row])[:40]!r}, not a number; for classes, train "
                "`classification`"
            ) from None
    if not np.isfinite(numbers).all():
        raise TrainingError(f"the target `{heading}` has values that are not finite; remove these rows")
    if numbers.min() == numbers.max():
        raise TrainingError(
            f"the target `{heading}` is {numbers[0]:g} in every row, so there is nothing to learn; name another column with --target"
        )
    return numbers


def _classes(cells: np.ndarray, spec: Spec, known: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    texts = [cell if isinstance(cell, str) else f"{cell:g}" for cell in cells]
    of = {cell: name for name, members in spec.classes.items() for cell in members}
    if spec.classes and (unknown := sorted(set(texts) - of.keys())):
        raise TrainingError(f"the target `{spec.target}` has {unknown[0]!r}, which no class of the spec contains; add it to `classes`")
    named = [of.get(text, text) for text in texts]
    counts = {name: named.count(name) for name in sorted(set(named))}
    if not known:
        normal = spec.normal or (next(iter(spec.classes)) if spec.classes else max(counts, key=lambda name: counts[name]))
        if normal not in counts:
            raise TrainingError(f"no row has the normal class `{normal}`; the classes are {', '.join(counts)} (--normal)")
        if len(counts) > 50:
            raise TrainingError(
                f"the target `{spec.target}` has {len(counts)} classes, at most 50 are possible; for a number, train `regression`"
            )
        rest = [name for name in (spec.classes or counts) if name != normal and name in counts]
        known = (normal, *rest)
    if unknown := sorted(set(named) - set(known)):
        raise TrainingError(f"the test rows have the class {unknown[0]!r}, which no training row has; remove these rows")
    index = {name: at for at, name in enumerate(known)}
    return np.array([index[name] for name in named], np.float64), tuple(known)


def _channels(columns: Columns, spec: Spec, order: str, notes: list[str]) -> tuple[ChannelColumn, ...]:
    if spec.channels:
        chosen = []
        for name, each in spec.channels.items():
            heading = each.column or name
            _known(columns, heading, f"channel {name}")
            chosen.append(
                ChannelColumn(name, each.unit or name_and_unit(heading)[1], heading, (each.range[0], each.range[1]) if each.range else None)
            )
    else:
        chosen = _automatic(columns, spec, order, notes)
    if not 1 <= len(chosen) <= MAX_CHANNELS:
        raise TrainingError(f"the table has {len(chosen)} columns of numbers besides the target; 1 to {MAX_CHANNELS} channels are possible")
    if twice := next((c.name for at, c in enumerate(chosen) if c.name in [other.name for other in chosen[:at]]), None):
        raise TrainingError(f"two columns give the channel `{twice}`; name the channels in the spec (`channels`)")
    return tuple(chosen)


def _automatic(columns: Columns, spec: Spec, order: str, notes: list[str]) -> list[ChannelColumn]:
    """Every column of numbers that varies and is no row number."""
    left_out: dict[str, list[str]] = {}
    chosen = []
    for heading, cells in columns.cells.items():
        if heading in (spec.target, spec.group, order, *spec.ignore):
            continue
        if columns.is_text(heading):
            numeric = sum(_is_number(cell) for cell in cells)
            if numeric > len(cells) / 2:
                at = next(i for i, cell in enumerate(cells) if cell is not None and not _is_number(cell))
                raise TrainingError(
                    f"{columns.places[at]}: the column `{heading}` has the text {str(cells[at])[:40]!r} among numbers; correct the cell, "
                    "or `ignore` the column in the spec"
                )
            left_out.setdefault("they are text (numbers for it: `channels.….values` in the spec)", []).append(heading)
        elif not np.isfinite(cells).any() or np.nanmin(cells) == np.nanmax(cells):
            left_out.setdefault("they never change", []).append(heading)
        elif len(cells) > 2 and (np.diff(cells) == 1).all():
            left_out.setdefault("they number the rows", []).append(heading)
        else:
            name, unit = name_and_unit(heading)
            chosen.append(ChannelColumn(name, unit, heading))
    notes += [f"columns that are no channels, because {why}: {', '.join(names)}" for why, names in left_out.items()]
    notes.append(f"channels: {', '.join(f'{c.name} ({c.unit})' for c in chosen)}")
    return chosen


def _numbers(columns: Columns, channel: ChannelColumn, spec: Spec) -> np.ndarray:
    _known(columns, channel.column, f"channel {channel.name}")
    cells = columns.cells[channel.column]
    values = spec.channels.get(channel.name, ChannelSpec()).values
    if not values:
        if columns.is_text(channel.column):
            at = next(i for i, cell in enumerate(cells) if cell is not None and not _is_number(cell))
            raise TrainingError(
                f"{columns.places[at]}: the channel `{channel.name}` has the text {str(cells[at])[:40]!r}; correct the cell, or give its "
                f"numbers as `channels.{channel.name}.values` in the spec"
            )
        return np.where(np.isfinite(cells), cells, np.nan)
    texts = [cell if isinstance(cell, str) or cell is None else f"{cell:g}" for cell in cells]
    if unknown := next((at for at, text in enumerate(texts) if text is not None and text not in values), None):
        raise TrainingError(
            f"{columns.places[unknown]}: the channel `{channel.name}` has {texts[unknown]!r}, which `channels.{channel.name}.values` "
            "does not list; add it"
        )
    return np.array([np.nan if text is None else values[text] for text in texts])


def _formulas(spec: Spec, names: Sequence[str]) -> dict[str, Formula]:
    formulas = {}
    for name, text in spec.derived.items():
        try:
            formulas[name] = Formula(text)
        except FormulaError as fault:
            raise TrainingError(f"the derived column `{name}`: {fault}") from None
        if absent := [each for each in formulas[name].columns if each not in names]:
            raise TrainingError(
                f"the derived column `{name}` uses {', '.join(absent)}, which are no channels; the channels are {', '.join(names)}"
            )
        if name in names:
            raise TrainingError(f"the derived column `{name}` has the name of a channel; rename it")
    return formulas


def derived_values(table: Table, values: np.ndarray) -> np.ndarray:
    """Derived columns (n, d) of values (n, c)."""
    arrays = Arrays({channel.name: values[..., at].astype(np.float64) for at, channel in enumerate(table.channels)})
    columns = [np.broadcast_to(formula.evaluate(arrays), values.shape[:-1]) for formula in table.derived.values()]
    return np.stack(columns, -1) if columns else np.empty((*values.shape[:-1], 0))


def _is_number(cell: object) -> bool:
    try:
        return cell is not None and np.isfinite(float(str(cell)))
    except ValueError:
        return False
