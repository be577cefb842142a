"""Readers of histories: tables of any layout, their specs, budgets, and results of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

from model_training.comparison import results
from model_training.history import read, spec
from model_training.machine.budget import Budget
from model_training.training_request import TrainingError

from tests.fuzz.target import Target, in_file

HISTORY = ("Zeit;Druck (bar);Modus;fault\n" + "".join(f"05.01.2026 10:{row:02d}:00;1,{row};{row // 20};0\n" for row in range(40))).encode()
CAPTURED = (
    "time,speed [1/min],state\n" + "".join(f'2026-01-05T10:00:{row:02d}+01:00,{1500 + row % 7},"on"\n' for row in range(40))
).encode()
SPEC = b"""time: {column: Zeit, format: "%d.%m.%Y %H:%M:%S", zone: Europe/Berlin}
channels: {pressure: {column: "Druck (bar)", unit: bar}}
roles: {pressure: measured}
labels: {column: fault, normal: [0]}
exclude: [[2026-01-05T10:00, 2026-01-05T10:05]]
"""
RESULTS = json.dumps({"budget": "1 per week", "seed": 1, "sets": {"tep": {"chart": {}}}}).encode()


def history(path: Path) -> None:
    read([path], spec.Spec())


TARGETS = {
    "history": Target(
        (
            "model_training.history.reader.read",
            "model_training.history.csv_table.read_csv",
            "model_training.history.captured_table.read_captured",
            "model_training.history.time_column.read",
            "model_training.history.times.TimeReader.read",
            "model_training.history.times.parse_time",
        ),
        "bytes",
        in_file("history.csv", history),
        (TrainingError,),
        lambda: [HISTORY, CAPTURED],
    ),
    "history spec": Target(
        ("model_training.history.spec.load_spec", "model_training.history.spec.load_yaml"),
        "bytes",
        in_file("spec.yaml", spec.load_spec),
        (TrainingError,),
        lambda: [SPEC],
    ),
    "budget": Target(
        ("model_training.machine.budget.Budget.parse",), "text", Budget.parse, (TrainingError,), lambda: ["1 per week", "2 per 500 rows"]
    ),
    "comparison": Target(
        ("model_training.comparison.results.read",), "bytes", in_file("r.json", results.read), (TrainingError,), lambda: [RESULTS]
    ),
}
