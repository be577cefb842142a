"""An evaluation: from bundles and recordings to one result of plain data, the input of report and tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeml.model.bundle import Bundle
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.runtime import open_engine
from model_training.evaluation import cross_selection, robustness
from model_training.evaluation.bundle_scoring import Detector, bundle_detector
from model_training.evaluation.figures import Segment, figures, normal_pieces, run_detector
from model_training.evaluation.recordings import RecordingSet
from model_training.evaluation.splits import BASELINE_ROWS
from model_training.progress import steps

Log = Callable[[str], None]


@dataclass(frozen=True)
class EvaluatedBundle:
    """One bundle, evaluated on all recordings.

    Attributes:
        engine: name of the runtime.
        near, later: pieces of normal running included in the figures, and pieces of later rows.
    """

    bundle: Bundle
    detector: Detector
    engine: str
    segments: list[Segment]
    near: list[Segment]
    later: list[Segment]

    @property
    def weights(self) -> str:
        return str(self.bundle.manifest.provenance.get("weights", "int8"))

    @property
    def seed(self) -> int:
        return int(self.bundle.manifest.provenance.get("seed", 0))

    @property
    def design(self) -> str:
        """The `design` in the bundle's provenance, else its name, version and code digest."""
        manifest = self.bundle.manifest
        named, code = manifest.provenance.get("design"), str(manifest.provenance.get("code", ""))
        return str(named) if named else f"{manifest.name} {manifest.version} {code[:8]}".strip()

    def as_run(self) -> cross_selection.BundleRun:
        manifest = self.bundle.manifest
        return cross_selection.BundleRun(self.design, self.seed, manifest.verdict_level, manifest.prior, self.segments, self.near)


def evaluate_bundle(bundle: Bundle, dataset: RecordingSet) -> EvaluatedBundle:
    """Evaluate a bundle on all recordings.

    Recordings listed in the provenance as `calibrated_on` (`<group>/<name>`) are excluded from the calibration error.

    Raises:
        BundleError: the model does not fit its manifest, or the channels of the recordings.
    """
    engine = open_engine(bundle)
    detector = bundle_detector(bundle, engine)
    near, later = normal_pieces(dataset.normal)
    own = set(bundle.manifest.provenance.get("calibrated_on", ()))
    segments = [replace(segment, calibrated=segment.recording.full_name in own) for segment in run_detector(detector, dataset.recordings)]
    return EvaluatedBundle(bundle, detector, engine.kind, segments, run_detector(detector, near), run_detector(detector, later))


def evaluate(
    bundles: Sequence[Bundle],
    dataset: RecordingSet,
    data: Path,
    levels: Sequence[float],
    audits: bool,
    log: Log,
) -> tuple[dict[str, Any], list[EvaluatedBundle]]:
    """Evaluate bundles. Returns the result as plain data, and the evaluated bundles."""
    evaluated: list[EvaluatedBundle] = []
    for bundle in bundles:
        log(f"evaluating {bundle.where} ({len(evaluated) + 1} of {len(bundles)})")
        evaluated.append(evaluate_bundle(bundle, dataset))
        steps("bundle", len(evaluated), len(bundles))
    result: dict[str, Any] = {"data": describe_data(dataset, data), "policy": _policy(bundles[0]), "bundles": []}
    for each in evaluated:
        if audits:
            log(f"auditing {each.bundle.where}")
        result["bundles"].append(_bundle(each, audits))
    chosen_from = [each.as_run() for each in evaluated if each.weights != "float32"] or [each.as_run() for each in evaluated]
    if any(segment.recording.anomaly is not None for segment in evaluated[0].segments):
        result["cross_validation"] = cross_selection.cross_validate(chosen_from, levels).plain()
    result["quantised"] = _compare(evaluated)
    return result, evaluated


