"""A model of your own, by the README: trained, signed with your own key, packaged, and deployed with the printed configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml_cli.build import model_component
from gglocal.cli import main
from tests.edgeml.models import trained
from tests.pipeline.line import valve
from tests.pipeline.test_signed_bundles import INFERENCE, Watch

OWN = "com.edgeml.Model.OwnPump"


def test_inference_scores_with_the_model_by_the_printed_configuration(
    line, version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = line()
    watch = Watch(suite)
    suite.deploy(valve(speed=20, duration_s=100_000).config, version)
    suite.until(lambda: bool(watch.blocks), 60, "results of the shipped bundle")
    shipped, starts = watch.blocks[-1].model, suite.nucleus.component(INFERENCE).starts

    bundle = trained(tmp_path / "own", "2.0.0", name="own_pump", other=True)
    assert model_component.main([str(bundle), "--out", str(tmp_path / "built")]) == 0
    (tmp_path / "model.yaml").write_text(capsys.readouterr().out)
    given = ["--recipe-dir", tmp_path / "built" / "recipes", "--artifact-dir", tmp_path / "built" / "artifacts"]
    given += ["--merge", f"{OWN}=2.0.0", "--config", tmp_path / "model.yaml", "--root", suite.nucleus.root.path]
    assert main.main(["deploy", *map(str, given)]) == 0

    suite.until(lambda: watch.blocks[-1].model == "own_pump" != shipped, 60, "results of the model of one's own")
    suite.until(lambda: watch.status is not None and not watch.status.faults, 60, "a status without faults")
    # Without the model component's copy the shipped bundle runs, and its key is trusted as before.
    assert suite.nucleus.component(INFERENCE).configuration["signature"]["public_key"]
    assert suite.nucleus.component(INFERENCE).starts >= starts
