"""Sources of rows. A new source is one file and one entry in `SOURCES`."""

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
        make: (options, clocks, a `checkpoint` or None) -> the source; raises SourceError.
        in_process: its machine is in this process, so only its checkpoint has the effect of an action.
    """

    options: type
    make: Callable[[Any, Clocks, dict[str, Any] | None], Source]
    in_process: bool = False


SOURCES: dict[str, SourceType] = {
    "simulator": SourceType(SimulatorOptions, Simulator, in_process=True),
    "csv": SourceType(CsvReplayOptions, CsvReplay),
    "jsonl": SourceType(JsonlOptions, Jsonl),
}
