"""`python -m model_training.evaluation.baselines DIR`: compute and cache the verdicts of the baselines that need TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path

from model_training.evaluation import recordings
from model_training.evaluation.baselines import BASELINES, baseline_detector
from model_training.evaluation.baselines.cache import Cache
from model_training.evaluation.figures import normal_pieces
from model_training.evaluation.robustness import modified_copies


def main() -> None:
    dataset = recordings.find(Path(sys.argv[1]))
    whole = [*dataset.recordings, *normal_pieces(dataset.normal)[0]]
    for name, method in BASELINES.items():
        if not method.tensorflow:
            continue
        cache = Cache(name, method.definition)
        detect = baseline_detector(name, method, dataset, cache)
        for number, recording in enumerate(whole):
            print(f"{name}: {recording.full_name} ({number + 1} of {len(whole)})", flush=True)
            detect(recording)
            cache.save()
        for audit in method.audits:
            for copy in modified_copies(audit, dataset.recordings):
                detect(copy)
        cache.save()


if __name__ == "__main__":
    main()
