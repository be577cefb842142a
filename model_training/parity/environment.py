"""Environments for a runtime: tflite-runtime wants an old Python and an old numpy, another architecture a root of its own."""

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
"""What scoring needs, beside the project's own code."""
LITERT = ("ai-edge-litert==2.3.0", "numpy>=1.26", "msgspec>=0.20")
"""The same for LiteRT, in the version that Inference is installed with."""
NEWEST_PYTHON = (3, 11)
"""tflite-runtime 2.14 is built up to this Python."""


class EnvironmentSetupError(Exception):
    """One sentence: what is missing, and the remedy."""


def ensure_environment(
    log: Callable[[str], None],
    folder: Path = ENVIRONMENT,
    pythons: Sequence[str] | None = None,
    requirements: Sequence[str] = REQUIREMENTS,
    prefix: Sequence[str] = (),
) -> Path:
    """The environment's Python; the environment is made where it is not there, or was made for other requirements.

    Args:
        pythons: names of interpreters to try; None: the running one and those on the path.
        prefix: what runs a command where the environment is for, such as in a root of another architecture; `place` is there too.

    Raises:
        EnvironmentFault: no Python that is old enough, or the packages cannot be installed.
    """
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()
    stamp, python = folder / ".made-of", folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == digest and python.is_symlink():  # to a file that may be in the root alone
        return python
    base = "python3" if prefix else _find_python(pythons if pythons is not None else (sys.executable, "python3.11", "python3.10"))
    log(f"making {folder} with {', '.join(requirements)}; this downloads packages, once")
    _run([*prefix, base, "-m", "venv", "--clear", str(folder)], "an environment cannot be made; run: apt install python3-venv")
    _run(
        [*prefix, str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *requirements],
        "the packages cannot be installed; check the network, then run this again",
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
        f"tflite-runtime 2.14 wants Python 3.10 to {version}, and none is on the path; install python{version} with its venv"
    )


def _run(command: list[str], remedy: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentSetupError(f"{command[0]}: {last[:300]}; {remedy}")
