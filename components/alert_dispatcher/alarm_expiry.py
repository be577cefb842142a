"""Alarms that get no results any more, because their model or their asset is gone. Pure: the caller brings the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from alert_dispatcher.alert_text import duration
from edgeml.timestamps import Moment

CHECK_INTERVAL_S = 10.0
SILENT_S = 60.0
"""Age of the last result from which on its time is saved, so that the age keeps growing over a restart."""

Key = tuple[str, str]
"""Asset and model."""


class ExpiryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long an alarm outlives the last result of its model for its asset; 0: for ever."""

    replaced_after_s: Annotated[
        float, Meta(ge=0, le=1e9, description="s of the clock without a result of its model, while another model scores the asset")
    ] = 600.0
    silent_after_s: Annotated[float, Meta(ge=0, le=1e9, description="s of the clock without a result of its model, in any case")] = 86_400.0


class ExpiredAlarm(NamedTuple):
    """An alarm to end, and the reason that an operator reads."""

    key: Key
    because: str


class AlarmExpiry:
    """Tracks when each model last gave a result for each asset.

    Args:
        known: asset and model -> the last result, for those whose silence an earlier process has saved; all others count from now.
    """

    def __init__(self, options: ExpiryOptions, known: Mapping[Key, Moment]) -> None:
        self._options = options
        self._last = dict(known)
        self._answered: set[Key] = set()
        self._saved = set(known)

    def answered(self, key: Key, now: Moment) -> bool:
        """Note a result; returns whether a saved silence is to be deleted."""
        self._last[key] = now
        self._answered.add(key)
        if key not in self._saved:
            return False
        self._saved.discard(key)
        return True

    def silent(self, open_alarms: Iterable[Key], now: Moment) -> list[tuple[Key, Moment]]:
        """Alarms whose last result is to be saved now, and its time."""
        silent = [key for key in open_alarms if key not in self._saved and self._age(key, now) >= SILENT_S]
        self._saved.update(silent)
        return [(key, self._last[key]) for key in silent]

    def expired(self, open_alarms: Iterable[Key], now: Moment) -> list[ExpiredAlarm]:
        """Alarms to end."""
        return [ExpiredAlarm(key, because) for key in open_alarms if (because := self._reason(key, now))]

    def _reason(self, key: Key, now: Moment) -> str:
        asset, model = key
        age, options = self._age(key, now), self._options
        if options.replaced_after_s and age >= options.replaced_after_s:
            for other in self._answered:
                if other[0] == asset and other != key and self._age(other, now) < min(age, options.replaced_after_s):
                    return f"model {model} has given no result for {duration(age)} and {other[1]} scores {asset} instead"
        if options.silent_after_s and age >= options.silent_after_s:
            return f"no result of model {model} for {asset} has come for {duration(age)}; check whether it was removed"
        return ""

    def _age(self, key: Key, now: Moment) -> float:
        # The last of the ages is the monotonic one, if both moments are of one boot.
        return max(0.0, self._last.setdefault(key, now).ages(now)[-1])
