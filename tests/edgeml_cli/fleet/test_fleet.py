"""From a published suite to devices: deployments, canaries, rollbacks and the fleet's status, on gglocal cores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeml_cli.build.model_component import package
from edgeml_cli.build.package import COMPONENTS, ROOT, SUITE, write_zip
from edgeml_cli.fleet import deploy, promote, publish, status
from tests.edgeml.models import trained, untrue
from tests.edgeml_cli.fleet.conftest import Cloud
from tests.edgeml_cli.fleet.device import Device
from tests.edgeml_cli.fleet.fake_greengrass import Component, now
from tests.gglocal.recipes import RecipeFolder

Said = Callable[[], str]
INFERENCE, MODEL, PLAIN = "com.edgeml.Inference", "com.edgeml.Model.PumpAnomaly", "com.edgeml.Model.Plain"
READER, OTHER = "com.edgeml.Reader", "com.edgeml.Other"
ANY_KEY = "com.edgeml.Inference: {merge: {signature: {required: false, public_key: null}}}\n"
"""The models of these tests are not signed with the key that the recipe trusts."""
FAST = ("--yes", "--every", "0.1", "--minutes", "2")


@pytest.fixture
def fleet(cloud: Cloud, gglocal_factory: Callable[..., Any], tmp_path: Path) -> Callable[..., list[Device]]:
    """Returns a function that creates a thing group with core devices: `fleet("plant", 2)`."""

    def make(group: str, count: int, **options: Any) -> list[Device]:
        iot = cloud.client("iot")
        iot.create_thing_group(thingGroupName=group)
        made = []
        for at in range(1, count + 1):
            thing = f"{group}-{at}"
            iot.create_thing(thingName=thing)
            iot.add_thing_to_thing_group(thingName=thing, thingGroupName=group)
            nucleus = gglocal_factory(root=tmp_path / thing, thing_name=thing)
            made.append(Device(thing, nucleus, tmp_path / f"{thing}-fetched", **options))
            cloud.greengrass.devices[thing] = made[-1]
        return made

    return make


def publish_models(place: Path, *versions: str, broken: str = "") -> None:
    """Publish versions of the model's component as edgeml model package makes it; `broken` answers its golden windows otherwise."""
    for version in versions:
        package(trained(place / version, version, other=version > "1.0.0"), ROOT, place / "built")
    if broken:  # what edgeml model package refuses to make
        archive, _ = package(trained(place / broken, broken), ROOT, place / "built")
        files = {f"bundle/{path.name}": path for path in untrue(place / broken, broken).iterdir()}
        write_zip(archive, files | {"install_bundle.py": ROOT / "libs" / "edgeml" / "model" / "install_bundle.py"})
    assert publish.main(["--without-gdk", "--from", str(place / "built")]) == 0


def versions(device: Device) -> dict[str, str]:
    return {each["componentName"]: each["componentVersion"] for each in device.installed()}


