"""Baseline methods to compare a model with. A new method is a function and an entry in `BASELINES`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from model_training.component_path import ROOT
from model_training.evaluation import robustness
from model_training.evaluation.baselines import control_chart, conv_autoencoder, pca, trivial
from model_training.evaluation.baselines.cache import Cache
from model_training.evaluation.bundle_scoring import Detector, DetectorResult, apply_policy
from model_training.evaluation.figures import figures, normal_pieces, run_detector
from model_training.evaluation.recordings import Recording, RecordingSet
from model_training.evaluation.splits import BASELINE_ROWS

Verdict = Callable[[Recording], np.ndarray]
ALL_AUDITS = tuple(robustness.AUDITS)


@dataclass(frozen=True)
class Method:
    """A baseline method.

    Attributes:
        make: from the recordings to two functions of a recording: verdicts (n,) bool, and a text of all settings that affect them.
        definition: plain data that changes whenever the verdicts may change.
        audits: names in `AUDITS`.
        tensorflow: True if computing uncached verdicts needs TensorFlow.
    """

    make: Callable[[RecordingSet], tuple[Verdict, Callable[[Recording], str]]]
    definition: Any
    audits: tuple[str, ...] = ALL_AUDITS
    tensorflow: bool = False


def _plain(verdict: Verdict) -> Callable[[RecordingSet], tuple[Verdict, Callable[[Recording], str]]]:
    return lambda dataset: (verdict, lambda recording: "")


def _chart(dataset: RecordingSet) -> tuple[Verdict, Callable[[Recording], str]]:
    choice = control_chart.choose(dataset.recordings)

    def setting(recording: Recording) -> control_chart.Setting:
        return choice.get(recording.full_name, choice[""])

    return lambda recording: control_chart.verdict(recording, setting(recording)), lambda recording: str(tuple(setting(recording)))


_CONV_AE = conv_autoencoder.ConvAe()
_FAST_AUDITS = ("shifted", "without an anomaly")

BASELINES: dict[str, Method] = {
    "always alarm": Method(_plain(trivial.always), 1),
    "position only": Method(_plain(trivial.position), [trivial.FIRST, trivial.LAST]),
    "moving-average chart": Method(_chart, control_chart.DEFINITION),
    "PCA T2+Q": Method(_plain(pca.verdict), pca.DEFINITION),
    "Conv-AE causal": Method(_plain(_CONV_AE.causal), conv_autoencoder.DEFINITION, _FAST_AUDITS, tensorflow=True),
    "Conv-AE published": Method(_plain(_CONV_AE.published), conv_autoencoder.DEFINITION, _FAST_AUDITS, tensorflow=True),
}


def table(dataset: RecordingSet, data: Path, prior: float, log: Callable[[str], None]) -> dict[str, Any]:
    """Figures and audits of every baseline by name; `unavailable` has the reason if a method cannot run here."""
    rows = {}
    for name, method in BASELINES.items():
        log(f"baseline: {name}")
        row = _row(name, method, dataset, prior)
        if row is None and method.tensorflow and _compute_in_training_environment(data, log):
            row = _row(name, method, dataset, prior)
        rows[name] = row or {"unavailable": "TensorFlow is not installed; run `scripts/env --venv .venv-train train`, then this again"}
    return rows


def _row(name: str, method: Method, dataset: RecordingSet, prior: float) -> dict[str, Any] | None:
    """Figures and audits, or None if this process cannot compute uncached verdicts."""
    cache = Cache(name, method.definition)
    detect = baseline_detector(name, method, dataset, cache)
    near, _ = normal_pieces(dataset.normal)
    try:
        segments, normal = run_detector(detect, dataset.recordings), run_detector(detect, near)
        if cache.missing:
            return None
        audits = robustness.run(detect, segments, prior, method.audits)
    finally:
        cache.save()
    if cache.missing:
        return None
    return {"figures": figures(segments, normal, prior).plain(), "audits": [asdict(audit) for audit in audits]}


def baseline_detector(name: str, method: Method, dataset: RecordingSet, cache: Cache) -> Detector:
    """Create a detector from a method: confidence 1 or 0 after the baseline rows, no decision in them."""
    verdict, extra = method.make(dataset)
    can_compute = not method.tensorflow or find_spec("tensorflow") is not None

    def detect(recording: Recording) -> DetectorResult:
        verdicts = cache.get(recording, verdict if can_compute else None, extra(recording))
        confidence = verdicts.astype(np.float32)
        confidence[:BASELINE_ROWS] = np.nan
        return apply_policy(recording, confidence, 0.5, name)

    return detect


def _compute_in_training_environment(data: Path, log: Callable[[str], None]) -> bool:
    """Compute verdicts that need TensorFlow in the training environment. Returns True on success."""
    if find_spec("tensorflow") is not None:
        return False
    python = os.environ.get("EDGEML_TRAIN_PYTHON") or str(ROOT / ".venv-train" / "bin" / "python")
    if not Path(python).exists():
        return False
    log("Conv-AE trains one network for each recording in the training environment; this takes minutes, once")
    command = [python, "-m", "model_training.evaluation.baselines", str(data.resolve())]
    around = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'libs'}"}
    return subprocess.run(command, cwd=ROOT, env=around, stdout=sys.stderr, check=False).returncode == 0
