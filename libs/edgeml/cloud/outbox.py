"""What is to go to the cloud, kept in SQLite until it is proved to have arrived.

The tables are in the caller's own database, so that an entry is written in the same transaction as what it tells of. This module neither
sends (that is `edgeml.cloud.sender`) nor opens files. Three classes: alerts before health before results, oldest first within a class.
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
"""The classes, the most important first."""
CLASS_NAMES = ("alerts", "health", "results")
PROOF = 12
"""Bytes of an id that nobody can guess: 24 hex digits."""
ENVELOPE = 130
"""Bytes that `OutboxMessage.message` adds at most."""
MAX_ENTRY = MAX_PAYLOAD - ENVELOPE
ROW = 120
"""Bytes that an entry takes on disk besides its payload, about."""
AT_ONCE = 64
"""Entries that one step of thinning takes away at most: it must be short, and touch few pages of a flash."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS outgoing (no INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, topic TEXT NOT NULL,"
    " event_ns INTEGER NOT NULL, queued_s REAL NOT NULL, boot TEXT NOT NULL, payload BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outgoing_order ON outgoing (class, no)",
    "CREATE TABLE IF NOT EXISTS outgoing_id (id TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outgoing_key (key TEXT NOT NULL)",
)
_UNSOUND = (
    "no <= 0 OR typeof(class) <> 'integer' OR class NOT BETWEEN 0 AND 2 OR typeof(event_ns) <> 'integer' OR typeof(queued_s) <> 'real'"
    " OR typeof(topic) <> 'text' OR topic GLOB '*[^ -~]*' OR topic GLOB '*[+#]*' OR typeof(boot) <> 'text' OR boot GLOB '*[^ -~]*'"
    " OR typeof(payload) <> 'blob' OR LENGTH(payload) < 2 OR SUBSTR(payload, 1, 1) <> x'7b' OR SUBSTR(payload, -1) <> x'7d'"
)
"""What this module has not written: one damaged row must not keep all others here."""

CONFIRMATIONS = ("acknowledgement", "echo")


class ConfirmationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as delivered: the nucleus's acknowledgement, or the message itself, heard from IoT Core."""

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
    """How what goes to the cloud is kept and sent."""

    confirmation: ConfirmationOptions = ConfirmationOptions()
    echo_s: Annotated[float, Meta(ge=0.1, le=3600, description="s of the clock until a message without an echo is sent again")] = 10.0
    late_after_s: Annotated[float, Meta(ge=0, description="s of the clock after which a message that waits is late")] = 10.0
    backlog_rate: Annotated[float, Meta(gt=0, le=1000, description="late messages a second, at most")] = 20.0
    max_mb: Annotated[float, Meta(ge=0.1, le=100_000, description="MB of messages that may wait")] = 64.0
    keep_free_mb: Annotated[float, Meta(ge=0, description="MB of the disk to be left free: with less, no more results are kept")] = 32.0
    reserve_alerts: Annotated[int, Meta(ge=0, le=10_000, description="alerts for which room is kept, on a full disk too")] = 500


class OutboxMessage(NamedTuple):
    """`queued_s` and `boot` say when it was put here by the system's monotonic clock."""

    no: int
    topic: str
    event_ns: int
    queued_s: float
    boot: str
    payload: bytes

    def message(self, entry_id: str, late: bool) -> bytes:
        """The payload, a JSON object, with `entry`, and for a late one `late` and `event_at` besides."""
        tail = b',"entry":"%s"' % entry_id.encode()
        if late:
            tail += b',"late":true,"event_at":"%s"' % to_iso(self.event_ns).encode()
        return self.payload[:-1] + tail + b"}"


def entry_id(outbox: str, key: str, entry: OutboxMessage) -> str:
    """The id that an entry carries, `OUTBOX-NUMBER-PROOF`: the same at each sending, and known to those alone who have seen the message.

    Args:
        outbox: the id of the outbox.
        key: its secret, text, by which the proof follows from what is sent.
    """
    what = b"%d\n%s\n%s" % (entry.no, entry.topic.encode(), entry.payload)
    return f"{outbox}-{entry.no}-{hmac.digest(key.encode(), what, 'sha256')[:PROOF].hex()}"


