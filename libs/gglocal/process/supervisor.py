"""All components of a nucleus: start order, restarts of dependents, and stop order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gglocal.errors import NucleusError
from gglocal.process.component import (
    BROKEN,
    ERRORED,
    FINISHED,
    INSTALLED,
    NEW,
    READY,
    RUNNING,
    STARTING,
    STOPPING,
    Component,
    ProcessContext,
    Unit,
)
from gglocal.process.log_file import ComponentLog, Echo
from gglocal.process.script import ReaperProcess
from gglocal.profile import Profile
from gglocal.recipe.parser import HARD

OnState = Callable[[str, str], None]


@dataclass
class _Entry:
    component: Component
    task: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Used on the nucleus's event loop.

    Args:
        mark: unique identifier of this nucleus.
        on_state: called with every new state of every component.
    """

    def __init__(
        self, *, profile: Profile, mark: str, log_dir: Path, error_reset: float, on_state: OnState, echo: Echo | None = None
    ) -> None:
        self._log_dir, self._echo, self._on_state = log_dir, echo, on_state
        self._reaper = ReaperProcess(mark)
        self._context = ProcessContext(
            profile=profile,
            mark=mark,
            reaper=self._reaper,
            error_reset=error_reset,
            wait_until_ready=self._wait_until_ready,
            on_change=self._on_change,
        )
        self._entries: dict[str, _Entry] = {}
        self._state_change = asyncio.Event()
        self._restarts: set[asyncio.Task[None]] = set()
        self._closing = False

    def components(self) -> list[Component]:
        return [entry.component for entry in self._entries.values()]

    def get(self, name: str) -> Component:
        """
        Raises:
            NucleusError: the component is not deployed.
        """
        return self._entry(name).component

    def start(self, unit: Unit, env: dict[str, str]) -> None:
        """Start a component; its hard dependencies may be added later."""
        component = Component(unit, env, ComponentLog(unit.name, self._log_dir, self._echo), self._context)
        entry = self._entries[unit.name] = _Entry(component)
        self._begin(entry)

    async def remove(self, name: str, *, uninstall: bool = False) -> None:
        """Stop and remove a component.

        Args:
            uninstall: no other version replaces it, so run its step `uninstall`.
        """
        entry = self._entry(name)
        async with entry.lock:
            # Not FINISHED: hard dependents must wait for its replacement.
            await self._stop(entry, INSTALLED)
            if uninstall:
                await entry.component.uninstall()
        entry.component.log.close()
        del self._entries[name]

    async def stop(self, name: str) -> None:
        """Stop a component; it remains FINISHED until it is restarted."""
        entry = self._entry(name)
        async with entry.lock:
            await self._stop(entry)

    async def restart(self, name: str) -> None:
        """Restart a component, and reset its error count."""
        entry = self._entry(name)
        async with entry.lock:
            await self._stop(entry, INSTALLED)
            if not self._closing:
                entry.component.reset_errors()
                self._begin(entry)

    def kill(self, name: str, number: int) -> None:
        """Send a signal to all processes of a component.

        Raises:
            NucleusError: it has no process, or is not deployed.
        """
        if not self.get(name).signal(number):
            raise NucleusError(f"{name} is {self.get(name).state} and has no process")

    def report_state(self, name: str, state: str) -> None:
        """Record a state that the component itself reports."""
        if name in self._entries:
            self._entries[name].component.report_state(state)

    async def close(self) -> None:
        """Stop all components, dependents before their dependencies."""
        self._closing = True
        remaining = dict(self._entries)
        while remaining:
            needed = {name for entry in remaining.values() for name in entry.component.unit.dependencies}
            level = [name for name in remaining if name not in needed] or list(remaining)
            await asyncio.gather(*(self.stop(name) for name in level), return_exceptions=True)
            for name in level:
                remaining.pop(name).component.log.close()
        for restart in list(self._restarts):
            restart.cancel()
        await asyncio.to_thread(self._reaper.close)

    def _begin(self, entry: _Entry) -> None:
        entry.task = asyncio.create_task(entry.component.run_lifecycle(), name=entry.component.name)

    async def _stop(self, entry: _Entry, after: str = FINISHED) -> None:
        if entry.task is not None:
            entry.component.after_stop = after
            # A task that has not run yet would be cancelled without a chance to handle it.
            await asyncio.sleep(0)
            entry.task.cancel()
            await asyncio.gather(entry.task, return_exceptions=True)
            entry.task = None

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise NucleusError(f"component {name} is not deployed; deployed components: {', '.join(self._entries) or 'none'}")
        return self._entries[name]

    def _on_change(self, component: Component, before: str, state: str) -> None:
        changed, self._state_change = self._state_change, asyncio.Event()
        changed.set()
        self._on_state(component.name, state)
        if state in (ERRORED, STOPPING) and not self._closing:
            self._restart_dependents(component.name)

    def _restart_dependents(self, name: str) -> None:
        for entry in self._entries.values():
            needed = entry.component.unit.dependencies.get(name)
            if needed is not None and needed.kind == HARD and entry.component.state in (STARTING, RUNNING):
                entry.component.log.log_event(f"restarting with its dependency {name}")
                task = asyncio.create_task(self._restart(entry.component.name))
                self._restarts.add(task)
                task.add_done_callback(self._restarts.discard)

    async def _restart(self, name: str) -> None:
        if name in self._entries:
            await self.restart(name)

    async def _wait_until_ready(self, unit: Unit) -> None:
        while not all(self._allows_start(name, needed.kind) for name, needed in unit.dependencies.items()):
            await self._state_change.wait()

    def _allows_start(self, name: str, kind: str) -> bool:
        if name not in self._entries:
            return kind != HARD
        return self._entries[name].component.state in READY if kind == HARD else not self._pending(name)

    def _pending(self, name: str) -> bool:
        """Whether a component has not been started yet; a soft dependent waits no longer than that."""
        component = self._entries[name].component
        blocked = any(
            needed.kind == HARD and other in self._entries and self._entries[other].component.state == BROKEN
            for other, needed in component.unit.dependencies.items()
        )
        return component.state in (NEW, INSTALLED, STARTING) and not blocked
