"""Makes the cloud side out of its template, brings it up to date, and takes it away: `edgeml cloud deploy`, `edgeml cloud destroy`."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.build.package import ROOT
from edgeml_cli.cloud import template
from edgeml_cli.fleet import aws_account
from edgeml_cli.fleet.aws_account import Account, Wanted
from edgeml_cli.fleet.errors import FleetError, code, reason, told
from gglocal.cli.arguments import whole

ENDED = re.compile(r".*_(COMPLETE|FAILED)$")
EVERY_S = 3.0
DAYS = {"results_days": "ResultsDays", "health_days": "HealthDays", "captures_days": "CapturesDays", "error_days": "ErrorDays"}

Say = Callable[[str], None]


class Stack:
    """One CloudFormation stack.

    Args:
        wait: sleeps between two looks.
    """

    def __init__(self, into: Account, name: str, say: Say, wait: Callable[[float], None] = time.sleep) -> None:
        self.name, self._account, self._say, self._wait = name, into, say, wait
        self._client = into.client("cloudformation")

    def find(self) -> dict[str, Any] | None:
        """What CloudFormation says of it; None: it is not there."""
        try:
            return dict(self._client.describe_stacks(StackName=self.name)["Stacks"][0])
        except ClientError as fault:
            if "does not exist" in reason(fault):
                return None
            raise

    def bring(self, path: Path, parameters: dict[str, str]) -> bool:
        """Make the stack, or bring it up to date; False: it was so already. A parameter that is not given keeps its value.

        Args:
            path: the template.

        Raises:
            FleetError: it failed, with the reason of each resource that did.
        """
        there, declared = self.find(), template.read(path)["Parameters"]
        given: dict[str, Any] = {
            "StackName": self.name,
            "TemplateBody": path.read_text(encoding="utf-8"),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        }
        if there is None:
            self._say(f"making the stack {self.name}")
            self._until_over("CREATE_COMPLETE", self._client.create_stack(**given, OnFailure="DELETE")["StackId"])
        else:
            if not ENDED.match(there["StackStatus"]):
                raise FleetError(f"the stack {self.name} is {there['StackStatus']}; wait until that is over")
            if there["StackStatus"] == "ROLLBACK_COMPLETE":
                raise FleetError(f"the stack {self.name} was never made whole; take it away first with edgeml cloud destroy --yes")
            kept = [each for each in there.get("Parameters", ()) if each["ParameterKey"] in declared.keys() - parameters.keys()]
            given["Parameters"] += [{key: each[key] for key in ("ParameterKey", "ParameterValue")} for each in kept]
            try:
                self._client.update_stack(**given)
            except ClientError as fault:
                if "No updates" in reason(fault):
                    return False
                raise
            self._say(f"updating the stack {self.name}")
            self._until_over("UPDATE_COMPLETE", there["StackId"])
        return True

    def remove(self, stack: str) -> None:
        """Take it away.

        Args:
            stack: its id: one that is gone is found by it alone.
        """
        self._client.delete_stack(StackName=self.name)
        self._until_over("DELETE_COMPLETE", stack)

    def resources(self, kind: str) -> list[str]:
        """The physical names of its resources of a type."""
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [each["PhysicalResourceId"] for page in pages for each in page["StackResourceSummaries"] if each["ResourceType"] == kind]

    def _until_over(self, good: str, stack: str) -> None:
        """Say what fails, until it is over; by its id, a stack is found even when it is gone."""
        seen: set[str] = set()
        faults: list[str] = []
        while True:
            found = self._client.describe_stacks(StackName=stack)["Stacks"][0]
            faults += self._faults(stack, seen)
            if ENDED.match(found["StackStatus"]):
                break
            self._wait(EVERY_S)
        if found["StackStatus"] != good:
            why = "; ".join(faults) or found.get("StackStatusReason") or "no reason given"
            raise FleetError(f"the stack {self.name} is {found['StackStatus']}: {why}")

    def _faults(self, stack: str, seen: set[str]) -> Iterator[str]:
        events = self._client.describe_stack_events(StackName=stack)["StackEvents"]
        for event in reversed(events):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            if event["ResourceStatus"].endswith("_FAILED"):
                text = " ".join(str(event.get("ResourceStatusReason", "no reason given")).split())
                self._say(f"  {event['LogicalResourceId']}: {event['ResourceStatus']}: {text}")
                yield f"{event['LogicalResourceId']}: {text}"


class Buckets:
    """The buckets of a stack."""

    def __init__(self, s3: Any, names: list[str]) -> None:
        self._s3, self._names = s3, names

    def full(self) -> dict[str, int]:
        """How many objects, old versions included, are in each that has any."""
        counted = {name: sum(1 for _ in self._objects(name)) for name in self._names}
        return {name: count for name, count in counted.items() if count}

    def empty(self) -> None:
        """Delete every version of every object."""
        for name in self._names:
            batch = []
            for each in self._objects(name):
                batch.append(each)
                if len(batch) == 1000:
                    self._delete(name, batch)
                    batch = []
            if batch:
                self._delete(name, batch)

    def _delete(self, name: str, batch: list[dict[str, str]]) -> None:
        errors = self._s3.delete_objects(Bucket=name, Delete={"Objects": batch, "Quiet": True}).get("Errors", ())
        for each in errors:
            raise FleetError(f"s3://{name}/{each.get('Key')} cannot be deleted: {each.get('Message')}; the stack stays as it is")

    def _objects(self, name: str) -> Iterator[dict[str, str]]:
        try:
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=name):
                for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    yield {"Key": each["Key"], "VersionId": each["VersionId"]}
        except ClientError as fault:
            if code(fault) != "NoSuchBucket":
                raise


def deploy(given: argparse.Namespace) -> int:
    """Make the stack or bring it up to date."""
    wanted = Wanted.read(ROOT)
    stack = Stack(Account(given.region or wanted.region), given.stack, say)
    parameters = {name: str(value) for option, name in DAYS.items() if (value := getattr(given, option)) is not None}
    if given.alert_email is not None:
        parameters["AlertEmail"] = given.alert_email
    if not stack.bring(template.TEMPLATE, {"ArtifactBucketPrefix": wanted.bucket, **parameters}):
        say(f"the stack {given.stack} is up to date")
    found = stack.find()
    for each in (found or {}).get("Outputs", ()):
        say(f"{each['OutputKey']}: {each['OutputValue']}  ({each.get('Description', '')})")
    return 0


def destroy(given: argparse.Namespace) -> int:
    """Take the stack away, and with `--with-data` all that is in its buckets."""
    into = Account(given.region or Wanted.read(ROOT).region)
    stack = Stack(into, given.stack, say)
    found = stack.find()
    if found is None:
        say(f"there is no stack {given.stack} in {into.region}")
        return 0
    buckets = Buckets(into.client("s3"), stack.resources("AWS::S3::Bucket"))
    full = buckets.full()
    told_full = ", ".join(f"{name} ({count} objects, old versions included)" for name, count in full.items())
    if not given.yes:
        say(f"this would take away the stack {given.stack}" + (f" and the data in {told_full}" if full else "") + "; give --yes to go on")
        return 0
    if full and not given.with_data:
        raise FleetError(f"there are data in {told_full}; copy what you need, then give --with-data too; nothing was deleted")
    buckets.empty()
    stack.remove(found["StackId"])
    say(f"the stack {given.stack} is gone")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml cloud", description="The cloud side of edgeml as a CloudFormation stack.")
    commands = made.add_subparsers(dest="command", required=True)
    make = commands.add_parser("deploy", help="make it, or bring it up to date")
    make.add_argument("--alert-email", metavar="ADDRESS", help="alerts are sent there; an empty one: nowhere")
    for option, what in (("results", "results"), ("health", "health messages"), ("captures", "captured rows"), ("error", "errors")):
        make.add_argument(f"--{option}-days", type=whole(1, 36500), metavar="N", help=f"days for which {what} are kept")
    take = commands.add_parser("destroy", help="take it away")
    take.add_argument("--yes", action="store_true", help="do it; without it, only what would go is said")
    take.add_argument("--with-data", action="store_true", help="delete what is in its buckets too")
    for command in (make, take):
        command.add_argument("--stack", default="edgeml", type=_name, help="name of the stack (default: edgeml)")
        aws_account.arguments(command)
    return made


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name for the stack: 1 to 20 lower-case letters, digits and hyphens")
    return text


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return told(f"edgeml cloud {given.command}", lambda: {"deploy": deploy, "destroy": destroy}[given.command](given))


if __name__ == "__main__":
    sys.exit(main())
