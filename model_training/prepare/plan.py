"""The plan of a preparation, declared in a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeml.config.schema import read
from edgeml.parsing.readings import DecimalSign, TimeUnit
from model_training.prepare.enrich import FUNCTIONS
from model_training.prepare.rows import PrepareError

MAX_CHARACTERS = 65_536


class Range(msgspec.Struct, frozen=True):
    """Plausible range of a channel."""

    low: Annotated[float | None, Meta(description="minimum; lower readings are removed")] = None
    high: Annotated[float | None, Meta(description="maximum; higher readings are removed")] = None
    unit: Annotated[str, Meta(description="unit for the data card, if a source does not state it")] = ""


class Derived(msgspec.Struct, frozen=True):
    """A channel computed from others."""

    function: Annotated[str, Meta(description="a name in FUNCTIONS")]
    of: Annotated[list[str], Meta(description="input channels, including derived channels defined before")]
    parameter: Annotated[float, Meta(description="further argument of the function: a factor, or seconds")] = 1.0
    unit: Annotated[str, Meta(description="unit for the data card")] = ""


class Csv(msgspec.Struct, frozen=True):
    """Layout of the CSV files; captured files do not need it."""

    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="separator of the cells")] = ","
    decimal: Annotated[DecimalSign, Meta(description="decimal separator")] = "."
    time_column: Annotated[str, Meta(description="heading of the event times")] = "time"
    time_unit: Annotated[TimeUnit, Meta(description="ISO 8601 text, or a number since the epoch")] = "iso"
    columns: Annotated[dict[str, str], Meta(description="heading by channel; empty: every other column under its own name")] = {}
    asset_column: Annotated[str, Meta(description="heading of the column that names the asset; empty: `asset`")] = ""
    asset: Annotated[Literal["folder", "file"], Meta(description="whether each folder or each file is an asset")] = "file"


class Plan(msgspec.Struct, frozen=True):
    """The plan."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="name of the data set: letters, digits, - _ .")]
    interval_s: Annotated[float, Meta(gt=0, description="seconds between the prepared steps")] = 1.0
    max_interpolated_gap_s: Annotated[
        float, Meta(ge=0, description="maximum length in seconds of a gap that is interpolated; a longer gap separates segments")
    ] = 5.0
    channels: Annotated[list[str], Meta(description="channels to keep, in order; empty: all, by name")] = []
    ranges: Annotated[dict[str, Range], Meta(description="plausible ranges by channel")] = {}
    derived: Annotated[dict[str, Derived], Meta(description="new channels, in the order in which they are computed")] = {}
    csv: Annotated[Csv, Meta(description="layout of the CSV files")] = Csv()

    def check(self, where: str) -> list[str]:
        faults = []
        known = set(self.channels)
        for name, derived in self.derived.items():
            at = f"derived.{name}"
            if derived.function not in FUNCTIONS:
                known_names = ", ".join(sorted(FUNCTIONS))
                faults.append(f"`{at}.function` is {derived.function!r}; choose one of {known_names}")
            else:
                minimum, maximum = FUNCTIONS[derived.function].takes
                if not minimum <= len(derived.of) <= maximum:
                    faults.append(f"`{at}.of` names {len(derived.of)} channels; {derived.function} takes {minimum} to {maximum}")
            if self.channels and (unknown := [each for each in derived.of if each not in known]):
                faults.append(f"`{at}.of` names {', '.join(unknown)}, not defined before it; defined are {', '.join(sorted(known))}")
            if name in known:
                faults.append(f"`{at}` is the name of another channel; choose another name")
            known.add(name)
        for name, limits in self.ranges.items():
            if limits.low is not None and limits.high is not None and limits.low >= limits.high:
                faults.append(f"`ranges.{name}.low` is {limits.low}, not below its high, {limits.high}; swap them")
        if self.max_interpolated_gap_s and self.max_interpolated_gap_s < self.interval_s:
            faults.append(
                f"`max_interpolated_gap_s` is {self.max_interpolated_gap_s}, below `interval_s`, {self.interval_s}; raise it, or set 0"
            )
        return faults


def load_plan(path: Path) -> Plan:
    """Load a plan from a YAML or JSON file.

    Raises:
        PrepareError: the file is unreadable.
        OptionsError: the plan is invalid; lists every fault.
    """
    import yaml  # on first use: an evaluation of other files needs no YAML

    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MAX_CHARACTERS:
            raise PrepareError(f"{path} has {len(text)} characters, the maximum is {MAX_CHARACTERS}; name another plan with --plan")
        raw: Any = yaml.safe_load(text)
    except OSError as fault:
        raise PrepareError(f"{path} cannot be read ({fault.strerror}); name the plan with --plan") from None
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise PrepareError(f"{path} is not valid YAML ({' '.join(str(fault).split())}); correct the file") from None
    return read(Plan, raw)
