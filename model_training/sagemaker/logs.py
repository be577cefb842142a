"""The lines that a training job says, from CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

GROUP = "/aws/sagemaker/TrainingJobs"


class JobLog:
    """Gives each line once. A log that is not there yet is empty; one that may not be read is told once and left alone.

    Args:
        logs: a client of CloudWatch Logs.
    """

    def __init__(self, job: str, logs: Any, log: Callable[[str], None]) -> None:
        self._job, self._logs, self._log = job, logs, log
        self._stream = ""
        self._token: str | None = None
        self._readable = True

    def lines(self) -> list[str]:
        """What came since the last call."""
        if not self._readable:
            return []
        try:
            return self._new()
        except (ClientError, BotoCoreError) as fault:
            if isinstance(fault, ClientError) and fault.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            self._readable = False
            self._log(f"the job's log cannot be read ({fault}); going on with its states alone")
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
