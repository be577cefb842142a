"""Conditions of sensing itself that are alarms: silent components and streams, stalled sources and full queues, from
each component's `Health`.

`CONDITIONS` is the table of all conditions. Pure: the caller brings the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from alert_dispatcher.alert_text import duration
from edgeml.messages import Health, topics

PREFIX = "health/"
"""Of the `model` that a health alarm names; the condition's name follows."""
SOURCE_STALLED, NOT_SCORED, COMPONENT_SILENT = "source-stalled", "not-scored", "component-silent"
PRODUCERS = {topics.SENSORS: "com.edgeml.SensorIngestion", topics.RESULTS: "com.edgeml.Inference"}
DEFAULT_ALIVE_S = 60.0
"""Age of a component's health up to which it counts as alive, where `component_after_s` is 0."""

Seconds = Annotated[float, Meta(ge=0)]


class HealthAlarmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of health alarms; 0 switches a condition off and clears its alarms."""

    source_after_s: Annotated[Seconds, Meta(description="s of the clock without a row of an asset")] = 60.0
    sources: Annotated[dict[str, float], Meta(description="the same for an asset, by its name; 0: never")] = {}
    unscored_after_s: Annotated[
        Seconds, Meta(description="s of the clock in which most rows of an asset have no decision; stopped and learning do not count")
    ] = 120.0
    stream_after_s: Annotated[Seconds, Meta(description="s of the clock in which a component receives nothing of a stream")] = 30.0
    component_after_s: Annotated[Seconds, Meta(description="s of the clock without the health of a component that reported before")] = 60.0
    queue_share: Annotated[float, Meta(ge=0, le=1, description="how full a queue may be, as a share of its bound")] = 0.9
    faulty: Annotated[bool, Meta(description="whether a component that waits for a valid configuration is an alarm")] = True
    start_s: Annotated[Seconds, Meta(description="s of the clock for the first report, as components are installed")] = 300.0
    hold_s: Annotated[Seconds, Meta(description="s of the clock for which a condition must hold before its alarm is raised")] = 5.0
    clear_hold_s: Annotated[Seconds, Meta(description="s of the clock for which it must be over before its alarm is cleared")] = 5.0

    def check(self, where: str) -> list[str]:
        negative = [name for name, after_s in self.sources.items() if after_s < 0]
        return [f"`{where}.sources.{name}` is {self.sources[name]:g}; expected a number of seconds, 0 for never" for name in negative]


class LastReport(NamedTuple):
    """The latest health of a component, and its arrival, s of the monotonic clock."""

    health: Health
    at: float


class HealthSnapshot(NamedTuple):
    """All reports at the monotonic time `now`.

    Attributes:
        started: monotonic time from which on reports could arrive.
        reports: the latest report of each component.
        never_received: (component, topic) -> monotonic time since which the component reports that nothing has arrived there.
        silent, unscored: components and assets with an open alarm of that condition.
    """

    options: HealthAlarmOptions
    now: float
    started: float
    reports: dict[str, LastReport]
    never_received: dict[tuple[str, str], float]
    silent: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()

    def alive(self) -> list[tuple[str, Health]]:
        """The components that reported lately, and their reports."""
        return [(component, last.health) for component, last in self.reports.items() if self.is_alive(component)]

    def is_alive(self, component: str) -> bool:
        """Whether the component reported lately."""
        last = self.reports.get(component)
        return last is not None and self.now - last.at <= (self.options.component_after_s or DEFAULT_ALIVE_S)


def _source_stalled(snapshot: HealthSnapshot) -> dict[str, str]:
    found = {}
    for _, health in snapshot.alive():
        for asset, quiet_s in health.row_age_s.items():
            limit = snapshot.options.sources.get(asset, snapshot.options.source_after_s)
            sentence = f"{asset}: its source has read no row for {duration(quiet_s)}; check the sensor and its connection"
            found[asset] = sentence if limit and quiet_s > limit else ""
    return found


def _not_scored(snapshot: HealthSnapshot) -> dict[str, str]:
    found = dict.fromkeys(snapshot.unscored, "") if snapshot.is_alive(PRODUCERS[topics.RESULTS]) else {}
    for component, health in snapshot.alive():
        for asset, one in ({} if isinstance(health.unscored, msgspec.UnsetType) else health.unscored).items():
            limit = snapshot.options.unscored_after_s
            sentence = (
                f"{asset} is not scored: {100 * one.share:.0f} % of its rows have had no decision for {duration(one.for_s)} "
                f"({one.reason}); check its sensors and {component}'s status"
            )
            # An open alarm stays open: a restarted component counts from its start.
            found[asset] = sentence if 0 < limit < one.for_s or (limit and asset in snapshot.unscored) else ""
    return found


def _stream_silent(snapshot: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component, health in snapshot.alive():
        for topic in (topic for topic in topics.STREAMS if topic in health.message_age_s):
            age, limit = health.message_age_s[topic], snapshot.options.stream_after_s
            if age is None:
                age = snapshot.now - snapshot.never_received.get((component, topic), snapshot.now)
                limit = snapshot.options.start_s if limit else 0.0
            producer = PRODUCERS[topic]
            alive = snapshot.is_alive(producer)
            cause = f"{producer} is alive, so the subscription has stopped delivering" if alive else f"{producer} is silent too"
            sentence = f"{component} has received nothing on {topic} for {duration(age)}, not even a keep-alive; {cause}"
            found[f"{component} {topic}"] = sentence if limit and age > limit else ""
    return found


def _component_silent(snapshot: HealthSnapshot) -> dict[str, str]:
    found = {}
    limit = snapshot.options.component_after_s
    for component in {*snapshot.reports, *snapshot.silent}:
        last = snapshot.reports.get(component)
        if last is None and limit and snapshot.now - snapshot.started <= limit:
            continue  # after a restart it is not known yet whether the component is still silent
        age = snapshot.now - (last.at if last is not None else snapshot.started)
        sentence = f"{component} has reported no health for {duration(age)}; check its state in the nucleus and its log"
        found[component] = sentence if 0 < limit < age else ""
    return found


def _component_faulty(snapshot: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component, health in snapshot.alive():
        first = f": {health.faults[0]}" if health.faults else ""
        found[component] = f"{component} is faulty{first}" if snapshot.options.faulty and health.state == "faulty" else ""
    return found


def _queue_full(snapshot: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component, health in snapshot.alive():
        for queue, (length, bound) in health.queues.items():
            full = snapshot.options.queue_share > 0 and bound > 0 and length >= snapshot.options.queue_share * bound
            percent = 100 * length // max(bound, 1)
            sentence = f"{component}: the queue {queue} is {percent} % full, {length} of {bound}; beyond that, messages are lost"
            found[f"{component} {queue}"] = sentence if full else ""
    return found


class Condition(NamedTuple):
    """A condition that is an alarm.

    Attributes:
        evaluate: gives, for each subject (an asset, a component, a component and its topic or queue), a sentence if the condition holds
            and an empty text if it does not; subjects of which that is unknown are missing.
        cleared: the end of the sentence of a cleared alarm.
        reporter: subject -> the component whose health reports it.
    """

    evaluate: Callable[[HealthSnapshot], dict[str, str]]
    cleared: str
    reporter: Callable[[str], str]


CONDITIONS: dict[str, Condition] = {
    SOURCE_STALLED: Condition(_source_stalled, "rows arrive again, or none are expected", lambda subject: PRODUCERS[topics.SENSORS]),
    NOT_SCORED: Condition(_not_scored, "its rows are scored again, or none arrive", lambda subject: PRODUCERS[topics.RESULTS]),
    "stream-silent": Condition(_stream_silent, "messages arrive again", lambda subject: subject.split()[0]),
    COMPONENT_SILENT: Condition(_component_silent, "it reports its health again", lambda subject: subject),
    "component-faulty": Condition(_component_faulty, "it works again", lambda subject: subject),
    "queue-full": Condition(_queue_full, "there is room again", lambda subject: subject.split()[0]),
}


def reporter_of(subject: str, model: str) -> str:
    """The component that reports on the subject of a health alarm; empty for an unknown condition."""
    condition = CONDITIONS.get(model.removeprefix(PREFIX))
    return condition.reporter(subject) if condition is not None else ""
