"""Where rows come from. A new source is one file and one entry in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sensor_ingestion.sources.base import Clocks, Source
from sensor_ingestion.sources.csv_replay import CsvReplay, CsvReplayOptions
from sensor_ingestion.sources.jsonl import Jsonl, JsonlOptions
from sensor_ingestion.sources.simulator import Simulator, SimulatorOptions


class SourceType(NamedTuple):
    """An entry of `SOURCES`.

    Attributes:
        options: its options class.
        make: (options, clocks, what `checkpoint` returned or None) -> the source; raises SourceError.
        inside: its machine is in this process: what an action did is in its checkpoint, and nowhere else.
    """

    options: type
    make: Callable[[Any, Clocks, dict[str, Any] | None], Source]
    inside: bool = False


SOURCES: dict[str, SourceType] = {
    "simulator": SourceType(SimulatorOptions, Simulator, inside=True),
    "csv": SourceType(CsvReplayOptions, CsvReplay),
    "jsonl": SourceType(JsonlOptions, Jsonl),
}
