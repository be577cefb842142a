"""The log of a training job, from CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

GROUP = "/aws/sagemaker/TrainingJobs"


class JobLog:
    """Read each log line once. A missing log counts as empty. An unreadable log is reported once and not read again.

    Args:
        logs: client of CloudWatch Logs.
    """

    def __init__(self, job: str, logs: Any, log: Callable[[str], None]) -> None:
        self._job, self._logs, self._log = job, logs, log
        self._stream = ""
        self._token: str | None = None
        self._readable = True

    def lines(self) -> list[str]:
        """Lines since the last call."""
        if not self._readable:
            return []
        try:
            return self._new()
        except (ClientError, BotoCoreError) as fault:
            if isinstance(fault, ClientError) and fault.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            self._readable = False
            self._log(f"the job's log cannot be read ({fault}); only its status is shown")
            return []

    def _new(self) -> list[str]:
        if not self._stream:
            streams = self._logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{self._job}/")["logStreams"]
            if not streams:
                return []
            self._stream = streams[0]["logStreamName"]
        lines = []
        while True:
            after = {"nextToken": self._token} if self._token else {}
            page = self._logs.get_log_events(logGroupName=GROUP, logStreamName=self._stream, startFromHead=True, **after)
            lines += [event["message"].rstrip() for event in page["events"]]
            if page["nextForwardToken"] == self._token or not page["events"]:
                self._token = page["nextForwardToken"]
                return lines
            self._token = page["nextForwardToken"]
