"""The content of `config/effectiveConfig.yaml`, in which the classic nucleus writes the whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gglocal.core.config_store import ConfigStore
from gglocal.deployment.merged_configuration import NUCLEUS
from gglocal.process.component import Unit


def document(
    root: Path,
    thing_name: str,
    region: str,
    version: str,
    roots: Mapping[str, str],
    units: Mapping[str, Unit],
    config: ConfigStore,
) -> dict[str, Any]:
    """The document. gglocal has neither certificates nor endpoints, so their values are empty.

    Args:
        version: the version of the nucleus.
        roots: the components that deployments name, with their versions.
    """
    known = config.components()
    services: dict[str, Any] = {
        NUCLEUS: {
            "componentType": "NUCLEUS",
            "dependencies": [],
            "version": version,
            "configuration": {
                "awsRegion": region,
                "iotRoleAlias": "",
                "iotDataEndpoint": "",
                "iotCredEndpoint": "",
                "mqtt": {},
                "networkProxy": {},
                **(config.get(NUCLEUS) if NUCLEUS in known else {}),
            },
        },
        "main": {"dependencies": sorted({*roots, NUCLEUS}), "lifecycle": {}},
    }
    for name, unit in units.items():
        services[name] = {
            "componentType": "GENERIC",
            "configuration": config.get(name) if name in known else {},
            "dependencies": [f"{other}:{needed.kind}" for other, needed in unit.recipe.dependencies.items()],
            "lifecycle": {step.name: {"Script": step.script} for step in unit.lifecycle.steps.values()},
            "version": str(unit.recipe.version),
        }
    return {
        "system": {
            "certificateFilePath": "",
            "privateKeyPath": "",
            "rootCaPath": "",
            "rootpath": str(root),
            "thingName": thing_name,
        },
        "services": services,
    }
