"""What sets the nuclei apart, as data: limits, operations, strictness."""

from __future__ import annotations

from dataclasses import dataclass

COMMON_OPERATIONS = (
    "PublishToTopic",
    "SubscribeToTopic",
    "PublishToIoTCore",
    "SubscribeToIoTCore",
    "GetConfiguration",
    "UpdateConfiguration",
    "SubscribeToConfigurationUpdate",
    "UpdateState",
)
CLASSIC_OPERATIONS = (
    "SubscribeToComponentUpdates",
    "DeferComponentUpdate",
    "GetSecretValue",
    "SubscribeToValidateConfigurationUpdates",
    "SendConfigurationValidityReport",
)

MANAGEMENT_OPERATIONS = (
    "CreateLocalDeployment",
    "GetLocalDeploymentStatus",
    "ListLocalDeployments",
    "ListComponents",
    "GetComponentDetails",
    "RestartComponent",
    "StopComponent",
)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of nucleus.

    Attributes:
        name: `lite` or `classic`.
        version: of the nucleus that it stands for; components see it as `GGC_VERSION`.
        max_packet_in, max_packet_out: bytes of one event-stream packet from and to a component.
        max_clients: connections of the whole core.
        max_subscriptions: of the whole core.
        small_json: JSON, and what one answer holds of the configuration, is limited as `jsonlimits` says.
        max_leaf: bytes of one configuration value as JSON.
        max_topic: bytes of a local topic or filter.
        max_iot_payload: bytes of an IoT Core message.
        operations: short names of the operations that it answers.
        invalid_arguments: the error for arguments that are missing or of a wrong type.
        answers_ping: a `Ping` gets its `PingResponse`; otherwise it ends the connection.
        ends_streams: an answer that no events follow ends its stream.
        tells_refusal: a connection that is refused gets a `ConnectAck` without the accepted flag before it is closed.
        receive_modes: a subscription's receive mode counts; otherwise everybody hears everything.
        silent_errors: errors carry no `message`, so the SDKs show an empty one.
        lenient_qos: `qos` may be missing or a number.
        refuses_stale: a configuration update that is older than what is there is an error; otherwise it is ignored.
        float_timestamps: a timestamp without a fraction is refused.
        text_scalars: scalars from configuration files are strings.
        strict_recipes: keys and steps must be exactly as documented.
        runs_shutdown: `shutdown` and `recover` are run; otherwise they are ignored with a log line.
        restarts_on_configuration: a change of configuration alone restarts the component.
        rolls_back: a deployment that failed is taken back, where it asks for that.
        runs_uninstall: `uninstall` is run when a component is removed.
        writes_effective_configuration: `config/effectiveConfig.yaml` is kept up to date.
        fills_in_policies: recipe variables in `accessControl` are filled in as it is judged. Otherwise variables in a configuration
            stay as they are, unless the nucleus's own option `interpolateComponentConfiguration` is true.
        configures_roots_only: a configuration update for a component that no deployment names itself is ignored.
        keeps_old_defaults: a newer recipe's default does not replace a value that is there, not even an older recipe's default.
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
    operations: frozenset[str]
    invalid_arguments: str
    answers_ping: bool
    ends_streams: bool
    tells_refusal: bool
    receive_modes: bool
    silent_errors: bool
    lenient_qos: bool
    refuses_stale: bool
    float_timestamps: bool
    text_scalars: bool
    strict_recipes: bool
    runs_shutdown: bool
    restarts_on_configuration: bool
    rolls_back: bool
    runs_uninstall: bool
    writes_effective_configuration: bool
    fills_in_policies: bool
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
    operations=frozenset(COMMON_OPERATIONS),
    invalid_arguments="ServiceError",
    answers_ping=False,
    ends_streams=False,
    tells_refusal=False,
    receive_modes=False,
    silent_errors=True,
    lenient_qos=True,
    refuses_stale=False,
    float_timestamps=True,
    text_scalars=True,
    strict_recipes=True,
    runs_shutdown=False,
    restarts_on_configuration=True,
    rolls_back=False,
    runs_uninstall=False,
    writes_effective_configuration=False,
    fills_in_policies=True,
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
    operations=frozenset(COMMON_OPERATIONS + CLASSIC_OPERATIONS + MANAGEMENT_OPERATIONS),
    invalid_arguments="InvalidArgumentsError",
    answers_ping=True,
    ends_streams=True,
    tells_refusal=True,
    receive_modes=True,
    silent_errors=False,
    lenient_qos=False,
    refuses_stale=True,
    float_timestamps=False,
    text_scalars=False,
    strict_recipes=False,
    runs_shutdown=True,
    restarts_on_configuration=False,
    rolls_back=True,
    runs_uninstall=True,
    writes_effective_configuration=True,
    fills_in_policies=False,
    configures_roots_only=True,
    keeps_old_defaults=True,
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (LITE, CLASSIC)}
