"""Time columns: the forms, their order and zone, and rows out of order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from model_training.history import HistoryError, Spec, read
from model_training.history.spec import TimeSpec
from model_training.history.time_column import longest_increasing
from model_training.history.times import TimeReader, form_of_column, parse_time, to_utc, zone_of

from tests.model_training.history.kit import START_NS, iso, moments, table

MINUTE_NS = 60 * 10**9


def epoch(factor: int) -> Callable[[datetime], str]:
    return lambda moment: str(int(moment.timestamp()) * factor)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (iso, "ISO 8601 without a zone, read as UTC"),
        (lambda moment: moment.strftime("%Y-%m-%dT%H:%MZ"), "ISO 8601 with a zone"),
        (lambda moment: moment.astimezone(timezone(timedelta(hours=2))).isoformat(), "ISO 8601 with a zone"),
        (lambda moment: moment.strftime("%Y/%m/%d %H:%M:%S.250"), "ISO 8601 without a zone, read as UTC"),
        (lambda moment: moment.strftime("%Y%m%dT%H%M%S"), "ISO 8601 without a zone, read as UTC"),
        (epoch(1), "s since 1970"),
        (epoch(1_000), "ms since 1970"),
        (epoch(1_000_000), "us since 1970"),
        (epoch(1_000_000_000), "ns since 1970"),
        (lambda moment: f"{moment.timestamp():.3f}", "s since 1970"),
        (lambda moment: moment.strftime("%d.%m.%Y %H:%M"), "day, month and year, read as UTC"),
        (lambda moment: moment.strftime("%d-%b-%Y %H:%M:%S"), "day, name of the month and year, read as UTC"),
        (lambda moment: moment.strftime("%d %B %Y %I:%M %p"), "day, name of the month and year, read as UTC"),
        (lambda moment: f"{moment:%Y-%m-%d} {moment.hour}:{moment:%M:%S}", "ISO 8601 without a zone, read as UTC"),
    ],
)
def test_reader_finds_the_form_of_times(tmp_path: Path, form: Callable[[datetime], str], found: str) -> None:
    history = read([table(tmp_path / "a.csv", form=form)], Spec())
    assert f"time column 'time', {found}" in history.notes
    times = history.recordings[0].times
    assert (np.diff(times) == MINUTE_NS).all() and times[0] // 10**9 == START_NS // 10**9
    assert history.files[0].times[0] == form(moments(1)[0])


@pytest.mark.parametrize("pattern", ["%Y-%m-%d,%H:%M:%S", "%Y-%m-%d,%I:%M %p", "%d-%b-%Y,%H:%M"])
def test_date_and_time_of_day_may_be_two_columns(tmp_path: Path, pattern: str) -> None:
    form = lambda moment: moment.strftime(pattern)  # noqa: E731
    history = read([table(tmp_path / "a.csv", headings=("Date,Clock", "flow", "power"), form=form)], Spec())
    assert any(note.startswith("time column 'Date + Clock', ") for note in history.notes)
    assert history.names == ("flow", "power") and history.recordings[0].times[0] == START_NS
    same = read([tmp_path / "a.csv"], Spec(time=TimeSpec(column="Date + Clock")))
    assert (same.recordings[0].times == history.recordings[0].times).all()


@pytest.mark.parametrize("pattern", ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p"])
def test_dates_are_read_if_a_cell_shows_the_order(tmp_path: Path, pattern: str) -> None:
    history = read([table(tmp_path / "a.csv", 400, form=lambda moment: moment.strftime(pattern), step_s=3600)], Spec())
    times = history.recordings[0].times
    assert times[0] == START_NS and (np.diff(times) == 60 * MINUTE_NS).all()
    order = "month, day" if pattern.startswith("%m") else "day, month"
    assert f"time column 'time', {order} and year, read as UTC" in history.notes


def test_dates_of_unknown_order_are_refused(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", form=lambda moment: moment.strftime("%d/%m/%Y %H:%M"))
    with pytest.raises(HistoryError, match="no cell shows whether the day or the month is first; state it in the spec, such as `time: "):
        read([file], Spec())
    history = read([file], Spec(time=TimeSpec(format="%d/%m/%Y %H:%M")))
    assert history.recordings[0].times[0] == START_NS


def test_dates_in_both_orders_are_refused() -> None:
    with pytest.raises(
        HistoryError, match="two forms, such as '03/25/2026 10:00' and '25/03/2026 10:00': the day first and the month first"
    ):
        TimeReader("a.csv").read(["25/03/2026 10:00", "03/25/2026 10:00"], np.arange(2))


@pytest.mark.parametrize(("other", "known"), [("1772438400", True), ("2026-03-02T08:00:00Z", True), ("yesterday", False)])
def test_times_in_two_forms_are_refused(tmp_path: Path, other: str, known: bool) -> None:
    file = table(tmp_path / "a.csv")
    lines = file.read_text().splitlines()
    lines[50] = f"{other},1,2"
    file.write_text("\n".join(lines))
    sentence = f"two forms: most cells are ISO 8601 without a zone, line 51 is {other!r}" if known else f"line 51: {other!r} is not a time"
    with pytest.raises(HistoryError, match=sentence):
        read([file], Spec())


def test_zone_of_the_spec_applies_to_times_without_one(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv")
    hour = 3600 * 10**9
    assert read([file], Spec(time=TimeSpec(zone="+02:00"))).recordings[0].times[0] == START_NS - 2 * hour
    assert read([file], Spec(time=TimeSpec(zone="Europe/Berlin"))).recordings[0].times[0] == START_NS - hour
    with pytest.raises(HistoryError, match="`time.zone` is 'Mars/Base', an unknown zone"):
        read([file], Spec(time=TimeSpec(zone="Mars/Base")))


def test_local_times_stay_in_order_when_the_clock_is_set_back() -> None:
    """In Berlin, the hour from 02:00 comes twice on 2026-10-25 and never on 2026-03-29."""
    zone, quarter = zone_of("Europe/Berlin"), np.timedelta64(15, "m")
    clock = np.datetime64("2026-10-25T01:30") + quarter * np.array([0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6, 7])
    utc = to_utc(clock.astype("datetime64[ns]").astype(np.int64), zone)
    assert (np.diff(utc) == 15 * MINUTE_NS).all() and utc[0] == np.datetime64("2026-10-24T23:30", "ns").astype(np.int64)
    spring = np.array(["2026-03-29T01:45", "2026-03-29T03:00"], "datetime64[ns]").astype(np.int64)
    assert np.diff(to_utc(spring, zone)).tolist() == [15 * MINUTE_NS]


def test_numbers_that_do_not_increase_are_no_times() -> None:
    assert form_of_column(["1772438400", "1772438400", "1772438400"]) == ""
    assert form_of_column(["1772438400", "1772430000", "1772438400", "1772430000"]) == ""
    assert form_of_column(["1772438400", "1772438460", "1772438520"]) == "s"
    assert form_of_column(["20.5", "21.5"]) == ""


def test_constant_dates_are_no_second_time_column(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", headings=("time", "a", "b", "installed"), more=lambda row: ("2020-01-01 00:00:00",))
    assert read([file], Spec()).names == ("a", "b")


def test_elapsed_seconds_are_read_if_the_spec_says_so(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", form=lambda moment: str((moment - moments(1)[0]).total_seconds()))
    with pytest.raises(HistoryError, match="has no time column"):
        read([file], Spec())
    assert read([file], Spec(time=TimeSpec(column="time", format="s"))).recordings[0].times[1] == MINUTE_NS


def test_rows_from_the_latest_to_the_earliest_are_reversed(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv")
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, *lines[::-1]]))
    recording = read([file], Spec()).recordings[0]
    assert (np.diff(recording.times) > 0).all() and recording.row[0] == 99


def test_as_few_rows_as_possible_are_dropped_and_counted(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv")
    lines = file.read_text().splitlines()
    extra = [lines[10], lines[29], "2099-01-01 00:00:00,1,2", ",3,4"]
    file.write_text("\n".join([*lines[:30], *extra, *lines[30:], "end"]))
    history = read([file], Spec())
    assert len(history.recordings[0]) == 100 and len(history.files[0].times) == 105
    assert history.recordings[0].row.tolist() == [*range(29), *range(33, 104)]
    notes = [note.removeprefix(f"{file}: ") for note in history.notes]
    assert "dropped 1 of 105 rows, without the 3 cells of the headings, the first in line 106" in notes
    assert "dropped 1 row without a time" in notes and "dropped 2 rows with the time of another row" in notes
    assert "dropped 1 row out of the order of time, the first at 2099-01-01T00:00:00.000Z" in notes


def test_a_file_whose_rows_repeat_their_times_is_refused(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", form=lambda moment: moment.strftime("%Y-%m-%d %H:00"))
    with pytest.raises(HistoryError, match="98 of 100 rows repeat the time of another row; if the file holds several assets, state"):
        read([file], Spec())


def test_longest_increasing_keeps_the_first_of_equal_times() -> None:
    assert longest_increasing(np.array([1, 2, 2, 9, 3, 4])).tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize(
    ("text", "zone", "wanted"),
    [
        ("2026-03-02 08:00:00", "", START_NS),
        ("2026-03-02T09:00:00+01:00", "Europe/Berlin", START_NS),
        ("2026-03-02 09:00:00", "Europe/Berlin", START_NS),
        (str(START_NS // 10**6), "", START_NS),
    ],
)
def test_times_of_a_spec_are_iso_or_numbers(text: str, zone: str, wanted: int) -> None:
    assert parse_time(text, zone) == wanted
