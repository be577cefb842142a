"""Train a model of any machine: from tables of its past to a bundle, its model card and its component."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from edgeml.model import bundle as bundles
from model_training.history import load_spec, read
from model_training.machine import card, delivery, graph, learning, validation
from model_training.machine import series as rows_of
from model_training.machine.budget import Budget, describe
from model_training.machine.learning import Machine
from model_training.machine.validation import Validation
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult


def train(request: TrainingRequest) -> TrainingResult:
    """Train the kind `machine`.

    Raises:
        TrainingError: one sentence: the problem with the files, the spec or the budget, and the remedy.
    """
    options = request.options
    name, budget = delivery.checked_name(options.name), Budget.parse(options.budget)
    files = options.data or ([request.data] if request.data else [])
    if not files:
        raise TrainingError("--data is missing; name the files with the history of the machine")
    history = read(files, load_spec(options.spec))
    series, sentinels = rows_of.without_sentinels(history, rows_of.collect(history))
    history = dataclasses.replace(history, notes=(*history.notes, *rows_of.left_out(history, series), *sentinels))
    for note in history.notes:
        request.log(note)
    machine = learning.learn(history, series, name, budget, request.seed, request.log)
    checked = None if request.quick else validation.validate(history, series, name, budget, request.seed, request.log)
    if checked is not None:
        machine = dataclasses.replace(machine, manifest=msgspec.structs.replace(machine.manifest, prior=checked.prior))
    request.log("exporting the graph")
    folder = request.out / name
    model = graph.export(machine.fit, machine.promise.level, len(history.channels), request.seed)
    bundle = bundles.save(folder, machine.manifest, model)
    report = card.write(request.out / f"{name}-report", machine, checked, bundle)
    request.log(f"model card: {report}")

    def complete(made: Path) -> dict[str, str]:
        return delivery.write(made, request.out)

    return TrainingResult(folder, {**_figures(machine, checked), "bytes": len(model)}, complete)


def _figures(machine: Machine, checked: Validation | None) -> dict[str, object]:
    """The main figures, for the last line of the output."""
    fit, promise = machine.fit, machine.promise
    found: dict[str, object] = {
        "rows": len(machine.series),
        "channels": len(machine.manifest.channels),
        "set_aside": int((machine.series.normal & ~fit.accepted).sum()),
        "budget": describe(promise.rows * machine.history.interval_s),
        "budget_rows": round(promise.rows),
        "budget_kept": promise.kept,
    }
    if checked is not None:
        found["validation"] = {"rows": checked.rows, "alarms": checked.alarms, "expected_alarms": round(checked.expected, 3)}
    return found
