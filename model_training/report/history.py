"""Report on an evaluation on recordings of any layout: figures, plots and model card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.manifest import Manifest
from model_training.evaluation import history_text, injection, result_json
from model_training.evaluation.history_figures import EvaluatedRecording
from model_training.evaluation.history_run import EvaluatedHistory
from model_training.evaluation.injection import Found
from model_training.report import model_card, small_multiples

DRAWN = 6
"""Plotted recordings: first those with alarms or faults, the most rows in alarm first."""
BAND_SIGMAS = 3.0
NOTABLE_SIGMAS, NOTABLE_LEVEL = 3.0, 1.0
"""A channel spoke if its deviation at the alarm was at least this: in standard deviations, or for a model that explains in alarm levels."""
MAX_SPEAKERS = 3


def write(folder: Path, result: dict[str, Any], evaluated: EvaluatedHistory, injected: Sequence[Found] = ()) -> Path:
    """Write the report on the first bundle and return the card's path.

    Args:
        injected: the outcome of faults that were laid over normal rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(result_json.to_json(result), encoding="utf-8")
    summary, data = result["bundles"][0], result["data"]
    spoken = {each.recording.name: speakers(each, evaluated.bundle.manifest) for each in evaluated.recordings}
    return model_card.write(
        folder,
        model_card.Card(
            answers=(
                "For each row, the model estimates how far the machine is from normal running. It is not a safety function for people "
                "or machines."
            ),
            data="\n".join([f"Evaluated on {len(data['files'])} files:", "", *(f"- {note}" for note in data["notes"])]),
            figures=[("figure", "value"), *history_text.lines_of(summary["figures"])],
            limits=_limits(summary),
            plots=_draw(folder, evaluated, spoken),
            sections={
                "Method": METHOD,
                "By recording": "```\n" + history_text.recordings(summary["recordings"]) + "\n```",
                "Alarms": _alarms(evaluated, spoken),
            }
            | ({"Faults laid over normal rows": _injected(evaluated, injected)} if injected else {}),
        ),
        [evaluated.bundle],
    )


METHOD = (
    "Each recording is evaluated separately, row by row, with the scorer and the alarm policy of the components, with the options of the "
    "manifest's `policy`. Rows before the first decision of a recording do not count as normal running. No decision counts as negative. "
    "An event is found if an alarm is active in one of its rows; a missed event has an infinite delay. Intervals are exact 95 % "
    "intervals: of a rate by the Poisson distribution, of a share by the binomial distribution."
)


def speakers(evaluated: EvaluatedRecording, manifest: Manifest) -> list[tuple[int, tuple[int, ...]]]:
    """For each alarm its first row, and the channels that spoke for it, strongest first: those that the alert names."""
    deviations = evaluated.result.deviations
    if deviations is None:
        return [(row, ()) for row in evaluated.result.raised]
    notable = NOTABLE_LEVEL if manifest.explains else NOTABLE_SIGMAS
    silent = [manifest.names.index(name) for name in manifest.context]
    found = []
    for row in evaluated.result.raised:
        sizes = np.nan_to_num(np.abs(deviations[row].astype(np.float64)))
        sizes[silent] = 0
        order = np.argsort(-sizes, kind="stable")[:MAX_SPEAKERS]
        loud = [int(channel) for channel in order if sizes[channel] >= notable]
        found.append((row, tuple(loud or [int(order[0])])))
    return found


def normal_band(evaluated: EvaluatedRecording, manifest: Manifest) -> np.ndarray:
    """(c, 2): mean plus and minus three standard deviations of normal running: the manifest's, else those of the learned rows."""
    scaling = manifest.scaling
    if scaling.kind == "fixed":
        mean, std = np.array(scaling.mean), np.array(scaling.std)
    else:
        learned = evaluated.recording.values[: max(evaluated.begin, 2)].astype(np.float64)
        mean, std = np.nanmean(learned, axis=0), np.nanstd(learned, axis=0)
    std = np.maximum(std, [channel.floor for channel in manifest.channels])
    return np.stack([mean - BAND_SIGMAS * std, mean + BAND_SIGMAS * std], axis=1)


