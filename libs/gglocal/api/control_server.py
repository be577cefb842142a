"""The control socket of a running nucleus, for the command line: one request, then its responses, as JSON lines."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gglocal.api.assembly import NucleusAssembly
from gglocal.core.pubsub import Message
from gglocal.core.state import Delivery
from gglocal.deployment.queue import DeploymentRequest
from gglocal.errors import GglocalError, NucleusError
from gglocal.faults import FAULTS
from gglocal.iot_core import Offline
from gglocal.root_dir import Root
from gglocal.topic_filter import matches

log = logging.getLogger("gglocal")

_MAX_LINE = 16 * 1024 * 1024
_CONNECT_TIMEOUT_S = 5.0


class ControlServer:
    """Serves requests to one nucleus, on its event loop."""

    def __init__(self, nucleus: NucleusAssembly, path: Path) -> None:
        self._nucleus, self._path = nucleus, path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=_MAX_LINE)
        self._path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = json.loads(await reader.readline())
            handler = COMMANDS.get(request.get("command"))
            if handler is None:
                raise NucleusError(f"unknown request {request.get('command')!r}; known requests: {', '.join(COMMANDS)}")
            async with aclosing(handler(self._nucleus, request)) as responses:
                async for response in responses:
                    await _send(writer, {"response": response})
            await _send(writer, {"end": True})
        except (GglocalError, Offline) as error:
            await _send(writer, {"error": str(error) or "there is no connection to IoT Core"})
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:
            log.exception("request on the control socket failed")
            await _send(writer, {"error": f"internal error of the nucleus: {error!r}"})
        finally:
            self._tasks.discard(task)
            writer.close()


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()


async def _components(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    name = request.get("name")
    for status in [nucleus.engine.status_of(name)] if name else nucleus.engine.status():
        yield status.as_dict()


async def _restart(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    await nucleus.engine.supervisor.restart(request["name"])
    yield nucleus.engine.status_of(request["name"]).as_dict()


async def _stop(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    await nucleus.engine.supervisor.stop(request["name"])
    yield nucleus.engine.status_of(request["name"]).as_dict()


async def _deploy(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    recipe_dirs, artifact_dirs = ([Path(each) for each in request[key]] for key in ("recipe_dirs", "artifact_dirs"))
    yield await nucleus.engine.deploy(recipe_dirs, artifact_dirs, request["merge"], request["config"], configured_as_roots=True)


async def _create_deployment(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    recipe_dirs, artifact_dirs = (tuple(Path(each) for each in request[key]) for key in ("recipe_dirs", "artifact_dirs"))
    deployment = DeploymentRequest(
        merge=request["merge"],
        remove=tuple(request["remove"]),
        config=request["config"],
        recipe_dirs=recipe_dirs,
        artifact_dirs=artifact_dirs,
        on_failure=request["on_failure"],
    )
    yield nucleus.deployments.create(deployment).as_dict()


async def _deployments(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    deployment = request.get("id")
    for each in [nucleus.deployments.find(deployment)] if deployment else nucleus.deployments.all():
        yield each.as_dict()


async def _publish(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    if "json" in request:
        message = Message(True, request["json"])
    else:
        message = Message(False, request["payload"])
    subscriptions = None
    if request.get("iot"):
        nucleus.engine.publish_iot(request["topic"], message.payload())
    else:
        subscriptions = nucleus.engine.publish(request["topic"], message)
    yield {"topic": request["topic"], "bytes": len(message.payload()), "subscriptions": subscriptions}


async def _subscribe(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def receive(topic: str, payload: bytes, sender: str | None = None) -> None:
        text = base64.b64encode(payload).decode()
        received.put_nowait({"topic": topic, "payload": text, "sender": sender, "at": nucleus.engine.core.clock()})

    def receive_local(delivery: Delivery) -> None:
        if delivery.kind == "local" and matches(request["filter"], delivery.topic):
            receive(delivery.topic, delivery.payload, delivery.sender)

    end = (
        await nucleus.engine.core.iot.subscribe(request["filter"], 1, receive)
        if request.get("iot")
        else nucleus.engine.core.tap(receive_local)
    )
    try:
        yield {"subscribed": request["filter"]}
        while True:
            yield await received.get()
    finally:
        end()


async def _fault(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    yield asdict(await nucleus.faults.begin(request["name"], request["options"])) | {"effect": FAULTS[request["name"]].effect}


async def _end_fault(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    if request["number"] is None:
        nucleus.faults.end_all()
    else:
        nucleus.faults.end(request["number"])
    yield None


async def _faults(nucleus: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    for active in nucleus.faults.active():
        yield asdict(active)


COMMANDS: dict[str, Callable[[NucleusAssembly, dict[str, Any]], AsyncGenerator[Any, None]]] = {
    "components": _components,
    "restart": _restart,
    "stop": _stop,
    "deploy": _deploy,
    "create-deployment": _create_deployment,
    "deployments": _deployments,
    "publish": _publish,
    "subscribe": _subscribe,
    "fault": _fault,
    "end-fault": _end_fault,
    "faults": _faults,
}


def send_request(root: Root, request: dict[str, Any], timeout: float | None = None) -> Iterator[Any]:
    """Send a request to the nucleus that runs in `root`, and yield its responses.

    Args:
        timeout: seconds to wait for each response; None: no limit.

    Raises:
        NucleusError: no nucleus runs in this root folder, or it rejects the request.
        TimeoutError: there was no response.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        try:
            connection.connect(str(root.socket("control.socket")))
        except OSError:
            raise NucleusError(f"no nucleus runs in {root.path}; start one with gglocal run, or pass its --root") from None
        connection.settimeout(timeout)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                reply = json.loads(line)
                if "error" in reply:
                    raise NucleusError(reply["error"])
                if "end" in reply:
                    return
                yield reply["response"]
    raise NucleusError(f"the nucleus in {root.path} has stopped")
