"""The local nucleus for programs and tests: an event loop in its own thread, and synchronous calls from other threads."""

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
from gglocal.valid_names import thing_name_error

T = TypeVar("T")
PathLike = Path | str
_POLL_S = 0.1


class TopicListener:
    """Received messages, in order."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Delivery] = queue.Queue()
        self.end: Callable[[], None] = lambda: None

    def get(self, timeout: float = 30.0) -> Delivery:
        """Wait for the next message.

        Raises:
            TimeoutError: no message was received.
        """
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no message received within {timeout:g} s") from None

    def put(self, delivery: Delivery) -> None:
        self._queue.put(delivery)


class Fault:
    """An injected fault; as a context manager, it ends with the block."""

    def __init__(self, nucleus: Nucleus, active: Active) -> None:
        self._nucleus, self.active = nucleus, active

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """End the fault, if it is still active."""
        self._nucleus.end_fault(self.active.number)


class Nucleus:
    """A Greengrass nucleus on this machine. Every method may be called from any thread but the nucleus's own.

    Args:
        root: the root folder; an existing one keeps work directories and configuration.
        profile: `lite` or `classic`.
        iot_core: `recorder`, `recorder:FILE` or `mqtt://host:port`.
        error_reset: seconds; a component is BROKEN after three errors, each within this time of the previous one.
        shim: enable the faults `disk-full` and `clock-step`; needs a C compiler. See `gglocal.process.preload`.
        echo: called with a component's name and each line of its output, on the nucleus's thread.
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
            raise NucleusError(f"unknown profile {profile!r}; known profiles: {', '.join(PROFILES)}")
        if error := thing_name_error(thing_name):
            raise NucleusError(f"thing_name: {error}")
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
        self._state_changed = threading.Condition()
        self._history: list[tuple[str, str]] = []
        self._running: NucleusAssembly | None = None
        self._control: ControlServer | None = None

    def __enter__(self) -> Nucleus:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the nucleus, without any components.

        Raises:
            NucleusError: the root folder is in use.
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
        """Stop all components, dependents first, and the nucleus; idempotent."""
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
        """Add or update components and their dependencies; returns once they are starting.

        Args:
            recipe_dir: folder of recipes, JSON or YAML; or several folders.
            artifact_dir: folder of `<component>/<version>/<files>`; or several folders.
            merge: version or range by component.
            config: `{component: {"merge": {...}, "reset": ["/pointer"]}}`; ignored on classic for mere dependencies.
            remove: root components to remove, together with dependencies and configurations that are no longer needed.
            configured_as_roots: dependencies in `config` become root components.

        Returns:
            The names of all deployed components, dependencies first.

        Raises:
            GglocalError: a `RecipeError`, `DeploymentError` or `ArtifactError`; running components are not affected.
        """
        return self._run(
            self._nucleus.engine.deploy(
                _paths(recipe_dir),
                _paths(artifact_dir),
                dict(merge or {}),
                config,
                tuple(remove),
                configured_as_roots=configured_as_roots,
            )
        )

    def components(self) -> list[Status]:
        """The status of every component, in the order of deployment."""
        return self._do(lambda: self._nucleus.engine.status())

    def component(self, name: str) -> Status:
        """The status of one component.

        Raises:
            NucleusError: the component is not deployed.
        """
        return self._do(lambda: self._nucleus.engine.status_of(name))

    def wait_for_state(self, name: str, states: str | Iterable[str], timeout: float = 60.0) -> str:
        """Wait until the component is in one of the states, or has been since the call.

        Raises:
            NucleusError: it is BROKEN, and that is not one of the states.
            TimeoutError: it has not reached any of the states.
        """
        expected = {states} if isinstance(states, str) else set(states)
        deadline = time.monotonic() + timeout
        with self._state_changed:
            seen = len(self._history)
            passed = [after for each, after in self._history if each == name][-1:]
            while expected.isdisjoint(passed):
                if BROKEN in passed:
                    raise NucleusError(f"{name} is BROKEN, expected {'/'.join(sorted(expected))}; the end of its log:\n{self.tail(name)}")
                if not self._wait_beyond(seen, deadline - time.monotonic()):
                    raise TimeoutError(
                        f"{name} is not {'/'.join(sorted(expected))} after {timeout:g} s; the end of its log:\n{self.tail(name)}"
                    )
                passed = [after for each, after in self._history[seen:] if each == name]
                seen = len(self._history)
        return next(state for state in passed if state in expected)

    def wait_until(self, predicate: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until `predicate()` is true; it is evaluated at each change of a component's state, and periodically.

        Raises:
            TimeoutError: it has not become true.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._state_changed:
                seen = len(self._history)
            if predicate():
                return
            if time.monotonic() >= deadline:
                states = ", ".join(f"{each.name} {each.state}" for each in self.components())
                raise TimeoutError(f"the condition was not met within {timeout:g} s; components: {states}")
            with self._state_changed:
                self._wait_beyond(seen, _POLL_S)

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a component's log."""
        path = self.log_file(name)
        return "\n".join(path.read_text(encoding="utf-8").splitlines()[-lines:]) if path.exists() else "(no log)"

    def log_file(self, name: str) -> Path:
        """The log file of a component.

        Raises:
            NucleusError: the name is not valid.
        """
        return self.root.log_file(name)

    def work_dir(self, name: str) -> Path:
        """The work directory of a component.

        Raises:
            NucleusError: the name is not valid.
        """
        return self.root.work_dir(name)

    def kill(self, name: str, signal: int = signals.SIGKILL) -> None:
        """Send a signal to every process of a component.

        Raises:
            NucleusError: the component has no process.
        """
        self._do(lambda: self._nucleus.engine.supervisor.kill(name, signal))

    def restart(self, name: str) -> None:
        """Restart a component."""
        self._run(self._nucleus.engine.supervisor.restart(name))

    def stop_component(self, name: str) -> None:
        """Stop a component until it is restarted."""
        self._run(self._nucleus.engine.supervisor.stop(name))

    def publish(self, topic: str, payload: bytes, *, signed: bool = False) -> None:
        """Publish a binary message to local subscribers.

        Args:
            signed: sign it with the key that the application's components have created; see `gglocal.message_plugins`.

        Raises:
            NucleusError: there is no such key.
        """
        if signed:
            payload = message_plugins.sign(topic, payload, key_file=None, work_dirs=self.root.work)
        self._do(lambda: self._nucleus.engine.publish(topic, Message.of_bytes(payload)))

    def publish_json(self, topic: str, value: Any) -> None:
        """Publish a JSON message to local subscribers."""
        self._do(lambda: self._nucleus.engine.publish(topic, Message(True, value)))

    def publish_iot(self, topic: str, payload: bytes) -> None:
        """Publish to IoT Core, as the cloud does."""
        self._do(lambda: self._nucleus.engine.publish_iot(topic, payload))

    def tap(self, callback: Callable[[Delivery], None]) -> Callable[[], None]:
        """Call back for every message, local or IoT Core, on the nucleus's thread; returns a function that ends it."""
        end = self._do(lambda: self._nucleus.engine.core.tap(callback))
        return lambda: self._do(end)

    def listen(self, topic_filter: str, kind: str = "local") -> TopicListener:
        """Collect the messages that match a topic filter.

        Args:
            kind: `local`, `to-iot` or `from-iot`.
        """
        listener = TopicListener()
        listener.end = self.tap(
            lambda delivery: listener.put(delivery) if delivery.kind == kind and matches(topic_filter, delivery.topic) else None
        )
        return listener

    @property
    def refusals(self) -> list[Refusal]:
        """Every `UnauthorizedError` so far, except injected ones."""
        return self._do(lambda: list(self._nucleus.engine.core.refusals))

    def fault(self, name: str, **options: Any) -> Fault:
        """Inject a fault of `gglocal.faults.FAULTS`; returns once it is in effect, or over.

        Raises:
            NucleusError: the fault is unknown, an option is invalid, or the fault is not possible now.
        """
        return Fault(self, self._run(self._nucleus.faults.begin(name, options)))

    def end_fault(self, number: int) -> None:
        """End a fault, if it is still active."""
        self._do(lambda: self._nucleus.faults.end(number))

    def faults(self) -> list[Active]:
        """The active faults."""
        return self._do(lambda: self._nucleus.faults.active())

    def client_env(self, name: str, access_control: Any) -> dict[str, str]:
        """Register a component that the caller starts itself.

        Returns:
            The environment variables for its process: `SVCUID`, the socket, the thing name and others.
        """
        return self._do(lambda: self._nucleus.engine.client_env(name, access_control))

    @property
    def _nucleus(self) -> NucleusAssembly:
        if self._running is None:
            raise NucleusError("the nucleus is not running; call start() first")
        return self._running

    async def _start(self) -> None:
        assembly = NucleusAssembly(self.root, self._profile, on_state=self._on_state, **self._options)
        await assembly.start()
        self._control = ControlServer(assembly, self.root.socket("control.socket"))
        await self._control.start()
        self._running = assembly

    async def _stop(self) -> None:
        if self._control is not None:
            await self._control.close()
        await self._nucleus.close()

    def _wait_beyond(self, seen: int, timeout: float) -> bool:
        return self._state_changed.wait_for(lambda: len(self._history) > seen, max(0.0, timeout))

    def _on_state(self, name: str, state: str) -> None:
        with self._state_changed:
            self._history.append((name, state))
            self._state_changed.notify_all()

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
