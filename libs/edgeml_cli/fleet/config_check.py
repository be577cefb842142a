"""Validates configurations before deploying, with the options that each component declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.errors import OptionsError
from edgeml.runtime.last_good_config import read_all_options
from edgeml_cli.fleet.deployment_plan import DeploymentSpec, effective_configuration
from edgeml_cli.fleet.errors import FleetError
from gglocal.deployment.resolver import configuration_updates
from inference.options import InferenceOptions
from sensor_ingestion.options import SensorIngestionOptions

OPTIONS: dict[str, type] = {
    "com.edgeml.SensorIngestion": SensorIngestionOptions,
    "com.edgeml.Inference": InferenceOptions,
    "com.edgeml.AlertDispatcher": AlertDispatcherOptions,
}
"""The options that each component declares in this checkout."""


class InvalidConfiguration(FleetError):
    """A component would reject its configuration.

    Attributes:
        faults: one sentence each.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(f"{'; '.join(self.faults)}; correct the configuration; nothing was deployed")


def read_updates(path: Path) -> dict[str, dict[str, Any]]:
    """Read configuration updates from a file, in the same format as gglocal.

    Raises:
        FleetError, DeploymentError: the file cannot be read, or has an invalid format.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise FleetError(f"{path} cannot be read ({fault}); give an existing file with --config") from None
    except yaml.YAMLError as fault:
        raise FleetError(f"{path}: not valid YAML or JSON: {' '.join(str(fault).split())}") from None
    return configuration_updates(raw or {}, str(path))


def require_deployed(names: Iterable[str], desired: DeploymentSpec, where: str) -> None:
    """Check that the deployment contains every component that is named.

    Args:
        where: the option or file that names them.

    Raises:
        FleetError: a component is not in the deployment.
    """
    for name in names:
        if name not in desired.parts:
            close = get_close_matches(name, list(desired.parts), 1)
            hint = f"did you mean {close[0]}?" if close else f"it contains {', '.join(sorted(desired.parts))}"
            raise FleetError(f"{where} names {name}, which is not in the deployment; {hint}")


def dependency_remarks(
    before: DeploymentSpec | None, after: DeploymentSpec, recipe: Callable[[str, str], Mapping[str, Any] | None]
) -> list[str]:
    """A remark for each removed component that devices keep, because a remaining component depends on it.

    Args:
        recipe: returns the published recipe of a component version.
    """
    removed = [name for name in (before.parts if before is not None else ()) if name not in after.parts]
    remarks = []
    for name, part in after.parts.items() if removed else ():
        dependencies = (recipe(name, part.version) or {}).get("ComponentDependencies") or {}
        remarks += [
            f"{other} stays on the devices, because {name} depends on it; remove {name} too" for other in removed if other in dependencies
        ]
    return remarks


def check(
    before: DeploymentSpec | None,
    after: DeploymentSpec,
    defaults: Callable[[str, str], Mapping[str, Any] | None],
    version: str,
) -> list[str]:
    """Validate the configuration that each component will have.

    Args:
        defaults: returns the published `DefaultConfiguration` of a component version.
        version: version of this checkout, whose options are used.

    Returns:
        A remark for each configuration that cannot be validated.

    Raises:
        InvalidConfiguration: components would reject their configuration.
    """
    remarks, values = [], {}
    for name, part in after.parts.items():
        default = defaults(name, part.version)
        if name not in OPTIONS or default is None:
            if part.merge:
                remarks.append(f"the configuration of {name} is not validated: its options are unknown here")
            continue
        if part.version != version:
            remarks.append(f"the configuration of {name} {part.version} is not validated: this checkout has the options of {version}")
            continue
        earlier = [before.parts[name]] if before is not None and name in before.parts else []
        values[name] = effective_configuration(default, [*earlier, part])
    try:
        read_options(values)
    except OptionsError as fault:
        raise InvalidConfiguration(fault.faults) from None
    return remarks


def read_options(configurations: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Read each component's options from its configuration.

    Raises:
        OptionsError: with the faults of all components, each prefixed with the component's name.
    """
    read: dict[str, Any] = {}
    faults: list[str] = []
    for name, configuration in configurations.items():
        try:
            read[name] = read_all_options(OPTIONS[name], configuration)[1]
        except OptionsError as fault:
            faults += [f"{name}: {each}" for each in fault.faults]
    if faults:
        raise OptionsError(faults)
    return read
