"""The contract of a SageMaker training container in script mode, as `sagemaker-training-toolkit` and the platform implement it.

The toolkit sets `SM_*` and passes the hyperparameters as arguments; without the toolkit they are in `/opt/ml/input/config`. The
model goes to `SM_MODEL_DIR` and other files to `SM_OUTPUT_DATA_DIR`. The reason of a failure goes to the file `failure` in the
output folder; SageMaker shows its first 1,024 characters as the job's `FailureReason`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeml.parsing.sanitize import fit
from model_training.training_request import TrainingError

BASE = "/opt/ml"
REASON_CHARACTERS = 1024
CHANNELS = ("training", "train")
"""Names of the channel with the data, in order of preference. A single channel may have any name."""

PLATFORM = ("sagemaker_", "_tuning_", "model_dir")
"""Prefixes of the hyperparameters that the platform adds."""


@dataclass(frozen=True)
class Container:
    """Input and output paths of a training container."""

    environ: Mapping[str, str]
    base: Path

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> Container | None:
        """Container that this process runs in, or None."""
        base = Path(environ.get("SAGEMAKER_BASE_DIR", BASE))
        return cls(environ, base) if "SM_MODEL_DIR" in environ or (base / "input" / "config").is_dir() else None

    @property
    def model(self) -> Path:
        return Path(self.environ.get("SM_MODEL_DIR") or self.base / "model")

    @property
    def output(self) -> Path:
        """Folder for files besides the model."""
        return Path(self.environ.get("SM_OUTPUT_DATA_DIR") or self.base / "output" / "data")

    def data(self) -> Path | None:
        """Folder of the channel with the data, or None if the job has no channel.

        Raises:
            TrainingError: the channel is ambiguous, or its folder does not exist.
        """
        prefix = "SM_CHANNEL_"
        folders = {key[len(prefix) :].lower(): Path(value) for key, value in self.environ.items() if key.startswith(prefix)}
        folders = folders or {name: self.base / "input" / "data" / name for name in self._config("inputdataconfig.json")}
        if not folders:
            return None
        named = [name for name in CHANNELS if name in folders]
        if not named and len(folders) > 1:
            raise TrainingError(f"the job has the channels {', '.join(sorted(folders))}; name the one with the data `{CHANNELS[0]}`")
        name = named[0] if named else next(iter(folders))
        if not folders[name].is_dir():
            raise TrainingError(f"the channel `{name}` has no folder {folders[name]}; configure it with data in input mode File")
        return folders[name]

    def arguments(self) -> list[str]:
        """Hyperparameters as command-line arguments, without those that the platform adds."""
        parsed = self._config("hyperparameters.json") if "SM_HPS" not in self.environ else _json(self.environ["SM_HPS"], "SM_HPS")
        arguments_list: list[str] = []
        for name, value in parsed.items():
            if not name.startswith(PLATFORM):
                arguments_list += [f"--{name}", str(_plain(value))]
        return arguments_list

    def move_reports(self, out: Path) -> None:
        """Move the reports out of the model folder to `output`."""
        for report in sorted(out.glob("*-report")):
            self.output.mkdir(parents=True, exist_ok=True)
            shutil.copytree(report, self.output / report.name, dirs_exist_ok=True)
            shutil.rmtree(report)

    def write_failure(self, reason: str) -> None:
        """Write the reason to the file that SageMaker reads."""
        data = self.environ.get("SM_OUTPUT_DATA_DIR")
        folder = Path(self.environ.get("SM_OUTPUT_DIR") or (Path(data).parent if data else self.base / "output"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failure").write_text(fit(reason, REASON_CHARACTERS), encoding="utf-8")

    def _config(self, name: str) -> dict[str, Any]:
        path = self.base / "input" / "config" / name
        return _json(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else {}


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise TrainingError(f"{where} is not a JSON object: {text[:60]!r}; check the hyperparameters of the job")
    return parsed


def _plain(value: Any) -> Any:
    """Decode a hyperparameter that a client has encoded as JSON."""
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return value
