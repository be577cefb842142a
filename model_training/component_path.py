"""Makes the components importable from a checkout: what judges a model runs the components' own code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = ROOT / "components"

if str(COMPONENTS) not in sys.path:
    sys.path.append(str(COMPONENTS))


def path_from_environment(variable: str, default: Path, description: str) -> Path:
    """The file or folder that an environment variable names, for a notebook.

    Raises:
        SystemExit: it is not there; one sentence, which a notebook shows without a stack trace.
    """
    path = Path(os.environ.get(variable) or default)
    if not path.exists():
        where = "which it names" if os.environ.get(variable) else "the default"
        raise SystemExit(f"{variable} names {description}. {path}, {where}, is not there: set the variable before the notebook is started.")
    return path
