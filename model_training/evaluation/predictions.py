"""The predictions file: one line for each row of the recordings."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_training.evaluation.bundle_scoring import Detector
from model_training.evaluation.figures import Segment
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import pieces

HEADINGS = ("group", "recording", "row", "time", "confidence", "verdict", "alarm")


def write(path: Path, segments: Sequence[Segment]) -> None:
    """Write a line for each row. The segments of one recording cover it without overlap.

    A confidence is the shortest decimal of the float32 value; it is empty without a decision. A row without a valid time has no
    decision.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS)
        for recording, rows_by_number in _joined(segments):
            for row, text in enumerate(recording.texts):
                confidence, verdict, alarm = rows_by_number.get(row, ("", 0, 0))
                writer.writerow((recording.group, recording.name, row, text, confidence, verdict, alarm))


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


def _joined(segments: Sequence[Segment]) -> list[tuple[Recording, dict[int, tuple[str, int, int]]]]:
    lines: dict[str, tuple[Recording, dict[int, tuple[str, int, int]]]] = {}
    for segment in segments:
        rows_by_number = segment.result
        confidences = ["" if np.isnan(value) else str(value) for value in rows_by_number.confidence.astype(np.float32)]
        columns = zip(
            segment.recording.rows.tolist(), confidences, rows_by_number.verdict.tolist(), rows_by_number.alarm.tolist(), strict=True
        )
        _, rows = lines.setdefault(segment.recording.full_name, (segment.recording, {}))
        rows.update({row: (confidence, int(verdict), int(alarm)) for row, confidence, verdict, alarm in columns})
    return list(lines.values())
