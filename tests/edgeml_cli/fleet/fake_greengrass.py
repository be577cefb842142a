"""A fake Greengrass service: the components, deployments and core devices of one account.

It accepts the requests that botocore's model of the service accepts, reads artifacts from S3 and thing groups from IoT like
the service, and rolls deployments out to devices that install them.
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

from tests.edgeml_cli.fleet.fake_aws_service import FakeAwsService, ServiceError

ENDED = {"SUCCEEDED", "COMPLETED", "FAILED", "CANCELED", "REJECTED", "TIMED_OUT"}


class Core(Protocol):
    """A core device, as the fake service uses it."""

    thing: str

    def installed(self) -> list[dict[str, Any]]: ...

    def deploy(self, deployment: Deployment, recipes: dict[str, dict[str, dict[str, Any]]]) -> str:
        """Apply a deployment; returns the reason of a failure, or an empty text."""


@dataclass
class Component:
    """A component version.

    Attributes:
        polls_until_deployable: number of DescribeComponent calls before it is DEPLOYABLE.
    """

    recipe: dict[str, Any]
    tags: dict[str, str]
    created_at: datetime
    faults: dict[str, str] = field(default_factory=dict)
    polls_until_deployable: int = 1


@dataclass
class Deployment:
    """One revision of a target's deployment."""

    id: str
    revision: int
    request: dict[str, Any]
    created_at: datetime
    status: str = "ACTIVE"
    executions: dict[str, tuple[str, str]] = field(default_factory=dict)


def now() -> datetime:
    return datetime.now(timezone.utc)


