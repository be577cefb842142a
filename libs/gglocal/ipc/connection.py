"""One component's connection: authentication, then operations, each on a stream of its own."""

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
from gglocal.ipc.errors import IpcError, Malformed
from gglocal.ipc.event_stream import FrameError, Packet, Splitter, encode
from gglocal.ipc.operations import OPERATIONS, Handler, Outcome
from gglocal.ipc.request import Request

log = logging.getLogger("gglocal.ipc")

MAX_UNSENT = 16 * 1024 * 1024
"""Bytes waiting for a client that does not read; beyond that it is disconnected, so that nobody else waits for it."""


class Connection(asyncio.Protocol):
    """Speaks event-stream RPC with one client; every fault of the client ends this connection alone."""

    def __init__(self, seats: ClientLimits) -> None:
        self._seats = seats
        self.component: str | None = None
        self._core = seats.core
        self._profile = seats.core.profile
        self._splitter = Splitter(self._profile.max_packet_in)
        self._streams: dict[int, Request] = {}
        self._pending: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._seats.take(self):
            log.warning("a client is turned away: all %d connections of this core are in use", self._profile.max_clients)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._seats.leave(self)
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
        except (FrameError, Malformed) as fault:
            log.warning("the connection of %s is closed: %s", self.component or "an unknown client", fault)
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def send_message(self, stream_id: int, model: str, body: bytes, *, last: bool = False) -> None:
        """Send an answer or an event; one that is too long for the profile is dropped with a log line.

        Raises:
            IpcError: it is an answer that is too long.
        """
        flags = protocol.TERMINATE_STREAM if last else 0
        packet = encode(_headers(protocol.APPLICATION_MESSAGE, flags, stream_id, model), body)
        if len(packet) > self._profile.max_packet_out:
            what = f"{model} for {self.component} has {len(packet)} bytes, over the limit of {self._profile.max_packet_out}"
            log.warning("%s, and is not sent", what)
            if model.endswith("Response"):
                raise IpcError("ServiceError", what)
            return
        self._write(packet)

    def _write(self, packet: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(packet)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("%s does not read what it subscribed to; it is disconnected", self.component)
            self.abort()

    def _packet(self, packet: Packet) -> None:
        kind, flags, stream_id = (packet.headers.get(name, 0) for name in (protocol.TYPE, protocol.FLAGS, protocol.STREAM))
        if type(kind) is not int or type(flags) is not int or type(stream_id) is not int:
            raise Malformed("message type, flags and stream id must be 32-bit integers")
        if self.component is None:
            self._connect(packet, kind, flags, stream_id)
        elif kind == protocol.PING and self._profile.answers_ping:
            self._write(encode(_headers(protocol.PING_RESPONSE, 0, 0), packet.payload))
        elif stream_id == 0:
            raise Malformed(f"a message of type {kind} on stream 0")
        elif flags & protocol.TERMINATE_STREAM:
            self._close_stream(stream_id)
        else:
            self._call(packet, kind, flags, stream_id)

    def _connect(self, packet: Packet, kind: int, flags: int, stream_id: int) -> None:
        if kind != protocol.CONNECT or stream_id != 0 or flags & protocol.FLAGS_MASK:
            raise Malformed("the first message must be a Connect on stream 0 without flags")
        version = packet.headers.get(protocol.VERSION, protocol.PROTOCOL_VERSION)
        if version != protocol.PROTOCOL_VERSION:
            raise Malformed(f"protocol version {version!r}; wanted is {protocol.PROTOCOL_VERSION}")
        told = _json_object(packet.payload)
        token, claimed = (told or {}).get("authToken"), (told or {}).get("componentName")
        component = self._core.component_of(token) if isinstance(token, str) else None
        if component is None or claimed not in (None, component):
            if self._profile.tells_refusal:
                self._write(encode(_headers(protocol.CONNECT_ACK, 0, 0)))
                assert self._transport is not None
                self._transport.close()
                self._transport = None
                log.warning("a client is refused: its SVCUID is not that of a running component")
                return
            raise Malformed("its SVCUID is not that of a running component")
        self.component = component
        self._write(encode(_headers(protocol.CONNECT_ACK, protocol.CONNECTION_ACCEPTED, 0)))

    def _call(self, packet: Packet, kind: int, flags: int, stream_id: int) -> None:
        operation = packet.headers.get(protocol.OPERATION)
        arguments = _json_object(packet.payload)
        assert self.component is not None
        request = Request(self._seats, self, stream_id, self.component, str(operation), arguments or {})
        try:
            if kind != protocol.APPLICATION_MESSAGE or flags & protocol.FLAGS_MASK or not isinstance(operation, str):
                raise IpcError("ServiceError", f"a message of type {kind} with flags {flags} calls no operation")
            if arguments is None:
                raise IpcError("ServiceError", "the payload is no JSON object")
            too_much = lite_json_limits.refusal(arguments) if self._profile.small_json else None
            if too_much:
                raise IpcError("ServiceError", too_much)
            if stream_id in self._streams:
                raise IpcError("ServiceError", f"stream {stream_id} is in use")
            name = operation.removeprefix(protocol.NAMESPACE)
            handler = OPERATIONS.get(name) if name in self._profile.operations else None
            if handler is None or not operation.startswith(protocol.NAMESPACE):
                raise IpcError("ServiceError", f"Operation {operation} is not supported by Greengrass")
            outcome = self._disturbed(request, handler)
            if inspect.isawaitable(outcome):
                self._streams[stream_id] = request
                self._later(stream_id, request, outcome)
            else:
                self._answer(stream_id, request, outcome)
        except IpcError as error:
            self._refuse(stream_id, request, error)
        except Exception as fault:
            self._failed(stream_id, request, fault)

    def _disturbed(self, request: Request, handler: Handler) -> Outcome:
        """What the handler answers, but for the faults that are in force."""
        interference, call = self._core.interference, request.call
        error = interference.refusal(*call)
        if error:
            raise IpcError(error, "a fault on demand")
        seconds = interference.answer_delay(*call)
        outcome = handler(request)
        return _after(seconds, outcome) if seconds else outcome

    def _later(self, stream_id: int, request: Request, outcome: Awaitable[dict[str, Any] | None]) -> None:
        async def finish() -> None:
            try:
                self._answer(stream_id, request, await outcome)
            except IpcError as error:
                self._refuse(stream_id, request, error)
            except Exception as fault:
                self._failed(stream_id, request, fault)

        task = asyncio.ensure_future(finish())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _answer(self, stream_id: int, request: Request, body: dict[str, Any] | None) -> None:
        if request.held:
            self._streams[stream_id] = request
        request.answer(json.dumps(body or {}).encode(), last=self._profile.ends_streams and not request.held)
        if not request.held:
            self._streams.pop(stream_id, None)

    def _refuse(self, stream_id: int, request: Request, error: IpcError) -> None:
        log.info("%s: %s is answered with %s: %s", self.component, request.operation, error.name, error.message)
        if self._streams.get(stream_id) is request:
            del self._streams[stream_id]
        request.close()
        body = {"_message": error.message, "_errorCode": error.name}
        if not self._profile.silent_errors:
            body["message"] = error.message
        headers = _headers(protocol.APPLICATION_ERROR, protocol.TERMINATE_STREAM, stream_id, protocol.NAMESPACE + error.name)
        self._write(encode(headers, json.dumps(body).encode()))

    def _failed(self, stream_id: int, request: Request, fault: Exception) -> None:
        log.error("%s: %s failed inside the nucleus", self.component, request.operation, exc_info=fault)
        self._refuse(stream_id, request, IpcError("ServiceError", f"{type(fault).__name__}: {fault}"))

    def _close_stream(self, stream_id: int) -> None:
        request = self._streams.pop(stream_id, None)
        if request is not None:
            request.close()


async def _after(seconds: float, outcome: Outcome) -> dict[str, Any] | None:
    answer = await outcome if inspect.isawaitable(outcome) else outcome
    await asyncio.sleep(seconds)
    return answer


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
    raise ValueError(f"{name} is no JSON")
