"""`python -m model_training.report.tables RUN.json [FILE.md]`: the README's tables of an evaluation.

RUN.json is the result of `edgeml model evaluate --result`. With FILE.md, the tables replace the text between
`<!-- figures: begin -->` and `<!-- figures: end -->` in it. Otherwise they are printed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_training.evaluation import report, result_json
from model_training.evaluation.report import number, percent, seconds
from model_training.report import document
from model_training.report.model_card import markdown

NAME = "figures"
TARGETS = {
    "f1": "≥ 0.86, aim 0.90",
    "false_alarm_rate": "≤ 8 %, aim 5 %",
    "normal_false_alarm_rate": "≤ 20 %, aim 2 %",
    "nab": "≥ 30, aim 40",
    "alarm_delay_median_s": "≤ 30 s, aim 10 s",
    "false_alarms_per_hour": "≤ 3, aim none",
    "calibration_error": "≤ 0.10, aim 0.05",
}


def headline(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of figure, value and target: cross-validated mean and spread, if the recordings have labels."""
    rows: list[tuple[str, ...]] = [("figure", "value", "target")]
    if "cross_validation" in result:
        cross = result["cross_validation"]
        rows += [(name, report.with_spread(cross, key, show), TARGETS.get(key, "")) for name, key, show in report.HEADLINE]
        rows.append(
            (
                "calibration error, a table fitted on the other half",
                number(cross["refitted_calibration_error"]["mean"]),
                TARGETS["calibration_error"],
            )
        )
    for name in ("shifted", "rescaled"):
        changes = [audit["change"] for bundle in result["bundles"] for audit in bundle.get("audits", ()) if audit["name"] == name]
        if changes:
            rows.append((f"change of F1, {name}", f"{max(changes, key=abs):+.3f}", "≤ 0.03, aim 0.01"))
    if result["quantised"]:
        lost = max(row["f1_loss"] for row in result["quantised"])
        rows.append(("loss of F1 by int8 against float32", f"{lost:+.4f}", "≤ 0.005, aim 0.001"))
    sizes = [bundle["bytes"] for bundle in result["bundles"] if bundle["weights"] != "float32"]
    if sizes:
        rows.append(("int8 model file", f"{max(sizes) / 1000:.1f} kB", "≤ 64 kB, aim 16 kB"))
    return rows


def compared(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of the model and the baselines."""
    columns: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("F1", "f1", number),
        ("false", "false_alarm_rate", percent),
        ("missed", "missed_alarm_rate", percent),
        ("NAB", "nab", lambda value: number(value, 1)),
        ("false in normal running", "normal_false_alarm_rate", percent),
        ("delay, median", "delay_median_s", seconds),
        ("alarm after, median", "alarm_delay_median_s", seconds),
        ("false alarms an hour", "false_alarms_per_hour", lambda value: number(value, 1)),
        ("detected", "detected", lambda value: number(value, 0)),
    )
    rows: list[tuple[str, ...]] = [("method", *(column[0] for column in columns), "failed audits")]

    def line(name: str, figures: dict[str, Any], audits: list[dict[str, Any]]) -> tuple[str, ...]:
        failed = ", ".join(audit["name"] for audit in audits if not audit["passed"]) or ("none" if audits else "-")
        return name, *(show(figures[key]) for _, key, show in columns), failed

    model = result["bundles"][0]
    rows.append(line(f"**{model['name']}**", result.get("cross_validation", {}).get("mean") or model["figures"], model.get("audits", [])))
    rows += [line(name, row["figures"], row["audits"]) for name, row in result.get("baselines", {}).items() if "unavailable" not in row]
    return rows


def text(result: dict[str, Any]) -> str:
    """The tables, with model and data."""
    data = result["data"]
    first = result["bundles"][0]
    seeds = sorted({bundle["seed"] for bundle in result["bundles"] if bundle["weights"] != "float32"})
    hours = [bundle["figures"]["hours"] for bundle in result["bundles"]]
    parts = [
        f"{first['name']} {first['version']}, {first['weights']}, {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}; "
        f"{len(data['recordings'])} recordings and {len(data['normal_recordings'])} of normal running, "
        f"{number(max(hours, default=math.nan), 2)} h of normal rows; data `{data['digest'][:16]}`.",
        markdown(headline(result)),
    ]
    if "baselines" in result:
        parts.append(markdown(compared(result)))
    return "\n\n".join(parts)


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    return document.run("tables", arguments, __doc__, _tables, "name the result of edgeml model evaluate")


def _tables(result: Path) -> dict[str, str]:
    return {NAME: text(result_json.from_json(result.read_text(encoding="utf-8")))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
