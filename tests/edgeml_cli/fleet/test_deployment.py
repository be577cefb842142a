"""What would change, what takes it back, and what a rollout's arguments come to; no service is asked."""

from __future__ import annotations

import argparse
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from edgeml_cli.fleet import rollout_options
from edgeml_cli.fleet.deploy import versions
from edgeml_cli.fleet.deployment_plan import Desired, Part, changes, configured, promoted, undo
from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.health_reports import HealthReport
from edgeml_cli.fleet.rollout_monitor import RolloutMonitor, ill
from edgeml_cli.fleet.status import DeviceStatus, table

TARGET = "arn:aws:iot:us-east-1:123456789012:thinggroup/plant"


def rollout(*arguments: str) -> Desired:
    parser = argparse.ArgumentParser()
    rollout_options.add(parser)
    return rollout_options.apply(parser.parse_args(arguments), Desired({"A": Part("1.0.0")}))


def test_every_difference_is_a_line() -> None:
    before = Desired({"A": Part("1.0.0", {"x": {"y": 1, "z": 2}}), "B": Part("1.0.0"), "C": Part("1.0.0")})
    after = Desired(
        {"A": Part("1.0.0", {"x": {"y": 3}}, ("/x/z",)), "B": Part("1.1.0"), "D": Part("2.0.0", {"on": True})},
        {"jobExecutionsRolloutConfig": {"maximumPerMinute": 5}},
        {**before.policies, "failureHandlingPolicy": "DO_NOTHING"},
    )
    assert changes(before, after) == [
        "~ A 1.0.0",
        "    merge x.y: 1 -> 3",
        "    merge x.z: no more 2",
        "    reset /x/z",
        "~ B 1.0.0 -> 1.1.0",
        "- C 1.0.0",
        "+ D 2.0.0",
        "    merge on: true",
        "rollout jobExecutionsRolloutConfig.maximumPerMinute: 5",
        'policy failureHandlingPolicy: "ROLLBACK" -> "DO_NOTHING"',
    ]
    assert changes(after, after) == []


def test_what_the_service_says_comes_back_as_it_was_asked_for() -> None:
    wanted = Desired({"A": Part("1.0.0", {"x": 1}, ("/y",), {"posixUser": "ggc"}), "B": Part("1.0.0")}, {"timeoutConfig": {}})
    assert Desired.of_service(wanted.request(TARGET, "a")) == wanted


def test_a_rollback_resets_what_was_merged_since() -> None:
    earlier = Desired({"A": Part("1.0.0", {"x": 1})})
    current = Desired({"A": Part("1.1.0", {"x": 2, "y": {"z/~": 3}}), "B": Part("1.0.0")})
    back = undo(current, earlier)
    assert back.parts == {"A": Part("1.0.0", {"x": 1}, ("/y/z~1~0",))}
    assert configured({"x": 0, "y": {"z/~": 0}}, [current.parts["A"], back.parts["A"]]) == {"x": 1, "y": {"z/~": 0}}


def test_a_promotion_moves_versions_and_leaves_the_groups_configuration() -> None:
    canary = Desired({"A": Part("2.0.0", {"x": 1}), "B": Part("1.0.0", {"y": 1})})
    group = Desired({"A": Part("1.0.0", {"x": 9}), "C": Part("1.0.0")}, {"timeoutConfig": {"inProgressTimeoutInMinutes": 5}})
    assert promoted(canary, group) == Desired({"A": Part("2.0.0", {"x": 9}), "B": Part("1.0.0", {"y": 1})}, group.job)
    assert promoted(canary, None).parts == canary.parts


@pytest.mark.parametrize(
    ("reset", "merge", "wanted"),
    [
        ((), {"a": {"b": 5}}, {"a": {"b": 5, "c": 2}, "d": 3}),
        (("",), {}, {"a": {"b": 1, "c": 2}, "d": 3}),
        (("/a/b", "/e"), {}, {"a": {"b": 1, "c": 2}, "d": 3}),
        (("/a",), {"d": None}, {"a": {"b": 1, "c": 2}, "d": None}),
    ],
)
def test_the_configuration_is_defaults_then_reset_then_merge(reset: tuple[str, ...], merge: dict[str, Any], wanted: Any) -> None:
    changed = Part("1.0.0", {"a": {"b": 4}}) if reset else Part("1.0.0")
    assert configured({"a": {"b": 1, "c": 2}, "d": 3}, [changed, Part("1.0.0", merge, reset)]) == wanted


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
def test_the_services_own_model_accepts_every_rollout(arguments: tuple[str, ...]) -> None:
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
def test_a_number_out_of_range_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rollout(*arguments)
    assert "number from" in capsys.readouterr().err