def same_id(one: str, other: str) -> bool:
    """Whether two ids are the same; how alike they are does not show in the time that it takes."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


class Database(Protocol):
    """What keeps the tables."""

    def do(self, sql: str, *values: Any) -> list[Any]:
        """Run one statement."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All inside or nothing; one inside another is part of it. Whoever rolls back calls `Outbox.rolled_back`."""
        ...


class Outbox:
    """Entries in order, within the quota of `options`.

    Where the quota is used up, results are thinned first: from the oldest to the newest every second one, then of what is left again; then
    health, the oldest first. Alerts are never given up: they may go over the quota up to `reserve_alerts`, and beyond that they are
    refused.

    Attributes:
        short: set by the owner while the disk is short: until then the quota is what is used already.
        dropped: by reason, what was thinned out or refused since the process began.
    """

    def __init__(self, database: Database, options: OutboxOptions, monotonic: Callable[[], float]) -> None:
        self._db, self._monotonic = database, monotonic
        self._seldom = RateLimitedLog(log, monotonic)
        self._most, self._reserve = int(options.max_mb * 1e6), options.reserve_alerts
        self.dropped: Counter[str] = Counter()
        for table in _TABLES:
            database.do(table)
        ((unsound,),) = database.do(f"SELECT COUNT(*) FROM outgoing WHERE {_UNSOUND}")
        if unsound:
            log.error("%d messages for the cloud cannot be read and are left out", unsound)
            database.do(f"DELETE FROM outgoing WHERE {_UNSOUND}")
        self.id, self._key = self._random("id", 16), self._random("key", 64)
        self._held: set[int] = set()
        self._count, self._bytes = [0, 0, 0], [0, 0, 0]
        self._known = False
        self._thinned_to, self._level = 0, 1
        self._at_most: int | None = None

    def _random(self, name: str, digits: int) -> str:
        """What is drawn once for this outbox, in hex."""
        do, table = self._db.do, f"outgoing_{name}"
        do(f"DELETE FROM {table} WHERE typeof({name}) <> 'text' OR LENGTH({name}) <> {digits} OR {name} GLOB '*[^0-9a-f]*'")
        do(f"INSERT INTO {table} SELECT ? WHERE NOT EXISTS (SELECT 1 FROM {table})", secrets.token_hex(digits // 2))
        ((drawn,),) = do(f"SELECT {name} FROM {table} LIMIT 1")
        return str(drawn)

    # -- what waits

    @property
    def counts(self) -> tuple[int, ...]:
        """Entries of each class."""
        self._look()
        return tuple(self._count)

    @property
    def used(self) -> int:
        """Bytes of all entries, about."""
        self._look()
        return sum(self._bytes)

    @property
    def most(self) -> int:
        """Bytes that may be used."""
        return self._most if self._at_most is None else self._at_most

    @property
    def short(self) -> bool:
        return self._at_most is not None

    @short.setter
    def short(self, short: bool) -> None:
        if short != self.short:
            self._at_most = min(self._most, self.used) if short else None

    # -- in

    def put(self, kind: int, topic: str, payload: bytes, event_ns: int, *, hold: bool = False) -> int | None:
        """Keep a message, a JSON object; returns its number, or None if it is refused.

        Args:
            event_ns: event time of what it tells.
            hold: it is not to be sent before `release`, so that more can be put into it by `rewrite`.
        """
        if len(payload) > MAX_ENTRY:
            self._seldom.error(
                "a message of %d bytes for %s is not kept: %d at most; shorten the names in it", len(payload), topic, MAX_ENTRY
            )
            self.dropped[f"{CLASS_NAMES[kind]}: too large"] += 1
            return None
        size = len(payload) + ROW
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
        """Another payload for an entry that is held; False if it was thinned out, or undone with its transaction."""
        if no not in self._held:
            return False
        ((kind, before),) = self._db.do("SELECT class, LENGTH(payload) FROM outgoing WHERE no = ?", no) or ((0, None),)
        if before is None:
            return False
        self._db.do("UPDATE outgoing SET payload = ? WHERE no = ?", payload, no)
        self._add(kind, 0, len(payload) - before)
        return True

    def release(self, no: int) -> None:
        """An entry that was held may be sent."""
        self._held.discard(no)

    def rolled_back(self) -> None:
        """A transaction was undone: what is remembered of the tables is not true any more."""
        self._known = False
        self._held.clear()

    # -- out

    def first(self, kind: int, after: int = 0) -> OutboxMessage | None:
        """The oldest of a class past the number `after`, unless it is held."""
        if self._known and not self._count[kind]:
            return None
        rows = self._db.do(
            "SELECT no, topic, event_ns, queued_s, boot, payload FROM outgoing WHERE class = ? AND no > ? ORDER BY no LIMIT 1", kind, after
        )
        return OutboxMessage(*rows[0]) if rows and rows[0][0] not in self._held else None

    def entry(self, no: int) -> OutboxMessage | None:
        """One of them, if it is still here."""
        rows = self._db.do("SELECT no, topic, event_ns, queued_s, boot, payload FROM outgoing WHERE no = ?", no)
        return OutboxMessage(*rows[0]) if rows else None

    def delivered(self, no: int) -> bool:
        """It is proved to have arrived; False if it was not here any more."""
        return self._delete([no]) > 0

    def id_of(self, entry: OutboxMessage) -> str:
        """The id that an entry carries, see `entry_id`."""
        return entry_id(self.id, self._key, entry)

    def number_of(self, given: str) -> int | None:
        """The number of the entry that has this id, if it still waits here; None for any other text, a guessed one too."""
        own, no, *_ = [*given.split("-"), ""]
        if own != self.id or not (no.isascii() and no.isdigit() and len(no) < 19):
            return None
        entry = self.entry(int(no))
        return entry.no if entry is not None and same_id(self.id_of(entry), given) else None

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
        """Takes away a few results: on the way from the oldest to the newest all but those of the level; at the end the level rises."""
        while self._level <= 32:
            rows = self._db.do("SELECT no FROM outgoing WHERE class = ? AND no > ? ORDER BY no LIMIT ?", RESULTS, self._thinned_to, AT_ONCE)
            if not rows:
                self._level, self._thinned_to = self._level + 1, 0
                continue
            self._thinned_to = rows[-1][0]
            gone = self._delete([no for (no,) in rows if _rank(no) >> (32 - self._level)])
            if gone:
                self.dropped["results: thinned out"] += gone
                return gone
        self._level = 1
        return 0

    def _drop_oldest_health(self) -> int:
        rows = self._db.do("SELECT no FROM outgoing WHERE class = ? ORDER BY no LIMIT ?", HEALTH, AT_ONCE)
        gone = self._delete([no for (no,) in rows])
        self.dropped["health: given up"] += gone
        return gone

    def _refuse(self, kind: int) -> None:
        reason = f"{CLASS_NAMES[kind]}: refused"
        if not self.dropped[reason]:
            sentence = "%s for the cloud are refused: %d bytes wait already; see to the link, or raise outbox.max_mb"
            log.error(sentence, CLASS_NAMES[kind], self.used)
        self.dropped[reason] += 1

    def _delete(self, numbers: list[int]) -> int:
        gone = 0
        with self._db.transaction():
            for no in numbers:
                for kind, size in self._db.do("SELECT class, LENGTH(payload) FROM outgoing WHERE no = ?", no):
                    self._db.do("DELETE FROM outgoing WHERE no = ?", no)
                    self._add(kind, -1, -size - ROW)
                    gone += 1
        self._held.difference_update(numbers)
        if not self.counts[RESULTS]:
            self._thinned_to, self._level = 0, 1
        return gone

    def _add(self, kind: int, count: int, size: int) -> None:
        # The change is in the tables already: where nothing is known yet, it is counted with them.
        if self._known:
            self._count[kind] += count
            self._bytes[kind] += size

    def _look(self) -> None:
        if self._known:
            return
        self._count, self._bytes = [0, 0, 0], [0, 0, 0]
        for kind, count, size in self._db.do("SELECT class, COUNT(*), SUM(LENGTH(payload)) FROM outgoing GROUP BY class"):
            self._count[kind], self._bytes[kind] = count, size + ROW * count
        self._known = True


def _rank(no: int) -> int:
    """32 bits that spread evenly over any run of numbers, of every second one too: assets that take turns are thinned alike."""
    return no * 2_654_435_769 & 0xFFFF_FFFF  # 2^32 over the golden ratio
