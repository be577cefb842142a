"""Report on an evaluation of an anomaly model: figures, plots and model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.bundle import Bundle
from model_training.evaluation import metrics, report, result_json
from model_training.evaluation.figures import TEST, Segment, decided
from model_training.evaluation.run import EvaluatedBundle
from model_training.evaluation.splits import BASELINE_ROWS, NORMAL_END, NORMAL_TRAINING_ROWS, PIECE_TEST_ROWS
from model_training.report import model_card, plots
from model_training.report.tables import headline

DRAWN_RECORDINGS = 4
"""Number of plotted recordings, from the best to the worst."""
POOR_F1 = 0.5


def write(folder: Path, result: dict[str, Any], evaluated: Sequence[EvaluatedBundle]) -> Path:
    """Write the report on an evaluation and return the card's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(result_json.to_json(result), encoding="utf-8")
    first, summary = evaluated[0], result["bundles"][0]
    drawn = _draw(folder, first, summary)
    return model_card.write(
        folder,
        model_card.Card(
            answers=(
                "For each row, the model estimates how far the machine deviates from its own baseline. It does "
                "not identify the cause, and it is "
                "not a safety function for people or machines."
            ),
            data=_data(result, first.bundle),
            figures=headline(result),
            limits=_limits(summary),
            plots=drawn,
            sections={
                "Method": METHOD,
                "By recording": "```\n" + report.recordings([*summary["recordings"], *summary["normal"]]) + "\n```",
            }
            | ({"Audits": "```\n" + report.audits(summary["audits"]) + "\n```"} if "audits" in summary else {}),
        ),
        [each.bundle for each in evaluated],
    )


METHOD = (
    "Each recording is evaluated separately, row by row, with the scorer and the policy of the components. "
    f"Rows 0 to {BASELINE_ROWS - 1} are its baseline, all later rows are test rows. No decision counts as "
    "negative. In recordings of normal running, "
    f"rows {NORMAL_TRAINING_ROWS} to {NORMAL_END - 1} are cut into pieces of {BASELINE_ROWS} baseline and {PIECE_TEST_ROWS} test rows. "
    "With several bundles or verdict levels, one half of the recordings selects and the figures are those of the other half, and "
    "vice versa. A missed episode has an infinite delay."
)


def _draw(folder: Path, evaluated: EvaluatedBundle, summary: dict[str, Any]) -> dict[str, str]:
    labelled = [segment for segment in evaluated.segments if segment.recording.anomaly is not None]
    files: dict[str, str] = {}
    if not labelled:
        return files
    prior = evaluated.bundle.manifest.prior
    ranked = sorted(zip(labelled, f1_scores(labelled, summary), strict=True), key=lambda pair: -pair[1])
    places = sorted({round(place) for place in np.linspace(0, len(ranked) - 1, min(DRAWN_RECORDINGS, len(ranked)))})
    for segment, f1 in (ranked[place] for place in places):
        name = f"recording-{segment.recording.full_name.replace('/', '-')}.png"
        draw_recording(folder / name, segment, evaluated.bundle, f"{segment.recording.full_name}: F1 {f1:.3f}")
        files[f"Recording {segment.recording.full_name}"] = name
    confidence, truth = decided(labelled)
    if truth.any() and not truth.all():
        plots.reliability(folder / "reliability.png", evaluated.bundle.manifest.name, confidence, truth, prior)
        files["Reliability"] = "reliability.png"
    ways: dict[str, list[float]] = {"verdict": [], "alarm": []}
    for segment in labelled:
        assert segment.recording.anomaly is not None
        for way, answer in (("verdict", segment.result.verdict), ("alarm", segment.result.alarm)):
            ways[way] += metrics.delays(segment.recording.times[TEST], answer[TEST], segment.recording.anomaly[TEST])
    plots.delays(folder / "delays.png", "Delay of the verdict, and of the alarm after the policy", ways)
    files["Delays"] = "delays.png"
    _draw_table(folder / "recordings.png", summary["recordings"])
    files["Recordings"] = "recordings.png"
    return files


def draw_recording(path: Path, segment: Segment, bundle: Bundle, title: str) -> Path:
    """Plot one recording with the confidence and the alarms."""
    one, result = segment.recording, segment.result
    normal = one.values[:BASELINE_ROWS].astype(np.float64)
    spread = np.maximum(np.nanstd(normal, axis=0), 1e-6)
    return plots.recording(
        path,
        title,
        one.times,
        (one.values - np.nanmean(normal, axis=0)) / spread,
        [channel.name for channel in one.channels],
        result.confidence,
        result.alarm,
        bundle.manifest.verdict_level,
        one.anomaly,
        BASELINE_ROWS,
    )


def f1_scores(segments: Sequence[Segment], summary: dict[str, Any]) -> list[float]:
    """F1 of each segment; 0 if undefined."""
    by_name = {row["name"]: row["f1"] for row in summary["recordings"]}
    return [float(np.nan_to_num(by_name[segment.recording.full_name])) for segment in segments]


def _draw_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    head = ("recording", "F1", "false", "missed", "NAB", "verdict after", "alarm after", "false alarms", "no decision")
    cells = [
        (
            row["name"],
            report.number(row["f1"]),
            report.percent(row["false_alarm_rate"]),
            report.percent(row["missed_alarm_rate"]),
            report.number(row["nab"], 0),
            report.seconds(row["delay_median_s"]),
            report.seconds(row["alarm_delay_median_s"]),
            str(row["false_alarms"]),
            str(row["undecided"]),
        )
        for row in rows
    ]
    plots.table(path, "By recording; red: F1 below 0.5", head, cells, [row["f1"] < POOR_F1 for row in rows])


def _data(result: dict[str, Any], bundle: Bundle) -> str:
    data, provenance = result["data"], bundle.manifest.provenance
    lines = [
        f"Evaluated on `{data['folder']}`: {len(data['recordings'])} recordings, {len(data['normal_recordings'])} of normal running; "
        f"digest `{data['digest']}`.",
    ]
    if provenance.get("recordings"):
        lines.append(f"Trained on normal rows of {len(provenance['recordings'])} recordings, which the manifest lists with their digests.")
    if provenance.get("recordings_source"):
        lines.append(f"Their source: {provenance['recordings_source']}.")
    lines += [f"- {sentence}" for sentence in (*data["skipped"], *data["warnings"])]
    return "\n".join(lines)


def _limits(summary: dict[str, Any]) -> str:
    poor = [row["name"] for row in summary["recordings"] if row["f1"] < POOR_F1]
    missed = [row["name"] for row in summary["recordings"] if row["detected"] < row["episodes"]]
    failed = [audit["name"] for audit in summary.get("audits", ()) if not audit["passed"]]
    figures = summary["figures"]
    return "\n".join(
        [
            f"- F1 below 0.5: {', '.join(poor) or 'none'}.",
            f"- Missed episodes: {', '.join(missed) or 'none'}.",
            f"- Failed audits: {', '.join(failed) or 'none'}.",
            f"- Without a decision: {figures['undecided']} of {figures['rows']} test rows.",
            "- The model learns normal running from the baseline alone. Drift beyond it, or a fault in it, causes wrong verdicts.",
        ]
    )
