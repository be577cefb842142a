"""What a trained bundle is delivered with: its component, and the lines of configuration to merge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from model_training.training_request import TrainingError

ROOT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)


def checked_name(name: str) -> str:
    """The name of a model.

    Raises:
        TrainingError: it is not one that folders and components can have.
    """
    if not _NAME.fullmatch(name):
        raise TrainingError(f"--name {name[:70]!r} is not a model's name; write letters, digits, - and _, such as air_handling_unit")
    return name


def write(bundle: Path, out: Path) -> dict[str, str]:
    """Package a signed bundle as a component in `<name>-component`, with `configuration.yaml` beside its recipe; returns their paths.

    Raises:
        TrainingError: the bundle cannot be packaged.
    """
    folder = out / f"{bundle.name}-component"
    # A process of its own: training does not import the build of components.
    done = subprocess.run(
        [sys.executable, "-m", "edgeml_cli.build.model_component", str(bundle.resolve()), "--out", str(folder.resolve())],
        capture_output=True,
        text=True,
        cwd=ROOT / "libs",
        check=False,
    )
    if done.returncode:
        raise TrainingError(
            f"{bundle}: cannot be packaged: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no message'}"
        )
    configuration = folder / "configuration.yaml"
    configuration.write_text(done.stdout, encoding="utf-8")
    return {"component": str(folder), "configuration": str(configuration)}
