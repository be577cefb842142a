"""`python -m tests.components.alert_dispatcher.full_disk FOLDER RESERVE`: alarms on a full disk; prints their outcome as JSON.

FOLDER is on a small filesystem of its own, which this fills to the last byte.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from alert_dispatcher.state_db import StateDbError
from edgeml.messages import topics
from tests.components.alert_dispatcher.kit import ALARM, Bench, results

ALARMS = 50


def main(folder: Path, reserve: int) -> dict[str, object]:
    bench = Bench(folder, outbox={"reserve_alerts": reserve, "keep_free_mb": 0})
    bench.bus.failing_topics |= {topics.cloud_alerts("gateway"), topics.cloud_results("gateway")}
    bench.results(ALARM)
    filled = fill(folder / "filler")
    failed, said = 0, set()
    for number in range(1, ALARMS):
        block = results(ALARM, number * 100, number)
        for _ in range(5):
            try:
                bench.give(topics.RESULTS, block)
                if bench.service._reload_at is None and bench.alerts()[-1].state == "cleared" and len(bench.alerts()) >= 3 * (number + 1):
                    break
            except StateDbError:
                failed += 1
            said |= set(bench.service.status().faults)
            survive(bench, 6)
    waiting = bench.service._store.outbox.counts[0] if bench.service._reload_at is None else 0
    said |= set(bench.service.status().faults)
    local = len({(alert.id, alert.state) for alert in bench.alerts()})
    return {"filled": filled, "failed": failed, "waiting": waiting, "local": local, "said": sorted(said)}


def survive(bench: Bench, seconds: float) -> None:
    """Let time pass; a state that cannot be opened is tried again."""
    for _ in range(round(seconds * 2)):
        try:
            bench.wait(0.5)
        except StateDbError:
            continue


def fill(path: Path) -> int:
    """Write until the disk is full; returns the bytes."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
        return file.tell()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201
