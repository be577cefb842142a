"""A queue on disk of messages for IoT Core: each entry stays until its delivery is confirmed.

The tables are in the caller's own SQLite database, so that an entry is written in the caller's transaction. This
module neither sends (see `edgeml.cloud.sender`) nor opens files. Three classes: alerts before health before results, oldest first.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import MAX_PAYLOAD
from edgeml.timestamps import boot_id, to_iso

log = logging.getLogger(__name__)

ALERTS, HEALTH, RESULTS = range(3)
"""The classes, in order of priority."""
CLASS_NAMES = ("alerts", "health", "results")
ID_MAC_BYTES = 12
"""Bytes of the unguessable part of an id: 24 hex digits."""
ENVELOPE = 130
"""Maximum bytes that `OutboxMessage.message` adds."""
MAX_ENTRY = MAX_PAYLOAD - ENVELOPE
ROW_BYTES = 120
"""Approximate bytes of an entry on disk besides its payload."""
MAX_STEP = 64
"""Maximum entries deleted in one step of downsampling, which must be short and touch few flash pages."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS outgoing (no INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, topic TEXT NOT NULL,"
    " event_ns INTEGER NOT NULL, queued_s REAL NOT NULL, boot TEXT NOT NULL, payload BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outgoing_order ON outgoing (class, no)",
    "CREATE TABLE IF NOT EXISTS outgoing_id (id TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outgoing_key (key TEXT NOT NULL)",
)
_DAMAGED = (
    "no <= 0 OR typeof(class) <> 'integer' OR class NOT BETWEEN 0 AND 2 OR typeof(event_ns) <> 'integer' OR typeof(queued_s) <> 'real'"
    " OR typeof(topic) <> 'text' OR topic GLOB '*[^ -~]*' OR topic GLOB '*[+#]*' OR typeof(boot) <> 'text' OR boot GLOB '*[^ -~]*'"
    " OR typeof(payload) <> 'blob' OR LENGTH(payload) < 2 OR SUBSTR(payload, 1, 1) <> x'7b' OR SUBSTR(payload, -1) <> x'7d'"
)
"""Rows that this module has not written: one damaged row must not block all others."""

CONFIRMATIONS = ("acknowledgement", "echo")


class ConfirmationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The confirmation of delivery: the nucleus's acknowledgement, or the echo of the message from IoT Core."""

    alerts: Annotated[str, Meta(description="for alerts: `echo` or `acknowledgement`")] = "echo"
    health: Annotated[str, Meta(description="for health: `echo` or `acknowledgement`")] = "acknowledgement"
    results: Annotated[str, Meta(description="for reported results: `echo` or `acknowledgement`")] = "acknowledgement"

    def check(self, where: str) -> list[str]:
        named = {name: getattr(self, name) for name in CLASS_NAMES}
        return [
            f"`{where}.{name}` is {value!r}; choose one of {', '.join(CONFIRMATIONS)}"
            for name, value in named.items()
            if value not in CONFIRMATIONS
        ]


class OutboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Queueing and sending of messages for the cloud."""

    confirmation: ConfirmationOptions = ConfirmationOptions()
    echo_s: Annotated[float, Meta(ge=0.1, le=3600, description="s of the clock until a message without an echo is sent again")] = 10.0
    late_after_s: Annotated[float, Meta(ge=0, description="s of the clock after which a waiting message counts as late")] = 10.0
    backlog_rate: Annotated[float, Meta(gt=0, le=1000, description="maximum late messages per second")] = 20.0
    max_mb: Annotated[float, Meta(ge=0.1, le=100_000, description="maximum MB of waiting messages")] = 64.0
    keep_free_mb: Annotated[float, Meta(ge=0, description="MB of the disk to keep free; with less, no more results are queued")] = 32.0
    reserve_alerts: Annotated[int, Meta(ge=0, le=10_000, description="number of alerts with reserved space, also on a full disk")] = 500


class OutboxMessage(NamedTuple):
    """An entry; `queued_s` and `boot` are the time of its queueing by the system's monotonic clock."""

    no: int
    topic: str
    event_ns: int
    queued_s: float
    boot: str
    payload: bytes

    def message(self, entry_id: str, late: bool) -> bytes:
        """The payload, a JSON object, with `entry` added, and if it is late, `late` and `event_at`."""
        tail = b',"entry":"%s"' % entry_id.encode()
        if late:
            tail += b',"late":true,"event_at":"%s"' % to_iso(self.event_ns).encode()
        return self.payload[:-1] + tail + b"}"


def entry_id(outbox: str, key: str, entry: OutboxMessage) -> str:
    """The id of an entry, `OUTBOX-NUMBER-MAC`: constant over retries, and known only to receivers of the message.

    Args:
        outbox: the id of the outbox.
        key: its secret, text, with which the MAC of the message is computed.
    """
    content = b"%d\n%s\n%s" % (entry.no, entry.topic.encode(), entry.payload)
    return f"{outbox}-{entry.no}-{hmac.digest(key.encode(), content, 'sha256')[:ID_MAC_BYTES].hex()}"


