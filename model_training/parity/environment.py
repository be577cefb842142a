"""Environments for a runtime: tflite-runtime wants an old Python and an old numpy, another architecture a root of its own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from model_training.component_path import ROOT

PLACE = ROOT / "build" / "parity-venv"
REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy>=1.26,<2", "msgspec>=0.20")
"""What scoring needs, beside the project's own code."""
LITERT = ("ai-edge-litert==2.3.0", "numpy>=1.26", "msgspec>=0.20")
"""The same for LiteRT, in the version that Inference is installed with."""
NEWEST = (3, 11)
"""tflite-runtime 2.14 is built up to this Python."""


class EnvironmentFault(Exception):
    """One sentence: what is missing, and the remedy."""


def ready(
    say: Callable[[str], None],
    place: Path = PLACE,
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
    stamp, python = place / ".made-of", place / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == digest and python.is_symlink():  # to a file that may be in the root alone
        return python
    base = "python3" if prefix else _old_enough(pythons if pythons is not None else (sys.executable, "python3.11", "python3.10"))
    say(f"making {place} with {', '.join(requirements)}; this downloads packages, once")
    _run([*prefix, base, "-m", "venv", "--clear", str(place)], "an environment cannot be made; run: apt install python3-venv")
    _run(
        [*prefix, str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *requirements],
        "the packages cannot be installed; check the network, then run this again",
    )
    stamp.write_text(digest)
    return python


def _old_enough(names: Sequence[str]) -> str:
    for name in names:
        found = shutil.which(name)
        if found is None:
            continue
        told = subprocess.run(
            [found, "-c", "import sys, ensurepip; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if told.returncode == 0 and (3, 10) <= tuple(map(int, told.stdout.split())) <= NEWEST:
            return found
    wanted = ".".join(map(str, NEWEST))
    raise EnvironmentFault(
        f"tflite-runtime 2.14 wants Python 3.10 to {wanted}, and none is on the path; install python{wanted} with its venv"
    )


def _run(command: list[str], remedy: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentFault(f"{command[0]}: {last[:300]}; {remedy}")
