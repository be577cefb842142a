"""Selects the channels of a history among the columns of its tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from model_training.history.column_kinds import COUNTERS, ColumnKind, classify
from model_training.history.records import Channel, HistoryError
from model_training.history.spec import ChannelSpec, Spec
from model_training.history.table import Table, name_and_unit
from model_training.history.time_column import counted, listed

Rows = Sequence[tuple[int, np.ndarray]]
"""Number of the table and indices of its rows, for each recording."""


@dataclass(frozen=True)
class Selection:
    """The channels, the heading of each in each table, and notes for people."""

    channels: tuple[Channel, ...]
    headings: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def values(self, table: Table, number: int, rows: np.ndarray) -> np.ndarray:
        """(n, c) float32: the channels in the given rows of table `number`."""
        out = np.full((len(rows), len(self.channels)), np.nan, np.float32)
        for place, heading in enumerate(self.headings[number]):
            column = table.columns[heading].values
            if column is not None:
                out[:, place] = column[rows]
        return out


def select(tables: Sequence[Table], rows: Rows, spec: Spec, require: Sequence[str], used: Collection[str]) -> Selection:
    """Select the channels.

    Args:
        rows: the rows of each recording.
        used: headings with another use.

    Raises:
        HistoryError: a channel is missing, holds text, or none is left; or tables differ in their columns.
    """
    wanted = list(require) or list(spec.channels)
    if wanted:
        headings = [tuple(_heading(table, name, spec, require) for name in wanted) for table in tables]
        names = wanted
    else:
        candidates = [heading for heading in tables[0].columns if heading not in used]
        _check_same(tables, candidates, used)
        names = _names(candidates)
        headings = [tuple(candidates)] * len(tables)
    notes: list[str] = []
    kept: list[tuple[int, Channel]] = []
    for place, name in enumerate(names):
        columns = [each[place] for each in headings]
        left_out = _text_problem(tables, columns, required=bool(wanted))
        kind = classify(name, [_values(tables[number], columns[number], part) for number, part in rows])
        left_out = left_out or ("" if require or (wanted and kind.left_out in COUNTERS) else kind.left_out)
        if left_out:
            notes.append(f"column {columns[0]!r} {left_out} and is left out")
            continue
        channel, note = _channel(name, kind, spec, [_unit(table, column) for table, column in zip(tables, columns, strict=True)])
        notes += [note] if note else []
        kept.append((place, channel))
    channels = tuple(channel for _, channel in kept)
    _check_channels(tables[0], channels, notes, spec, require)
    chosen = tuple(tuple(each[place] for place, _ in kept) for each in headings)
    notes.insert(0, f"{counted(len(channels), 'channel')}: " + ", ".join(_described(channel) for channel in channels))
    if require:
        further = [heading for heading in tables[0].columns if heading not in used and heading not in chosen[0]]
        notes += [f"further columns are ignored: {listed(further)}"] if further else []
    return Selection(channels, chosen, tuple(notes))


def _channel(name: str, kind: ColumnKind, spec: Spec, units: Sequence[str]) -> tuple[Channel, str]:
    """The channel, and a note if its role was found by content."""
    stated = spec.channels.get(name, ChannelSpec())
    role = stated.role or spec.roles.get(name) or kind.role
    note = ""
    if role == kind.role and kind.because and not stated.role and name not in spec.roles:
        note = f"channel {name!r} is context, because {kind.because}; otherwise write `roles: {{{name}: measured}}` in the spec"
    return Channel(name, stated.unit or next(filter(None, units), ""), role), note


def _check_channels(table: Table, channels: Sequence[Channel], notes: list[str], spec: Spec, require: Sequence[str]) -> None:
    names = [channel.name for channel in channels]
    unknown = [name for name in spec.roles if name not in names]
    if unknown and not require:
        raise HistoryError(f"`roles` in the spec names {unknown[0]!r}, which is no channel; the channels are {listed(names)}")
    if not any(channel.role == "measured" for channel in channels) and not require:
        nothing = "all channels are context, and none can be a fault" if channels else "it has no numeric column besides the time"
        reasons = "; ".join(notes) or nothing
        raise HistoryError(f"{table.name} has no channel to monitor: {reasons}; add measurements, or correct the spec")


def _heading(table: Table, name: str, spec: Spec, require: Sequence[str]) -> str:
    """The heading of a channel in a table: that of the spec, the name, or a heading with this name before its unit."""
    stated = spec.channels.get(name, ChannelSpec()).column or name
    if stated in table.columns:
        return stated
    found = [heading for heading in table.columns if name_and_unit(heading)[0] == stated]
    if len(found) == 1:
        return found[0]
    if not require:
        raise HistoryError(
            f"{table.name} has no column {stated!r} for channel {name!r}; it has {listed(table.columns)}; correct `channels` in the spec"
        )
    present = {name_and_unit(heading)[0] for heading in table.columns} | set(table.columns)
    missing = [each for each in require if (spec.channels.get(each, ChannelSpec()).column or each) not in present]
    raise HistoryError(
        f"{table.name} does not have the channels of the model: no {listed(missing)}; the model has {listed(require)}, the file has "
        f"{listed(table.columns)}; state their columns in the spec (`channels`), or use a model of this machine"
    )


def _check_same(tables: Sequence[Table], candidates: list[str], used: Collection[str]) -> None:
    first = set(candidates)
    for table in tables[1:]:
        own = {heading for heading in table.columns if heading not in used}
        if own != first:
            differences = [f"no {listed(sorted(first - own))}"] if first - own else []
            differences += [f"also {listed(sorted(own - first))}"] if own - first else []
            raise HistoryError(
                f"{table.name} has other columns than {tables[0].name}: {'; '.join(differences)}; read them separately, or state the "
                "common `channels` in the spec"
            )


def _names(headings: list[str]) -> list[str]:
    """Names of channels: headings without their units, unless two would be the same."""
    short = [name_and_unit(heading)[0] for heading in headings]
    return [heading if short.count(name) > 1 else name for heading, name in zip(headings, short, strict=True)]


def _text_problem(tables: Sequence[Table], columns: list[str], required: bool) -> str:
    """Why a column of text is left out; empty: it is numeric.

    Raises:
        HistoryError: text in a column of numbers.
    """
    found = [(table, column, table.columns[column]) for table, column in zip(tables, columns, strict=True)]
    texts = sum(len(table) if each.values is None else each.text_cells for table, _, each in found)
    filled = sum(len(table) if each.values is None else int(np.isfinite(each.values).sum()) + each.text_cells for table, _, each in found)
    if not texts:
        return ""
    if 2 * texts > filled and not required:
        return "holds text"
    table, column, each = next(entry for entry in found if entry[2].values is None or entry[2].text_cells)
    example = each.example or "its cells have text"
    raise HistoryError(
        f"{table.name}, column {column!r}: {example}, not a number; empty the cell, or list the column under `ignore` in the spec"
    )


def _values(table: Table, column: str, rows: np.ndarray) -> np.ndarray:
    values = table.columns[column].values
    return np.full(len(rows), np.nan, np.float32) if values is None else values[rows]


def _unit(table: Table, column: str) -> str:
    return table.units.get(column) or name_and_unit(column)[1]


def _described(channel: Channel) -> str:
    unit = f" ({channel.unit})" if channel.unit else ""
    return f"{channel.name}{unit}" + (", context" if channel.role == "context" else "")
