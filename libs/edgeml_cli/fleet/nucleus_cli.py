"""The command of a nucleus on this machine: greengrass-cli on a core device, or gglocal, which takes the same verbs."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeml_cli.fleet.errors import FleetError

TRIES = 8
"""A question that changes nothing is asked so often: greengrass-cli fails now and then while a deployment goes on."""
ASK_AGAIN_S = 1.0
_EXCEPTION = re.compile(r"(?:[\w$]+\.)+[\w$]*(?:Exception|Error): ?")
_TRACE = re.compile(r"\s+at |\s*\.\.\. \d+ (more|common)")
_ABSENT = re.compile(r"ResourceNotFound|not found in Greengrass|component \S+ is not deployed")


@dataclass(frozen=True)
class Component:
    """What runs of a component.

    Attributes:
        state: of its lifecycle; `detail`: what the nucleus says of it besides, or empty.
        configuration: as the nucleus has it.
    """

    version: str
    state: str
    detail: str
    configuration: Any


class NucleusCli:
    """Args:
    command: the program and what goes before the verbs.
    after: what goes behind them.
    """

    def __init__(self, command: Sequence[str], after: Sequence[str] = ()) -> None:
        self.command, self._after = list(command), list(after)

    def __str__(self) -> str:
        return " ".join(self.command)

    def call(self, *words: str) -> str:
        """What it prints.

        Raises:
            FleetError: with the cause.
        """
        ran = subprocess.run([*self.command, *words, *self._after], capture_output=True, text=True, check=False)
        if ran.returncode != 0 or _TRACE.search(ran.stderr):  # greengrass-cli ends with 0 after some exceptions
            raise FleetError(f"the nucleus refuses: {cause(ran.stderr) or cause(ran.stdout) or 'it said nothing'}")
        return ran.stdout

    def ask(self, *words: str, final: re.Pattern[str] | None = None) -> str:
        """As `call`, for a question: a failure is tried again a few times.

        Args:
            final: a failure in whose text this is found is the answer.
        """
        for _ in range(TRIES - 1):
            try:
                return self.call(*words)
            except FleetError as fault:
                if final is not None and final.search(str(fault)):
                    raise
                time.sleep(ASK_AGAIN_S)
        return self.call(*words)

    def component(self, name: str) -> Component | None:
        """What runs of it; None: it is not deployed."""
        try:
            text = self.ask("component", "details", "-n", name, final=_ABSENT)
        except FleetError as fault:
            if _ABSENT.search(str(fault)):
                return None
            raise
        found = {key: value for key, _, value in (line.strip().partition(": ") for line in text.splitlines())}
        state, _, detail = found.get("State", "").partition(" ")
        try:
            configuration = json.loads(found.get("Configuration") or "null")
        except ValueError:
            raise FleetError(f"{self} says nothing of {name} that can be read: {text.strip()[:200]}") from None
        return Component(found.get("Version", ""), state, detail.strip("()"), configuration)


def cause(text: str) -> str:
    """What went wrong, of what a command wrote: a stack trace's innermost cause, otherwise the last line."""
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
