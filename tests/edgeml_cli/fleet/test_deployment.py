"""Changes, rollback and promotion of deployments, and the rollout options; no service is called."""

from __future__ import annotations

import argparse
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from edgeml_cli.fleet import rollout_options
from edgeml_cli.fleet.deploy import versions
from edgeml_cli.fleet.deployment_plan import ComponentSpec, DeploymentSpec, changes, effective_configuration, promotion, rollback_to
from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.health_reports import HealthReport
from edgeml_cli.fleet.rollout_monitor import RolloutMonitor, component_faults, follow
from edgeml_cli.fleet.status import DeviceStatus, table
from edgeml_cli.status_line import LOGGER

TARGET = "arn:aws:iot:us-east-1:123456789012:thinggroup/plant"


def rollout(*arguments: str) -> DeploymentSpec:
    parser = argparse.ArgumentParser()
    rollout_options.add(parser)
    return rollout_options.apply(parser.parse_args(arguments), DeploymentSpec({"A": ComponentSpec("1.0.0")}))


def test_changes_have_one_line_per_difference() -> None:
    before = DeploymentSpec(
        {"A": ComponentSpec("1.0.0", {"x": {"y": 1, "z": 2}}), "B": ComponentSpec("1.0.0"), "C": ComponentSpec("1.0.0")}
    )
    after = DeploymentSpec(
        {"A": ComponentSpec("1.0.0", {"x": {"y": 3}}, ("/x/z",)), "B": ComponentSpec("1.1.0"), "D": ComponentSpec("2.0.0", {"on": True})},
        {"jobExecutionsRolloutConfig": {"maximumPerMinute": 5}},
        {**before.policies, "failureHandlingPolicy": "DO_NOTHING"},
    )
    assert changes(before, after) == [
        "~ A 1.0.0",
        "    merge x.y: 1 -> 3",
        "    merge x.z: 2 removed",
        "    reset /x/z",
        "~ B 1.0.0 -> 1.1.0",
        "- C 1.0.0",
        "+ D 2.0.0",
        "    merge on: true",
        "rollout jobExecutionsRolloutConfig.maximumPerMinute: 5",
        'policy failureHandlingPolicy: "ROLLBACK" -> "DO_NOTHING"',
    ]
    assert changes(after, after) == []


def test_deployment_survives_a_round_trip_through_the_service() -> None:
    wanted = DeploymentSpec(
        {"A": ComponentSpec("1.0.0", {"x": 1}, ("/y",), {"posixUser": "ggc"}), "B": ComponentSpec("1.0.0")}, {"timeoutConfig": {}}
    )
    assert DeploymentSpec.of_service(wanted.request(TARGET, "a")) == wanted


def test_rollback_resets_keys_merged_since() -> None:
    earlier = DeploymentSpec({"A": ComponentSpec("1.0.0", {"x": 1})})
    current = DeploymentSpec({"A": ComponentSpec("1.1.0", {"x": 2, "y": {"z/~": 3}}), "B": ComponentSpec("1.0.0")})
    back = rollback_to(current, earlier)
    assert back.parts == {"A": ComponentSpec("1.0.0", {"x": 1}, ("/y/z~1~0",))}
    assert effective_configuration({"x": 0, "y": {"z/~": 0}}, [current.parts["A"], back.parts["A"]]) == {"x": 1, "y": {"z/~": 0}}


def test_promotion_changes_versions_and_keeps_configuration() -> None:
    canary = DeploymentSpec({"A": ComponentSpec("2.0.0", {"x": 1}), "B": ComponentSpec("1.0.0", {"y": 1})})
    group = DeploymentSpec(
        {"A": ComponentSpec("1.0.0", {"x": 9}), "C": ComponentSpec("1.0.0")}, {"timeoutConfig": {"inProgressTimeoutInMinutes": 5}}
    )
    assert promotion(canary, group) == DeploymentSpec(
        {"A": ComponentSpec("2.0.0", {"x": 9}), "B": ComponentSpec("1.0.0", {"y": 1})}, group.job
    )
    assert promotion(canary, None).parts == canary.parts


