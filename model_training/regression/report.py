"""The report on a model of remaining life: `figures.json`, plots and the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.bundle import Bundle
from model_training import calibration
from model_training.datasets import Cmapss
from model_training.regression import baseline, evaluation, examples, life_calibration, manifest_template
from model_training.regression.examples import Examples
from model_training.report import life_plots, model_card, plots
from model_training.training_request import TrainingRequest

DRAWN_ENGINES = 6
"""Test engines whose whole course is drawn."""
SELECTION = (
    "Views, widths, dropout, noise, epochs, the cap and the stretched copies were chosen among 43 settings by cross-validation over the "
    "training engines (three parts, whole engines kept out), most of them on a network of the same layers in numpy. The test engines' "
    "figure was printed with three of the settings on the way; the last step, from four stretched copies to six, came after such a look, "
    "though cross-validation had named it before."
)
LIMITS = (
    "Between 60 and 120 cycles before the end wear hardly shows yet, and the error is largest. One operating condition and one kind of "
    "fault (FD001); simulated engines. It wants an engine's rows from its first cycle on, one a cycle; after a restart without replay it "
    "answers again after 30 cycles, and takes what it then sees for the beginning. Above the cap it says only that the end is far."
)


def write(
    folder: Path,
    bundles: dict[str, Bundle],
    data: Cmapss,
    training_set: Examples,
    held_out: dict[str, np.ndarray],
    request: TrainingRequest,
) -> dict[str, Any]:
    """Judge bundles (by weights, int8 first) on the test engines, as on a device, and write the report; gives its figures.

    Args:
        given: the training engines' examples.
        apart: for `network` and `baseline`, (n,) cycles: each example's answer by a model that was trained without its engine.
    """
    answers = {weights: evaluation.predict(bundle, data.test) for weights, bundle in bundles.items()}
    figures = _figures(bundles, answers, data, training_set, held_out, request.seed)
    for name, each in figures["test"].items():
        request.log(f"{name}: RMSE {each['rmse']:.2f} cycles over {each['engines']} test engines, capped at {manifest_template.CAP:g}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    drawn = _draw(folder, answers["int8"])
    citation = data.provenance.as_json()
    model_card.write(
        folder,
        model_card.Card(
            answers=f"After each cycle: how many cycles has this engine left, up to {manifest_template.CAP:g}, and how probable is it that they are fewer "
            f"than {manifest_template.HORIZON:g}? It is trained on simulated turbofans and fits no other machine.",
            data=f"{citation['citation']}; {citation['licence']}. " + "; ".join(data.notes) + ".",
            figures=table(figures),
            limits=LIMITS,
            plots=drawn,
            sections={"How it was chosen": SELECTION, "By test engine": _engines(answers["int8"])},
        ),
        list(bundles.values()),
    )
    return figures


def table(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of a table, the first its headings."""
    rows: list[tuple[str, ...]] = [("figure", "int8", "float32", "linear regression", "target")]
    test, cross = figures["test"], figures["cross_validation"]

    def line(name: str, key: str, form: str, target: str = "") -> None:
        rows.append((name, *(format(test[of][key], form) if key in test[of] else "-" for of in ("int8", "float32", "baseline")), target))

    line(
        f"RMSE in cycles, last row of {test['int8']['engines']} test engines, capped at {manifest_template.CAP:g}",
        "rmse",
        ".2f",
        "≤ 14, aim 12",
    )
    line("the same over all rows with a decision", "rmse_rows", ".2f")
    line("score of the PHM 2008 challenge, capped", "nasa", ".0f")
    line(f"calibration error at a prior of {manifest_template.PRIOR:g}, test rows", "calibration_error", ".3f", "≤ 0.10, aim 0.05")
    line("bytes of the model", "bytes", "d")
    rows.append(
        (
            f"RMSE over rows of {cross['engines']} training engines, each kept out of training",
            "-",
            f"{cross['rmse_rows_network']:.2f}",
            f"{cross['rmse_rows_baseline']:.2f}",
            "",
        )
    )
    error = f"{cross['calibration_error']:.3f}"
    rows.append(("calibration error on training engines that fitted neither model nor table", "-", error, "-", "≤ 0.10, aim 0.05"))
    return rows


def _figures(
    bundles: dict[str, Bundle],
    answers: dict[str, evaluation.LifePredictions],
    data: Cmapss,
    training_set: Examples,
    held_out: dict[str, np.ndarray],
    seed: int,
) -> dict[str, Any]:
    confidence, capped = (
        life_calibration.cross_calibrate(held_out["network"], training_set, seed),
        np.minimum(training_set.life, manifest_template.CAP),
    )
    test: dict[str, Any] = {
        weights: {
            **evaluation.compute_metrics(predicted, manifest_template.HORIZON, manifest_template.PRIOR)._asdict(),
            "bytes": len(bundles[weights].model),
            "sha256": bundles[weights].digest,
        }
        for weights, predicted in answers.items()
    }
    linear = baseline.fit(training_set.x, training_set.life)
    test_set = examples.build(bundles["int8"].manifest, data.test)
    ends = np.append(np.flatnonzero(np.diff(test_set.engine)), len(test_set.engine) - 1)
    errors = baseline.predict(linear, test_set.x) - np.minimum(test_set.life, manifest_template.CAP)
    test["baseline"] = {"rmse": evaluation.rms(errors[ends]), "rmse_rows": evaluation.rms(errors), "engines": len(ends)}
    return {
        "data": data.provenance.as_json(),
        "seed": seed,
        "test": test,
        "cross_validation": {
            "engines": len(np.unique(training_set.engine)),
            "calibration_error": calibration.expected_error(
                confidence, training_set.life < manifest_template.HORIZON, manifest_template.PRIOR
            ),
            **{f"rmse_rows_{name}": evaluation.rms(predicted - capped) for name, predicted in held_out.items()},
        },
    }


def _engines(answers: evaluation.LifePredictions) -> str:
    rows: list[tuple[str, ...]] = [("engine", "cycles seen", "cycles left", "said", "confidence")]
    for at in np.flatnonzero(answers.last):
        rows.append(
            (
                str(answers.engine[at]),
                str(answers.cycle[at]),
                f"{answers.life[at]:.0f}",
                f"{answers.score[at]:.0f}",
                f"{answers.confidence[at]:.2f}",
            )
        )
    return model_card.markdown(rows)


def _draw(folder: Path, answers: evaluation.LifePredictions) -> dict[str, str]:
    decided = ~np.isnan(answers.score)
    below = answers.life[decided] < manifest_template.HORIZON
    life_plots.scatter(
        folder / "test.png",
        "Test engines at their last row",
        np.minimum(answers.life[answers.last], manifest_template.CAP),
        answers.score[answers.last],
        "cycles left, capped",
        "cycles said",
    )
    longest = sorted(np.unique(answers.engine), key=lambda engine: -int((answers.engine == engine).sum()))[:DRAWN_ENGINES]
    life_plots.courses(
        folder / "courses.png",
        "The longest test engines",
        {
            f"engine {engine}": (answers.cycle[at], np.minimum(answers.life[at], manifest_template.CAP), answers.score[at])
            for engine in longest
            for at in [answers.engine == engine]
        },
        "cycle",
        "cycles left",
    )
    drawn = {"Test engines at their last row": "test.png", "Their course": "courses.png"}
    if below.any() and not below.all():
        plots.reliability(folder / "reliability.png", "Test rows", answers.confidence[decided], below, manifest_template.PRIOR)
        drawn["Reliability on test rows"] = "reliability.png"
    return drawn
