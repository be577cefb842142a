"""Measures the cost of swapping models in Inference: `python -m tests.components.inference.swaps [COUNT]`.

Two models by turns, each placed as a model component does; every tenth time the windows differ, too, so that all starts empty.
Prints the resident memory of the process after each ten, in KiB, and how long an exchange took.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path

from edgeml.messages import topics
from edgeml.model.install_bundle import install
from tests.components.inference.kit import Bench, batches, pump
from tests.edgeml.keys import TRUSTED
from tests.edgeml.models import trained

MEMORY = Path("/dev/shm")
LONGER = [{"every": 1, "steps": 60}, {"every": 12, "steps": 60}]


def resident() -> int:
    """KiB of this process, as the kernel counts them."""
    gc.collect()
    return int(Path("/proc/self/smaps_rollup").read_text().split("Rss:")[1].split()[0])


def measure(count: int, folder: Path) -> tuple[dict[int, int], list[float]]:
    """Resident memory by number of exchanges, and the seconds that each took."""
    models = [trained(folder / name, version, other=name == "b") for name, version in (("a", "1.0.0"), ("b", "1.1.0"))]
    longer = trained(folder / "c", "2.0.0", views=LONGER)
    bench = Bench(folder / "work" / "com.edgeml.Inference", bundle=str(models[0]), signature={"public_key": TRUSTED})
    sent = [batch for asset in ("p1", "p2") for batch in batches(pump(550), asset=asset)]
    memory, seconds = {}, []
    for number in range(1, count + 1):
        install(longer if number % 10 == 5 else models[number % 2], folder / "work" / "com.edgeml.Model.PumpAnomaly")
        begun = time.perf_counter()
        bench.service.tick(bench.now)
        seconds.append(time.perf_counter() - begun)
        for topic in (topics.REPLAY, topics.RESULTS):
            bench.bus.take(topic)
        # After an exchange of windows everything comes again, as by a replay; else a batch of each asset.
        blocks = bench.feed(*(sent if number % 10 in (5, 6) else sent[-1:]))
        assert number % 10 not in (5, 6) or {block.model_version for block in blocks} == {"2.0.0" if number % 10 == 5 else "1.0.0"}
        if number % 10 == 0:
            memory[number] = resident()
    return memory, seconds


if __name__ == "__main__":
    # In memory if possible: the process is measured, not the disk.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        found, took = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100, Path(name))
    lines = [f"after {number} exchanges: {kib} KiB resident" for number, kib in found.items()]
    middle_ms = 1000 * sorted(took)[len(took) // 2]
    lines.append(f"growth from 10 to {max(found)}: {found[max(found)] - found[10]} KiB; an exchange took {middle_ms:.1f} ms")
    sys.stdout.write("\n".join(lines) + "\n")
