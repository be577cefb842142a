"""Publishes every component and the Suite, in dependency order: `edgeml fleet publish`.

Published versions are immutable. Before anything is uploaded, each version is compared with the published one: identical
content is skipped, different content is rejected. So publishing is idempotent, and the next run completes an interrupted one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from edgeml_cli.build import package
from edgeml_cli.build.package import ROOT
from edgeml_cli.fleet import aws_account, build_output, gdk
from edgeml_cli.fleet.artifact_bucket import NEW_VERSION_HINT, ArtifactBucket, claim_conflict
from edgeml_cli.fleet.aws_account import Account, PublishConfig
from edgeml_cli.fleet.build_output import BuiltComponent
from edgeml_cli.fleet.component_registry import ComponentRegistry
from edgeml_cli.fleet.errors import FleetError, report_errors
from edgeml_cli.status_line import steps

BUILD_DIR = ROOT / "build" / "publish"


class Action(Enum):
    """The action for a component version."""

    PUBLISH = "publish"
    FINISH = "finish"
    REPAIR = "repair"
    SKIP = "skip"


def plan_action(item: BuiltComponent, published: bool, same: bool, claim: str | None, missing: bool, take_over: bool = False) -> Action:
    """Choose the action for a version. Pure.

    Args:
        published: whether the version is published.
        same: whether the published content is identical.
        claim: the claimed fingerprint in the bucket, if any.
        missing: whether an artifact is missing from the bucket, or differs there.
        take_over: replace a claim for different content.

    Raises:
        FleetError: the version is published or claimed with different content.
    """
    if published and not same:
        raise FleetError(f"{item} is already published with different content, and published versions are immutable; {NEW_VERSION_HINT}")
    if published:
        return Action.REPAIR if missing else Action.SKIP
    if claim not in (None, item.fingerprint) and not take_over:
        raise FleetError(claim_conflict(item))
    return Action.FINISH if claim == item.fingerprint else Action.PUBLISH


def select(items: list[BuiltComponent], names: list[str]) -> list[BuiltComponent]:
    """The components with these names; all if there are no names.

    Raises:
        FleetError: a name is not in the build.
    """
    unknown = set(names) - {item.name for item in items}
    if unknown:
        raise FleetError(f"{', '.join(sorted(unknown))} is not in the build; it contains {', '.join(item.name for item in items)}")
    return [item for item in items if not names or item.name in names]


class Publisher:
    """Publishes to one bucket of one account.

    Args:
        gdk_path: path of gdk; None publishes with boto3.
    """

    def __init__(
        self,
        account: Account,
        bucket: ArtifactBucket,
        registry: ComponentRegistry,
        author: str,
        config: PublishConfig,
        gdk_path: str | None,
        say: Callable[[str], None],
    ) -> None:
        self._account, self._bucket, self._registry, self._author = account, bucket, registry, author
        self._config, self._gdk_path, self._say = config, gdk_path, say

    def plan(self, items: list[BuiltComponent], take_over: bool = False) -> list[tuple[BuiltComponent, Action]]:
        """Choose the action for each version.

        Raises:
            FleetError: versions are published or claimed with different content; one sentence for each.
        """
        plan, faults = [], []
        for item in items:
            try:
                plan.append((item, self._choose(item, take_over)))
            except FleetError as fault:
                faults.append(str(fault))
        if faults:
            raise FleetError("; ".join(faults) + "; nothing was uploaded")
        return plan

    def run(self, plan: list[tuple[BuiltComponent, Action]], take_over: bool = False) -> None:
        """Carry out a plan. All versions are claimed before anything is uploaded."""
        for item, action in plan:
            if action in (Action.PUBLISH, Action.FINISH):
                self._bucket.claim(item, take_over)
        for number, (item, action) in enumerate(plan):
            steps("component", number, len(plan))
            if action is Action.SKIP:
                self._registry.wait_until_deployable(item.name, item.version)
                self._say(f"{item}: already published with identical content")
                continue
            by_gdk = self._gdk_path is not None and action is not Action.REPAIR
            (self._with_gdk if by_gdk else self._with_boto3)(item, action)
            self._registry.wait_until_deployable(item.name, item.version)
            outcome = "restored in the bucket" if action is Action.REPAIR else "published" if action is Action.PUBLISH else "completed"
            self._say(f"{item}: {outcome}{' with gdk' if by_gdk else ''}, fingerprint {item.fingerprint[:12]}")

    def _choose(self, item: BuiltComponent, take_over: bool) -> Action:
        claim = self._bucket.claimed_fingerprint(item)
        recipe = self._registry.recipe(item.name, item.version)
        missing = bool(self._bucket.missing(item))
        same = recipe is not None and build_output.comparable_recipe(recipe) == build_output.comparable_recipe(item.recipe)
        if recipe is not None and same:
            digests = build_output.artifact_digests(recipe)
            same = digests.items() <= item.digests.items() if digests else not missing
        return plan_action(item, recipe is not None, same, claim, missing, take_over)

    def _with_boto3(self, item: BuiltComponent, action: Action) -> None:
        for file in self._bucket.missing(item):
            self._say(f"{item}: uploading {file}, {item.files[file].stat().st_size:,} bytes")
            self._bucket.put(item, file)
        if action is not Action.REPAIR:
            self._registry.create(item.name, item.version, item.text)

    def _with_gdk(self, item: BuiltComponent, action: Action) -> None:
        assert self._gdk_path is not None
        config, region = self._config, self._account.region
        project = gdk.stage_project(item, BUILD_DIR / item.name, self._author, config.bucket, region, config.gdk)
        fault = gdk.publish(self._gdk_path, project, self._bucket.bucket, region)
        # If two publish the same content concurrently, gdk fails for the second; the version exists, so this is no failure.
        if fault and self._registry.state(item.name, item.version) is None:
            raise FleetError(f"gdk could not publish {item}: {fault}; correct this, or {gdk.REMEDY}")
        differing = self._bucket.missing(item)
        if differing:
            raise FleetError(f"{', '.join(differing)} of {item} in s3://{self._bucket.bucket} differs from the build; publish again")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml fleet publish", description="Publish the suite's components, in the order of dependency.")
    made.add_argument("--bucket", help="bucket of the artifacts (default: gdk's name, `publish.bucket` of gdk-config.json-REGION-ACCOUNT)")
    aws_account.arguments(made)
    made.add_argument("--author", help="publisher of the components (default: `author` in gdk-config.json)")
    made.add_argument("--from", dest="source", type=Path, metavar="DIR", help="publish this build directory (default: a new build)")
    made.add_argument("--component", action="append", default=[], metavar="NAME", help="publish this one alone; may be repeated")
    made.add_argument("--without-gdk", action="store_true", help="publish with boto3, even where gdk is installed")
    made.add_argument("--take-over", action="store_true", help="replace what another publish began with other bytes and did not finish")
    return made


def run(given: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        FleetError, BuildError, ClientError, BotoCoreError: publishing failed.
    """
    config = PublishConfig.read(ROOT)
    gdk_path = None if given.without_gdk else gdk.find(config.gdk)
    project = package.Project.read(ROOT)
    account = Account(given.region or config.region)
    bucket = account.bucket(given.bucket, config.bucket)
    source = given.source or BUILD_DIR / "greengrass-build"
    if given.source is None:
        package.build(ROOT, source, bucket)
    items = select(build_output.read(source, bucket, given.author), given.component)
    publisher = Publisher(
        account,
        ArtifactBucket(account.client("s3"), bucket),
        ComponentRegistry(account),
        given.author or project.author,
        config,
        gdk_path,
        say,
    )
    say(f"publishing to account {account.number}, {account.region}, s3://{bucket}, with {'gdk ' + config.gdk if gdk_path else 'boto3'}")
    publisher.run(publisher.plan(items, given.take_over), given.take_over)
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return report_errors("edgeml fleet publish", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
