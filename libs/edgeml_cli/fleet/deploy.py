"""Deploys to a thing group (`edgeml fleet deploy`, `edgeml fleet rollback`) or to this machine (`edgeml device deploy`).

Only the named components change. If none is named, or the group has no deployment yet, the suite of this checkout is deployed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from edgeml_cli.build import package
from edgeml_cli.build.package import COMPONENTS, MODEL_PREFIX, SUITE
from edgeml_cli.fleet import apply_deployment, aws_account, config_check, local_nucleus
from edgeml_cli.fleet.deployment_plan import DeploymentSpec, rollback_to
from edgeml_cli.fleet.errors import FleetError, report_errors


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml fleet")
    commands = made.add_subparsers(dest="command", required=True)
    group = commands.add_parser("deploy", description="Show what a deployment would change; with --yes, deploy it and follow the devices.")
    group.add_argument("--group", required=True, help="the thing group to deploy to")
    aws_account.arguments(group)
    _named(group)
    apply_deployment.arguments(group)
    back = commands.add_parser("rollback", description="Deploy the deployment before the current one again. With --yes, it is done.")
    back.add_argument("--group", required=True, help="the thing group to roll back")
    aws_account.arguments(back)
    apply_deployment.arguments(back)
    device = commands.add_parser("device", description="Deploy the build to this machine: with greengrass-cli, else on a running gglocal.")
    local_nucleus.arguments(device)
    _named(device)
    return made


def _named(parser: argparse.ArgumentParser) -> None:
    """The options that name what is deployed."""
    what = parser.add_argument_group("what", "what is named changes; nothing named: the suite of this checkout")
    what.add_argument("--suite", metavar="VERSION", help="the suite and its components, in this version")
    what.add_argument("--model", action="append", default=[], metavar="NAME=VERSION", help=f"a model: the component {MODEL_PREFIX}NAME")
    what.add_argument("--component", action="append", default=[], metavar="NAME=VERSION", help="any other component, by its full name")
    what.add_argument("--remove", action="append", default=[], metavar="NAME", help="take a component, by its full name, out")
    what.add_argument("--config", type=Path, metavar="FILE", help="merge and reset by component, instead of what those components had")


def versions(given: argparse.Namespace, version: str) -> dict[str, str]:
    """The component versions named on the command line.

    Args:
        version: version of this checkout.

    Raises:
        FleetError: an argument is not of the form NAME=VERSION.
    """
    named: dict[str, str] = {}
    for option, prefix, texts in (("--model", MODEL_PREFIX, given.model), ("--component", "", given.component)):
        for text in texts:
            name, separator, requested = text.partition("=")
            if not separator or not name or not requested:
                example = f"{option} {'Pump' if prefix else 'com.example.Reader'}=1.2.3"
                raise FleetError(f"{option} {text}: expected NAME=VERSION, such as {example}")
            named[name if name.startswith(MODEL_PREFIX) else prefix + name] = requested
    if given.suite or not (named or given.remove or given.config):
        named |= suite(given.suite or version)
    return named


def suite(version: str) -> dict[str, str]:
    """The Suite and its components, each as a root component, so that a deployment can configure each of them."""
    return dict.fromkeys((SUITE, *COMPONENTS), version)


def to_group(given: argparse.Namespace) -> int:
    """Change the deployment of a thing group."""
    applier = apply_deployment.DeploymentApplier(given.region, say)
    named = versions(given, applier.version)
    updates = config_check.read_updates(given.config) if given.config else {}
    arn = applier.groups.arn(given.group)
    running, before = applier.current(arn)
    if before is None and given.remove:
        raise FleetError(_none_yet(given.group))
    if before is None and not named:
        named = suite(applier.version)
    base = before or DeploymentSpec()
    config_check.require_deployed(given.remove, base, "--remove")
    after = base.with_versions(named).without(given.remove)
    config_check.require_deployed(updates, after, str(given.config))
    return applier.run(given, arn, running, before, after.with_updates(updates))


def roll_back(given: argparse.Namespace) -> int:
    """Roll a thing group back to its previous deployment."""
    applier = apply_deployment.DeploymentApplier(given.region, say)
    arn = applier.groups.arn(given.group)
    running, before = applier.current(arn)
    if before is None:
        raise FleetError(_none_yet(given.group))
    return applier.run(given, arn, running, before, rollback_to(before, DeploymentSpec.of_service(applier.groups.previous(arn, before))))


def _none_yet(group: str) -> str:
    return f"{group} has no deployment yet; deploy the suite to it first: edgeml fleet deploy --group {group}"


def to_local(given: argparse.Namespace) -> int:
    """Deploy the build to the nucleus of this machine."""
    version = package.Project.read(package.ROOT).version
    updates, named = config_check.read_updates(given.config) if given.config else {}, versions(given, version)
    target = local_nucleus.target(given)
    # The classic nucleus ignores, without an error, the configuration of a component that is only a dependency.
    for name in [name for name in updates if name not in named]:
        deployed = target.cli.component(name)
        named[name] = deployed.version if deployed is not None else version
    spec = DeploymentSpec().with_versions(named).with_updates(updates)
    try:
        remarks = config_check.check(None, spec, local_nucleus.defaults(given.build), version)
    except config_check.InvalidConfiguration as fault:
        # An earlier merge on this machine may complete the configuration, so this is a warning; the component decides.
        remarks = [f"{'; '.join(fault.faults)}; unless an earlier merge corrects this, the component rejects the configuration"]
    for remark in remarks:
        say(remark)
    return local_nucleus.deploy(given, target, named, updates, say)


COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], int]]] = {
    "deploy": ("edgeml fleet deploy", to_group),
    "rollback": ("edgeml fleet rollback", roll_back),
    "device": ("edgeml device deploy", to_local),
}
"""The command that a user types, and the function that runs it."""


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done or failed on a device."""
    given = parser().parse_args(arguments)
    name, function = COMMANDS[given.command]
    return report_errors(name, lambda: function(given))


if __name__ == "__main__":
    sys.exit(main())
