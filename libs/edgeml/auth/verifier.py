"""Signs outgoing messages and verifies received ones: the one place where a component uses the device key.

Refused messages are counted by reason, logged at most once a minute, and reported in the status for a minute. Replay attacks are detected
by the number alone, with nothing kept on disk: the numbers of each sender increase on each topic. A message from before the start of this
verifier is refused, and so is one older than `MAX_AGE_S`, which is also how long a sender is remembered.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeml.auth.device_key import MessageAuthOptions, obtain, parse_key
from edgeml.auth.envelope import MessageSignature, mac, sign, split
from edgeml.errors import AuthenticationError
from edgeml.messages import topics
from edgeml.timestamps import SECOND, boot_id

log = logging.getLogger(__name__)

MAX_AGE_S = 30.0
"""Maximum time between signing and receiving; a component that was suspended for longer requests a replay."""
MAX_AHEAD_S = 1.0
"""All processes of a device read one clock; a number further ahead was not made from it."""
KEY_CHECK_S = 5.0
"""Interval at which the key file is read again; `QUICK_KEY_CHECK_S` after a message with another key."""
QUICK_KEY_CHECK_S = 1.0
MAX_SENDERS = 1_000
REPORT_S = 60.0
"""Refused messages are reported in the status until this long after the last one."""
COUNT_S = 10.0
"""Interval at which the counts in the status are updated."""

UNSIGNED, MALFORMED, FORGED, REPLAYED, OLD, AHEAD, NO_KEY = "unsigned", "malformed", "forged", "replayed", "old", "ahead", "no key"
REASONS: dict[str, str] = {
    UNSIGNED: "has no signature; sign it (python -m edgeml.auth.sign_cli, gglocal pub --sign), or set `message_auth.required` to false",
    MALFORMED: "has a malformed signature line; find out what else publishes there",
    FORGED: "was signed with another key, for another topic or before a reboot, or was altered; accessControl grants who may publish there",
    REPLAYED: "repeats an earlier message unchanged; a message must be signed each time it is sent",
    OLD: f"was signed more than {MAX_AGE_S:g} s ago or before this component started; a message must be signed each time it is sent",
    AHEAD: "has a number ahead of this device's clock; its sender must read CLOCK_BOOTTIME of this device, without a time namespace",
    NO_KEY: "cannot be verified, because this component has no key",
}


def _no_secrets(name: str) -> bytes:
    raise AuthenticationError(f"the secret {name!r} cannot be read: there is no connection to a nucleus")


def boottime_ns() -> int:
    """Nanoseconds since the device started, the same for all its processes."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class MessageVerifier:
    """Signs and verifies local messages for an `IpcBus`. `verify` may be called on another thread than the rest.

    Args:
        component: the sender's name in signatures.
        work: the component's work directory.
        clock_ns, boot: nanoseconds since the device started, and the id of that start.

    Attributes:
        secret: reads a Greengrass secret; raises AuthenticationError.
        refused: number of refused messages, by reason (the keys of `REASONS`).
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
        self._started = clock_ns()
        self._last_numbers: dict[tuple[str, str], int] = {}
        self._unlogged: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._next_check = self._next_quick_check = 0.0
        self._other_key_seen = False
        self._reported: Counter[str] = Counter()
        self._report, self._latest_topic = "", ""
        self._reported_at = self._refused_at = 0.0

    # -- the key

    def configure(self, options: MessageAuthOptions) -> None:
        """Apply these options and read the key."""
        self._options = options
        self._load_key(read_secret=True)

    def tick(self, now: float) -> None:
        """Read the key file again if that is due at the monotonic time `now`."""
        if now >= self._next_check or self._other_key_seen and now >= self._next_quick_check:
            other_key_seen, self._other_key_seen = self._other_key_seen, False
            self._next_check, self._next_quick_check = now + KEY_CHECK_S, now + QUICK_KEY_CHECK_S
            self._load_key(read_secret=other_key_seen)

    def _load_key(self, read_secret: bool) -> None:
        name = self._options.secret
        if name and self._key is not None and not read_secret:
            return  # a secret is read only when there is a reason to: it stays the same until a sender uses another one
        try:
            key, fault = parse_key(self.secret(name), f"the secret {name!r}") if name else obtain(self._work, self._options.key_file), ""
        except AuthenticationError as error:
            key, fault = None, str(error)
        if fault and fault != self.fault:
            log.error("%s", fault)
        elif key is not None and self._key is not None and not hmac.compare_digest(key, self._key):
            log.warning("the device key has changed; messages are signed with the new key from now on")
        with self._lock:
            self._key, self.fault = key, fault

    # -- messages

    def sign(self, topic: str, payload: bytes) -> bytes | None:
        """Return the message as it is sent; None if it must not be sent, because there is no key."""
        if topic not in topics.SIGNED:
            return payload
        if self._key is None:
            return None if self._options.required else payload
        self._number = max(self._clock_ns(), self._number + 1)
        return sign(self._key, topic, self._component, self._boot, self._number, payload)

    def verify(self, topic: str, payload: bytes) -> tuple[bytes, float] | None:
        """Return the message without its signature and the seconds since it was signed (0 if unsigned); None if it is refused."""
        if topic not in topics.SIGNED:
            return payload, 0.0
        now = self._clock_ns()
        with self._lock:
            reason, sender, message, age_s = MALFORMED, "", payload, 0.0
            try:
                signature, message = split(payload)
                reason = self._refusal(signature, topic, message, now)
                if signature is not None:
                    sender, age_s = signature.sender, max(0.0, (now - signature.number) / SECOND)
            except AuthenticationError:
                pass
            if not reason:
                return message, age_s
            self._refuse(reason, topic, sender)
        return None

    def _refusal(self, signature: MessageSignature | None, topic: str, message: bytes, now: int) -> str:
        """Why a message is refused; empty if it is accepted."""
        if signature is None or self._key is None:
            return (UNSIGNED if signature is None else NO_KEY) if self._options.required else ""
        expected = mac(self._key, topic, signature.sender, self._boot, signature.number, message)
        if not hmac.compare_digest(expected, signature.mac):
            self._other_key_seen = True
            return FORGED
        floor = max(self._started, now - int(MAX_AGE_S * SECOND))
        if signature.number <= floor:
            return OLD
        if signature.number > now + int(MAX_AHEAD_S * SECOND):
            return AHEAD
        sender = topic, signature.sender
        if signature.number <= self._last_numbers.get(sender, 0):
            return REPLAYED
        if sender not in self._last_numbers and len(self._last_numbers) >= MAX_SENDERS:
            self._last_numbers = {known: number for known, number in self._last_numbers.items() if number > floor}
            if len(self._last_numbers) >= MAX_SENDERS:
                return REPLAYED  # a replay could not be detected; no device has so many senders in so short a time
        self._last_numbers[sender] = signature.number
        return ""

    def _refuse(self, reason: str, topic: str, sender: str = "") -> None:
        self.refused[reason] += 1
        self._latest_topic = topic
        claim = f" that claims to be from {sender}" if sender else ""
        self._unlogged[reason, topic] = f"{topic}: refused a message{claim}: it {REASONS[reason]}"

    # -- reports

    def log_lines(self) -> Iterator[tuple[str, str]]:
        """(sentence, kind) for the messages refused since the last call, one for each kind."""
        if not self._unlogged:
            return
        with self._lock:
            unlogged, self._unlogged = self._unlogged, {}
        for (reason, topic), sentence in unlogged.items():
            yield sentence, f"{topic} {reason}"

    def faults(self, now: float) -> tuple[str, ...]:
        """Sentences for the status at the monotonic time `now`; they change at most every `COUNT_S`, however many messages are refused."""
        with self._lock:
            if self.refused != self._reported and now - self._reported_at >= COUNT_S or not self._reported and self.refused:
                self._reported, self._reported_at, self._refused_at = self.refused.copy(), now, now
                counts = ", ".join(f"{count} {reason}" for reason, count in self._reported.most_common())
                self._report = f"{self._reported.total()} messages were refused: {counts}; the latest on {self._latest_topic}"
        if self._report and now - self._refused_at >= REPORT_S:
            self._report = ""
        return tuple(sentence for sentence in (self.fault, self._report) if sentence)
