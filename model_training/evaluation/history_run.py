"""An evaluation on recordings of any layout: from bundles and tables to one result of plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgeml.model.bundle import Bundle
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.runtime import open_engine
from model_training.evaluation import injection
from model_training.evaluation.bundle_scoring import bundle_detector
from model_training.evaluation.history_data import HistoryData, read_for
from model_training.evaluation.history_figures import EvaluatedRecording, figures
from model_training.evaluation.injection import Found, NormalRows
from model_training.history import Spec
from model_training.progress import steps

Log = Callable[[str], None]


@dataclass(frozen=True)
class EvaluatedHistory:
    """One bundle on recordings of any layout.

    Attributes:
        engine: name of the runtime.
        recordings: one for each recording of `data`.
    """

    bundle: Bundle
    engine: str
    data: HistoryData
    recordings: tuple[EvaluatedRecording, ...]

    def plain(self) -> dict[str, Any]:
        """The figures, together and by recording."""
        manifest = self.bundle.manifest
        return {
            "folder": Path(self.bundle.where).name,
            "name": manifest.name,
            "version": manifest.version,
            "digest": self.bundle.digest,
            "bytes": len(self.bundle.model),
            "engine": self.engine,
            "verdict_level": manifest.verdict_level,
            "prior": manifest.prior,
            "policy": msgspec.to_builtins(effective_policy(manifest)),
            "figures": figures(self.recordings, manifest.prior).plain(),
            "recordings": [{"name": each.title} | figures([each], manifest.prior).plain() for each in self.recordings],
        }


def evaluate_bundle(bundle: Bundle, data: HistoryData) -> EvaluatedHistory:
    """Run a bundle over the recordings, each from its first row.

    Raises:
        BundleError: the model does not fit its manifest.
    """
    engine = open_engine(bundle)
    detector = bundle_detector(bundle, engine)
    manifest = bundle.manifest
    evaluated = []
    for title, recording, given in zip(data.titles, data.recordings, data.inputs, strict=True):
        evaluated.append(EvaluatedRecording(title, recording, detector(given), manifest.interval_s, manifest.longest_gap_s))
        steps("recording", len(evaluated), len(data.recordings))
    return EvaluatedHistory(bundle, engine.kind, data, tuple(evaluated))


def evaluate(bundles: Sequence[Bundle], paths: Sequence[Path], spec: Spec, log: Log) -> tuple[dict[str, Any], list[EvaluatedHistory]]:
    """Evaluate bundles. Returns the result as plain data, and the evaluated ones.

    Raises:
        HistoryError, BundleError: the data cannot be read, or do not fit a bundle.
    """
    out: list[EvaluatedHistory] = []
    read: dict[tuple[Any, ...], HistoryData] = {}
    for bundle in bundles:
        log(f"evaluating {bundle.where} ({len(out) + 1} of {len(bundles)})")
        wanted = (bundle.manifest.channels, bundle.manifest.interval_s, bundle.manifest.longest_gap_s)
        if wanted not in read:
            read[wanted] = read_for(bundle.manifest, paths, spec)
        out.append(evaluate_bundle(bundle, read[wanted]))
    history = out[0].data.history
    described = {
        "files": list(out[0].data.names),
        "channels": [msgspec.to_builtins(channel) for channel in history.channels],
        "interval_s": history.interval_s,
        "notes": list(history.notes),
    }
    return {"data": described, "bundles": [each.plain() for each in out]}, out


def inject(evaluated: EvaluatedHistory, seed: int) -> list[Found]:
    """Lay faults over the normal rows of the recording that has the most of them."""
    recording, given = max(zip(evaluated.recordings, evaluated.data.inputs, strict=True), key=lambda pair: int(pair[0].normal().sum()))
    bundle = evaluated.bundle
    rows = NormalRows(given.times, given.values, recording.normal())
    return injection.table(bundle, open_engine(bundle), rows, seed)
