"""Deploys to a thing group: `scripts/deploy --group GROUP`; or to this machine: `scripts/deploy --local`.

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
    made = argparse.ArgumentParser(
        prog="scripts/deploy",
        description="Show what a deployment would change, and with --yes deploy it and follow the devices.",
    )
    target = made.add_mutually_exclusive_group(required=True)
    target.add_argument("--group", help="the thing group to deploy to")
    target.add_argument("--local", action="store_true", help="this machine, at once: by greengrass-cli, else on the gglocal that runs")
    local_nucleus.arguments(made)
    aws_account.arguments(made)
    what = made.add_argument_group("what", "what is named changes; nothing named: the suite of this checkout")
    what.add_argument("--suite", metavar="VERSION", help="the suite and its components, in this version")
    what.add_argument("--model", action="append", default=[], metavar="NAME=VERSION", help=f"a model: the component {MODEL}NAME")
    what.add_argument("--component", action="append", default=[], metavar="NAME=VERSION", help="any other component, by its full name")
    what.add_argument("--remove", action="append", default=[], metavar="NAME", help="take a component, by its full name, out")
    what.add_argument("--config", type=Path, metavar="FILE", help="merge and reset by component, instead of what those components had")
    what.add_argument("--rollback", action="store_true", help="the deployment before the current one, again")
    apply_deployment.arguments(made)
    return made


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
    if given.suite or not (named or given.remove or given.config or given.rollback):
        named |= suite(given.suite or version)
    return named


def suite(version: str) -> dict[str, str]:
    """The Suite and its components: each is named, so that each can be given a configuration."""
    return dict.fromkeys((SUITE, *COMPONENTS), version)


def to_group(given: argparse.Namespace) -> int:
    """Revise the deployment of a thing group."""
    reviser = apply_deployment.DeploymentApplier(given.region, say)
    named = versions(given, reviser.version)
    if given.rollback and (named or given.remove or given.config):
        raise FleetError("--rollback takes the earlier deployment as it was; deploy what you want besides in a second step")
    updates = config_check.updates(given.config) if given.config else {}
    arn = reviser.groups.arn(given.group)
    running, before = reviser.current(arn)
    if before is None and (given.rollback or given.remove):
        raise FleetError(f"{given.group} has no deployment yet; deploy the suite to it first: scripts/deploy --group {given.group}")
    if before is None and not named:
        named = suite(reviser.version)
    if given.rollback and before is not None:
        after = undo(before, Desired.of_service(reviser.groups.earlier(arn, before)))
    else:
        base = before or Desired()
        config_check.known(given.remove, base, "--remove")
        after = base.with_versions(named).without(given.remove)
        config_check.known(updates, after, str(given.config))
        after = after.with_updates(updates)
    return reviser.run(given, arn, running, before, after)


def to_local(given: argparse.Namespace) -> int:
    """Deploy the build to the nucleus of this machine."""
    if given.rollback:
        raise FleetError("--rollback is for thing groups; the classic nucleus takes back a local deployment that fails by itself")
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


TARGETS: dict[str, Callable[[argparse.Namespace], int]] = {"group": to_group, "local": to_local}
"""What deploys to the target that an option names."""


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done or failed on a device."""
    given = parser().parse_args(arguments)
    target = next(name for name in TARGETS if getattr(given, name))
    return told("deploy", lambda: TARGETS[target](given))


if __name__ == "__main__":
    sys.exit(main())
