"""Deploys to a thing group: `edgeml fleet deploy --group GROUP`; or to this machine: `edgeml device deploy`.

What is named changes; when nothing is named, or a group has no deployment yet, the suite of this checkout is what is wanted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from edgeml_cli.build import package
from edgeml_cli.build.package import COMPONENTS, SUITE
from edgeml_cli.fleet import apply_deployment, aws_account, config_check, local_nucleus
from edgeml_cli.fleet.deployment_plan import Desired, undo
from edgeml_cli.fleet.errors import FleetError, told

MODEL = "com.edgeml.Model."
"""A model's component is called this and the model's name."""


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
    what.add_argument("--model", action="append", default=[], metavar="NAME=VERSION", help=f"a model: the component {MODEL}NAME")
    what.add_argument("--component", action="append", default=[], metavar="NAME=VERSION", help="any other component, by its full name")
    what.add_argument("--remove", action="append", default=[], metavar="NAME", help="take a component, by its full name, out")
    what.add_argument("--config", type=Path, metavar="FILE", help="merge and reset by component, instead of what those components had")


def versions(given: argparse.Namespace, version: str) -> dict[str, str]:
    """The component versions that a command line names.

    Args:
        version: of this checkout.

    Raises:
        FleetError: one is written in another way.
    """
    named: dict[str, str] = {}
    for option, prefix, texts in (("--model", MODEL, given.model), ("--component", "", given.component)):
        for text in texts:
            name, found, wanted = text.partition("=")
            if not found or not name or not wanted:
                raise FleetError(f"{option} {text}: write NAME=VERSION, as {option} {'Pump' if prefix else 'com.example.Reader'}=1.2.3")
            named[name if name.startswith(MODEL) else prefix + name] = wanted
    if given.suite or not (named or given.remove or given.config):
        named |= suite(given.suite or version)
    return named


def suite(version: str) -> dict[str, str]:
    """The Suite and its components: each is named, so that each can be given a configuration."""
    return dict.fromkeys((SUITE, *COMPONENTS), version)


def to_group(given: argparse.Namespace) -> int:
    """Revise the deployment of a thing group."""
    reviser = apply_deployment.DeploymentApplier(given.region, say)
    named = versions(given, reviser.version)
    updates = config_check.updates(given.config) if given.config else {}
    arn = reviser.groups.arn(given.group)
    running, before = reviser.current(arn)
    if before is None and given.remove:
        raise FleetError(_none_yet(given.group))
    if before is None and not named:
        named = suite(reviser.version)
    base = before or Desired()
    config_check.known(given.remove, base, "--remove")
    after = base.with_versions(named).without(given.remove)
    config_check.known(updates, after, str(given.config))
    return reviser.run(given, arn, running, before, after.with_updates(updates))


def roll_back(given: argparse.Namespace) -> int:
    """Give a thing group the deployment before its current one."""
    reviser = apply_deployment.DeploymentApplier(given.region, say)
    arn = reviser.groups.arn(given.group)
    running, before = reviser.current(arn)
    if before is None:
        raise FleetError(_none_yet(given.group))
    return reviser.run(given, arn, running, before, undo(before, Desired.of_service(reviser.groups.earlier(arn, before))))


def _none_yet(group: str) -> str:
    return f"{group} has no deployment yet; deploy the suite to it first: edgeml fleet deploy --group {group}"


def to_local(given: argparse.Namespace) -> int:
    """Deploy the build to the nucleus of this machine."""
    version = package.Project.read(package.ROOT).version
    updates, named = config_check.updates(given.config) if given.config else {}, versions(given, version)
    on = local_nucleus.target(given)
    # The classic nucleus configures only what is deployed for its own sake, and says nothing of the rest.
    for name in [name for name in updates if name not in named]:
        runs = on.cli.component(name)
        named[name] = runs.version if runs is not None else version
    wanted = Desired().with_versions(named).with_updates(updates)
    try:
        remarks = config_check.check(None, wanted, local_nucleus.defaults(given.build), version)
    except FleetError as fault:
        # What was merged on this machine before may be what is missing: said, and left to the component.
        doubt = "unless an earlier merge mends it, the component refuses this"
        remarks = [str(fault).replace("mend the configuration, nothing was deployed", doubt)]
    for remark in remarks:
        say(remark)
    return local_nucleus.deploy(given, on, named, updates, say)


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
    return told(name, lambda: function(given))


if __name__ == "__main__":
    sys.exit(main())
