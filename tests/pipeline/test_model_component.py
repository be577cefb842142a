"""A model component on the local nucleus: Inference takes each version without a restart, keeps the old one on a fault, and goes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml_cli.build.model_component import package
from edgeml_cli.build.package import ROOT, write_zip
from tests.edgeml.keys import STRANGER, TRUSTED
from tests.edgeml.models import trained, untrue
from tests.pipeline.line import valve
from tests.pipeline.test_signed_bundles import INFERENCE, Watch

MODEL = "com.edgeml.Model.PumpAnomaly"


@pytest.mark.parametrize("profile", ["classic", "lite"])
def test_inference_keeps_running_while_versions_change(line, version, tmp_path: Path, profile):
    suite = line(profile=profile)
    watch = Watch(suite)
    scenario = valve(speed=20, duration_s=100_000).config | {INFERENCE: {"signature": {"public_key": TRUSTED}}}
    scenario[INFERENCE]["bundle"] = str(trained(tmp_path / "configured", "1.0.0"))
    suite.deploy(scenario, version)
    suite.until(lambda: bool(watch.blocks) and watch.blocks[-1].model_version == "1.0.0", 60, "results of the configured bundle")
    stream, starts = watch.more()[-1].stream, suite.nucleus.component(INFERENCE).starts

    def deploy(bundle: Path, instead: Path | None = None, ends: str = "FINISHED") -> None:
        archive, recipe = package(bundle, ROOT, tmp_path / "built")
        if instead is not None:  # `edgeml model package` refuses to make it
            files = {f"bundle/{path.name}": path for path in instead.iterdir()}
            write_zip(archive, files | {"install_bundle.py": ROOT / "libs" / "edgeml" / "model" / "install_bundle.py"})
        suite.nucleus.deploy(recipe.parent, tmp_path / "built" / "artifacts", {MODEL: recipe.stem.rpartition("-")[2]})
        suite.until(lambda: suite.nucleus.component(MODEL).state in ("FINISHED", "BROKEN"), 60, "the end of the model's steps")
        ended = suite.nucleus.component(MODEL)
        assert ended.state == ends
        if ends == "BROKEN":
            assert "install ended with exit code 1" in ended.detail  # the step that a deployment waits for on both nuclei

    def runs(wanted: str) -> None:
        suite.until(lambda: watch.blocks[-1].model_version == wanted, 60, f"results of {wanted}")

    deploy(trained(tmp_path / "b110", "1.1.0", other=True))
    runs("1.1.0")
    deploy(trained(tmp_path / "b120", "1.2.0"))
    runs("1.2.0")
    deploy(trained(tmp_path / "b130", "1.3.0", STRANGER), ends="BROKEN")
    for sentence in ("is signed with the key", "golden window 1 of 13"):
        suite.until(lambda says=sentence: watch.says(says), 60, f"the refusal: {sentence}")
        assert {block.model_version for block in watch.more()} == {"1.2.0"}
        deploy(trained(tmp_path / "b140", "1.4.0"), instead=untrue(tmp_path / "untrue", "1.4.0"), ends="BROKEN")
    deploy(trained(tmp_path / "b110", "1.1.0", other=True))  # back to an older version
    runs("1.1.0")
    suite.until(lambda: watch.status is not None and not watch.status.faults, 60, "a status without faults")
    assert {block.stream for block in watch.more()} == {stream}
    assert suite.nucleus.component(INFERENCE).starts == starts
    seqs = [block.seq for block in watch.blocks if block.stream == stream]
    assert sorted(set(seqs)) == list(range(max(seqs) + 1))  # not a block is missing over all the exchanges
    # The model is there before Inference is.
    suite.nucleus.restart(INFERENCE)
    suite.until(lambda: watch.blocks[-1].stream != stream, 60, "results after a restart")
    assert {block.model_version for block in watch.more()} == {"1.1.0"}
    assert "Traceback" not in suite.log(INFERENCE)
