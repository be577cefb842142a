"""The report page: the scenario, the outcome, the plots and the event log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.timestamps import SECOND
from edgeml_cli.demo.html_report.charts import LEFT, RIGHT, WIDTH, Backdrop, Mark, channel_chart, confidence_chart, gaps_of, spans_of
from edgeml_cli.demo.recorder import AssetHistory, Recorder, Results
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.text_view import clock

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """The content of the report.

    Attributes:
        title: short description of the scenario.
        command: command line that repeats the scenario.
        thresholds: confidence to clear and to raise an alarm.
        counts: result of `edgeml_cli.demo.statistics.summary`, with the fields that the demo adds.
        problems: one sentence for each difference from the expected outcome.
        duration_s: wall-clock duration of the run.
        onset: event time in ns at which the fault begins, if known.
        remarks: further sentences about the run.
        pace: one sentence on the relation of event time to wall-clock time.
        notes: remarks on channels, by channel name.
    """

    title: str
    command: str
    thresholds: tuple[float, float]
    recorder: Recorder
    stats: Statistics
    counts: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    duration_s: float = 0.0
    onset: int | None = None
    remarks: tuple[str, ...] = field(default=())
    pace: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


def render(run: Run) -> str:
    """The report as one HTML document without external references."""
    good = not run.problems
    verdict = "as expected" if good else "not as expected"
    sections = [_asset(run, name, asset) for name, asset in run.recorder.assets.items()]
    notes = "".join(f'<p class="problem">{escape(problem)}</p>' for problem in run.problems)
    notes += "".join(f'<p class="remark">{escape(remark)}</p>' for remark in run.remarks)
    counts = escape(json.dumps(dict(run.counts), indent=2))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>edgeml demo: {escape(run.title)}</title>
<style>
{(_HERE / "style.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>edgeml demo <span class="badge {"good" if good else "bad"}">{verdict}</span></h1>
<p>{escape(run.title)} · the run took {run.duration_s:.0f} s{f" · {escape(run.pace)}" if run.pace else ""}</p>
<p>Repeat this scenario: <code>{escape(run.command)}</code>{_repeatability(run)}</p>
{notes}
</header>
{_tiles(run)}
{"".join(sections)}
<section>
<h2>Event log</h2>
{_log(run.recorder)}
</section>
<details>
<summary>Summary as JSON (also the last line of the demo's output)</summary>
<pre>{counts}</pre>
</details>
<footer>Recorded from the messages on the local nucleus, independently of the components. Times are event times in UTC.</footer>
<script>
{(_HERE / "hover.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _repeatability(run: Run) -> str:
    """A remark on counts that differ between runs: the arrival time of a command does not depend on the seed."""
    if all(command.acknowledged_at is None for command in run.stats.commands.values()):
        return ""
    return " (counts can differ by a few rows, because a command takes effect when it arrives)"


def _tiles(run: Run) -> str:
    counts = run.counts
    commands = counts["commands"]
    acknowledged = sum(1 for command in commands if command["acknowledged_at"])
    peaks = [alarm["peak_confidence"] for alarm in counts["alarms"] if alarm["peak_confidence"] is not None]
    tiles = (
        ("rows published", counts["rows"], ""),
        ("windows scored", counts["windows"], ""),
        ("without a decision", counts["no_decision"], ", ".join(f"{reason}: {n}" for reason, n in counts["no_decision_reasons"].items())),
        ("alarms", len(counts["alarms"]), f"peak confidence {max(peaks):.2f}" if peaks else ""),
        ("commands by AlertDispatcher", len(commands), f"{acknowledged} executed" if commands else ""),
        ("messages lost", counts["lost_messages"], ""),
    )
    return (
        '<div class="tiles">'
        + "".join(
            f"<div><b>{value}</b><span>{name}</span>{f'<small>{escape(note)}</small>' if note else ''}</div>" for name, value, note in tiles
        )
        + "</div>"
    )


def _asset(run: Run, name: str, asset: AssetHistory) -> str:
    rows, results = asset.readings(), asset.results()
    if not len(rows.times):
        return ""
    alarms = [alarm for alarm in run.stats.raised if alarm.asset == name]
    backdrop = Backdrop(
        int(rows.times[0]), int(rows.times[-1]), spans_of(results), alarms, _marks(run, name), gaps_of(rows.times), run.recorder.dated
    )
    model = f"model {asset.model[0]} {asset.model[1]}, digest {asset.model[2][:12]}…" if asset.model[0] else "no results received"
    channels = "".join(
        _figure(channel, _caption(run, channel, unit), channel_chart(asset, rows, c, backdrop, c == len(asset.channels) - 1))
        for c, (channel, unit) in enumerate(zip(asset.channels, asset.units, strict=True))
    )
    data = {
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "low": backdrop.low / SECOND,
        "high": backdrop.high / SECOND,
        "times": _numbers(rows.times / SECOND - backdrop.low / SECOND),
        "series": {channel: _numbers(rows.values[:, c]) for c, channel in enumerate(asset.channels)},
        "units": dict(zip(asset.channels, asset.units, strict=True)),
        "resultTimes": _numbers(results.times / SECOND - backdrop.low / SECOND),
        "confidence": _numbers(results.confidence),
        "reasons": [reason or None for reason in results.reason],
    }
    # Escape `<`, so that no text in the data can end the script element.
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<section class="asset">
<h2>{escape(name)} <small>{escape(model)}{_timing(results)}</small></h2>
{_legend(run, backdrop)}
<div class="plots">
{_figure("confidence", "confidence of a fault", confidence_chart(results, backdrop, run.thresholds))}
{channels}
</div>
<script type="application/json" class="data">{encoded}</script>
</section>"""


