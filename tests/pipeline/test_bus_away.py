"""The IPC broker is away while machines keep measuring: each row is scored afterwards, although every process was relaunched."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from edgeml.errors import MessageError
from edgeml.messages import ResultBlock, decode
from gglocal.core.state import Delivery
from tests.pipeline.line import COMPONENTS

SOURCE, INFERENCE, _ = COMPONENTS
HZ, AWAY_S = 10, 6.0
READER = """
import json, time
while True:
    print(json.dumps({"time": time.time(), "flow": 120.5, "current": 2.5}), flush=True)
    time.sleep(0.1)
"""


def measured(work: Path) -> dict[str, set[int]]:
    """Event times by asset, of the files that the component captured."""
    found: dict[str, set[int]] = {}
    for path in work.glob("capture/*/*/*"):
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
        times = (line.split(",")[0] for line in text.splitlines())
        found.setdefault(path.parts[-3], set()).update(int(time) for time in times if time.isdecimal())
    return found


def test_rows_read_during_a_broker_outage_are_scored(line, version, tmp_path: Path):
    reader = tmp_path / "reader.py"
    reader.write_text(READER)
    judged: dict[str, set[int]] = {"skid": set(), "press": set()}

    def hear(delivery: Delivery) -> None:
        try:
            message = decode(delivery.payload)
        except MessageError:
            return
        if isinstance(message, ResultBlock):
            judged[message.asset].update(message.arrays().times.tolist())

    suite = line()
    suite.nucleus.tap(hear)
    suite.deploy(
        {
            SOURCE: {
                "capture": {"mode": "all", "segment_rows": 10},
                "assets": {
                    "pump-1": {"source": "simulator", "enabled": False},
                    "skid": {"source": "simulator", "batch_rows": 1, "options": {"interval_s": 1 / HZ}},
                    "press": {
                        "source": "jsonl",
                        "options": {
                            "program": [sys.executable, "-u", str(reader)],
                            "units": {"flow": "l/min", "current": "A"},
                        },
                    },
                },
            }
        },
        version,
    )
    suite.until(lambda: all(len(times) > 3 * HZ for times in judged.values()), 60, "results of both machines")
    before = {asset: max(times) for asset, times in judged.items()}
    suite.nucleus.fault("ipc-restart", down_s=AWAY_S)
    later = {asset: time + (AWAY_S + 5) * 1e9 for asset, time in before.items()}
    suite.until(lambda: all(max(times) > later[asset] for asset, times in judged.items()), 60, "results of later rows")
    # Each finds out by itself that the broker has forgotten it.
    suite.until(lambda: all(suite.nucleus.component(name).starts == 2 for name in COMPONENTS), 60, "one relaunch of each component")
    for asset, times in measured(suite.nucleus.work_dir(SOURCE)).items():
        while_away = {time for time in times if before[asset] < time < before[asset] + AWAY_S * 1e9}
        assert len(while_away) > 15 + 5, f"{asset} did not measure while the broker was away, or not enough to tell"
        suite.until(
            lambda a=asset, t=times: not [time for time in t if time <= max(judged[a]) and time not in judged[a]],
            30,
            f"a result of each row of {asset}",
        )
