"""`python -m model_training.evaluation.baselines DIR`: works out the verdicts of the baselines that need TensorFlow, and keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

from model_training.evaluation import recordings
from model_training.evaluation.baselines import BASELINES, judge_by_verdict
from model_training.evaluation.baselines.cache import Cache
from model_training.evaluation.figures import free_pieces
from model_training.evaluation.robustness import changed


def main() -> None:
    found = recordings.find(Path(sys.argv[1]))
    whole = [*found.recordings, *free_pieces(found.free)[0]]
    for name, method in BASELINES.items():
        if not method.tensorflow:
            continue
        cache = Cache(name, method.definition)
        judge = judge_by_verdict(name, method, found, cache)
        for number, recording in enumerate(whole):
            print(f"{name}: {recording.full_name} ({number + 1} of {len(whole)})", flush=True)
            judge(recording)
            cache.save()
        for audit in method.audits:
            for copy in changed(audit, found.recordings):
                judge(copy)
        cache.save()


if __name__ == "__main__":
    main()
