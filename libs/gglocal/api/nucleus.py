"""The local nucleus for programs and tests: a loop in a thread of its own, and plain calls from any other."""

from __future__ import annotations

import asyncio
import queue
import signal as signals
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gglocal import message_plugins
from gglocal.api.assembly import NucleusAssembly
from gglocal.api.control_server import ControlServer
from gglocal.core.pubsub import Message
from gglocal.core.state import Delivery, Refusal
from gglocal.deployment.engine import Status
from gglocal.errors import NucleusError
from gglocal.faults import Active
from gglocal.process.component import BROKEN
from gglocal.process.log_file import Echo
from gglocal.profile import PROFILES
from gglocal.root_dir import Root
from gglocal.topic_filter import matches
from gglocal.valid_names import thing_fault

T = TypeVar("T")
PathLike = Path | str
_ASK_AGAIN_S = 0.1


class TopicListener:
    """Messages that a tap has heard, in order."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Delivery] = queue.Queue()
        self.end: Callable[[], None] = lambda: None

    def get(self, timeout: float = 30.0) -> Delivery:
        """The next message.

        Raises:
            TimeoutError: none came.
        """
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no message came within {timeout:g} s") from None

    def put(self, delivery: Delivery) -> None:
        self._queue.put(delivery)


class Fault:
    """A fault that was begun; as a context manager it ends with the block."""

    def __init__(self, nucleus: Nucleus, active: Active) -> None:
        self._nucleus, self.active = nucleus, active

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Again is no error."""
        self._nucleus.end_fault(self.active.number)


