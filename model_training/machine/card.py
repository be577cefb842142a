"""The model card of a machine's model: what it learned, what it promises, what it finds, with pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeml.model.bundle import Bundle
from model_training.evaluation import injection
from model_training.machine import learning
from model_training.machine.budget import describe
from model_training.machine.learning import Machine
from model_training.machine.validation import EXAMPLE_SIZE, Validation
from model_training.report import model_card, plots, small_multiples

BAND_SIGMAS = 3.0
MAX_SPOKEN = 3


def write(folder: Path, machine: Machine, validation: Validation | None, bundle: Bundle) -> Path:
    """Write `card.md` and its pictures into a folder."""
    interval = machine.history.interval_s
    pictures = {"Held-out scores over the history": _scores(folder, machine)}
    sections = {
        "Reading": _list(machine.history.notes),
        "What explains what": _list([*machine.fit.sentences, *_relations(machine)]),
        "Set aside": _list(learning.aside(machine.series, machine.fit))
        if not machine.fit.accepted[machine.series.normal].all()
        else "None.",
    }
    if validation is not None:
        sections["Faults laid over held-out rows"] = _injected(validation, interval)
        if validation.example is not None:
            pictures[f"A step of {EXAMPLE_SIZE:g} standard deviations, laid over held-out rows"] = _example(folder, validation, bundle)
    return model_card.write(
        folder,
        model_card.Card(
            answers="For each row, the model estimates whether the machine runs otherwise than in its history. It compares the means of "
            "the last rows, on several time scales, with those of a recent reference, and the channels with each other. It is not a safety "
            "function for people or machines.",
            data=f"{len(machine.series)} rows of {len(machine.history.recordings)} recordings, one row every {interval:g} s.",
            figures=_figures(machine, validation),
            limits=_limits(machine),
            plots=pictures,
            sections=sections,
        ),
        [bundle],
    )


def _figures(machine: Machine, validation: Validation | None) -> list[tuple[str, str]]:
    promise, interval = machine.promise, machine.history.interval_s
    rows = [
        ("figure", "value"),
        ("false-alarm budget, per asset", f"{describe(promise.rows * interval)}, one in {promise.rows:.0f} rows"),
        ("rows before the first decision", str(machine.fit.layout.min_reference + machine.fit.layout.delay)),
    ]
    if validation is None:
        return [*rows, ("held-out rows", "none: the history is too short")]
    return [
        *rows,
        ("held-out rows, by a model of the rows before them", str(validation.rows)),
        ("false alarms in them, and expected by the budget", f"{validation.alarms}, {validation.expected:.2f}"),
        ("rows in alarm", f"{100 * validation.alarm_share:.2f} %"),
        ("calibration error of the confidence, at the prior", f"{validation.calibration_error:.3f}, {validation.prior:g}"),
    ]


def _injected(validation: Validation, interval_s: float) -> str:
    """A table of the faults that were found."""
    table = model_card.markdown(injection.lines(validation.found, interval_s))
    return f"Each fault lasts at most {injection.ROWS} rows in one channel. Size 0 is no fault; its alarms are false ones.\n\n{table}"


def _relations(machine: Machine) -> list[str]:
    names = machine.manifest.names
    return [
        f"{names[place]} is implied by {', '.join(names[each] for each in partners)}"
        for place, partners in enumerate(machine.manifest.relations)
        if partners
    ]


def _limits(machine: Machine) -> str:
    layout, interval = machine.fit.layout, machine.history.interval_s
    return "\n".join(
        [
            f"- {machine.promise.sentence[0].upper()}{machine.promise.sentence[1:]}.",
            f"- A change that is slower than the reference of {layout.reference} rows ({layout.reference * interval:g} s) counts as drift.",
            f"- An alarm ends after {learning.HOLD_REFERENCES * layout.reference} rows: then the new state is the reference.",
            "- Conditions that the history does not contain, such as a season, a product or a mode, can alarm.",
        ]
    )


def _scores(folder: Path, machine: Machine) -> str:
    """Draw the held-out score of each row, with the level and the stretches that were set aside."""
    fit, series = machine.fit, machine.series
    name = "held-out-scores.png"
    plots.scores(
        folder / name,
        f"{machine.manifest.name}: score of each row by a model that did not train on it",
        series.times,
        fit.held_out,
        machine.promise.level,
        series.normal & ~fit.accepted,
        ~series.normal,
    )
    return name


def _example(folder: Path, validation: Validation, bundle: Bundle) -> str:
    manifest, example = bundle.manifest, validation.example
    assert example is not None
    mean, std = np.array(manifest.scaling.mean), np.array(manifest.scaling.std)
    alarmed = np.flatnonzero(example.alarm[example.begin :])
    spoke: dict[int, np.ndarray] = {}
    if len(alarmed):
        row = example.begin + int(alarmed[0])
        sizes = np.abs(np.nan_to_num(example.views[row]))
        loud = [int(each) for each in np.argsort(-sizes)[:MAX_SPOKEN] if sizes[each] >= 1]
        spoke = dict.fromkeys(loud, example.alarm)
    truth = np.arange(len(example.times)) >= example.begin
    name = "injected-step.png"
    small_multiples.draw(
        folder / name,
        small_multiples.Drawn(
            title=f"{manifest.name} {manifest.version}: {EXAMPLE_SIZE:g} standard deviations added to {manifest.names[example.channel]}",
            times=example.times,
            values=example.values,
            names=[f"{channel.name} ({channel.unit})" if channel.unit else channel.name for channel in manifest.channels],
            band=np.stack([mean - BAND_SIGMAS * std, mean + BAND_SIGMAS * std], axis=1),
            confidence=example.confidence,
            alarm=example.alarm,
            truth=truth,
            spoke=spoke,
            level=manifest.verdict_level,
        ),
    )
    return name


def _list(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "None."