def same_id(one: str, other: str) -> bool:
    """Compare two ids in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


class Database(Protocol):
    """The database with the tables."""

    def do(self, sql: str, *values: Any) -> list[Any]:
        """Run one statement."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Execute all statements inside or none; a nested one joins the outer one. On a rollback, call `Outbox.rolled_back`."""
        ...


class Outbox:
    """Entries in order, within the quota of `options`.

    If the quota is exceeded, results are downsampled first: every second one is deleted from the oldest to the newest, then every second
    of the remaining ones. Health is deleted next, the oldest first. Alerts are never deleted: up to `reserve_alerts` of them may exceed
    the quota, and further ones are refused.

    Attributes:
        short: set by the owner while the disk is nearly full; meanwhile the quota is the present size.
        dropped: number of entries downsampled or refused since the process started, by reason.
    """

    def __init__(self, database: Database, options: OutboxOptions, monotonic: Callable[[], float]) -> None:
        self._db, self._monotonic = database, monotonic
        self._throttled = RateLimitedLog(log, monotonic)
        self._quota, self._reserve = int(options.max_mb * 1e6), options.reserve_alerts
        self.dropped: Counter[str] = Counter()
        for table in _TABLES:
            database.do(table)
        ((damaged,),) = database.do(f"SELECT COUNT(*) FROM outgoing WHERE {_DAMAGED}")
        if damaged:
            log.error("%d messages for the cloud cannot be read and are left out", damaged)
            database.do(f"DELETE FROM outgoing WHERE {_DAMAGED}")
        self.id, self._key = self._random("id", 16), self._random("key", 64)
        self._held: set[int] = set()
        self._count, self._bytes = [0, 0, 0], [0, 0, 0]
        self._known = False
        self._thinned_to, self._level = 0, 1
        self._reduced_quota: int | None = None

    def _random(self, name: str, digits: int) -> str:
        """A random value created once for this outbox, in hex."""
        do, table = self._db.do, f"outgoing_{name}"
        do(f"DELETE FROM {table} WHERE typeof({name}) <> 'text' OR LENGTH({name}) <> {digits} OR {name} GLOB '*[^0-9a-f]*'")
        do(f"INSERT INTO {table} SELECT ? WHERE NOT EXISTS (SELECT 1 FROM {table})", secrets.token_hex(digits // 2))
        ((drawn,),) = do(f"SELECT {name} FROM {table} LIMIT 1")
        return str(drawn)

    # -- size

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of entries of each class."""
        self._count_entries()
        return tuple(self._count)

    @property
    def used(self) -> int:
        """Approximate bytes of all entries."""
        self._count_entries()
        return sum(self._bytes)

    @property
    def most(self) -> int:
        """Maximum bytes."""
        return self._quota if self._reduced_quota is None else self._reduced_quota

    @property
    def short(self) -> bool:
        return self._reduced_quota is not None

    @short.setter
    def short(self, short: bool) -> None:
        if short != self.short:
            self._reduced_quota = min(self._quota, self.used) if short else None

    # -- queueing

    def put(self, kind: int, topic: str, payload: bytes, event_ns: int, *, hold: bool = False) -> int | None:
        """Queue a message, a JSON object; returns its number, or None if it is refused.

        Args:
            event_ns: event time of its content.
            hold: do not send it before `release`, so that `rewrite` can add to it.
        """
        if len(payload) > MAX_ENTRY:
            self._throttled.error(
                "a message of %d bytes for %s is not queued: the maximum is %d; shorten the names in it", len(payload), topic, MAX_ENTRY
            )
            self.dropped[f"{CLASS_NAMES[kind]}: too large"] += 1
            return None
        size = len(payload) + ROW_BYTES
        with self._db.transaction():
            if not self._make_room(kind, size):
                self._refuse(kind)
                return None
            self._db.do(
                "INSERT INTO outgoing (class, topic, event_ns, queued_s, boot, payload) VALUES (?, ?, ?, ?, ?, ?)",
                kind,
                topic,
                event_ns,
                self._monotonic(),
                boot_id(),
                payload,
            )
            ((no,),) = self._db.do("SELECT last_insert_rowid()")
            self._add(kind, 1, size)
        if hold:
            self._held.add(no)
        return int(no)

    def rewrite(self, no: int, payload: bytes) -> bool:
        """Replace the payload of a held entry; False if it was downsampled, or rolled back with its transaction."""
        if no not in self._held:
            return False
        ((kind, before),) = self._db.do("SELECT class, LENGTH(payload) FROM outgoing WHERE no = ?", no) or ((0, None),)
        if before is None:
            return False
        self._db.do("UPDATE outgoing SET payload = ? WHERE no = ?", payload, no)
        self._add(kind, 0, len(payload) - before)
        return True

    def release(self, no: int) -> None:
        """Allow a held entry to be sent."""
        self._held.discard(no)

    def rolled_back(self) -> None:
        """Discard the cached state of the tables after a rollback."""
        self._known = False
        self._held.clear()

    # -- sending

    def first(self, kind: int, after: int = 0) -> OutboxMessage | None:
        """The oldest entry of a class with a number above `after`, unless it is held."""
        if self._known and not self._count[kind]:
            return None
        rows = self._db.do(
            "SELECT no, topic, event_ns, queued_s, boot, payload FROM outgoing WHERE class = ? AND no > ? ORDER BY no LIMIT 1", kind, after
        )
        return OutboxMessage(*rows[0]) if rows and rows[0][0] not in self._held else None

    def entry(self, no: int) -> OutboxMessage | None:
        """The entry with this number, if it is still queued."""
        rows = self._db.do("SELECT no, topic, event_ns, queued_s, boot, payload FROM outgoing WHERE no = ?", no)
        return OutboxMessage(*rows[0]) if rows else None

    def delivered(self, no: int) -> bool:
        """Delete an entry whose delivery is confirmed; False if it was not queued any more."""
        return self._delete([no]) > 0

    def id_of(self, entry: OutboxMessage) -> str:
        """The id of an entry, see `entry_id`."""
        return entry_id(self.id, self._key, entry)

    def number_of(self, text: str) -> int | None:
        """The number of the queued entry with this id; None for any other text, including a guessed one."""
        own, no, *_ = [*text.split("-"), ""]
        if own != self.id or not (no.isascii() and no.isdigit() and len(no) < 19):
            return None
        entry = self.entry(int(no))
        return entry.no if entry is not None and same_id(self.id_of(entry), text) else None

    # -- the quota

    def _make_room(self, kind: int, size: int) -> bool:
        while self.used + size > self.most:
            if self._count[RESULTS] and self._thin():
                continue
            if kind != RESULTS and self._drop_oldest_health():
                continue
            # The reserve is beyond the quota.
            return kind == ALERTS and self._count[ALERTS] < self._reserve
        return True

    def _thin(self) -> int:
        """Delete a few results: from the oldest to the newest all but those of the level; at the end the level increases."""
        while self._level <= 32:
            rows = self._db.do(
                "SELECT no FROM outgoing WHERE class = ? AND no > ? ORDER BY no LIMIT ?", RESULTS, self._thinned_to, MAX_STEP
            )
            if not rows:
                self._level, self._thinned_to = self._level + 1, 0
                continue
            self._thinned_to = rows[-1][0]
            deleted = self._delete([no for (no,) in rows if _rank(no) >> (32 - self._level)])
            if deleted:
                self.dropped["results: downsampled"] += deleted
                return deleted
        self._level = 1
        return 0

    def _drop_oldest_health(self) -> int:
        rows = self._db.do("SELECT no FROM outgoing WHERE class = ? ORDER BY no LIMIT ?", HEALTH, MAX_STEP)
        deleted = self._delete([no for (no,) in rows])
        self.dropped["health: dropped"] += deleted
        return deleted

    def _refuse(self, kind: int) -> None:
        reason = f"{CLASS_NAMES[kind]}: refused"
        if not self.dropped[reason]:
            sentence = "%s for the cloud are refused: %d bytes are queued already; check the link, or raise outbox.max_mb"
            log.error(sentence, CLASS_NAMES[kind], self.used)
        self.dropped[reason] += 1

    def _delete(self, numbers: list[int]) -> int:
        deleted = 0
        with self._db.transaction():
            for no in numbers:
                for kind, size in self._db.do("SELECT class, LENGTH(payload) FROM outgoing WHERE no = ?", no):
                    self._db.do("DELETE FROM outgoing WHERE no = ?", no)
                    self._add(kind, -1, -size - ROW_BYTES)
                    deleted += 1
        self._held.difference_update(numbers)
        if not self.counts[RESULTS]:
            self._thinned_to, self._level = 0, 1
        return deleted

    def _add(self, kind: int, count: int, size: int) -> None:
        # The tables contain the change already; an unknown state is counted from them.
        if self._known:
            self._count[kind] += count
            self._bytes[kind] += size

    def _count_entries(self) -> None:
        if self._known:
            return
        self._count, self._bytes = [0, 0, 0], [0, 0, 0]
        for kind, count, size in self._db.do("SELECT class, COUNT(*), SUM(LENGTH(payload)) FROM outgoing GROUP BY class"):
            self._count[kind], self._bytes[kind] = count, size + ROW_BYTES * count
        self._known = True


def _rank(no: int) -> int:
    """32 bits spread evenly over any range of numbers, also of every second one, so that alternating assets are downsampled alike."""
    return no * 2_654_435_769 & 0xFFFF_FFFF  # 2^32 over the golden ratio
