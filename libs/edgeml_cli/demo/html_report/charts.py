"""The plots of one asset; all share one time axis, so that a moment is one vertical line through the page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.demo.html_report.svg import Scale, curve, tag, text, ticks, time_ticks
from edgeml_cli.demo.recorder import AssetTrace, Readings, Results
from edgeml_cli.demo.statistics import AlarmSeen, plain_reason

WIDTH, LEFT, RIGHT = 1000.0, 52.0, 70.0
CONFIDENCE_HEIGHT, CHANNEL_HEIGHT = 240.0, 92.0
MARK_LINES = 3
BRIDGED_S = 6.0
"""A curve goes on over a gap of up to that long."""


class Span(NamedTuple):
    """Consecutive results without a decision for the same reason; times in ns, both ends included."""

    start: int
    end: int
    reason: str
    rows: int


class Mark(NamedTuple):
    """A moment worth a vertical line: its kind is a class of the style sheet."""

    at: int
    label: str
    kind: str


class Gap(NamedTuple):
    """A stretch without any row: event times in ns of the last row before it and of the first one after it."""

    start: int
    end: int


@dataclass(frozen=True)
class Backdrop:
    """What every plot of an asset has behind its curve."""

    low: int
    high: int
    spans: list[Span]
    alarms: list[AlarmSeen]
    marks: list[Mark]
    gaps: list[Gap]

    @property
    def x(self) -> Scale:
        return Scale(self.low, max(self.high, self.low + SECOND), LEFT, WIDTH - RIGHT)

    def draw(self, top: float, bottom: float, labels: bool) -> str:
        """Spans, alarms and marks between two heights."""
        x, parts, height = self.x, [], bottom - top
        for span in self.spans:
            start, end = x(span.start), x(span.end)
            hint = f"no decision: {span.reason}, {to_iso(span.start)[11:19]} to {to_iso(span.end)[11:19]}"
            parts.append(tag("rect", tag("title", escape(hint)), class_="none", x=start, y=top, width=max(1.0, end - start), height=height))
            if labels:
                parts.append(_reason(span.reason, start, end, top, bottom))
        for gap in self.gaps:
            start, end = x(gap.start), x(gap.end)
            hint = f"no readings, {to_iso(gap.start)[11:19]} to {to_iso(gap.end)[11:19]}"
            parts.append(tag("rect", tag("title", escape(hint)), class_="gap", x=start, y=top, width=end - start, height=height))
            if labels:
                parts.append(_reason("no readings", start, end, top, bottom))
        for alarm in self.alarms:
            begun = alarm.began_at if alarm.raised_at is None else alarm.raised_at
            start, end = x(begun), x(self.high if alarm.cleared_at is None else alarm.cleared_at)
            ended = "the end" if alarm.cleared_at is None else to_iso(alarm.cleared_at)[11:19]
            hint = tag("title", escape(f"alarm {alarm.id}, {to_iso(begun)[11:19]} to {ended}"))
            parts.append(tag("rect", hint, class_="alarm", x=start, y=top, width=max(1.5, end - start), height=height))
            if labels:
                parts.append(tag("rect", class_="alarm-bar", x=start, y=top, width=max(1.5, end - start), height=3.0))
        for mark in self.marks:
            at = x(mark.at)
            parts.append(tag("line", class_=f"mark {mark.kind}", x1=at, x2=at, y1=top, y2=bottom))
        return "".join(parts)


def _reason(words: str, start: float, end: float, top: float, bottom: float) -> str:
    """The reason in its span, upright where it is narrow; nothing where there is no room at all."""
    middle, length = (start + end) / 2, 5.6 * len(words) + 8
    if end - start > length:
        return text(words, middle, bottom - 8, class_="why", text_anchor="middle")
    if end - start > 13 and bottom - top > length:
        return text(words, middle + 4, bottom - 8, class_="why", transform=f"rotate(-90 {middle + 4:.1f} {bottom - 8:.1f})")
    return ""


def spans_of(results: Results) -> list[Span]:
    """The stretches without a decision."""
    spans: list[Span] = []
    before = ""
    for at, told in zip(results.times.tolist(), results.reason, strict=True):
        reason = plain_reason(told) if told else ""
        if reason and reason == before:
            spans[-1] = spans[-1]._replace(end=at, rows=spans[-1].rows + 1)
        elif reason:
            spans.append(Span(at, at, reason, 1))
        before = reason
    return spans


def gaps_of(times: np.ndarray) -> list[Gap]:
    """The stretches in which rows are missing: (n,) rising times in ns, more than three times as far apart as is usual."""
    if len(times) < 2:
        return []
    apart = np.diff(times)
    far = apart > max(BRIDGED_S * SECOND, 3 * float(np.median(apart)))
    return [Gap(*pair) for pair in zip(times[:-1][far].tolist(), times[1:][far].tolist(), strict=True)]


def confidence_chart(results: Results, backdrop: Backdrop, levels: tuple[float, float]) -> str:
    """Confidence over time; `levels` are those to clear and to raise."""
    top, bottom = 8.0 + 13 * MARK_LINES, CONFIDENCE_HEIGHT - 22
    y, x = Scale(0.0, 1.0, bottom - 4, top + 6), backdrop.x
    parts = [backdrop.draw(top, bottom, labels=True), _y_axis(y, [0.0, 0.25, 0.5, 0.75, 1.0], "{:.2f}")]
    for level, name in zip(levels, ("clear", "raise"), strict=True):
        parts.append(tag("line", class_=f"level {name}", x1=LEFT, x2=WIDTH - RIGHT, y1=y(level), y2=y(level)))
        parts.append(text(f"{name} {level:.2f}", WIDTH - RIGHT + 6, y(level) + 4, class_=f"level-name {name}"))
    parts.append(tag("path", class_="curve confidence", d=curve(results.times, results.confidence, x, y, BRIDGED_S * SECOND)))
    parts.append(_mark_labels(backdrop, top))
    parts.append(_time_axis(backdrop, bottom))
    return _svg("".join(parts), CONFIDENCE_HEIGHT, "confidence", "Confidence over event time")


def channel_chart(asset: AssetTrace, rows: Readings, channel: int, backdrop: Backdrop, last: bool) -> str:
    """One channel over time; flagged readings are dots. `last` carries the time axis."""
    height = CHANNEL_HEIGHT + (18 if last else 0)
    top, bottom = 8.0, CHANNEL_HEIGHT - 6
    values, bad = rows.values[:, channel], rows.bad[:, channel]
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    margin = max(0.06 * (high - low), 0.01 * abs(high), 1e-3)
    y, x = Scale(low - margin, high + margin, bottom, top), backdrop.x
    parts = [backdrop.draw(top, bottom, labels=False), _y_axis(y, ticks(low - margin, high + margin, 4), "{:g}")]
    parts.append(tag("path", class_="curve", d=curve(rows.times, values, x, y, BRIDGED_S * SECOND)))
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
    digits = slice(11, 19) if len(moments) > 1 and (moments[1] - moments[0]) % (60 * SECOND) else slice(11, 16)
    parts = [tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom)]
    for at in moments:
        parts.append(tag("line", class_="axis", x1=backdrop.x(at), x2=backdrop.x(at), y1=bottom, y2=bottom + 4))
        parts.append(text(to_iso(at)[digits], backdrop.x(at), bottom + 16, class_="tick", text_anchor="middle"))
    parts.append(text("UTC", WIDTH - RIGHT + 6, bottom + 16, class_="tick"))
    return "".join(parts)


def _mark_labels(backdrop: Backdrop, top: float) -> str:
    """Labels above the plot; one that would run into its neighbour moves a line up."""
    parts, ends = [], [-1e9] * MARK_LINES
    for mark in sorted(backdrop.marks):
        at, width = backdrop.x(mark.at), 6.0 * len(mark.label)
        line = next((line for line, end in enumerate(ends) if end < at - 3), MARK_LINES - 1)
        ends[line] = at + width
        parts.append(text(mark.label, at - 2, top - 6 - 13 * line, class_=f"mark-name {mark.kind}"))
    return "".join(parts)
