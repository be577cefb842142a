"""One client connection: authentication, then operations, each on its own stream."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable
from typing import Any

from gglocal.core import lite_json_limits
from gglocal.ipc import protocol
from gglocal.ipc.client_limits import ClientLimits
from gglocal.ipc.errors import IpcError, ProtocolError
from gglocal.ipc.event_stream import FrameError, Packet, Splitter, encode
from gglocal.ipc.operation import Handler, Outcome
from gglocal.ipc.operations import OPERATIONS
from gglocal.ipc.request import Request

log = logging.getLogger("gglocal.ipc")

MAX_UNSENT = 16 * 1024 * 1024
"""Bytes buffered for a client that does not read; a client that exceeds it is disconnected."""


class Connection(asyncio.Protocol):
    """Serves event-stream RPC to one client; a protocol violation closes only this connection."""

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self.component: str | None = None
        self._core = limits.core
        self._profile = limits.core.profile
        self._splitter = Splitter(self._profile.max_packet_in)
        self._streams: dict[int, Request] = {}
        self._pending: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._limits.add(self):
            log.warning("client refused: all %d connections of this nucleus are in use", self._profile.max_clients)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._limits.remove(self)
        for task in self._pending:
            task.cancel()
        for stream_id in list(self._streams):
            self._close_stream(stream_id)

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._splitter.feed(data):
                self._packet(packet)
                if self._transport is None:
                    return
        except (FrameError, ProtocolError) as error:
            log.warning("connection of %s closed: %s", self.component or "an unknown client", error)
            self.abort()

    def abort(self) -> None:
        """Close immediately."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def send_message(self, stream_id: int, model: str, body: bytes, *, last: bool = False) -> None:
        """Send a response or an event; an event that exceeds the profile's limit is dropped with a warning.

        Raises:
            IpcError: a response exceeds the limit.
        """
        flags = protocol.TERMINATE_STREAM if last else 0
        packet = encode(_headers(protocol.APPLICATION_MESSAGE, flags, stream_id, model), body)
        if len(packet) > self._profile.max_packet_out:
            reason = f"{model} for {self.component} has {len(packet)} bytes, the limit is {self._profile.max_packet_out}"
            log.warning("message dropped: %s", reason)
            if model.endswith("Response"):
                raise IpcError("ServiceError", reason)
            return
        self._write(packet)

    def _write(self, packet: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(packet)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("%s disconnected: it does not read its events", self.component)
            self.abort()

    def _packet(self, packet: Packet) -> None:
        kind, flags, stream_id = (packet.headers.get(name, 0) for name in (protocol.TYPE, protocol.FLAGS, protocol.STREAM))
        if type(kind) is not int or type(flags) is not int or type(stream_id) is not int:
            raise ProtocolError("message type, flags and stream id must be 32-bit integers")
        if self.component is None:
            self._connect(packet, kind, flags, stream_id)
        elif kind == protocol.PING and self._profile.answers_ping:
            self._write(encode(_headers(protocol.PING_RESPONSE, 0, 0), packet.payload))
        elif stream_id == 0:
            raise ProtocolError(f"a message of type {kind} on stream 0")
        elif flags & protocol.TERMINATE_STREAM:
            self._close_stream(stream_id)
        else:
            self._call(packet, kind, flags, stream_id)

    def _connect(self, packet: Packet, kind: int, flags: int, stream_id: int) -> None:
        if kind != protocol.CONNECT or stream_id != 0 or flags & protocol.FLAGS_MASK:
            raise ProtocolError("the first message must be a Connect on stream 0 without flags")
        version = packet.headers.get(protocol.VERSION, protocol.PROTOCOL_VERSION)
        if version != protocol.PROTOCOL_VERSION:
            raise ProtocolError(f"unsupported protocol version {version!r}; expected {protocol.PROTOCOL_VERSION}")
        payload = _json_object(packet.payload) or {}
        token, claimed = payload.get("authToken"), payload.get("componentName")
        component = self._core.component_of(token) if isinstance(token, str) else None
        if component is None or claimed not in (None, component):
            if self._profile.acknowledges_refusal:
                self._write(encode(_headers(protocol.CONNECT_ACK, 0, 0)))
                assert self._transport is not None
                self._transport.close()
                self._transport = None
                log.warning("client refused: its SVCUID does not belong to a running component")
                return
            raise ProtocolError("its SVCUID does not belong to a running component")
        self.component = component
        self._write(encode(_headers(protocol.CONNECT_ACK, protocol.CONNECTION_ACCEPTED, 0)))

    def _call(self, packet: Packet, kind: int, flags: int, stream_id: int) -> None:
        operation = packet.headers.get(protocol.OPERATION)
        arguments = _json_object(packet.payload)
        assert self.component is not None
        name = str(operation).removeprefix(protocol.NAMESPACE) if str(operation).startswith(protocol.NAMESPACE) else ""
        record = OPERATIONS.get(name)
        service = record.service if record else ""
        request = Request(self._limits, self, stream_id, self.component, str(operation), service, arguments or {})
        try:
            if kind != protocol.APPLICATION_MESSAGE or flags & protocol.FLAGS_MASK or not isinstance(operation, str):
                raise IpcError("ServiceError", f"a message of type {kind} with flags {flags} does not call an operation")
            if arguments is None:
                raise IpcError("ServiceError", "the payload is not a JSON object")
            exceeded = lite_json_limits.refusal(arguments) if self._profile.small_json else None
            if exceeded:
                raise IpcError("ServiceError", exceeded)
            if stream_id in self._streams:
                raise IpcError("ServiceError", f"stream {stream_id} is in use")
            if record is None or self._profile.name not in record.profiles:
                raise IpcError("ServiceError", f"Operation {operation} is not supported by Greengrass")
            outcome = self._call_handler(request, record.handler)
            if inspect.isawaitable(outcome):
                self._streams[stream_id] = request
                self._respond_later(stream_id, request, outcome)
            else:
                self._respond(stream_id, request, outcome)
        except IpcError as error:
            self._refuse(stream_id, request, error)
        except Exception as error:
            self._fail(stream_id, request, error)

    def _call_handler(self, request: Request, handler: Handler) -> Outcome:
        """Call the handler, subject to the active faults."""
        injector, call = self._core.fault_injector, request.call
        error = injector.refusal(*call)
        if error:
            raise IpcError(error, "injected fault")
        seconds = injector.response_delay(*call)
        outcome = handler(request)
        return _delayed(outcome, seconds) if seconds else outcome

    def _respond_later(self, stream_id: int, request: Request, outcome: Awaitable[dict[str, Any] | None]) -> None:
        async def finish() -> None:
            try:
                self._respond(stream_id, request, await outcome)
            except IpcError as error:
                self._refuse(stream_id, request, error)
            except Exception as error:
                self._fail(stream_id, request, error)

        task = asyncio.ensure_future(finish())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _respond(self, stream_id: int, request: Request, body: dict[str, Any] | None) -> None:
        if request.is_subscription:
            self._streams[stream_id] = request
        request.respond(json.dumps(body or {}).encode(), last=self._profile.ends_streams and not request.is_subscription)
        if not request.is_subscription:
            self._streams.pop(stream_id, None)

    def _refuse(self, stream_id: int, request: Request, error: IpcError) -> None:
        log.info("%s: %s refused with %s: %s", self.component, request.operation, error.name, error.message)
        if self._streams.get(stream_id) is request:
            del self._streams[stream_id]
        request.close()
        body = {"_message": error.message, "_errorCode": error.name}
        if not self._profile.omits_error_messages:
            body["message"] = error.message
        headers = _headers(protocol.APPLICATION_ERROR, protocol.TERMINATE_STREAM, stream_id, protocol.NAMESPACE + error.name)
        self._write(encode(headers, json.dumps(body).encode()))

    def _fail(self, stream_id: int, request: Request, error: Exception) -> None:
        log.error("%s: %s failed with an internal error", self.component, request.operation, exc_info=error)
        self._refuse(stream_id, request, IpcError("ServiceError", f"{type(error).__name__}: {error}"))

    def _close_stream(self, stream_id: int) -> None:
        request = self._streams.pop(stream_id, None)
        if request is not None:
            request.close()


async def _delayed(outcome: Outcome, seconds: float) -> dict[str, Any] | None:
    response = await outcome if inspect.isawaitable(outcome) else outcome
    await asyncio.sleep(seconds)
    return response


def _headers(kind: int, flags: int, stream_id: int, model: str | None = None) -> dict[str, Any]:
    headers: dict[str, Any] = {protocol.TYPE: kind, protocol.FLAGS: flags, protocol.STREAM: stream_id}
    if model is not None:
        headers[protocol.CONTENT_TYPE] = protocol.JSON
        headers[protocol.MODEL_TYPE] = model
    return headers


def _json_object(payload: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
