"""The demo's live view of one asset: a panel that is redrawn in place. `frame` is pure; `LiveView` is the terminal around it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from edgeml.timestamps import SECOND
from edgeml_cli.demo.recorder import AssetTrace, Event, Recorder
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.summary import wrapped
from edgeml_cli.demo.text_view import alarm_state, clock, number, verdict

REDRAW_S = 0.1
SPAN_S = 600.0
"""Event seconds from the left to the right edge of a curve."""
MIN_COLUMNS, MIN_LINES = 60, 20

_BARS = " ▁▂▃▄▅▆▇█"
_CONFIDENCE_LINES = 3
_COLOURS = {"info": "", "good": "32", "warn": "33", "alarm": "1;37;41", "command": "36", "fault": "1;31"}
_STATE_COLOURS = {"pending": "33", "active": "1;37;41", "acknowledged": "35", "cleared": "32", "none": "32"}
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def usable(out: TextIO) -> bool:
    """Whether `out` is a terminal that shows the panel; else plain lines are right."""
    if not out.isatty() or os.environ.get("TERM", "dumb") == "dumb" or "utf" not in (out.encoding or "").lower():
        return False
    columns, lines = shutil.get_terminal_size()
    return columns >= MIN_COLUMNS and lines >= MIN_LINES


class LiveView:
    """A `View` that owns the terminal's alternate screen until `close`, which leaves the log behind as plain lines.

    Args:
        title: says what runs.
        levels: confidence to clear and to raise.
    """

    def __init__(self, title: str, levels: tuple[float, float], trace: Recorder, tally: Statistics, out: TextIO | None = None) -> None:
        self._title, self._levels, self._trace, self._tally = title, levels, trace, tally
        self._out = out or sys.stdout
        self._colour = "NO_COLOR" not in os.environ
        self._log: list[Event] = []
        self._due = 0.0
        self._open = False

    def say(self, text: str) -> None:
        """A line about the set-up or the end."""
        if self._open:
            self.event(Event(None, "info", text))
        else:
            print(text, file=self._out, flush=True)

    def event(self, event: Event) -> None:
        self._log.append(event)

    def tick(self, now: float) -> None:
        """Draw anew when it is time."""
        if now < self._due or not self._trace.assets:
            return
        self._due = now + REDRAW_S
        size = shutil.get_terminal_size()
        lines = frame(self._title, self._levels, self._trace, self._tally, self._log, size.columns, size.lines, self._colour)
        start = "" if self._open else _ENTER
        self._open = True
        self._out.write(start + "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
        self._out.flush()

    def close(self) -> None:
        if self._open:
            self._out.write(_LEAVE)
            self._open = False
        for event in self._log:
            first, *more = wrapped(event.text, shutil.get_terminal_size().columns - 10).splitlines() or [""]
            for start, line in ((clock(event.at), first), *((" " * 8, line) for line in more)):
                print(f"{start}  {paint(line, _COLOURS[event.kind], self._colour)}", file=self._out)
        self._log.clear()
        self._out.flush()


def frame(
    title: str,
    levels: tuple[float, float],
    trace: Recorder,
    tally: Statistics,
    log: Sequence[Event],
    columns: int,
    lines: int,
    colour: bool = True,
) -> list[str]:
    """The panel as at most `lines` lines of at most `columns` characters, escape sequences not counted."""
    name = next(iter(trace.assets))
    asset = trace.assets[name]
    rule = paint("─" * columns, "2", colour)
    at = f"{clock(asset.last_time)} UTC"
    head = paint(f" {title}"[: columns - len(at) - 2].ljust(columns - len(at) - 1) + at + " ", "7", colour)
    top = [head, *_channels(asset, columns, colour), rule]
    top += _confidence(asset, levels, columns, colour)
    state = alarm_state(tally, name)
    badge = paint(f" {state.upper()} ", _STATE_COLOURS.get(state, ""), colour)
    top += [f" alarm {badge}  {paint(_command(tally, name)[: columns - len(state) - 12], '36', colour)}", rule]
    foot = (
        f" {tally.rows} rows · {tally.scored} scored · {tally.results - tally.scored} no decision · "
        f"{len(tally.raised)} alarm{'' if len(tally.raised) == 1 else 's'} · {tally.gaps} lost"
    )
    room = max(0, lines - len(top) - 1)
    shown = [
        f" {paint(clock(event.at), '2', colour)}  {paint(_cut(event.text, columns - 12), _COLOURS[event.kind], colour)}"
        for event in log[len(log) - min(room, len(log)) :]
    ]
    return [*top, *shown, *[""] * (room - len(shown)), paint(foot[:columns], "2", colour)][:lines]


def paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text


def spark(values: np.ndarray, low: float, high: float) -> str:
    """One character a value between `low` and `high`; blank for NaN."""
    span = high - low
    return "".join(
        " " if not np.isfinite(value) else _BARS[1 + int(min(7, max(0, (value - low) / span * 7.999)))] if span > 0 else _BARS[4]
        for value in values
    )


def columns_of(times: np.ndarray, values: np.ndarray, end: int, count: int) -> np.ndarray:
    """Means of `values` in `count` equal parts of the last `SPAN_S` before `end`; NaN where there is nothing."""
    place = ((times - end) / SECOND / SPAN_S * count + count - 1e-6).astype(int)
    good = (place >= 0) & (place < count) & np.isfinite(values)
    total = np.bincount(place[good], values[good], count)
    number_of = np.bincount(place[good], minlength=count)
    return np.divide(total, number_of, out=np.full(count, np.nan), where=number_of > 0)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _channels(asset: AssetTrace, columns: int, colour: bool) -> list[str]:
    rows = asset.readings()
    width, lines = columns - 36, []
    for c, (name, unit) in enumerate(zip(asset.channels, asset.units, strict=True)):
        values = rows.values[:, c]
        curve = columns_of(rows.times, values, asset.last_time or 0, width)
        seen = curve[np.isfinite(curve)]
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
        # A quiet channel must not look wild: the curve's height is at least a tenth of the level.
        middle, half = (low + high) / 2, max((high - low) / 2, 0.05 * abs(high + low) / 2, 1e-6)
        flagged = bool(len(rows.bad) and rows.bad[-1, c])
        reading = number(float(asset.last_values[c])).rjust(7)
        shown = paint(reading, "1;33" if flagged else "1", colour)
        lines.append(f" {_cut(name, 18):<18} {shown} {_cut(unit, 6):<6} {paint(spark(curve, middle - half, middle + half), '34', colour)}")
    return lines


def _confidence(asset: AssetTrace, levels: tuple[float, float], columns: int, colour: bool) -> list[str]:
    results = asset.results()
    width = columns - 36
    curve = columns_of(results.times, results.confidence, asset.last_time or 0, width)
    lines = []
    for line in range(_CONFIDENCE_LINES):
        floor = (_CONFIDENCE_LINES - 1 - line) / _CONFIDENCE_LINES
        cells = []
        for value in curve:
            part = (value - floor) * _CONFIDENCE_LINES if np.isfinite(value) else 0.0
            cell = _BARS[int(min(8, max(1.0 if line == _CONFIDENCE_LINES - 1 else 0.0, part * 8)))] if np.isfinite(value) else " "
            code = "31" if value >= levels[1] else "33" if value > levels[0] else "32"
            cells.append(paint(cell, code, colour) if cell != " " else cell)
        label = (verdict(asset), f"raise at {levels[1]:.2f}", f"clear at {levels[0]:.2f}")[line]
        lines.append(f" {paint(_cut(label, 33).ljust(33), '1' if line == 0 else '2', colour)} {''.join(cells)}")
    return lines


def _command(tally: Statistics, asset: str) -> str:
    """What the latest alarm itself has commanded, and not what people command because of it."""
    alarms = [alarm.id for alarm in tally.alarms.values() if alarm.asset == asset]
    own = [command for command in tally.commands.values() if alarms and command.alarm == alarms[-1] and command.sender is not None]
    return f"its command {own[-1].action}: {own[-1].status or 'sent, awaiting its answer'}" if own else ""
