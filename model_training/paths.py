"""Makes the components importable from a checkout: what judges a model runs the components' own code."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = ROOT / "components"

if str(COMPONENTS) not in sys.path:
    sys.path.append(str(COMPONENTS))
