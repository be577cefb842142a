"""Machines of a kind as one entry of `assets`."""

from __future__ import annotations

import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError
from gglocal.core.lite_json_limits import is_too_large
from sensor_ingestion.asset_ranges import filled, members
from sensor_ingestion.options import SensorIngestionOptions


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pump-1", [("pump-1", None)]),
        ("pump-{9..11}", [("pump-9", 9), ("pump-10", 10), ("pump-11", 11)]),
        ("{08..10}a", [("08a", 8), ("09a", 9), ("10a", 10)]),
        ("p{8..010}", [("p008", 8), ("p009", 9), ("p010", 10)]),
        ("p{0..1}", [("p0", 0), ("p1", 1)]),
        ("p{5..5}", [("p5", 5)]),
        ("{a..b}", [("{a..b}", None)]),
    ],
)
def test_entry_names_its_assets(name, expected):
    assert members(name) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p{1..1001}", "stands for 1001 machines"),
        ("p{3..2}", "stands for 0 machines"),
        ("p{1..2}-{1..2}", "more than one range"),
    ],
)
def test_invalid_range_is_reported(name, words):
    with pytest.raises(ValueError, match=words):
        members(name)
    with pytest.raises(OptionsError, match=words):
        read(SensorIngestionOptions, {"assets": {name: {"source": "simulator"}}})


def test_range_has_at_most_a_thousand_assets():
    assert len(members("p{1..1000}")) == 1000


def test_options_are_filled_at_any_depth_with_name_and_number():
    options = {"path": "/data/{asset}.csv", "program": ["python3", "--unit={number}"], "speed": 2, "columns": {"flow": "{asset}.flow"}}
    assert filled(options, "pump-07", 7) == {
        "path": "/data/pump-07.csv",
        "program": ["python3", "--unit=7"],
        "speed": 2,
        "columns": {"flow": "pump-07.flow"},
    }
    assert filled("{asset} {number}", "pump", None) == "pump {number}"


def test_asset_has_its_own_options_and_its_own_entry_takes_precedence():
    options = read(
        SensorIngestionOptions,
        {
            "assets": {
                "pump-{01..03}": {"source": "simulator", "options": {"seed": "{number}"}, "batch_rows": 2},
                "pump-02": {"source": "simulator", "enabled": False},
                "fan-{1..2}": {"source": "csv", "options": {"path": "/data/{asset}.csv", "layout": "skab"}},
            }
        },
    )
    found = options.enabled()
    assert list(found) == ["pump-01", "pump-03", "fan-1", "fan-2"]
    assert [found[name].source_options().seed for name in ("pump-01", "pump-03")] == [1, 3]
    assert found["pump-03"].batch_rows == 2
    assert found["fan-2"].source_options().path == "/data/fan-2.csv"


@pytest.mark.parametrize(
    ("assets", "sentence"),
    [
        (
            {"p{1..3}": {"source": "simulator"}, "p{3..4}": {"source": "simulator"}},
            "`assets.p{3..4}` and `assets.p{1..3}` both stand for p3",
        ),
        ({"p{1..3}": {"source": "simulator", "options": {"seed": "{asset}"}}}, "`assets.p{1..3}.options.seed`"),
        ({"p{1..3}": {"source": "simulator", "options": {"sped": 1}}}, "did you mean `speed`?"),
        ({"p" * 126 + "{1..1000}": {"source": "simulator"}}, "use 1 to 128"),
        ({"p{1..3}": {"source": "simulator", "enabled": False}}, "no enabled asset"),
    ],
)
def test_faults_of_a_range_are_reported_once(assets, sentence):
    with pytest.raises(OptionsError) as fault:
        read(SensorIngestionOptions, {"assets": assets})
    assert len(fault.value.faults) == 1
    assert sentence in fault.value.faults[0]


@pytest.mark.parametrize(
    ("machine", "most"),
    [
        ({"source": "simulator"}, 62),
        ({"source": "simulator", "options": {"seed": 1}}, 31),
    ],
)
def test_assets_named_one_by_one_fit_on_lite(machine, most):
    assert not is_too_large({f"p{number}": machine for number in range(most)})
    assert is_too_large({f"p{number}": machine for number in range(most + 1)})
