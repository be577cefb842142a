"""The predictions file: one line per original row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_training.evaluation.bundle_scoring import Judge
from model_training.evaluation.figures import Stretch
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import pieces

HEADINGS = ("group", "recording", "row", "time", "confidence", "verdict", "alarm")


def write(path: Path, stretches: Sequence[Stretch]) -> None:
    """Write the lines of all rows; stretches of one recording together cover it, one after the other.

    A confidence has the digits that give the float32 back which the model's confidence is; it is empty where there is no
    decision. A row without a readable time has no decision.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS)
        for recording, judged in _joined(stretches):
            for row, text in enumerate(recording.texts):
                confidence, verdict, alarm = judged.get(row, ("", 0, 0))
                writer.writerow((recording.group, recording.name, row, text, confidence, verdict, alarm))


def whole_free(judge: Judge, free: Sequence[Recording], near: Sequence[Stretch]) -> list[Stretch]:
    """All rows of normal running: the pieces as judged, and the rows before, between and behind them.

    Rows before the first piece are judged as a recording of their own, those behind a piece as its continuation.
    """
    known = {(piece.recording.full_name, int(piece.recording.rows[0])): piece for piece in near}
    out = []
    for recording in free:
        cuts = sorted({0, *(at.start for part in pieces(len(recording)) for at in part), len(recording)})
        for begin, end in zip(cuts, cuts[1:], strict=False):
            piece = known.get((recording.full_name, int(recording.rows[begin])))
            if piece is not None and len(piece.recording) == end - begin:
                out.append(piece)
                continue
            part = recording.part(slice(begin, end))
            out.append(Stretch(part, judge(part)))
    return out


def _joined(stretches: Sequence[Stretch]) -> list[tuple[Recording, dict[int, tuple[str, int, int]]]]:
    lines: dict[str, tuple[Recording, dict[int, tuple[str, int, int]]]] = {}
    for stretch in stretches:
        judged = stretch.judged
        said = ["" if np.isnan(value) else str(value) for value in judged.confidence.astype(np.float32)]
        columns = zip(stretch.recording.rows.tolist(), said, judged.verdict.tolist(), judged.alarm.tolist(), strict=True)
        _, rows = lines.setdefault(stretch.recording.full_name, (stretch.recording, {}))
        rows.update({row: (confidence, int(verdict), int(alarm)) for row, confidence, verdict, alarm in columns})
    return list(lines.values())
