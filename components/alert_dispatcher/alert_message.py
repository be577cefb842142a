"""The alert about a change of an alarm, and its JSON. Pure."""

from __future__ import annotations

import msgspec

from edgeml.alarms.alarm_policy import MAX_NAME_BYTES, Alarm
from edgeml.cloud.outbox import MAX_ENTRY
from edgeml.messages import Alert, encode, encode_json
from edgeml.parsing.sanitize import fit, fit_end, printable, size
from edgeml.timestamps import to_iso

NUMBERING_BYTES = 64
"""Bytes that the stream and the sequence number add when an alert is published."""
_UNNUMBERED = b'"stream":"","seq":0'
"""In the JSON of an alert that is not published yet. Inside a text its quotation marks would be escaped."""


def alert_json(alarm: Alarm, at: int, model_version: str, why: str) -> bytes:
    """Encode the alert, and shorten its texts if it would not fit into a message.

    Args:
        at: event time of the change, ns.
    """
    by, sentence = (printable(" ".join(text.split())) for text in (alarm.acknowledged_by, why))
    note = printable(alarm.note)
    alert = Alert(
        id=alarm.id,
        asset=alarm.asset,
        stream="",
        seq=0,
        model=alarm.model,
        model_version=model_version,
        state=alarm.state,
        at=to_iso(at),
        raised_at=None if alarm.raised_at is None else to_iso(alarm.raised_at),
        cleared_at=None if alarm.cleared_at is None else to_iso(alarm.cleared_at),
        confidence=alarm.confidence,
        peak_confidence=alarm.peak,
        why=sentence,
        acknowledged_by=by,
        note=note,
    )
    encoded = encode_json(alert)
    room = MAX_ENTRY - NUMBERING_BYTES - (len(encoded) - size(sentence) - size(by) - size(note))
    short_by, short_sentence = fit(by, min(MAX_NAME_BYTES, room // 4)), fit(sentence, room // 3)
    short_note = fit_end(note, room - size(short_by) - size(short_sentence))
    if (short_by, short_sentence, short_note) == (by, sentence, note):
        return encoded
    return encode_json(msgspec.structs.replace(alert, why=short_sentence, acknowledged_by=short_by, note=short_note))


def numbered(alert: Alert, encoded: bytes, stream: str, seq: int) -> bytes:
    """The JSON of an alert with its stream and sequence number.

    Args:
        encoded: JSON of `alert` without them.
        stream: letters and digits.
    """
    if encoded.count(_UNNUMBERED) == 1:
        return encoded.replace(_UNNUMBERED, b'"stream":"%s","seq":%d' % (stream.encode(), seq))
    return encode(msgspec.structs.replace(alert, stream=stream, seq=seq))
