"""The component's configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeml.errors import OptionsError
from edgeml.options import choose, read
from edgeml.printable import is_name
from sensor_ingestion.sources import SOURCES


class ChannelQuality(msgspec.Struct, frozen=True):
    """What a channel's readings must be like; what is not given is the source's own."""

    low: Annotated[float | None, Meta(description="a lower reading is out of range, in the channel's unit")] = None
    high: Annotated[float | None, Meta(description="a higher reading is out of range, in the channel's unit")] = None
    stuck_after_s: Annotated[
        float | None, Meta(description="exactly unchanged for that many event seconds is stuck; 0: never")
    ] = None

    def check(self, where: str) -> list[str]:
        faults = []
        if self.low is not None and self.high is not None and self.low >= self.high:
            faults.append(f"`{where}.low` is {self.low}, not below `{where}.high`, which is {self.high}; exchange them")
        if self.stuck_after_s is not None and self.stuck_after_s < 0:
            faults.append(f"`{where}.stuck_after_s` is {self.stuck_after_s}; wanted is a number of seconds, 0 for never")
        return faults


class Quality(msgspec.Struct, frozen=True):
    """When readings are not to be trusted."""

    longest_gap_s: Annotated[
        float, Meta(gt=0, description="event seconds between rows; the first row after a longer gap is flagged")
    ] = 5.0
    stopped_channel: Annotated[
        str, Meta(description="the machine stands while this channel is below stopped_below; nothing is stuck then")
    ] = "current"
    stopped_below: Annotated[float, Meta(description="in the unit of stopped_channel")] = 0.2
    channels: Annotated[dict[str, ChannelQuality], Meta(description="by channel")] = {}


class Asset(msgspec.Struct, frozen=True):
    """One machine."""

    source: Annotated[str, Meta(description="a name in SOURCES: simulator, csv, jsonl")]
    options: Annotated[dict[str, Any], Meta(description="the source's own options")] = {}
    quality: Annotated[Quality, Meta(description="when readings are not to be trusted")] = Quality()
    batch_rows: Annotated[int, Meta(ge=1, le=1000, description="rows in a message, at most")] = 5
    max_unanswered: Annotated[
        int, Meta(ge=0, description="batches that may lack results when the speed is not 1; 0: no bound")
    ] = 4
    history_s: Annotated[float, Meta(ge=0, description="event seconds of rows kept for replays")] = 900.0
    latch_after: Annotated[
        str, Meta(description="the action after which every other one is refused until a person releases the machine; empty: none")
    ] = ""
    enabled: Annotated[bool, Meta(description="whether it is read; a merge cannot remove an asset")] = True

    @staticmethod
    def check_raw(raw: dict[str, Any], where: str) -> list[str]:
        if not isinstance(raw.get("source"), str):
            return []
        try:
            _source_options(raw["source"], raw.get("options"), where)
        except OptionsError as fault:
            return fault.faults
        return []

    def source_options(self) -> Any:
        """The source's options as its own class."""
        return _source_options(self.source, self.options, "")


def _source_options(source: str, options: Any, where: str) -> Any:
    prefix = f"{where}." if where else ""
    kind = choose(SOURCES, source, f"{prefix}source", "source")
    return read(kind.options, options, f"{prefix}options")


class Capture(msgspec.Struct, frozen=True):
    """What of the rows is kept on the device."""

    mode: Annotated[Literal["off", "all", "alarms"], Meta(description="off, all, or alarms: only what is around them")] = "off"
    quota_mb: Annotated[float, Meta(ge=1, description="megabytes (10^6) of all captured files; the oldest go first")] = 200.0
    segment_rows: Annotated[int, Meta(ge=1, le=100_000, description="rows in a file, at most")] = 3600
    segment_s: Annotated[float, Meta(gt=0, description="event seconds in a file, at most")] = 3600.0
    before_s: Annotated[float, Meta(ge=0, le=86_400, description="event seconds kept before an alarm is raised or cleared")] = 600.0
    after_s: Annotated[float, Meta(ge=0, le=86_400, description="event seconds kept after an alarm is raised or cleared")] = 600.0
    folder: Annotated[str, Meta(description="where to; `capture` in the component's work directory if empty")] = ""
    upload: Annotated[bool, Meta(description="whether whole files are sent to IoT Core too")] = False
    upload_proof: Annotated[
        Literal["acknowledgement", "echo"], Meta(description="what counts as delivered: the nucleus's acknowledgement, or an echo")
    ] = "acknowledgement"
    upload_per_s: Annotated[float, Meta(gt=0, le=100, description="messages with captured rows a second, at most")] = 1.0

    def check(self, where: str) -> list[str]:
        if self.upload and self.mode == "off":
            return [f"`{where}.upload` is true and `{where}.mode` is off, so there is nothing to send; set `{where}.mode` to all or alarms"]
        return []


class Options(msgspec.Struct, frozen=True):
    """The whole configuration of SensorIngestion."""

    assets: Annotated[dict[str, Asset], Meta(description="the machines, by name")] = {}
    capture: Annotated[Capture, Meta(description="what of the rows is kept on the device")] = Capture()

    def check(self, where: str) -> list[str]:
        if not self.enabled():
            return ["`assets` has none that is enabled; name at least one, such as `pump-1: {source: simulator}`"]
        faults = []
        for name in self.assets:
            if not name or len(name.encode()) > 128:
                faults.append(f"`assets.{name[:20]}…` is a name of {len(name)} characters; use 1 to 128")
            elif not is_name(name):
                faults.append(f"`assets` has the name {name[:60]!r}, which does not print; use letters, digits and single spaces")
        return faults

    def enabled(self) -> dict[str, Asset]:
        """The machines to read, by name."""
        return {name: asset for name, asset in self.assets.items() if asset.enabled}
