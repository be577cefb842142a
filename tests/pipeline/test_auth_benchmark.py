"""`edgeml dev auth-benchmark` measures the overhead of message authentication."""

from __future__ import annotations

import json
import subprocess

from edgeml_cli.build.package import ROOT


def test_benchmark_ends_with_its_figures() -> None:
    ran = subprocess.run(
        [ROOT / "scripts" / "edgeml", "dev", "auth-benchmark", "--messages", "60"], capture_output=True, text=True, check=True, timeout=120
    )
    *lines, last = ran.stdout.splitlines()
    figures = json.loads(last)
    assert len(lines) == 4
    assert all(cost > 0 for each in ("sign_us", "verify_us") for cost in figures[each].values())
    assert figures["p50_us_plain"] > 0 and figures["p50_us_signed"] > 0
