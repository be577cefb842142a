"""The result of an evaluation on recordings of any layout, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from model_training.evaluation import injection
from model_training.evaluation.injection import Found
from model_training.evaluation.report import number, percent, table

LISTED = 40
"""Recordings in the table, at most."""


def text(result: dict[str, Any]) -> str:
    """Render the result."""
    data = result["data"]
    parts = [f"{len(data['files'])} file{'' if len(data['files']) == 1 else 's'}", *(f"  {note}" for note in data["notes"])]
    return "\n\n".join(["\n".join(parts), *map(bundle, result["bundles"])])


def bundle(row: dict[str, Any]) -> str:
    """Figures of one bundle."""
    policy = row["policy"]
    head = (
        f"{row['folder']}: {row['name']} {row['version']}, {row['bytes']} bytes, {row['engine']}, {row['digest'][:16]}…, verdict level "
        f"{row['verdict_level']:g}, prior {row['prior']:g}\n"
        f"  policy: raised at {policy['raise_at']:g} in {policy['votes']} of {policy['of']} results for {policy['hold_s']:g} s, cleared at "
        f"{policy['clear_at']:g} for {policy['clear_hold_s']:g} s"
    )
    parts = [head, figures(row["figures"])]
    if len(row["recordings"]) > 1:
        parts.append(recordings(row["recordings"]))
    return "\n\n".join(parts)


def injected(found: Sequence[Found], interval_s: float) -> str:
    """What was found of faults that were laid over normal rows."""
    if not found:
        return "  no normal rows are left to lay faults over"
    return table(injection.lines(found, interval_s))


def figures(f: dict[str, Any]) -> str:
    """Figures of all recordings together; those that need labels or events only where there are some."""
    lines = lines_of(f)
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"  {name.ljust(width)}  {value}" for name, value in lines)


def lines_of(f: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each figure."""
    lines = [
        ("rows with a decision", f"{f['decided']} of {f['rows']}{_reasons(f['undecided_reasons'])}"),
        ("rows with an active alarm", f"{f['alarm_rows']} of {f['counted']} from the first decision on, {percent(f['alarm_share'])}"),
        ("rows with a positive verdict", f"{f['verdict_rows']} of {f['counted']}, {percent(f['verdict_share'])}"),
        ("alarms raised", str(f["alarms"])),
        (
            "false alarms per week",
            f"{interval(f['false_alarms_per_week'])}; {f['false_alarms']} in {hours(f['normal_hours'])} of normal rows",
        ),
    ]
    if f["normal_rows"] < f["counted"]:
        share = f"alarm {percent(f['normal_alarm_share'])}, verdict {percent(f['normal_verdict_share'])} of {f['normal_rows']} rows"
        lines.insert(3, ("in normal rows", share))
    if f["events"]:
        before = f"; {f['already_active']} under an alarm that began before" if f["already_active"] else ""
        lines += [
            ("events found", f"{f['found']} of {f['events']}, {interval(f['found_share'], 100, ' %')}{before}"),
            ("delay, median", f"{rows(f['delay_median_rows'])}, {duration(f['delay_median_s'])}"),
            ("delay, 90th percentile", f"{rows(f['delay_p90_rows'])}, {duration(f['delay_p90_s'])}"),
        ]
    if not math.isnan(f["f1"]):
        lines.append(("F1, precision, recall of rows", f"{number(f['f1'])}, {number(f['precision'])}, {number(f['recall'])}"))
    if not math.isnan(f["calibration_error"]):
        lines.append(("expected calibration error, at the manifest's prior", number(f["calibration_error"])))
    return lines


def _reasons(counts: dict[str, int]) -> str:
    """The most frequent reasons for no decision."""
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:3]
    return f"; without one: {', '.join(f'{reason} {count}' for reason, count in most)}" if most else ""


def recordings(listed: list[dict[str, Any]]) -> str:
    """Table with a line for each recording."""
    head = ("recording", "rows", "decided", "in alarm", "alarms", "false", "found", "delay", "F1")
    body = [
        (
            "  " + row["name"],
            str(row["rows"]),
            str(row["decided"]),
            percent(row["alarm_share"]),
            str(row["alarms"]),
            str(row["false_alarms"]),
            f"{row['found']}/{row['events']}" if row["events"] else "-",
            rows(row["delay_median_rows"]),
            number(row["f1"]),
        )
        for row in listed[:LISTED]
    ]
    rest = f"\n  and {len(listed) - LISTED} more, in --result" if len(listed) > LISTED else ""
    return table([("  " + head[0], *head[1:]), *body]) + rest


def interval(value: tuple[float, float, float] | list[float], factor: float = 1.0, unit: str = "") -> str:
    """An estimate with its 95 % interval."""
    estimate, low, high = (each * factor for each in value)
    return "-" if math.isnan(estimate) else f"{short(estimate)}{unit} (95 %: {short(low)} to {short(high)}{unit})"


def short(value: float) -> str:
    """Three digits, without an exponent for large numbers."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def rows(value: float) -> str:
    return "-" if math.isnan(value) else "never" if math.isinf(value) else "1 row" if value == 1 else f"{value:g} rows"


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if not math.isfinite(seconds):
        return "-" if math.isnan(seconds) else "never"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 3 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:g} s"


def hours(value: float) -> str:
    return duration(3600 * value)
