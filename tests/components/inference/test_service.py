"""Inference's numbered behaviors; see its README."""

from __future__ import annotations

import json
import shutil
from urllib.parse import quote

import msgspec
import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import BundleError, OptionsError
from edgeml.messages import (
    MAX_PAYLOAD,
    QUALITY_NAMES,
    KeepAlive,
    ReplayRequest,
    ReplayStart,
    ResetBaseline,
    SensorBatch,
    encode,
    encode_json,
    topics,
)
from edgeml.messages.sequencing import SequenceTracker
from edgeml.model.bundle import Bundle, save
from edgeml.model.manifest import decode_manifest
from edgeml.model.signature import sign
from edgeml.timestamps import SECOND
from inference.options import InferenceOptions
from tests.components.inference.kit import NAMES, SHIPPED, T0, UNITS, Bench, batches, column, pump, reasons
from tests.edgeml import networks
from tests.edgeml.keys import STRANGER, TRUSTED


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_1_every_row_gets_one_result_in_blocks_below_the_limit(bench):
    sent = batches(pump(1000), size=150)
    blocks = bench.feed(*sent)
    np.testing.assert_array_equal(column(blocks, "times"), T0 + np.arange(1000) * SECOND)
    assert all(len(encode(block)) <= MAX_PAYLOAD for block in blocks)
    assert [block.seq for block in blocks] == list(range(len(blocks)))
    assert [(b.answers_stream, b.answers_seq) for b in blocks if b.complete] == [(batch.stream, batch.seq) for batch in sent]
    assert len(blocks) > len(sent)  # so splitting is tested


def test_1_answer_that_is_not_finite_is_no_decision_with_its_reason(tmp_path):
    manifest = decode_manifest((SHIPPED / "pump_anomaly" / "manifest.json").read_bytes(), "m")
    save(tmp_path / "artifacts" / "pump_anomaly", manifest, networks.root(60, 16))
    bench = Bench(tmp_path / "work", tmp_path / "artifacts", signature={"required": False})
    rows = pump(800)
    rows[600:] *= 1.02  # above the baseline, and before below it
    blocks = bench.feed(*batches(rows))
    judged = list(zip(reasons(blocks), column(blocks, "confidence"), column(blocks, "score"), strict=True))[460:]
    assert {reason for reason, _, _ in judged} == {"", "model: no finite answer"}
    for reason, confidence, score in judged:
        assert np.isfinite(confidence) == np.isfinite(score) == (reason == "")


def test_1_long_sensor_reason_fits_into_a_batch(tmp_path):
    bench = Bench(tmp_path)
    blocks = bench.feed(*batches(pump(300), size=100, asset="å" * 100))
    assert blocks and all(len(encode(block)) <= MAX_PAYLOAD for block in blocks)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "model.tflite").write_bytes((folder / "model.tflite").read_bytes()[:-100]), "truncated"),
        (lambda folder: (folder / "model.tflite").write_bytes((folder / "model.tflite").read_bytes()[:-1] + b"\xff"), "SHA-256 digest"),
        (lambda folder: shutil.rmtree(folder), "cannot be read"),
        (
            lambda folder: change(folder, views=[{"every": 1, "steps": 30}], min_rows=30),
            r"input shape \(60, 16\), the .* require \(30, 8\)",
        ),
        (lambda folder: change(folder, verdict_lvel=1), "verdict_lvel"),
    ],
)
def test_2_invalid_bundle_is_refused_in_one_sentence(tmp_path, spoil, sentence):
    folder = tmp_path / "artifacts" / "pump_anomaly"
    shutil.copytree(SHIPPED / "pump_anomaly", folder)
    spoil(folder)
    with pytest.raises(BundleError, match=sentence) as caught:
        Bench(tmp_path / "work", tmp_path / "artifacts", signature={"required": False})
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def change(folder, **keys):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | keys))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "manifest.sig").unlink(), "has no manifest.sig"),
        (lambda folder: sign(folder, STRANGER), "is signed with the key"),
        (lambda folder: change(folder, verdict_level=0.99), "does not match its signature"),
    ],
)
def test_14_bundle_without_a_signature_of_the_pinned_key_is_refused(tmp_path, spoil, sentence):
    folder = tmp_path / "artifacts" / "pump_anomaly"
    shutil.copytree(SHIPPED / "pump_anomaly", folder)
    Bench(tmp_path / "work", tmp_path / "artifacts")
    spoil(folder)
    with pytest.raises(BundleError, match=sentence):
        Bench(tmp_path / "work", tmp_path / "artifacts")


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [
        ({}, "`signature` names no public key"),
        ({"public_keys": {"mine": "null"}}, "`signature` names no public key"),
        ({"public_key": TRUSTED, "public_keys": {"mine": "AAAA"}}, "`signature.public_keys.mine` is not an Ed25519 public key"),
        ({"public_key": "AAAA"}, "`signature.public_key` is not an Ed25519 public key"),
    ],
)
def test_14_options_without_exactly_one_key_are_refused(signature, sentence):
    with pytest.raises(OptionsError, match=sentence):
        read(InferenceOptions, {"signature": signature})


