"""A short chaos run of the deployed pipeline: nothing is lost, and no command is executed twice."""

from __future__ import annotations

from edgeml_cli.verify.chaos.run import Run
from edgeml_cli.verify.chaos.workspace import Workspace

SEED, SECONDS = 11, 14.0


def test_short_run_keeps_every_invariant(built, venvs, tmp_path):
    place = Workspace(tmp_path, "lite", venvs["com.edgeml.Inference"].parent)
    (tmp_path / "greengrass-build").symlink_to(built)
    said: list[str] = []
    run = Run(SEED, SECONDS, place, said.append)
    evaluation = run.go()
    assert evaluation.violations == [], said
    assert len(run.injected) == len(said) == 6
    assert evaluation.figures["alarms"] >= 1
    assert evaluation.figures["commands_executed"] >= 1
