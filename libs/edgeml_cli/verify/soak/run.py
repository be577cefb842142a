"""One soak: runs the built suite on the local nucleus and samples its resource usage."""

from __future__ import annotations

import queue
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgeml.messages import Health, SensorBatch, decode, topics
from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.verify.chaos.workspace import Workspace
from edgeml_cli.verify.soak.growth import growth, is_flat
from edgeml_cli.verify.soak.processes import Usage, usage
from gglocal.api.nucleus import Nucleus
from gglocal.core.state import Delivery
from gglocal.process.component import RUNNING

ASSETS = 10
"""Each sends one row a second, like the default asset."""
SOURCE = "com.edgeml.SensorIngestion"
SUBSCRIBERS = ("com.edgeml.Inference", "com.edgeml.AlertDispatcher")
MEMORY = ("rss_mib", "pss_mib", "private_mib", "anonymous_mib")
BOUNDED_MEMORY = ("rss_mib", "anonymous_mib")
"""The measurements that other processes do not influence."""
COUNTS = ("threads", "descriptors")
READY_TIMEOUT_S = 300.0
MIN_ROWS_SHARE = 0.95
"""Required share of the expected rows: a soak of an idle suite would prove nothing."""
PROGRESS_INTERVAL_S = 60.0


class SoakError(Exception):
    """The run cannot start; the text is one sentence."""


@dataclass
class Record:
    """The samples of one component; times in hours since the start of sampling."""

    usages: list[tuple[float, Usage]] = field(default_factory=list)
    queues: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def series(self, name: str, from_h: float) -> list[tuple[float, float]]:
        """A field of `Usage` from a time on."""
        return [(at, float(getattr(each, name))) for at, each in self.usages if at >= from_h]


