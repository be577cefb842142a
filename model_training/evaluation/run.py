"""An evaluation from bundles and a folder of recordings to one plain result, which the report and the tables are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine
from model_training.evaluation import cross_selection
from model_training.evaluation import robustness as auditing
from model_training.evaluation.bundle_scoring import Judge, judge_by
from model_training.evaluation.figures import Stretch, figures, free_pieces, judge_all
from model_training.evaluation.recordings import Found
from model_training.evaluation.splits import BASELINE_ROWS
from model_training.progress import steps

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluated:
    """One bundle on all recordings.

    Attributes:
        engine: the runtime that the model ran on.
        near, later: pieces of normal running that are in the figure, and of rows after those.
    """

    bundle: Bundle
    judge: Judge
    engine: str
    stretches: list[Stretch]
    near: list[Stretch]
    later: list[Stretch]

    @property
    def weights(self) -> str:
        return str(self.bundle.manifest.provenance.get("weights", "int8"))

    @property
    def seed(self) -> int:
        return int(self.bundle.manifest.provenance.get("seed", 0))

    @property
    def design(self) -> str:
        """What the bundle's provenance names its `design`, else its name, version and code."""
        manifest = self.bundle.manifest
        named, code = manifest.provenance.get("design"), str(manifest.provenance.get("code", ""))
        return str(named) if named else f"{manifest.name} {manifest.version} {code[:8]}".strip()

    def as_run(self) -> cross_selection.Run:
        manifest = self.bundle.manifest
        return cross_selection.Run(self.design, self.seed, manifest.verdict_level, manifest.prior, self.stretches, self.near)


def judge_bundle(bundle: Bundle, found: Found) -> Evaluated:
    """Judge everything that was found.

    Recordings that the manifest's provenance lists in `calibrated_on` (`<group>/<name>`) do not measure the calibration error.

    Raises:
        BundleError: the model does not fit its manifest, or the recordings' channels.
    """
    engine = open_engine(bundle)
    judge = judge_by(bundle, engine)
    near, later = free_pieces(found.free)
    own = set(bundle.manifest.provenance.get("calibrated_on", ()))
    stretches = [replace(stretch, calibrated=stretch.recording.full_name in own) for stretch in judge_all(judge, found.recordings)]
    return Evaluated(bundle, judge, engine.kind, stretches, judge_all(judge, near), judge_all(judge, later))


def evaluate(
    bundles: Sequence[Bundle],
    found: Found,
    data: Path,
    levels: Sequence[float],
    audits: bool,
    say: Say,
) -> tuple[dict[str, Any], list[Evaluated]]:
    """The result, plain values only, and what it was made of."""
    judged: list[Evaluated] = []
    for bundle in bundles:
        say(f"judging {bundle.where} ({len(judged) + 1} of {len(bundles)})")
        judged.append(judge_bundle(bundle, found))
        steps("bundle", len(judged), len(bundles))
    result: dict[str, Any] = {"data": data_of(found, data), "policy": _policy(), "bundles": []}
    for each in judged:
        if audits:
            say(f"auditing {each.bundle.where}")
        result["bundles"].append(_bundle(each, audits))
    chosen_from = [each.as_run() for each in judged if each.weights != "float32"] or [each.as_run() for each in judged]
    if any(stretch.recording.anomaly is not None for stretch in judged[0].stretches):
        result["crosswise"] = cross_selection.choose(chosen_from, levels).plain()
    result["quantised"] = _compare(judged)
    return result, judged


def data_of(found: Found, data: Path) -> dict[str, Any]:
    """What was judged, by name and digest."""
    return {
        "folder": data.name,
        "digest": digest(found),
        "recordings": [recording.full_name for recording in found.recordings],
        "unlabelled": [recording.full_name for recording in found.recordings if recording.anomaly is None],
        "free": [recording.full_name for recording in found.free],
        "left_out": _short(found.left_out, data),
        "remarks": _short(found.remarks, data),
        "baseline_rows": BASELINE_ROWS,
    }


def _short(sentences: Sequence[str], data: Path) -> list[str]:
    """Without the folder: where the data lie on this machine is of no use to a reader of the result."""
    return [sentence.replace(f"{data}/", "") for sentence in sentences]


def digest(found: Found) -> str:
    """SHA-256 of names, times, values and labels."""
    sha = hashlib.sha256()
    for recording in (*found.recordings, *found.free):
        sha.update(recording.full_name.encode() + b"\0")
        for array in (recording.rows, recording.times, recording.values, recording.anomaly, recording.changepoint):
            sha.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _bundle(each: Evaluated, audits: bool) -> dict[str, Any]:
    manifest = each.bundle.manifest
    said = {
        "where": Path(each.bundle.where).name,
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
        "figures": figures(each.stretches, each.near, manifest.prior).plain(),
        "recordings": per_recording(each.stretches, manifest.prior),
        "normal": per_recording(each.near, manifest.prior),
    }
    if each.later:
        said["later_normal"] = figures([], each.later, manifest.prior).plain()
    if audits:
        said["audits"] = [asdict(result) for result in auditing.run(each.judge, each.stretches, manifest.prior)]
    return said


def per_recording(stretches: Sequence[Stretch], prior: float) -> list[dict[str, Any]]:
    """Figures of each by itself."""
    out = []
    for stretch in stretches:
        own = figures([stretch], [], prior) if stretch.recording.anomaly is not None else figures([], [stretch], prior)
        name, rows = stretch.recording.full_name, stretch.recording.rows
        judged = {"name": name, "from_row": int(rows[0]), "to_row": int(rows[-1]), "labelled": stretch.recording.anomaly is not None}
        plain = own.plain()
        if not judged["labelled"]:
            plain |= {"false_alarm_rate": own.normal_false_alarm_rate, "undecided": own.normal_undecided}
        out.append(judged | plain)
    return out


def _compare(judged: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """int8 against float32, where both of a seed and design are there."""
    out = []
    floats = {(each.design, each.seed): each for each in judged if each.weights == "float32"}
    for each in judged:
        other = floats.get((each.design, each.seed))
        if each.weights == "float32" or other is None:
            continue
        own, reference = (figures(one.stretches, [], one.bundle.manifest.prior).f1 for one in (each, other))
        said, wanted = (np.concatenate([s.judged.confidence for s in (*one.stretches, *one.near)]) for one in (each, other))
        verdicts = [np.concatenate([s.judged.verdict for s in (*one.stretches, *one.near)]) for one in (each, other)]
        out.append(
            {
                "seed": each.seed,
                "int8": own,
                "float32": reference,
                "lost": reference - own,
                "largest_difference": float(np.nanmax(np.abs(said - wanted))),
                "verdicts_differing": float(np.mean(verdicts[0] != verdicts[1])),
            }
        )
    return out


def _policy() -> dict[str, Any]:
    options = PolicyOptions()
    return {name: getattr(options, name) for name in options.__struct_fields__}
