"""Publishes more alerts than any queue holds while the local broker rejects them; all must be published later, in order."""

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
"""Alerts per fault: pending, active, cleared. A period is two seconds of results."""
RELAUNCHES = 4
"""Restarts while the broker rejects alerts; each resumes from the alerts on disk."""
STEP_S = 0.5
LIMIT_S = 3600.0
"""Simulated time allowed to publish all alerts once the broker accepts them."""


def undelivered(work: Path, alerts: int, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Evaluate one result a second until there are `alerts` alerts that the broker rejects; then let it accept them.

    IoT Core is available all the time, so messages for it must not wait for the local broker.
    """
    began = time.monotonic()
    seconds = 2 * -(-alerts // PER_PERIOD)
    feed = GeneratedResults(1, 1, seconds + 1)
    cloud: list[bytes] = []
    published: list[bytes] = []
    link = RecordingBus(cloud.append, publish=published.append)
    link.accepts_alerts = False
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
            say(f"outage: {second} s, restarted; the broker has accepted {len(published)} alerts")
        service.on_message(topics.RESULTS, feed.block(second))
        turn()
        turn()
    during_outage = len(published)
    link.accepts_alerts = True
    give_up = clock[0] + LIMIT_S
    expected = feed.alerts(raised_only=False)
    while (len(published) < len(expected) or any(service._store.outbox.counts)) and clock[0] < give_up:
        turn()
    service.close()
    received = [(alert.id, alert.state, alert.at) for alert in (decode_as(Alert, payload) for payload in published)]
    first = list(dict.fromkeys(received))
    in_cloud, raised = arrived(cloud), feed.alerts()
    return {
        "alerts": len(expected),
        "published_during_outage": during_outage,
        "published": len(first),
        "lost": len(set(expected) - set(received)),
        "out_of_order": int([one for one in expected if one in set(received)] != first),
        "repeated": len(received) - len(first),
        "cloud_alerts": len(raised),
        "cloud_lost": len(set(raised) - set(in_cloud.alerts)),
        "cloud_out_of_order": int([one for one in raised if one in set(in_cloud.alerts)] != in_cloud.alerts),
        "took_s": round(time.monotonic() - began),
    }
