"""All components of a nucleus: who waits for whom, who restarts with whom, and the order in which they end."""

from __future__ import annotations

import asyncio
import logging
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

log = logging.getLogger("gglocal")

OnState = Callable[[str, str], None]


@dataclass
class _Seat:
    component: Component
    task: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Lives on the nucleus's loop.

    Args:
        mark: of this nucleus, unique.
        on_state: told of every new state of every component.
    """

    def __init__(
        self, *, profile: Profile, mark: str, log_dir: Path, error_reset: float, on_state: OnState, echo: Echo | None = None
    ) -> None:
        self._log_dir, self._echo, self._on_state = log_dir, echo, on_state
        self._guardian = ReaperProcess(mark)
        self._around = ProcessContext(
            profile=profile,
            mark=mark,
            guardian=self._guardian,
            error_reset=error_reset,
            ready=self._until_ready,
            changed=self._changed,
        )
        self._seats: dict[str, _Seat] = {}
        self._pulse = asyncio.Event()
        self._bounces: set[asyncio.Task[None]] = set()
        self._closing = False

    def components(self) -> list[Component]:
        return [seat.component for seat in self._seats.values()]

    def get(self, name: str) -> Component:
        """
        Raises:
            NucleusError: there is no such component.
        """
        return self._seat(name).component

    def start(self, unit: Unit, env: dict[str, str]) -> None:
        """Begin the life of a component; those that it depends on hard may come later."""
        component = Component(unit, env, ComponentLog(unit.name, self._log_dir, self._echo), self._around)
        seat = self._seats[unit.name] = _Seat(component)
        self._begin(seat)

    async def remove(self, name: str, *, for_good: bool = False) -> None:
        """Stop a component and forget it.

        Args:
            for_good: no other version takes its place, so its step `uninstall` is run.
        """
        seat = self._seat(name)
        async with seat.lock:
            # Not FINISHED: hard dependents must wait for whatever takes its place.
            await self._stop(seat, INSTALLED)
            if for_good:
                await seat.component.uninstall()
        seat.component.log.close()
        del self._seats[name]

    async def stop(self, name: str) -> None:
        """Stop a component; it stays FINISHED until it is restarted."""
        seat = self._seat(name)
        async with seat.lock:
            await self._stop(seat)

    async def restart(self, name: str) -> None:
        """Stop and start a component again; its errors are forgotten."""
        seat = self._seat(name)
        async with seat.lock:
            await self._stop(seat, INSTALLED)
            if not self._closing:
                seat.component.forget_errors()
                self._begin(seat)

    def kill(self, name: str, number: int) -> None:
        """Send a signal to all processes of a component.

        Raises:
            NucleusError: it has none, or is not known.
        """
        if not self.get(name).signal(number):
            raise NucleusError(f"{name} is {self.get(name).state} and has no process to send a signal to")

    def reported(self, name: str, state: str) -> None:
        """A component says a state of itself."""
        if name in self._seats:
            self._seats[name].component.reported(state)

    async def close(self) -> None:
        """Stop everything, dependents before what they depend on."""
        self._closing = True
        left = dict(self._seats)
        while left:
            wanted = {name for seat in left.values() for name in seat.component.unit.dependencies}
            level = [name for name in left if name not in wanted] or list(left)
            await asyncio.gather(*(self.stop(name) for name in level), return_exceptions=True)
            for name in level:
                left.pop(name).component.log.close()
        for bounce in list(self._bounces):
            bounce.cancel()
        await asyncio.to_thread(self._guardian.close)

    def _begin(self, seat: _Seat) -> None:
        seat.task = asyncio.create_task(seat.component.live(), name=seat.component.name)

    async def _stop(self, seat: _Seat, after: str = FINISHED) -> None:
        if seat.task is not None:
            seat.component.after_stop = after
            # A task that has not run yet would be cancelled without a chance to say so.
            await asyncio.sleep(0)
            seat.task.cancel()
            await asyncio.gather(seat.task, return_exceptions=True)
            seat.task = None

    def _seat(self, name: str) -> _Seat:
        if name not in self._seats:
            raise NucleusError(f"no component {name} is deployed; there are {', '.join(self._seats) or 'none'}")
        return self._seats[name]

    def _changed(self, component: Component, before: str, state: str) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()
        self._on_state(component.name, state)
        if state in (ERRORED, STOPPING) and not self._closing:
            self._bounce_dependents(component.name)

    def _bounce_dependents(self, name: str) -> None:
        for seat in self._seats.values():
            needed = seat.component.unit.dependencies.get(name)
            if needed is not None and needed.kind == HARD and seat.component.state in (STARTING, RUNNING):
                seat.component.log.say(f"restarts with {name}, on which it depends")
                task = asyncio.create_task(self._bounce(seat.component.name))
                self._bounces.add(task)
                task.add_done_callback(self._bounces.discard)

    async def _bounce(self, name: str) -> None:
        if name in self._seats:
            await self.restart(name)

    async def _until_ready(self, unit: Unit) -> None:
        while not all(self._lets_start(name, needed.kind) for name, needed in unit.dependencies.items()):
            await self._pulse.wait()

    def _lets_start(self, name: str, kind: str) -> bool:
        if name not in self._seats:
            return kind != HARD
        return self._seats[name].component.state in READY if kind == HARD else not self._pending(name)

    def _pending(self, name: str) -> bool:
        """Whether a component has yet to be tried: a soft dependent waits its turn, and no longer."""
        component = self._seats[name].component
        hopeless = any(
            needed.kind == HARD and other in self._seats and self._seats[other].component.state == BROKEN
            for other, needed in component.unit.dependencies.items()
        )
        return component.state in (NEW, INSTALLED, STARTING) and not hopeless
