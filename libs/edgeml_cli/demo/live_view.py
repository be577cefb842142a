"""The demo's live view of one asset: a panel redrawn in place. `frame` is pure; `LiveView` controls the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from edgeml.timestamps import SECOND
from edgeml_cli.demo.recorder import AssetHistory, Event, Recorder
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.summary import wrapped
from edgeml_cli.demo.text_view import alarm_state, clock, latest_result, number

REDRAW_INTERVAL_S = 0.1
TIME_SPAN_S, SPAN_SHARE = 600.0, 0.25
"""Seconds of event time from the left to the right edge of a curve, and the share of a longer run's."""
MIN_COLUMNS, MIN_LINES = 60, 20
LINES_BESIDE_CHANNELS = 12
"""Lines for the confidence, the alarm and the events; channels that do not fit above them are in the report alone."""

_BARS = " ▁▂▃▄▅▆▇█"
_CONFIDENCE_LINES = 3
_COLOURS = {"info": "", "good": "32", "warn": "33", "alarm": "1;37;41", "command": "36", "fault": "1;31"}
_STATE_COLOURS = {"pending": "33", "active": "1;37;41", "acknowledged": "35", "cleared": "32", "none": "32"}
_ENTER_ALTERNATE_SCREEN, _LEAVE_ALTERNATE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def is_usable(out: TextIO) -> bool:
    """Whether `out` is a terminal that can show the panel; otherwise use plain lines."""
    if not out.isatty() or os.environ.get("TERM", "dumb") == "dumb" or "utf" not in (out.encoding or "").lower():
        return False
    columns, lines = shutil.get_terminal_size()
    return columns >= MIN_COLUMNS and lines >= MIN_LINES


