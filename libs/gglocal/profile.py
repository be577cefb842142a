"""Differences between the nuclei as data: limits and behavior."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of nucleus.

    Attributes:
        name: `lite` or `classic`.
        version: version of the emulated nucleus; components see it as `GGC_VERSION`.
        max_packet_in, max_packet_out: bytes of one event-stream packet from and to a component.
        max_clients: connections of the whole nucleus.
        max_subscriptions: subscriptions of the whole nucleus.
        small_json: requests and responses are limited as `gglocal.core.lite_json_limits` specifies.
        max_leaf: bytes of one configuration value as JSON.
        max_topic: bytes of a local topic or filter.
        max_iot_payload: bytes of an IoT Core message.
        invalid_arguments: name of the error for missing arguments and arguments of a wrong type.
        answers_ping: a `Ping` gets a `PingResponse`; otherwise it closes the connection.
        ends_streams: a response that no events follow ends its stream.
        acknowledges_refusal: a refused connection gets a `ConnectAck` without the accepted flag before it is closed.
        receive_modes: a subscription's receive mode is honored; otherwise every subscriber receives every message.
        omits_error_messages: errors carry no `message`, so SDKs show an empty one.
        lenient_qos: `qos` may be missing or a number.
        rejects_stale: a configuration update that is older than the stored value is an error; otherwise it is ignored.
        float_timestamps: a timestamp without a fraction is rejected.
        text_scalars: scalars from configuration files are strings.
        strict_recipes: keys and steps must be spelled exactly as documented.
        runs_shutdown: runs `shutdown` and `recover`; otherwise they are ignored with a log line.
        restarts_on_configuration: a configuration change alone restarts the component.
        rolls_back: a failed deployment is rolled back, if it requests that.
        runs_uninstall: runs `uninstall` when a component is removed.
        writes_effective_configuration: keeps `config/effectiveConfig.yaml` up to date.
        interpolates_policies: recipe variables in `accessControl` are interpolated when it is evaluated. Otherwise variables in a
            configuration remain plain text, unless the nucleus's option `interpolateComponentConfiguration` is true.
        configures_roots_only: ignores a configuration update for a component that is only a dependency.
        keeps_old_defaults: a newer recipe's default does not replace an existing value, not even an older recipe's default.
    """

    name: str
    version: str
    max_packet_in: int
    max_packet_out: int
    max_clients: int
    max_subscriptions: int
    small_json: bool
    max_leaf: int
    max_topic: int
    max_iot_payload: int
    invalid_arguments: str
    answers_ping: bool
    ends_streams: bool
    acknowledges_refusal: bool
    receive_modes: bool
    omits_error_messages: bool
    lenient_qos: bool
    rejects_stale: bool
    float_timestamps: bool
    text_scalars: bool
    strict_recipes: bool
    runs_shutdown: bool
    restarts_on_configuration: bool
    rolls_back: bool
    runs_uninstall: bool
    writes_effective_configuration: bool
    interpolates_policies: bool
    configures_roots_only: bool
    keeps_old_defaults: bool


LITE = Profile(
    name="lite",
    version="2.6.0",
    max_packet_in=10_012,
    max_packet_out=10_000,
    max_clients=50,
    max_subscriptions=100,
    small_json=True,
    max_leaf=1024,
    max_topic=256,
    max_iot_payload=128 * 1024,
    invalid_arguments="ServiceError",
    answers_ping=False,
    ends_streams=False,
    acknowledges_refusal=False,
    receive_modes=False,
    omits_error_messages=True,
    lenient_qos=True,
    rejects_stale=False,
    float_timestamps=True,
    text_scalars=True,
    strict_recipes=True,
    runs_shutdown=False,
    restarts_on_configuration=True,
    rolls_back=False,
    runs_uninstall=False,
    writes_effective_configuration=False,
    interpolates_policies=True,
    configures_roots_only=False,
    keeps_old_defaults=False,
)
CLASSIC = Profile(
    name="classic",
    version="2.17.0",
    max_packet_in=16 * 1024 * 1024,
    max_packet_out=16 * 1024 * 1024,
    max_clients=10_000,
    max_subscriptions=100_000,
    small_json=False,
    max_leaf=1 << 24,
    max_topic=1 << 20,
    max_iot_payload=128 * 1024,
    invalid_arguments="InvalidArgumentsError",
    answers_ping=True,
    ends_streams=True,
    acknowledges_refusal=True,
    receive_modes=True,
    omits_error_messages=False,
    lenient_qos=False,
    rejects_stale=True,
    float_timestamps=False,
    text_scalars=False,
    strict_recipes=False,
    runs_shutdown=True,
    restarts_on_configuration=False,
    rolls_back=True,
    runs_uninstall=True,
    writes_effective_configuration=True,
    interpolates_policies=False,
    configures_roots_only=True,
    keeps_old_defaults=True,
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (LITE, CLASSIC)}