def describe_data(dataset: RecordingSet, data: Path) -> dict[str, Any]:
    """Names and digest of the evaluated data."""
    return {
        "folder": data.name,
        "digest": digest(dataset),
        "recordings": [recording.full_name for recording in dataset.recordings],
        "unlabelled": [recording.full_name for recording in dataset.recordings if recording.anomaly is None],
        "normal_recordings": [recording.full_name for recording in dataset.normal],
        "skipped": _relative(dataset.skipped, data),
        "warnings": _relative(dataset.warnings, data),
        "baseline_rows": BASELINE_ROWS,
    }


def _relative(sentences: Sequence[str], data: Path) -> list[str]:
    """Remove the data folder's path, which is specific to this machine, from sentences."""
    return [sentence.replace(f"{data}/", "") for sentence in sentences]


def digest(dataset: RecordingSet) -> str:
    """SHA-256 of names, times, values and labels of the recordings."""
    sha = hashlib.sha256()
    for recording in (*dataset.recordings, *dataset.normal):
        sha.update(recording.full_name.encode() + b"\0")
        for array in (recording.rows, recording.times, recording.values, recording.anomaly, recording.changepoint):
            sha.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _bundle(each: EvaluatedBundle, audits: bool) -> dict[str, Any]:
    manifest = each.bundle.manifest
    row = {
        "folder": Path(each.bundle.where).name,
        "name": manifest.name,
        "version": manifest.version,
        "digest": each.bundle.digest,
        "bytes": len(each.bundle.model),
        "engine": each.engine,
        "weights": each.weights,
        "seed": each.seed,
        "design": each.design,
        "verdict_level": manifest.verdict_level,
        "prior": manifest.prior,
        "figures": figures(each.segments, each.near, manifest.prior).plain(),
        "recordings": per_recording(each.segments, manifest.prior),
        "normal": per_recording(each.near, manifest.prior),
    }
    if each.later:
        row["later_normal"] = figures([], each.later, manifest.prior).plain()
    if audits:
        row["audits"] = [asdict(result) for result in robustness.run(each.detector, each.segments, manifest.prior)]
    return row


def per_recording(segments: Sequence[Segment], prior: float) -> list[dict[str, Any]]:
    """Figures of each segment."""
    out = []
    for segment in segments:
        own = figures([segment], [], prior) if segment.recording.anomaly is not None else figures([], [segment], prior)
        name, rows = segment.recording.full_name, segment.recording.rows
        evaluated = {"name": name, "from_row": int(rows[0]), "to_row": int(rows[-1]), "labelled": segment.recording.anomaly is not None}
        plain = own.plain()
        if not evaluated["labelled"]:
            plain |= {"false_alarm_rate": own.normal_false_alarm_rate, "undecided": own.normal_undecided}
        out.append(evaluated | plain)
    return out


def _compare(evaluated: Sequence[EvaluatedBundle]) -> list[dict[str, Any]]:
    """Compare int8 with float32 bundles of the same seed and design."""
    out = []
    floats = {(each.design, each.seed): each for each in evaluated if each.weights == "float32"}
    for each in evaluated:
        other = floats.get((each.design, each.seed))
        if each.weights == "float32" or other is None:
            continue
        own, reference = (figures(one.segments, [], one.bundle.manifest.prior).f1 for one in (each, other))
        actual, expected = (np.concatenate([s.result.confidence for s in (*one.segments, *one.near)]) for one in (each, other))
        verdicts = [np.concatenate([s.result.verdict for s in (*one.segments, *one.near)]) for one in (each, other)]
        out.append(
            {
                "seed": each.seed,
                "int8": own,
                "float32": reference,
                "f1_loss": reference - own,
                "largest_difference": float(np.nanmax(np.abs(actual - expected))),
                "verdicts_differing": float(np.mean(verdicts[0] != verdicts[1])),
            }
        )
    return out


def _policy(bundle: Bundle) -> dict[str, Any]:
    return dict(msgspec.to_builtins(effective_policy(bundle.manifest)))
