"""Whose account, which region, which bucket: `gdk-config.json` says, and arguments go over it."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from edgeml_cli.build.package import SUITE
from edgeml_cli.fleet.errors import DENIED, MISSING, FleetError, code

PATIENCE = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})


@dataclass(frozen=True)
class Wanted:
    """What `gdk-config.json` names.

    Attributes:
        bucket: the first part of the bucket's name, as gdk takes it: the region and the account follow.
        gdk: the version of gdk that the configuration is for.
    """

    bucket: str
    region: str
    gdk: str

    @classmethod
    def read(cls, root: Path) -> Wanted:
        path = root / "gdk-config.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            publish = document["component"][SUITE]["publish"]
            return cls(str(publish["bucket"]), str(publish["region"]), str(document["gdk_version"]))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise FleetError(
                f"{path}: `component.{SUITE}.publish` with `bucket` and `region`, and `gdk_version`, cannot be read from it: {fault!r}"
            ) from None


class Account:
    """The account that the credentials are of, in one region. Clients are made as they are asked for."""

    def __init__(self, region: str) -> None:
        """
        Raises:
            FleetError: the region is none.
            BotoCoreError, ClientError: there are no credentials, or they are refused.
        """
        if not re.fullmatch(r"[a-z]{2,3}(-[a-z]+)+-\d", region):
            raise FleetError(f"{region!r} is no AWS region, such as us-east-1; give --region, or mend `publish.region` in gdk-config.json")
        self.region = region
        self._session = boto3.Session(region_name=region)
        self.number = str(self.client("sts").get_caller_identity()["Account"])
        self.partition = self._session.get_partition_for_region(region)

    def client(self, service: str) -> Any:
        """A client of a service in the region."""
        return self._session.client(service, config=PATIENCE)

    def component_arn(self, name: str, version: str = "") -> str:
        arn = f"arn:{self.partition}:greengrass:{self.region}:{self.number}:components:{name}"
        return f"{arn}:versions:{version}" if version else arn

    def thing_group_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iot:{self.region}:{self.number}:thinggroup/{name}"

    def bucket(self, given: str | None, prefix: str) -> str:
        """The artifact bucket: the one given, or gdk's name for it. It is there, ours, and in the region.

        Raises:
            FleetError: it is not.
        """
        name = given or f"{prefix}-{self.region}-{self.number}"
        other = "name another with --bucket"
        try:
            found = self.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=self.number)
        except ClientError as fault:
            if code(fault) in MISSING:
                raise FleetError(f"there is no bucket {name}; make it with edgeml cloud deploy, or {other}") from None
            if code(fault) in DENIED:
                raise FleetError(
                    f"the bucket {name} is not of account {self.number}, or these credentials may not read it; {other}"
                ) from None
            raise
        where = found.get("BucketRegion") or self.region
        if where != self.region:
            raise FleetError(
                f"the bucket {name} is in {where}, and components of {self.region} are not published from there; {other}, or give"
                f" --region {where}"
            )
        return name


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options that every command of the fleet takes."""
    parser.add_argument("--region", help="AWS region (default: `publish.region` in gdk-config.json)")
