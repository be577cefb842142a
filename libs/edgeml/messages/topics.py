"""Topics of the suite: one record each in `TOPICS`.

A record names the message types, publishers and subscribers of a topic, and whether its messages are signed. `accessControl` in the recipes
and the topic tables of the components' READMEs are generated from the records by `edgeml dev topics`, and tests
compare the components with them. No other module writes a topic as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from edgeml.messages import (
    Acknowledge,
    Alert,
    Command,
    CommandAck,
    Health,
    KeepAlive,
    Message,
    Permit,
    Release,
    ReplayRequest,
    ReplayStart,
    ResetBaseline,
    ResultBlock,
    SensorBatch,
    Status,
)

SENSORS = "edgeml/sensors"
RESULTS = "edgeml/results"
ALERTS = "edgeml/alerts"
ALERTS_ACK = "edgeml/alerts/ack"
COMMANDS = "edgeml/commands"
COMMANDS_ACK = "edgeml/commands/ack"
COMMANDS_RELEASE = "edgeml/commands/release"
INTERLOCK = "edgeml/interlock"
REPLAY = "edgeml/replay"
CONTROL = "edgeml/control"
STATUS = "edgeml/status"
HEALTH = "edgeml/health"
HEARTBEAT = "edgeml/heartbeat/{component}"

CLOUD_ALERTS = "edgeml/{thing}/alerts"
CLOUD_ALERTS_ACK = "edgeml/{thing}/alerts/ack"
CLOUD_RESULTS = "edgeml/{thing}/results"
CLOUD_HEALTH = "edgeml/{thing}/health"
CLOUD_CAPTURES = "edgeml/{thing}/captures"

INGESTION = "com.edgeml.SensorIngestion"
INFERENCE = "com.edgeml.Inference"
DISPATCHER = "com.edgeml.AlertDispatcher"
COMPONENTS = (INGESTION, INFERENCE, DISPATCHER)
PEOPLE = "people"
MACHINE = "a machine's own program"
MONITOR = "a safety monitor"
CLOUD = "IoT rules"

Parties = Mapping[str, str]
"""Full name of a component, or a party outside the suite -> under which condition it publishes or subscribes, or to
what end; empty: always."""
EVERY_COMPONENT: Parties = dict.fromkeys(COMPONENTS, "")


class Topic(NamedTuple):
    """One topic of the suite.

    Attributes:
        name: exact; `{component}` is filled in by `heartbeat`, `{thing}` by the functions named `cloud_…`.
        messages: types of message that components act upon; they drop all others on this topic. Empty: its payload is none of
            `edgeml.messages`, and `about` describes it.
        about: one phrase for people.
        publishers, subscribers: see `Parties`. A component has access to exactly the topics whose records name it.
        signed: every message carries a message authentication code (see `edgeml.auth.envelope`).
        cloud: a topic in IoT Core, where AWS's policies authenticate senders; otherwise local.
        overflow: what a full receive queue drops. `stream`: the oldest batch, because a replay repeats it. `state`: the oldest message,
            because the next one replaces it. `event`: nothing.
    """

    name: str
    messages: tuple[type[Message], ...]
    about: str
    publishers: Parties
    subscribers: Parties
    signed: bool = False
    cloud: bool = False
    overflow: Literal["stream", "state", "event"] = "event"


TOPICS: tuple[Topic, ...] = (
    Topic(
        SENSORS,
        (SensorBatch, ReplayStart, KeepAlive),
        "rows of an asset in numbered batches; a `ReplayStart` before a replay, a `KeepAlive` after 2 s without rows",
        publishers={INGESTION: ""},
        subscribers={INFERENCE: "", DISPATCHER: "if an interlock reads sensor values"},
        signed=True,
        overflow="stream",
    ),
    Topic(
        RESULTS,
        (ResultBlock, ReplayStart, KeepAlive),
        "a result for each row, in numbered batches; `ReplayStart` and `KeepAlive` as for sensors",
        publishers={INFERENCE: ""},
        subscribers={INGESTION: "if an asset runs at a speed other than 1", DISPATCHER: ""},
        signed=True,
        overflow="stream",
    ),
    Topic(
        ALERTS,
        (Alert,),
        "changes of alarms",
        publishers={DISPATCHER: ""},
        subscribers={INGESTION: "if it captures rows around alarms", PEOPLE: ""},
        signed=True,
    ),
    Topic(
        ALERTS_ACK,
        (Acknowledge,),
        "acknowledgements of alarms",
        publishers={PEOPLE: ""},
        subscribers={DISPATCHER: ""},
        signed=True,
    ),
    Topic(
        COMMANDS,
        (Command,),
        "commands to a machine",
        publishers={DISPATCHER: "with the action `command`", PEOPLE: ""},
        subscribers={INGESTION: "for sources that execute commands", MACHINE: ""},
        signed=True,
    ),
    Topic(
        COMMANDS_ACK,
        (CommandAck,),
        "outcomes of commands",
        publishers={INGESTION: "for sources that execute commands", MACHINE: ""},
        subscribers={DISPATCHER: "with the action `command`"},
        signed=True,
    ),
    Topic(
        COMMANDS_RELEASE,
        (Release,),
        "releases of a machine from its lockout",
        publishers={PEOPLE: ""},
        subscribers={INGESTION: "if an asset has a lockout"},
        signed=True,
    ),
    Topic(
        INTERLOCK,
        (Permit,),
        "permits for automatic commands",
        publishers={MONITOR: ""},
        subscribers={DISPATCHER: "if an interlock requires a permit"},
        signed=True,
        overflow="state",
    ),
    Topic(
        REPLAY,
        (ReplayRequest,),
        "requests for a replay",
        publishers={INFERENCE: "of sensor batches", DISPATCHER: "of results"},
        subscribers={INGESTION: "of sensor batches", INFERENCE: "of results"},
        signed=True,
        overflow="state",
    ),
    Topic(
        CONTROL,
        (ResetBaseline,),
        "requests to learn a baseline again",
        publishers={PEOPLE: ""},
        subscribers={INFERENCE: ""},
        signed=True,
    ),
    Topic(
        STATUS,
        (Status,),
        "state and faults of a component, at each change",
        publishers=EVERY_COMPONENT,
        subscribers={PEOPLE: ""},
        overflow="state",
    ),
    Topic(
        HEALTH,
        (Health,),
        "state and metrics of a component, every 10 s",
        publishers=EVERY_COMPONENT,
        subscribers={DISPATCHER: "of every component, its own included"},
        signed=True,
        overflow="state",
    ),
    Topic(
        HEARTBEAT,
        (),
        "empty: a component tests its own subscriptions with it",
        publishers=EVERY_COMPONENT,
        subscribers=EVERY_COMPONENT,
    ),
    Topic(
        CLOUD_ALERTS,
        (Alert,),
        "alerts for operators",
        publishers={DISPATCHER: "with the action `iot_core`"},
        subscribers={DISPATCHER: "as the confirmation of delivery", PEOPLE: "", CLOUD: ""},
        cloud=True,
    ),
    Topic(
        CLOUD_ALERTS_ACK,
        (Acknowledge,),
        "acknowledgements by operators",
        publishers={PEOPLE: ""},
        subscribers={DISPATCHER: ""},
        cloud=True,
    ),
    Topic(
        CLOUD_RESULTS,
        (),
        "JSON of the type `report`: downsampled results",
        publishers={DISPATCHER: ""},
        subscribers={DISPATCHER: "if an echo is the confirmation of delivery", CLOUD: ""},
        cloud=True,
    ),
    Topic(
        CLOUD_HEALTH,
        (Health,),
        "health of every component, downsampled",
        publishers={DISPATCHER: ""},
        subscribers={DISPATCHER: "if an echo is the confirmation of delivery", CLOUD: ""},
        cloud=True,
    ),
    Topic(
        CLOUD_CAPTURES,
        (),
        "JSON of the type `capture`: captured rows",
        publishers={INGESTION: "with `capture.upload`"},
        subscribers={INGESTION: "if an echo is the confirmation of delivery", CLOUD: ""},
        cloud=True,
    ),
)

STREAMS = tuple(topic.name for topic in TOPICS if topic.overflow == "stream")
"""Numbered batches. Producers send a `KeepAlive` when they have no rows, and answer a `ReplayRequest`."""
REPEATED = tuple(topic.name for topic in TOPICS if topic.overflow == "state")
"""Messages that the next one replaces: if a queue is full, the oldest is dropped. Of permits the latest counts, and it may be a denial."""
SIGNED = frozenset(topic.name for topic in TOPICS if topic.signed)
"""Local topics whose messages cause or prevent an action, and therefore carry a message authentication code.

`Status` is not signed, because it also reports a missing key; heartbeats are not, because they carry nothing."""


def heartbeat(component: str) -> str:
    """The topic to which a component sends messages to itself; `component` is its full name."""
    return HEARTBEAT.format(component=component.rsplit(".", 1)[-1])


def cloud_alerts(thing: str) -> str:
    """IoT Core: alerts for operators."""
    return CLOUD_ALERTS.format(thing=thing)


def cloud_alerts_ack(thing: str) -> str:
    """IoT Core: acknowledgements by operators."""
    return CLOUD_ALERTS_ACK.format(thing=thing)


def cloud_captures(thing: str) -> str:
    """IoT Core: captured rows for training."""
    return CLOUD_CAPTURES.format(thing=thing)


def cloud_health(thing: str) -> str:
    """IoT Core: health of the components, downsampled."""
    return CLOUD_HEALTH.format(thing=thing)


def cloud_results(thing: str) -> str:
    """IoT Core: downsampled results."""
    return CLOUD_RESULTS.format(thing=thing)
