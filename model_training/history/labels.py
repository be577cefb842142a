"""Rows marked as faults: the label column, and spans of known faults. Pure but for the file of events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from edgeml.parsing.readings import number
from model_training.history.column_kinds import CHANGEPOINT, MAX_LABELS, NORMAL_LABELS, is_label_name
from model_training.history.records import HistoryError, Span
from model_training.history.spec import Spec, load_yaml
from model_training.history.table import Table
from model_training.history.times import parse_time

NONE = "none"


def label_columns(tables: Sequence[Table], spec: Spec, require: Sequence[str] = ()) -> tuple[str, list[str]]:
    """The label column (empty: none), and further columns that look like labels and are no channels.

    Args:
        require: channels, which are never labels.

    Raises:
        HistoryError: the spec names a column that no table has.
    """
    named = spec.labels.column
    if named and named != NONE and not any(named in table.columns for table in tables):
        raise HistoryError(f"{tables[0].name} has no column {named!r}; correct `labels.column` in the spec, or write `none`")
    channels = {each.column or name for name, each in spec.channels.items()} | set(require)
    headings = dict.fromkeys(heading for table in tables for heading in table.columns if heading not in channels)
    found = [heading for heading in headings if is_label_name(heading) and _few_values(tables, heading)]
    if named:
        return "" if named == NONE else named, [heading for heading in found if heading != named]
    labels = [heading for heading in found if heading.strip().lower() != CHANGEPOINT]
    label = labels[0] if labels else ""
    return label, [heading for heading in found if heading != label]


def marks(texts: Sequence[str], normal: Sequence[str]) -> np.ndarray:
    """(n,) bool: whether each cell of a label column marks a fault."""
    accepted = {_plain(each) for each in normal} if normal else NORMAL_LABELS
    faulty = {text: _plain(text) not in accepted for text in set(texts)}
    return np.array([faulty[text] for text in texts], bool)


def _few_values(tables: Sequence[Table], heading: str) -> bool:
    distinct: set[str] = set()
    for table in tables:
        column = table.columns.get(heading)
        distinct |= set(column.texts or ()) if column else set()
        if len(distinct) > MAX_LABELS:
            return False
    plain = {_plain(each) for each in distinct}
    return bool(plain & NORMAL_LABELS) or plain == {"1"}


def _plain(text: str) -> str:
    plain = text.strip().lower()
    try:
        value = number(plain)
    except ValueError:
        return plain
    return f"{value:g}"


class Events:
    """Spans of known faults by file.

    Args:
        spec: with `events`: a list of spans for all files, or the path of a JSON, YAML or CSV file with such a list, or with lists by the
            name of the file.
        unit: the form of the history's times, for numbers.

    Raises:
        HistoryError: the file is unreadable, or a time is none.
    """

    def __init__(self, spec: Spec) -> None:
        self._zone, self._unit = spec.time.zone, spec.time.format
        self._by_file: dict[str, tuple[Span, ...]] = {}
        self._all: tuple[Span, ...] | None = None
        if isinstance(spec.events, list):
            self._all = self.spans(spec.events, "`events` in the spec") if spec.events else None
            return
        path = Path(spec.events)
        raw = _rows(path) if path.suffix.lower() in (".csv", ".txt") else load_yaml(path)
        if isinstance(raw, dict):
            self._by_file = {str(name): self.spans(each, f"{path}, {name!r}") for name, each in raw.items()}
        else:
            self._all = self.spans(raw, str(path))

    @property
    def stated(self) -> bool:
        return self._all is not None or bool(self._by_file)

    def of(self, file: str) -> tuple[Span, ...] | None:
        """The spans of a file; None: none are stated for it."""
        if self._all is not None:
            return self._all
        parts = PurePath(file).parts
        for count in range(len(parts), 0, -1):
            found = self._by_file.get("/".join(parts[-count:]))
            if found is not None:
                return found
        return None

    def spans(self, raw: Any, where: str) -> tuple[Span, ...]:
        """Spans from a list of [from, to]."""
        out = []
        if not isinstance(raw, list):
            raise HistoryError(f"{where} is no list; write a list of spans [from, to]")
        for span in raw:
            if not isinstance(span, list) or len(span) != 2:
                raise HistoryError(f"{where} has {str(span)[:60]!r}; write each span as two times, [from, to]")
            try:
                first, last = (parse_time(str(each), self._zone, self._unit) for each in span)
            except ValueError as fault:
                raise HistoryError(f"{where} has the span {span}, in which a time is invalid ({fault}); write ISO 8601 times") from None
            if last < first:
                raise HistoryError(f"{where} has the span {span}, which ends before it begins; exchange the times")
            out.append((first, last))
        return tuple(sorted(out))


def _rows(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise HistoryError(f"{path} cannot be read ({fault}); name another file of events") from None
    rows = [[cell.strip().strip('"') for cell in line.split(";" if ";" in line else ",")] for line in lines if line.strip()]
    return rows[1:] if rows and not any(char.isdigit() for char in "".join(rows[0])) else rows
