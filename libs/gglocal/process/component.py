"""The lifecycle of one component: install, start, run, and retry after errors, until it is finished, stopped or broken."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gglocal.errors import GglocalError
from gglocal.process.log_file import ComponentLog
from gglocal.process.script import ReaperProcess, Script
from gglocal.profile import Profile
from gglocal.recipe.lifecycle_steps import Lifecycle, Step, timeout_seconds
from gglocal.recipe.parser import Dependency, Recipe
from gglocal.recipe.variables import Scope, interpolate

NEW, INSTALLED, STARTING, RUNNING = "NEW", "INSTALLED", "STARTING", "RUNNING"
FINISHED, STOPPING, ERRORED, BROKEN = "FINISHED", "STOPPING", "ERRORED", "BROKEN"
READY = (RUNNING, FINISHED)

MAX_ERRORS = 3
"""Consecutive errors, each within the error window of the previous one, after which a component is BROKEN."""
RESTART_EXIT_CODES = (100, 101)
"""Exit codes of `bootstrap` that request a restart of the nucleus or of the device."""


def backoff(errors: int) -> float:
    """Seconds before the next attempt, after this number of consecutive errors."""
    return min(5.0, 0.25 * 4 ** (errors - 1))


@dataclass(frozen=True)
class Unit:
    """One component of a deployment, ready to run.

    Attributes:
        dependencies: the dependencies that are part of the deployment.
    """

    recipe: Recipe
    lifecycle: Lifecycle
    scope: Scope
    dependencies: Mapping[str, Dependency]

    @property
    def name(self) -> str:
        return self.recipe.name


@dataclass(frozen=True)
class ProcessContext:
    """Shared by all components of a nucleus.

    Attributes:
        mark: set in the environment of every process, to find the process later.
        error_reset: seconds without an error after which earlier errors no longer count.
        wait_until_ready: waits until a unit's dependencies allow it to start.
        on_change: called with each new state.
    """

    profile: Profile
    mark: str
    reaper: ReaperProcess
    error_reset: float
    wait_until_ready: Callable[[Unit], Awaitable[None]]
    on_change: Callable[[Component, str, str], None]
    clock: Callable[[], float] = time.monotonic


class StepFailed(Exception):
    """A step failed; the text gives the step and the cause."""


@dataclass
class Component:
    """A unit and its state; cancel `run_lifecycle` to stop it.

    Attributes:
        env: the environment of its processes, before the recipe's `Setenv`.
        detail: the cause of its state, or empty.
        starts: how often its startup or run step has been started.
        after_stop: its state after a stop: FINISHED, or INSTALLED for a restart.
        exit_code: of the last step that ended; negative: the signal that killed it.
    """

    unit: Unit
    env: dict[str, str]
    log: ComponentLog
    context: ProcessContext
    state: str = NEW
    detail: str = ""
    starts: int = 0
    exit_code: int | None = None
    installed: bool = False
    after_stop: str = FINISHED
    _script: Script | None = None
    _errors: dict[str, list[float]] = field(default_factory=dict)
    _reported: str | None = None
    _report: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.unit.name

    @property
    def pid(self) -> int | None:
        """Of the running step's shell."""
        return self._script.pid if self._script and self.state in (NEW, STARTING, RUNNING) else None

    async def run_lifecycle(self) -> None:
        """Run until FINISHED or BROKEN. If cancelled, stop the processes and change to `after_stop`."""
        if not self.context.profile.runs_shutdown:
            for name in ("shutdown", "recover"):
                if self.unit.lifecycle.get(name):
                    self.log.write_note(f"step {name} ignored: Nucleus Lite does not run it")
        try:
            while await self._attempt():
                pass
        except asyncio.CancelledError:
            self._set_state(STOPPING)
            await self._stop_processes()
            self._set_state(self.after_stop)
        except Exception as error:  # an internal error must not leave the component without a final state
            await self._stop_processes()
            self._set_state(BROKEN, f"internal error of the nucleus: {error!r}")
            raise

    async def uninstall(self) -> None:
        """Run the step `uninstall`, if the nucleus does; its errors are logged and otherwise ignored."""
        if not self.context.profile.runs_uninstall:
            return
        await self._best_effort("uninstall")
        if self._script is not None:
            await self._script.end()
            self._script = None

    def report_state(self, state: str) -> None:
        """The component itself reports `RUNNING` or `ERRORED` (UpdateState)."""
        self._reported = state
        self._report.set()

    def signal(self, number: int) -> bool:
        """Send a signal to all its processes; False: it has none."""
        if self._script is None:
            return False
        self._script.signal(number)
        return True

    def reset_errors(self) -> None:
        self._errors.clear()

    async def _attempt(self) -> bool:
        """Run the lifecycle once; True: try again."""
        phase = "install"
        try:
            if not self.installed:
                self._set_state(NEW)
                await self._run_step("bootstrap", accepted=(0, *RESTART_EXIT_CODES))
                await self._run_step("install")
                self.installed = True
            self._errors.pop(phase, None)
            self._set_state(INSTALLED)
            await self.context.wait_until_ready(self.unit)
            phase = "startup"
            self._set_state(STARTING)
            self._reported = None
            self._report.clear()
            if self._has("startup"):
                still_running = await self._run_startup()
                self._errors.pop(phase, None)
                phase = "run"
                await self._wait_for_error(still_running)
            elif self._has("run"):
                phase = "run"
                await self._run_until_exit()
            await self._stop_processes()
            self._set_state(FINISHED)
            return False
        except (StepFailed, GglocalError, OSError) as error:
            return await self._failed(phase, str(error))

    async def _failed(self, phase: str, cause: str) -> bool:
        times = self._errors.setdefault(phase, [])
        now = self.context.clock()
        if times and now - times[-1] >= self.context.error_reset:
            times.clear()
        times.append(now)
        self._set_state(ERRORED, cause, "ERROR")
        if self.context.profile.runs_shutdown:
            await self._best_effort("recover")
        await self._stop_processes()
        if len(times) >= MAX_ERRORS:
            self._set_state(BROKEN, f"{cause}; not retried after {len(times)} consecutive errors", "ERROR")
            return False
        delay = backoff(len(times))
        self.log.log_event(f"retrying in {delay:g} s, after error {len(times)} of {MAX_ERRORS}")
        await asyncio.sleep(delay)
        return True

    async def _run_startup(self) -> bool:
        """Run `startup` until it succeeds or the component reports RUNNING; True: the step is still running."""
        step, script, seconds = await self._start_step("startup")
        self.starts += 1
        ended, reported = asyncio.ensure_future(script.wait()), asyncio.ensure_future(self._report.wait())
        try:
            done, _ = await asyncio.wait({ended, reported}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reported.cancel()
            ended.cancel()
        if not done:
            raise StepFailed(f"startup exceeded its Timeout of {seconds:g} s")
        if ended in done:
            self._check_exit(step.name, ended.result())
        if self._reported == ERRORED:
            raise StepFailed("the component reported ERRORED")
        self._set_state(RUNNING)
        return ended not in done

    async def _wait_for_error(self, step_running: bool) -> None:
        """Wait until the component reports ERRORED, or its startup step, if it is still running, fails."""
        if step_running:
            assert self._script is not None
            self._check_exit("startup", await self._unless_errored(self._script.wait()))
        while True:
            await self._unless_errored(asyncio.Event().wait())

    async def _run_until_exit(self) -> None:
        step, script, seconds = await self._start_step("run")
        if not self.context.profile.runs_shutdown:
            seconds = None
        self.starts += 1
        self._set_state(RUNNING)
        try:
            code = await asyncio.wait_for(self._unless_errored(script.wait()), seconds)
        except asyncio.TimeoutError:
            raise StepFailed(f"run exceeded its Timeout of {seconds:g} s") from None
        self._check_exit(step.name, code)

    async def _unless_errored(self, awaitable: Awaitable[int | bool]) -> int:
        """The result of `awaitable`, unless the component reports ERRORED first."""
        main = asyncio.ensure_future(awaitable)
        try:
            while not main.done():
                report = asyncio.ensure_future(self._report.wait())
                try:
                    await asyncio.wait({main, report}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    report.cancel()
                if self._report.is_set():
                    self._report.clear()
                    if self._reported == ERRORED:
                        raise StepFailed("the component reported ERRORED")
            return int(main.result())
        finally:
            main.cancel()

    async def _run_step(self, name: str, accepted: tuple[int, ...] = (0,)) -> None:
        """Run a step until it ends, if the recipe has it and does not skip it."""
        if not self._has(name):
            return
        step, script, seconds = await self._start_step(name)
        try:
            code = await asyncio.wait_for(script.wait(), seconds)
        except asyncio.TimeoutError:
            raise StepFailed(f"{name} exceeded its Timeout of {seconds:g} s; increase {name}/Timeout") from None
        self._check_exit(name, code, accepted)

    async def _best_effort(self, name: str) -> None:
        try:
            await self._run_step(name)
        except (StepFailed, GglocalError, OSError) as error:
            self.log.log_event(str(error), "WARN")

    async def _start_step(self, name: str) -> tuple[Step, Script, float | None]:
        step, lite, scope = self.unit.lifecycle.steps[name], self.context.profile.strict_recipes, self.unit.scope
        env = dict(self.env)
        for key, value in (*self.unit.lifecycle.setenv, *step.setenv):
            env[key] = interpolate(value, scope, lite=lite)
        text = interpolate(step.script, scope, lite=lite, in_script=True)
        if lite and name == "startup":
            text += "\ntrue\n"  # Nucleus Lite notifies systemd here, which hides the script's exit code
        timeout = None if step.timeout is None else interpolate(step.timeout, scope, lite=lite)
        seconds = timeout_seconds(timeout, name, str(self.unit.recipe.path))
        if step.privileged and os.geteuid() != 0:
            self.log.log_event(f"{name} requires privilege; it runs as the current user, not as root", "WARN")
        scope.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.log_event(f"starting {name}")
        script = await Script.start(text, env=env, cwd=scope.work, mark=f"{self.context.mark}/{self.name}/", on_line=self.log.output)
        self.context.reaper.watch(script.pid)
        if name not in ("shutdown", "recover"):
            self._script = script
        return step, script, seconds

    def _check_exit(self, name: str, code: int, accepted: tuple[int, ...] = (0,)) -> None:
        self.exit_code = code
        self.log.log_event(f"{name} ended with {_exit_text(code)}")
        if code not in accepted:
            raise StepFailed(f"{name} ended with {_exit_text(code)}; see {self.log.path}")

    async def _stop_processes(self) -> None:
        """Stop every process of the component."""
        if self._script is None:
            return
        if self.context.profile.runs_shutdown and self.starts:
            await self._best_effort("shutdown")
        await self._script.end()
        self._script = None

    def _has(self, name: str) -> bool:
        """Whether the recipe has this step and does not skip it."""
        step = self.unit.lifecycle.get(name)
        return step is not None and not self._skips(step)

    def _skips(self, step: Step) -> bool:
        if step.skip_if is None:
            return False
        text = step.skip_if.strip()
        expected = not text.startswith("!")
        operator, _, operand = text.lstrip("! ").partition(" ")
        checks: dict[str, Callable[[str], bool]] = {
            "onpath": lambda name: shutil.which(name, path=self.env.get("PATH")) is not None,
            "exists": lambda path: Path(path).expanduser().exists(),
        }
        if operator not in checks:
            raise StepFailed(f"{step.name}/Skipif is {step.skip_if!r}; write onpath NAME or exists PATH")
        skips = checks[operator](interpolate(operand.strip(), self.unit.scope, lite=False)) == expected
        if skips:
            self.log.log_event(f"{step.name} skipped: {text}")
        return skips

    def _set_state(self, state: str, detail: str = "", level: str = "INFO") -> None:
        before, self.state, self.detail = self.state, state, detail
        if before != state:
            self.log.log_event(f"{before} -> {state}" + (f": {detail}" if detail else ""), level)
            self.context.on_change(self, before, state)


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
