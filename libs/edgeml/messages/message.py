"""The base of all messages, and the limits that the transport sets."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from edgeml.errors import MessageError

MAX_PAYLOAD = 6_800
"""Maximum bytes of a message. With its signature it stays below 7,000 bytes; Nucleus Lite closes the connection at about 7,300."""

Name = Annotated[str, Meta(max_length=128)]
"""Name of an asset, a component, a model, a stream or an alarm. A received message with a longer name is refused, because the alert or
the results derived from it must fit into one message too."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Fields and constants common to all messages.

    Attributes:
        v: version of the message type. Raise `VERSION` when a reader of the previous version would misread the message; a new
            optional field does not raise it.
    """

    VERSION: ClassVar[int] = 1
    BINARY: ClassVar[bool] = False
    """Sent as MessagePack; all other messages are sent as JSON."""
    v: int = 1


def check_length(message: Message, field: str, actual: int, expected: int) -> None:
    """Raise MessageError unless a column has its expected length."""
    if actual != expected:
        raise MessageError(
            f"{message.__struct_config__.tag}: `{field}` has length {actual}, expected {expected}; the sender packed it wrongly"
        )
