"""Calls the command-line client of a nucleus on this machine: greengrass-cli on a core device, or gglocal with the same verbs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeml_cli.fleet.errors import FleetError

MAX_ATTEMPTS = 8
"""Attempts of a read-only call: greengrass-cli fails intermittently while a deployment is in progress."""
RETRY_INTERVAL_S = 1.0
_EXCEPTION = re.compile(r"(?:[\w$]+\.)+[\w$]*(?:Exception|Error): ?")
_TRACE = re.compile(r"\s+at |\s*\.\.\. \d+ (more|common)")
_ABSENT = re.compile(r"ResourceNotFound|not found in Greengrass|component \S+ is not deployed")


@dataclass(frozen=True)
class DeployedComponent:
    """A component as the nucleus reports it.

    Attributes:
        state: lifecycle state.
        detail: the nucleus's remark on the state, or empty.
        configuration: the current configuration.
    """

    version: str
    state: str
    detail: str
    configuration: Any


class NucleusCli:
    """A command-line client.

    Args:
        command: the program and the arguments before the verb.
        suffix: arguments after those of the verb.
    """

    def __init__(self, command: Sequence[str], suffix: Sequence[str] = ()) -> None:
        self.command, self._suffix = list(command), list(suffix)

    def __str__(self) -> str:
        return " ".join(self.command)

    def command_line(self, *arguments: str) -> str:
        """The command line for a user to copy."""
        return shlex.join([*self.command, *arguments, *self._suffix])

    def call(self, *arguments: str) -> str:
        """Run the client; returns its standard output.

        Raises:
            FleetError: the call failed; with the cause.
        """
        result = subprocess.run([*self.command, *arguments, *self._suffix], capture_output=True, text=True, check=False)
        if result.returncode != 0 or _TRACE.search(result.stderr):  # greengrass-cli exits with 0 after some exceptions
            reason = error_cause(result.stderr) or error_cause(result.stdout) or "no output"
            if reason.startswith("no nucleus runs"):
                raise FleetError(reason.replace("or pass its --root", "or name its root with --gglocal"))
            raise FleetError(f"the nucleus rejected the request: {reason}")
        return result.stdout

    def query(self, *arguments: str, final: re.Pattern[str] | None = None) -> str:
        """Like `call`, for a read-only request: retries failures.

        Args:
            final: a failure whose text matches is not retried.
        """
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return self.call(*arguments)
            except FleetError as fault:
                if final is not None and final.search(str(fault)):
                    raise
                time.sleep(RETRY_INTERVAL_S)
        return self.call(*arguments)

    def component(self, name: str) -> DeployedComponent | None:
        """The deployed component; None if it is not deployed."""
        try:
            text = self.query("component", "details", "-n", name, final=_ABSENT)
        except FleetError as fault:
            if _ABSENT.search(str(fault)):
                return None
            raise
        fields = {key: value for key, _, value in (line.strip().partition(": ") for line in text.splitlines())}
        state, _, detail = fields.get("State", "").partition(" ")
        try:
            configuration = json.loads(fields.get("Configuration") or "null")
        except ValueError:
            raise FleetError(f"the details of {name} from {self} cannot be parsed: {text.strip()[:200]}") from None
        return DeployedComponent(fields.get("Version", ""), state, detail.strip("()"), configuration)


def error_cause(text: str) -> str:
    """The cause of a failure from a command's output: the innermost cause of a stack trace, otherwise the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _TRACE.match(line)]
    if _TRACE.search(text):
        causes = [line.removeprefix("Caused by:").strip() for line in lines if line.startswith("Caused by:")]
        first = next((line for line in lines if _EXCEPTION.match(line)), "")
        last = (causes or [first])[-1] or (lines or [""])[-1]
        bare = _EXCEPTION.sub("", last).strip()
        kinds = [kind.rstrip(": ").rpartition(".")[2] for kind in _EXCEPTION.findall(last)]
        return f"{bare} ({kinds[-1]})" if kinds and bare else bare or last
    usage = next((number for number, line in enumerate(lines) if line.startswith("Usage: ")), 0)
    return (lines[0] if usage else lines[-1] if lines else "").removeprefix("gglocal: ")
