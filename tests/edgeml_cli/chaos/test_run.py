"""One short run of chaos through the deployed pipeline: nothing lost, nothing done twice."""

from __future__ import annotations

from edgeml_cli.verify.chaos.run import Run
from edgeml_cli.verify.chaos.workspace import Workspace

SEED, SECONDS = 11, 14.0


def test_a_short_run_keeps_every_promise(built, venvs, tmp_path):
    place = Workspace(tmp_path, "lite", venvs["com.edgeml.Inference"].parent)
    (tmp_path / "greengrass-build").symlink_to(built)
    said: list[str] = []
    run = Run(SEED, SECONDS, place, said.append)
    verdict = run.go()
    assert verdict.violations == [], said
    assert len(run.struck) == len(said) == 6
    assert verdict.figures["alarms"] >= 1
    assert verdict.figures["commands_executed"] >= 1
