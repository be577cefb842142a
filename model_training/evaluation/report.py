"""The result of an evaluation as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any


def seconds(value: float) -> str:
    return "-" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.0f} s"


def percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Align columns, the first to the left, the others to the right."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def figures(f: dict[str, Any]) -> str:
    """Figures of one bundle."""
    lines = [
        ("F1", number(f["f1"])),
        ("false-alarm rate", percent(f["false_alarm_rate"])),
        ("missed-alarm rate", percent(f["missed_alarm_rate"])),
        ("changepoint NAB", number(f["nab"], 1)),
        (f"false-alarm rate in normal running ({f['normal_rows']} rows)", percent(f["normal_false_alarm_rate"])),
        ("delay of the verdict, median / p90", f"{seconds(f['delay_median_s'])} / {seconds(f['delay_p90_s'])}"),
        ("after the policy: delay, median / p90", f"{seconds(f['alarm_delay_median_s'])} / {seconds(f['alarm_delay_p90_s'])}"),
        ("after the policy: episodes detected", f"{f['detected']} of {f['episodes']}"),
        (
            "after the policy: false alarms per hour",
            f"{number(f['false_alarms_per_hour'], 2)} ({f['false_alarms']} in {number(f['hours'], 2)} normal hours; "
            f"{f['normal_false_alarms']} in {number(f['normal_hours'], 2)} h of normal running)",
        ),
        ("expected calibration error, at the manifest's prior", number(f["calibration_error"])),
        (
            "no decision, counted as negative",
            f"{f['undecided']} of {f['rows']} test rows, {f['undecided_anomalous']} of them anomalous; "
            f"{f['normal_undecided']} in normal running",
        ),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"  {name.ljust(width)}  {value}" for name, value in lines)


def recordings(rows: list[dict[str, Any]]) -> str:
    """Table with a line for each recording."""
    head = ("recording", "F1", "false", "missed", "delay", "alarm after", "false alarms", "no decision")
    body = [
        (
            "  " + row["name"],
            number(row["f1"]),
            percent(row["false_alarm_rate"]),
            percent(row["missed_alarm_rate"]),
            seconds(row["delay_median_s"]),
            seconds(row["alarm_delay_median_s"]),
            str(row["false_alarms"]),
            str(row["undecided"]),
        )
        for row in rows
    ]
    return table([("  " + head[0], *head[1:]), *body])


def audits(rows: list[dict[str, Any]]) -> str:
    """Table with a line for each audit."""
    head = ("audit", "F1", "change", "false", "missed", "")
    body = [
        (
            "  " + row["name"],
            number(row["f1"]),
            "-" if math.isnan(row["change"]) else f"{row['change']:+.3f}",
            percent(row["false_alarm_rate"]),
            percent(row["missed_alarm_rate"]),
            "passed" if row["passed"] else "FAILED",
        )
        for row in rows
    ]
    return table([("  " + head[0], *head[1:]), *body])


def cross_validation(c: dict[str, Any]) -> str:
    """Cross-validated figures: the selection of each half, and mean and spread over the seeds."""
    (first, second), n = c["chosen"], len(c["seeds"])
    head = [
        f"cross-validation: of {c['candidates']} candidate{'s' if c['candidates'] > 1 else ''}, {n} seed{'s' if n > 1 else ''}; "
        f"{len(c['halves'][0])} and {len(c['halves'][1])} recordings",
        f"  the first half selected {first[0]} at level {first[1]:g}, the second half {second[0]} at level {second[1]:g}",
    ]
    lines = [("  " + name, with_spread(c, key, show)) for name, key, show in HEADLINE]
    error = c["refitted_calibration_error"]
    lines.append(("  calibration error, a table fitted on the other half", f"{number(error['mean'])} ± {number(error['spread'])}"))
    return "\n".join([*head, table(lines)])


HEADLINE = (
    ("F1", "f1", number),
    ("false-alarm rate", "false_alarm_rate", percent),
    ("missed-alarm rate", "missed_alarm_rate", percent),
    ("changepoint NAB", "nab", lambda value: number(value, 1)),
    ("false-alarm rate in normal running", "normal_false_alarm_rate", percent),
    ("delay of the verdict, median", "delay_median_s", seconds),
    ("delay of the verdict, p90", "delay_p90_s", seconds),
    ("after the policy: delay, median", "alarm_delay_median_s", seconds),
    ("after the policy: delay, p90", "alarm_delay_p90_s", seconds),
    ("after the policy: episodes detected", "detected", lambda value: number(value, 1)),
    ("after the policy: false alarms per hour", "false_alarms_per_hour", lambda value: number(value, 2)),
    ("after the policy: normal hours", "hours", lambda value: number(value, 2)),
    ("expected calibration error", "calibration_error", number),
)


def with_spread(c: dict[str, Any], key: str, show: Callable[[float], str]) -> str:
    """Mean and, with several seeds and a finite value, spread."""
    spread = f" ± {show(c['spread'][key])}" if len(c["seeds"]) > 1 and math.isfinite(c["spread"][key]) else ""
    return show(c["mean"][key]) + spread


def quantised(rows: list[dict[str, Any]]) -> str:
    """Loss by int8 quantisation."""
    return "\n".join(
        f"int8 against float32, seed {row['seed']}: F1 {row['int8']:.4f} and {row['float32']:.4f}, loss {row['f1_loss']:+.4f}; confidences "
        f"differ by {row['largest_difference']:.3f} at most, verdicts in {100 * row['verdicts_differing']:.2f} % of rows"
        for row in rows
    )


def baselines(rows: dict[str, Any]) -> str:
    """Table with a line for each baseline."""
    head = ("  method", "F1", "false", "missed", "NAB", "normal", "delay", "alarm after", "false/h", "detected", "shifted", "no anomaly")
    body, unavailable = [], []
    for name, row in rows.items():
        if "unavailable" in row:
            unavailable.append(f"  {name}: {row['unavailable']}")
            continue
        f, audits = row["figures"], {audit["name"]: audit for audit in row["audits"]}
        body.append(
            (
                "  " + name,
                number(f["f1"]),
                percent(f["false_alarm_rate"]),
                percent(f["missed_alarm_rate"]),
                number(f["nab"], 1),
                percent(f["normal_false_alarm_rate"]),
                seconds(f["delay_median_s"]),
                seconds(f["alarm_delay_median_s"]),
                number(f["false_alarms_per_hour"], 1),
                f"{f['detected']}/{f['episodes']}",
                _audit_status(audits.get("shifted")),
                _audit_status(audits.get("without an anomaly")),
            )
        )
    return "\n".join(["baselines", table([head, *body]), *unavailable])


def _audit_status(audit: dict[str, Any] | None) -> str:
    if audit is None:
        return "-"
    return "passed" if audit["passed"] else "FAILED"