def test_fleet_workflow_from_publish_to_rollback(
    cloud: Cloud,
    fleet: Callable[..., list[Device]],
    built: Path,
    venvs: dict[str, Path],
    version: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert publish.main(["--without-gdk", "--from", str(built)]) == 0
    publish_models(tmp_path / "models", "1.0.0", "1.1.0")
    (device,) = fleet("plant", 1, venvs=venvs)
    config = tmp_path / "config.yaml"
    config.write_text(ANY_KEY + "com.edgeml.AlertDispatcher: {merge: {policy: {raise_at: 0.95}}}\n")

    capsys.readouterr()
    arguments = ["deploy", "--group", "plant", "--suite", version, "--model", "PumpAnomaly=1.0.0", "--config", str(config)]
    assert deploy.main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"+ com.edgeml.Inference {version}" in shown and "merge policy.raise_at: 0.95" in shown
    assert "nothing was deployed; confirm with --yes" in shown and not cloud.greengrass.deployments

    assert deploy.main([*arguments, *FAST, "--rollout-rate", "10", "--abort-threshold", "20"]) == 0
    assert versions(device) == {**dict.fromkeys((SUITE, *COMPONENTS), version), MODEL: "1.0.0"}
    assert device.nucleus.component("com.edgeml.AlertDispatcher").configuration["policy"]["raise_at"] == 0.95
    assert "plant-1: succeeded" in capsys.readouterr().out

    starts = device.nucleus.component(INFERENCE).starts
    assert deploy.main(["deploy", "--group", "plant", "--model", "PumpAnomaly=1.1.0", *FAST]) == 0
    assert versions(device)[MODEL] == "1.1.0"
    assert "com.edgeml.Inference accepted the bundle" in device.nucleus.tail(MODEL)
    assert device.nucleus.component(INFERENCE).starts == starts, "a new model restarts nothing"
    shown = capsys.readouterr().out
    assert f"~ {MODEL} 1.0.0 -> 1.1.0" in shown and "com.edgeml.Inference" not in shown
    job = cloud.greengrass.deployments[-1].request["iotJobConfiguration"]
    assert job["jobExecutionsRolloutConfig"] == {"maximumPerMinute": 10}, "a revision keeps the rollout"

    assert deploy.main(["rollback", "--group", "plant", *FAST]) == 0
    assert versions(device)[MODEL] == "1.0.0"

    capsys.readouterr()
    assert status.main(["status", "--group", "plant", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["devices"]
    assert (row["device"], row["status"], row["deployments"], row["component_faults"]) == ("plant-1", "healthy", {"plant": "succeeded"}, {})
    assert row["components"] == versions(device)
    assert status.main(["status"]) == 0
    assert f"all {version}" in capsys.readouterr().out


def test_broken_model_stops_at_the_canary(
    cloud: Cloud,
    fleet: Callable[..., list[Device]],
    built: Path,
    venvs: dict[str, Path],
    version: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: Said,
) -> None:
    assert publish.main(["--without-gdk", "--from", str(built), "--component", INFERENCE]) == 0
    publish_models(tmp_path / "models", "1.0.0", broken="1.1.0")
    canary, plant = fleet("canary", 1, venvs=venvs), fleet("plant", 2, venvs=venvs)
    good = {INFERENCE: version, MODEL: "1.0.0"}
    (tmp_path / "config.yaml").write_text(ANY_KEY)
    first = ["--component", f"{INFERENCE}={version}", "--model", "PumpAnomaly=1.0.0", "--config", str(tmp_path / "config.yaml")]
    assert deploy.main(["deploy", "--group", "canary", *first, *FAST]) == 0
    assert promote.main(["canary", "plant", *FAST]) == 0
    assert [versions(each) for each in plant] == [good] * 2

    capsys.readouterr()
    assert deploy.main(["deploy", "--group", "canary", "--model", "PumpAnomaly=1.1.0", *FAST]) == 1
    why = said()
    assert (
        why.startswith(f"edgeml fleet deploy: the deployment failed: canary-1 failed: {MODEL} 1.1.0 is BROKEN: ")
        and "golden window 1 of" in why
    )
    assert versions(canary[0]) == good, "the device was rolled back"

    assert promote.main(["canary", "plant", *FAST]) == 1
    assert "the canary canary is not healthy: canary-1 is FAILED" in said()
    assert [versions(each) for each in plant] == [good] * 2
    assert len([each for each in cloud.greengrass.deployments if each.request["targetArn"].endswith("/plant")]) == 1
    assert status.main(["status"]) == 0
    assert "    deployment to canary failed: com.edgeml.Model.PumpAnomaly 1.1.0 is BROKEN" in capsys.readouterr().out


def test_rollout_stops_at_the_threshold(
    cloud: Cloud, fleet: Callable[..., list[Device]], tmp_path: Path, capsys: pytest.CaptureFixture[str], said: Said
) -> None:
    shelf = RecipeFolder(tmp_path / "models")
    shelf.add(PLAIN, {"install": "true"}, "1.0.0")
    shelf.add(PLAIN, {"install": "echo no model; exit 1"}, "1.1.0")
    assert publish.main(["--without-gdk", "--from", str(tmp_path / "models")]) == 0
    plant = fleet("plant", 3)
    careful = ("--rollout-rate", "1", "--abort-threshold", "50")
    assert deploy.main(["deploy", "--group", "plant", "--model", "Plain=1.0.0", *careful, *FAST]) == 0
    capsys.readouterr()
    assert deploy.main(["deploy", "--group", "plant", "--model", "Plain=1.1.0", *FAST]) == 1
    assert "plant-1 failed" in said()
    assert [versions(each) for each in plant] == [{PLAIN: "1.0.0"}] * 3
    assert [status for status, _ in cloud.greengrass.deployments[-1].executions.values()] == ["FAILED", "CANCELED", "CANCELED"]


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """Versions by component by device, as edgeml fleet status says."""
    capsys.readouterr()
    assert status.main(["status", "--json"]) == 0
    return {row["device"]: row["components"] for row in json.loads(capsys.readouterr().out)["devices"]}


@pytest.fixture
def plain(cloud: Cloud, tmp_path: Path) -> RecipeFolder:
    """Published: READER, which is configured, and OTHER, which is broken in 1.1.0."""
    shelf = RecipeFolder(tmp_path / "build")
    for name in (READER, OTHER):
        shelf.add(name, {"run": "exec sleep 1000"}, config={"x": 1})
    shelf.add(OTHER, {"install": "exit 1"}, "1.1.0")
    assert publish.main(["--without-gdk", "--from", str(tmp_path / "build")]) == 0
    (tmp_path / "config.yaml").write_text(f"{READER}: {{merge: {{x: 2}}}}\n")
    return shelf


def deploy_both(group: str, tmp_path: Path) -> None:
    both = [each for name in (READER, OTHER) for each in ("--component", f"{name}=1.0.0")]
    assert deploy.main(["deploy", "--group", group, *both, "--config", str(tmp_path / "config.yaml"), *FAST]) == 0


def test_removed_component_is_stopped_and_uninstalled(
    plain: RecipeFolder, cloud: Cloud, fleet: Callable[..., list[Device]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (device,) = fleet("plant", 1)
    deploy_both("plant", tmp_path)
    assert listed(capsys) == {"plant-1": {OTHER: "1.0.0", READER: "1.0.0"}}
    ran, starts = device.nucleus.component(READER), device.nucleus.component(OTHER).starts
    assert ran.state == "RUNNING" and Path(f"/proc/{ran.pid}").exists()

    assert deploy.main(["deploy", "--group", "plant", "--remove", READER, *FAST]) == 0
    assert f"- {READER} 1.0.0" in capsys.readouterr().out
    assert listed(capsys) == {"plant-1": {OTHER: "1.0.0"}} and not Path(f"/proc/{ran.pid}").exists()
    assert device.nucleus.component(OTHER).starts == starts, "what stays is not touched"

    assert deploy.main(["deploy", "--group", "plant", "--component", f"{READER}=1.0.0", *FAST]) == 0
    assert device.nucleus.component(READER).configuration == {"x": 1}, "what was removed left no configuration"


def test_component_of_another_group_is_kept(
    plain: RecipeFolder, cloud: Cloud, fleet: Callable[..., list[Device]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet("plant", 1)
    cloud.client("iot").create_thing_group(thingGroupName="line")
    cloud.client("iot").add_thing_to_thing_group(thingName="plant-1", thingGroupName="line")
    deploy_both("plant", tmp_path)
    deploy_both("line", tmp_path)
    assert deploy.main(["deploy", "--group", "plant", "--remove", READER, *FAST]) == 0
    assert listed(capsys) == {"plant-1": {OTHER: "1.0.0", READER: "1.0.0"}}
    assert deploy.main(["deploy", "--group", "line", "--remove", READER, *FAST]) == 0
    assert listed(capsys) == {"plant-1": {OTHER: "1.0.0"}}


def test_failed_deployment_restores_removed_components(
    plain: RecipeFolder, fleet: Callable[..., list[Device]], tmp_path: Path, capsys: pytest.CaptureFixture[str], said: Said
) -> None:
    (device,) = fleet("plant", 1)
    deploy_both("plant", tmp_path)
    capsys.readouterr()
    assert deploy.main(["deploy", "--group", "plant", "--remove", READER, "--component", f"{OTHER}=1.1.0", *FAST]) == 1
    assert f"plant-1 failed: {OTHER} 1.1.0 is BROKEN" in said()
    assert listed(capsys) == {"plant-1": {OTHER: "1.0.0", READER: "1.0.0"}}
    assert device.nucleus.component(READER).configuration == {"x": 2}


@pytest.fixture
def published(cloud: Cloud, built: Path, version: str) -> Cloud:
    """The suite's recipes are with the service, and the group `plant` has no device."""
    for name in (*COMPONENTS, SUITE):
        recipe = yaml.safe_load((built / "recipes" / f"{name}-{version}.yaml").read_text())
        cloud.greengrass.components[name] = {version: Component(recipe, {}, now(), polls_until_deployable=0)}
    cloud.client("iot").create_thing_group(thingGroupName="plant")
    return cloud


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("com.edgeml.AlertDispatcher: {merge: {policy: {raise_at: 1.5}}}", "com.edgeml.AlertDispatcher: `policy.raise_at` is 1.5"),
        ("com.edgeml.Inference: {merge: {thread: 2}}", "com.edgeml.Inference: `thread` is an unknown option; did you mean `threads`?"),
        (
            "com.edgeml.Inferenz: {merge: {threads: 2}}",
            "names com.edgeml.Inferenz, which is not in the deployment; did you mean com.edgeml",
        ),
        ("com.edgeml.Inference: {merged: {}}", "accepts only merge (a map) and reset"),
        ("[", "not valid YAML or JSON"),
    ],
)
def test_invalid_configuration_is_not_deployed(published: Cloud, tmp_path: Path, said: Said, config: str, sentence: str) -> None:
    (tmp_path / "config.yaml").write_text(config)
    assert deploy.main(["deploy", "--group", "plant", "--config", str(tmp_path / "config.yaml"), "--yes"]) == 1
    assert sentence in said()
    assert not published.greengrass.deployments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["deploy", "--group", "plants"],
            "there is no thing group plants in us-east-1; did you mean plant? To create it, run `aws iot create",
        ),
        (["deploy", "--group", "plant", "--model", "Pump"], "--model Pump: expected NAME=VERSION"),
        (
            ["deploy", "--group", "plant", "--model", "Pump=1.0.0"],
            "com.edgeml.Model.Pump 1.0.0 is not published in us-east-1; published components: com.edgeml",
        ),
        (
            ["deploy", "--group", "plant", "--suite", "9.9.9"],
            "com.edgeml.Suite 9.9.9 is not published in us-east-1; published versions: 0.1.0",
        ),
        (["rollback", "--group", "plant"], "plant has no deployment yet"),
        (["deploy", "--group", "plant", "--rollout-growth", "2"], "--rollout-growth needs --rollout-rate"),
        (["deploy", "--group", "plant", "--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_invalid_arguments_are_reported_in_one_sentence(published: Cloud, said: Said, arguments: list[str], sentence: str) -> None:
    assert deploy.main([*arguments, "--yes"]) == 1
    assert sentence in said()
    assert not published.greengrass.deployments


def test_deploying_twice_changes_nothing(published: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["deploy", "--group", "plant", *FAST]) == 0
    assert "the group has no core devices yet" in capsys.readouterr().out
    assert deploy.main(["deploy", "--group", "plant", *FAST]) == 0
    assert "plant: no changes" in capsys.readouterr().out
    assert len(published.greengrass.deployments) == 1


def test_removing_a_dependency_gives_a_remark(published: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["deploy", "--group", "plant", *FAST]) == 0
    capsys.readouterr()
    assert deploy.main(["deploy", "--group", "plant", "--remove", INFERENCE]) == 0
    assert f"{INFERENCE} stays on the devices, because {SUITE} depends on it; remove {SUITE} too" in capsys.readouterr().out
    assert deploy.main(["deploy", "--group", "plant", "--remove", INFERENCE, "--remove", SUITE]) == 0
    assert "stays on the devices" not in capsys.readouterr().out
