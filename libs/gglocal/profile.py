"""What sets the nuclei apart, as data: limits, operations, strictness."""

from __future__ import annotations

from dataclasses import dataclass

COMMON_OPERATIONS = (
    "PublishToTopic", "SubscribeToTopic", "PublishToIoTCore", "SubscribeToIoTCore",
    "GetConfiguration", "UpdateConfiguration", "SubscribeToConfigurationUpdate", "UpdateState",
)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of nucleus.

    Attributes:
        name: `lite` or `classic`.
        version: of the nucleus that it stands for; components see it as `GGC_VERSION`.
        max_packet: bytes of one event-stream packet, in either direction.
        max_clients: connections of the whole core.
        max_subscriptions: of the whole core.
        max_topic: bytes of a local topic or filter.
        max_iot_payload: bytes of an IoT Core message.
        operations: short names of the operations that it answers.
        text_scalars: scalars from configuration files are strings.
        strict_recipes: keys and steps must be exactly as documented.
        runs_shutdown: `shutdown` and `recover` are run; otherwise they are ignored with a log line.
        restarts_on_configuration: a change of configuration alone restarts the component.
    """

    name: str
    version: str
    max_packet: int
    max_clients: int
    max_subscriptions: int
    max_topic: int
    max_iot_payload: int
    operations: frozenset[str]
    text_scalars: bool
    strict_recipes: bool
    runs_shutdown: bool
    restarts_on_configuration: bool


LITE = Profile(
    name="lite", version="2.6.0", max_packet=10_000, max_clients=50, max_subscriptions=100, max_topic=256,
    max_iot_payload=128 * 1024, operations=frozenset(COMMON_OPERATIONS), text_scalars=True, strict_recipes=True,
    runs_shutdown=False, restarts_on_configuration=True,
)
CLASSIC = Profile(
    name="classic", version="2.17.0", max_packet=16 * 1024 * 1024, max_clients=10_000, max_subscriptions=100_000, max_topic=1 << 20,
    max_iot_payload=128 * 1024, operations=frozenset(COMMON_OPERATIONS), text_scalars=False, strict_recipes=False,
    runs_shutdown=True, restarts_on_configuration=False,
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (LITE, CLASSIC)}
