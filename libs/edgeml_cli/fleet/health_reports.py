"""Reads the latest health reports of components from the data bucket: `health/` by day, gzip, one JSON object per line.

AlertDispatcher sends the reports at an interval and Firehose writes them some minutes later, so each has a time. Reading is
bounded by the number of days and objects, newest first, and by the size of an object.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.errors import NOT_FOUND, aws_error_text, code

log = logging.getLogger(__name__)

MAX_DAYS = 2
"""Days to read, starting with today: just after midnight, today's prefix is empty."""
MAX_OBJECTS = 8
"""Most objects to read. Firehose writes one per 900 s or per 64 MiB."""
MAX_OBJECT_BYTES = 80 * 2**20
"""Most uncompressed bytes to read of an object."""
MAX_KEYS = 10_000
"""Most keys to list per day."""
HEALTHY_STATES = frozenset({"running", "finished"})

ExpectedReports = Mapping[str, frozenset[str]]
"""The components whose reports are expected, by device."""


class HealthReport(msgspec.Struct, frozen=True):
    """The latest health report of a component; a subset of the fields of `edgeml.messages.Health`.

    Attributes:
        at: time of the report, ISO 8601, UTC.
        state: `running`, `finished` or `faulty`.
        faults: one sentence each.
        lag_s: age of the newest processed row at the time of processing.
    """

    component: str
    at: str
    state: str
    faults: tuple[str, ...] = ()
    lag_s: float | None = None

    @property
    def healthy(self) -> bool:
        return self.state in HEALTHY_STATES and not self.faults


class _Line(HealthReport, frozen=True, kw_only=True):
    """A report as stored by the IoT rule, which adds the thing from the topic."""

    thing: str


class HealthReports:
    """The health reports in a data bucket.

    Args:
        name: name of the bucket; None selects the default name in libs/edgeml_cli/cloud/template.yaml.
    """

    def __init__(self, account: Account, name: str | None) -> None:
        self._s3, self.name = account.client("s3"), name or f"edgeml-data-{account.region}-{account.number}"
        # A bucket of another account is read only if the user names it.
        self._bucket: dict[str, Any] = {"Bucket": self.name, **({} if name else {"ExpectedBucketOwner": account.number})}

    def latest(self, expected: ExpectedReports, now: datetime) -> tuple[dict[str, dict[str, HealthReport]], str]:
        """Read the latest report of each component, newest objects first, until all are found or a bound is reached. Never raises.

        Args:
            now: current time, UTC.

        Returns:
            The reports by device and component, and one sentence on the cause if any is missing, otherwise empty.
        """
        found: dict[str, dict[str, HealthReport]] = {thing: {} for thing in expected}
        read = 0
        try:
            for key in self._newest(now):
                if read == MAX_OBJECTS or not _incomplete(found, expected):
                    break
                read += 1
                for line in self._lines(key):
                    known = found.get(line.thing, {}).get(line.component)
                    if line.thing in found and (known is None or known.at < line.at):
                        found[line.thing][line.component] = HealthReport(line.component, line.at, line.state, line.faults, line.lag_s)
        except (BotoCoreError, ClientError) as fault:
            if isinstance(fault, ClientError) and code(fault) in NOT_FOUND:
                return found, f"there is no bucket {self.name}; create it with edgeml cloud deploy, or choose another with --data-bucket"
            return found, f"{aws_error_text(fault)} (s3://{self.name}/health/)"
        incomplete = _incomplete(found, expected)
        if not incomplete:
            return found, ""
        if not read:
            return found, (
                f"s3://{self.name}/health/ has no reports of the last {MAX_DAYS} days; AlertDispatcher sends them to IoT Core, and"
                " Firehose writes them some minutes later"
            )
        devices = ", ".join(incomplete[:3]) + (f" and {len(incomplete) - 3} others" if len(incomplete) > 3 else "")
        location = f"the newest {read} objects of the last {MAX_DAYS} days in s3://{self.name}/health/"
        return found, f"{devices}: components are missing from {location}; check that AlertDispatcher runs there and reaches IoT Core"

    def _newest(self, now: datetime) -> Iterator[str]:
        """The keys, newest first."""
        for day in range(MAX_DAYS):
            prefix = f"health/{now - timedelta(days=day):%Y/%m/%d}/"
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                **self._bucket, Prefix=prefix, PaginationConfig={"MaxItems": MAX_KEYS}
            )
            objects = [each for page in pages for each in page.get("Contents", ())]
            yield from (each["Key"] for each in sorted(objects, key=lambda each: (each["LastModified"], each["Key"]), reverse=True))

    def _lines(self, key: str) -> Iterator[_Line]:
        """The reports in an object; other lines are skipped."""
        decoder, remaining = msgspec.json.Decoder(_Line), MAX_OBJECT_BYTES
        body = self._s3.get_object(**self._bucket, Key=key)["Body"]
        try:
            with gzip.GzipFile(fileobj=body) as text:
                while remaining > 0 and (line := text.readline(remaining)):
                    remaining -= len(line)
                    try:
                        yield decoder.decode(line)
                    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                        continue  # published by another program, or truncated
        except (OSError, EOFError, zlib.error) as fault:
            log.warning("s3://%s/%s cannot be read (%s); the rest of the object is skipped", self.name, key, fault)
        finally:
            body.close()


def _incomplete(found: Mapping[str, Mapping[str, HealthReport]], expected: ExpectedReports) -> list[str]:
    """The devices with missing reports."""
    return [thing for thing, components in expected.items() if components - found[thing].keys()]
