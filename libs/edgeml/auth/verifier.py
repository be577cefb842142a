"""Seals what goes out and believes what comes in: the one place where a component uses the core's key.

What is refused is counted by reason, named in the log once a minute at most, and said in the status while it lasts. A replay is known by
its number alone, with nothing kept on disk: each sender's numbers grow on each topic, a message from before this guard's start is
refused, and so is one that is older than `FRESH_S`, which is also how long a sender is remembered.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeml.auth.device_key import MessageAuthOptions, checked, obtain
from edgeml.auth.envelope import MessageSignature, mac, seal, split
from edgeml.errors import AuthenticationError
from edgeml.messages import topics
from edgeml.timestamps import SECOND, boot_id

log = logging.getLogger(__name__)

FRESH_S = 30.0
"""From its sealing to its arrival a message is on its way for less than this; a component that was stopped for longer asks for a replay."""
AHEAD_S = 1.0
"""All processes of a device read one clock; a number further ahead is not of it."""
KEY_S = 5.0
"""The key's file is looked at again after this long, and after `DOUBT_S` when a seal was made with another key."""
DOUBT_S = 1.0
SENDERS_KEPT = 1_000
SAID_S = 60.0
"""For how long after the last refusal the status speaks of it."""
COUNT_S = 10.0
"""How often its figures are brought up to date."""

UNSEALED, MALFORMED, FORGED, REPLAYED, OLD, AHEAD, KEYLESS = "unsealed", "malformed", "forged", "replayed", "old", "ahead", "no key"
REASONS: dict[str, str] = {
    UNSEALED: "has no seal; seal it (python -m edgeml.auth.sign_cli, gglocal pub --seal), or set `message_auth.required` to false",
    MALFORMED: "begins like a seal and is none; something else publishes there",
    FORGED: "was sealed with another key, for another topic or before a reboot, or was altered; accessControl says who may publish there",
    REPLAYED: "was sent again as it was; whoever sends it again has to seal it anew",
    OLD: f"was sealed more than {FRESH_S:g} s ago or before this component started; whoever sends it again has to seal it anew",
    AHEAD: "has a number ahead of this device's clock; its sender must read CLOCK_BOOTTIME of this device, without a time namespace",
    KEYLESS: "cannot be verified, because this component has no key",
}


def _no_secrets(name: str) -> bytes:
    raise AuthenticationError(f"the secret {name!r} cannot be read: there is no nucleus to ask")


