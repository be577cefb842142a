"""What components last said of themselves, as it came into the data bucket: `health/` by day, gzip, a JSON object a line.

AlertDispatcher sends it thinned, and Firehose writes it after some minutes; so it is of a while ago, and says when. Reading is bounded:
the days and the objects that are looked at, the newest first, and what is looked at of one.
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
from edgeml_cli.fleet.errors import MISSING, code, of_aws

log = logging.getLogger(__name__)

DAYS = 2
"""Prefixes that are looked into, today's first: just after midnight today's is empty."""
OBJECTS = 8
"""Objects that are read at most. Firehose writes one in 900 s, or for each 64 MiB."""
OBJECT_BYTES = 80 * 2**20
"""What is read of an object at most, uncompressed."""
LISTED = 10_000
"""Keys of a day that are listed at most."""
WELL = frozenset({"running", "finished"})

Wanted = Mapping[str, frozenset[str]]
"""By device: the components whose word is waited for."""


class HealthReport(msgspec.Struct, frozen=True):
    """One component's last word of itself; the other fields of `edgeml.messages.Health` are left aside.

    Attributes:
        at: when, ISO 8601, UTC.
        state: `running`, `finished` or `faulty`; faults: a sentence each.
        lag_s: the age of the newest row that it had handled, when it was.
    """

    component: str
    at: str
    state: str
    faults: tuple[str, ...] = ()
    lag_s: float | None = None

    @property
    def well(self) -> bool:
        return self.state in WELL and not self.faults


class _Line(HealthReport, frozen=True, kw_only=True):
    """As the rule stores it: with the thing of the topic."""

    thing: str


class HealthReports:
    """The health messages of one data bucket.

    Args:
        name: of the bucket; None: the account's own, which libs/edgeml_cli/cloud/template.yaml names.
    """

    def __init__(self, account: Account, name: str | None) -> None:
        self._s3, self.name = account.client("s3"), name or f"edgeml-data-{account.region}-{account.number}"
        # Somebody else's bucket of that name is not read, but for one that a person names.
        self._where: dict[str, Any] = {"Bucket": self.name, **({} if name else {"ExpectedBucketOwner": account.number})}

    def last(self, wanted: Wanted, now: datetime) -> tuple[dict[str, dict[str, HealthReport]], str]:
        """The last word of each component of each device: the newest objects first, until all is found or a bound is met. Never raises.

        Args:
            now: UTC.

        Returns:
            By device and component; and a sentence why there is none, or not all, empty where all were found.
        """
        found: dict[str, dict[str, HealthReport]] = {thing: {} for thing in wanted}
        read = 0
        try:
            for key in self._newest(now):
                if read == OBJECTS or not _silent(found, wanted):
                    break
                read += 1
                for line in self._lines(key):
                    known = found.get(line.thing, {}).get(line.component)
                    if line.thing in found and (known is None or known.at < line.at):
                        found[line.thing][line.component] = HealthReport(line.component, line.at, line.state, line.faults, line.lag_s)
        except (BotoCoreError, ClientError) as fault:
            if isinstance(fault, ClientError) and code(fault) in MISSING:
                return found, f"there is no bucket {self.name}; make it with edgeml cloud deploy, or name another with --data-bucket"
            return found, f"{of_aws(fault)} (s3://{self.name}/health/)"
        silent = _silent(found, wanted)
        if not silent:
            return found, ""
        if not read:
            return found, (
                f"s3://{self.name}/health/ has nothing of the last {DAYS} days; AlertDispatcher sends it to IoT Core, and Firehose"
                " writes it some minutes later"
            )
        who = ", ".join(silent[:3]) + (f" and {len(silent) - 3} others" if len(silent) > 3 else "")
        where = f"the newest {read} objects of the last {DAYS} days in s3://{self.name}/health/"
        return found, f"not every component of {who} is in {where}; see that AlertDispatcher runs there and reaches IoT Core"

    def _newest(self, now: datetime) -> Iterator[str]:
        """Keys, the newest first."""
        for day in range(DAYS):
            prefix = f"health/{now - timedelta(days=day):%Y/%m/%d}/"
            pages = self._s3.get_paginator("list_objects_v2").paginate(**self._where, Prefix=prefix, PaginationConfig={"MaxItems": LISTED})
            there = [each for page in pages for each in page.get("Contents", ())]
            yield from (each["Key"] for each in sorted(there, key=lambda each: (each["LastModified"], each["Key"]), reverse=True))

    def _lines(self, key: str) -> Iterator[_Line]:
        """The health messages of an object; what is none is left out."""
        decoder, left = msgspec.json.Decoder(_Line), OBJECT_BYTES
        body = self._s3.get_object(**self._where, Key=key)["Body"]
        try:
            with gzip.GzipFile(fileobj=body) as text:
                while left > 0 and (line := text.readline(left)):
                    left -= len(line)
                    try:
                        yield decoder.decode(line)
                    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                        continue  # of another program that publishes there, or cut
        except (OSError, EOFError, zlib.error) as fault:
            log.warning("s3://%s/%s cannot be read (%s); what follows in it is left out", self.name, key, fault)
        finally:
            body.close()


def _silent(found: Mapping[str, Mapping[str, HealthReport]], wanted: Wanted) -> list[str]:
    """Devices of which something is missing."""
    return [thing for thing, components in wanted.items() if components - found[thing].keys()]
