"""The predictions file: one line for each row of the recordings, in both ways of evaluation."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_training.evaluation.bundle_scoring import Detector, DetectorResult
from model_training.evaluation.figures import Segment
from model_training.evaluation.history_run import EvaluatedHistory
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import pieces

HEADINGS = ("file", "row", "time", "confidence", "verdict", "alarm")
Line = tuple[str, int, int]
"""`confidence`, `verdict` and `alarm` of a row. The confidence is the shortest decimal of the float32 value, empty without a decision."""


class FilePredictions(NamedTuple):
    """The predictions for one file.

    Attributes:
        times: of all rows of the file, as text.
        lines: by the number of the row; a row that could not be used has none.
    """

    file: str
    times: Sequence[str]
    lines: dict[int, Line]


def write(path: Path, files: Iterable[FilePredictions]) -> None:
    """Write a line for each row of the files. A row that could not be used has no decision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS)
        for each in files:
            for row, time in enumerate(each.times):
                writer.writerow((each.file, row, time, *each.lines.get(row, ("", 0, 0))))


def lines(result: DetectorResult) -> list[Line]:
    """The lines of a detector's result, row by row."""
    confidences = ["" if np.isnan(value) else str(value) for value in result.confidence.astype(np.float32)]
    return [
        (confidence, int(verdict), int(alarm))
        for confidence, verdict, alarm in zip(confidences, result.verdict.tolist(), result.alarm.tolist(), strict=True)
    ]


def of_segments(segments: Sequence[Segment], prefix: str = "") -> list[FilePredictions]:
    """Predictions of recordings `<group>/<name>`. The segments of one recording cover it without overlap.

    Args:
        prefix: folder of the groups, relative to the folder that was given.
    """
    found: dict[str, FilePredictions] = {}
    for segment in segments:
        one = segment.recording
        each = found.setdefault(one.full_name, FilePredictions(f"{prefix}{one.full_name}.csv", one.texts, {}))
        each.lines.update(zip(one.rows.tolist(), lines(segment.result), strict=True))
    return list(found.values())


def of_history(evaluated: EvaluatedHistory) -> list[FilePredictions]:
    """Predictions of recordings of any layout, by file."""
    data = evaluated.data
    found = [FilePredictions(name, file.times, {}) for name, file in zip(data.names, data.history.files, strict=True)]
    for each in evaluated.recordings:
        one = each.recording
        for file, row, line in zip(one.file.tolist(), one.row.tolist(), lines(each.result), strict=True):
            found[file].lines[row] = line
    return found


def whole_normal(detector: Detector, normal: Sequence[Recording], segments: Sequence[Segment]) -> list[Segment]:
    """Cover all rows of normal running: the evaluated pieces, and the rows before, between and after them.

    The rows before the first piece are evaluated as a separate recording. Rows after a piece continue that piece.
    """
    known = {(piece.recording.full_name, int(piece.recording.rows[0])): piece for piece in segments}
    out = []
    for recording in normal:
        cuts = sorted({0, *(at.start for part in pieces(len(recording)) for at in part), len(recording)})
        for begin, end in zip(cuts, cuts[1:], strict=False):
            piece = known.get((recording.full_name, int(recording.rows[begin])))
            if piece is not None and len(piece.recording) == end - begin:
                out.append(piece)
                continue
            part = recording.part(slice(begin, end))
            out.append(Segment(part, detector(part)))
    return out
