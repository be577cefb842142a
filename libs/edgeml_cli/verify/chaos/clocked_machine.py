"""`python clocked_machine.py SEED START_NS SPEED CONTROL`: prints the rows of a machine whose clock can be set; for the source `jsonl`.

Its event time starts at START_NS and runs SPEED times faster than real time, even across restarts of this program. A line
appended to the file CONTROL changes its clock: `ahead SECONDS` dates one row ahead, `step SECONDS` sets the clock permanently.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
SECOND = 1_000_000_000


def main(seed: int, start_ns: int, speed: float, control: Path) -> None:
    sys.path[:0] = [str(ROOT / "components"), str(ROOT / "libs")]
    from sensor_ingestion.sources.pump_physics import CHANNELS, PumpSkid

    began = int(control.read_text().split()[0])
    pump = PumpSkid(seed)
    row, done = 0, len(control.read_text().splitlines())
    while True:
        now = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began) * speed / SECOND
        row = max(row + 1, int(now))  # a machine does not wait for its reader: unread rows are lost
        time.sleep(max(0.0, (row - now) / speed))
        lines = control.read_text().splitlines()
        step = sum(int(line.split()[1]) for line in lines[1:] if line.startswith("step "))
        new_lines, done = lines[done:], len(lines)
        ahead = sum(int(line.split()[1]) for line in new_lines if line.startswith("ahead "))
        values = pump.step(1).values[0]
        at = start_ns // SECOND + row + step + ahead
        print(json.dumps({"time": at} | {each.name: float(value) for each, value in zip(CHANNELS, values, strict=True)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
