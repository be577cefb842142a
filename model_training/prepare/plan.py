"""What a preparation is to do, declared in a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from edgeml.config.schema import read
from edgeml.parsing.readings import DecimalSign, TimeUnit
from model_training.prepare.enrich import FUNCTIONS
from model_training.prepare.rows import PrepareError

MAX_CHARACTERS = 65_536


class Range(msgspec.Struct, frozen=True):
    """What a channel's readings can be."""

    low: Annotated[float | None, Meta(description="a lower reading is out of range")] = None
    high: Annotated[float | None, Meta(description="a higher reading is out of range")] = None
    unit: Annotated[str, Meta(description="for the data card, where a source does not say it")] = ""


class Derived(msgspec.Struct, frozen=True):
    """A channel that is computed from others."""

    function: Annotated[str, Meta(description="a name in FUNCTIONS")]
    of: Annotated[list[str], Meta(description="the channels it is computed from; earlier derived ones too")]
    parameter: Annotated[float, Meta(description="what the function takes beside: a factor, seconds")] = 1.0
    unit: Annotated[str, Meta(description="for the data card")] = ""


class Csv(msgspec.Struct, frozen=True):
    """How the CSV files are written; captured files need nothing of it."""

    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="between cells")] = ","
    decimal: Annotated[DecimalSign, Meta(description="the decimal point")] = "."
    time_column: Annotated[str, Meta(description="heading of the event times")] = "time"
    time_unit: Annotated[TimeUnit, Meta(description="ISO 8601 text, or a number since the epoch")] = "iso"
    columns: Annotated[dict[str, str], Meta(description="channel -> heading; empty: every other column under its own name")] = {}
    asset_column: Annotated[str, Meta(description="heading of the column that names the asset; empty: `asset`")] = ""
    asset: Annotated[Literal["folder", "file"], Meta(description="an asset is a folder, or a file")] = "file"


class Plan(msgspec.Struct, frozen=True):
    """The whole of it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="of the data set: letters, digits, - _ .")]
    interval_s: Annotated[float, Meta(gt=0, description="seconds from row to row of what is made")] = 1.0
    max_interpolated_gap_s: Annotated[float, Meta(ge=0, description="a longer gap stays a gap, a shorter one is interpolated")] = 5.0
    channels: Annotated[list[str], Meta(description="channels to keep, in order; empty: all, by name")] = []
    ranges: Annotated[dict[str, Range], Meta(description="by channel")] = {}
    derived: Annotated[dict[str, Derived], Meta(description="new channels, in the order in which they are computed")] = {}
    csv: Annotated[Csv, Meta(description="how the CSV files are written")] = Csv()

    def check(self, where: str) -> list[str]:
        faults = []
        known = set(self.channels)
        for name, derived in self.derived.items():
            at = f"derived.{name}"
            if derived.function not in FUNCTIONS:
                known_names = ", ".join(sorted(FUNCTIONS))
                faults.append(f"`{at}.function` is {derived.function!r}, an unknown function; choose one of {known_names}")
            else:
                minimum, maximum = FUNCTIONS[derived.function].takes
                if not minimum <= len(derived.of) <= maximum:
                    faults.append(f"`{at}.of` names {len(derived.of)} channels; {derived.function} takes {minimum} to {maximum}")
            if self.channels and (unknown := [each for each in derived.of if each not in known]):
                faults.append(f"`{at}.of` names {', '.join(unknown)}, which is no channel before it; those are {', '.join(sorted(known))}")
            if name in known:
                faults.append(f"`{at}` is the name of another channel; choose a new one")
            known.add(name)
        for name, limits in self.ranges.items():
            if limits.low is not None and limits.high is not None and limits.low >= limits.high:
                faults.append(f"`ranges.{name}.low` is {limits.low}, not below its high, {limits.high}; exchange them")
        if self.max_interpolated_gap_s and self.max_interpolated_gap_s < self.interval_s:
            faults.append(
                f"`max_interpolated_gap_s` is {self.max_interpolated_gap_s}, below `interval_s`, {self.interval_s}; raise it, or set 0"
            )
        return faults


def load_plan(path: Path) -> Plan:
    """The plan in a YAML or JSON file.

    Raises:
        PrepareError: it cannot be read.
        OptionsError: with every fault in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MAX_CHARACTERS:
            raise PrepareError(f"{path} has {len(text)} characters, a plan has at most {MAX_CHARACTERS}; name another with --plan")
        raw: Any = yaml.safe_load(text)
    except OSError as fault:
        raise PrepareError(f"{path} cannot be read ({fault.strerror}); name the plan with --plan") from None
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise PrepareError(f"{path} is no YAML ({' '.join(str(fault).split())}); mend it") from None
    return read(Plan, raw)
