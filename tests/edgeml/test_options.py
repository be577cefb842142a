"""Typed options: coercion as the nuclei need it, and every fault at once."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from edgeml.errors import OptionsError
from edgeml.options import choose, document, read


class Limits(msgspec.Struct, frozen=True):
    raise_at: Annotated[float, Meta(ge=0, le=1, description="confidence at which an alarm is raised")] = 0.9
    clear_at: Annotated[float, Meta(ge=0, le=1)] = 0.3

    def check(self, where: str) -> list[str]:
        if self.raise_at > self.clear_at:
            return []
        return [f"`{where}.raise_at` is {self.raise_at}, not above `{where}.clear_at`, which is {self.clear_at}"]


class Asset(msgspec.Struct, frozen=True):
    source: str
    options: dict = {}


class Options(msgspec.Struct, frozen=True):
    assets: dict[str, Asset] = {}
    limits: Limits = Limits()
    rows: Annotated[int, Meta(ge=1)] = 5
    enabled: bool = True
    quota: float | None = None
    names: tuple[str, ...] = ()
    mode: Literal["on", "off"] = "on"


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ({}, Options()),
        ({"rows": "7"}, Options(rows=7)),  # Lite: scalars are strings
        ({"rows": 7.0}, Options(rows=7)),  # classic: JSON numbers are floats
        ({"enabled": "false"}, Options(enabled=False)),
        ({"quota": "null"}, Options(quota=None)),
        ({"quota": "1.5"}, Options(quota=1.5)),
        ({"limits": {"raise_at": "0.8"}}, Options(limits=Limits(raise_at=0.8))),
        ({"names": ["a", "b"]}, Options(names=("a", "b"))),
        ({"assets": {"p": {"source": "csv", "options": {"x": 1}}}}, Options(assets={"p": Asset("csv", {"x": 1})})),
    ],
)
def test_values_are_coerced_by_their_declared_type(raw, wanted):
    assert read(Options, raw) == wanted


@pytest.mark.parametrize("null", [None, "null"])
def test_null_is_the_default_and_takes_an_entry_out_of_a_map(null):
    # A device merges configurations: it can change a key, but not remove one.
    raw = {"rows": null, "limits": {"raise_at": null}, "assets": {"p": null, "q": {"source": "csv", "options": {"x": null}}}}
    assert read(Options, raw) == Options(assets={"q": Asset("csv", {})})
    with pytest.raises(OptionsError, match="`assets.p.source` is missing"):
        read(Options, {"assets": {"p": {"source": null}}})


def test_all_faults_are_reported_together_each_with_key_and_value():
    with pytest.raises(OptionsError) as caught:
        read(Options, {
            "rows": 5.5, "enabled": "maybe", "limits": {"raise_at": "1.8"}, "row": 1, "assets": {"p": {"sorce": "x"}, "q": 3},
            "quota": "nan", "mode": "auto",
        })
    faults = "\n".join(caught.value.faults)
    for part in (
        "`rows` is 5.5", "`enabled` is 'maybe'", "`limits.raise_at` is '1.8': expected float <= 1.0 (confidence at which",
        "`row` is an unknown option; did you mean `rows`?", "`assets.p.sorce` is an unknown option; did you mean `source`?",
        "`assets.p.source` is missing", "`assets.q` is 3", "`quota` is 'nan'", "`mode` is 'auto'",
    ):
        assert part in faults
    assert len(caught.value.faults) == 9


def test_a_rule_over_several_options():
    with pytest.raises(OptionsError, match="`limits.raise_at` is 0.2, not above `limits.clear_at`"):
        read(Options, {"limits": {"raise_at": 0.2}})


def test_an_unknown_choice_lists_the_valid_ones():
    with pytest.raises(OptionsError, match="`source` is 'modbus', an unknown source; choose one of csv, jsonl"):
        choose({"csv": 1, "jsonl": 2}, "modbus", "source", "source")


def test_every_option_documents_itself():
    rows = {row[0]: row for row in document(Options)}
    assert rows["limits.raise_at"] == ("limits.raise_at", "float", 0.9, "confidence at which an alarm is raised")
    assert "assets.<name>.source" in rows
