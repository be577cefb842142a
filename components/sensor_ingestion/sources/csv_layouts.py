"""Known layouts of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Layout(NamedTuple):
    """The layout of a recording.

    Attributes:
        delimiter: between cells.
        time_column: heading of the event times.
        columns: channel -> heading.
    """

    delimiter: str
    time_column: str
    columns: Mapping[str, str]


LAYOUTS: dict[str, Layout] = {
    # The Skoltech Anomaly Benchmark: a pump rig, 1 Hz; its label columns are not read.
    "skab": Layout(
        ";",
        "datetime",
        {
            "vibration_1": "Accelerometer1RMS",
            "vibration_2": "Accelerometer2RMS",
            "current": "Current",
            "pressure": "Pressure",
            "motor_temperature": "Temperature",
            "fluid_temperature": "Thermocouple",
            "voltage": "Voltage",
            "flow": "Volume Flow RateRMS",
        },
    ),
}
"""Name -> layout, for the option `layout` of the source `csv`."""