def test_half_an_abort_is_refused() -> None:
    with pytest.raises(FleetError, match="--abort-after needs --abort-threshold"):
        rollout("--abort-after", "5")


def test_nothing_named_is_the_suite_and_something_named_is_that_alone() -> None:
    def named(**given: Any) -> dict[str, str]:
        nothing: dict[str, Any] = {"suite": None, "model": [], "component": [], "remove": [], "config": None}
        return versions(argparse.Namespace(**{**nothing, **given}), "1.2.3")

    assert set(named().values()) == {"1.2.3"} and "com.edgeml.Suite" in named()
    assert named(model=["Pump=1.0.0", "com.edgeml.Model.Fan=2.0.0"]) == {"com.edgeml.Model.Pump": "1.0.0", "com.edgeml.Model.Fan": "2.0.0"}
    assert named(component=["aws.greengrass.Nucleus=2.14.0"]) == {"aws.greengrass.Nucleus": "2.14.0"}


def test_progress_tells_each_news_once() -> None:
    progress = RolloutMonitor()
    assert progress.take("a", "QUEUED", "") == "a: queued"
    assert progress.take("a", "QUEUED", "") == ""
    assert progress.take("b", "SUCCEEDED", "fine") == "b: succeeded"
    assert progress.line() == "1 of 2 devices done: 1 queued, 1 succeeded"
    assert progress.take("a", "FAILED", "no disk") == "a: failed: no disk"
    assert (progress.left, progress.bad) == ([], {"a": "failed: no disk"})


def test_what_a_device_has_is_compared_with_what_was_asked_for() -> None:
    def installed(name: str, version: str = "1.0.0", state: str = "RUNNING", root: bool = True) -> dict[str, Any]:
        return {"componentName": name, "componentVersion": version, "lifecycleState": state, "isRoot": root}

    wanted = {"a": "1.0.0", "b": "1.0.0"}
    assert ill([installed("a"), installed("b"), installed("other", "9.0.0", root=False)], wanted) == ""
    assert ill([installed("a", "0.9.0"), installed("b", root=False)], wanted) == (
        "has a 0.9.0 instead of 1.0.0, has b as a dependency alone, and ignores its configuration"
    )
    assert ill([installed("a", state="BROKEN")], wanted) == "has a 1.0.0 BROKEN, has no b"


def test_the_table_of_the_fleet() -> None:
    whole = {"com.edgeml.Suite": "1.0.0", "com.edgeml.Inference": "1.0.0", "com.edgeml.Model.Pump": "3.0.0"}
    rows = [
        DeviceStatus(
            "a", "healthy", "2026-11-25T10:00:00Z", {"plant": "succeeded"}, whole, said={"A": HealthReport("A", "10:00", "running")}
        ),
        DeviceStatus(
            "b", "unhealthy", "", {"plant": "failed: no disk"}, {"com.edgeml.Inference": "0.9.0"}, {"com.edgeml.Inference": "BROKEN"}
        ),
        DeviceStatus(
            "c", "healthy", "", said={"A": HealthReport("A", "10:00", "running"), "B": HealthReport("B", "09:00", "faulty", ("no", "way"))}
        ),
    ]
    assert table(rows) == [
        "device  health     last heard            components say         deployment       components       models",
        "a       healthy    2026-11-25T10:00:00Z  running 10:00          plant succeeded  all 1.0.0        Pump 3.0.0",
        "b       unhealthy  never                 nothing                plant failed     Inference 0.9.0  none",
        "    plant: failed: no disk",
        "    com.edgeml.Inference is BROKEN",
        "c       healthy    never                 1 of 2 not well 09:00  none             none             none",
        "    B said at 09:00: faulty; no; way",
    ]
    assert [row.well for row in rows] == [True, False, False]
