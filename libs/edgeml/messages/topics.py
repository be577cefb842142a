"""Every topic of the suite. Nobody else writes one down, but the recipes, and a test compares them."""

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

STREAMS = (SENSORS, RESULTS)
"""Numbered blocks of rows. Never silent for long, thanks to `KeepAlive`; to be had again by a replay, so the first to be dropped."""
REPEATED = (STATUS, HEALTH, REPLAY, INTERLOCK)
"""What is said again anyway: where a queue is full, the oldest goes. Of permits the latest counts, and it may be a denial."""

SIGNED = frozenset(
    {
        SENSORS,
        RESULTS,
        ALERTS,
        ALERTS_ACK,
        COMMANDS,
        COMMANDS_ACK,
        COMMANDS_RELEASE,
        INTERLOCK,
        REPLAY,
        CONTROL,
        HEALTH,
    }
)
"""Local topics whose messages lead to an action or withhold one: on these every message has a seal (see `edgeml.auth.envelope`).

Not sealed are the status, which also says that there is no key, and heartbeats, which say nothing. What comes from IoT Core is proved by
AWS's policies."""


def heartbeat(component: str) -> str:
    """The topic on which a component hears itself; `component` is its full name."""
    return f"edgeml/heartbeat/{component.rsplit('.', 1)[-1]}"


def cloud_alerts(thing: str) -> str:
    """IoT Core: alerts for the operators."""
    return f"edgeml/{thing}/alerts"


def cloud_alerts_ack(thing: str) -> str:
    """IoT Core: operators acknowledge."""
    return f"edgeml/{thing}/alerts/ack"


def cloud_captures(thing: str) -> str:
    """IoT Core: captured rows for those who train."""
    return f"edgeml/{thing}/captures"


def cloud_health(thing: str) -> str:
    """IoT Core: how the components are, thinned."""
    return f"edgeml/{thing}/health"


def cloud_results(thing: str) -> str:
    """IoT Core: the reporting topic."""
    return f"edgeml/{thing}/results"
