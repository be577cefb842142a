"""The rollout options, and their translation into the parameters of CreateDeployment. Pure."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from edgeml_cli.fleet.deployment_plan import DeploymentSpec
from edgeml_cli.fleet.errors import FleetError
from gglocal.cli.arguments import number, whole

FAILURE = {"rollback": "ROLLBACK", "keep": "DO_NOTHING"}
UPDATE = {"notify": "NOTIFY_COMPONENTS", "at-once": "SKIP_NOTIFY_COMPONENTS"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options; an option that is not given keeps the setting of the group's current deployment."""
    rollout = parser.add_argument_group("rollout", "options that are left out keep the setting of the group's current deployment")
    rollout.add_argument(
        "--rollout-rate", type=whole(1, 1000), metavar="N", help="maximum number of devices that start the deployment per minute"
    )
    rollout.add_argument(
        "--rollout-growth",
        type=number(1.1, 5),
        metavar="F",
        help="factor by which the rate grows after each --rollout-rate successful devices",
    )
    rollout.add_argument(
        "--abort-threshold",
        type=number(0.01, 100),
        metavar="PERCENT",
        help="cancel the rollout when this percentage of the finished devices has failed",
    )
    rollout.add_argument(
        "--abort-after",
        type=whole(1, 1000),
        metavar="N",
        help="minimum number of finished devices before --abort-threshold applies (default: 1)",
    )
    rollout.add_argument(
        "--device-minutes",
        type=whole(1, 10080),
        metavar="N",
        help="time limit for each device, in minutes; after it the device counts as failed",
    )
    rollout.add_argument("--on-failure", choices=FAILURE, help="a failed device rolls back, or keeps its present state")
    rollout.add_argument("--update", choices=UPDATE, help="notify components before they are stopped, or stop them at once")
    rollout.add_argument(
        "--update-seconds", type=whole(1, 2**31 - 1), metavar="N", help="maximum time for which components may defer the update, in seconds"
    )


def apply(given: argparse.Namespace, desired: DeploymentSpec) -> DeploymentSpec:
    """Apply the options to a deployment.

    Raises:
        FleetError: an option is given without the option that it depends on.
    """
    job: dict[str, Any] = dict(desired.job)
    if given.rollout_growth is not None:
        if given.rollout_rate is None:
            raise FleetError("--rollout-growth needs --rollout-rate, the number of devices in the first minute; give both")
        grow = {"numberOfSucceededThings": given.rollout_rate}
        job["jobExecutionsRolloutConfig"] = {
            "exponentialRate": {
                "baseRatePerMinute": given.rollout_rate,
                "incrementFactor": given.rollout_growth,
                "rateIncreaseCriteria": grow,
            }
        }
    elif given.rollout_rate is not None:
        job["jobExecutionsRolloutConfig"] = {"maximumPerMinute": given.rollout_rate}
    if given.abort_threshold is not None:
        job["abortConfig"] = {
            "criteriaList": [
                {
                    "failureType": "ALL",
                    "action": "CANCEL",
                    "thresholdPercentage": given.abort_threshold,
                    "minNumberOfExecutedThings": given.abort_after or 1,
                }
            ]
        }
    elif given.abort_after is not None:
        raise FleetError("--abort-after needs --abort-threshold, the percentage of failures; give both")
    if given.device_minutes is not None:
        job["timeoutConfig"] = {"inProgressTimeoutInMinutes": given.device_minutes}
    policies = dict(desired.policies)
    if given.on_failure is not None:
        policies["failureHandlingPolicy"] = FAILURE[given.on_failure]
    if given.update is not None or given.update_seconds is not None:
        update = dict(policies["componentUpdatePolicy"])
        if given.update is not None:
            update["action"] = UPDATE[given.update]
        if given.update_seconds is not None:
            update["timeoutInSeconds"] = given.update_seconds
        policies["componentUpdatePolicy"] = update
    return replace(desired, job=job, policies=policies)
