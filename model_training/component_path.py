"""Make the components importable from a checkout: the evaluation runs the components' own code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = ROOT / "components"

if str(COMPONENTS) not in sys.path:
    sys.path.append(str(COMPONENTS))


def path_from_environment(variable: str, default: Path, description: str) -> Path:
    """Path of a notebook's input, from an environment variable or the default.

    Raises:
        SystemExit: the path does not exist. A notebook shows the sentence without a stack trace.
    """
    path = Path(os.environ.get(variable) or default)
    if not path.exists():
        origin = "" if os.environ.get(variable) else " (the default)"
        raise SystemExit(f"{variable}: {path}{origin} does not exist. Set the variable to {description}, then restart the notebook.")
    return path