def test_3_mismatched_rows_are_answered_and_other_assets_continue(bench):
    rows = pump(20)
    bad = SensorBatch.of("bad", "s", 0, NAMES[:-1], UNITS[:-1], T0 + np.arange(20) * SECOND, rows[:, :-1])
    other = msgspec.structs.replace(batches(rows, asset="units")[0], units=("mm/s", *UNITS[1:]))
    blocks = bench.feed(bad, other, *batches(rows, asset="good"))
    said = {block.asset: reasons([block])[0] for block in blocks}
    assert "no `flow` in l/min" in said["bad"]
    assert "`vibration_1` in mm/s instead of g" in said["units"]
    assert said["good"].startswith("learning")
    assert len(bench.service.status().faults) == 2 and bench.service.status().state == "running"


def test_4_baseline_is_learned_and_survives_a_restart(bench):
    rows = pump(1000)
    blocks = bench.feed(*batches(rows[:500]))
    said = reasons(blocks)
    assert all(text.startswith("learning") for text in said[:400]) and said[-1] == ""
    bench.restart()
    again = bench.feed(*renumbered(batches(rows[500:], stream="t", first=500)))
    assert not any(text.startswith("learning") for text in reasons(again))
    assert reasons(again)[-1] == ""


def renumbered(made):
    return [msgspec.structs.replace(batch, seq=number) for number, batch in enumerate(made)]


def test_progress_of_learning_is_logged(bench, caplog):
    caplog.set_level("INFO")
    bench.feed(*batches(pump(500)))
    steps = [each.getMessage() for each in caplog.records if "learning the baseline" in each.getMessage()]
    assert 2 <= len(steps) <= 5 and all(each.endswith("of 400 good rows") for each in steps)
    assert caplog.text.index(steps[-1]) < caplog.text.index("the baseline is learned")


