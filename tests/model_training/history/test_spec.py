"""The spec: its file, its faults, and spans of events and of stretches that are not normal running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_training.component_path import ROOT
from model_training.history import HistoryError, Spec, load_spec, read
from model_training.history.spec import ChannelSpec, LabelSpec, TimeSpec

from edgeml.config.schema import document
from tests.model_training.history.kit import table


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_spec_is_read_from_yaml(tmp_path: Path) -> None:
    spec = load_spec(
        written(
            tmp_path,
            """
            time: {column: stamp, format: ms, zone: Europe/Berlin}
            interval_s: 60
            channels: {flow: {column: F1, unit: l/min, role: measured}}
            roles: {flow: context}
            ignore: [x]
            asset_column: machine
            labels: {column: state, normal: 1}
            events: [[2026-03-02 08:10:00, 2026-03-02 08:20:00]]
            exclude: [[2026-03-02 09:00:00, "2026-03-02T09:10:00Z"]]
            delimiter: ";"
            decimal: ","
            """,
        )
    )
    assert spec == Spec(
        time=TimeSpec("stamp", "ms", "Europe/Berlin"),
        interval_s=60,
        channels={"flow": ChannelSpec("F1", "l/min", "measured")},
        roles={"flow": "context"},
        ignore=["x"],
        asset_column="machine",
        labels=LabelSpec("state", ["1"]),
        events=[["2026-03-02 08:10:00", "2026-03-02 08:20:00"]],
        exclude=[["2026-03-02 09:00:00", "2026-03-02T09:10:00Z"]],
        delimiter=";",
        decimal=",",
    )


def test_short_forms_are_written_out(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, "channels: [flow, power]\nlabels: state\nevents: faults.json"))
    assert list(spec.channels) == ["flow", "power"] and spec.labels.column == "state"
    assert spec.events == str(tmp_path / "faults.json")
    assert load_spec(None) == Spec() and load_spec(written(tmp_path, "")) == Spec()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("chanels: [a]", "`chanels` is an unknown option; did you mean `channels`?"),
        (
            "q: 1",
            "`q` is an unknown option; valid options are asset_column, channels, decimal, delimiter, events, exclude, ignore, interval_s",
        ),
        ("time: {colum: a}", "`time.colum` is an unknown option; did you mean `column`?"),
        ("time: {format: stamp}", "`time.format` is 'stamp'; expected iso, s, ms, us, ns, or a pattern"),
        ("channels: {a: {role: other}}", "`channels.a.role` is 'other'"),
        ("interval_s: -1", "`interval_s` is -1"),
        ("exclude: [[2026-01-01]]", "a span in `events` or `exclude` is ['2026-01-01']; write two times, [from, to]"),
        ("delimiter: ','\ndecimal: ','", "`delimiter` and `decimal` are both ','"),
        ("a: [", "is not valid YAML"),
        ("- 1", "expected a map of options"),
    ],
)
def test_invalid_spec_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(HistoryError) as caught:
        load_spec(path)
    assert str(caught.value).startswith(str(path)) and sentence in str(caught.value)
    with pytest.raises(HistoryError, match=r"none.yaml cannot be read \(No such file or directory\)"):
        load_spec(tmp_path / "none.yaml")


def test_every_key_is_documented() -> None:
    readme = (ROOT / "model_training" / "README.md").read_text(encoding="utf-8")
    for key, _, _, description in document(Spec):
        assert description and f"`{key}`" in readme, key


SPAN = ["2026-03-02 08:10:00", "2026-03-02 08:19:30"]


@pytest.mark.parametrize("name", ["list.json", "by_name.json", "list.yaml", "list.csv"])
def test_events_come_from_a_list_or_a_file(tmp_path: Path, name: str) -> None:
    file, other = table(tmp_path / "data" / "a.csv"), table(tmp_path / "data" / "b.csv")
    path = tmp_path / name
    if name == "list.csv":
        path.write_text("from,to\n" + ",".join(SPAN) + "\n")
    elif name == "list.yaml":
        path.write_text(f"- [{SPAN[0]}, {SPAN[1]}]\n")
    else:
        path.write_text(json.dumps([SPAN] if name == "list.json" else {"data/a.csv": [SPAN], "c.csv": []}))
    history = read([file, other], Spec(events=str(path)))
    assert history.recordings[0].in_events().nonzero()[0].tolist() == list(range(10, 20))
    if name == "by_name.json":
        assert history.recordings[1].events is None
        assert f"{other} is not in the list of events, so none are known for it" in history.notes
    else:
        assert history.recordings[1].in_events().sum() == 10
    assert read([file], Spec(events=[SPAN])).recordings[0].events == history.recordings[0].events


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([["2026-03-02", "soon"]], "in which a time is invalid"),
        ([SPAN[::-1]], "which ends before it begins; exchange the times"),
    ],
)
def test_invalid_events_are_refused(tmp_path: Path, events: list[list[str]], sentence: str) -> None:
    with pytest.raises(HistoryError, match=sentence):
        read([table(tmp_path / "a.csv")], Spec(events=events))


def test_invalid_file_of_events_is_refused(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv")
    for text, sentence in (("3", "is no list"), ("[1, 2]", "write each span as two times"), ("{", "is not valid YAML")):
        path = written(tmp_path, text)
        with pytest.raises(HistoryError, match=sentence):
            read([file], Spec(events=str(path)))


def test_excluded_stretches_are_not_normal(tmp_path: Path) -> None:
    recording = read([table(tmp_path / "a.csv")], Spec(exclude=[SPAN])).recordings[0]
    assert recording.excluded.sum() == 10 and recording.normal().sum() == 90 and recording.events is None


def test_events_outside_of_the_times_are_noted(tmp_path: Path) -> None:
    rows = "".join(f"2026-03-02 08:{minute:02d}:00,{minute % 7},{minute % 5}\n" for minute in range(60))
    file = tmp_path / "pump.csv"
    file.write_text(f"time,flow,power\n{rows}", encoding="utf-8")
    history = read([file], Spec(events=[["2024-01-01 00:00:00", "2024-01-02 00:00:00"]]))
    assert history.recordings[0].events == ()
    assert f"none of the 1 known events lies within the times of {file}" in history.notes