def boottime_ns() -> int:
    """Nanoseconds since the device started, the same for all its processes."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class MessageVerifier:
    """What an `IpcBus` asks about each local message. `open` may be called on another thread than the rest.

    Args:
        component: the name under which messages are sealed.
        work: the component's work directory.
        clock_ns, boot: nanoseconds since the device started, and which start that is.

    Attributes:
        secret: gives the text of a Greengrass secret; raises AuthenticationError.
        refused: how many messages, by reason (the keys of `REASONS`).
        fault: why there is no key; empty: there is one.
    """

    def __init__(self, component: str, work: Path, clock_ns: Callable[[], int] = boottime_ns, boot: str | None = None) -> None:
        self.refused: Counter[str] = Counter()
        self.fault = ""
        self.secret: Callable[[str], bytes] = _no_secrets
        self._component, self._work = component, work
        self._clock_ns, self._boot = clock_ns, boot_id() if boot is None else boot
        self._options = MessageAuthOptions()
        self._key: bytes | None = None
        self._number = 0
        self._begun = clock_ns()
        self._last: dict[tuple[str, str], int] = {}
        self._news: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._look_at = self._doubted_at = 0.0
        self._doubt = False
        self._told: Counter[str] = Counter()
        self._sentence, self._latest = "", ""
        self._said_at = self._refused_at = 0.0

    # -- the key

    def configure(self, options: MessageAuthOptions) -> None:
        """Go by these options from now on."""
        self._options = options
        self._look(asking=True)

    def tick(self, now: float) -> None:
        """Look at the key's file, when that is due at the monotonic time `now`."""
        if now >= self._look_at or self._doubt and now >= self._doubted_at + DOUBT_S:
            doubt, self._look_at, self._doubted_at, self._doubt = self._doubt, now + KEY_S, now, False
            self._look(asking=doubt)

    def _look(self, asking: bool) -> None:
        name = self._options.secret
        if name and self._key is not None and not asking:
            return  # a secret is asked for when there is a reason to; it is the same until somebody uses another
        try:
            key, fault = checked(self.secret(name), f"the secret {name!r}") if name else obtain(self._work, self._options.key_file), ""
        except AuthenticationError as wrong:
            key, fault = None, str(wrong)
        if fault and fault != self.fault:
            log.error("%s", fault)
        elif key is not None and self._key is not None and not hmac.compare_digest(key, self._key):
            log.warning("the core's key has changed; messages are sealed with the new one from now on")
        with self._lock:
            self._key, self.fault = key, fault

    # -- messages

    def seal(self, topic: str, payload: bytes) -> bytes | None:
        """The message as it goes out; None: it must not, because it lacks a key."""
        if topic not in topics.SEALED:
            return payload
        if self._key is None:
            return None if self._options.required else payload
        self._number = max(self._clock_ns(), self._number + 1)
        return seal(self._key, topic, self._component, self._boot, self._number, payload)

    def open(self, topic: str, payload: bytes) -> bytes | None:
        """The message without its seal; None: it is refused, and counted."""
        opened = self.open_aged(topic, payload)
        return None if opened is None else opened[0]

    def open_aged(self, topic: str, payload: bytes) -> tuple[bytes, float] | None:
        """As `open`, and how many seconds ago it was sealed, 0 where nothing tells."""
        if topic not in topics.SEALED:
            return payload, 0.0
        now = self._clock_ns()
        with self._lock:
            reason, sender, message, age_s = MALFORMED, "", payload, 0.0
            try:
                sealed, message = split(payload)
                reason = self._wrong(sealed, topic, message, now)
                if sealed is not None:
                    sender, age_s = sealed.sender, max(0.0, (now - sealed.number) / SECOND)
            except AuthenticationError:
                pass
            if not reason:
                return message, age_s
            self._refuse(reason, topic, sender)
        return None

    def _wrong(self, sealed: MessageSignature | None, topic: str, message: bytes, now: int) -> str:
        """Why a message is refused; empty if it is not."""
        if sealed is None or self._key is None:
            return (UNSEALED if sealed is None else KEYLESS) if self._options.required else ""
        wanted = mac(self._key, topic, sealed.sender, self._boot, sealed.number, message)
        if not hmac.compare_digest(wanted, sealed.mac):
            self._doubt = True
            return FORGED
        floor = max(self._begun, now - int(FRESH_S * SECOND))
        if sealed.number <= floor:
            return OLD
        if sealed.number > now + int(AHEAD_S * SECOND):
            return AHEAD
        who = topic, sealed.sender
        if sealed.number <= self._last.get(who, 0):
            return REPLAYED
        if who not in self._last and len(self._last) >= SENDERS_KEPT:
            self._last = {known: number for known, number in self._last.items() if number > floor}
            if len(self._last) >= SENDERS_KEPT:
                return REPLAYED  # nobody could tell; so many senders in so short a time are none of this core's
        self._last[who] = sealed.number
        return ""

    def _refuse(self, reason: str, topic: str, sender: str = "") -> None:
        self.refused[reason] += 1
        self._latest = topic
        said = f" that says it is of {sender}" if sender else ""
        self._news[reason, topic] = f"{topic}: a message{said} is refused: it {REASONS[reason]}"

    # -- what is said of it

    def news(self) -> Iterator[tuple[str, str]]:
        """(sentence, kind) of what was refused since the last call, one of each kind."""
        if not self._news:
            return
        with self._lock:
            news, self._news = self._news, {}
        for (reason, topic), sentence in news.items():
            yield sentence, f"{topic} {reason}"

    def faults(self, now: float) -> tuple[str, ...]:
        """What the status is to say at the monotonic time `now`; it changes every `COUNT_S` at most, however much is refused."""
        with self._lock:
            if self.refused != self._told and now - self._said_at >= COUNT_S or not self._told and self.refused:
                self._told, self._said_at, self._refused_at = self.refused.copy(), now, now
                counts = ", ".join(f"{count} {reason}" for reason, count in self._told.most_common())
                self._sentence = f"{self._told.total()} messages were refused: {counts}; the latest on {self._latest}"
        if self._sentence and now - self._refused_at >= SAID_S:
            self._sentence = ""
        return tuple(sentence for sentence in (self.fault, self._sentence) if sentence)
