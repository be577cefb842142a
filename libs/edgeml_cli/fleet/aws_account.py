"""The AWS account, region and artifact bucket: from `gdk-config.json`, overridden by arguments."""

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
from edgeml_cli.fleet.errors import ACCESS_DENIED, NOT_FOUND, FleetError, code

CLIENT_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})


@dataclass(frozen=True)
class PublishConfig:
    """Settings for publishing, from `gdk-config.json`.

    Attributes:
        bucket: prefix of the bucket's name, as in gdk: the region and the account number follow.
        gdk: version of gdk for which the file is written.
    """

    bucket: str
    region: str
    gdk: str

    @classmethod
    def read(cls, root: Path) -> PublishConfig:
        path = root / "gdk-config.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            publish = document["component"][SUITE]["publish"]
            return cls(str(publish["bucket"]), str(publish["region"]), str(document["gdk_version"]))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise FleetError(
                f"{path}: expected `component.{SUITE}.publish` with `bucket` and `region`, and `gdk_version`; reading failed: {fault!r}"
            ) from None


class Account:
    """The account of the credentials, in one region."""

    def __init__(self, region: str) -> None:
        """
        Raises:
            FleetError: the region is invalid.
            BotoCoreError, ClientError: there are no credentials, or AWS rejects them.
        """
        if not re.fullmatch(r"[a-z]{2,3}(-[a-z]+)+-\d", region):
            raise FleetError(
                f"{region!r} is not an AWS region; expected one such as us-east-1: give --region, or correct "
                "`publish.region` in gdk-config.json"
            )
        self.region = region
        self._session = boto3.Session(region_name=region)
        self.number = str(self.client("sts").get_caller_identity()["Account"])
        self.partition = self._session.get_partition_for_region(region)

    def client(self, service: str) -> Any:
        """A client of a service in the region."""
        return self._session.client(service, config=CLIENT_CONFIG)

    def component_arn(self, name: str, version: str = "") -> str:
        arn = f"arn:{self.partition}:greengrass:{self.region}:{self.number}:components:{name}"
        return f"{arn}:versions:{version}" if version else arn

    def thing_group_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iot:{self.region}:{self.number}:thinggroup/{name}"

    def bucket(self, name: str | None, prefix: str) -> str:
        """The name of the artifact bucket, after verifying that it exists in this account and region.

        Args:
            name: None selects gdk's default name.
            prefix: of the default name.

        Raises:
            FleetError: the bucket does not exist, or belongs to another account or region.
        """
        name = name or f"{prefix}-{self.region}-{self.number}"
        other = "choose another with --bucket"
        try:
            found = self.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=self.number)
        except ClientError as fault:
            if code(fault) in NOT_FOUND:
                raise FleetError(f"there is no bucket {name}; create it with edgeml cloud deploy, or {other}") from None
            if code(fault) in ACCESS_DENIED:
                raise FleetError(
                    f"the bucket {name} does not belong to account {self.number}, or these credentials cannot read it; {other}"
                ) from None
            raise
        bucket_region = found.get("BucketRegion") or self.region
        if bucket_region != self.region:
            raise FleetError(
                f"the bucket {name} is in {bucket_region}, but components in {self.region} need a bucket in the same region; {other},"
                f" or give --region {bucket_region}"
            )
        return name


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every fleet command."""
    parser.add_argument("--region", help="AWS region (default: `publish.region` in gdk-config.json)")
