"""The life of one component: install, start, run, fail, try again, until it is finished, stopped or broken."""

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
STATES = (NEW, INSTALLED, STARTING, RUNNING, FINISHED, STOPPING, ERRORED, BROKEN)
READY = (RUNNING, FINISHED)

MAX_ERRORS = 3
"""In a row, each within the error window of the last: then a component is BROKEN."""
RESTART_REQUESTED = (100, 101)
"""Exit codes of `bootstrap` that ask for a restart of the nucleus or of the device."""


def backoff(errors: int) -> float:
    """Seconds before the next try, after so many errors in a row."""
    return min(5.0, 0.25 * 4 ** (errors - 1))


@dataclass(frozen=True)
class Unit:
    """One component of a deployment, ready to be run.

    Attributes:
        dependencies: those that are part of the deployment.
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
    """What all components of a nucleus share.

    Attributes:
        mark: goes into the environment of every process, so that each is found again.
        error_reset: seconds without an error after which earlier ones no longer count.
        ready: waits until a unit's dependencies let it start.
        changed: is told of each new state.
    """

    profile: Profile
    mark: str
    guardian: ReaperProcess
    error_reset: float
    ready: Callable[[Unit], Awaitable[None]]
    changed: Callable[[Component, str, str], None]
    clock: Callable[[], float] = time.monotonic


class StepFailed(Exception):
    """A step ended with an error; the text says which and how."""


@dataclass
class Component:
    """A unit and its state; `live` is its whole life, and cancelling that stops it.

    Attributes:
        env: the environment of its processes, before the recipe's `Setenv`.
        detail: why it is in its state, a sentence, or empty.
        starts: how often its startup or run step has been started.
        after_stop: FINISHED; or INSTALLED, when it is stopped to be started again.
        exit_code: of the last step that ended; negative: the signal that killed it.
    """

    unit: Unit
    env: dict[str, str]
    log: ComponentLog
    around: ProcessContext
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

    async def live(self) -> None:
        """Live until FINISHED or BROKEN; cancelled: stop the processes, then `after_stop`."""
        if not self.around.profile.runs_shutdown:
            for name in ("shutdown", "recover"):
                if self.unit.lifecycle.get(name):
                    self.log.note(f"Nucleus Lite does not run the step {name}; it is ignored")
        try:
            while await self._attempt():
                pass
        except asyncio.CancelledError:
            self._to(STOPPING)
            await self._wind_down()
            self._to(self.after_stop)
        except Exception as fault:  # a fault of the nucleus must not leave a component in limbo
            await self._wind_down()
            self._to(BROKEN, f"the nucleus failed on it: {fault!r}")
            raise

    async def uninstall(self) -> None:
        """Run the step `uninstall`, where the nucleus does; what goes wrong in it is logged, and the component goes all the same."""
        if not self.around.profile.runs_uninstall:
            return
        await self._best_effort("uninstall")
        if self._script is not None:
            await self._script.end()
            self._script = None

    def reported(self, state: str) -> None:
        """The component itself says `RUNNING` or `ERRORED` (UpdateState)."""
        self._reported = state
        self._report.set()

    def signal(self, number: int) -> bool:
        """Send a signal to all its processes; False: there are none."""
        if self._script is None:
            return False
        self._script.signal(number)
        return True

    def forget_errors(self) -> None:
        self._errors.clear()

    async def _attempt(self) -> bool:
        """Try once; True: there is a next try."""
        phase = "install"
        try:
            if not self.installed:
                self._to(NEW)
                await self._complete("bootstrap", good=(0, *RESTART_REQUESTED))
                await self._complete("install")
                self.installed = True
            self._errors.pop(phase, None)
            self._to(INSTALLED)
            await self.around.ready(self.unit)
            phase = "startup"
            self._to(STARTING)
            self._reported = None
            self._report.clear()
            if self._has("startup"):
                still_runs = await self._start_up()
                self._errors.pop(phase, None)
                phase = "run"
                await self._stay_up(still_runs)
            elif self._has("run"):
                phase = "run"
                await self._run()
            await self._wind_down()
            self._to(FINISHED)
            return False
        except (StepFailed, GglocalError, OSError) as fault:
            return await self._failed(phase, str(fault))

    async def _failed(self, phase: str, why: str) -> bool:
        times = self._errors.setdefault(phase, [])
        now = self.around.clock()
        if times and now - times[-1] >= self.around.error_reset:
            times.clear()
        times.append(now)
        self._to(ERRORED, why, "ERROR")
        if self.around.profile.runs_shutdown:
            await self._best_effort("recover")
        await self._wind_down()
        if len(times) >= MAX_ERRORS:
            self._to(BROKEN, f"{why}; that was error {len(times)} in a row, it is not tried again", "ERROR")
            return False
        delay = backoff(len(times))
        self.log.say(f"next try in {delay:g} s, after error {len(times)} of {MAX_ERRORS}")
        await asyncio.sleep(delay)
        return True

    async def _start_up(self) -> bool:
        """Until the step has ended well, or the component says that it is RUNNING; True: the step still runs."""
        step, script, seconds = await self._begin("startup")
        self.starts += 1
        ended, reported = asyncio.ensure_future(script.wait()), asyncio.ensure_future(self._report.wait())
        try:
            done, _ = await asyncio.wait({ended, reported}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reported.cancel()
            ended.cancel()
        if not done:
            raise StepFailed(f"startup took longer than its Timeout of {seconds:g} s")
        if ended in done:
            self._judge(step.name, ended.result())
        if self._reported == ERRORED:
            raise StepFailed("the component reported ERRORED")
        self._to(RUNNING)
        return ended not in done

    async def _stay_up(self, step_runs: bool) -> None:
        """Until the component reports ERRORED, or its startup step, if it still runs, ends badly."""
        if step_runs:
            assert self._script is not None
            self._judge("startup", await self._unless_errored(self._script.wait()))
        while True:
            await self._unless_errored(asyncio.Event().wait())

    async def _run(self) -> None:
        step, script, seconds = await self._begin("run")
        if not self.around.profile.runs_shutdown:
            seconds = None
        self.starts += 1
        self._to(RUNNING)
        try:
            code = await asyncio.wait_for(self._unless_errored(script.wait()), seconds)
        except asyncio.TimeoutError:
            raise StepFailed(f"run took longer than its Timeout of {seconds:g} s") from None
        self._judge(step.name, code)

    async def _unless_errored(self, waited: Awaitable[int | bool]) -> int:
        """The result of `waited`, unless the component reports ERRORED first."""
        main = asyncio.ensure_future(waited)
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

    async def _complete(self, name: str, good: tuple[int, ...] = (0,)) -> None:
        """Run a step to its end; a step that the recipe lacks, or skips, is none."""
        if not self._has(name):
            return
        step, script, seconds = await self._begin(name)
        try:
            code = await asyncio.wait_for(script.wait(), seconds)
        except asyncio.TimeoutError:
            raise StepFailed(f"{name} took longer than its Timeout of {seconds:g} s; raise {name}/Timeout") from None
        self._judge(name, code, good)

    async def _best_effort(self, name: str) -> None:
        try:
            await self._complete(name)
        except (StepFailed, GglocalError, OSError) as fault:
            self.log.say(str(fault), "WARN")

    async def _begin(self, name: str) -> tuple[Step, Script, float | None]:
        step, lite, scope = self.unit.lifecycle.steps[name], self.around.profile.strict_recipes, self.unit.scope
        env = dict(self.env)
        for key, value in (*self.unit.lifecycle.setenv, *step.setenv):
            env[key] = interpolate(value, scope, lite=lite)
        text = interpolate(step.script, scope, lite=lite, in_script=True)
        if lite and name == "startup":
            text += "\ntrue\n"  # Nucleus Lite tells systemd there that it is ready; what the script itself ends with is lost
        timeout = None if step.timeout is None else interpolate(step.timeout, scope, lite=lite)
        seconds = timeout_seconds(timeout, name, str(self.unit.recipe.path))
        if step.privileged and os.geteuid() != 0:
            self.log.say(f"{name} asks for RequiresPrivilege; it runs as you, and not as root", "WARN")
        scope.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.say(f"{name} starts")
        script = await Script.start(text, env=env, cwd=scope.work, mark=f"{self.around.mark}/{self.name}/", on_line=self.log.output)
        self.around.guardian.watch(script.pid)
        if name not in ("shutdown", "recover"):
            self._script = script
        return step, script, seconds

    def _judge(self, name: str, code: int, good: tuple[int, ...] = (0,)) -> None:
        self.exit_code = code
        self.log.say(f"{name} ended with {_how(code)}")
        if code not in good:
            raise StepFailed(f"{name} ended with {_how(code)}; see {self.log.path}")

    async def _wind_down(self) -> None:
        """End every process of the component."""
        if self._script is None:
            return
        if self.around.profile.runs_shutdown and self.starts:
            await self._best_effort("shutdown")
        await self._script.end()
        self._script = None

    def _has(self, name: str) -> bool:
        """Whether there is such a step, and it is not to be skipped."""
        step = self.unit.lifecycle.get(name)
        return step is not None and not self._skips(step)

    def _skips(self, step: Step) -> bool:
        if step.skip_if is None:
            return False
        text = step.skip_if.strip()
        wanted = not text.startswith("!")
        operator, _, operand = text.lstrip("! ").partition(" ")
        checks: dict[str, Callable[[str], bool]] = {
            "onpath": lambda name: shutil.which(name, path=self.env.get("PATH")) is not None,
            "exists": lambda path: Path(path).expanduser().exists(),
        }
        if operator not in checks:
            raise StepFailed(f"{step.name}/Skipif is {step.skip_if!r}; write onpath NAME or exists PATH")
        skips = checks[operator](interpolate(operand.strip(), self.unit.scope, lite=False)) == wanted
        if skips:
            self.log.say(f"{step.name} is skipped, since {text}")
        return skips

    def _to(self, state: str, detail: str = "", level: str = "INFO") -> None:
        before, self.state, self.detail = self.state, state, detail
        if before != state:
            self.log.say(f"{before} -> {state}" + (f": {detail}" if detail else ""), level)
            self.around.changed(self, before, state)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