class LiveView:
    """A `View` on the terminal's alternate screen. `close` restores the terminal and prints the event log as plain lines.

    Args:
        title: description of the run.
        thresholds: confidence to clear and to raise an alarm.
    """

    def __init__(
        self, title: str, thresholds: tuple[float, float], recorder: Recorder, stats: Statistics, out: TextIO | None = None
    ) -> None:
        self._title, self._thresholds, self._recorder, self._stats = title, thresholds, recorder, stats
        self._out = out or sys.stdout
        self._colour = "NO_COLOR" not in os.environ
        self._events: list[Event] = []
        self._next_redraw = 0.0
        self._open = False

    def show_event(self, event: Event) -> None:
        self._events.append(event)

    def refresh(self, now: float) -> None:
        """Redraw the panel if its interval has passed."""
        if now < self._next_redraw or not self._recorder.assets:
            return
        self._next_redraw = now + REDRAW_INTERVAL_S
        size = shutil.get_terminal_size()
        lines = frame(self._title, self._thresholds, self._recorder, self._stats, self._events, size.columns, size.lines, self._colour)
        start = "" if self._open else _ENTER_ALTERNATE_SCREEN
        self._open = True
        self._out.write(start + "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
        self._out.flush()

    def close(self) -> None:
        if self._open:
            self._out.write(_LEAVE_ALTERNATE_SCREEN)
            self._open = False
        for event in self._events:
            first, *more = wrapped(
                event.text, shutil.get_terminal_size().columns - 2 - len(clock(None, self._recorder.dated))
            ).splitlines() or [""]
            dated = self._recorder.dated
            for start, line in ((clock(event.at, dated), first), *((clock(None, dated), line) for line in more)):
                print(f"{start}  {paint(line, _COLOURS[event.kind], self._colour)}", file=self._out)
        self._events.clear()
        self._out.flush()


def frame(
    title: str,
    thresholds: tuple[float, float],
    recorder: Recorder,
    stats: Statistics,
    events: Sequence[Event],
    columns: int,
    lines: int,
    colour: bool = True,
) -> list[str]:
    """The panel as at most `lines` lines of at most `columns` characters, not counting escape sequences."""
    name = next(iter(recorder.assets))
    asset = recorder.assets[name]
    rule = paint("─" * columns, "2", colour)
    at = f"{clock(asset.last_time, recorder.dated)} UTC"
    head = paint(f" {title}"[: columns - len(at) - 2].ljust(columns - len(at) - 1) + at + " ", "7", colour)
    span_s = max(TIME_SPAN_S, SPAN_SHARE * recorder.span_s)
    curves = _channels(asset, columns, colour, span_s, max(1, lines - LINES_BESIDE_CHANNELS))
    top = [head, *curves, rule]
    top += _confidence(asset, thresholds, columns, colour, span_s)
    state = alarm_state(stats, name)
    badge = paint(f" {state.upper()} ", _STATE_COLOURS.get(state, ""), colour)
    top += [f" alarm {badge}  {paint(_command(stats, name)[: columns - len(state) - 12], '36', colour)}", rule]
    foot = (
        f" {stats.rows} rows · {stats.scored} scored · {stats.results - stats.scored} no decision · "
        f"{len(stats.raised)} alarm{'' if len(stats.raised) == 1 else 's'} · {stats.gaps} lost"
    )
    room = max(0, lines - len(top) - 1)
    shown = [
        f" {paint(clock(event.at, recorder.dated), '2', colour)}  "
        f"{paint(_cut(event.text, columns - 4 - len(clock(None, recorder.dated))), _COLOURS[event.kind], colour)}"
        for event in events[len(events) - min(room, len(events)) :]
    ]
    return [*top, *shown, *[""] * (room - len(shown)), paint(foot[:columns], "2", colour)][:lines]


def paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text


def spark(values: np.ndarray, low: float, high: float) -> str:
    """One character for each value, scaled from `low` to `high`; blank for NaN."""
    span = high - low
    return "".join(
        " " if not np.isfinite(value) else _BARS[1 + int(min(7, max(0, (value - low) / span * 7.999)))] if span > 0 else _BARS[4]
        for value in values
    )


def columns_of(times: np.ndarray, values: np.ndarray, end: int, count: int, span_s: float) -> np.ndarray:
    """Means of `values` in `count` equal parts of the last `span_s` before `end`; NaN for a part without values."""
    index = ((times - end) / SECOND / span_s * count + count - 1e-6).astype(int)
    good = (index >= 0) & (index < count) & np.isfinite(values)
    total = np.bincount(index[good], values[good], count)
    number_of = np.bincount(index[good], minlength=count)
    return np.divide(total, number_of, out=np.full(count, np.nan), where=number_of > 0)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _channels(asset: AssetHistory, columns: int, colour: bool, span_s: float, most: int) -> list[str]:
    rows = asset.readings()
    width, lines = columns - 36, []
    for c, (name, unit) in list(enumerate(zip(asset.channels, asset.units, strict=True)))[:most]:
        values = rows.values[:, c]
        curve = columns_of(rows.times, values, asset.last_time or 0, width, span_s)
        finite = curve[np.isfinite(curve)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        # Do not magnify the noise of a steady channel: the curve spans at least a tenth of the channel's level.
        middle, half = (low + high) / 2, max((high - low) / 2, 0.05 * abs(high + low) / 2, 1e-6)
        flagged = bool(len(rows.bad) and rows.bad[-1, c])
        reading = number(float(asset.last_values[c])).rjust(7)
        shown = paint(reading, "1;33" if flagged else "1", colour)
        lines.append(f" {_cut(name, 18):<18} {shown} {_cut(unit, 6):<6} {paint(spark(curve, middle - half, middle + half), '34', colour)}")
    return lines


def _confidence(asset: AssetHistory, thresholds: tuple[float, float], columns: int, colour: bool, span_s: float) -> list[str]:
    results = asset.results()
    width = columns - 36
    curve = columns_of(results.times, results.confidence, asset.last_time or 0, width, span_s)
    lines = []
    for line in range(_CONFIDENCE_LINES):
        floor = (_CONFIDENCE_LINES - 1 - line) / _CONFIDENCE_LINES
        cells = []
        for value in curve:
            part = (value - floor) * _CONFIDENCE_LINES if np.isfinite(value) else 0.0
            cell = _BARS[int(min(8, max(1.0 if line == _CONFIDENCE_LINES - 1 else 0.0, part * 8)))] if np.isfinite(value) else " "
            code = "31" if value >= thresholds[1] else "33" if value > thresholds[0] else "32"
            cells.append(paint(cell, code, colour) if cell != " " else cell)
        label = (latest_result(asset), f"raise at {thresholds[1]:.2f}", f"clear at {thresholds[0]:.2f}")[line]
        lines.append(f" {paint(_cut(label, 33).ljust(33), '1' if line == 0 else '2', colour)} {''.join(cells)}")
    return lines


def _command(stats: Statistics, asset: str) -> str:
    """The latest command that AlertDispatcher sent for the asset's latest alarm, without those of the operator."""
    alarms = [alarm.id for alarm in stats.alarms.values() if alarm.asset == asset]
    automatic = [command for command in stats.commands.values() if alarms and command.alarm == alarms[-1] and command.sender is not None]
    return f"{automatic[-1].action} command: {automatic[-1].status or 'sent, waiting for acknowledgement'}" if automatic else ""
