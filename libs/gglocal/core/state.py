"""The state of a nucleus in memory: who is connected, what they may do, configuration and messages.

Every method is called on the thread of the nucleus's asyncio loop.
"""

from __future__ import annotations

import logging
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gglocal.core import access_policy, lite_json_limits
from gglocal.core.config_store import ConfigStore
from gglocal.core.config_validation import Validation
from gglocal.core.fault_injection import FaultInjector
from gglocal.core.pubsub import Message, PubSub
from gglocal.core.update_deferral import UpdateDeferral
from gglocal.iot_core import IoTCore
from gglocal.profile import Profile

log = logging.getLogger("gglocal")

_TOKEN_ALPHABET = string.ascii_uppercase + string.digits


class Unauthorized(Exception):
    """The component's `accessControl` does not allow this."""

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
        kind: `local`; `to-iot`: to IoT Core; `from-iot`: from there to a component.
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
    """Callbacks that are told in the order of registration; one that fails is logged and the others still hear."""

    _callbacks: list[Callable[..., None]] = field(default_factory=list)

    def add(self, callback: Callable[..., None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def tell(self, *args: object) -> None:
        for callback in list(self._callbacks):
            try:
                callback(*args)
            except Exception:
                log.exception("an observer of the nucleus failed; the others go on")

    def __bool__(self) -> bool:
        return bool(self._callbacks)


class NucleusState:
    """What the IPC operations act on.

    Attributes:
        refusals: every `UnauthorizedError` so far, but those of a fault on demand.
        interference: what faults do to calls and deliveries.
        updates: who is asked before an update.
        validation: who is asked whether a configuration is valid.
    """

    def __init__(
        self,
        *,
        profile: Profile,
        thing_name: str,
        iot: IoTCore,
        log_dir: Path | None = None,
        region: str = "local",
        clock: Callable[[], float] = time.time,
        root_path: str = "",
    ) -> None:
        self.profile = profile
        self.thing_name = thing_name
        self.region = region
        self.log_dir = log_dir
        self.root_path = root_path
        self.clock = clock
        self.config = ConfigStore()
        self.pubsub = PubSub()
        self.interference = FaultInjector()
        self.updates = UpdateDeferral()
        self.validation = Validation()
        self.iot = iot
        self.refusals: list[Refusal] = []
        self._by_token: dict[str, Registration] = {}
        self._by_name: dict[str, Registration] = {}
        self._refused, self._taps, self._states = Observers(), Observers(), Observers()

    def register(self, name: str, version: str, access_control: Any) -> str:
        """A new `SVCUID` for the component; one that it had before is refused from now on.

        Args:
            access_control: the `accessControl` map of its configuration.
        """
        self.unregister(name)
        for fault in access_policy.faults(access_control):
            log.warning("%s: %s", name, fault)
        token = "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(16))
        self._by_token[token] = self._by_name[name] = Registration(name, version, token, access_control)
        return token

    def unregister(self, name: str) -> None:
        """Forget the component's token; a name that is unknown is no error."""
        known = self._by_name.pop(name, None)
        if known is not None:
            del self._by_token[known.token]

    def registered(self) -> dict[str, Registration]:
        """Every component that may connect, by name."""
        return dict(self._by_name)

    def component_of(self, svcuid: str) -> str | None:
        """The component that holds this token."""
        known = self._by_token.get(svcuid)
        return known.name if known else None

    def set_access_control(self, name: str, access_control: Any) -> None:
        """Replace what a registered component may do, from now on."""
        if name in self._by_name:
            self._by_name[name].access_control = access_control

    def authorize(self, component: str, operation: str, resource: str) -> None:
        """Let pass what the component's `accessControl` allows.

        Args:
            operation: the full name, as `aws.greengrass#PublishToTopic`.
            resource: a topic or filter.

        Raises:
            Unauthorized: and the refusal is kept and told.
        """
        known = self._by_name.get(component)
        place = access_policy.Place(component, known.version if known else "", self.thing_name, self.root_path, self.config)
        allowed = known is not None and access_policy.allows(self.profile.name == "lite", known.access_control, operation, resource, place)
        if allowed:
            return
        refusal = Refusal(component, operation, resource)
        self.refusals.append(refusal)
        why = "its accessControl names no such resource"
        if known is not None and not self.profile.fills_in_policies and access_policy.has_variables(known.access_control):
            why += (
                ", and recipe variables in it are plain text on the classic nucleus; do without them, or set the option"
                " interpolateComponentConfiguration of aws.greengrass.Nucleus to true"
            )
        log.warning("%s: %s on %r refused; %s", component, operation, resource, why)
        self._refused.tell(refusal)
        raise Unauthorized(component, operation, resource)

    def on_refusal(self, callback: Callable[[Refusal], None]) -> Callable[[], None]:
        """Call back for each refusal; returns the function that ends it."""
        return self._refused.add(callback)

    def tap(self, callback: Callable[[Delivery], None]) -> Callable[[], None]:
        """Call back for each accepted message; returns the function that ends it."""
        return self._taps.add(callback)

    def on_state(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `callback(component, state)` for each UpdateState; returns the function that ends it."""
        return self._states.add(callback)

    def report_state(self, component: str, state: str) -> None:
        """A component says `RUNNING` or `ERRORED` of itself."""
        self._states.tell(component, state)

    def publish(self, topic: str, message: Message, sender: str | None = None) -> int:
        """Publish locally, unchecked; `sender` None is the command line. Returns how many subscriptions of components heard it."""
        if self._taps:
            self._taps.tell(Delivery("local", topic, message.payload(), sender, self.clock()))
        if self.profile.small_json and message.json and lite_json_limits.is_lost(message.value):
            log.error(
                "%s: the JSON message to %s has more items than Lite can hand on; it is lost, and so are %d subscriptions"
                " that would have heard it; publish binary messages",
                sender,
                topic,
                self.pubsub.deafen(topic),
            )
            return 0
        return self.pubsub.publish(topic, message, sender)

    def publish_to_iot_core(self, topic: str, payload: bytes, qos: int, sender: str | None = None) -> None:
        """Publish to IoT Core, unchecked.

        Raises:
            Offline: the broker cannot be reached.
        """
        self.iot.publish(topic, payload, qos, sender)
        if self._taps:
            self._taps.tell(Delivery("to-iot", topic, payload, sender, self.clock()))

    def heard_from_iot_core(self, topic: str, payload: bytes, receiver: str) -> None:
        """A message from IoT Core goes to a component."""
        if self._taps:
            self._taps.tell(Delivery("from-iot", topic, payload, None, self.clock(), receiver))
