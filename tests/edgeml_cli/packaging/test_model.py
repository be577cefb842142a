"""`edgeml model package`: reproducible components of valid bundles, and rejection of invalid bundles."""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec
import pytest
import yaml
from model_training import golden_samples

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.config.schema import read
from edgeml.errors import BundleError
from edgeml.model.bundle import save
from edgeml.model.signature import sign
from edgeml_cli.build.model_component import component_name, main, package
from edgeml_cli.build.package import ROOT, BuildError
from gglocal.deployment.resolver import configuration_updates
from gglocal.ipc.operations import SERVICES
from gglocal.recipe.lint import lint_file
from gglocal.recipe.manifest_selection import Host
from inference.options import InferenceOptions
from sensor_ingestion.options import AssetOptions
from tests.edgeml import networks
from tests.edgeml.contrast import MANIFEST as CONTRAST
from tests.edgeml.keys import PINNED, STRANGER, TRAINER, TRUSTED, edit
from tests.edgeml.models import trained, untrue
from tests.edgeml.tiny import SHIPPED

pytestmark = pytest.mark.slow("builds and signs bundles")

NAME = "com.edgeml.Model.PumpAnomaly"


def test_package_adds_a_recipe_and_a_zip_to_the_build(tmp_path: Path) -> None:
    bundle = trained(tmp_path / "bundle", "1.2.3")
    archive, recipe = package(bundle, ROOT, tmp_path / "out", "a-bucket", TRUSTED)
    assert recipe == tmp_path / "out" / "recipes" / f"{NAME}-1.2.3.yaml"
    assert archive == tmp_path / "out" / "artifacts" / NAME / "1.2.3" / "model.zip"
    read = yaml.safe_load(recipe.read_text())
    assert (read["ComponentName"], read["ComponentVersion"], read["ComponentPublisher"]) == (NAME, "1.2.3", "edgeml")
    assert read["Manifests"][0]["Artifacts"] == [{"Uri": f"s3://a-bucket/{NAME}/1.2.3/model.zip", "Unarchive": "ZIP"}]
    # A deployment waits for `install` and its exit code on both nuclei; `run` is what a restart of the device runs.
    assert list(read["Manifests"][0]["Lifecycle"]) == ["install", "run"]
    with zipfile.ZipFile(archive) as packed:
        assert sorted(packed.namelist()) == [*(f"bundle/{path.name}" for path in sorted(bundle.iterdir())), "install_bundle.py"]
        assert all(packed.read(f"bundle/{path.name}") == path.read_bytes() for path in bundle.iterdir())


def test_package_is_reproducible(tmp_path: Path) -> None:
    made = [package(trained(tmp_path / "bundle", "1.0.0"), ROOT, tmp_path / out) for out in ("a", "b")]
    assert [path.read_bytes() for path in made[0]] == [path.read_bytes() for path in made[1]]


@pytest.mark.parametrize("architecture", ["amd64", "aarch64", "arm"])
def test_recipe_uses_only_features_of_nucleus_lite(tmp_path: Path, architecture: str) -> None:
    _, recipe = package(SHIPPED, ROOT, tmp_path)
    assert lint_file(recipe, Host({"os": "linux", "architecture": architecture}), services=SERVICES) == []


@pytest.mark.parametrize(
    ("made", "public_key", "sentence"),
    [
        (lambda folder: trained(folder, "1.0.0", None), "", "has no manifest.sig"),
        (lambda folder: trained(folder, "1.0.0", STRANGER), TRUSTED, "is signed with the key"),
        (lambda folder: untrue(folder, "1.0.0"), "", "golden window 1"),
        (lambda folder: trained(folder, "new"), "", "the bundle's version is 'new'"),
        (lambda folder: trained(folder, "1.0.0", name="!"), "", "neither letters nor digits"),
        (lambda folder: edit(trained(folder, "1.0.0"), verdict_level=0.9) or folder, "", "does not match its signature"),
        (lambda folder: folder, "", "has no manifest.sig|cannot be read"),
    ],
    ids=["unsigned", "another key", "golden", "version", "name", "altered", "absent"],
)
def test_invalid_bundle_is_rejected_and_nothing_written(tmp_path, made, public_key, sentence, capsys) -> None:
    folder = made(tmp_path / "bundle")
    with pytest.raises((BundleError, BuildError), match=sentence):
        package(folder, ROOT, tmp_path / "out", public_key=public_key)
    assert not (tmp_path / "out").exists()
    arguments = [str(folder), "--out", str(tmp_path / "out"), *(["--public-key", public_key] if public_key else [])]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("edgeml model package: ")


def test_standard_output_is_the_configuration_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = trained(tmp_path / "bundle", "2.0.0", name="my_pump")
    assert main([str(bundle), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    update = configuration_updates(yaml.safe_load(said.out), "it")["com.edgeml.Inference"]["merge"]
    assert update.keys() == {"model", "signature"} and update["model"] == "com.edgeml.Model.MyPump"
    assert list(update["signature"]["public_keys"].values()) == [TRUSTED]
    shipped = read(InferenceOptions, {"signature": {**PINNED, **update["signature"]}, "model": update["model"]})
    assert shipped.signature.public_key == PINNED["public_key"]
    assert "model.zip" in said.err and "com.edgeml.Model.MyPump-2.0.0" in said.err


def test_model_of_contrasts_is_packaged_with_its_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = msgspec.structs.replace(CONTRAST, policy={"hold_s": 900, "raise_at": 0.95})
    save(tmp_path / "bundle", manifest, networks.contrasts(4, 8, 3))
    golden_samples.write(tmp_path / "bundle")
    sign(tmp_path / "bundle", TRAINER)
    assert main([str(tmp_path / "bundle"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    updates = configuration_updates(yaml.safe_load(printed), "it")
    assert updates["com.edgeml.Inference"]["merge"]["model"] == "com.edgeml.Model.Contrast"
    policies = read(AlertDispatcherOptions, updates["com.edgeml.AlertDispatcher"]["merge"]).policy_by_model
    assert policies == {"contrast": {"hold_s": 900, "raise_at": 0.95}}
    comment, quality = printed.splitlines()[-2:]
    assert comment == "# Options of each asset of com.edgeml.SensorIngestion that this model scores:"
    options = read(AssetOptions, {"source": "simulator", **yaml.safe_load(quality.removeprefix("# "))})
    assert options.quality.max_gap_s == 5 and {each.stuck_after_s for each in options.quality.channels.values()} == {0}


def test_component_names() -> None:
    assert component_name("pump_anomaly") == NAME
    assert component_name("RUL-turbofan 2") == "com.edgeml.Model.RULTurbofan2"
