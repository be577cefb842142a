"""The result of a comparison, as it is written to a file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_training.comparison.outcome import Outcome
from model_training.training_request import TrainingError


@dataclass(frozen=True)
class Results:
    """Outcomes by set, method and machine, in the order in which they are shown."""

    budget: str
    seed: int
    sets: dict[str, dict[str, dict[str, Outcome]]]

    def missing(self, names: list[str], others: Results) -> Results:
        """These results with the methods that only `others` has; `names` has the order of the methods.

        Raises:
            TrainingError: they were not made in the same way.
        """
        if (self.budget, self.seed, list(self.sets)) != (others.budget, others.seed, list(others.sets)):
            raise TrainingError(
                f"the earlier results are of budget {others.budget!r}, seed {others.seed} and {', '.join(others.sets)}, not of "
                f"{self.budget!r}, {self.seed} and {', '.join(self.sets)}; run all methods again"
            )
        sets = {}
        for name, methods in self.sets.items():
            whole = others.sets[name] | methods
            sets[name] = {method: whole[method] for method in names if method in whole}
        return Results(self.budget, self.seed, sets)


def write(path: Path, results: Results) -> None:
    """Write results as JSON; a missed event has the delay null."""
    path.write_text(json.dumps(_finite(asdict(results)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read results that `write` wrote.

    Raises:
        TrainingError: the file is no result of a comparison.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        sets = {
            name: {method: {machine: _outcome(each) for machine, each in of.items()} for method, of in methods.items()}
            for name, methods in plain["sets"].items()
        }
        return Results(plain["budget"], plain["seed"], sets)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise TrainingError(f"{path} is no result of a comparison; name a file that --json wrote") from None


def _outcome(plain: dict[str, Any]) -> Outcome:
    delays = tuple(math.inf if each is None else float(each) for each in plain["delays"])
    return Outcome(**plain | {"delays": delays, "found": tuple(plain["found"])})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
