"""The spec of a history: corrections of what the reader finds by itself, declared in a YAML file."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeml.config.schema import read as read_options
from edgeml.errors import OptionsError
from model_training.history.records import HistoryError, Role

MAX_CHARACTERS = 1 << 20
EPOCH_UNITS = ("s", "ms", "us", "ns")


class TimeSpec(msgspec.Struct, frozen=True):
    """Where the event time is, and how it is written."""

    column: Annotated[str, Meta(description="heading of the time column; date and time in two columns: `DATE + TIME`")] = ""
    format: Annotated[
        str, Meta(description="`iso`; `s`, `ms`, `us` or `ns` since 1970; or a pattern with `%`, such as `%d/%m/%Y %H:%M:%S`")
    ] = ""
    zone: Annotated[str, Meta(description="zone of times without one: a name such as `Europe/Berlin`, or an offset such as `+01:00`")] = ""

    def check(self, where: str) -> list[str]:
        if self.format in ("", "iso", *EPOCH_UNITS) or "%" in self.format:
            return []
        return [f"`{where}.format` is {self.format!r}; expected iso, {', '.join(EPOCH_UNITS)}, or a pattern such as %d/%m/%Y %H:%M:%S"]


class ChannelSpec(msgspec.Struct, frozen=True):
    """One channel."""

    column: Annotated[str, Meta(description="heading of its column; empty: the channel's name")] = ""
    unit: Annotated[str, Meta(description="unit; empty: the unit in the heading")] = ""
    role: Annotated[Role | Literal[""], Meta(description="`measured` or `context`; empty: found by content")] = ""


class LabelSpec(msgspec.Struct, frozen=True):
    """The column that marks faults."""

    column: Annotated[str, Meta(description="heading of the column with labels; `none`: no column has labels")] = ""
    normal: Annotated[list[str], Meta(description="cells that mean normal; empty: 0, false, no, normal, ok, healthy, no text")] = []


class Spec(msgspec.Struct, frozen=True):
    """Every key may be left out; then the reader finds it by content."""

    time: Annotated[TimeSpec, Meta(description="the time column")] = TimeSpec()
    interval_s: Annotated[float, Meta(ge=0, description="seconds from row to row; 0: the median of the steps")] = 0.0
    channels: Annotated[dict[str, ChannelSpec], Meta(description="the channels, a map or a list of names; empty: all numeric columns")] = {}
    roles: Annotated[dict[str, Role], Meta(description="role by channel, without naming all channels in `channels`")] = {}
    ignore: Annotated[list[str], Meta(description="headings of columns that are not channels")] = []
    asset_column: Annotated[str, Meta(description="heading of the column that names the asset; each asset is a recording")] = ""
    labels: Annotated[LabelSpec, Meta(description="the column that marks faults")] = LabelSpec()
    events: Annotated[
        str | list[list[str]],
        Meta(description="spans of known faults: a list of [from, to], or a JSON, YAML or CSV file of them, for all files or by file"),
    ] = []
    exclude: Annotated[list[list[str]], Meta(description="spans [from, to] that are not normal running")] = []
    delimiter: Annotated[str, Meta(max_length=1, description="separator of the cells; empty: found in the first lines")] = ""
    decimal: Annotated[Literal["", ".", ","], Meta(description="decimal sign; empty: found in the first lines")] = ""

    def check(self, where: str) -> list[str]:
        spans = [*(self.events if isinstance(self.events, list) else []), *self.exclude]
        wrong = next((span for span in spans if len(span) != 2), None)
        faults = [] if wrong is None else [f"a span in `events` or `exclude` is {wrong}; write two times, [from, to]"]
        if self.delimiter and self.delimiter == self.decimal:
            faults.append(f"`delimiter` and `decimal` are both {self.decimal!r}; correct one of them")
        return faults


def load_spec(path: Path | None) -> Spec:
    """Load a spec; None: the default spec. A relative path of `events` starts at the spec's folder.

    Raises:
        HistoryError: the file is unreadable, or no valid spec.
    """
    if path is None:
        return Spec()
    raw = load_yaml(path)
    if raw is not None and not isinstance(raw, dict):
        raise HistoryError(f"{path} is no spec: expected a map of options, such as `time:` and `channels:`")
    try:
        spec = read_options(Spec, _normalised(raw))
    except OptionsError as fault:
        raise HistoryError(f"{path}: {fault}") from None
    if isinstance(spec.events, str):
        spec = msgspec.structs.replace(spec, events=str(path.parent / spec.events))
    return spec


def load_yaml(path: Path) -> Any:
    """Load a YAML or JSON file; times become text.

    Raises:
        HistoryError: the file is unreadable or no YAML.
    """
    import yaml  # not in the environments of `edgeml model parity`

    try:
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > MAX_CHARACTERS:
            raise HistoryError(f"{path} has {len(text)} characters, the maximum is {MAX_CHARACTERS}; shorten it")
        return _texts(yaml.safe_load(text))
    except OSError as fault:
        raise HistoryError(f"{path} cannot be read ({fault.strerror}); name another file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise HistoryError(f"{path} is not valid YAML ({' '.join(str(fault).split())}); correct the file") from None


def _texts(value: Any) -> Any:
    """Times as text, because YAML reads `2026-01-01 10:00:00` as its own type of time."""
    if isinstance(value, (datetime, date)):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, dict):
        return {str(_texts(key)): _texts(each) for key, each in value.items()}
    return [_texts(each) for each in value] if isinstance(value, list) else value


def _normalised(raw: Any) -> Any:
    """The raw spec with the short forms written out: a list of channels, one normal label, numbers as times."""
    if not isinstance(raw, dict):
        return raw
    out = dict(raw)
    if isinstance(raw.get("channels"), list):
        out["channels"] = {str(name): {} for name in raw["channels"]}
    labels = raw.get("labels")
    if isinstance(labels, str):
        out["labels"] = labels = {"column": labels}
    if isinstance(labels, dict) and "normal" in labels:
        normal = labels["normal"] if isinstance(labels["normal"], list) else [labels["normal"]]
        out["labels"] = {**labels, "normal": [str(each) for each in normal]}
    for key in ("events", "exclude"):
        if isinstance(raw.get(key), list):
            out[key] = [[str(each) for each in span] if isinstance(span, list) else span for span in raw[key]]
    return out
