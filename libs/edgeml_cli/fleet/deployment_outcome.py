"""Whether a device does what a deployment asked for: what runs, what it is configured with, and whether it accepts that. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.fleet.nucleus_cli import Component

WELL = ("RUNNING", "FINISHED")
LOST = ("BROKEN", "ERRORED")
_ERROR = re.compile(r"(\S+Z) \[.*?\bstd(?:out|err)[.:] ERROR [\w.]+: (.+?)(?:\. \{scriptName=.*)?")
"""A line of a component's log, of gglocal or of the classic nucleus, that the component wrote as an error."""


def unmet(name: str, version: str, update: Mapping[str, Any], found: Component | None) -> Iterator[str]:
    """A sentence for each thing that was asked of a component and is not so.

    Args:
        version: that was asked for; empty: any.
        update: `merge` and `reset`, as gglocal takes them.
    """
    if found is None:
        yield f"{name} is not deployed"
        return
    if version and found.version != version:
        yield f"{name} is {found.version}, asked for was {version}"
    if found.state not in WELL:
        yield f"{name} is {found.state}{f' ({found.detail})' if found.detail else ''}; see its log"
    differing = [f"{key} is {_shown(has)}, asked for was {_shown(wanted)}" for key, wanted, has in _differing(update, found.configuration)]
    if differing:
        yield f"{name} is not configured as asked: {'; '.join(differing)}"


def named(components: Iterable[str], text: str) -> list[str]:
    """Those of the components that a text is about."""
    return [name for name in components if re.search(rf"(?<![\w.-]){re.escape(name)}(?!\.?[\w-])", text)]


def last_error(log: str, since: float) -> str:
    """The last error that a component wrote into its log since then (epoch, s); empty: none."""
    begin = to_iso(int(since * SECOND))
    found = [line for line in map(_ERROR.fullmatch, log.splitlines()) if line is not None and line[1] >= begin]
    return found[-1][2] if found else ""


def verdict(configuration: Any, accepted: Any, refused: Any) -> str | None:
    """Why a component does not go by its configuration; empty: it does; None: it has not said so yet.

    Args:
        configuration: as the nucleus has it.
        accepted: the last configuration that worked, as the component keeps it in its work directory; None: it keeps none.
        refused: the same of one that does not work, with its faults.
    """
    now = {key: value for key, value in configuration.items() if key != "accessControl"} if isinstance(configuration, Mapping) else {}
    if isinstance(refused, Mapping) and _same(now, refused.get("configuration")):
        return "; ".join(map(str, refused.get("faults") or ())) or "it gives no reason, see its log"
    return "" if _same(now, accepted) else None


def _differing(update: Mapping[str, Any], configuration: Any) -> Iterator[tuple[str, Any, Any]]:
    for path, wanted in _leaves(update.get("merge") or {}, ()):
        has = _at(configuration, path)
        if not _same(wanted, has):
            yield ".".join(path), wanted, has


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


def _same(wanted: Any, has: Any) -> bool:
    """A device may have numbers as floats, and scalars as text."""
    if isinstance(wanted, Mapping) and isinstance(has, Mapping):
        return wanted.keys() == has.keys() and all(_same(wanted[key], has[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(has, list):
        return len(wanted) == len(has) and all(map(_same, wanted, has))
    if wanted == has and isinstance(wanted, bool) == isinstance(has, bool):
        return True
    if isinstance(has, str) and not isinstance(wanted, str):
        return has == ("null" if wanted is None else json.dumps(wanted) if isinstance(wanted, bool) else str(wanted))
    return False


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"
