"""The IPC server of a nucleus on an event loop in its own thread, with real awsiotsdk clients."""

from __future__ import annotations

import asyncio
import queue
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage

from gglocal.core.state import NucleusState
from gglocal.iot_core import IoTCore, open_iot_core
from gglocal.ipc import IpcServer, event_stream, protocol
from gglocal.profile import LITE, Profile
from tests.patience import PATIENCE_S

EVERYTHING = {
    "aws.greengrass.ipc.pubsub": {"all": {"operations": ["*"], "resources": ["*"]}},
    "aws.greengrass.ipc.mqttproxy": {"all": {"operations": ["*"], "resources": ["*"]}},
}

T = TypeVar("T")


class World:
    """The running IPC part of a nucleus."""

    def __init__(self, profile: Profile = LITE, iot: IoTCore | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gg"))
        self.socket_path = self.folder / "ipc.socket"
        self.record = self.folder / "iot-core.jsonl"
        self.core = NucleusState(
            profile=profile, thing_name="a-thing", iot=iot or open_iot_core("recorder", client_id="x", record=self.record)
        )
        self.server = IpcServer(self.core, self.socket_path)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._clients: list[GreengrassCoreIPCClientV2] = []
        self.wait(self.core.iot.start())
        self.wait(self.server.start())

    def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of something that runs on the nucleus's loop."""

        async def run() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def do(self, call: Callable[..., T], *args: Any, **more: Any) -> T:
        """Call something on the nucleus's loop."""

        async def run() -> T:
            return call(*args, **more)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def token(self, component: str = "com.test.One", access_control: Any = EVERYTHING) -> str:
        return self.do(self.core.register, component, "1.0.0", access_control)

    def client(
        self, component: str = "com.test.One", access_control: Any = EVERYTHING, *, token: str | None = None
    ) -> GreengrassCoreIPCClientV2:
        """A connected client; `token` for one more connection of a component."""
        token = token or self.token(component, access_control)
        client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=str(self.socket_path), authtoken=token))
        self._clients.append(client)
        return client

    def raw(self, token: str | None = None) -> RawClient:
        """A bare socket; connected to the service where a token is given."""
        return RawClient(self.socket_path, token)

    def close(self) -> None:
        for client in self._clients:
            client.close().exception(PATIENCE_S)
        self.wait(self.server.close())
        self.wait(self.core.iot.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def world(profile: Profile = LITE, iot: IoTCore | None = None) -> Iterator[World]:
    made = World(profile, iot)
    try:
        yield made
    finally:
        made.close()


class RawClient:
    """Writes and reads packets, or any bytes, on the socket."""

    def __init__(self, path: Path, token: str | None) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self._splitter = event_stream.Splitter(1 << 24)
        self._read: list[event_stream.Packet] = []
        if token is not None:
            self.send(protocol.CONNECT, 0, b'{"authToken": "%s"}' % token.encode(), **{":version": "0.1.0"})
            assert self.receive().headers[protocol.FLAGS] == protocol.CONNECTION_ACCEPTED

    def send(self, kind: int, stream: int, payload: bytes = b"", flags: int = 0, **headers: Any) -> None:
        common = {protocol.TYPE: kind, protocol.FLAGS: flags, protocol.STREAM: stream}
        self.socket.sendall(event_stream.encode({**common, **headers}, payload))

    def call(self, stream: int, operation: str, payload: bytes) -> event_stream.Packet:
        self.send(protocol.APPLICATION_MESSAGE, stream, payload, operation="aws.greengrass#" + operation)
        return self.receive()

    def receive(self) -> event_stream.Packet:
        while not self._read:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError("the server closed the connection")
            self._read += self._splitter.feed(data)
        return self._read.pop(0)

    def closed(self) -> bool:
        """Whether the server ends the connection, before the deadline."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


class Inbox:
    """The events of one subscription, in order."""

    def __init__(self) -> None:
        self._events: queue.Queue[Any] = queue.Queue()

    def __call__(self, event: Any) -> None:
        self._events.put(event)

    def take(self) -> Any:
        return self._events.get(timeout=PATIENCE_S)

    def payload(self) -> bytes:
        return self.take().binary_message.message

    def empty(self) -> bool:
        return self._events.empty()


def binary(payload: bytes) -> PublishMessage:
    return PublishMessage(binary_message=BinaryMessage(message=payload))