def _caption(run: Run, channel: str, unit: str) -> str:
    note = run.notes.get(channel, "")
    return f"{escape(channel)} <i>{escape(unit)}{f' · {escape(note)}' if note else ''}</i>"


def _figure(name: str, caption: str, svg: str) -> str:
    return f'<figure><figcaption>{caption}<output data-series="{escape(name)}"></output></figcaption>{svg}</figure>'


def _legend(run: Run, backdrop: Backdrop) -> str:
    items = ['<li><i class="swatch none"></i>no decision</li>']
    if backdrop.gaps:
        items.append('<li><i class="swatch gap"></i>no readings</li>')
    if backdrop.alarms:
        items.append('<li><i class="swatch alarm"></i>alarm active</li>')
    if run.onset is not None:
        items.append('<li><i class="swatch onset"></i>fault starts</li>')
    if any(mark.kind == "command" for mark in backdrop.marks):
        items.append('<li><i class="swatch command"></i>command executed</li>')
    items.append('<li><i class="swatch flagged"></i>reading flagged by a data quality check</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def _marks(run: Run, asset: str) -> list[Mark]:
    marks = [] if run.onset is None else [Mark(run.onset, "fault starts", "onset")]
    for command in run.stats.commands.values():
        if command.asset == asset and command.acknowledged_at is not None:
            marks.append(Mark(command.acknowledged_at, command.action, "command"))
    return marks


def _timing(results: Results) -> str:
    took = results.latency_us[np.isfinite(results.confidence)]
    if not len(took):
        return ""
    prepare, model = np.median(took, axis=0)
    return f" · median time per window: {prepare:.0f} µs preparation, {model:.0f} µs inference"


def _log(recorder: Recorder) -> str:
    """The events in order of event time; an event without one happened before the first row."""
    ordered = sorted(recorder.events, key=lambda event: (event.at is not None, event.at or 0))
    lines = "".join(
        f'<tr class="{event.kind}"><td>{clock(event.at, recorder.dated)}</td><td>{escape(event.text)}</td></tr>' for event in ordered
    )
    return f"<table>{lines}</table>"


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
