"""All fuzzing targets by name."""

from __future__ import annotations

from tests.fuzz import component_targets, edgeml_targets, gglocal_targets, history_targets, training_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    **edgeml_targets.TARGETS,
    **component_targets.TARGETS,
    **gglocal_targets.TARGETS,
    **training_targets.TARGETS,
    **history_targets.TARGETS,
}
