"""Encoding and decoding of messages: MessagePack for blocks of rows, JSON for all others.

A message of either form is decoded. Unknown fields are ignored; a message of an unknown version is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from edgeml.errors import MessageError, NewerVersionError
from edgeml.messages.message import Message
from edgeml.messages.signature_line import strip_signature

M = TypeVar("M", bound=Message)
_packer = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Encode the message for the bus: MessagePack for blocks of rows, JSON for all others."""
    return _packer.encode(message) if message.BINARY else encode_json(message)


def encode_json(message: Message) -> bytes:
    """Encode the message as JSON text."""
    return msgspec.json.encode(message)


class _Header(msgspec.Struct):
    type: str = ""
    v: int = 1


class Decoder:
    """Decodes messages of the given types."""

    def __init__(self, types: Sequence[type[Message]]) -> None:
        union: Any = types[0]
        for kind in types[1:]:
            union = union | kind
        self._versions = {str(kind.__struct_config__.tag): kind.VERSION for kind in types}
        self._msgpack, self._json = msgspec.msgpack.Decoder(union), msgspec.json.Decoder(union)

    def decode(self, payload: bytes) -> Message:
        """Decode a message in MessagePack or JSON. A signature line before it is skipped; `edgeml.auth.verifier` verifies signatures.

        Raises:
            NewerVersionError: this library does not know the message's version.
            MessageError: not a message of this suite.
        """
        payload = strip_signature(payload)
        is_json = payload[:1] == b"{"
        try:
            message: Message = (self._json if is_json else self._msgpack).decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            raise self._explain(payload, is_json, fault) from None
        if message.v > message.VERSION:
            raise _newer(message.__struct_config__.tag, message.v, message.VERSION)
        return message

    def decode_as(self, kind: type[M], payload: bytes) -> M:
        """Decode a message that must be of type `kind`.

        Raises:
            MessageError: as `decode`, or it has another type.
        """
        message = self.decode(payload)
        if not isinstance(message, kind):
            tag, expected = message.__struct_config__.tag, kind.__struct_config__.tag
            raise MessageError(f"received a {tag} message, expected {expected}; check the topic")
        return message

    def _explain(self, payload: bytes, is_json: bool, fault: Exception) -> MessageError:
        try:
            header = msgspec.json.decode(payload, type=_Header) if is_json else msgspec.msgpack.decode(payload, type=_Header)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return MessageError(f"{len(payload)} bytes that are not a message of this suite ({fault}); find out what else publishes here")
        known = self._versions.get(header.type)
        if known is None:
            return MessageError(f"unknown message type {header.type!r}; known types: {', '.join(self._versions)}")
        if header.v > known:
            return _newer(header.type, header.v, known)
        return MessageError(f"malformed {header.type} message: {fault}")


def _newer(tag: object, version: int, known: int) -> NewerVersionError:
    return NewerVersionError(f"{tag} message of version {version}; this component supports up to {known}, update it")
