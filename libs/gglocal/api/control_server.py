"""The control socket of a running nucleus: JSON lines, a request and its answers, for the command line."""

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
from gglocal.deployment.queue import Wanted
from gglocal.errors import GglocalError, NucleusError
from gglocal.faults import FAULTS
from gglocal.iot_core import Offline
from gglocal.root_dir import Root
from gglocal.topic_filter import matches

log = logging.getLogger("gglocal")

_LIMIT = 16 * 1024 * 1024
_CONNECT_TIMEOUT_S = 5.0


class ControlServer:
    """Answers requests about one device, on its loop."""

    def __init__(self, device: NucleusAssembly, path: Path) -> None:
        self._device, self._path = device, path
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=_LIMIT)
        self._path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            request = json.loads(await reader.readline())
            handler = COMMANDS.get(request.get("do"))
            if handler is None:
                raise NucleusError(f"unknown request {request.get('do')!r}; known are {', '.join(COMMANDS)}")
            async with aclosing(handler(self._device, request)) as answers:
                async for answer in answers:
                    await _send(writer, {"answer": answer})
            await _send(writer, {"end": True})
        except (GglocalError, Offline) as fault:
            await _send(writer, {"error": str(fault) or "IoT Core cannot be reached now"})
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as fault:
            log.exception("a request on the control socket failed")
            await _send(writer, {"error": f"the nucleus failed on this request: {fault!r}"})
        finally:
            self._busy.discard(task)
            writer.close()


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()


async def _components(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    name = request.get("name")
    for status in [device.engine.status_of(name)] if name else device.engine.status():
        yield status.as_dict()


async def _restart(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    await device.engine.supervisor.restart(request["name"])
    yield device.engine.status_of(request["name"]).as_dict()


async def _stop(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    await device.engine.supervisor.stop(request["name"])
    yield device.engine.status_of(request["name"]).as_dict()


async def _deploy(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    recipe_dirs, artifact_dirs = ([Path(each) for each in request[key]] for key in ("recipe_dirs", "artifact_dirs"))
    yield await device.engine.deploy(recipe_dirs, artifact_dirs, request["merge"], request["config"], configured_as_roots=True)


async def _create_deployment(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    recipe_dirs, artifact_dirs = (tuple(Path(each) for each in request[key]) for key in ("recipe_dirs", "artifact_dirs"))
    wanted = Wanted(
        merge=request["merge"],
        remove=tuple(request["remove"]),
        config=request["config"],
        recipe_dirs=recipe_dirs,
        artifact_dirs=artifact_dirs,
        on_failure=request["on_failure"],
    )
    yield device.deployments.create(wanted).answer()


async def _deployments(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    deployment = request.get("id")
    for each in [device.deployments.find(deployment)] if deployment else device.deployments.all():
        yield each.answer()


async def _publish(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    if "json" in request:
        message = Message(True, request["json"])
    else:
        message = Message(False, request["payload"])
    heard = None
    if request.get("iot"):
        device.engine.publish_iot(request["topic"], message.payload())
    else:
        heard = device.engine.publish(request["topic"], message)
    yield {"topic": request["topic"], "bytes": len(message.payload()), "heard": heard}


async def _subscribe(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def hear(topic: str, payload: bytes, sender: str | None = None) -> None:
        text = base64.b64encode(payload).decode()
        heard.put_nowait({"topic": topic, "payload": text, "sender": sender, "at": device.engine.core.clock()})

    def overhear(delivery: Delivery) -> None:
        if delivery.kind == "local" and matches(request["filter"], delivery.topic):
            hear(delivery.topic, delivery.payload, delivery.sender)

    end = await device.engine.core.iot.subscribe(request["filter"], 1, hear) if request.get("iot") else device.engine.core.tap(overhear)
    try:
        yield {"subscribed": request["filter"]}
        while True:
            yield await heard.get()
    finally:
        end()


async def _fault(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    yield asdict(await device.faults.begin(request["name"], request["options"])) | {"effect": FAULTS[request["name"]].effect}


async def _end_fault(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    if request["number"] is None:
        device.faults.end_all()
    else:
        device.faults.end(request["number"])
    yield None


async def _faults(device: NucleusAssembly, request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    for active in device.faults.active():
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


def ask(root: Root, request: dict[str, Any], timeout: float | None = None) -> Iterator[Any]:
    """Send a request to the nucleus that runs in `root`, and yield its answers.

    Args:
        timeout: seconds to wait for each answer; None: for ever.

    Raises:
        NucleusError: no nucleus runs there, or it refuses.
        TimeoutError: no answer came.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        try:
            connection.connect(str(root.socket("control.socket")))
        except OSError:
            raise NucleusError(f"no nucleus runs in {root.path}; start one with gglocal run, or give its --root") from None
        connection.settimeout(timeout)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                reply = json.loads(line)
                if "error" in reply:
                    raise NucleusError(reply["error"])
                if "end" in reply:
                    return
                yield reply["answer"]
    raise NucleusError(f"the nucleus in {root.path} has stopped")
