"""Publishes every component and the Suite, in the order of dependency: `edgeml fleet publish`.

What a version is published with is compared first, for all of them: the same bytes are skipped, other bytes are refused, and only then
is anything uploaded. So publishing twice changes nothing, and what was interrupted is finished by the next.
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
from edgeml_cli.fleet.artifact_bucket import OTHER, ArtifactBucket, claimed_by_others
from edgeml_cli.fleet.aws_account import Account, Wanted
from edgeml_cli.fleet.build_output import Item
from edgeml_cli.fleet.component_registry import ComponentRegistry
from edgeml_cli.fleet.errors import FleetError, told
from edgeml_cli.status_line import steps

PLACE = ROOT / "build" / "publish"


class Act(Enum):
    """What is to be done about a component version."""

    PUBLISH = "publish"
    FINISH = "finish"
    REPAIR = "repair"
    SKIP = "skip"


def decide(item: Item, published: bool, same: bool, claim: str | None, missing: bool, over: bool = False) -> Act:
    """What is to be done, from what is there. Pure.

    Args:
        published: the service has this version.
        same: if published: it has these bytes.
        claim: the fingerprint claimed in the bucket.
        missing: an artifact of it is not in the bucket as it should be.
        over: a claim of other bytes is taken over.

    Raises:
        FleetError: other bytes have this version.
    """
    if published and not same:
        raise FleetError(f"{item} is published with other bytes, which stay; {OTHER}")
    if published:
        return Act.REPAIR if missing else Act.SKIP
    if claim not in (None, item.fingerprint) and not over:
        raise FleetError(claimed_by_others(item))
    return Act.FINISH if claim == item.fingerprint else Act.PUBLISH


def chosen(items: list[Item], names: list[str]) -> list[Item]:
    """Those of the names; all, when there is none.

    Raises:
        FleetError: a name is of nothing that was built.
    """
    strangers = set(names) - {item.name for item in items}
    if strangers:
        raise FleetError(f"{', '.join(sorted(strangers))} is not in the build; there are {', '.join(item.name for item in items)}")
    return [item for item in items if not names or item.name in names]


class Publisher:
    """Publishes to one bucket of one account.

    Args:
        tool: the path of gdk; None: boto3 does it.
    """

    def __init__(
        self,
        into: Account,
        shelf: ArtifactBucket,
        registry: ComponentRegistry,
        author: str,
        wanted: Wanted,
        tool: str | None,
        say: Callable[[str], None],
    ) -> None:
        self._account, self._shelf, self._registry, self._author = into, shelf, registry, author
        self._wanted, self._tool, self._say = wanted, tool, say

    def plan(self, items: list[Item], over: bool = False) -> list[tuple[Item, Act]]:
        """
        Raises:
            FleetError: with a sentence for each version that other bytes have.
        """
        plan, faults = [], []
        for item in items:
            try:
                plan.append((item, self._decide(item, over)))
            except FleetError as fault:
                faults.append(str(fault))
        if faults:
            raise FleetError("; ".join(faults) + "; nothing was uploaded")
        return plan

    def run(self, plan: list[tuple[Item, Act]], over: bool = False) -> None:
        """Do what is planned. All is claimed before anything is uploaded."""
        for item, act in plan:
            if act in (Act.PUBLISH, Act.FINISH):
                self._shelf.take(item, over)
        for number, (item, act) in enumerate(plan):
            steps("component", number, len(plan))
            if act is Act.SKIP:
                self._registry.until_deployable(item.name, item.version)
                self._say(f"{item}: published already, with the same bytes")
                continue
            by_gdk = self._tool is not None and act is not Act.REPAIR
            (self._with_gdk if by_gdk else self._with_boto3)(item, act)
            self._registry.until_deployable(item.name, item.version)
            done = "restored in the bucket" if act is Act.REPAIR else "published" if act is Act.PUBLISH else "finished"
            self._say(f"{item}: {done}{' with gdk' if by_gdk else ''}, fingerprint {item.fingerprint[:12]}")

    def _decide(self, item: Item, over: bool) -> Act:
        claim = self._shelf.claim(item)
        recipe = self._registry.recipe(item.name, item.version)
        missing = bool(self._shelf.missing(item))
        same = recipe is not None and build_output.essence(recipe) == build_output.essence(item.recipe)
        if recipe is not None and same:
            known = build_output.artifact_digests(recipe)
            same = known.items() <= item.digests.items() if known else not missing
        return decide(item, recipe is not None, same, claim, missing, over)

    def _with_boto3(self, item: Item, act: Act) -> None:
        for file in self._shelf.missing(item):
            self._say(f"{item}: uploading {file}, {item.files[file].stat().st_size:,} bytes")
            self._shelf.put(item, file)
        if act is not Act.REPAIR:
            self._registry.create(item.name, item.version, item.text)

    def _with_gdk(self, item: Item, act: Act) -> None:
        assert self._tool is not None
        project = gdk.stage(item, PLACE / item.name, self._author, self._wanted.bucket, self._account.region, self._wanted.gdk)
        fault = gdk.publish(self._tool, project, self._shelf.bucket, self._account.region)
        # Of two that publish the same bytes at once, gdk fails the second: the version is there, and that is what was wanted.
        if fault and self._registry.state(item.name, item.version) is None:
            raise FleetError(f"gdk could not publish {item}: {fault}; mend that, or {gdk.REMEDY}")
        wrong = self._shelf.missing(item)
        if wrong:
            raise FleetError(f"{', '.join(wrong)} of {item} in s3://{self._shelf.bucket} is not what was built; publish again")


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
    """Do what the command line asks.

    Raises:
        FleetError, BuildError, ClientError, BotoCoreError: why it cannot be done.
    """
    wanted = Wanted.read(ROOT)
    tool = None if given.without_gdk else gdk.find(wanted.gdk)
    project = package.Project.read(ROOT)
    into = Account(given.region or wanted.region)
    bucket = into.bucket(given.bucket, wanted.bucket)
    source = given.source or PLACE / "greengrass-build"
    if given.source is None:
        package.build(ROOT, source, bucket)
    items = chosen(build_output.read(source, bucket, given.author), given.component)
    publisher = Publisher(
        into,
        ArtifactBucket(into.client("s3"), bucket),
        ComponentRegistry(into),
        given.author or project.author,
        wanted,
        tool,
        say,
    )
    say(f"account {into.number}, {into.region}, s3://{bucket}, with {'gdk ' + wanted.gdk if tool else 'boto3'}")
    publisher.run(publisher.plan(items, given.take_over), given.take_over)
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return told("edgeml fleet publish", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