@pytest.mark.parametrize(
    ("reset", "merge", "wanted"),
    [
        ((), {"a": {"b": 5}}, {"a": {"b": 5, "c": 2}, "d": 3}),
        (("",), {}, {"a": {"b": 1, "c": 2}, "d": 3}),
        (("/a/b", "/e"), {}, {"a": {"b": 1, "c": 2}, "d": 3}),
        (("/a",), {"d": None}, {"a": {"b": 1, "c": 2}, "d": None}),
    ],
)
def test_effective_configuration_is_defaults_then_reset_then_merge(reset: tuple[str, ...], merge: dict[str, Any], wanted: Any) -> None:
    changed = ComponentSpec("1.0.0", {"a": {"b": 4}}) if reset else ComponentSpec("1.0.0")
    assert effective_configuration({"a": {"b": 1, "c": 2}, "d": 3}, [changed, ComponentSpec("1.0.0", merge, reset)]) == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--rollout-rate", "50"),
        ("--rollout-rate", "5", "--rollout-growth", "1.5"),
        ("--abort-threshold", "10", "--abort-after", "20"),
        ("--device-minutes", "30", "--on-failure", "keep", "--update", "at-once", "--update-seconds", "120"),
    ],
)
def test_rollouts_are_valid_requests_of_the_service(arguments: tuple[str, ...]) -> None:
    shape = botocore.session.get_session().get_service_model("greengrassv2").operation_model("CreateDeployment").input_shape
    report = ParamValidator().validate(rollout(*arguments).request(TARGET, "a"), shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rollout-rate", "0"),
        ("--rollout-rate", "fast"),
        ("--rollout-growth", "9"),
        ("--abort-threshold", "101"),
        ("--update-seconds", "-1"),
    ],
)
def test_number_out_of_range_is_rejected(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rollout(*arguments)
    assert "number from" in capsys.readouterr().err


def test_abort_after_needs_a_threshold() -> None:
    with pytest.raises(FleetError, match="--abort-after needs --abort-threshold"):
        rollout("--abort-after", "5")


def test_default_is_the_suite_and_named_components_replace_it() -> None:
    def named(**given: Any) -> dict[str, str]:
        nothing: dict[str, Any] = {"suite": None, "model": [], "component": [], "remove": [], "config": None}
        return versions(argparse.Namespace(**{**nothing, **given}), "1.2.3")

    assert set(named().values()) == {"1.2.3"} and "com.edgeml.Suite" in named()
    assert named(model=["Pump=1.0.0", "com.edgeml.Model.Fan=2.0.0"]) == {"com.edgeml.Model.Pump": "1.0.0", "com.edgeml.Model.Fan": "2.0.0"}
    assert named(component=["aws.greengrass.Nucleus=2.14.0"]) == {"aws.greengrass.Nucleus": "2.14.0"}


def test_progress_reports_each_change_once() -> None:
    progress = RolloutMonitor()
    assert progress.update("a", "QUEUED", "") == "a: queued"
    assert progress.update("a", "QUEUED", "") == ""
    assert progress.update("b", "SUCCEEDED", "fine") == "b: succeeded"
    assert progress.summary() == "1 of 2 devices done: 1 queued, 1 succeeded"
    assert progress.update("a", "FAILED", "no disk") == "a: failed: no disk"
    assert (progress.pending, progress.failed) == ([], {"a": "failed: no disk"})


def test_following_a_deployment_reports_the_devices_that_are_done_as_steps(caplog: pytest.LogCaptureFixture) -> None:
    class Groups:
        """One device, which succeeds at the second look."""

        looks = 0

        def devices(self, arn: str) -> list[dict[str, Any]]:
            return [{"coreDeviceThingName": "a"}]

        def deployment(self, identity: str) -> dict[str, Any]:
            return {"deploymentStatus": "ACTIVE"}

        def executions(self, device: str) -> list[dict[str, Any]]:
            self.looks += 1
            return [{"deploymentId": "1", "coreDeviceExecutionStatus": "SUCCEEDED" if self.looks > 1 else "IN_PROGRESS"}]

        def installed(self, device: str) -> list[dict[str, Any]]:
            return []

    lines: list[str] = []
    LOGGER.addHandler(caplog.handler)
    try:
        follow(Groups(), "arn", "1", lines.append, 1, 0, wait=lambda seconds: None)  # type: ignore[arg-type]
    finally:
        LOGGER.removeHandler(caplog.handler)
    assert [record.args for record in caplog.records] == [("1 in progress", 0, 1), ("1 succeeded", 1, 1)]
    assert lines == ["  a: in progress", "  a: succeeded", "1 of 1 devices done: 1 succeeded"]


def test_installed_components_are_compared_with_the_expected_ones() -> None:
    def installed(name: str, version: str = "1.0.0", state: str = "RUNNING", root: bool = True) -> dict[str, Any]:
        return {"componentName": name, "componentVersion": version, "lifecycleState": state, "isRoot": root}

    wanted = {"a": "1.0.0", "b": "1.0.0"}
    assert component_faults([installed("a"), installed("b"), installed("other", "9.0.0", root=False)], wanted) == ""
    assert component_faults([installed("a", "0.9.0"), installed("b", root=False)], wanted) == (
        "has a 0.9.0 instead of 1.0.0, has b only as a dependency, and ignores its configuration"
    )
    assert component_faults([installed("a", state="BROKEN")], wanted) == "has a 1.0.0 BROKEN, has no b"


def test_status_table() -> None:
    whole = {"com.edgeml.Suite": "1.0.0", "com.edgeml.Inference": "1.0.0", "com.edgeml.Model.Pump": "3.0.0"}
    rows = [
        DeviceStatus(
            "a",
            "healthy",
            "2026-11-25T10:00:00Z",
            {"plant": "succeeded"},
            whole,
            health_reports={"A": HealthReport("A", "10:00", "running")},
        ),
        DeviceStatus(
            "b", "unhealthy", "", {"plant": "failed: no disk"}, {"com.edgeml.Inference": "0.9.0"}, {"com.edgeml.Inference": "BROKEN"}
        ),
        DeviceStatus(
            "c",
            "healthy",
            "",
            health_reports={"A": HealthReport("A", "10:00", "running"), "B": HealthReport("B", "09:00", "faulty", ("no", "way"))},
        ),
    ]
    assert table(rows) == [
        "device  health     last report           component health         deployment       components       models",
        "a       healthy    2026-11-25T10:00:00Z  running, 10:00           plant succeeded  all 1.0.0        Pump 3.0.0",
        "b       unhealthy  never                 no reports               plant failed     Inference 0.9.0  none",
        "    deployment to plant failed: no disk",
        "    com.edgeml.Inference is BROKEN",
        "c       healthy    never                 1 of 2 unhealthy, 09:00  none             none             none",
        "    B reported at 09:00: faulty; no; way",
    ]
    assert [row.healthy for row in rows] == [True, False, False]