class Soak:
    """One soak.

    Args:
        place: a workspace that is set up, see `edgeml_cli.verify.chaos.workspace`.
        minutes, warmup: total duration, and the part at its start that is not evaluated.
        every_s: seconds between two samples.
        most_mib_h: allowed growth of a process's memory.
        say: called with each line of progress.
    """

    def __init__(
        self,
        place: Workspace,
        minutes: float,
        warmup: float,
        every_s: float,
        most_mib_h: float,
        say: Callable[[str], None],
    ) -> None:
        self._place, self._seconds, self._warmup_s, self._every_s = place, minutes * 60, warmup * 60, every_s
        self._most_mib_h, self._say = most_mib_h, say
        self.records = {name: Record() for name in COMPONENTS}
        self._heard: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._seen: set[str] = set()
        self._rows = 0
        self._began = 0.0

    def go(self) -> dict[str, Any]:
        """Run the soak; returns the figures, including `problems`, one sentence for each exceeded bound."""
        with Nucleus(self._place.root("nucleus"), profile=self._place.profile, thing_name="soak") as nucleus:
            nucleus.tap(self._heard.put)
            self._deploy(nucleus)
            self._wait_for_all()
            self._began, self._rows = time.monotonic(), 0
            next_sample = next_word = self._began
            while (now := time.monotonic()) - self._began < self._seconds:
                if now >= next_sample:
                    next_sample += self._every_s
                    self._sample(nucleus, (now - self._began) / 3600)
                if now >= next_word:
                    next_word += PROGRESS_INTERVAL_S
                    self._progress(now)
                self._take(max(0.0, min(next_sample, next_word) - now))
            seconds = time.monotonic() - self._began
            starts = {name: nucleus.component(name).starts for name in COMPONENTS}
        return self._figures(seconds, starts)

    def _deploy(self, nucleus: Nucleus) -> None:
        pumps = {f"pump-{number}": {"source": "simulator", "options": {"seed": number}} for number in range(1, ASSETS + 1)}
        updates = {SOURCE: {"merge": {"assets": pumps}}}
        recipes, artifacts = self._place.built / "recipes", self._place.built / "artifacts"
        for names in (SUBSCRIBERS, (SOURCE,)):
            own = {name: update for name, update in updates.items() if name in names}
            nucleus.deploy(recipes, artifacts, dict.fromkeys(names, self._place.version), own)
            for name in names:
                nucleus.wait_for_state(name, RUNNING, READY_TIMEOUT_S)

    def _wait_for_all(self) -> None:
        """Wait until every asset has sent rows.

        Raises:
            SoakError: the wait timed out.
        """
        give_up = time.monotonic() + READY_TIMEOUT_S
        while len(self._seen) < ASSETS:
            if time.monotonic() > give_up:
                raise SoakError(
                    f"only {len(self._seen)} of {ASSETS} assets sent rows within {READY_TIMEOUT_S:g} s; see the logs in {self._place.path}"
                )
            self._take(1.0)

    def _take(self, timeout: float) -> None:
        """Process the next message, if one arrives before the time-out."""
        try:
            delivery = self._heard.get(timeout=timeout)
        except queue.Empty:
            return
        if delivery.kind != "local" or delivery.topic not in (topics.SENSORS, topics.HEALTH):
            return
        message = decode(delivery.payload)
        if isinstance(message, SensorBatch):
            self._seen.add(message.asset)
            self._rows += len(message.times) // 8
        elif isinstance(message, Health) and self._began:
            at_h = (time.monotonic() - self._began) / 3600
            for name, (length, _) in message.queues.items():
                self.records[message.component].queues[name].append((at_h, length))

    def _sample(self, nucleus: Nucleus, at_h: float) -> None:
        for name, record in self.records.items():
            pid = nucleus.component(name).pid
            if pid is not None:
                record.usages.append((at_h, usage(pid)))

    def _progress(self, now: float) -> None:
        parts = []
        for name, record in self.records.items():
            if record.usages:
                last = record.usages[-1][1]
                waiting = sum(int(series[-1][1]) for series in record.queues.values() if series)
                parts.append(
                    f"{name.rsplit('.', 1)[-1]} {last.rss_mib:.1f} MiB ({last.anonymous_mib:.1f} allocated), {last.threads} threads, "
                    f"{last.descriptors} descriptors, {waiting} queued"
                )
        self._say(f"{(now - self._began) / 60:5.1f} min  {'; '.join(parts)}; {self._rows} rows")

    def _figures(self, seconds: float, starts: dict[str, int]) -> dict[str, Any]:
        components, problems = {}, []
        for name, record in self.records.items():
            components[name], wrong = evaluate(record, self._warmup_s / 3600, self._most_mib_h)
            problems += [f"{name}: {each}" for each in wrong]
            if starts[name] != 1:
                problems.append(f"{name}: started {starts[name]} times, expected once; see its log")
        expected = ASSETS * (seconds - 1)  # the last row of each asset may be in transit
        if self._rows < MIN_ROWS_SHARE * expected:
            problems.append(f"{self._rows} rows arrived, expected {expected:.0f}")
        return {
            "profile": self._place.profile,
            "minutes": round(seconds / 60, 2),
            "warmup_minutes": round(self._warmup_s / 60, 2),
            "rows": self._rows,
            "rows_per_s": round(self._rows / seconds, 2),
            "components": components,
            "problems": problems,
        }


def evaluate(record: Record, warmup_h: float, most_mib_h: float) -> tuple[dict[str, Any], list[str]]:
    """One component's figures, and one sentence for each exceeded bound."""
    figures: dict[str, Any] = {}
    problems = []
    for name in MEMORY:
        series = record.series(name, warmup_h)
        found = growth(series)
        last = series[-1][1] if series else 0.0
        figures[name] = {"last": round(last, 2), "growth_per_hour": round(found.per_hour, 3), "margin_95": round(found.margin, 3)}
        if name in BOUNDED_MEMORY and (len(series) < 3 or found.per_hour > most_mib_h):
            problems.append(
                f"{name} grows by {found.per_hour:.2f} ± {found.margin:.2f} MiB per hour; at most {most_mib_h:g} is allowed"
                if len(series) >= 3
                else f"{name} has {len(series)} samples after the warm-up, too few for a conclusion"
            )
    counts = {name: [value for _, value in record.series(name, warmup_h)] for name in COUNTS}
    counts |= {f"queue {name}": [value for at, value in series if at >= warmup_h] for name, series in sorted(record.queues.items())}
    for name, values in counts.items():
        figures[name] = {"least": min(values, default=0), "most": max(values, default=0)}
        if not is_flat(values):
            third = len(values) // 3
            problems.append(f"{name} has risen: from at most {max(values[:third]):g} to at least {min(values[-third:]):g}")
    return figures, problems
