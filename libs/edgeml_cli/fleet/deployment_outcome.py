"""Compares a device with its deployment: versions, states, configuration, and whether components accept it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.fleet.nucleus_cli import DeployedComponent

RUNNING_STATES = ("RUNNING", "FINISHED")
FAILED_STATES = ("BROKEN", "ERRORED")
_ERROR = re.compile(r"(\S+Z) \[.*?\bstd(?:out|err)[.:] ERROR [\w.]+: (.+?)(?:\. \{scriptName=.*)?")
"""An error that a component logged, in a log of gglocal or of the classic nucleus."""


def differences(name: str, version: str, update: Mapping[str, Any], found: DeployedComponent | None) -> Iterator[str]:
    """One sentence for each difference between a component and its deployment.

    Args:
        version: requested version; empty accepts any.
        update: `merge` and `reset` in gglocal's format.
    """
    if found is None:
        yield f"{name} is not deployed"
        return
    if version and found.version != version:
        yield f"{name} is {found.version}, expected {version}"
    if found.state not in RUNNING_STATES:
        yield f"{name} is {found.state}{f' ({found.detail})' if found.detail else ''}; see its log"
    differing = [
        f"{key} is {_shown(actual)}, expected {_shown(requested)}" for key, requested, actual in _differing(update, found.configuration)
    ]
    if differing:
        yield f"{name} has a different configuration: {'; '.join(differing)}"


def mentioned(components: Iterable[str], text: str) -> list[str]:
    """The components that a text mentions."""
    return [name for name in components if re.search(rf"(?<![\w.-]){re.escape(name)}(?!\.?[\w-])", text)]


def last_error(log: str, since: float) -> str:
    """The last error that a component logged since a time (epoch, s); empty if there is none."""
    begin = to_iso(int(since * SECOND))
    found = [line for line in map(_ERROR.fullmatch, log.splitlines()) if line is not None and line[1] >= begin]
    return found[-1][2] if found else ""


def refusal(configuration: Any, accepted: Any, refused: Any) -> str | None:
    """The reason why a component rejects its configuration; empty if it accepts it; None if it has not reported yet.

    Args:
        configuration: configuration in the nucleus.
        accepted: last-good configuration in the component's work directory; None if there is none.
        refused: rejected configuration in the work directory, with its faults; None if there is none.
    """
    current = {key: value for key, value in configuration.items() if key != "accessControl"} if isinstance(configuration, Mapping) else {}
    if isinstance(refused, Mapping) and _same(current, refused.get("configuration")):
        return "; ".join(map(str, refused.get("faults") or ())) or "no reason given; see its log"
    return "" if _same(current, accepted) else None


def _differing(update: Mapping[str, Any], configuration: Any) -> Iterator[tuple[str, Any, Any]]:
    for path, requested in _leaves(update.get("merge") or {}, ()):
        actual = _at(configuration, path)
        if not _same(requested, actual):
            yield ".".join(path), requested, actual


def _leaves(value: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and (value or not above):
        for key, item in value.items():
            yield from _leaves(item, (*above, str(key)))
    else:
        yield above, value


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _same(requested: Any, actual: Any) -> bool:
    """Whether two values are equal, given that a device may store numbers as floats and scalars as text."""
    if isinstance(requested, Mapping) and isinstance(actual, Mapping):
        return requested.keys() == actual.keys() and all(_same(requested[key], actual[key]) for key in requested)
    if isinstance(requested, list) and isinstance(actual, list):
        return len(requested) == len(actual) and all(map(_same, requested, actual))
    if requested == actual and isinstance(requested, bool) == isinstance(actual, bool):
        return True
    if isinstance(actual, str) and not isinstance(requested, str):
        return actual == ("null" if requested is None else json.dumps(requested) if isinstance(requested, bool) else str(requested))
    return False


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"