def _draw(folder: Path, evaluated: EvaluatedHistory, spoken: dict[str, list[tuple[int, tuple[int, ...]]]]) -> dict[str, str]:
    manifest = evaluated.bundle.manifest
    ranked = sorted(evaluated.recordings, key=lambda each: (not each.result.raised and not each.events(), -each.result.alarm.mean()))
    files = {}
    for number, each in enumerate(ranked[:DRAWN], 1):
        name = f"recording-{number}-{re.sub(r'[^A-Za-z0-9_-]+', '-', each.title)[-40:].strip('-')}.png"
        small_multiples.draw(
            folder / name,
            small_multiples.Drawn(
                title=f"{manifest.name} {manifest.version} on {each.title}: {_count(len(each.result.raised))}",
                times=each.recording.times,
                values=each.recording.values,
                names=[f"{channel.name} ({channel.unit})" if channel.unit else channel.name for channel in manifest.channels],
                band=normal_band(each, manifest),
                confidence=each.result.confidence,
                alarm=each.result.alarm,
                truth=_truth(each),
                spoke=_spoke(each, spoken[each.recording.name]),
                level=manifest.verdict_level,
            ),
        )
        files[f"Recording {each.title}"] = name
    return files


def _spoke(evaluated: EvaluatedRecording, spoken: list[tuple[int, tuple[int, ...]]]) -> dict[int, np.ndarray]:
    """(n,) bool by channel: the rows of the alarms for which it spoke."""
    out: dict[int, np.ndarray] = {}
    for row, channels in spoken:
        for channel in channels:
            out.setdefault(channel, np.zeros(len(evaluated.recording), bool))[alarm_rows(evaluated, row)] = True
    return out


def alarm_rows(evaluated: EvaluatedRecording, row: int) -> slice:
    """The rows of the alarm that was raised at a row."""
    after = np.flatnonzero(~evaluated.result.alarm[row:])
    return slice(row, row + int(after[0]) if len(after) else len(evaluated.recording))


def _truth(evaluated: EvaluatedRecording) -> np.ndarray | None:
    """(n,) bool: rows of known faults."""
    events = evaluated.events()
    if events is None:
        return None
    truth = np.zeros(len(evaluated.recording), bool)
    for rows in events:
        truth[rows] = True
    return truth


def _alarms(evaluated: EvaluatedHistory, spoken: dict[str, list[tuple[int, tuple[int, ...]]]]) -> str:
    """Table of the alarms, with the channels that spoke in the words of the alert."""
    names = evaluated.bundle.manifest.names
    rows: list[Sequence[str]] = [("recording", "raised at row", "rows in alarm", "channels that spoke")]
    for each in evaluated.recordings:
        for at, (row, channels) in enumerate(spoken[each.recording.name]):
            explained = each.result.explained[at] if each.result.explained else ""
            words = explained or ", ".join(names[channel] for channel in channels)
            rows.append((each.title, str(each.recording.row[row]), str(alarm_rows(each, row).stop - row), words))
    return model_card.markdown(rows) if len(rows) > 1 else "None."


def _injected(evaluated: EvaluatedHistory, found: Sequence[Found]) -> str:
    table = model_card.markdown(injection.lines(found, evaluated.bundle.manifest.interval_s))
    return f"Each fault lasts at most {injection.ROWS} rows in one channel. Size 0 is no fault, only alarms raised anyway.\n\n{table}"


def _limits(summary: dict[str, Any]) -> str:
    missed = [row["name"] for row in summary["recordings"] if row["found"] < row["events"]]
    figures = summary["figures"]
    return "\n".join(
        [
            f"- Missed events: {', '.join(missed) or 'none'}.",
            f"- Rows without a decision: {figures['rows'] - figures['decided']} of {figures['rows']}.",
            "- A rate of false alarms from few hours is uncertain; see its interval.",
        ]
    )


def _count(alarms: int) -> str:
    return "1 alarm" if alarms == 1 else f"{alarms} alarms"
