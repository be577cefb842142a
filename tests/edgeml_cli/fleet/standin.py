"""A stand-in for the Greengrass service: components, deployments and core devices of one account.

It takes the requests that botocore's model takes, reads artifacts from S3 and thing groups from IoT as the service does, and rolls
deployments out over devices that really install them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
import yaml
from botocore.exceptions import ClientError

from tests.edgeml_cli.fleet.wire import Refusal, Wire

ENDED = {"SUCCEEDED", "COMPLETED", "FAILED", "CANCELED", "REJECTED", "TIMED_OUT"}


class Core(Protocol):
    """What the stand-in asks of a core device."""

    thing: str

    def installed(self) -> list[dict[str, Any]]: ...

    def carry_out(self, deployment: Deployment, recipes: dict[str, dict[str, dict[str, Any]]]) -> str:
        """Bring it about; gives why it failed, empty: it did not."""


@dataclass
class Component:
    """One version.

    Attributes:
        looks: how often its state is asked before it is DEPLOYABLE.
    """

    recipe: dict[str, Any]
    tags: dict[str, str]
    made: datetime
    faults: dict[str, str] = field(default_factory=dict)
    looks: int = 1


@dataclass
class Deployment:
    """One revision for one target."""

    id: str
    revision: int
    request: dict[str, Any]
    made: datetime
    status: str = "ACTIVE"
    executions: dict[str, tuple[str, str]] = field(default_factory=dict)


def now() -> datetime:
    return datetime.now(timezone.utc)


class StandIn:
    """Serves at `url`. Calls of S3 and IoT go where AWS's environment variables point.

    Attributes:
        calls: (operation, parameters) of every request, in order.
    """

    def __init__(self, region: str, account: str) -> None:
        self.region, self.account = region, account
        self.components: dict[str, dict[str, Component]] = {}
        self.deployments: list[Deployment] = []
        self.devices: dict[str, Core] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.RLock()
        self._rollouts: list[threading.Thread] = []
        operations: dict[str, Callable[..., dict[str, Any]]] = {
            "CreateComponentVersion": self._create_component,
            "DescribeComponent": self._describe_component,
            "GetComponent": self._get_component,
            "ListComponentVersions": self._component_versions,
            "ListComponents": self._list_components,
            "CreateDeployment": self._create_deployment,
            "GetDeployment": self._get_deployment,
            "ListDeployments": self._list_deployments,
            "CancelDeployment": self._cancel,
            "ListCoreDevices": self._core_devices,
            "GetCoreDevice": self._core_device,
            "ListInstalledComponents": self._installed,
            "ListEffectiveDeployments": self._effective,
        }
        self._wire = Wire("greengrassv2", operations, self.calls)
        self.url = self._wire.url

    def stop(self) -> None:
        self.settle()
        self._wire.stop()

    def settle(self, timeout: float = 120.0) -> None:
        """Wait until no rollout goes on."""
        for rollout in list(self._rollouts):
            rollout.join(timeout)
            assert not rollout.is_alive(), "a rollout does not end"

    def asked(self, *names: str) -> list[str]:
        """The operations so far, of these names or all."""
        return [name for name, _ in self.calls if not names or name in names]

    def things(self, group_arn: str) -> list[str]:
        """The core devices in a thing group of IoT."""
        client = boto3.client("iot", region_name=self.region)
        found = client.list_things_in_thing_group(thingGroupName=group_arn.rsplit("/", 1)[1])["things"]
        return [thing for thing in found if thing in self.devices]

    def _arn(self, name: str, version: str = "") -> str:
        arn = f"arn:aws:greengrass:{self.region}:{self.account}:components:{name}"
        return f"{arn}:versions:{version}" if version else arn

    def _component(self, arn: str) -> tuple[str, str, Component]:
        parts = arn.split(":")
        name, version = parts[6], parts[8] if len(parts) > 8 else ""
        component = self.components.get(name, {}).get(version)
        if component is None or arn != self._arn(name, version):
            raise Refusal("ResourceNotFoundException", f"Component not found: {arn}", 404)
        return name, version, component

    def _create_component(self, given: dict[str, Any]) -> dict[str, Any]:
        recipe = yaml.safe_load(given["inlineRecipe"])
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
        with self._lock:
            if version in self.components.get(name, {}):
                raise Refusal("ConflictException", f"Component [{name} : {version}] already exists with state: [DEPLOYABLE]", 409)
            component = Component(recipe, given.get("tags", {}), now())
            for artifact in (each for manifest in recipe.get("Manifests", ()) for each in manifest.get("Artifacts", ())):
                address = urlsplit(artifact["Uri"])
                try:
                    body = boto3.client("s3", region_name=self.region).get_object(Bucket=address.netloc, Key=address.path.lstrip("/"))
                except ClientError as fault:
                    component.faults[artifact["Uri"]] = f"Cannot access {artifact['Uri']}: {fault.response['Error']['Code']}"
                    continue
                artifact["Digest"] = base64.b64encode(hashlib.sha256(body["Body"].read()).digest()).decode()
                artifact["Algorithm"] = "SHA-256"
            self.components.setdefault(name, {})[version] = component
        return {
            "arn": self._arn(name, version),
            "componentName": name,
            "componentVersion": version,
            "creationTimestamp": component.made,
            "status": {"componentState": "REQUESTED", "message": "NONE", "errors": {}},
        }

    def _describe_component(self, given: dict[str, Any]) -> dict[str, Any]:
        name, version, component = self._component(given["arn"])
        component.looks -= 1
        state = "FAILED" if component.faults else "DEPLOYABLE" if component.looks < 0 else "INITIATED"
        status = {"componentState": state, "message": "NONE", "errors": component.faults}
        return {"arn": given["arn"], "componentName": name, "componentVersion": version, "status": status}

    def _get_component(self, given: dict[str, Any]) -> dict[str, Any]:
        assert given["recipeOutputFormat"] == "JSON"
        _, _, component = self._component(given["arn"])
        return {"recipeOutputFormat": "JSON", "recipe": json.dumps(component.recipe).encode(), "tags": component.tags}

    def _component_versions(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["arn"].split(":")[6]
        found = [
            {"componentName": name, "componentVersion": version, "arn": self._arn(name, version)}
            for version in reversed(self.components.get(name, {}))
        ]
        return {"componentVersions": found}

    def _list_components(self, given: dict[str, Any]) -> dict[str, Any]:
        assert given.get("scope", "PRIVATE") == "PRIVATE"
        return {"components": [{"arn": self._arn(name), "componentName": name} for name in self.components]}

    def _create_deployment(self, given: dict[str, Any]) -> dict[str, Any]:
        for name, wanted in given.get("components", {}).items():
            known = self.components.get(name, {}).get(wanted.get("componentVersion", ""))
            if known is None or known.faults:
                raise Refusal("ResourceNotFoundException", f"Component {name} version {wanted.get('componentVersion')} is not there", 404)
            merge = wanted.get("configurationUpdate", {}).get("merge", "{}")
            try:
                json.loads(merge)
            except ValueError:
                raise Refusal("ValidationException", f"merge of {name} is no JSON") from None
        try:
            boto3.client("iot", region_name=self.region).describe_thing_group(thingGroupName=given["targetArn"].rsplit("/", 1)[1])
        except ClientError:
            raise Refusal("ResourceNotFoundException", f"no target {given['targetArn']}", 404) from None
        with self._lock:
            before = self._of(given["targetArn"])
            for each in before:
                each.status = "INACTIVE" if each.status == "ACTIVE" else each.status
            made = Deployment(f"d-{len(self.deployments) + 1:04}", len(before) + 1, given, now())
            made.executions = dict.fromkeys(self.things(given["targetArn"]), ("QUEUED", ""))
            self.deployments.append(made)
        rollout = threading.Thread(target=self._roll_out, args=(made,), daemon=True)
        self._rollouts.append(rollout)
        rollout.start()
        return {"deploymentId": made.id, "iotJobId": f"job-{made.id}"}

    def _of(self, target: str) -> list[Deployment]:
        return [each for each in self.deployments if each.request["targetArn"] == target]

    def _find(self, given: dict[str, Any]) -> Deployment:
        for each in self.deployments:
            if each.id == given["deploymentId"]:
                return each
        raise Refusal("ResourceNotFoundException", f"no deployment {given['deploymentId']}", 404)

    def _told(self, made: Deployment) -> dict[str, Any]:
        return {
            "targetArn": made.request["targetArn"],
            "revisionId": str(made.revision),
            "deploymentId": made.id,
            "deploymentName": made.request.get("deploymentName", ""),
            "deploymentStatus": made.status,
            "creationTimestamp": made.made,
            "isLatestForTarget": self._of(made.request["targetArn"])[-1] is made,
        }

    def _get_deployment(self, given: dict[str, Any]) -> dict[str, Any]:
        made = self._find(given)
        kept = ("components", "deploymentPolicies", "iotJobConfiguration")
        return {**self._told(made), **{key: made.request[key] for key in kept if key in made.request}}

    def _list_deployments(self, given: dict[str, Any]) -> dict[str, Any]:
        target = given.get("targetArn")
        found = [each for each in reversed(self.deployments) if target in (None, each.request["targetArn"])]
        latest = given.get("historyFilter") == "LATEST_ONLY"
        told = [self._told(each) for each in found]
        return {"deployments": [each for each in told if each["isLatestForTarget"] or not latest]}

    def _cancel(self, given: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            made = self._find(given)
            made.status = "CANCELED"
            for thing, (status, _) in made.executions.items():
                if status == "QUEUED":
                    made.executions[thing] = ("CANCELED", "the deployment was canceled")
        return {"message": "SUCCESS"}

    def _core_devices(self, given: dict[str, Any]) -> dict[str, Any]:
        things = self.things(given["thingGroupArn"]) if "thingGroupArn" in given else list(self.devices)
        return {"coreDevices": [self._core(thing) for thing in things]}

    def _core(self, thing: str) -> dict[str, Any]:
        ill = any(each["lifecycleState"] in ("BROKEN", "ERRORED") for each in self.devices[thing].installed())
        return {"coreDeviceThingName": thing, "status": "UNHEALTHY" if ill else "HEALTHY", "lastStatusUpdateTimestamp": now()}

    def _device(self, given: dict[str, Any]) -> Core:
        thing = given["coreDeviceThingName"]
        if thing not in self.devices:
            raise Refusal("ResourceNotFoundException", f"no core device {thing}", 404)
        return self.devices[thing]

    def _core_device(self, given: dict[str, Any]) -> dict[str, Any]:
        return {**self._core(self._device(given).thing), "coreVersion": "2.14.0", "platform": "linux"}

    def _installed(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"installedComponents": self._device(given).installed()}

    def _effective(self, given: dict[str, Any]) -> dict[str, Any]:
        thing = self._device(given).thing
        return {"effectiveDeployments": list(self._effects(thing))}

    def _effects(self, thing: str) -> Iterator[dict[str, Any]]:
        for each in self.deployments:
            if thing in each.executions and self._of(each.request["targetArn"])[-1] is each:
                status, why = each.executions[thing]
                yield {
                    "deploymentId": each.id,
                    "deploymentName": each.request.get("deploymentName", ""),
                    "reason": why,
                    "targetArn": each.request["targetArn"],
                    "coreDeviceExecutionStatus": status,
                    "creationTimestamp": each.made,
                    "modifiedTimestamp": now(),
                }

    def _roll_out(self, made: Deployment) -> None:
        """So many devices at once as the job's configuration lets start in a minute; the next when those are done."""
        job = made.request.get("iotJobConfiguration", {})
        rate = job.get("jobExecutionsRolloutConfig", {})
        at_once = rate.get("maximumPerMinute") or rate.get("exponentialRate", {}).get("baseRatePerMinute") or 1000
        things = list(made.executions)
        for at in range(0, len(things), at_once):
            batch = [thing for thing in things[at : at + at_once] if made.status == "ACTIVE"]
            with ThreadPoolExecutor(len(batch) or 1) as pool:
                list(pool.map(lambda thing: self._execute(made, thing), batch))
            if any(self._aborts(made, criterion) for criterion in job.get("abortConfig", {}).get("criteriaList", ())):
                self._cancel({"deploymentId": made.id})

    def _execute(self, made: Deployment, thing: str) -> None:
        made.executions[thing] = ("IN_PROGRESS", "")
        recipes = {
            name: {version: each.recipe for version, each in versions.items() if not each.faults}
            for name, versions in self.components.items()
        }
        try:
            why = self.devices[thing].carry_out(made, recipes)
        except Exception as fault:
            why = f"{type(fault).__name__}: {fault}"
        made.executions[thing] = ("FAILED", why) if why else ("SUCCEEDED", "SUCCESSFUL")

    def _aborts(self, made: Deployment, criterion: dict[str, Any]) -> bool:
        ended = [status for status, _ in made.executions.values() if status in ENDED]
        bad = [status for status in ended if criterion["failureType"] in ("ALL", status) and status != "SUCCEEDED"]
        return len(ended) >= criterion["minNumberOfExecutedThings"] and 100 * len(bad) >= criterion["thresholdPercentage"] * len(ended)
