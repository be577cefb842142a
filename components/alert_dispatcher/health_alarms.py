"""Alarms about sensing itself: what keeps quiet, is deaf or full, as each component's `Health` tells.

Which conditions there are stands in `CONDITIONS`. Each is judged for each thing that it is about, by a policy like that of a model's
results, so its alarms have the same life: pending, active, acknowledged, cleared. Pure: its caller brings the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

import edgeml
from alert_dispatcher.alert_text import duration
from alert_dispatcher.state_db import SavedPolicy
from edgeml.alarms.alarm_policy import ACKNOWLEDGED, CLEARED, Alarm, AlarmPolicy, Change, PolicyOptions
from edgeml.messages import Health, topics
from edgeml.timestamps import SECOND

PREFIX = "watch/"
"""Before a condition's name, where an alert says which model raised it."""
SOURCE = PREFIX + "source-stalled"
PRODUCERS = {topics.SENSORS: "com.edgeml.SensorIngestion", topics.RESULTS: "com.edgeml.Inference"}
MOST = 200
"""Components, and alarms that are open; what is beyond is not looked at."""
LOOK_S = 1.0

Seconds = Annotated[float, Meta(ge=0)]


class HealthAlarmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """From when on silence is an alarm; 0 switches a condition off and clears its alarms."""

    source_after_s: Annotated[Seconds, Meta(description="s of the clock without a row of an asset")] = 60.0
    sources: Annotated[dict[str, float], Meta(description="the same for an asset, by its name; 0: never")] = {}
    unscored_after_s: Annotated[
        Seconds, Meta(description="s of the clock in which most rows of an asset have no decision; stopped and learning do not count")
    ] = 120.0
    stream_after_s: Annotated[Seconds, Meta(description="s of the clock in which a component hears nothing of a stream of blocks")] = 30.0
    component_after_s: Annotated[Seconds, Meta(description="s of the clock without the health of a component that was heard before")] = 60.0
    queue_share: Annotated[float, Meta(ge=0, le=1, description="how full a queue may be, as a share of its bound")] = 0.9
    faulty: Annotated[bool, Meta(description="whether a component that waits for a right configuration is an alarm")] = True
    start_s: Annotated[Seconds, Meta(description="s of the clock given to what was not heard yet, as components are installed")] = 300.0
    hold_s: Annotated[Seconds, Meta(description="s of the clock for which a condition must hold before its alarm is raised")] = 5.0
    clear_hold_s: Annotated[Seconds, Meta(description="s of the clock for which it must be over before its alarm is cleared")] = 5.0

    def check(self, where: str) -> list[str]:
        low = [name for name, after_s in self.sources.items() if after_s < 0]
        return [f"`{where}.sources.{name}` is {self.sources[name]:g}; wanted is a number of seconds, 0 for never" for name in low]


class LastReport(NamedTuple):
    """The last health of a component, and when it came, s of the monotonic clock."""

    health: Health
    at: float


class HealthSnapshot(NamedTuple):
    """What is known at the monotonic time `now`.

    Attributes:
        started: since when anything could be heard.
        heard: by component.
        never: since when a component says that it has heard nothing at all on a topic.
        silent, unjudged: components and assets with an open alarm for that.
    """

    options: HealthAlarmOptions
    now: float
    started: float
    heard: dict[str, LastReport]
    never: dict[tuple[str, str], float]
    silent: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()

    def living(self) -> list[tuple[str, Health]]:
        """What is known of the components whose health came lately."""
        return [(component, last.health) for component, last in self.heard.items() if self.lives(component)]

    def lives(self, component: str) -> bool:
        """Its health came lately."""
        last = self.heard.get(component)
        return last is not None and self.now - last.at <= (self.options.component_after_s or 60.0)


def _source(view: HealthSnapshot) -> dict[str, str]:
    found = {}
    for _, health in view.living():
        for asset, quiet_s in health.quiet.items():
            most = view.options.sources.get(asset, view.options.source_after_s)
            stalled = bool(most) and quiet_s > most
            sentence = f"{asset}: its source has given no row for {duration(quiet_s)}; see to the sensor and its connection"
            found[asset] = sentence if stalled else ""
    return found