def test_stalled_learning_is_not_logged_with_each_batch(bench, caplog):
    caplog.set_level("INFO")
    made = batches(pump(100))
    flagged = [msgspec.structs.replace(batch, quality=bytes([QUALITY_NAMES.index("missing")]) * (len(batch.values) // 4)) for batch in made]
    press = [msgspec.structs.replace(batch, asset="press-1", channels=("f0", *batch.channels[1:])) for batch in made]
    bench.feed(*flagged)
    bench.feed(*press)
    lines = [each.getMessage() for each in caplog.records if "learning the baseline" in each.getMessage()]
    assert lines == ["pump-1: learning the baseline, 0 of 400 good rows"]


def test_22_damaged_baseline_is_not_learned_again_automatically(bench, caplog, tmp_path):
    bench.feed(*batches(pump(500)))
    (kept,) = (tmp_path / "baselines").glob("*.json")
    whole = kept.read_text()
    kept.write_text(whole[:40])
    bench.restart()
    said = reasons(bench.feed(*batches(pump(550)[500:], first=500)))
    assert len(said) == 50 and all("its baseline is lost" in reason for reason in said)
    (fault,) = bench.service.status().faults
    assert str(kept) in fault and "send a ResetBaseline" in fault and fault in caplog.text
    kept.write_text(whole)  # somebody puts it back
    bench.now = 10.0
    bench.service.tick(bench.now)
    assert bench.service.status().faults == ()
    assert reasons(bench.feed(*batches(pump(750)[550:], first=550)))[-1] == ""


def test_22_lost_baseline_is_learned_again_by_command(bench, tmp_path):
    bench.feed(*batches(pump(500)))
    (kept,) = (tmp_path / "baselines").glob("*.json")
    kept.write_text("{}")
    bench.restart()
    bench.feed(*batches(pump(550)[500:], first=500))
    bench.feed(ResetBaseline(asset="pump-1"), topic=topics.CONTROL)
    said = reasons(bench.feed(*batches(pump(600)[550:], first=550)))
    assert said[0].startswith("learning") and bench.service.status().faults == ()


@pytest.fixture
def no_room(tmp_path):
    """Nothing new fits into the folder of baselines while it holds; names do."""
    place = tmp_path / "baselines"
    blocked = [place / f"pump-1.{scaling_id()}.new"]
    for path in blocked:
        path.mkdir(parents=True)
    yield lambda: [path.rmdir() for path in blocked]


def scaling_id():
    return Bundle.load(SHIPPED / "pump_anomaly").manifest.scaling_id


def test_22_failed_write_of_a_baseline_is_retried(bench, tmp_path, no_room):
    blocks = bench.feed(*batches(pump(500)))
    assert len(column(blocks, "times")) == 500 and reasons(blocks)[-1] == "", "a full disk keeps no row from its answer"
    (fault,) = bench.service.status().faults
    assert "pump-1: the baseline cannot be written" in fault
    no_room()
    bench.now += 10.0
    bench.service.tick(bench.now)
    assert bench.service.status().faults == ()
    bench.restart()
    again = bench.feed(*batches(pump(550)[500:], first=500))
    assert reasons(again)[-1] == ""
    assert not list((tmp_path / "baselines").glob("*.unwritten"))


def test_22_a_baseline_lost_with_a_restart_is_not_learned_from_a_faulty_machine(bench, tmp_path, no_room):
    bench.feed(*batches(pump(500)))
    bench.restart()
    blocks = bench.feed(*batches(pump(1200, fault_at=100)[500:], first=500))
    assert all("its baseline is lost" in reason for reason in reasons(blocks))
    assert np.isnan(column(blocks, "confidence")).all()


def test_22_names_of_any_length_have_a_baseline_and_rows(bench, tmp_path):
    asset = "泵" * 42 + "-é"  # 129 bytes, 384 characters when quoted
    bench.feed(*batches(pump(500), asset=asset))
    bench.restart()
    again = bench.feed(*batches(pump(550)[500:], first=500, asset=asset))
    assert reasons(again)[-1] == "" and bench.service.status().faults == ()


def test_22_a_baseline_of_an_earlier_version_under_a_long_name_is_found(bench, tmp_path):
    asset = "a/" * 52  # 208 characters when quoted
    bench.feed(*batches(pump(500), asset=asset))
    (kept,) = (tmp_path / "baselines").glob("*.json")
    kept.rename(kept.with_name(f"{quote(asset, safe='')}.{scaling_id()}.json"))
    bench.restart()
    assert reasons(bench.feed(*batches(pump(550)[500:], first=500, asset=asset)))[-1] == ""
    bench.feed(ResetBaseline(asset=asset), topic=topics.CONTROL)
    assert not list((tmp_path / "baselines").iterdir())


def test_5_a_baseline_is_reset_by_a_message(bench, tmp_path, caplog):
    bench.feed(*batches(pump(500)), *batches(pump(500), asset="pump-2"))
    assert len(list((tmp_path / "baselines").glob("*.json"))) == 2
    bench.feed(ResetBaseline(asset="pump-1"), topic=topics.CONTROL)
    assert [path.name.split(".")[0] for path in (tmp_path / "baselines").glob("*.json")] == ["pump-2"]
    blocks = bench.feed(*batches(pump(550)[500:], first=500), *batches(pump(550)[500:], first=500, asset="pump-2"))
    said = {block.asset: reasons([block])[0] for block in blocks}
    assert said["pump-1"].startswith("learning") and said["pump-2"] == ""
    bench.feed(ResetBaseline(asset="pump-9"), topic=topics.CONTROL)
    assert "unknown asset" in caplog.text and "pump-2" in caplog.text
    bench.feed(ResetBaseline(), topic=topics.CONTROL)
    assert list((tmp_path / "baselines").glob("*.json")) == []


def test_9_restart_fills_the_windows_from_a_replay_and_scores_unscored_rows(bench, tmp_path):
    rows = pump(1200)
    sent = batches(rows)
    first = bench.feed(*sent[:20])
    shutil.rmtree(tmp_path / "rows")
    bench.restart()
    asked = bench.bus.take(topics.REPLAY)
    assert asked[0] == ReplayRequest(topic=topics.SENSORS, max_messages=0)
    # A live batch comes before the replay does: it waits for its turn.
    assert bench.feed(sent[21]) == []
    again = bench.feed(ReplayStart(asset="pump-1", stream="s", first=2), *sent[2:])
    assert column(again, "times")[-1] == T0 + 1199 * SECOND
    # Same rows, same window, same answer: from the 600th replayed row on the long view is whole again.
    was, now = column(first, "confidence")[-200:], column(again, "confidence")[700:900]
    np.testing.assert_array_equal(was, now)


def test_9_missing_number_is_requested(bench):
    sent = batches(pump(300))
    bench.bus.take(topics.REPLAY)
    bench.feed(sent[0], sent[2])
    (asked,) = bench.bus.take(topics.REPLAY)
    assert asked == ReplayRequest(
        topic=topics.SENSORS, asset="pump-1", since=T0 + 49 * SECOND, stream="s", next_seq=1, max_messages=SequenceTracker.MAX_PER_ASSET
    )
    blocks = bench.feed(ReplayStart(asset="pump-1", stream="s", first=1), *sent[1:])
    assert len(column(blocks, "times")) == 250


def test_10_repeated_batch_is_answered_with_the_same_blocks(bench):
    sent = batches(pump(300), size=150)
    first = bench.feed(*sent)
    assert bench.feed(sent[1]) == [block for block in first if block.answers_seq == 1]


def test_11_results_can_be_replayed(bench):
    first = bench.feed(*batches(pump(300)))
    bench.service.on_message(topics.REPLAY, ReplayRequest(topic=topics.RESULTS, since=T0 + 99 * SECOND))
    start, *again = bench.bus.take(topics.RESULTS)
    assert start == ReplayStart(asset="pump-1", stream=first[0].stream, first=2, oldest=0, last=5, newest=5)
    assert again == first[2:]


def test_16_windows_survive_a_restart_without_a_replay(bench, tmp_path):
    rows = pump(1450, fault_at=1250)
    undisturbed = Bench(tmp_path / "undisturbed").feed(*batches(rows))
    bench.feed(*batches(rows[:1300]))
    bench.restart()
    blocks = bench.feed(*batches(rows[1300:], first=1300))
    assert set(reasons(blocks)) == {""}
    # To the last bit: a row that is scored again is scored alike.
    np.testing.assert_array_equal(column(blocks, "confidence"), column(undisturbed, "confidence")[1300:])
    bench.restart()
    # The next process replays the answers of the previous one under its own numbers.
    bench.service.on_message(topics.SENSORS, batches(rows[1400:], first=1400)[0])
    answered = bench.feed()
    assert column(answered, "times")[-1] == T0 + 1449 * SECOND
    assert answered[-1].stream != blocks[-1].stream


def test_16_learning_continues_after_a_restart(bench):
    rows = pump(500)
    bench.feed(*batches(rows[:350]))
    bench.restart()
    said = reasons(bench.feed(*batches(rows[350:], first=350)))
    assert said[0].startswith("learning 400/400") and said[-1] == ""


def test_16_saved_batch_without_an_answer_is_answered_when_it_is_repeated(bench):
    sent = batches(pump(1000))
    bench.feed(*sent[:19])
    bench.bus.failing_topics.add(topics.RESULTS)
    bench.feed(sent[19])
    bench.bus.failing_topics.clear()
    bench.restart()
    assert column(bench.feed(sent[19]), "times")[-1] == T0 + 999 * SECOND


def test_16_a_torn_end_costs_one_batch(bench, tmp_path, caplog):
    caplog.set_level("INFO")
    rows = pump(1500)
    bench.feed(*batches(rows[:1300]))
    newer = tmp_path / "rows" / "pump-1.newer"
    newer.write_bytes(newer.read_bytes()[:-10])
    bench.restart()
    blocks = bench.feed(*batches(rows[1250:1400], first=1250))
    assert set(reasons(blocks)) == {""} and column(blocks, "times")[0] == T0 + 1250 * SECOND
    assert "are no complete batch" in caplog.text
    bench.restart()
    assert set(reasons(bench.feed(*batches(rows[1400:], first=1400)))) == {""}


def test_16_saved_rows_are_bounded_and_deleted_with_the_baseline(bench, tmp_path):
    for start in range(0, 6000, 1000):
        bench.feed(*batches(pump(1000), first=start))
        kept = sum(path.stat().st_size for path in (tmp_path / "rows").iterdir())
        assert kept < 2 * 670 * 50  # rows, and bytes a row
    bench.feed(ResetBaseline(asset="pump-1"), topic=topics.CONTROL)
    assert list((tmp_path / "rows").iterdir()) == []


def test_16_full_disk_costs_no_result(bench, tmp_path, caplog):
    bench.feed(*batches(pump(100)))
    (tmp_path / "rows").rename(tmp_path / "aside")
    (tmp_path / "rows").write_text("in the way")
    assert len(column(bench.feed(*batches(pump(200)[100:], first=100)), "times")) == 100
    assert caplog.text.count("its windows refill") == 1
    (tmp_path / "rows").unlink()
    (tmp_path / "aside").rename(tmp_path / "rows")
    bench.feed(*batches(pump(250)[200:], first=200))
    bench.restart()
    # The rows that waited for the disk were written: there is no hole.
    assert set(reasons(bench.feed(*batches(pump(300)[250:], first=250)))) == {"learning 300/400"}


def test_12_rows_that_a_restarted_source_repeats_are_left_out(bench):
    rows = pump(200)
    bench.feed(*batches(rows[:150]))
    repeated = renumbered(batches(rows[50:], stream="t", first=50))
    blocks = bench.feed(*repeated)
    np.testing.assert_array_equal(column(blocks, "times"), T0 + np.arange(150, 200) * SECOND)
    assert [block.answers_seq for block in blocks if block.complete] == [batch.seq for batch in repeated]


def test_12_another_recording_far_back_in_time_is_scored(bench):
    rows = pump(1000)
    bench.feed(*batches(rows))
    blocks = bench.feed(*batches(rows[:200], stream="t"))
    assert len(column(blocks, "times")) == 200
    assert reasons(blocks)[-1] == ""


def test_closing_valve_is_detected_with_the_deviating_channels(bench):
    blocks = bench.feed(*batches(pump(900, fault_at=600)))
    confidence = column(blocks, "confidence")
    assert np.nanmax(confidence[400:595]) < 0.9
    assert np.nanmax(confidence[600:]) >= 0.9
    worst = int(np.nanargmax(np.abs(column(blocks, "deviations").astype(float)[800])))
    assert NAMES[worst] in ("flow", "pressure", "current")
    assert (column(blocks, "latency_us")[~np.isnan(confidence)] > 0).all()


def test_scores_do_not_look_ahead(tmp_path):
    rows = pump(900, fault_at=600)
    whole = column(Bench(tmp_path / "a").feed(*batches(rows)), "confidence")
    cut = column(Bench(tmp_path / "b").feed(*batches(rows[:700])), "confidence")
    np.testing.assert_array_equal(whole[:700], cut)


def keep_alives(bench: Bench, seconds: float) -> list[KeepAlive]:
    found: list[KeepAlive] = []
    for _ in range(round(seconds * 2)):
        bench.now += 0.5
        bench.service.tick(bench.now)
        found += [message for message in bench.bus.take(topics.RESULTS) if isinstance(message, KeepAlive)]
    return found


def test_silent_stream_of_results_sends_its_last_number_every_2_s(bench):
    assert [(message.asset, message.seq) for message in keep_alives(bench, 4)] == [("", -1)] * 2
    blocks = bench.feed(*batches(pump(100)))
    said = keep_alives(bench, 6)
    assert 2 <= len(said) <= 3
    assert {(message.asset, message.stream, message.seq) for message in said} == {("pump-1", blocks[-1].stream, blocks[-1].seq)}


def test_lost_last_batch_is_requested(bench):
    sent = batches(pump(150))
    bench.feed(*sent[:2])
    bench.bus.take(topics.REPLAY)
    bench.feed(KeepAlive(asset="pump-1", stream="s", seq=1))
    assert bench.bus.take(topics.REPLAY) == []
    bench.feed(KeepAlive(asset="pump-1", stream="s", seq=2))
    expected = ReplayRequest(
        topic=topics.SENSORS,
        asset="pump-1",
        since=int(T0 + 99 * SECOND),
        stream="s",
        next_seq=2,
        max_messages=SequenceTracker.MAX_PER_ASSET,
    )
    assert bench.bus.take(topics.REPLAY) == [expected]
    assert len(bench.feed(ReplayStart(asset="pump-1", stream="s", first=2), sent[2])) > 0


def test_health_has_the_age_of_the_latest_scored_row(tmp_path):
    bench = Bench(tmp_path, wall_ns=lambda: T0 + 100 * SECOND)
    assert bench.service.metrics().lag_s is None
    bench.feed(*batches(pump(100)))
    assert bench.service.metrics().lag_s == 1.0


@pytest.mark.parametrize("form", ["messagepack", "json"])
def test_16_saved_rows_are_the_bytes_that_arrived(bench, tmp_path, form):
    sent = batches(pump(100), size=10)
    for batch in sent:
        bench.service.on_message(topics.SENSORS, batch, encode(batch) if form == "messagepack" else encode_json(batch))
    (path,) = (tmp_path / "rows").glob("*.newer")
    assert path.read_bytes() == b"".join(len(encode(batch)).to_bytes(4, "little") + encode(batch) for batch in sent)
