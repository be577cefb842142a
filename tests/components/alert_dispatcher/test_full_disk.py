"""51: alarms on a disk that is really full: a small filesystem of its own, which a user namespace may mount without being root."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.components.alert_dispatcher.full_disk import ALARMS

ROOT = Path(__file__).parents[3]
MOUNT = 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"'


def inside(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with 24 MB of disk at `folder`, seen by it alone."""
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(folder)]
    return subprocess.run([*namespace, *command], cwd=ROOT, capture_output=True, text=True, timeout=120)


def on_a_full_disk(folder: Path, reserve: int) -> dict[str, Any]:
    if shutil.which("unshare") is None or inside(folder, "true").returncode:
        pytest.skip("this system lets no user mount a filesystem of his own")
    path = ":".join(str(ROOT / part) for part in ("libs", "components", "scripts", "."))
    module = "tests.components.alert_dispatcher.full_disk"
    ran = inside(folder, "env", f"PYTHONPATH={path}", sys.executable, "-m", module, str(folder), str(reserve))
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_51_reserve_keeps_every_alert_on_a_full_disk(tmp_path: Path) -> None:
    became = on_a_full_disk(tmp_path, 2 * ALARMS)
    assert (became["waiting"], became["local"]) == (2 * ALARMS, 3 * ALARMS) and 1 <= became["failed"] <= 2
    assert "is almost full: results for the cloud are thinned out; free some space" in " ".join(became["said"])


def test_51_alerts_are_lost_without_the_reserve(tmp_path: Path) -> None:
    became = on_a_full_disk(tmp_path, 0)
    assert became["local"] < 3 * ALARMS and "cannot be used (database or disk is full)" in " ".join(became["said"])