class Nucleus:
    """A Greengrass nucleus on this machine. Every method may be called from any thread but the nucleus's own.

    Args:
        root: its folder; what ran there before keeps its work directories and configuration.
        profile: `lite` or `classic`.
        iot_core: `recorder`, `recorder:FILE` or `mqtt://host:port`.
        error_reset: seconds: three errors, each within so many of the last, break a component.
        shim: make `disk-full` and `clock-step` possible; needs a C compiler. See `gglocal.process.preload`.
        echo: is called with the component and each line that it writes, on the nucleus's thread.
    """

    def __init__(
        self,
        root: PathLike,
        *,
        profile: str = "lite",
        thing_name: str = "gglocal",
        region: str = "us-east-1",
        iot_core: str = "recorder",
        error_reset: float = 3600.0,
        echo: Echo | None = None,
        shim: bool = False,
    ) -> None:
        if profile not in PROFILES:
            raise NucleusError(f"unknown profile {profile!r}; known are {', '.join(PROFILES)}")
        if wrong := thing_fault(thing_name):
            raise NucleusError(f"thing_name: {wrong}")
        self.root = Root(Path(root))
        self._options: dict[str, Any] = {
            "thing_name": thing_name,
            "region": region,
            "iot_core": iot_core,
            "error_reset": error_reset,
            "echo": echo,
            "shim": shim,
        }
        self._profile = PROFILES[profile]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gglocal", daemon=True)
        self._moved = threading.Condition()
        self._history: list[tuple[str, str]] = []
        self._running: NucleusAssembly | None = None
        self._control: ControlServer | None = None

    def __enter__(self) -> Nucleus:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve; nothing is deployed yet.

        Raises:
            NucleusError: the root is in use.
        """
        self.root.acquire()
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._end_loop()
            self.root.release()
            raise

    def stop(self) -> None:
        """Stop every component in reverse order of dependency, and the nucleus; again is no error."""
        if self._running is None:
            return
        try:
            self._run(self._stop())
        finally:
            self._running = None
            self._end_loop()
            self.root.release()

    def deploy(
        self,
        recipe_dir: PathLike | Iterable[PathLike],
        artifact_dir: PathLike | Iterable[PathLike] = (),
        merge: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        remove: Iterable[str] = (),
        *,
        configured_as_roots: bool = False,
    ) -> list[str]:
        """Deploy components beside those that are deployed, and their dependencies; returns once they are being started.

        Args:
            recipe_dir: holds recipes, JSON or YAML; or several such.
            artifact_dir: holds `<component>/<version>/<files>`; or several such.
            merge: version or range by component.
            config: `{component: {"merge": {...}, "reset": ["/pointer"]}}`; ignored on classic for what is only a dependency.
            remove: components that are no longer deployed for their own sake; what nothing needs then is removed, configuration and all.
            configured_as_roots: dependencies that `config` names are deployed for their own sake from now on.

        Returns:
            The names of all that is deployed, dependencies first.

        Raises:
            GglocalError: a `RecipeError`, `DeploymentError` or `ArtifactError`; what runs goes on as it was.
        """
        return self._run(
            self._device.engine.deploy(
                _paths(recipe_dir),
                _paths(artifact_dir),
                dict(merge or {}),
                config,
                tuple(remove),
                configured_as_roots=configured_as_roots,
            )
        )

    def components(self) -> list[Status]:
        """The state of every component, in the order of deployment."""
        return self._do(lambda: self._device.engine.status())

    def component(self, name: str) -> Status:
        """
        Raises:
            NucleusError: there is no such component.
        """
        return self._do(lambda: self._device.engine.status_of(name))

    def wait_for_state(self, name: str, states: str | Iterable[str], timeout: float = 60.0) -> str:
        """Wait until the component is in one of the states, or has passed through one since the call.

        Raises:
            NucleusError: it is BROKEN, which is not waited for.
            TimeoutError: it did not get there.
        """
        wanted = {states} if isinstance(states, str) else set(states)
        deadline = time.monotonic() + timeout
        with self._moved:
            seen = len(self._history)
            passed = [after for each, after in self._history if each == name][-1:]
            while wanted.isdisjoint(passed):
                if BROKEN in passed:
                    raise NucleusError(f"{name} is BROKEN, wanted {'/'.join(sorted(wanted))}; its log ends:\n{self.tail(name)}")
                if not self._wait_beyond(seen, deadline - time.monotonic()):
                    raise TimeoutError(f"{name} is not {'/'.join(sorted(wanted))} after {timeout:g} s; its log ends:\n{self.tail(name)}")
                passed = [after for each, after in self._history[seen:] if each == name]
                seen = len(self._history)
        return next(state for state in passed if state in wanted)

    def wait_until(self, predicate: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until `predicate()` is true; it is asked at each change of a component's state, and now and then.

        Raises:
            TimeoutError: it never was.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._moved:
                seen = len(self._history)
            if predicate():
                return
            if time.monotonic() >= deadline:
                states = ", ".join(f"{each.name} {each.state}" for each in self.components())
                raise TimeoutError(f"what was waited for did not come within {timeout:g} s; there is {states}")
            with self._moved:
                self._wait_beyond(seen, _ASK_AGAIN_S)

    def tail(self, name: str, lines: int = 15) -> str:
        """The end of a component's log."""
        path = self.log_file(name)
        return "\n".join(path.read_text(encoding="utf-8").splitlines()[-lines:]) if path.exists() else "(no log)"

    def log_file(self, name: str) -> Path:
        """
        Raises:
            NucleusError: no component can have this name.
        """
        return self.root.log_of(name)

    def work_dir(self, name: str) -> Path:
        """
        Raises:
            NucleusError: no component can have this name.
        """
        return self.root.work_of(name)

    def kill(self, name: str, signal: int = signals.SIGKILL) -> None:
        """Send a signal to every process of a component.

        Raises:
            NucleusError: it has no process.
        """
        self._do(lambda: self._device.engine.supervisor.kill(name, signal))

    def restart(self, name: str) -> None:
        """Stop a component and start it again."""
        self._run(self._device.engine.supervisor.restart(name))

    def stop_component(self, name: str) -> None:
        """Stop a component until it is restarted."""
        self._run(self._device.engine.supervisor.stop(name))

    def publish(self, topic: str, payload: bytes, *, signed: bool = False) -> None:
        """Publish a binary message to local subscribers.

        Args:
            signed: sign it with the key that the application's components have created; see `gglocal.message_plugins`.

        Raises:
            NucleusError: there is no such key.
        """
        if signed:
            payload = message_plugins.sign(topic, payload, key_file=None, work_dirs=self.root.work)
        self._do(lambda: self._device.engine.publish(topic, Message.of_bytes(payload)))

    def publish_json(self, topic: str, value: Any) -> None:
        """Publish a JSON message to local subscribers."""
        self._do(lambda: self._device.engine.publish(topic, Message(True, value)))

    def publish_iot(self, topic: str, payload: bytes) -> None:
        """Publish to IoT Core, as the cloud does."""
        self._do(lambda: self._device.engine.publish_iot(topic, payload))

    def tap(self, callback: Callable[[Delivery], None]) -> Callable[[], None]:
        """Call back for every message, local or IoT Core, on the nucleus's thread; returns the function that ends it."""
        end = self._do(lambda: self._device.engine.core.tap(callback))
        return lambda: self._do(end)

    def listen(self, topic_filter: str, kind: str = "local") -> TopicListener:
        """Collect the messages under a filter.

        Args:
            kind: `local`, `to-iot` or `from-iot`.
        """
        inbox = TopicListener()
        inbox.end = self.tap(
            lambda delivery: inbox.put(delivery) if delivery.kind == kind and matches(topic_filter, delivery.topic) else None
        )
        return inbox

    @property
    def refusals(self) -> list[Refusal]:
        """Every `UnauthorizedError` so far."""
        return self._do(lambda: list(self._device.engine.core.refusals))

    def fault(self, name: str, **options: Any) -> Fault:
        """Bring about a fault of `gglocal.faults.FAULTS`; returns when it is in effect, or over.

        Raises:
            NucleusError: there is no such fault, an option is wrong, or it cannot be had now.
        """
        return Fault(self, self._run(self._device.faults.begin(name, options)))

    def end_fault(self, number: int) -> None:
        """End a fault that lasts; one that is over is no error."""
        self._do(lambda: self._device.faults.end(number))

    def faults(self) -> list[Active]:
        """Those that last and have not ended."""
        return self._do(lambda: self._device.faults.active())

    def client_env(self, name: str, access_control: Any) -> dict[str, str]:
        """Register a component that the caller starts itself.

        Returns:
            What its process needs in its environment: `SVCUID`, the socket, the thing's name and the rest.
        """
        return self._do(lambda: self._device.engine.client_env(name, access_control))

    @property
    def _device(self) -> NucleusAssembly:
        if self._running is None:
            raise NucleusError("the nucleus does not run; call start() first")
        return self._running

    async def _start(self) -> None:
        device = NucleusAssembly(self.root, self._profile, on_state=self._on_state, **self._options)
        await device.start()
        self._control = ControlServer(device, self.root.socket("control.socket"))
        await self._control.start()
        self._running = device

    async def _stop(self) -> None:
        if self._control is not None:
            await self._control.close()
        await self._device.close()

    def _wait_beyond(self, seen: int, timeout: float) -> bool:
        return self._moved.wait_for(lambda: len(self._history) > seen, max(0.0, timeout))

    def _on_state(self, name: str, state: str) -> None:
        with self._moved:
            self._history.append((name, state))
            self._moved.notify_all()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _do(self, call: Callable[[], T]) -> T:
        async def on_loop() -> T:
            return call()

        return self._run(on_loop())

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _paths(given: PathLike | Iterable[PathLike]) -> list[Path]:
    return [Path(given).absolute()] if isinstance(given, (str, Path)) else [Path(each).absolute() for each in given]
