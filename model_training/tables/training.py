"""Training run: from a table to the bundles and the report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeml.model.bundle import Bundle, assemble, save
from model_training import source_digest, tflite_export
from model_training.tables import (
    augmentation,
    baselines,
    calibration,
    checks,
    evaluation,
    features,
    figures,
    intervals,
    manifest,
    network,
    public_data,
    read,
    report,
    split,
)
from model_training.tables import spec as specs
from model_training.tables import table as tables
from model_training.tables.features import Examples
from model_training.tables.outcome import Outcome
from model_training.tables.spec import Spec
from model_training.tables.table import Table
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult

FOLDS_SERIES, FOLDS_ROWS = 3, 5
EXAMPLES = 1000
"""Inputs that give the value ranges of int8."""
PAYS = 0.005
"""The float32 twin is written if it is better than int8 by this much: of the RMSE as a share, or of the F1."""


class Source(NamedTuple):
    """The table of a request, and where it comes from."""

    table: Table
    test: Table | None
    spec: Spec
    data: dict[str, Any]
    notes: tuple[str, ...]


def train(request: TrainingRequest, kind: str) -> TrainingResult:
    """Train, calibrate and evaluate on held-out units, write the bundles and the report.

    Raises:
        TrainingError: the table or the spec is unusable; one sentence.
    """
    source = load(request, kind)
    baselines.require()
    for note in (*source.notes, *source.table.notes, *checks.leaks(source.table)):
        request.log(note)
    return Run(source, request, kind).write()


def load(request: TrainingRequest, kind: str) -> Source:
    """Read the table that a request names: files or a folder of one's own, or the public data set of the kind's example."""
    options = request.options
    paths: list[Path] = list(getattr(options, "data", None) or ())
    test_paths: list[Path] = list(getattr(options, "test", None) or ())
    path: Path | None = getattr(options, "spec", None)
    own = bool(paths or path or getattr(options, "target", None))
    if not own:
        path = public_data.DEFAULT[kind]
    spec = specs.load(options, path)
    folder = public_data.folder_of(spec.dataset, paths) if paths else request.data
    if spec.dataset and (not paths or folder is not None):
        public = public_data.load(spec.dataset, folder, request)
        columns, test_columns, data, notes = public.train, public.test, public.provenance, public.notes
    else:
        if not paths and request.data is not None:
            paths = read.files_in(request.data)
        if not paths:
            raise TrainingError(f"{request.data or 'the command line'} has no CSV or Parquet file; name the files with --data")
        columns = read.read(paths, spec.headings)
        test_columns = read.read(test_paths, spec.headings) if test_paths else None
        data = {"files": {**columns.digests, **(test_columns.digests if test_columns else {})}, "partial": False, "citation": ""}
        notes = (f"{', '.join(columns.digests)}: {len(columns)} rows, {len(columns.cells)} columns",)
    table = tables.build(columns, spec, kind == "classification")
    checks.require_enough(table, spec.group)
    test = tables.build(test_columns, spec, kind == "classification", like=table) if test_columns is not None else None
    return Source(table, test, spec, data, notes)


class Run:
    """One training run."""

    def __init__(self, source: Source, request: TrainingRequest, kind: str) -> None:
        self.source, self.request, self.kind = source, request, kind
        self.table, self.spec = source.table, source.spec
        self.condition = calibration.condition(self.table, self.spec)
        self.template = manifest.build(self.table, self.spec, self.condition)
        if not (self.spec.interval_s or self.table.interval_s):
            request.log(f"a device must feed a row every {self.template.interval_s:g} s; state another `interval_s` in the spec")
        self.examples = self._built(self.table)
        if len(np.unique(self.examples.unit)) < checks.MIN_UNITS:
            raise TrainingError(
                f"only {len(np.unique(self.examples.unit))} units have the {self.template.min_rows} rows that a decision needs; add rows, "
                "or shorten the `views` in the spec"
            )
        self.copies = self._stretched()
        self.recipe = network.SERIES if self.table.ordered else network.ROWS
        self.divides = any(formula.divides for formula in self.table.derived.values())
        self.weights = ("float32",) if self.divides else ("int8", "float32")
        self.output = self._output()
        self.folds = min(FOLDS_SERIES if self.table.ordered else FOLDS_ROWS, len(np.unique(self.examples.unit)))
        if request.quick:
            self.recipe, self.folds = self.recipe._replace(epochs=2), 2

    def target(self, examples: Examples) -> np.ndarray:
        """The target (m,), capped."""
        return examples.target if self.spec.cap is None or self.table.classes else np.minimum(examples.target, self.spec.cap)

    def write(self) -> TrainingResult:
        request, log = self.request, self.request.log
        log(
            f"{len(self.examples.x)} examples of {len(np.unique(self.examples.unit))} units, and {sum(len(c.x) for c in self.copies)} of "
            "stretched copies"
        )
        outputs, temperature = self.cross_predict()
        shipped = outputs[self.weights[0]]
        truth = self.condition.holds(self.examples.target)
        score = self.score(shipped)
        table = calibration.fit(score, truth, self.condition)
        confidence = calibration.cross_calibrate(score, truth, self.examples.unit, self.condition, request.seed)
        level = self.spec.verdict_level or (evaluation.best_level(confidence, truth) if self.table.classes else 0.5)
        bounds = None
        if not self.table.classes:
            bounds = intervals.fit(shipped, self.target(self.examples), self.examples.unit, self.spec.coverage)
        log("training on all units")
        model = self.fit(np.ones(len(self.examples.x), bool))
        model.temper(temperature)
        provenance = self._provenance(model, bounds)
        bundles: dict[str, Bundle] = {}
        for weights in self.weights:
            file = self.export(model, weights)
            complete = manifest.completed(self.template, table, level, {**provenance, "weights": weights})
            bundles[weights] = assemble(complete, file, str(request.out / self.template.name))
        found = report.write(request.out / f"{self.template.name}-report", self._outcome(outputs, bundles, bounds, level))
        kept = [weights for weights in self.weights if weights == self.weights[0] or self._pays(found)]
        for weights in kept:
            folder = request.out / f"{self.template.name}{'' if weights == self.weights[0] else '-float32'}"
            saved = save(folder, bundles[weights].manifest, bundles[weights].model)
            log(f"wrote {folder}: {weights}, {len(saved.model)} bytes, SHA-256 {saved.digest}")
        return TrainingResult(request.out / self.template.name, figures.main(found))

    def cross_predict(self) -> tuple[dict[str, np.ndarray], float]:
        """Predict each example by models that were trained without its unit, and find the temperature of the probabilities."""
        request, classes = self.request, len(self.table.classes)
        stratify = self.examples.target.astype(int) if classes else None
        parts = split.folds(self.examples.unit, stratify, self.folds, request.seed)
        shape = (len(self.examples.x), classes) if classes else (len(self.examples.x),)
        outputs = {name: np.empty(shape) for name in (*self.weights, *baselines.METHODS)}
        flat, target, models = features.flat(self.template, self.table, self.examples.x), self.target(self.examples), []
        for number, part in enumerate(parts, 1):
            request.log(f"cross-validation {number}/{len(parts)}: {len(np.unique(self.examples.unit[part]))} units held out")
            models.append(self.fit(~part))
            outputs["float32"][part] = self._shaped(models[-1].predict(self.examples.x[part]))
            for method in baselines.METHODS:
                outputs[method][part] = baselines.predict(method, flat[~part], target[~part], flat[part], classes, request.seed)
        temperature = calibration.temperature(outputs["float32"], self.examples.target.astype(int)) if classes else 1.0
        for part, model in zip(parts, models, strict=True):
            model.temper(temperature)
            for weights in self.weights:
                bundle = assemble(self.template, self.export(model, weights))
                outputs[weights][part] = self._shaped(evaluation.answers(bundle, self.examples.x[part]))
        return outputs, temperature

    def fit(self, chosen: np.ndarray) -> network.Trained:
        """Train on the examples of a mask, and on the stretched copies of their units."""
        units = np.unique(self.examples.unit[chosen])
        sets = [self.examples.of(chosen), *(copy.of(np.isin(copy.unit, units)) for copy in self.copies)]
        x, target = np.concatenate([each.x for each in sets]), np.concatenate([self.target(each) for each in sets])
        return network.train(self.template, self.table, x, target, self.output, self.recipe, self.request.seed, self.request.log)

    def export(self, model: network.Trained, weights: str) -> bytes:
        """The TFLite file of a model."""
        if weights == "float32":
            return tflite_export.to_float32(model.model)
        x = self.examples.x
        sampled = x[np.random.default_rng(self.request.seed).choice(len(x), min(EXAMPLES, len(x)), replace=False)]
        if not self.table.ordered:
            # Both ends of each channel's range, so that the int8 range does not depend on the sample.
            sampled = np.concatenate([sampled, *(np.full((1, *x.shape[1:]), end, np.float32) for end in (-1.0, 1.0))])
        return tflite_export.to_int8(model.model, sampled)

    def score(self, outputs: np.ndarray) -> np.ndarray:
        """The score (m,) of outputs."""
        return 1 - outputs[:, 0] if self.table.classes else outputs

    def _outcome(
        self, outputs: dict[str, np.ndarray], bundles: dict[str, Bundle], bounds: intervals.Intervals | None, level: float
    ) -> Outcome:
        test, classes = self.source.test, len(self.table.classes)
        target, test_outputs, test_examples = self.target(self.examples), {}, None
        if test is not None:
            test_examples = self._built(test)
            flat = features.flat(self.template, self.table, self.examples.x)
            held_out = features.flat(self.template, self.table, test_examples.x)
            test_outputs = {
                method: baselines.predict(method, flat, target, held_out, classes, self.request.seed) for method in baselines.METHODS
            }
        return Outcome(
            table=self.table,
            test=test,
            test_examples=test_examples,
            spec=self.spec,
            condition=self.condition,
            examples=self.examples,
            target=target,
            outputs=outputs,
            test_outputs=test_outputs,
            bundles=bundles,
            bounds=bounds,
            level=level,
            folds=self.folds,
            seed=self.request.seed,
            data=self.source.data,
            notes=(*self.source.notes, *self.table.notes),
        )

    def _built(self, table: Table) -> Examples:
        examples = features.build(self.template, table)
        finite = np.isfinite(features.derived(self.template, table, examples.x)).all((1, 2))
        if not finite.all():
            self.request.log(f"{int((~finite).sum())} rows in which a derived column is not finite were dropped")
        return examples.of(finite)

    def _stretched(self) -> list[Examples]:
        if not (self.spec.run_to_failure and self.table.ordered):
            return []
        count = 1 if self.request.quick else augmentation.COPIES
        copies = augmentation.stretched(self.table, self.template.min_rows, count, self.request.seed)
        return [self._built(copy) for copy in copies if len(copy)]

    def _output(self) -> network.Output:
        if self.table.classes:
            return network.Output(len(self.table.classes))
        target = self.target(self.examples)
        if self.spec.run_to_failure:
            return network.Output(0, 0.0, self.spec.cap or float(target.max()), True)
        return network.Output(0, float(target.mean()), float(target.std()) or 1.0)

    def _shaped(self, outputs: np.ndarray) -> np.ndarray:
        return outputs if self.table.classes else outputs[:, 0]

    def _pays(self, found: dict[str, Any]) -> bool:
        int8, float32 = (found["cross_validation"][weights] for weights in ("int8", "float32"))
        if self.table.classes:
            return float32["f1"] > int8["f1"] + PAYS
        return float32["rmse"] < int8["rmse"] * (1 - PAYS)

    def _provenance(self, model: network.Trained, bounds: intervals.Intervals | None) -> dict[str, Any]:
        data = self.source.data
        found: dict[str, Any] = {
            "data": data["files"] if isinstance(data["files"], dict) else {file["name"]: file["sha256"] for file in data["files"]},
            "partial": data["partial"],
            "seed": self.request.seed,
            "parameters": int(model.model.count_params()),
            "examples": len(self.examples.x) + sum(len(copy.x) for copy in self.copies),
            "code": source_digest.digest(__package__),
            "tensorflow": sys.modules["tensorflow"].__version__,
        }
        if data["citation"]:
            found["data_source"] = data["citation"]
        if self.table.derived:
            found["derived"] = {name: formula.text for name, formula in self.table.derived.items()}
        return found | ({"intervals": bounds.as_json()} if bounds else {})
