"""The state of a nucleus in memory: registered components, authorization, configuration and messages.

Used on the nucleus's event loop.
"""

from __future__ import annotations

import logging
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gglocal.core import access_policy, lite_json_limits
from gglocal.core.config_store import ConfigStore
from gglocal.core.config_validation import ConfigValidation
from gglocal.core.fault_injection import FaultInjector
from gglocal.core.pubsub import Message, PubSub
from gglocal.core.update_deferral import UpdateDeferral
from gglocal.iot_core import IoTCore
from gglocal.profile import Profile
from gglocal.recipe import access_control as policies

log = logging.getLogger("gglocal")

_TOKEN_ALPHABET = string.ascii_uppercase + string.digits


class Unauthorized(Exception):
    """The component's `accessControl` does not allow the operation."""

    def __init__(self, component: str, operation: str, resource: str) -> None:
        super().__init__(f"{component} is not authorized to perform {operation} on {resource}")
        self.component, self.operation, self.resource = component, operation, resource


@dataclass(frozen=True)
class Refusal:
    """One `UnauthorizedError`; `operation` is the full name, as `aws.greengrass#PublishToTopic`."""

    component: str
    operation: str
    resource: str


@dataclass(frozen=True)
class Delivery:
    """One accepted message.

    Attributes:
        kind: `local`; `to-iot`: to IoT Core; `from-iot`: from IoT Core to a component.
        sender: the publishing component; None: the command line or the cloud.
        at: wall-clock time, seconds since the epoch.
        receiver: for `from-iot`: the component; otherwise None.
    """

    kind: str
    topic: str
    payload: bytes
    sender: str | None
    at: float
    receiver: str | None = None


@dataclass
class Registration:
    """A component that may connect."""

    name: str
    version: str
    token: str
    access_control: Any


@dataclass
class Observers:
    """Callbacks, called in the order of registration; a failure is logged and does not affect the others."""

    _callbacks: list[Callable[..., None]] = field(default_factory=list)

    def add(self, callback: Callable[..., None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def notify(self, *args: object) -> None:
        for callback in list(self._callbacks):
            try:
                callback(*args)
            except Exception:
                log.exception("an observer callback failed; the other callbacks are not affected")

    def __bool__(self) -> bool:
        return bool(self._callbacks)


class NucleusState:
    """The state on which IPC operations act.

    Attributes:
        refusals: every `UnauthorizedError` so far, except injected ones.
        fault_injector: injected faults of calls and deliveries.
        update_deferral: components that may defer an update.
        config_validation: components that validate a new configuration.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        thing_name: str,
        iot: IoTCore,
        clock: Callable[[], float] = time.time,
        root_path: str = "",
    ) -> None:
        self.profile = profile
        self.thing_name = thing_name
        self.root_path = root_path
        self.clock = clock
        self.config = ConfigStore()
        self.pubsub = PubSub()
        self.fault_injector = FaultInjector()
        self.update_deferral = UpdateDeferral()
        self.config_validation = ConfigValidation()
        self.iot = iot
        self.refusals: list[Refusal] = []
        self._by_token: dict[str, Registration] = {}
        self._by_name: dict[str, Registration] = {}
        self._refused, self._taps, self._states = Observers(), Observers(), Observers()

    def register(self, name: str, version: str, access_control: Any) -> str:
        """Create a new `SVCUID` for the component, and revoke its previous one.

        Args:
            access_control: the `accessControl` map of its configuration.
        """
        self.unregister(name)
        for error in policies.policy_errors(access_control):
            log.warning("%s: %s", name, error)
        token = "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(16))
        self._by_token[token] = self._by_name[name] = Registration(name, version, token, access_control)
        return token

    def unregister(self, name: str) -> None:
        """Revoke the component's token, if it has one."""
        known = self._by_name.pop(name, None)
        if known is not None:
            del self._by_token[known.token]

    def registered(self) -> dict[str, Registration]:
        """All components that may connect, by name."""
        return dict(self._by_name)

    def component_of(self, svcuid: str) -> str | None:
        """The component that holds this token."""
        known = self._by_token.get(svcuid)
        return known.name if known else None

    def set_access_control(self, name: str, access_control: Any) -> None:
        """Replace the `accessControl` of a registered component."""
        if name in self._by_name:
            self._by_name[name].access_control = access_control

    def authorize(self, component: str, service: str, operation: str, resource: str) -> None:
        """Check an operation against the component's `accessControl`.

        Args:
            service: of `accessControl`, as `aws.greengrass.ipc.pubsub`.
            operation: the full name, as `aws.greengrass#PublishToTopic`.
            resource: a topic or filter.

        Raises:
            Unauthorized: the refusal is recorded and reported to observers.
        """
        known = self._by_name.get(component)
        scope = access_policy.VariableScope(component, known.version if known else "", self.thing_name, self.root_path, self.config)
        lite = self.profile.name == "lite"
        if known is not None and access_policy.allows(lite, known.access_control, service, operation, resource, scope):
            return
        refusal = Refusal(component, operation, resource)
        self.refusals.append(refusal)
        reason = "its accessControl does not grant it"
        if known is not None and not self.profile.interpolates_policies and policies.has_variables(known.access_control):
            reason += (
                "; recipe variables in it are plain text on the classic nucleus: remove them, or set the option"
                " interpolateComponentConfiguration of aws.greengrass.Nucleus to true"
            )
        log.warning("%s: %s on %r refused: %s", component, operation, resource, reason)
        self._refused.notify(refusal)
        raise Unauthorized(component, operation, resource)

    def on_refusal(self, callback: Callable[[Refusal], None]) -> Callable[[], None]:
        """Call back for each refusal; returns a function that ends it."""
        return self._refused.add(callback)

    def tap(self, callback: Callable[[Delivery], None]) -> Callable[[], None]:
        """Call back for each accepted message; returns a function that ends it."""
        return self._taps.add(callback)

    def on_state(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `callback(component, state)` for each UpdateState; returns a function that ends it."""
        return self._states.add(callback)

    def report_state(self, component: str, state: str) -> None:
        """A component reports that it is `RUNNING` or `ERRORED`."""
        self._states.notify(component, state)

    def publish(self, topic: str, message: Message, sender: str | None = None) -> int:
        """Publish locally, without authorization; `sender` None is the command line.

        Returns:
            The number of component subscriptions that received the message.
        """
        if self._taps:
            self._taps.notify(Delivery("local", topic, message.payload(), sender, self.clock()))
        if self.profile.small_json and message.json and lite_json_limits.is_lost(message.value):
            log.error(
                "JSON message from %s to %s lost, and %d matching subscriptions dropped: it exceeds what Nucleus Lite can forward;"
                " publish binary messages",
                sender,
                topic,
                self.pubsub.drop_matching(topic),
            )
            return 0
        return self.pubsub.publish(topic, message, sender)

    def publish_to_iot_core(self, topic: str, payload: bytes, qos: int, sender: str | None = None) -> None:
        """Publish to IoT Core, without authorization.

        Raises:
            Offline: there is no connection to the broker.
        """
        self.iot.publish(topic, payload, qos, sender)
        if self._taps:
            self._taps.notify(Delivery("to-iot", topic, payload, sender, self.clock()))

    def record_from_iot_core(self, topic: str, payload: bytes, receiver: str) -> None:
        """Report a message that a component receives from IoT Core."""
        if self._taps:
            self._taps.notify(Delivery("from-iot", topic, payload, None, self.clock(), receiver))
