"""Virtual environments for runtimes: tflite-runtime needs an old Python and numpy, another architecture a root filesystem."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from model_training.component_path import ROOT

ENVIRONMENT = ROOT / "build" / "parity-venv"
REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy>=1.26,<2", "msgspec>=0.20")
"""Requirements for scoring with tflite-runtime, besides the project's code."""
LITERT = ("ai-edge-litert==2.3.0", "numpy>=1.26", "msgspec>=0.20")
"""Requirements for scoring with LiteRT, in the version of Inference."""
NEWEST_PYTHON = (3, 11)
"""Newest Python with a build of tflite-runtime 2.14."""


class EnvironmentSetupError(Exception):
    """An environment cannot be created. The text is one sentence with the remedy."""


def ensure_environment(
    log: Callable[[str], None],
    folder: Path = ENVIRONMENT,
    pythons: Sequence[str] | None = None,
    requirements: Sequence[str] = REQUIREMENTS,
    prefix: Sequence[str] = (),
) -> Path:
    """Return the environment's Python. Creates the environment if it does not exist or has other requirements.

    Args:
        pythons: names of interpreters to try; None: the running one and those on the path.
        prefix: command prefix that runs a command in the target, such as a root of another architecture. `folder` is the same there.

    Raises:
        EnvironmentSetupError: no suitable Python, or the packages cannot be installed.
    """
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()
    stamp, python = folder / ".made-of", folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == digest and python.is_symlink():  # its target may exist only in the root
        return python
    base = "python3" if prefix else _find_python(pythons if pythons is not None else (sys.executable, "python3.11", "python3.10"))
    log(f"creating {folder} with {', '.join(requirements)}; downloads packages, once")
    _run([*prefix, base, "-m", "venv", "--clear", str(folder)], "cannot create an environment; run: apt install python3-venv")
    _run(
        [*prefix, str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *requirements],
        "cannot install the packages; check the network, then run this again",
    )
    stamp.write_text(digest)
    return python


def _find_python(names: Sequence[str]) -> str:
    for name in names:
        python = shutil.which(name)
        if python is None:
            continue
        answer = subprocess.run(
            [python, "-c", "import sys, ensurepip; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0 and (3, 10) <= tuple(map(int, answer.stdout.split())) <= NEWEST_PYTHON:
            return python
    version = ".".join(map(str, NEWEST_PYTHON))
    raise EnvironmentSetupError(
        f"tflite-runtime 2.14 needs Python 3.10 to {version}, but none is on the path; install python{version} with its venv module"
    )


def _run(command: list[str], remedy: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentSetupError(f"{command[0]}: {last[:300]}; {remedy}")