class FakeGreengrass:
    """Serves the fake at `url`. AWS's environment variables direct its calls to S3 and IoT.

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
        self._wire = FakeAwsService("greengrassv2", operations, self.calls)
        self.url = self._wire.url

    def stop(self) -> None:
        self.settle()
        self._wire.stop()

    def settle(self, timeout: float = 120.0) -> None:
        """Wait until all rollouts have ended."""
        for rollout in list(self._rollouts):
            rollout.join(timeout)
            assert not rollout.is_alive(), "a rollout did not end"

    def operations(self, *names: str) -> list[str]:
        """The operations called so far: those with these names, or all."""
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
            raise ServiceError("ResourceNotFoundException", f"Component not found: {arn}", 404)
        return name, version, component

    def _create_component(self, request: dict[str, Any]) -> dict[str, Any]:
        recipe = yaml.safe_load(request["inlineRecipe"])
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
        with self._lock:
            if version in self.components.get(name, {}):
                raise ServiceError("ConflictException", f"Component [{name} : {version}] already exists with state: [DEPLOYABLE]", 409)
            component = Component(recipe, request.get("tags", {}), now())
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
            "creationTimestamp": component.created_at,
            "status": {"componentState": "REQUESTED", "message": "NONE", "errors": {}},
        }

    def _describe_component(self, request: dict[str, Any]) -> dict[str, Any]:
        name, version, component = self._component(request["arn"])
        component.polls_until_deployable -= 1
        state = "FAILED" if component.faults else "DEPLOYABLE" if component.polls_until_deployable < 0 else "INITIATED"
        status = {"componentState": state, "message": "NONE", "errors": component.faults}
        return {"arn": request["arn"], "componentName": name, "componentVersion": version, "status": status}

    def _get_component(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["recipeOutputFormat"] == "JSON"
        _, _, component = self._component(request["arn"])
        return {"recipeOutputFormat": "JSON", "recipe": json.dumps(component.recipe).encode(), "tags": component.tags}

    def _component_versions(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["arn"].split(":")[6]
        found = [
            {"componentName": name, "componentVersion": version, "arn": self._arn(name, version)}
            for version in reversed(self.components.get(name, {}))
        ]
        return {"componentVersions": found}

    def _list_components(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request.get("scope", "PRIVATE") == "PRIVATE"
        return {"components": [{"arn": self._arn(name), "componentName": name} for name in self.components]}

    def _create_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        for name, requested in request.get("components", {}).items():
            component = self.components.get(name, {}).get(requested.get("componentVersion", ""))
            if component is None or component.faults:
                raise ServiceError(
                    "ResourceNotFoundException", f"Component {name} version {requested.get('componentVersion')} does not exist", 404
                )
            merge = requested.get("configurationUpdate", {}).get("merge", "{}")
            try:
                json.loads(merge)
            except ValueError:
                raise ServiceError("ValidationException", f"merge of {name} is not valid JSON") from None
        try:
            boto3.client("iot", region_name=self.region).describe_thing_group(thingGroupName=request["targetArn"].rsplit("/", 1)[1])
        except ClientError:
            raise ServiceError("ResourceNotFoundException", f"no target {request['targetArn']}", 404) from None
        with self._lock:
            before = self._of(request["targetArn"])
            for each in before:
                each.status = "INACTIVE" if each.status == "ACTIVE" else each.status
            deployment = Deployment(f"d-{len(self.deployments) + 1:04}", len(before) + 1, request, now())
            deployment.executions = dict.fromkeys(self.things(request["targetArn"]), ("QUEUED", ""))
            self.deployments.append(deployment)
        rollout = threading.Thread(target=self._roll_out, args=(deployment,), daemon=True)
        self._rollouts.append(rollout)
        rollout.start()
        return {"deploymentId": deployment.id, "iotJobId": f"job-{deployment.id}"}

    def _of(self, target: str) -> list[Deployment]:
        return [each for each in self.deployments if each.request["targetArn"] == target]

    def _find(self, request: dict[str, Any]) -> Deployment:
        for each in self.deployments:
            if each.id == request["deploymentId"]:
                return each
        raise ServiceError("ResourceNotFoundException", f"no deployment {request['deploymentId']}", 404)

    def _summary(self, deployment: Deployment) -> dict[str, Any]:
        return {
            "targetArn": deployment.request["targetArn"],
            "revisionId": str(deployment.revision),
            "deploymentId": deployment.id,
            "deploymentName": deployment.request.get("deploymentName", ""),
            "deploymentStatus": deployment.status,
            "creationTimestamp": deployment.created_at,
            "isLatestForTarget": self._of(deployment.request["targetArn"])[-1] is deployment,
        }

    def _get_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        deployment = self._find(request)
        kept = ("components", "deploymentPolicies", "iotJobConfiguration")
        return {**self._summary(deployment), **{key: deployment.request[key] for key in kept if key in deployment.request}}

    def _list_deployments(self, request: dict[str, Any]) -> dict[str, Any]:
        target = request.get("targetArn")
        found = [each for each in reversed(self.deployments) if target in (None, each.request["targetArn"])]
        latest = request.get("historyFilter") == "LATEST_ONLY"
        summaries = [self._summary(each) for each in found]
        return {"deployments": [each for each in summaries if each["isLatestForTarget"] or not latest]}

    def _cancel(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            deployment = self._find(request)
            deployment.status = "CANCELED"
            for thing, (status, _) in deployment.executions.items():
                if status == "QUEUED":
                    deployment.executions[thing] = ("CANCELED", "the deployment was canceled")
        return {"message": "SUCCESS"}

    def _core_devices(self, request: dict[str, Any]) -> dict[str, Any]:
        things = self.things(request["thingGroupArn"]) if "thingGroupArn" in request else list(self.devices)
        return {"coreDevices": [self._core(thing) for thing in things]}

    def _core(self, thing: str) -> dict[str, Any]:
        unhealthy = any(each["lifecycleState"] in ("BROKEN", "ERRORED") for each in self.devices[thing].installed())
        return {"coreDeviceThingName": thing, "status": "UNHEALTHY" if unhealthy else "HEALTHY", "lastStatusUpdateTimestamp": now()}

    def _device(self, request: dict[str, Any]) -> Core:
        thing = request["coreDeviceThingName"]
        if thing not in self.devices:
            raise ServiceError("ResourceNotFoundException", f"no core device {thing}", 404)
        return self.devices[thing]

    def _core_device(self, request: dict[str, Any]) -> dict[str, Any]:
        return {**self._core(self._device(request).thing), "coreVersion": "2.14.0", "platform": "linux"}

    def _installed(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"installedComponents": self._device(request).installed()}

    def _effective(self, request: dict[str, Any]) -> dict[str, Any]:
        thing = self._device(request).thing
        return {"effectiveDeployments": list(self._effects(thing))}

    def _effects(self, thing: str) -> Iterator[dict[str, Any]]:
        for each in self.deployments:
            if thing in each.executions and self._of(each.request["targetArn"])[-1] is each:
                status, reason = each.executions[thing]
                yield {
                    "deploymentId": each.id,
                    "deploymentName": each.request.get("deploymentName", ""),
                    "reason": reason,
                    "targetArn": each.request["targetArn"],
                    "coreDeviceExecutionStatus": status,
                    "creationTimestamp": each.created_at,
                    "modifiedTimestamp": now(),
                }

    def _roll_out(self, deployment: Deployment) -> None:
        """Deploy to as many devices at once as the job's configuration allows per minute, then to the next ones."""
        job = deployment.request.get("iotJobConfiguration", {})
        rate = job.get("jobExecutionsRolloutConfig", {})
        at_once = rate.get("maximumPerMinute") or rate.get("exponentialRate", {}).get("baseRatePerMinute") or 1000
        things = list(deployment.executions)
        for at in range(0, len(things), at_once):
            batch = [thing for thing in things[at : at + at_once] if deployment.status == "ACTIVE"]
            with ThreadPoolExecutor(len(batch) or 1) as pool:
                list(pool.map(lambda thing: self._execute(deployment, thing), batch))
            if any(self._aborts(deployment, criterion) for criterion in job.get("abortConfig", {}).get("criteriaList", ())):
                self._cancel({"deploymentId": deployment.id})

    def _execute(self, deployment: Deployment, thing: str) -> None:
        deployment.executions[thing] = ("IN_PROGRESS", "")
        recipes = {
            name: {version: each.recipe for version, each in versions.items() if not each.faults}
            for name, versions in self.components.items()
        }
        try:
            reason = self.devices[thing].deploy(deployment, recipes)
        except Exception as fault:
            reason = f"{type(fault).__name__}: {fault}"
        deployment.executions[thing] = ("FAILED", reason) if reason else ("SUCCEEDED", "SUCCESSFUL")

    def _aborts(self, deployment: Deployment, criterion: dict[str, Any]) -> bool:
        ended = [status for status, _ in deployment.executions.values() if status in ENDED]
        bad = [status for status in ended if criterion["failureType"] in ("ALL", status) and status != "SUCCEEDED"]
        return len(ended) >= criterion["minNumberOfExecutedThings"] and 100 * len(bad) >= criterion["thresholdPercentage"] * len(ended)
