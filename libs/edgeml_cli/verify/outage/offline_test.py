"""Simulates hours without IoT Core, then its return: checks arrival, order and flags of messages, and measures memory."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from alert_dispatcher.service import STATE_FILE, AlertDispatcher
from edgeml.cloud.outbox import CLASS_NAMES
from edgeml.messages import topics
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import SECOND
from edgeml_cli.verify.outage.generated_results import T0, GeneratedResults
from edgeml_cli.verify.outage.recording_bus import THING, RecordingBus, arrived

LIMIT_S = 86_400.0
"""Simulated time allowed to send the backlog."""
STEP_S = 0.05
PAUSE_S = 15.0
"""Pause before the link returns, so that every message in the backlog is late."""
FRESH_S = 60
"""Seconds with one result each after the backlog is sent, to check that new messages are not flagged late."""


def offline(work: Path, hours: float, options: dict[str, Any], say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Run an AlertDispatcher for `hours` without a link, at one result a second and one alert a minute, then until its outbox is empty.

    Args:
        options: options of the outbox.
    """
    began = time.monotonic()
    away_s = round(hours * 3600)
    feed = GeneratedResults(60, 1, away_s + FRESH_S)
    # Write the received messages to a file, so that only the component's memory is measured.
    with (work / "arrived").open("w+b", buffering=0) as record:
        line = _Line(work, feed, options, record)
        first_hour = 0.0
        for second in range(away_s):
            line.step(float(second), second)
            if second == min(3600, away_s // 2):
                first_hour = resident_mb()
            if second and second % 21_600 == 0:
                say(f"outage: {second // 3600} h offline, {line.outbox.counts} alerts, health and results wait")
        away_end = resident_mb()
        waiting, dropped, kept_mb = line.outbox.counts, dict(line.outbox.dropped), line.outbox.used / 1e6
        file_mb = sum(path.stat().st_size for path in work.glob(f"{STATE_FILE}*")) / 1e6
        line.now += PAUSE_S
        line.link.up = True
        back = line.now
        while sum(line.outbox.counts) and line.now < back + LIMIT_S:
            line.step(line.now + STEP_S)
        caught_up_s = line.now - back
        delayed = record.tell()
        for second in range(away_s, away_s + FRESH_S):
            line.step(line.now + STEP_S, second)
            for _ in range(round(1 / STEP_S)):
                line.step(line.now + STEP_S)
        gc.collect()
        end = resident_mb()
        line.service.close()
        record.seek(0)
        before = arrived(record.read(delayed).splitlines())
        after = arrived(record.read().splitlines())
    until = feed.times()[away_s]
    expected = [alert for alert in feed.alerts() if alert[2] < until]
    return {
        "hours": hours,
        "results": away_s,
        "alerts": len(expected),
        "waited": dict(zip(CLASS_NAMES, waiting, strict=True)),
        "dropped": dropped,
        "outbox_mb": round(kept_mb, 1),
        "file_mb": round(file_mb, 1),
        "alerts_arrived": len(before.alerts),
        "results_arrived": len(before.times),
        "alerts_lost": len(set(expected) - set(before.alerts)),
        "results_missing": away_s - len(before.times),
        "out_of_order": int(before.alerts != expected) + sum(a >= b for a, b in pairwise(before.times)),
        "repeated": before.repeated,
        "not_flagged_late": list(before.flags.values()).count(False),
        "fresh_flagged_late": sum(after.flags.values()),
        "caught_up_s": round(caught_up_s),
        "rss_mb_first_hour": round(first_hour, 1),
        "rss_mb_end_of_outage": round(away_end, 1),
        "rss_mb_end": round(end, 1),
        "took_s": round(time.monotonic() - began),
    }


class _Line:
    """An AlertDispatcher with the bus `link` and the clock `now`."""

    def __init__(self, work: Path, feed: GeneratedResults, options: dict[str, Any], record: BinaryIO) -> None:
        self.link, self.now, self._feed = RecordingBus(lambda payload: record.write(payload + b"\n")), 0.0, feed
        self.link.up = False
        context = ComponentContext(
            bus=self.link,
            component="com.edgeml.AlertDispatcher",
            thing=THING,
            work=work,
            artifacts=work,
            monotonic=lambda: self.now,
            wall_ns=lambda: T0 + round(self.now * SECOND),
        )
        self.service = AlertDispatcher(context, feed.options(outbox=options))
        self.service.start()
        self.outbox = self.service._store.outbox

    def step(self, now: float, second: int | None = None) -> None:
        """Set the clock to `now` and, if `second` is given, deliver that second's result."""
        self.now = now
        if second is not None:
            self.service.on_message(topics.RESULTS, self._feed.block(second))
        self.service.tick(now)
        self.link.echo(self.service)


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
