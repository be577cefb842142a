"""Shows, checks, creates and follows a group's deployment; shared by `edgeml fleet deploy`, `rollback` and `promote`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from edgeml_cli.build import package
from edgeml_cli.build.package import ROOT, SUITE
from edgeml_cli.fleet import config_check, rollout_options
from edgeml_cli.fleet.aws_account import Account, PublishConfig
from edgeml_cli.fleet.component_registry import ComponentRegistry
from edgeml_cli.fleet.deployment_plan import DeploymentSpec, changes
from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.rollout_monitor import follow
from edgeml_cli.fleet.thing_groups import ThingGroups
from gglocal.cli.arguments import number

Say = Callable[[str], None]


class DeploymentApplier:
    """Applies deployments to thing groups of one account."""

    def __init__(self, region: str | None, say: Say) -> None:
        self.account = Account(region or PublishConfig.read(ROOT).region)
        self.groups, self.registry, self._say = ThingGroups(self.account), ComponentRegistry(self.account), say
        self.version = package.Project.read(ROOT).version

    def current(self, arn: str) -> tuple[str, DeploymentSpec | None]:
        """The id and the content of a group's deployment; empty and None if it has none."""
        found = self.groups.current(arn)
        return (found["deploymentId"], DeploymentSpec.of_service(found)) if found else ("", None)

    def run(self, given: argparse.Namespace, arn: str, running: str, before: DeploymentSpec | None, after: DeploymentSpec) -> int:
        """Show the changes; with `--yes`, create the deployment and follow it.

        Args:
            running: id of the group's current deployment.
        """
        group = arn.rsplit("/", 1)[1]
        if not after.parts:
            raise FleetError(f"the deployment of {group} would be empty; a deployment needs at least one component")
        after = rollout_options.apply(given, after)
        self._check_published(after)
        remarks = config_check.check(before, after, self._defaults, self.version) + config_check.dependency_remarks(
            before, after, self.registry.recipe
        )
        for remark in remarks:
            self._say(remark)
        differences = changes(before, after)
        self._say(f"{group}: {'first deployment' if before is None else 'no changes' if not differences else 'changes'}")
        for line in differences:
            self._say(f"  {line}")
        if not given.yes:
            self._say("nothing was deployed; confirm with --yes" if differences else "to follow the current deployment, add --yes")
            return 0
        if differences:
            running = self.groups.create(after.request(arn, f"edgeml {after.parts[SUITE].version}" if SUITE in after.parts else "edgeml"))
            self._say(f"created deployment {running} of {group}")
        if not given.no_wait:
            expected = {name: part.version for name, part in after.parts.items() if not name.startswith("aws.greengrass.")}
            follow(self.groups, arn, running, self._say, given.minutes, given.every, expected=expected)
            if any(part.merge or part.reset for part in after.parts.values()):
                self._say("edgeml fleet status shows whether the components accept their configuration, once they have reported")
        return 0

    def _defaults(self, name: str, version: str) -> Mapping[str, Any] | None:
        recipe = self.registry.recipe(name, version)
        return None if recipe is None else (recipe.get("ComponentConfiguration") or {}).get("DefaultConfiguration") or {}

    def _check_published(self, desired: DeploymentSpec) -> None:
        for name, part in desired.parts.items():
            if name.startswith("aws.greengrass."):
                continue
            state = (self.registry.state(name, part.version) or {}).get("componentState")
            if state is None:
                versions = ", ".join(self.registry.versions(name)[:5])
                hint = (
                    f"published versions: {versions}" if versions else f"published components: {', '.join(self.registry.names()) or 'none'}"
                )
                region = self.account.region
                raise FleetError(f"{name} {part.version} is not published in {region}; {hint}; publish it with edgeml fleet publish")
            if state != "DEPLOYABLE":
                raise FleetError(f"{name} {part.version} is {state} and cannot be deployed; publish it again with edgeml fleet publish")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that changes a deployment."""
    rollout_options.add(parser)
    parser.add_argument("--yes", action="store_true", help="do it; without it, only what a group's devices would get is shown")
    parser.add_argument("--no-wait", action="store_true", help="do not follow the devices")
    parser.add_argument("--minutes", type=number(0, 10**6), default=30.0, metavar="N", help="follow the devices for so long (default: 30)")
    parser.add_argument("--every", type=number(0.05, 3600), default=3.0, metavar="S", help="seconds between two looks (default: 3)")
