"""A configuration is checked before it goes out as the component will check it: by the options that it declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.errors import OptionsError
from edgeml.runtime.last_good_config import whole
from edgeml_cli.fleet.deployment_plan import Desired, configured
from edgeml_cli.fleet.errors import FleetError
from gglocal.deployment.resolver import configuration_updates
from inference.options import InferenceOptions
from sensor_ingestion.options import SensorIngestionOptions

OPTIONS: dict[str, type] = {
    "com.edgeml.SensorIngestion": SensorIngestionOptions,
    "com.edgeml.Inference": InferenceOptions,
    "com.edgeml.AlertDispatcher": AlertDispatcherOptions,
}
"""What each component declares, in this checkout."""


def updates(path: Path) -> dict[str, dict[str, Any]]:
    """The configuration updates in a file, in the form that gglocal takes too.

    Raises:
        FleetError, DeploymentError: it cannot be read, or has another shape.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise FleetError(f"{path} cannot be read ({fault}); give a file with --config") from None
    except yaml.YAMLError as fault:
        raise FleetError(f"{path}: no YAML or JSON: {' '.join(str(fault).split())}") from None
    return configuration_updates(raw or {}, str(path))


def known(names: Iterable[str], desired: Desired, where: str) -> None:
    """
    Raises:
        FleetError: a configuration is for a component that is not deployed.
    """
    for name in names:
        if name not in desired.parts:
            close = get_close_matches(name, list(desired.parts), 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(desired.parts))}"
            raise FleetError(f"{where} names {name}, which is not in the deployment; {hint}")


def needed(before: Desired | None, after: Desired, recipe: Callable[[str, str], Mapping[str, Any] | None]) -> list[str]:
    """A remark for each component that is taken out and that one that stays depends on: a device keeps it.

    Args:
        recipe: the published recipe of a component version.
    """
    gone = [name for name in (before.parts if before is not None else ()) if name not in after.parts]
    remarks = []
    for name, part in after.parts.items() if gone else ():
        needs = (recipe(name, part.version) or {}).get("ComponentDependencies") or {}
        remarks += [f"{other} stays on the devices, because {name} needs it; take that out too" for other in gone if other in needs]
    return remarks


def check(
    before: Desired | None,
    after: Desired,
    defaults: Callable[[str, str], Mapping[str, Any] | None],
    version: str,
) -> list[str]:
    """Check every component's configuration as it will be; gives a remark for each that cannot be checked.

    Args:
        defaults: the `DefaultConfiguration` of a component version as it is published.
        version: of this checkout: its options are those of this version.

    Raises:
        FleetError: with everything that the components would refuse.
    """
    remarks, values = [], {}
    for name, part in after.parts.items():
        default = defaults(name, part.version)
        if name not in OPTIONS or default is None:
            if part.merge:
                remarks.append(f"the merge of {name} is not checked: it declares no options here")
            continue
        if part.version != version:
            remarks.append(f"the configuration of {name} {part.version} is not checked: this checkout declares the options of {version}")
            continue
        had = [before.parts[name]] if before is not None and name in before.parts else []
        values[name] = configured(default, [*had, part])
    try:
        options(values)
    except OptionsError as fault:
        raise FleetError(f"{'; '.join(fault.faults)}; mend the configuration, nothing was deployed") from None
    return remarks


def options(configurations: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The options that components read from their configurations, by component.

    Raises:
        OptionsError: with every fault of all of them, each behind the component's name.
    """
    read: dict[str, Any] = {}
    faults: list[str] = []
    for name, configuration in configurations.items():
        try:
            read[name] = whole(OPTIONS[name], configuration)[1]
        except OptionsError as fault:
            faults += [f"{name}: {each}" for each in fault.faults]
    if faults:
        raise OptionsError(faults)
    return read
