"""The deployment engine of a nucleus, on its event loop. Use `gglocal.api.nucleus.Nucleus` from other threads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from gglocal.core.config_store import ConfigStore, KeyNotFound
from gglocal.core.pubsub import Message
from gglocal.core.state import NucleusState
from gglocal.deployment import artifacts, effective_config, merged_configuration
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
from gglocal.valid_names import component_name_error

_SAVE_DELAY_S = 0.2


@dataclass(frozen=True)
class Status:
    """The status of one component.

    Attributes:
        detail: the cause of its state, or empty.
        starts: how often it has been started.
        pid: of the running step's shell.
        exit_code: of the last step that ended; negative: the signal that killed it.
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
        """The form of ListComponents and GetComponentDetails."""
        return {"componentName": self.name, "version": self.version, "state": self.state, "configuration": self.configuration}


@dataclass(frozen=True)
class Checkpoint:
    """The deployed state at some moment, for a rollback."""

    roots: dict[str, str]
    units: dict[str, Unit]
    configuration: dict[str, Any]


class Engine:
    """Used on the event loop on which `start` is called."""

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
        self._preload = PreloadLibrary(root.path / "faults") if shim else None
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
        self.core.on_state(self.supervisor.report_state)

    async def stop(self) -> None:
        """Stop every component."""
        await self.supervisor.close()

    async def close(self) -> None:
        """Disconnect from IoT Core, and save the configuration."""
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
        """Add and update components, and remove those in `remove`; see `Nucleus.deploy`."""
        updates = configuration_updates(dict(config or {}), "configuration")
        async with self._deploying:
            for directory in recipe_dirs:
                self._recipes.add_directory(directory)
            removed_roots = tuple(remove)
            unknown = [name for name in removed_roots if name not in self._roots]
            if unknown:
                known = ", ".join(self._roots) or "none"
                raise DeploymentError(f"cannot remove {', '.join(unknown)}: not a root component; root components: {known}")
            roots = {**{name: version for name, version in self._roots.items() if name not in removed_roots}, **merge}
            if not roots and not removed_roots:
                raise DeploymentError("nothing to deploy; name a component with --merge NAME=VERSION")
            plan = resolve(roots, self._recipes, self._host)
            units = self._as_units(plan)
            if configured_as_roots:
                roots |= {name: "*" for name in updates if name in units and name not in roots}
            updates = merged_configuration.effective_updates(updates, roots, units, self.profile)
            for planned in plan:
                scope = units[planned.recipe.name].scope
                await asyncio.to_thread(
                    artifacts.store, planned.recipe, planned.selected.manifest, artifact_dirs, scope.artifacts, scope.unarchived
                )
            deployment = str(uuid4())
            await self._validate(deployment, units, updates)
            interrupts = self._interrupts(units, updates)
            if interrupts:
                await self.core.update_deferral.wait_for_consent(deployment)
            merged_configuration.configure(self.core.config, units, updates, self.profile)
            for name in units:
                self.core.set_access_control(name, self._configuration(name).get("accessControl"))
            self._roots = roots
            self._save()
            self._watch()
            removed = [name for name in self._units if name not in units]
            await self._apply(units, updates)
            if removed_roots:  # as on classic, removed components lose their configuration
                for name in removed:
                    self.core.config.reset(name)
            self._save()
            if interrupts:
                self.core.update_deferral.notify_done(deployment)
            return list(units)

    def checkpoint(self) -> Checkpoint:
        """The deployed state, for `restore`."""
        return Checkpoint(dict(self._roots), dict(self._units), self.core.config.snapshot())

    def restore_configuration(self, before: Checkpoint) -> None:
        """Restore the configuration alone, after a deployment that changed nothing else."""
        self.core.config.restore(before.configuration)
        self._save()
        self._watch()

    async def restore(self, before: Checkpoint) -> None:
        """Restore components, versions and configuration."""
        async with self._deploying:
            changed = {name for name, dumped in self.core.config.snapshot().items() if before.configuration.get(name) != dumped}
            self._roots = dict(before.roots)
            self.restore_configuration(before)
            for name in before.units:
                self.core.set_access_control(name, self._configuration(name).get("accessControl"))
            await self._apply(dict(before.units), dict.fromkeys(changed, {}))

    def status(self) -> list[Status]:
        return [self._status(component) for component in self.supervisor.components()]

    def status_of(self, name: str) -> Status:
        """
        Raises:
            NucleusError: the component is not deployed.
        """
        return self._status(self.supervisor.get(name))

    def publish(self, topic: str, message: Message) -> int:
        """Publish locally; returns the number of component subscriptions that received the message."""
        return self.core.publish(topic, message)

    def publish_iot(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self.core.publish_to_iot_core(topic, payload, qos)

    def client_env(self, name: str, access_control: Any) -> dict[str, str]:
        """Register a component that the caller starts; returns the variables for its process."""
        if error := component_name_error(name):
            raise NucleusError(error)
        self.core.config.set_default(name, {"accessControl": access_control})
        svcuid = self.core.register(name, "0.0.0", access_control)
        return environment.of_nucleus(
            self.profile, svcuid=svcuid, ipc_socket=self.root.ipc_socket, thing_name=self.thing_name, region=self._region
        )

    def rotate_tokens(self) -> None:
        """Revoke every SVCUID; components that the nucleus starts later get new ones."""
        for name, known in self.core.registered().items():
            self.core.unregister(name)
            if name in self._units:
                svcuid = self.core.register(name, known.version, known.access_control)
                self.supervisor.get(name).env.update(environment.of_token(svcuid))

    def preload_library(self, name: str) -> PreloadLibrary:
        """The library that injects faults into a component's processes.

        Raises:
            NucleusError: the nucleus was started without the library, or the component is not deployed.
        """
        if self._preload is None:
            raise NucleusError(
                "faults in processes need the preload library; start the nucleus with gglocal run --shim, or Nucleus(…, shim=True)"
            )
        self.supervisor.get(name)
        return self._preload

    def drop_watchers(self) -> None:
        """Drop every configuration subscription of components without notice."""
        self.core.config.drop_watchers()
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
        """Have components that keep their version validate their new configuration.

        Raises:
            DeploymentError: a component rejects it, or does not report.
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
        rejection = await self.core.config_validation.validate(deployment, changed)
        if rejection:
            raise DeploymentError(rejection)

    async def _apply(self, units: dict[str, Unit], updates: Mapping[str, Any]) -> None:
        for name in [name for name in self._units if name not in units]:
            await self._remove(name, uninstall=True)
        for name, unit in units.items():
            if name in self._units:
                if not self._needs_restart(unit, updates) and self.supervisor.get(name).state != BROKEN:
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
            if self._preload is not None:
                env |= self._preload.environment(name, unit.scope.work)
            self.supervisor.start(unit, env)
        self._units = units

    def _changed(self, unit: Unit) -> bool:
        return self._units[unit.name].recipe.document != unit.recipe.document

    def _needs_restart(self, unit: Unit, updates: Mapping[str, Any]) -> bool:
        return self._changed(unit) or (unit.name in updates and self.profile.restarts_on_configuration)

    def _interrupts(self, units: dict[str, Unit], updates: Mapping[str, Any]) -> bool:
        """Whether a deployment stops or restarts a component."""
        return any(name not in units or self._needs_restart(units[name], updates) for name in self._units)

    async def _remove(self, name: str, *, uninstall: bool = False) -> None:
        await self.supervisor.remove(name, uninstall=uninstall)
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
