"""Typed options: coercion of the values of both nuclei, and all faults reported together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from edgeml.config.schema import choose, document, read
from edgeml.errors import OptionsError


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
    ("raw", "expected"),
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
def test_values_are_coerced_by_their_declared_type(raw, expected):
    assert read(Options, raw) == expected


@pytest.mark.parametrize("null", [None, "null"])
def test_null_resets_an_option_and_removes_an_entry_of_a_map(null):
    # A device merges configurations: it can change a key, but not remove one.
    raw = {"rows": null, "limits": {"raise_at": null}, "assets": {"p": null, "q": {"source": "csv", "options": {"x": null}}}}
    assert read(Options, raw) == Options(assets={"q": Asset("csv", {})})
    with pytest.raises(OptionsError, match="`assets.p.source` is missing"):
        read(Options, {"assets": {"p": {"source": null}}})


def test_all_faults_are_reported_together_each_with_key_and_value():
    with pytest.raises(OptionsError) as caught:
        read(
            Options,
            {
                "rows": 5.5,
                "enabled": "maybe",
                "limits": {"raise_at": "1.8"},
                "row": 1,
                "assets": {"p": {"sorce": "x"}, "q": 3},
                "quota": "nan",
                "mode": "auto",
            },
        )
    faults = "\n".join(caught.value.faults)
    for part in (
        "`rows` is 5.5",
        "`enabled` is 'maybe'",
        "`limits.raise_at` is '1.8': expected float <= 1.0 (confidence at which",
        "`row` is an unknown option; did you mean `rows`?",
        "`assets.p.sorce` is an unknown option; did you mean `source`?",
        "`assets.p.source` is missing",
        "`assets.q` is 3",
        "`quota` is 'nan'",
        "`mode` is 'auto'",
    ):
        assert part in faults
    assert len(caught.value.faults) == 9


def test_rule_over_several_options_is_reported():
    with pytest.raises(OptionsError, match="`limits.raise_at` is 0.2, not above `limits.clear_at`"):
        read(Options, {"limits": {"raise_at": 0.2}})


class Rules(msgspec.Struct, frozen=True):
    path: str
    a: int = 0
    b: int = 0
    limits: Limits = Limits()
    each: list[int] = []

    def check(self, where: str) -> list[str]:
        dot = f"{where}." if where else ""
        faults = [f"`{dot}a` is {self.a} and `{dot}b` is {self.b}; make them differ"] if self.a == self.b else []
        if self.limits.raise_at > 0.5:
            faults.append(f"`{dot}limits.raise_at` is {self.limits.raise_at}; lower it")
        if len(self.path) != 1:
            faults.append(f"`{dot}path` is {self.path!r}; write one letter")
        return faults


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        # A rule is reported beside an invalid value, unless it reads that value.
        ({"path": "ab", "limits": {"raise_at": "x"}}, ["limits.raise_at", "a", "path"]),
        ({"path": "p", "a": "x", "limits": {"raise_at": 0.6}}, ["a", "limits.raise_at"]),
        ({"a": 1, "limits": {"raise_at": 0.2}}, ["path", "limits.raise_at"]),
        ({"path": 5, "a": 1, "unknown": 1}, ["unknown", "path", "limits.raise_at"]),
        ({"path": "p", "limits": 5}, ["limits", "a"]),
        ({"path": "p", "a": 1, "limits": {"raise_at": 0.4, "clear_at": 0.1}, "each": [1, "x", 2, "y"]}, ["each[1]", "each[3]"]),
        ({"path": "\ud800", "a": "x"}, ["path", "a", "limits.raise_at"]),
    ],
)
def test_fault_hides_no_other(raw: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(OptionsError) as caught:
        read(Rules, raw)
    assert [fault.split("`")[1] for fault in caught.value.faults] == keys


def test_error_in_a_rule_is_raised_if_the_values_are_valid() -> None:
    class Broken(msgspec.Struct):
        a: int = 0

        def check(self, where: str) -> list[str]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read(Broken, {})
    with pytest.raises(OptionsError):
        read(Broken, {"a": "x"})


def test_unknown_choice_lists_the_valid_ones():
    with pytest.raises(OptionsError, match="`source` is 'modbus', an unknown source; choose one of csv, jsonl"):
        choose({"csv": 1, "jsonl": 2}, "modbus", "source", "source")


def test_options_are_documented_with_type_default_and_description():
    rows = {row[0]: row for row in document(Options)}
    assert rows["limits.raise_at"] == ("limits.raise_at", "float", 0.9, "confidence at which an alarm is raised")
    assert "assets.<name>.source" in rows
