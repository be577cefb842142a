"""What a nucleus does on its asyncio loop: deploys, and answers for what runs. `nucleus.Nucleus` is for everybody else."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from gglocal.core import effective_config
from gglocal.core.config_store import ConfigStore, KeyNotFound
from gglocal.core.pubsub import Message
from gglocal.core.state import NucleusState
from gglocal.deployment import artifacts, merged_configuration
from gglocal.deployment.resolver import Planned, RecipeStore, configuration_updates, resolve
from gglocal.errors import DeploymentError, NucleusError
from gglocal.iot_core import open_iot_core
from gglocal.iot_core.link import CloudLink
from gglocal.process import environment
from gglocal.process.component import BROKEN, Component, Unit
from gglocal.process.log_file import Echo
from gglocal.process.preload import PreloadLibrary
from gglocal.process.supervisor import OnState, Supervisor
from gglocal.profile import Profile
from gglocal.recipe.lifecycle_steps import parse_lifecycle
from gglocal.recipe.manifest_selection import Host
from gglocal.recipe.variables import Scope
from gglocal.root_dir import Root
from gglocal.valid_names import component_fault

log = logging.getLogger("gglocal")

_SAVE_DELAY_S = 0.2


@dataclass(frozen=True)
class Status:
    """One component, now.

    Attributes:
        detail: why it is in its state; empty: nothing to say.
        starts: how often it was started.
        pid: of the shell of the step that runs.
        exit_code: of the step that ended last; negative: the signal that killed it.
    """

    name: str
    version: str
    state: str
    detail: str
    starts: int
    pid: int | None
    exit_code: int | None
    log: str
    configuration: Any

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def details(self) -> dict[str, Any]:
        """As ListComponents and GetComponentDetails have it."""
        return {"componentName": self.name, "version": self.version, "state": self.state, "configuration": self.configuration}


@dataclass(frozen=True)
class Checkpoint:
    """What was deployed at some moment, to come back to."""

    roots: dict[str, str]
    units: dict[str, Unit]
    configuration: dict[str, Any]


class Engine:
    """Everything runs on the loop on which `start` was called."""

    def __init__(
        self,
        root: Root,
        profile: Profile,
        *,
        thing_name: str,
        region: str,
        iot_core: str,
        error_reset: float,
        on_state: OnState,
        echo: Echo | None = None,
        shim: bool = False,
    ) -> None:
        self.root, self.profile, self.thing_name, self._region = root, profile, thing_name, region
        self.link = CloudLink(open_iot_core(iot_core, client_id=thing_name, record=root.iot_record))
        self.core = NucleusState(
            profile=profile,
            thing_name=thing_name,
            region=region,
            log_dir=root.logs,
            root_path=str(root.path),
            iot=self.link,
        )
        self._error_reset, self._on_state, self._echo = error_reset, on_state, echo
        self._host = Host.detect()
        self._recipes = RecipeStore(profile)
        self._roots: dict[str, str] = {}
        self._units: dict[str, Unit] = {}
        self._watches: list[Callable[[], None]] = []
        self._saving: asyncio.TimerHandle | None = None
        self._deploying = asyncio.Lock()
        self._shim = PreloadLibrary(root.path / "faults") if shim else None
        self.supervisor: Supervisor

    async def start(self) -> None:
        self.core.config.load(self.root.load_state().get("configuration", {}))
        await self.core.iot.start()
        self.supervisor = Supervisor(
            profile=self.profile,
            mark=secrets.token_hex(8),
            log_dir=self.root.logs,
            error_reset=self._error_reset,
            on_state=self._on_state,
            echo=self._echo,
        )
        self.core.on_state(self.supervisor.reported)

    async def stop(self) -> None:
        """Stop every component."""
        await self.supervisor.close()

    async def close(self) -> None:
        """Leave IoT Core, and keep the configuration."""
        await self.core.iot.close()
        self._save()

    async def deploy(
        self,
        recipe_dirs: list[Path],
        artifact_dirs: list[Path],
        merge: Mapping[str, str],
        config: Mapping[str, Any] | None = None,
        remove: Iterable[str] = (),
        *,
        configured_as_roots: bool = False,
    ) -> list[str]:
        """Add components to what is deployed, and take away those in `remove`; see `Nucleus.deploy`."""
        updates = configuration_updates(dict(config or {}), "configuration")
        async with self._deploying:
            for directory in recipe_dirs:
                self._recipes.add_directory(directory)
            gone = tuple(remove)
            unknown = [name for name in gone if name not in self._roots]
            if unknown:
                there = ", ".join(self._roots) or "none"
                raise DeploymentError(f"{', '.join(unknown)} cannot be removed, since no deployment named it; named were {there}")
            roots = {**{name: version for name, version in self._roots.items() if name not in gone}, **merge}
            if not roots and not gone:
                raise DeploymentError("nothing to deploy; name a component with --merge NAME=VERSION")
            plan = resolve(roots, self._recipes, self._host)
            units = self._as_units(plan)
            if configured_as_roots:
                roots |= {name: "*" for name in updates if name in units and name not in roots}
            updates = merged_configuration.that_count(updates, roots, units, self.profile)
            for planned in plan:
                scope = units[planned.recipe.name].scope
                await asyncio.to_thread(
                    artifacts.store, planned.recipe, planned.selected.manifest, artifact_dirs, scope.artifacts, scope.unarchived
                )
            deployment = str(uuid4())
            await self._validate(deployment, units, updates)
            touches = self._touches(units, updates)
            if touches:
                await self.core.updates.ask(deployment)
            merged_configuration.configure(self.core.config, units, updates, self.profile)
            for name in units:
                self.core.set_access_control(name, self._configuration(name).get("accessControl"))
            self._roots = roots
            self._save()
            self._watch()
            removed = [name for name in self._units if name not in units]
            await self._bring_about(units, updates)
            if gone:  # as on classic: what is removed leaves no configuration; what merely is no longer needed keeps it here
                for name in removed:
                    self.core.config.reset(name)
            self._save()
            if touches:
                self.core.updates.tell_done(deployment)
            return list(units)

    def checkpoint(self) -> Checkpoint:
        """What is deployed now."""
        return Checkpoint(dict(self._roots), dict(self._units), self.core.config.snapshot())

    def put_back_configuration(self, before: Checkpoint) -> None:
        """After a deployment that changed nothing else."""
        self.core.config.restore(before.configuration)
        self._save()
        self._watch()

    async def restore(self, before: Checkpoint) -> None:
        """Come back to what was deployed: components, versions and configuration."""
        async with self._deploying:
            told = {name for name, dumped in self.core.config.snapshot().items() if before.configuration.get(name) != dumped}
            self._roots = dict(before.roots)
            self.put_back_configuration(before)
            for name in before.units:
                self.core.set_access_control(name, self._configuration(name).get("accessControl"))
            await self._bring_about(dict(before.units), dict.fromkeys(told, {}))

    def status(self) -> list[Status]:
        return [self._status(component) for component in self.supervisor.components()]

    def status_of(self, name: str) -> Status:
        """
        Raises:
            NucleusError: there is no such component.
        """
        return self._status(self.supervisor.get(name))

    def publish(self, topic: str, message: Message) -> int:
        """Returns how many subscriptions of components heard it."""
        return self.core.publish(topic, message)

    def publish_iot(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self.core.publish_to_iot_core(topic, payload, qos)

    def client_env(self, name: str, access_control: Any) -> dict[str, str]:
        """Register a component that somebody else starts, and what its process needs to be told."""
        if wrong := component_fault(name):
            raise NucleusError(wrong)
        self.core.config.set_default(name, {"accessControl": access_control})
        svcuid = self.core.register(name, "0.0.0", access_control)
        return environment.of_nucleus(
            self.profile, svcuid=svcuid, ipc_socket=self.root.ipc_socket, thing_name=self.thing_name, region=self._region
        )

    def new_tokens(self) -> None:
        """Refuse every SVCUID from now on; what the nucleus itself starts later gets a new one."""
        for name, known in self.core.registered().items():
            self.core.unregister(name)
            if name in self._units:
                svcuid = self.core.register(name, known.version, known.access_control)
                self.supervisor.get(name).env.update(environment.of_token(svcuid))

    def shim_of(self, name: str) -> PreloadLibrary:
        """What faults in a component's processes are told by.

        Raises:
            NucleusError: the nucleus was started without it, or there is no such component.
        """
        if self._shim is None:
            raise NucleusError("faults in processes need a nucleus with the shim: gglocal run --shim, or Nucleus(…, shim=True)")
        self.supervisor.get(name)
        return self._shim

    def forget_watchers(self) -> None:
        """Every subscription to configuration is dead, but the nucleus's own."""
        self.core.config.forget_watchers()
        self._watch()

    def _as_units(self, plan: list[Planned]) -> dict[str, Unit]:
        units: dict[str, Unit] = {}
        for planned in plan:
            recipe = planned.recipe
            present = {name: needed for name, needed in recipe.dependencies.items() if name in units}
            scope = Scope(
                recipe.name,
                str(recipe.version),
                self.root.path,
                self.thing_name,
                partial(self._configuration, recipe.name),
                {name: units[name].scope for name in present},
            )
            lifecycle = parse_lifecycle(planned.selected.lifecycle, str(recipe.path))
            units[recipe.name] = Unit(recipe, lifecycle, scope, present)
        return units

    async def _validate(self, deployment: str, units: Mapping[str, Unit], updates: Mapping[str, Any]) -> None:
        """Ask components that keep their version whether their new configuration is valid.

        Raises:
            DeploymentError: one refuses it, or does not answer.
        """
        proposed = ConfigStore()
        proposed.load(self.core.config.snapshot())
        merged_configuration.configure(proposed, units, updates, self.profile)
        changed = {
            name: proposed.get(name)
            for name, unit in units.items()
            if name in self._units
            and self._units[name].recipe.version == unit.recipe.version
            and proposed.get(name) != self._configuration(name)
        }
        refusal = await self.core.validation.ask(deployment, changed)
        if refusal:
            raise DeploymentError(refusal)

    async def _bring_about(self, units: dict[str, Unit], updates: Mapping[str, Any]) -> None:
        for name in [name for name in self._units if name not in units]:
            await self._remove(name, for_good=True)
        for name, unit in units.items():
            if name in self._units:
                if not self._touched(unit, updates) and self.supervisor.get(name).state != BROKEN:
                    continue
                if not self._changed(unit):
                    await self.supervisor.restart(name)
                    continue
                await self._remove(name)
            access_control = self._configuration(name).get("accessControl")
            svcuid = self.core.register(name, str(unit.recipe.version), access_control)
            env = environment.of_user() | environment.of_nucleus(
                self.profile, svcuid=svcuid, ipc_socket=self.root.ipc_socket, thing_name=self.thing_name, region=self._region
            )
            unit.scope.work.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._shim is not None:
                env |= self._shim.environment(name, unit.scope.work)
            self.supervisor.start(unit, env)
        self._units = units

    def _changed(self, unit: Unit) -> bool:
        return self._units[unit.name].recipe.document != unit.recipe.document

    def _touched(self, unit: Unit, updates: Mapping[str, Any]) -> bool:
        return self._changed(unit) or (unit.name in updates and self.profile.restarts_on_configuration)

    def _touches(self, units: dict[str, Unit], updates: Mapping[str, Any]) -> bool:
        """Whether a deployment stops or restarts anything that runs."""
        return any(name not in units or self._touched(units[name], updates) for name in self._units)

    async def _remove(self, name: str, *, for_good: bool = False) -> None:
        await self.supervisor.remove(name, for_good=for_good)
        self.core.unregister(name)

    def _configuration(self, name: str) -> dict[str, Any]:
        try:
            found = self.core.config.get(name)
        except KeyNotFound:
            return {}
        return found if isinstance(found, dict) else {}

    def _status(self, component: Component) -> Status:
        return Status(
            component.name,
            str(component.unit.recipe.version),
            component.state,
            component.detail,
            component.starts,
            component.pid,
            component.exit_code,
            str(component.log.path),
            self._configuration(component.name),
        )

    def _watch(self) -> None:
        for end in self._watches:
            end()
        self._watches = [self.core.config.subscribe(name, [], lambda *_: self._save_soon()) for name in self.core.config.components()]

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(_SAVE_DELAY_S, self._save)

    def _save(self) -> None:
        self._saving = None
        self.root.save_state({"configuration": self.core.config.snapshot()})
        if self.profile.writes_effective_configuration:
            self.root.save_effective(
                effective_config.document(
                    self.root.path,
                    self.thing_name,
                    self._region,
                    self.profile.version,
                    self._roots,
                    self._units,
                    self.core.config,
                )
            )
