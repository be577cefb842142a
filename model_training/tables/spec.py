"""The spec of a table: a YAML file with the meaning of its columns, and the options of the command line on top of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from edgeml.config.schema import read as read_options
from edgeml.errors import OptionsError
from model_training.training_request import TrainingError

MAX_CHARACTERS = 1 << 20
Share = Annotated[float, Meta(gt=0, lt=1)]
ROWS_LEFT = "rows left"
"""The target of units that run to their failure, if it is no column."""
EXAMPLES = Path(__file__).parent / "examples"


class ChannelSpec(msgspec.Struct, frozen=True):
    """One channel: a column that the model reads."""

    column: Annotated[str, Meta(description="heading of its column; empty: the channel's name")] = ""
    unit: Annotated[str, Meta(description="unit; empty: the unit in the heading, such as `Torque [Nm]`")] = ""
    values: Annotated[dict[str, float], Meta(description="numbers of a column of text, by its text")] = {}
    range: Annotated[list[float], Meta(description="lowest and highest value; empty: from the rows")] = []

    def check(self, where: str) -> list[str]:
        if not self.range or (len(self.range) == 2 and self.range[0] < self.range[1]):
            return []
        return [f"`{where}.range` is {self.range}; write two numbers, the lower one first"]


class View(msgspec.Struct, frozen=True):
    """A resolution of the window: `steps` means of `every` rows."""

    every: Annotated[int, Meta(ge=1, le=100_000, description="rows of a step")] = 1
    steps: Annotated[int, Meta(ge=1, le=1000, description="number of steps, the same in all views")] = 6


class Spec(msgspec.Struct, frozen=True):
    """Every key may be left out."""

    name: Annotated[str, Meta(description="name of the model; empty: the target")] = ""
    version: Annotated[str, Meta(description="version of the model")] = "1.0.0"
    about: Annotated[str, Meta(description="purpose of the model, for the card")] = ""
    limits: Annotated[str, Meta(description="known limits of the model, for the card")] = ""
    selection: Annotated[str, Meta(description="how these settings were selected, for the card")] = ""
    dataset: Annotated[str, Meta(description="public data set that the spec belongs to: `cmapss` or `ai4i`")] = ""
    headings: Annotated[list[str], Meta(description="names of the columns of a file without a line of headings")] = []
    target: Annotated[str, Meta(description="heading of the column that the model estimates")] = ""
    unit: Annotated[str, Meta(description="unit of a target that is a number")] = ""
    group: Annotated[str, Meta(description="heading of the column that names the unit of each row; never split")] = ""
    order: Annotated[str, Meta(description="heading of the column that orders the rows of a unit; the model sees a window of rows")] = ""
    channels: Annotated[dict[str, ChannelSpec], Meta(description="the channels by name; empty: all columns of numbers")] = {}
    ignore: Annotated[list[str], Meta(description="headings of columns that are not channels")] = []
    derived: Annotated[dict[str, str], Meta(description="derived columns: a formula over channels, computed in the model")] = {}
    interval_s: Annotated[float, Meta(ge=0, description="seconds from row to row on a device; 0: 1")] = 0.0
    max_gap_s: Annotated[float, Meta(ge=0, description="a longer gap interrupts the window; 0: 10 intervals")] = 0.0
    views: Annotated[list[View], Meta(description="the window at several resolutions; empty: by the lengths of the units")] = []
    clip: Annotated[float, Meta(ge=0, description="limit of a value of a series, in standard deviations; 0: 4")] = 0.0
    run_to_failure: Annotated[bool, Meta(description="the last row of each unit is its failure; the target is the number of rows left")] = (
        False
    )
    horizon: Annotated[float | None, Meta(description="the confidence is the probability that the target is below this")] = None
    above: Annotated[float | None, Meta(description="the confidence is the probability that the target is above this")] = None
    cap: Annotated[float | None, Meta(description="larger targets count as this one")] = None
    coverage: Annotated[float, Meta(ge=0.5, le=0.99, description="share of true values in the intervals of regression")] = 0.9
    classes: Annotated[
        dict[str, list[str]], Meta(description="classes by name, with the cells of the target that they contain; the first one is normal")
    ] = {}
    normal: Annotated[str, Meta(description="the class in which nothing is wrong; empty: the most frequent one")] = ""
    prior: Annotated[Share | None, Meta(description="share of the rows to detect in operation; empty: in the table")] = None
    verdict_level: Annotated[Share | None, Meta(description="confidence of a positive verdict; empty: by F1, or 0.5")] = None

    def check(self, where: str) -> list[str]:
        faults = []
        if self.horizon is not None and self.above is not None:
            faults.append("`horizon` and `above` are both set; keep one of them")
        if len({view.steps for view in self.views}) > 1:
            faults.append("`views` have different `steps`; give all the same number")
        for key, value in (("horizon", self.horizon), ("cap", self.cap)):
            if value is not None and value <= 0 and self.run_to_failure:
                faults.append(f"`{key}` is {value:g}; expected more than 0 for a number of rows left")
        if self.horizon is not None and self.cap is not None and self.horizon >= self.cap:
            faults.append(f"`horizon` is {self.horizon:g}, expected less than `cap`, {self.cap:g}")
        if self.run_to_failure and not self.group:
            faults.append("`run_to_failure` needs `group`, the column that names the units (--group)")
        return faults


def load(options: argparse.Namespace, path: Path | None) -> Spec:
    """Load the spec at `path`, with the command line's options in the place of its keys.

    Raises:
        TrainingError: the file is unreadable, or the spec is invalid.
    """
    raw = _yaml(path) if path else {}
    where = str(path) if path else "the options"
    if not isinstance(raw, dict):
        raise TrainingError(f"{path} is not a map of keys; write lines such as `target: temperature`")
    for key in ("name", "target", "group", "order", "horizon", "above", "cap", "normal", "run_to_failure"):
        given = getattr(options, key, None)
        if given is not None and given is not False:
            raw[key] = given
    if isinstance(raw.get("channels"), list):
        raw["channels"] = {str(name): {} for name in raw["channels"]}
    try:
        spec = read_options(Spec, raw)
    except OptionsError as fault:
        raise TrainingError(f"{where}: {fault}") from None
    return msgspec.structs.replace(spec, target=ROWS_LEFT) if spec.run_to_failure and not spec.target else spec


def _yaml(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > MAX_CHARACTERS:
            raise TrainingError(f"{path} has {len(text)} characters, the maximum is {MAX_CHARACTERS}; shorten it")
        return yaml.safe_load(text) or {}
    except OSError as fault:
        raise TrainingError(f"{path} cannot be read ({fault.strerror}); name a spec that exists with --spec") from None
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise TrainingError(f"{path} is not valid YAML ({' '.join(str(fault).split())}); correct the file") from None
