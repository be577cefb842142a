"""Which alarms nobody judges any more, because the model that raised them, or the asset, is gone. Pure: its caller brings the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from alert_dispatcher.alert_text import duration
from edgeml.timestamps import Moment

LOOK_S = 10.0
SILENT_S = 60.0
"""Without results for this long it is noted since when: over restarts the time is to go on."""

Key = tuple[str, str]
"""Asset and model."""


class ExpiryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long an alarm outlives the last result of its model for its asset; 0: for ever."""

    replaced_after_s: Annotated[
        float, Meta(ge=0, le=1e9, description="s of the clock without a result of its model, while another model answers for the asset")
    ] = 600.0
    silent_after_s: Annotated[
        float, Meta(ge=0, le=1e9, description="s of the clock without a result of its model, whatever else comes")
    ] = 86_400.0


class ExpiredAlarm(NamedTuple):
    """An alarm that is to end; `because` is what an operator reads."""

    key: Key
    because: str


class AlarmExpiry:
    """Follows who answers for which asset.

    Args:
        known: asset and model -> the last result, where an earlier process noted a silence; of others it is not known, and counts as now.
    """

    def __init__(self, options: ExpiryOptions, known: Mapping[Key, Moment]) -> None:
        self._options = options
        self._last = dict(known)
        self._answered: set[Key] = set()
        self._noted = set(known)

    def answered(self, key: Key, now: Moment) -> bool:
        """A result has come; whether a note about silence is to be forgotten."""
        self._last[key] = now
        self._answered.add(key)
        if key not in self._noted:
            return False
        self._noted.discard(key)
        return True

    def silent(self, open_alarms: Iterable[Key], now: Moment) -> list[tuple[Key, Moment]]:
        """Of these the ones whose last result is to be noted now, and when it was."""
        quiet = [key for key in open_alarms if key not in self._noted and self._age(key, now) >= SILENT_S]
        self._noted.update(quiet)
        return [(key, self._last[key]) for key in quiet]

    def expired(self, open_alarms: Iterable[Key], now: Moment) -> list[ExpiredAlarm]:
        """Of these the ones that are to end."""
        return [ExpiredAlarm(key, because) for key in open_alarms if (because := self._why(key, now))]

    def _why(self, key: Key, now: Moment) -> str:
        asset, model = key
        age, options = self._age(key, now), self._options
        if options.replaced_after_s and age >= options.replaced_after_s:
            for other in self._answered:
                if other[0] == asset and other != key and self._age(other, now) < min(age, options.replaced_after_s):
                    return f"model {model} has given no result for {duration(age)} and {other[1]} answers for {asset} instead"
        if options.silent_after_s and age >= options.silent_after_s:
            return f"no result of model {model} for {asset} has come for {duration(age)}; see whether it was taken away"
        return ""

    def _age(self, key: Key, now: Moment) -> float:
        # The last of its ages is the monotonic one, if both are of one start of the system.
        return max(0.0, self._last.setdefault(key, now).ages(now)[-1])