def _unjudged(view: HealthSnapshot) -> dict[str, str]:
    found = dict.fromkeys(view.unjudged, "") if view.lives(PRODUCERS[topics.RESULTS]) else {}
    for component, health in view.living():
        for asset, one in ({} if isinstance(health.not_judged, msgspec.UnsetType) else health.not_judged).items():
            most = view.options.unscored_after_s
            sentence = (
                f"{asset} is not judged: {100 * one.share:.0f} % of its rows have had no decision for {duration(one.for_s)} "
                f"({one.reason}); check its sensors and {component}'s status"
            )
            # One that is alarmed stays so: a component that was launched again counts from its start.
            found[asset] = sentence if 0 < most < one.for_s or (most and asset in view.unjudged) else ""
    return found


def _stream(view: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component, health in view.living():
        for topic in (topic for topic in topics.STREAMS if topic in health.heard):
            age, most = health.heard[topic], view.options.stream_after_s
            if age is None:
                age, most = view.now - view.never.get((component, topic), view.now), view.options.start_s if most else 0.0
            producer = PRODUCERS[topic]
            cause = f"{producer} lives, so the subscription is deaf" if view.lives(producer) else f"{producer} is silent too"
            sentence = f"{component} hears nothing on {topic} for {duration(age)}, not even that it is quiet; {cause}"
            found[f"{component} {topic}"] = sentence if most and age > most else ""
    return found


def _component(view: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component in {*view.heard, *view.silent}:
        last = view.heard.get(component)
        if last is None and view.options.component_after_s and view.now - view.started <= view.options.component_after_s:
            continue  # after a restart: whether it still is silent is not known yet
        age = view.now - (last.at if last is not None else view.started)
        sentence = f"{component} has said nothing of itself for {duration(age)}; see its state in the nucleus and its log"
        found[component] = sentence if 0 < view.options.component_after_s < age else ""
    return found


def _faulty(view: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component, health in view.living():
        first = f": {health.faults[0]}" if health.faults else ""
        found[component] = f"{component} does not work{first}" if view.options.faulty and health.state == "faulty" else ""
    return found


def _queue(view: HealthSnapshot) -> dict[str, str]:
    found = {}
    for component, health in view.living():
        for queue, (length, most) in health.queues.items():
            full = view.options.queue_share > 0 and most > 0 and length >= view.options.queue_share * most
            sentence = f"{component}: {queue} is full to {100 * length // max(most, 1)} %, {length} of {most}; what is beyond that is lost"
            found[f"{component} {queue}"] = sentence if full else ""
    return found


class Condition(NamedTuple):
    """Something that can be wrong with sensing.

    Attributes:
        look: what it is about (an asset, a component, a component and its topic or queue) -> a sentence where it holds, empty where it is
            known not to; what is not known is not there.
        over: the sentence's end once it is over.
        by: what it is about -> the component whose health reports it.
    """

    look: Callable[[HealthSnapshot], dict[str, str]]
    over: str
    by: Callable[[str], str]


CONDITIONS: dict[str, Condition] = {
    "source-stalled": Condition(_source, "rows come again, or none are expected any more", lambda about: PRODUCERS[topics.SENSORS]),
    "not-judged": Condition(_unjudged, "its rows are judged again, or none come any more", lambda about: PRODUCERS[topics.RESULTS]),
    "stream-silent": Condition(_stream, "it is heard again", lambda about: about.split()[0]),
    "component-silent": Condition(_component, "it says how it is again", lambda about: about),
    "component-faulty": Condition(_faulty, "it works again", lambda about: about),
    "queue-full": Condition(_queue, "there is room again", lambda about: about.split()[0]),
}


class Evaluation(NamedTuple):
    """A condition's policy has changed."""

    policy: AlarmPolicy
    changes: list[Change]


class HealthMonitor:
    """Judges every condition, once in `LOOK_S`.

    Args:
        kept: the policies of open alarms, from the state.
        now, wall_ns: the clocks' times; event times of these alarms begin at the wall clock's and go on with the monotonic one.

    Attributes:
        open: by (what it is about, model): the policies of alarms that are not cleared.
    """

    def __init__(self, options: HealthAlarmOptions, kept: Iterable[SavedPolicy], now: float, wall_ns: int) -> None:
        self._options, self._started, self._looked = options, now, now
        self._policy = PolicyOptions(
            raise_at=0.9, clear_at=0.1, votes=1, of=1, hold_s=options.hold_s, clear_hold_s=options.clear_hold_s, cooldown_s=0
        )
        self._heard: dict[str, LastReport] = {}
        self._never: dict[tuple[str, str], float] = {}
        self._sentences: dict[tuple[str, str], str] = {}
        self.open = {(one.asset, one.model): AlarmPolicy(self._policy, one.asset, one.model, one.state) for one in kept}
        self._begun_ns = max([wall_ns, *(policy.judged + 1 for policy in self.open.values() if policy.judged is not None)])

    def hear(self, health: Health, now: float) -> None:
        """A component has said how it is."""
        if health.component not in self._heard and len(self._heard) >= MOST:
            return
        self._heard[health.component] = LastReport(health, now)
        for topic, age in health.heard.items():
            if age is not None:
                self._never.pop((health.component, topic), None)
            elif topic in topics.STREAMS:
                self._never.setdefault((health.component, topic), now)

    def tick(self, now: float) -> list[Evaluation]:
        """What has changed by the monotonic time `now`."""
        if now - self._looked < LOOK_S:
            return []
        self._looked = now
        silent, unjudged = (
            tuple(about for about, model in self.open if model == PREFIX + name) for name in ("component-silent", "not-judged")
        )
        view = HealthSnapshot(self._options, now, self._started, self._heard, self._never, silent, unjudged)
        known = {(about, PREFIX + name): said for name, one in CONDITIONS.items() for about, said in one.look(view).items()}
        if now - self._started > self._options.start_s:
            # The component that reports it lives and mentions it no more: it is over, or the asset or the queue was taken away.
            known = {key: "" for key in self.open if view.lives(_reporter(*key))} | known
        judged = []
        for key, sentence in known.items():
            if key in self.open or (sentence and len(self.open) < MOST):
                judgement = self._judge(key, sentence, self._begun_ns + round((now - self._started) * SECOND))
                if judgement is not None:
                    judged.append(judgement)
        return judged

    def sentence(self, alarm: Alarm) -> str:
        """Why this alarm of a condition stands, for people; empty for an alarm of a model."""
        if not alarm.model.startswith(PREFIX):
            return ""
        if alarm.state == CLEARED:
            return f"{alarm.asset}: over; {CONDITIONS[alarm.model.removeprefix(PREFIX)].over}"
        before = f"{alarm.asset}: {alarm.model.removeprefix(PREFIX)}, since before this component was restarted"
        said = self._sentences.get((alarm.asset, alarm.model), before)
        if alarm.state != ACKNOWLEDGED:
            return said
        return f"{said}; acknowledged{f' by {alarm.acknowledged_by}' if alarm.acknowledged_by else ''}"

    def _judge(self, key: tuple[str, str], sentence: str, at: int) -> Evaluation | None:
        policy = self.open.get(key) or AlarmPolicy(self._policy, *key)
        if sentence:
            self._sentences[key] = sentence
        changes = policy.judge(at, 1.0 if sentence else 0.0)
        self.open[key] = policy
        if policy.alarm is None:
            del self.open[key]
            self._sentences.pop(key, None)
        return Evaluation(policy, changes) if changes else None


def _reporter(about: str, model: str) -> str:
    condition = CONDITIONS.get(model.removeprefix(PREFIX))
    return condition.by(about) if condition is not None else ""


VERSION = edgeml.__version__
"""What stands where an alert names the model's version."""
