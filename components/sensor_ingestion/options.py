"""The configuration of the component."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeml.config.schema import choose, read
from edgeml.errors import OptionsError
from edgeml.parsing.sanitize import is_name
from edgeml.timeline import AHEAD_S, RESYNC_S
from sensor_ingestion.asset_ranges import filled, members
from sensor_ingestion.sources import SOURCES


class ChannelQualityOptions(msgspec.Struct, frozen=True):
    """Limits of a channel's readings; the default is the source's."""

    low: Annotated[float | None, Meta(description="a lower reading is out of range, in the channel's unit")] = None
    high: Annotated[float | None, Meta(description="a higher reading is out of range, in the channel's unit")] = None
    stuck_after_s: Annotated[
        float | None, Meta(description="a value that is exactly unchanged for that many event seconds is stuck; 0: never")
    ] = None

    def check(self, where: str) -> list[str]:
        faults = []
        if self.low is not None and self.high is not None and self.low >= self.high:
            faults.append(f"`{where}.low` is {self.low}, not below `{where}.high`, which is {self.high}; swap them")
        if self.stuck_after_s is not None and self.stuck_after_s < 0:
            faults.append(f"`{where}.stuck_after_s` is {self.stuck_after_s}; expected a number of seconds, 0 for never")
        return faults


class QualityOptions(msgspec.Struct, frozen=True):
    """Limits beyond which readings are flagged."""

    max_gap_s: Annotated[float, Meta(gt=0, description="event seconds between rows; the first row after a longer gap is flagged")] = 5.0
    stopped_channel: Annotated[
        str, Meta(description="the machine is stopped while this channel is below stopped_below; no value is stuck then")
    ] = "current"
    stopped_below: Annotated[float, Meta(description="in the unit of stopped_channel")] = 0.2
    ahead_s: Annotated[
        float, Meta(gt=0, le=1e9, description="seconds by which a row may be dated ahead of the clock; a later one is flagged")
    ] = AHEAD_S
    step_back_s: Annotated[
        float, Meta(ge=0, le=1e9, description="event seconds for which wrong times must last to count as a clock that was set; 0: never")
    ] = RESYNC_S
    channels: Annotated[dict[str, ChannelQualityOptions], Meta(description="by channel")] = {}


class AssetOptions(msgspec.Struct, frozen=True):
    """One asset."""

    source: Annotated[str, Meta(description=f"the kind of its source: {', '.join(SOURCES)}")]
    options: Annotated[dict[str, Any], Meta(description="the source's own options")] = {}
    quality: Annotated[QualityOptions, Meta(description="limits beyond which readings are flagged")] = QualityOptions()
    batch_rows: Annotated[int, Meta(ge=1, le=1000, description="rows in a message, at most")] = 5
    max_in_flight: Annotated[int, Meta(ge=0, description="batches that may be without results if the speed is not 1; 0: no limit")] = 4
    replay_buffer_s: Annotated[float, Meta(ge=0, description="event seconds of rows kept for replays")] = 900.0
    lockout_after: Annotated[
        str, Meta(description="the action after which every other one is refused until a person releases the machine; empty: none")
    ] = ""
    enabled: Annotated[bool, Meta(description="whether it is read; a merge cannot remove an asset")] = True

    @staticmethod
    def check_raw(raw: dict[str, Any], where: str) -> list[str]:
        if not isinstance(raw.get("source"), str):
            return []
        try:
            # One asset of an entry is checked for all: they differ in a text or a number only.
            _source_options(raw["source"], filled(raw.get("options"), "asset", 1), where)
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


class CaptureOptions(msgspec.Struct, frozen=True):
    """Which rows are kept on the device."""

    mode: Annotated[Literal["off", "all", "alarms"], Meta(description="off, all, or alarms: only the rows around them")] = "off"
    quota_mb: Annotated[float, Meta(ge=1, description="megabytes (10^6) of all captured files; the oldest go first")] = 200.0
    segment_rows: Annotated[int, Meta(ge=1, le=100_000, description="rows in a file, at most")] = 3600
    segment_s: Annotated[float, Meta(gt=0, description="event seconds in a file, at most")] = 3600.0
    before_s: Annotated[float, Meta(ge=0, le=86_400, description="event seconds kept before an alarm is raised or cleared")] = 600.0
    after_s: Annotated[float, Meta(ge=0, le=86_400, description="event seconds kept after an alarm is raised or cleared")] = 600.0
    folder: Annotated[str, Meta(description="the folder; empty: `capture` in the component's work directory")] = ""
    upload: Annotated[bool, Meta(description="whether complete files are sent to IoT Core, too")] = False
    upload_confirmation: Annotated[
        Literal["acknowledgement", "echo"], Meta(description="what confirms the delivery: the nucleus's acknowledgement, or an echo")
    ] = "acknowledgement"
    upload_rate: Annotated[float, Meta(gt=0, le=100, description="messages with captured rows a second, at most")] = 1.0

    def check(self, where: str) -> list[str]:
        if self.upload and self.mode == "off":
            return [f"`{where}.upload` is true and `{where}.mode` is off, so no file is captured; set `{where}.mode` to all or alarms"]
        return []


class SensorIngestionOptions(msgspec.Struct, frozen=True):
    """The whole configuration of SensorIngestion."""

    assets: Annotated[dict[str, AssetOptions], Meta(description="the assets, by name; `pump-{001..200}` names 200 of a kind")] = {}
    capture: Annotated[CaptureOptions, Meta(description="which rows are kept on the device")] = CaptureOptions()

    def check(self, where: str) -> list[str]:
        faults = []
        owner: dict[str, str] = {}
        for entry in self.assets:
            try:
                named = members(entry)
            except ValueError as fault:
                faults.append(f"`assets.{entry}` {fault}")
                continue
            long = [name for name, _ in named if not name or len(name.encode("utf-8", "surrogatepass")) > 128]
            faults += [f"`assets.{name[:20]}…` is a name of {len(name)} characters; use 1 to 128" for name in long[:1]]
            hidden = [name for name, _ in named if name not in long and not is_name(name)]
            remedy = "which is not printable; use letters, digits and single spaces"
            faults += [f"`assets` has the name {name[:60]!r}, {remedy}" for name in hidden[:1]]
            if named[0][1] is None:
                continue
            twice = [name for name, _ in named if name in owner]
            if twice:
                faults.append(f"`assets.{entry}` and `assets.{owner[twice[0]]}` both stand for {twice[0]}; ranges must not overlap")
            owner |= {name: entry for name, _ in named}
        if not faults and not self.enabled():
            return ["`assets` has no enabled asset; name at least one, such as `pump-1: {source: simulator}`"]
        return faults

    def enabled(self) -> dict[str, AssetOptions]:
        """The assets to read, by name; an entry of an asset's own goes before a range's."""
        found: dict[str, AssetOptions] = {}
        for entry, asset in self.assets.items():
            for name, number in members(entry):
                if number is None or name not in self.assets:
                    found[name] = msgspec.structs.replace(asset, options=filled(asset.options, name, number))
        return {name: asset for name, asset in found.items() if asset.enabled}
