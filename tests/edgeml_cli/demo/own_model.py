"""A small model of contrasts for a machine with a row a minute, made without training, and recordings of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
from model_training import golden_samples

from edgeml.model.bundle import save
from edgeml.model.signature import sign
from tests.edgeml import networks
from tests.edgeml.contrast import MANIFEST, normal
from tests.edgeml.keys import TRAINER

BEGIN = datetime(2026, 3, 2, 8)
ROWS, ONSET = 1500, 1200
NAMES = MANIFEST.names


def bundle(folder: Path, signed: bool = True) -> Path:
    """It alarms when the flow, its second channel, leaves the mean of the reference."""
    changed = msgspec.structs.replace(MANIFEST, name="my_machine", interval_s=60.0, longest_gap_s=300.0, columns=(), policy={"hold_s": 120})
    save(folder, changed, networks.contrasts(4, 4, 3))
    golden_samples.write(folder)
    if signed:
        sign(folder, TRAINER)
    return folder


def recording(path: Path, rows: int = ROWS, onset: int = ONSET, names: tuple[str, ...] = NAMES) -> Path:
    """A row a minute in local time, in an unusual layout; the flow rises by 10 standard deviations at row `onset`.

    The setpoint is steady, and so are all channels for the half hour from row 100 on, as at night: neither is a fault.
    """
    values = normal(rows)[1].astype(float)
    values[:, 3] = 50
    values[100:130] = values[100]
    values[onset:, 1] += 20
    lines = [";".join(["Zeit", *(f"{name} [1]" for name in reversed(names)), "fault"])]
    for row, line in enumerate(np.round(values, 3)[:, ::-1].tolist()):
        cells = [f"{value:.3f}".replace(".", ",") for value in line]
        if row == 700:
            cells[0] = ""
        lines.append(";".join([f"{BEGIN + timedelta(minutes=row):%d.%m.%Y %H:%M:%S}", *cells, str(int(row >= onset))]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
