"""The messages of the suite: declared types, one module per family, and the table of all types.

Blocks of rows (`SensorBatch`, `ResultBlock`) carry packed little-endian columns, so that one decode and a few `numpy.frombuffer` give
arrays. The other messages carry plain fields and ISO 8601 times, so that a person with a command line, or a program in any language, can
read and write them.

To add a message, declare it in the module of its family and add it to `MESSAGES`.
"""

from __future__ import annotations

from edgeml.messages.alerts import Acknowledge, Alert
from edgeml.messages.codec import Decoder, encode, encode_json
from edgeml.messages.commands import Command, CommandAck, Permit, Release
from edgeml.messages.control import ResetBaseline
from edgeml.messages.health import Health, Status, UnscoredAsset
from edgeml.messages.message import MAX_PAYLOAD, Message, Name
from edgeml.messages.quality import AHEAD, BACKWARDS, GAP, GOOD, IMPLAUSIBLE_TIME, MISSING, OUT_OF_RANGE, QUALITY_NAMES, STUCK
from edgeml.messages.replay import KeepAlive, ReplayRequest, ReplayStart
from edgeml.messages.results import MAX_EXPLANATIONS, ResultBlock, ResultColumns, packed_explanations
from edgeml.messages.sensor import SensorBatch
from edgeml.messages.signature_line import strip_signature

__all__ = [
    "AHEAD",
    "BACKWARDS",
    "GAP",
    "GOOD",
    "IMPLAUSIBLE_TIME",
    "MAX_EXPLANATIONS",
    "MAX_PAYLOAD",
    "MESSAGES",
    "MISSING",
    "OUT_OF_RANGE",
    "QUALITY_NAMES",
    "STUCK",
    "Acknowledge",
    "Alert",
    "Command",
    "CommandAck",
    "Health",
    "KeepAlive",
    "Message",
    "Name",
    "UnscoredAsset",
    "Permit",
    "Release",
    "ReplayRequest",
    "ReplayStart",
    "ResetBaseline",
    "ResultBlock",
    "ResultColumns",
    "SensorBatch",
    "Status",
    "decode",
    "decode_as",
    "encode",
    "encode_json",
    "packed_explanations",
    "strip_signature",
]

MESSAGES: tuple[type[Message], ...] = (
    SensorBatch,
    ResultBlock,
    Alert,
    Acknowledge,
    Command,
    CommandAck,
    Release,
    Permit,
    ReplayRequest,
    ReplayStart,
    KeepAlive,
    ResetBaseline,
    Status,
    Health,
)
_decoder = Decoder(MESSAGES)
decode = _decoder.decode
decode_as = _decoder.decode_as
