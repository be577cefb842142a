"""Which model runs: that of the model component where there is one, and else the bundle that the configuration names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edgeml.errors import BundleError
from edgeml.model import self_test
from edgeml.model.bundle import Bundle
from edgeml.model.install_bundle import judge, place, placed
from edgeml.model.runtime import Engine, open_engine
from edgeml.model.signature import pinned
from edgeml.runtime.service import ComponentContext
from edgeml.storage.retrying_writer import RetryingWriter
from inference.options import InferenceOptions

KEPT = "model"
"""In the work directory: the model component's bundle that worked last."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A bundle that was verified, and its engine."""

    bundle: Bundle
    engine: Engine

    def __str__(self) -> str:
        return f"{self.bundle.manifest.name} {self.bundle.manifest.version}"


class ModelLoader:
    """Opens models, and looks for a new one of the model component.

    Attributes:
        fault: why the bundle that the model component placed last does not run, or empty.
    """

    def __init__(self, context: ComponentContext, options: InferenceOptions) -> None:
        self._options, self._artifacts = options, context.artifacts
        trust = options.signature
        self._believed = pinned(trust.public_key, trust.public_key_file, trust.required, trust.public_keys.values())
        self._source = context.work.absolute().parent / options.model if options.model else None
        self._work, self._kept = context.work, context.work / KEPT
        self._seen: tuple[int, int] | None = None
        self._lasting = RetryingWriter(context.monotonic)
        self.fault = ""

    @property
    def unwritten(self) -> tuple[str, ...]:
        """What should be on the disk and is not yet."""
        return self._lasting.faults

    def first(self) -> LoadedModel:
        """What to begin with: what the model component placed, or of its bundles the one that ran before, or the configured one.

        Raises:
            BundleError: the configured one is needed, and is missing, altered, not signed with the pinned key, or does not fit.
        """
        fresh = self.fresh()
        if fresh is not None:
            return fresh
        before = placed(self._kept) if self._source is not None else None
        if before is not None:
            try:
                return self._open(before[0])
            except BundleError as fault:
                self.fault = "; ".join(filter(None, (self.fault, str(fault))))
                log.warning("%s; the configured bundle runs instead", fault)
        return self._open(_folder(self._artifacts, self._options.bundle))

    def fresh(self) -> LoadedModel | None:
        """The model of a bundle that was placed since this was asked last; None: there is none, or it is refused (`fault`)."""
        self._lasting.tick()
        found = placed(self._source) if self._source is not None else None
        if found is None or found[1] == self._seen:
            return None
        folder, self._seen = found
        try:
            model = self._open(folder)
        except BundleError as fault:
            if placed(self._source) != found:  # type: ignore[arg-type]
                return None  # replaced while it was read: the next look finds the other one
            self.fault = f"{self._options.model}: {fault}"
            self._tell(found[1])
            log.error("%s; the model that runs goes on", self.fault)
            return None
        self.fault = ""
        self._tell(found[1])
        self._keep(folder)
        return model

    def _open(self, folder: Path) -> LoadedModel:
        bundle = Bundle.load(folder, self._believed)
        engine = open_engine(bundle, self._options.engine, self._options.threads)
        checked = self_test.verify(bundle, engine)
        log.info("model %s %s on %s; %s", bundle.manifest.name, bundle.manifest.version, engine.kind, checked)
        return LoadedModel(bundle, engine)

    def _tell(self, placing: tuple[int, int]) -> None:
        # The model component's step waits for this: a bundle that is refused is a deployment that failed.
        fault = self.fault
        sentence = f"the verdict on the bundle cannot be written to {self._work} ({{}}); make room, or a refused one's deployment succeeds"
        self._lasting.do("verdict", lambda: judge(self._work, placing, fault), sentence)

    def _keep(self, folder: Path) -> None:
        # The model component's own folder goes when it is replaced; the model must outlive a bad successor and a restart.
        sentence = f"the bundle that runs cannot be copied to {self._kept} ({{}}); make room, or {folder} must be there after a restart"
        self._lasting.do("copy", lambda: place(folder, self._kept), sentence)


def _folder(artifacts: Path, bundle: str) -> Path:
    """Where the bundle is: a path as it is, a name among the artifacts. Both work alike on classic and on Lite."""
    return Path(bundle) if "/" in bundle else artifacts / bundle
