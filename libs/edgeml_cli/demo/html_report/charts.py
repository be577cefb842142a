"""The plots of one asset. All share one time axis, so that a moment is one vertical line through the page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.demo.html_report.svg import Scale, curve, tag, text, ticks, time_ticks
from edgeml_cli.demo.recorder import AssetHistory, Readings, Results
from edgeml_cli.demo.statistics import ObservedAlarm, reason_without_progress
from edgeml_cli.demo.text_view import clock

WIDTH, LEFT, RIGHT = 1000.0, 52.0, 70.0
CONFIDENCE_HEIGHT, CHANNEL_HEIGHT = 240.0, 92.0
MARK_LINES = 3
MAX_BRIDGED_GAP_S = 6.0
"""A curve is drawn without interruption over gaps of up to this length, or three usual intervals."""


class Span(NamedTuple):
    """Consecutive results without a decision for the same reason; times in ns, both ends included."""

    start: int
    end: int
    reason: str
    rows: int


class Mark(NamedTuple):
    """A moment marked by a vertical line; `kind` is a class in the style sheet."""

    at: int
    label: str
    kind: str


class Gap(NamedTuple):
    """A period without rows: event times in ns of the last row before it and of the first row after it."""

    start: int
    end: int


@dataclass(frozen=True)
class Backdrop:
    """The shaded periods and marks behind the curve, the same in every plot of an asset; `dated`: times have their day."""

    low: int
    high: int
    spans: list[Span]
    alarms: list[ObservedAlarm]
    marks: list[Mark]
    gaps: list[Gap]
    dated: bool = False

    @property
    def x(self) -> Scale:
        return Scale(self.low, max(self.high, self.low + SECOND), LEFT, WIDTH - RIGHT)

    def draw(self, top: float, bottom: float, labels: bool) -> str:
        """Draw the spans, gaps, alarms and marks between two heights."""
        x, parts, height = self.x, [], bottom - top
        for span in self.spans:
            start, end = x(span.start), x(span.end)
            hint = f"no decision: {span.reason}, {clock(span.start, self.dated)} to {clock(span.end, self.dated)}"
            parts.append(tag("rect", tag("title", escape(hint)), class_="none", x=start, y=top, width=max(1.0, end - start), height=height))
            if labels:
                parts.append(_reason(span.reason, start, end, top, bottom))
        for gap in self.gaps:
            start, end = x(gap.start), x(gap.end)
            hint = f"no readings, {clock(gap.start, self.dated)} to {clock(gap.end, self.dated)}"
            parts.append(tag("rect", tag("title", escape(hint)), class_="gap", x=start, y=top, width=end - start, height=height))
            if labels:
                parts.append(_reason("no readings", start, end, top, bottom))
        for alarm in self.alarms:
            raised_at = alarm.began_at if alarm.raised_at is None else alarm.raised_at
            start, end = x(raised_at), x(self.high if alarm.cleared_at is None else alarm.cleared_at)
            cleared = "not cleared" if alarm.cleared_at is None else f"cleared {clock(alarm.cleared_at, self.dated)}"
            hint = tag("title", escape(f"alarm {alarm.id}, raised {clock(raised_at, self.dated)}, {cleared}"))
            parts.append(tag("rect", hint, class_="alarm", x=start, y=top, width=max(1.5, end - start), height=height))
            if labels:
                parts.append(tag("rect", class_="alarm-bar", x=start, y=top, width=max(1.5, end - start), height=3.0))
        for mark in self.marks:
            at = x(mark.at)
            parts.append(tag("line", class_=f"mark {mark.kind}", x1=at, x2=at, y1=top, y2=bottom))
        return "".join(parts)


def _reason(label: str, start: float, end: float, top: float, bottom: float) -> str:
    """The label inside its span, rotated if the span is narrow; empty if it does not fit."""
    middle, length = (start + end) / 2, 5.6 * len(label) + 8
    if end - start > length:
        return text(label, middle, bottom - 8, class_="reason", text_anchor="middle")
    if end - start > 13 and bottom - top > length:
        return text(label, middle + 4, bottom - 8, class_="reason", transform=f"rotate(-90 {middle + 4:.1f} {bottom - 8:.1f})")
    return ""


def spans_of(results: Results) -> list[Span]:
    """The periods without a decision."""
    spans: list[Span] = []
    previous = ""
    for at, full_reason in zip(results.times.tolist(), results.reason, strict=True):
        reason = reason_without_progress(full_reason) if full_reason else ""
        if reason and reason == previous:
            spans[-1] = spans[-1]._replace(end=at, rows=spans[-1].rows + 1)
        elif reason:
            spans.append(Span(at, at, reason, 1))
        previous = reason
    return spans


def gaps_of(times: np.ndarray) -> list[Gap]:
    """The periods with missing rows: intervals of more than three times the median interval.

    Args:
        times: (n,) rising event times in ns.
    """
    if len(times) < 2:
        return []
    intervals = np.diff(times)
    long = intervals > bridged_gap(times)
    return [Gap(*pair) for pair in zip(times[:-1][long].tolist(), times[1:][long].tolist(), strict=True)]


def bridged_gap(times: np.ndarray) -> float:
    """The longest gap, in ns, over which a curve is drawn."""
    return max(MAX_BRIDGED_GAP_S * SECOND, 3 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0)


def confidence_chart(results: Results, backdrop: Backdrop, thresholds: tuple[float, float]) -> str:
    """Confidence over time; `thresholds` are those to clear and to raise an alarm."""
    top, bottom = 8.0 + 13 * MARK_LINES, CONFIDENCE_HEIGHT - 22
    y, x = Scale(0.0, 1.0, bottom - 4, top + 6), backdrop.x
    parts = [backdrop.draw(top, bottom, labels=True), _y_axis(y, [0.0, 0.25, 0.5, 0.75, 1.0], "{:.2f}")]
    for level, name in zip(thresholds, ("clear", "raise"), strict=True):
        parts.append(tag("line", class_=f"level {name}", x1=LEFT, x2=WIDTH - RIGHT, y1=y(level), y2=y(level)))
        parts.append(text(f"{name} {level:.2f}", WIDTH - RIGHT + 6, y(level) + 4, class_=f"level-name {name}"))
    parts.append(tag("path", class_="curve confidence", d=curve(results.times, results.confidence, x, y, bridged_gap(results.times))))
    parts.append(_mark_labels(backdrop, top))
    parts.append(_time_axis(backdrop, bottom))
    return _svg("".join(parts), CONFIDENCE_HEIGHT, "confidence", "Confidence over event time")


def channel_chart(asset: AssetHistory, rows: Readings, channel: int, backdrop: Backdrop, last: bool) -> str:
    """One channel over time; flagged readings are dots. `last` carries the time axis."""
    height = CHANNEL_HEIGHT + (18 if last else 0)
    top, bottom = 8.0, CHANNEL_HEIGHT - 6
    values, bad = rows.values[:, channel], rows.bad[:, channel]
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    margin = max(0.06 * (high - low), 0.01 * abs(high), 1e-3)
    y, x = Scale(low - margin, high + margin, bottom, top), backdrop.x
    parts = [backdrop.draw(top, bottom, labels=False), _y_axis(y, ticks(low - margin, high + margin, 4), "{:g}")]
    parts.append(tag("path", class_="curve", d=curve(rows.times, values, x, y, bridged_gap(rows.times))))
    for at, value in list(zip(rows.times[bad].tolist(), values[bad].tolist(), strict=True))[:2000]:
        parts.append(tag("circle", class_="flagged", cx=x(at), cy=y(value) if np.isfinite(value) else bottom, r=1.6))
    if last:
        parts.append(_time_axis(backdrop, bottom))
    name = asset.channels[channel]
    return _svg("".join(parts), height, name, f"{name} over event time")


def _svg(content: str, height: float, name: str, label: str) -> str:
    cursor = tag("line", class_="cursor", x1=-9, x2=-9, y1=0, y2=height)
    return tag(
        "svg",
        content + cursor,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_label=label,
        data_series=name,
    )


def _y_axis(y: Scale, values: list[float], form: str) -> str:
    return "".join(
        tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value))
        + text(form.format(value + 0.0), LEFT - 7, y(value) + 3.5, class_="tick", text_anchor="end")
        for value in values
    )


def _time_axis(backdrop: Backdrop, bottom: float) -> str:
    moments = time_ticks(backdrop.low, backdrop.high)
    step = moments[1] - moments[0] if len(moments) > 1 else 0
    digits = slice(5, 16) if backdrop.dated else slice(11, 19) if step % (60 * SECOND) else slice(11, 16)
    parts = [tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom)]
    for at in moments:
        parts.append(tag("line", class_="axis", x1=backdrop.x(at), x2=backdrop.x(at), y1=bottom, y2=bottom + 4))
        parts.append(text(to_iso(at)[digits].replace("T", " "), backdrop.x(at), bottom + 16, class_="tick", text_anchor="middle"))
    parts.append(text("UTC", WIDTH - RIGHT + 6, bottom + 16, class_="tick"))
    return "".join(parts)


def _mark_labels(backdrop: Backdrop, top: float) -> str:
    """Labels above the plot; a label that would overlap its neighbor moves up one line."""
    parts, ends = [], [-1e9] * MARK_LINES
    for mark in sorted(backdrop.marks):
        at, width = backdrop.x(mark.at), 6.0 * len(mark.label)
        line = next((line for line, end in enumerate(ends) if end < at - 3), MARK_LINES - 1)
        ends[line] = at + width
        parts.append(text(mark.label, at - 2, top - 6 - 13 * line, class_=f"mark-name {mark.kind}"))
    return "".join(parts)
