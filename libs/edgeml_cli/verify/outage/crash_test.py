"""Kills an AlertDispatcher with SIGKILL, at a given step or at random instants, and restarts it on the files that it left.

Steps are the SQL statements, and the times before and after each publish. The dispatcher runs in a forked process, so that a kill
leaves only the state on disk.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alert_dispatcher.service import AlertDispatcher
from edgeml.messages import ReplayStart, topics
from edgeml.runtime.service import ComponentContext
from edgeml_cli.verify.outage.generated_results import ASSET, STREAM, GeneratedResults
from edgeml_cli.verify.outage.recording_bus import THING, Arrived, RecordingBus, arrived

STEP_S = 0.3
"""Advance of the dispatcher's clock per iteration of its loop."""
OPTIONS = {"backlog_rate": 1000, "echo_s": 5, "reserve_alerts": 0}
LINK_DOWN = (0.3, 0.5)
"""The link is down from the first to the second share of a run's blocks."""
FIGURES = ("kills", "rounds", "alerts", "alerts_lost", "results", "results_lost", "repeated", "renamed", "out_of_order")
_FORK = multiprocessing.get_context("fork")


def run_dispatcher(work: Path, feed: GeneratedResults, kill_at: int = 0) -> None:
    """Run the dispatcher on the state on disk until everything is evaluated and delivered.

    It writes the messages that IoT Core receives to the file `arrived`, and the number of steps to the file `steps`.

    Args:
        kill_at: step at which this process kills itself; 0 disables this.
    """
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    remove_partial_line(work / "arrived")
    record = os.open(work / "arrived", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    link = RecordingBus(lambda payload: os.write(record, payload + b"\n"), step)
    clock = [time.monotonic()]
    context = ComponentContext(
        bus=link,
        component="com.edgeml.AlertDispatcher",
        thing=THING,
        work=work,
        artifacts=work,
        monotonic=lambda: clock[0],
        wall_ns=time.time_ns,
    )
    service = AlertDispatcher(context, feed.options(outbox=OPTIONS))
    store: Any = service._store
    store._db = StatementCounter(store._db, step)
    service.start()
    assert link.since is not None
    blocks = list(feed.since(link.since))
    if blocks:
        service.on_message(topics.RESULTS, ReplayStart(asset=ASSET, stream=STREAM, first=blocks[0].seq))
    away = range(*(round(share * len(blocks)) for share in LINK_DOWN))
    for number, block in enumerate(blocks):
        link.up = number not in away
        service.on_message(topics.RESULTS, block)
        _turn(service, link, clock)
    link.up = True
    while sum(store.outbox.counts):
        _turn(service, link, clock)
    service.close()
    (work / "steps").write_text(str(steps))


def _quietly(work: Path, feed: GeneratedResults, kill_at: int) -> None:
    """`run_dispatcher` in a forked process, in which logging can be disabled."""
    logging.disable(logging.CRITICAL)
    run_dispatcher(work, feed, kill_at)


def _turn(service: AlertDispatcher, link: RecordingBus, clock: list[float]) -> None:
    clock[0] += STEP_S
    service.tick(clock[0])
    link.echo(service)


class StatementCounter:
    """A database connection that counts its statements."""

    def __init__(self, db: Any, step: Callable[[], None]) -> None:
        self._db, self._step = db, step

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        self._step()
        return self._db.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def run_in_process(work: Path, feed: GeneratedResults, *, kill_at: int = 0, kill_after_s: float | None = None) -> bool:
    """Run the dispatcher in a forked process; returns whether it was killed before its end.

    Raises:
        RuntimeError: the process failed.
    """
    process = _FORK.Process(target=_quietly, args=(work, feed, kill_at))
    process.start()
    process.join(kill_after_s)
    if process.exitcode is None:
        process.kill()
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the dispatcher's process failed with exit code {process.exitcode}")
    return process.exitcode != 0


def remove_partial_line(path: Path) -> None:
    """Remove an incomplete last line.

    SIGKILL can truncate a long write at a page boundary. A broker discards a packet that is incomplete when the connection ends,
    and so must the file that stands in for it: the message did not arrive.
    """
    if path.exists():
        whole = path.read_bytes().rpartition(b"\n")
        os.truncate(path, len(whole[0]) + len(whole[1]))


def read_arrived(work: Path) -> Arrived:
    """The messages that IoT Core has received so far."""
    path = work / "arrived"
    remove_partial_line(path)
    return arrived(path.read_bytes().splitlines() if path.exists() else [])


def kill(place: Path, times: int, seed: int, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Kill the dispatcher at random instants, `times` times in all; each round ends with an undisturbed run."""
    began = time.monotonic()
    instants = random.Random(seed)
    feed = GeneratedResults(20, 5, 60)
    figures: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    while figures["kills"] < times:
        work = place / str(figures["rounds"])
        work.mkdir()
        alive = False
        while figures["kills"] < times and not alive:
            alive = not run_in_process(work, feed, kill_after_s=instants.uniform(0.002, 0.08))
            figures["kills"] += not alive
        if not alive:
            run_in_process(work, feed)
        count(figures, feed, read_arrived(work))
        figures["rounds"] += 1
        if figures["rounds"] % 20 == 0:
            say(f"outage: {figures['kills']} kills in {figures['rounds']} rounds")
    return {**figures, "took_s": round(time.monotonic() - began)}


def count(figures: Counter[str], feed: GeneratedResults, arrived: Arrived) -> None:
    """Add the figures of one round."""
    alerts, results = feed.alerts(), feed.times()
    figures["alerts"] += len(alerts)
    figures["alerts_lost"] += len(set(alerts) - set(arrived.alerts))
    figures["results"] += len(results)
    figures["results_lost"] += len(set(results) - set(arrived.times))
    figures["repeated"] += arrived.repeated
    figures["renamed"] += arrived.renamed
    figures["out_of_order"] += arrived.alerts != alerts or arrived.times != results
