"""More alerts than anybody waits for, none of which the local broker takes until the end: each must still be published, in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alert_dispatcher.service import AlertDispatcher
from edgeml.messages import Alert, decode_as, topics
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import SECOND
from edgeml_cli.verify.outage.generated_results import T0, GeneratedResults
from edgeml_cli.verify.outage.recording_bus import THING, RecordingBus, arrived

PER_PERIOD = 3
"""Alerts of one fault: pending, active, cleared. A period is two seconds of the feed."""
RELAUNCHES = 4
"""While the broker takes nothing; each finds what waits on the disk."""
STEP_S = 0.5
LIMIT_S = 3600.0
"""Of simulated time, from the broker's return until nothing waits."""


def undelivered(work: Path, alerts: int, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Judge one result a second until there are `alerts` alerts while the broker takes none; then let it take them.

    IoT Core and its echoes are there all the time, so what is for it must not wait for the local broker.
    """
    began = time.monotonic()
    seconds = 2 * -(-alerts // PER_PERIOD)
    feed = GeneratedResults(1, 1, seconds + 1)
    cloud: list[bytes] = []
    published: list[bytes] = []
    link = RecordingBus(cloud.append, publish=published.append)
    link.takes_alerts = False
    clock = [0.0]

    def launch() -> AlertDispatcher:
        context = ComponentContext(
            bus=link,
            component="com.edgeml.AlertDispatcher",
            thing=THING,
            work=work,
            artifacts=work,
            monotonic=lambda: clock[0],
            wall_ns=lambda: T0 + round(clock[0] * SECOND),
        )
        service = AlertDispatcher(context, feed.options(outbox={"backlog_rate": 1000}))
        service.start()
        return service

    def turn() -> None:
        clock[0] += STEP_S
        service.tick(clock[0])
        link.echo(service)

    service = launch()
    every = max(1, seconds // (RELAUNCHES + 1))
    for second in range(feed.blocks):
        if second and second % every == 0:
            service.close()
            service = launch()
            say(f"outage: {second} s, relaunched; the broker has taken {len(published)} alerts")
        service.on_message(topics.RESULTS, feed.block(second))
        turn()
        turn()
    while_away = len(published)
    link.takes_alerts = True
    give_up = clock[0] + LIMIT_S
    wanted = feed.alerts(raised_only=False)
    while (len(published) < len(wanted) or any(service._store.outbox.counts)) and clock[0] < give_up:
        turn()
    service.close()
    came = [(alert.id, alert.state, alert.at) for alert in (decode_as(Alert, payload) for payload in published)]
    first = list(dict.fromkeys(came))
    there, raised = arrived(cloud), feed.alerts()
    return {
        "alerts": len(wanted),
        "taken_while_away": while_away,
        "published": len(first),
        "lost": len(set(wanted) - set(came)),
        "out_of_order": int([one for one in wanted if one in set(came)] != first),
        "repeated": len(came) - len(first),
        "cloud_alerts": len(raised),
        "cloud_lost": len(set(raised) - set(there.alerts)),
        "cloud_out_of_order": int([one for one in raised if one in set(there.alerts)] != there.alerts),
        "took_s": round(time.monotonic() - began),
    }
