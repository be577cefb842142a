"""Columns: channels and their units, roles, labels, and columns that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from model_training.history import Channel, HistoryError, Spec, read
from model_training.history.column_kinds import classify, held_levels
from model_training.history.labels import marks
from model_training.history.spec import ChannelSpec, LabelSpec
from model_training.history.table import name_and_unit

from tests.model_training.history.kit import table


@pytest.mark.parametrize(
    ("heading", "parts"),
    [
        ("Temperature (°C)", ("Temperature", "°C")),
        ("temp [degC]", ("temp", "degC")),
        ("flow", ("flow", "")),
        ("(1)", ("(1)", "")),
        ("p (abs) [bar]", ("p (abs)", "bar")),
    ],
)
def test_units_are_in_headings(heading: str, parts: tuple[str, str]) -> None:
    assert name_and_unit(heading) == parts


def test_headings_that_differ_only_in_their_units_stay_whole(tmp_path: Path) -> None:
    history = read([table(tmp_path / "a.csv", headings=("time", "T (°C)", "T (K)"))], Spec())
    assert history.channels == (Channel("T (°C)", "°C"), Channel("T (K)", "K"))


def test_columns_without_measurements_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    file = table(
        tmp_path / "a.csv",
        200,
        headings=("time", "flow", "power", "k", "", "none", "site", "energy"),
        more=lambda row: (5, row, "", "north", 100 + row // 3 * 0.7),
    )
    history = read([file], Spec())
    assert history.names == ("flow", "power")
    for sentence in (
        "'k' is constant (5)",
        "'column 5' counts the rows",
        "'none' is empty",
        "'site' holds text",
        "'energy' only increases like a counter",
    ):
        assert f"column {sentence} and is left out" in history.notes


def test_a_counter_is_a_channel_if_the_spec_names_it(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "energy"), more=lambda row: (row * 1.5,))
    assert read([file], Spec(channels={"energy": ChannelSpec(), "flow": ChannelSpec()})).names == ("energy", "flow")


def test_context_channels_are_found_and_can_be_corrected(tmp_path: Path) -> None:
    file = table(
        tmp_path / "a.csv",
        200,
        headings=("time", "flow", "power", "SupplyTempSetpoint", "OutdoorTemp", "fan"),
        more=lambda row: (20 + row % 7 / 10, 5 + np.sin(row / 9), int(row // 50 % 2)),
    )
    history = read([file], Spec())
    assert [channel.name for channel in history.channels if channel.role == "context"] == ["SupplyTempSetpoint", "OutdoorTemp", "fan"]
    reason = "channel 'fan' is context, because it holds 2 values for long stretches; otherwise write `roles: {fan: measured}` in the spec"
    assert reason in history.notes
    corrected = read([file], Spec(roles={"fan": "measured", "power": "context"}))
    assert [channel.role for channel in corrected.channels] == ["measured", "context", "context", "context", "measured"]
    with pytest.raises(HistoryError, match="`roles` in the spec names 'fun', which is no channel; the channels are 'flow'"):
        read([file], Spec(roles={"fun": "context"}))


def test_coarse_and_slow_channels_are_measured() -> None:
    rng = np.random.default_rng(0)
    coarse = np.round(20 + np.cumsum(rng.normal(0, 0.05, 5_000)) + rng.normal(0, 0.3, 5_000)).astype(np.float32)
    slow = np.repeat(rng.normal(0, 1, 100), 50).astype(np.float32)
    for values in (coarse, slow):
        assert classify("T", [values]) == classify("T", [values[:2_500], values[2_500:]])
        assert classify("T", [values]).role == "measured" and not classify("T", [values]).left_out
    assert held_levels([np.repeat(np.float32([18, 22, 18]), 100)]) == 2
    assert held_levels([np.tile(np.float32([18, 22]), 100)]) == 0


@pytest.mark.parametrize("name", ["anomaly", "Label", "is_anomaly", "fault", "target", "class"])
@pytest.mark.parametrize("cells", [("0", "1"), ("0.0", "1.0"), ("False", "True"), ("normal", "bearing")])
def test_label_columns_are_no_channels(tmp_path: Path, name: str, cells: Sequence[str]) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", name), more=lambda row: (cells[int(60 <= row < 80)],))
    history = read([file], Spec())
    assert history.names == ("flow", "power") and f"column {name!r} marks faults and is no channel" in history.notes
    labels = history.recordings[0].labels
    assert labels is not None and np.flatnonzero(labels).tolist() == list(range(60, 80))
    assert history.recordings[0].normal().sum() == 80


def test_changepoints_are_neither_labels_nor_a_channel(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "changepoint"), more=lambda row: (int(row == 60),))
    history = read([file], Spec())
    assert history.names == ("flow", "power") and history.recordings[0].labels is None
    assert "column 'changepoint' looks like labels and is no channel" in history.notes


def test_a_target_of_many_values_is_a_channel(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "target"), more=lambda row: (20 + row % 17 / 7,))
    assert "target" in read([file], Spec()).names


def test_a_required_channel_is_no_label(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "fault"), more=lambda row: (int(row > 80),))
    history = read([file], Spec(), require=("fault", "flow"))
    assert history.names == ("fault", "flow") and history.recordings[0].labels is None


def test_spec_names_the_label_column_and_its_normal_cells(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "state"), more=lambda row: ("run" if row < 90 else "broken",))
    history = read([file], Spec(labels=LabelSpec(column="state", normal=["run"])))
    labels = history.recordings[0].labels
    assert labels is not None and labels.sum() == 10
    assert read([file], Spec(labels=LabelSpec(column="none"))).recordings[0].labels is None
    with pytest.raises(HistoryError, match="has no column 'stat'; correct `labels.column` in the spec, or write `none`"):
        read([file], Spec(labels=LabelSpec(column="stat")))
    assert marks(["0", "2", "", "0.00"], []).tolist() == [False, True, False, False]


def test_words_for_on_and_off_are_numbers(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "valve"), more=lambda row: ("ON" if row % 3 else "off",))
    history = read([file], Spec())
    assert history.recordings[0].values[:3, 2].tolist() == [0, 1, 1]


def test_text_in_a_channel_is_an_error_with_its_place(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "p"), more=lambda row: ("Bad" if row == 70 else row % 5,))
    with pytest.raises(
        HistoryError, match=r"column 'p': line 72 has 'Bad', not a number; empty the cell, or list the column under `ignore`"
    ):
        read([file], Spec())
    assert read([file], Spec(ignore=["p"])).names == ("flow", "power")


def test_missing_cells_are_nan(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "p"), more=lambda row: (("", "NaN", "null", "1.5", "2")[row % 5],))
    values = read([file], Spec()).recordings[0].values[:, 2]
    assert np.isnan(values).sum() == 60 and values[3] == 1.5


def test_spec_selects_and_renames_channels(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "Flow (l/min)", "P [kW]"))
    channels = {"power": ChannelSpec(column="P", unit="W", role="context"), "Flow": ChannelSpec()}
    history = read([file], Spec(channels=channels))
    assert history.channels == (Channel("power", "W", "context"), Channel("Flow", "l/min"))
    assert history.recordings[0].values[0].tolist() == pytest.approx([19.868, 20.126])
    with pytest.raises(HistoryError, match="has no column 'speed' for channel 'speed'; it has 'time', 'Flow"):
        read([file], Spec(channels={"speed": ChannelSpec()}))


def test_required_channels_must_be_there(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "Flow (l/min)", "temp [degC]", "x"), more=lambda row: (7,))
    history = read([file], Spec(), require=("temp", "Flow"))
    assert history.names == ("temp", "Flow") and "further columns are ignored: 'x'" in history.notes
    with pytest.raises(HistoryError) as caught:
        read([file], Spec(), require=("temp", "pressure", "Flow"))
    assert "no 'pressure'; the model has 'temp', 'pressure', 'Flow', the file has 'time', 'Flow (l/min)', 'temp [degC]', 'x'" in str(
        caught.value
    )


def test_a_required_channel_may_be_constant_or_empty(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "flow", "power", "k", "gone"), more=lambda row: (5, ""))
    history = read([file], Spec(), require=("k", "gone"))
    assert history.names == ("k", "gone") and np.isnan(history.recordings[0].values[:, 1]).all()
