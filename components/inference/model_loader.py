"""Loads the model: that of the model component if there is one, else the bundle that the configuration names."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from edgeml.errors import BundleError
from edgeml.model import self_test
from edgeml.model.bundle import Bundle
from edgeml.model.install_bundle import POINTER, install, installed, report_result
from edgeml.model.runtime import Engine, open_engine
from edgeml.model.signature import pinned
from edgeml.runtime.service import ComponentContext
from edgeml.storage.retrying_writer import RetryingWriter
from inference.options import InferenceOptions

LAST_GOOD = "model"
"""In the work directory: the model component's last bundle that worked."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A verified bundle and its engine."""

    bundle: Bundle
    engine: Engine

    def __str__(self) -> str:
        return f"{self.bundle.manifest.name} {self.bundle.manifest.version}"


class ModelLoader:
    """Loads models, and checks for a new one of the model component.

    Attributes:
        fault: the reason why the latest bundle of the model component does not run, or empty.
    """

    def __init__(self, context: ComponentContext, options: InferenceOptions) -> None:
        self._options, self._artifacts = options, context.artifacts
        signature = options.signature
        self._trusted_keys = pinned(signature.public_key, signature.public_key_file, signature.required, signature.public_keys.values())
        self._source = context.work.absolute().parent / options.model if options.model else None
        self._work, self._last_good = context.work, context.work / LAST_GOOD
        self._seen: tuple[int, int] | None = None
        self._writer = RetryingWriter(context.monotonic)
        self.fault = ""

    @property
    def unwritten(self) -> tuple[str, ...]:
        """Files that could not be written yet, one sentence each."""
        return self._writer.faults

    def initial(self) -> LoadedModel:
        """The model to start with: the model component's bundle, its last good one, or the configured one.

        Raises:
            BundleError: the configured bundle is needed, and is missing, altered, not signed with a trusted key, or does not fit.
        """
        new = self.poll_new()
        if new is not None:
            return new
        before = installed(self._last_good) if self._source is not None else None
        if before is not None:
            try:
                return self._open(before[0])
            except BundleError as fault:
                self.fault = "; ".join(filter(None, (self.fault, str(fault))))
                log.warning("%s; the configured bundle runs instead", fault)
        return self._open(_folder(self._artifacts, self._options.bundle))

    def poll_new(self) -> LoadedModel | None:
        """The model of a bundle that was installed since the last call; None: there is none, or it is refused (`fault`)."""
        self._writer.tick()
        if self._is_unchanged():
            return None
        found = installed(self._source) if self._source is not None else None
        if found is None or found[1] == self._seen:
            return None
        folder, self._seen = found
        try:
            model = self._open(folder)
        except BundleError as fault:
            if installed(self._source) != found:  # type: ignore[arg-type]
                return None  # replaced while it was read: the next call finds the other one
            self.fault = f"{self._options.model}: {fault}"
            self._report(found[1])
            log.error("%s; the running model is kept", self.fault)
            return None
        self.fault = ""
        self._report(found[1])
        self._save_last_good(folder)
        return model

    def _is_unchanged(self) -> bool:
        """Whether the model component's pointer is the one that was read last, without opening a file at every message."""
        if self._source is None:
            return True
        try:
            about = os.lstat(self._source / POINTER)
        except OSError:
            return True
        return (about.st_ino, about.st_mtime_ns) == self._seen

    def _open(self, folder: Path) -> LoadedModel:
        bundle = Bundle.load(folder, self._trusted_keys)
        engine = open_engine(bundle, self._options.engine, self._options.threads)
        checked = self_test.verify(bundle, engine)
        log.info("model %s %s on %s; %s", bundle.manifest.name, bundle.manifest.version, engine.kind, checked)
        return LoadedModel(bundle, engine)

    def _report(self, installation: tuple[int, int]) -> None:
        # The model component's step waits for this report: if the bundle is refused, its deployment fails.
        fault = self.fault
        sentence = (
            f"the report on the bundle cannot be written to {self._work} ({{}}); free some space, or the deployment "
            "of a refused bundle succeeds"
        )
        self._writer.do("result", lambda: report_result(self._work, installation, fault), sentence)

    def _save_last_good(self, folder: Path) -> None:
        # The model component's folder is deleted when its bundle is replaced; the model must survive a bad successor and a restart.
        sentence = (
            f"the running bundle cannot be copied to {self._last_good} ({{}}); free some space, or {folder} must "
            "still be there after a restart"
        )
        self._writer.do("copy", lambda: install(folder, self._last_good), sentence)


def _folder(artifacts: Path, bundle: str) -> Path:
    """The bundle's folder: a path, or a name among the artifacts. Both work on the classic nucleus and on Lite."""
    return Path(bundle) if "/" in bundle else artifacts / bundle
