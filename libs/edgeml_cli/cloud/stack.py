"""Creates, updates and deletes the CloudFormation stack of the cloud side: `edgeml cloud deploy` and `edgeml cloud destroy`."""

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
from edgeml_cli.fleet.aws_account import Account, PublishConfig
from edgeml_cli.fleet.errors import FleetError, code, reason, report_errors
from gglocal.cli.arguments import whole

FINAL_STATUS = re.compile(r".*_(COMPLETE|FAILED)$")
POLL_INTERVAL_S = 3.0
DAYS = {"results_days": "ResultsDays", "health_days": "HealthDays", "captures_days": "CapturesDays", "error_days": "ErrorDays"}

Say = Callable[[str], None]


class Stack:
    """One CloudFormation stack.

    Args:
        wait: sleeps between two polls of the stack's status.
    """

    def __init__(self, account: Account, name: str, say: Say, wait: Callable[[float], None] = time.sleep) -> None:
        self.name, self._say, self._wait = name, say, wait
        self._client = account.client("cloudformation")

    def find(self) -> dict[str, Any] | None:
        """The stack as DescribeStacks returns it; None if it does not exist."""
        try:
            return dict(self._client.describe_stacks(StackName=self.name)["Stacks"][0])
        except ClientError as fault:
            if "does not exist" in reason(fault):
                return None
            raise

    def create_or_update(self, path: Path, parameters: dict[str, str]) -> bool:
        """Create the stack, or update it. A parameter that is not given keeps its value.

        Args:
            path: the template.

        Returns:
            Whether anything changed.

        Raises:
            FleetError: the operation failed; with the reason of each failed resource.
        """
        existing, declared = self.find(), template.read(path)["Parameters"]
        request: dict[str, Any] = {
            "StackName": self.name,
            "TemplateBody": path.read_text(encoding="utf-8"),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        }
        if existing is None:
            self._say(f"creating the stack {self.name}")
            self._wait_until("CREATE_COMPLETE", self._client.create_stack(**request, OnFailure="DELETE")["StackId"])
        else:
            if not FINAL_STATUS.match(existing["StackStatus"]):
                raise FleetError(f"the stack {self.name} is {existing['StackStatus']}; wait until this operation has ended, then try again")
            if existing["StackStatus"] == "ROLLBACK_COMPLETE":
                raise FleetError(f"the creation of the stack {self.name} failed; delete it with edgeml cloud destroy --yes, then try again")
            kept = [each for each in existing.get("Parameters", ()) if each["ParameterKey"] in declared.keys() - parameters.keys()]
            request["Parameters"] += [{key: each[key] for key in ("ParameterKey", "ParameterValue")} for each in kept]
            try:
                self._client.update_stack(**request)
            except ClientError as fault:
                if "No updates" in reason(fault):
                    return False
                raise
            self._say(f"updating the stack {self.name}")
            self._wait_until("UPDATE_COMPLETE", existing["StackId"])
        return True

    def delete(self, stack_id: str) -> None:
        """Delete the stack and wait until it is deleted."""
        self._client.delete_stack(StackName=self.name)
        self._wait_until("DELETE_COMPLETE", stack_id)

    def resources(self, type_name: str) -> list[str]:
        """The physical names of the stack's resources of a type."""
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [
            each["PhysicalResourceId"] for page in pages for each in page["StackResourceSummaries"] if each["ResourceType"] == type_name
        ]

    def _wait_until(self, success: str, stack_id: str) -> None:
        """Report failed resources until the operation ends. The id is needed because a deleted stack is not found by name."""
        seen: set[str] = set()
        faults: list[str] = []
        while True:
            found = self._client.describe_stacks(StackName=stack_id)["Stacks"][0]
            faults += self._new_faults(stack_id, seen)
            if FINAL_STATUS.match(found["StackStatus"]):
                break
            self._wait(POLL_INTERVAL_S)
        if found["StackStatus"] != success:
            why = "; ".join(faults) or found.get("StackStatusReason") or "no reason given"
            raise FleetError(f"the stack {self.name} is {found['StackStatus']}: {why}")

    def _new_faults(self, stack_id: str, seen: set[str]) -> Iterator[str]:
        events = self._client.describe_stack_events(StackName=stack_id)["StackEvents"]
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

    def object_counts(self) -> dict[str, int]:
        """The number of object versions in each bucket that is not empty."""
        counts = {name: sum(1 for _ in self._objects(name)) for name in self._names}
        return {name: count for name, count in counts.items() if count}

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
            raise FleetError(f"s3://{name}/{each.get('Key')} cannot be deleted: {each.get('Message')}; the stack was not changed")

    def _objects(self, name: str) -> Iterator[dict[str, str]]:
        try:
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=name):
                for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    yield {"Key": each["Key"], "VersionId": each["VersionId"]}
        except ClientError as fault:
            if code(fault) != "NoSuchBucket":
                raise


def deploy(given: argparse.Namespace) -> int:
    """Create or update the stack."""
    wanted = PublishConfig.read(ROOT)
    stack = Stack(Account(given.region or wanted.region), given.stack, say)
    parameters = {name: str(value) for option, name in DAYS.items() if (value := getattr(given, option)) is not None}
    if given.alert_email is not None:
        parameters["AlertEmail"] = given.alert_email
    if not stack.create_or_update(template.TEMPLATE, {"ArtifactBucketPrefix": wanted.bucket, **parameters}):
        say(f"the stack {given.stack} is up to date")
    found = stack.find()
    for each in (found or {}).get("Outputs", ()):
        say(f"{each['OutputKey']}: {each['OutputValue']}  ({each.get('Description', '')})")
    return 0


def destroy(given: argparse.Namespace) -> int:
    """Delete the stack and, with `--with-data`, the contents of its buckets."""
    account = Account(given.region or PublishConfig.read(ROOT).region)
    stack = Stack(account, given.stack, say)
    found = stack.find()
    if found is None:
        say(f"there is no stack {given.stack} in {account.region}")
        return 0
    buckets = Buckets(account.client("s3"), stack.resources("AWS::S3::Bucket"))
    contents = ", ".join(f"{name} ({count} object versions)" for name, count in buckets.object_counts().items())
    if not given.yes:
        say(f"this would delete the stack {given.stack}" + (f" and the data in {contents}" if contents else "") + "; confirm with --yes")
        return 0
    if contents and not given.with_data:
        raise FleetError(f"not empty: {contents}; copy the data that you need, then add --with-data; nothing was deleted")
    buckets.empty()
    stack.delete(found["StackId"])
    say(f"the stack {given.stack} is deleted")
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
    return report_errors(f"edgeml cloud {given.command}", lambda: {"deploy": deploy, "destroy": destroy}[given.command](given))


if __name__ == "__main__":
    sys.exit(main())
